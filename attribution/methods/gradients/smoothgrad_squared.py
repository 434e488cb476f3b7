"""SmoothGrad of squares."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.methods.citation import Citation
from attribution.methods.gradients.noisy_gradients import NoisyGradients


@dataclass(frozen=True)
class SmoothGradSquared(NoisyGradients):
    """The mean of the squared gradients of noisy copies of the photo."""

    key: ClassVar[str] = "smoothgrad_squared"
    title: ClassVar[str] = "SmoothGrad squared"
    power: ClassVar[int] = 2
    unit: ClassVar[str] = "({score} per pixel value)\u00b2"
    idea: ClassVar[str] = (
        "In a mean, gradients of opposite sign cancel. "
        "The mean of squares keeps every pixel that matters in either way."
    )
    formula: ClassVar[str] = (
        r"\tfrac{1}{n}\sum_{j=1}^{n} \Big(\frac{\partial F}{\partial x}(x + \sigma \epsilon_j)\Big)^2"
    )
    shows: ClassVar[str] = "Pixels that the score depends on, in either direction."
    cannot: ClassVar[str] = "Whether a pixel speaks for or against the class: all values are positive."
    passes: ClassVar[str] = "Removing its pixels and retraining costs the network most (Hooker et al. 2019)."
    fails: ClassVar[str] = "The values are squares of slopes and sum to nothing known."
    source: ClassVar[Citation] = Citation(
        ("Sara Hooker", "Dumitru Erhan", "Pieter-Jan Kindermans", "Been Kim"),
        2019,
        "A Benchmark for Interpretability Methods in Deep Neural Networks",
        "1806.10758",
        "NeurIPS",
    )

    @staticmethod
    def combine(first: Tensor, mean: Tensor, square: Tensor) -> Tensor:
        return (first.square() + 2 * first * mean + square).clamp_(min=0)
