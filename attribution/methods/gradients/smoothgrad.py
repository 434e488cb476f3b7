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
    derivative: ClassVar[bool] = True
    idea: ClassVar[str] = (
        "The gradient fluctuates strongly between neighbouring pixels and similar photos. "
        "Averaging over n copies with noise of standard deviation sigma keeps what is stable."
    )
    formula: ClassVar[str] = r"\tfrac{1}{n}\sum_{j=1}^{n} \frac{\partial F}{\partial x}(x + \sigma \epsilon_j)"
    shows: ClassVar[str] = "The gradient in a neighbourhood of the photo, without fine-grained noise."
    cannot: ClassVar[str] = (
        "What a saturated score depends on; and noisy copies are out of distribution for the network."
    )
    passes: ClassVar[str] = "Like the gradient, the map changes when the weights are randomised."
    fails: ClassVar[str] = (
        "Removing its top pixels and retraining hurts no more than removing random ones (Hooker et al. 2019)."
    )
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
