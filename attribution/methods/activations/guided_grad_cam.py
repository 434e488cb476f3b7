"""Guided Grad-CAM."""

from dataclasses import dataclass, replace
from typing import ClassVar

from attribution.methods.activations.class_activation import LAYER_SETTING, STAGE_SETTING
from attribution.methods.activations.grad_cam import GradCAM
from attribution.methods.citation import Citation
from attribution.methods.gradients.guided_backprop import GuidedBackprop
from attribution.methods.method import Computed, Cost, Method, Tick
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.settings import setting


@dataclass(frozen=True)
class GuidedGradCAM(Method):
    """Guided backpropagation, multiplied by Grad-CAM.

    Attributes:
        stage: Stage of Grad-CAM. Default: 0.
        layer: Layer of Grad-CAM. Default: "".
    """

    key: ClassVar[str] = "guided_grad_cam"
    title: ClassVar[str] = "Guided Grad-CAM"
    group: ClassVar[str] = "activations"
    per_value: ClassVar[bool] = True
    power: ClassVar[int] = 2
    unit: ClassVar[str] = "{score}\u00b2 per pixel value"
    shares_forward: ClassVar[bool] = True
    idea: ClassVar[str] = (
        "Guided backpropagation is sharp but hardly depends on the class; Grad-CAM depends on the class but is coarse. "
        "Their product shows sharp detail inside the region of the class."
    )
    formula: ClassVar[str] = r"\text{guided backpropagation} \odot \text{Grad-CAM}"
    shows: ClassVar[str] = "Fine structure inside the region that supports the class."
    cannot: ClassVar[str] = "Why this structure matters: the class determines the region, not the detail inside it."
    passes: ClassVar[str] = "The region changes with the class."
    fails: ClassVar[str] = (
        "The detail hardly changes when the weights of upper layers are randomised (Adebayo et al. 2018)."
    )
    deviation: ClassVar[str] = GradCAM.deviation
    source: ClassVar[Citation] = GradCAM.source

    stage: int = setting(STAGE_SETTING, 0)
    layer: str = setting(LAYER_SETTING, "")

    @property
    def _region(self) -> GradCAM:
        return GradCAM(self.stage, layer=self.layer)

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(int(bool(self.layer)), 2)

    def refusal(self, model: Model) -> str | None:
        return self._region.refusal(model) or GuidedBackprop().refusal(model)

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        region, guided = self._region.compute(scorer, tick), GuidedBackprop().compute(scorer, tick)
        values = region.values.sum(0) * guided.values
        return replace(guided, values=values, notes=(*region.notes, *guided.notes))
