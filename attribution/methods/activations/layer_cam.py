"""LayerCAM."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.methods.activations.gradient_activation import GradientActivation
from attribution.methods.citation import Citation


@dataclass(frozen=True)
class LayerCAM(GradientActivation):
    """The elementwise product of a layer's feature maps and their positive gradients, summed over features."""

    key: ClassVar[str] = "layer_cam"
    title: ClassVar[str] = "LayerCAM"
    idea: ClassVar[str] = (
        "Each position is weighted by its gradient if that is positive, and by zero otherwise. "
        "This keeps maps of early, fine layers clean."
    )
    formula: ClassVar[str] = r"\max\Big(0,\ \sum_k A^k \odot \max\big(0, \frac{\partial F}{\partial A^k}\big)\Big)"
    shows: ClassVar[str] = "Where features support the class, also at fine layers: try an earlier layer."
    cannot: ClassVar[str] = "Evidence against the class: negative gradients are dropped."
    passes: ClassVar[str] = "At early layers its maps localise the object better than Grad-CAM's (Jiang et al. 2021)."
    fails: ClassVar[str] = (
        "At early layers the map shows a grid from strides and hardly depends on the class; its sum has no meaning."
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
