"""SmoothGrad."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.methods.citation import Citation
from attribution.methods.gradients.noisy_gradients import NoisyGradients


@dataclass(frozen=True)
class SmoothGrad(NoisyGradients):
    """The mean gradient of noisy copies of the photo."""

    key: ClassVar[str] = "smoothgrad"
    title: ClassVar[str] = "SmoothGrad"
    idea: ClassVar[str] = (
        "The gradient jumps from pixel to pixel and from photo to photo. "
        "The mean over n copies with noise of size sigma keeps what stays."
    )
    formula: ClassVar[str] = r"\tfrac{1}{n}\sum_{j=1}^{n} \frac{\partial F}{\partial x}(x + \sigma \epsilon_j)"
    shows: ClassVar[str] = "The gradient around the photo, without its finest grain."
    cannot: ClassVar[str] = "What a saturated network used; and noisy copies are no photos that the network knows."
    passes: ClassVar[str] = "It changes with random weights, as the gradient does."
    fails: ClassVar[str] = "Removing its pixels and retraining costs no more than removing any (Hooker et al. 2019)."
    source: ClassVar[Citation] = Citation(
        ("Daniel Smilkov", "Nikhil Thorat", "Been Kim", "Fernanda Viégas", "Martin Wattenberg"),
        2017,
        "SmoothGrad: removing noise by adding noise",
        "1706.03825",
    )

    @staticmethod
    def combine(first: Tensor, mean: Tensor, square: Tensor) -> Tensor:
        del square
        return first + mean
