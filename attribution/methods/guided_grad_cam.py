"""Guided Grad-CAM."""

from dataclasses import dataclass, replace
from typing import ClassVar

from attribution.citation import Citation
from attribution.methods.grad_cam import SELVARAJU, GradCAM
from attribution.methods.guided_backprop import GuidedBackprop
from attribution.methods.method import Computed, Cost
from attribution.model import Model
from attribution.scorer import Scorer


@dataclass(frozen=True)
class GuidedGradCAM(GradCAM):
    """Guided backpropagation, masked by Grad-CAM."""

    key: ClassVar[str] = "guided_grad_cam"
    title: ClassVar[str] = "Guided Grad-CAM"
    power: ClassVar[int] = 2
    idea: ClassVar[str] = (
        "Guided backpropagation is sharp but hardly knows the class; Grad-CAM knows the class but is coarse. "
        "Their product is sharp inside the region of the class."
    )
    formula: ClassVar[str] = r"\text{guided backpropagation} \odot \text{Grad-CAM}"
    shows: ClassVar[str] = "Sharp structure inside the region that the class is read from."
    cannot: ClassVar[str] = "Why this structure: only the region is chosen by the class, not the detail in it."
    passes: ClassVar[str] = "The region changes with the class."
    fails: ClassVar[str] = "The detail stays nearly the same when lower weights are random (Adebayo et al. 2018)."
    deviation: ClassVar[str] = "Grad-CAM is enlarged by bilinear interpolation, as in the paper; Captum repeats cells."
    source: ClassVar[Citation] = SELVARAJU

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(0, 2)

    def refusal(self, model: Model) -> str | None:
        return super().refusal(model) or GuidedBackprop().refusal(model)

    def compute(self, scorer: Scorer) -> Computed:
        region, guided = super().compute(scorer), GuidedBackprop().compute(scorer)
        values = region.values.sum(0) * guided.values
        return replace(guided, values=values, notes=(*region.notes, *guided.notes))
