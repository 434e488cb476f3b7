"""HiResCAM."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.methods.activations.gradient_activation import GradientActivation
from attribution.methods.citation import Citation


@dataclass(frozen=True)
class HiResCAM(GradientActivation):
    """The elementwise product of a layer's feature maps and their gradients, summed over features."""

    key: ClassVar[str] = "hires_cam"
    title: ClassVar[str] = "HiResCAM"
    idea: ClassVar[str] = (
        "Grad-CAM weights a feature map by its mean gradient; HiResCAM weights each position by its own gradient. "
        "So only positions that affect the score are highlighted."
    )
    formula: ClassVar[str] = r"\max\Big(0,\ \sum_k A^k \odot \frac{\partial F}{\partial A^k}\Big)"
    shows: ClassVar[str] = "The cells of a layer that raise the score."
    cannot: ClassVar[str] = "Detail finer than one cell of the layer."
    passes: ClassVar[str] = "If everything after the layer is linear, the uncut cells sum to the logit minus its bias."
    fails: ClassVar[str] = (
        "If rectifiers follow the layer, it is input x gradient at that layer, with the same saturation problem."
    )
    source: ClassVar[Citation] = Citation(
        ("Rachel Lea Draelos", "Lawrence Carin"),
        2020,
        "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks",
        "2011.08891",
    )

    @staticmethod
    def weigh(maps: Tensor, gradient: Tensor) -> Tensor:
        return (gradient * maps).sum(0)
