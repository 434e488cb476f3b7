"""HiResCAM."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.methods.activations.class_activation import ClassActivation
from attribution.methods.citation import Citation


@dataclass(frozen=True)
class HiResCAM(ClassActivation):
    """The features of a layer times their gradient, place by place."""

    key: ClassVar[str] = "hires_cam"
    title: ClassVar[str] = "HiResCAM"
    idea: ClassVar[str] = (
        "Grad-CAM averages the gradient over the map before it weighs; HiResCAM weighs each place by its own gradient. "
        "So only places that count are marked."
    )
    formula: ClassVar[str] = r"\max\Big(0,\ \sum_k A^k \odot \frac{\partial F}{\partial A^k}\Big)"
    shows: ClassVar[str] = "The cells of a layer that raise the score."
    cannot: ClassVar[str] = "Detail below one cell of the layer."
    passes: ClassVar[str] = "Where all after the layer is linear, its cells, uncut, sum to the logit without its bias."
    fails: ClassVar[str] = "After several layers with rectifiers it is input times gradient, with the same blind spots."
    source: ClassVar[Citation] = Citation(
        ("Rachel Lea Draelos", "Lawrence Carin"),
        2020,
        "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks",
        "2011.08891",
    )

    @staticmethod
    def weigh(maps: Tensor, gradient: Tensor) -> Tensor:
        return (gradient * maps).sum(0)
