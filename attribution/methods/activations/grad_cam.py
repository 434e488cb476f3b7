"""Grad-CAM."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.methods.activations.gradient_activation import GradientActivation
from attribution.methods.citation import Citation


@dataclass(frozen=True)
class GradCAM(GradientActivation):
    """The feature maps of a layer, each weighted by its mean gradient."""

    key: ClassVar[str] = "grad_cam"
    title: ClassVar[str] = "Grad-CAM"
    idea: ClassVar[str] = (
        "A late layer encodes which features were detected, and where. Grad-CAM sums its feature maps, each weighted "
        "by its mean gradient."
    )
    formula: ClassVar[str] = (
        r"\max\Big(0,\ \sum_k A^k \cdot \tfrac{1}{hw}\sum_{ij} \frac{\partial F}{\partial A^k_{ij}}\Big)"
    )
    shows: ClassVar[str] = "The image region that supports the class."
    cannot: ClassVar[str] = "Detail finer than one cell of the layer; each feature has one weight for all positions."
    passes: ClassVar[str] = "The map changes with the class and when the weights are randomised (Adebayo et al. 2018)."
    fails: ClassVar[str] = (
        "Unless global average pooling follows the layer, it can highlight regions that the network did not use."
    )
    source: ClassVar[Citation] = Citation(
        (
            "Ramprasaath R. Selvaraju",
            "Michael Cogswell",
            "Abhishek Das",
            "Ramakrishna Vedantam",
            "Devi Parikh",
            "Dhruv Batra",
        ),
        2017,
        "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
        "1610.02391",
        "ICCV",
    )

    @staticmethod
    def weigh(maps: Tensor, gradient: Tensor) -> Tensor:
        return (gradient.mean((1, 2), keepdim=True) * maps).sum(0)
