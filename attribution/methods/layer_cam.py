"""LayerCAM."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.citation import Citation
from attribution.methods.class_activation import ClassActivation


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
    passes: ClassVar[str] = "Early layers give fine maps of the object, where Grad-CAM gives noise."
    fails: ClassVar[str] = "The values do not sum to anything, since part of the gradient is dropped."
    source: ClassVar[Citation] = Citation(
        ("Peng-Tao Jiang", "Chang-Bin Zhang", "Qibin Hou", "Ming-Ming Cheng", "Yunchao Wei"),
        2021,
        "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization",
        journal="IEEE Transactions on Image Processing",
    )

    @staticmethod
    def weigh(maps: Tensor, gradient: Tensor) -> Tensor:
        return (gradient.clamp(min=0) * maps).sum(0)
