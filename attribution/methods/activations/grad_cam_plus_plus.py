"""Grad-CAM++."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.methods.activations.gradient_activation import GradientActivation
from attribution.methods.citation import Citation


@dataclass(frozen=True)
class GradCAMPlusPlus(GradientActivation):
    """The feature maps of a layer, each weighted by a weighted sum of its positive gradients."""

    key: ClassVar[str] = "grad_cam_plus_plus"
    title: ClassVar[str] = "Grad-CAM++"
    idea: ClassVar[str] = (
        "In Grad-CAM, an object that covers little of a feature map contributes little to the mean gradient. "
        "Grad-CAM++ sums the positive gradients instead, so that small and repeated objects count as much as large "
        "ones."
    )
    formula: ClassVar[str] = (
        r"\max\Big(0,\ \sum_k A^k \sum_{ij} \alpha^k_{ij} \max(0, g^k_{ij})\Big) \\"
        r"\alpha^k_{ij} = \frac{1}{2 + g^k_{ij} \sum_{ab} A^k_{ab}},\quad g^k = \frac{\partial F}{\partial A^k} "
    )
    shows: ClassVar[str] = "All regions that support the class, also several objects of it."
    cannot: ClassVar[str] = (
        "Evidence against the class, since negative gradients are dropped; detail finer than one cell of the layer."
    )
    passes: ClassVar[str] = (
        "Its maps cover more of the object than Grad-CAM's if the photo shows several (Chattopadhay et al. 2018)."
    )
    fails: ClassVar[str] = (
        "The weights depend on the scale of the score: for a probability near 0 or 1, gradients are so small that all "
        "alphas are 1/2, and the map is Grad-CAM's with positive gradients only."
    )
    deviation: ClassVar[str] = (
        "The paper's gradient is the logit's; here it is the chosen score's. A feature map with a negative sum, which "
        "networks of rectifiers do not have, counts as sum 0, so that no denominator is below 2."
    )
    source: ClassVar[Citation] = Citation(
        ("Aditya Chattopadhay", "Anirban Sarkar", "Prantik Howlader", "Vineeth N. Balasubramanian"),
        2018,
        "Grad-CAM++: Generalized Gradient-based Visual Explanations for Deep Convolutional Networks",
        "1710.11063",
        "WACV",
    )

    @staticmethod
    def weigh(maps: Tensor, gradient: Tensor) -> Tensor:
        positive = gradient.clamp(min=0)
        alphas = 1 / (2 + positive * maps.sum((1, 2), keepdim=True).clamp(min=0))
        return ((alphas * positive).sum((1, 2), keepdim=True) * maps).sum(0)
