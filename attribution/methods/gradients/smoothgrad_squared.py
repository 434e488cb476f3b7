"""SmoothGrad squared."""

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
        "In a mean, gradients of opposite signs cancel. "
        "The mean of squares keeps every pixel that matters, whatever its sign."
    )
    formula: ClassVar[str] = (
        r"\tfrac{1}{n}\sum_{j=1}^{n} \Big(\frac{\partial F}{\partial x}(x + \sigma \epsilon_j)\Big)^2"
    )
    shows: ClassVar[str] = "Pixels that the score depends on, in either direction."
    cannot: ClassVar[str] = "The sign of a pixel's effect: all values are positive."
    passes: ClassVar[str] = "Removing its top pixels and retraining lowers the accuracy most (Hooker et al. 2019)."
    fails: ClassVar[str] = "The values are squared gradients, and their sum has no meaning."
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
