"""LayerCAM."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.methods.activations.class_activation import ClassActivation
from attribution.methods.citation import Citation


@dataclass(frozen=True)
class LayerCAM(ClassActivation):
    """The features of a layer times the positive part of their gradient, place by place."""

    key: ClassVar[str] = "layer_cam"
    title: ClassVar[str] = "LayerCAM"
    idea: ClassVar[str] = (
        "Places whose features would raise the score are weighed by their own gradient, all others by nothing. "
        "That keeps maps of early, fine layers clean."
    )
    formula: ClassVar[str] = r"\max\Big(0,\ \sum_k A^k \odot \max\big(0, \frac{\partial F}{\partial A^k}\big)\Big)"
    shows: ClassVar[str] = "Where features support the class, in fine layers too: try stage 1 or 2."
    cannot: ClassVar[str] = "What speaks against the class: negative gradients are dropped."
    passes: ClassVar[str] = "At early layers its maps cover the object better than Grad-CAM's (Jiang et al. 2021)."
    fails: ClassVar[str] = (
        "Early layers show the grid of the strides and hardly separate classes; the values sum to nothing known."
    )
    source: ClassVar[Citation] = Citation(
        ("Peng-Tao Jiang", "Chang-Bin Zhang", "Qibin Hou", "Ming-Ming Cheng", "Yunchao Wei"),
        2021,
        "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization",
        journal="IEEE Transactions on Image Processing",
    )

    @staticmethod
    def weigh(maps: Tensor, gradient: Tensor) -> Tensor:
        return (gradient.clamp(min=0) * maps).sum(0)
