"""Grad-CAM."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.methods.activations.class_activation import ClassActivation
from attribution.methods.citation import Citation


@dataclass(frozen=True)
class GradCAM(ClassActivation):
    """The features of a layer, each weighed by the mean gradient that reaches it."""

    key: ClassVar[str] = "grad_cam"
    title: ClassVar[str] = "Grad-CAM"
    idea: ClassVar[str] = (
        "A late layer represents which features were found, and where. Grad-CAM adds up its feature maps, each "
        "weighted by its mean effect on the score."
    )
    formula: ClassVar[str] = (
        r"\max\Big(0,\ \sum_k A^k \cdot \tfrac{1}{hw}\sum_{ij} \frac{\partial F}{\partial A^k_{ij}}\Big)"
    )
    shows: ClassVar[str] = "The region of the object that the class is read from."
    cannot: ClassVar[str] = "Detail below one cell of the layer; a feature gets one weight wherever it was found."
    passes: ClassVar[str] = "It changes with the class and with random weights (Adebayo et al. 2018)."
    fails: ClassVar[str] = "Before layers that are not averaged it can mark places that the network did not use."
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
