"""The common part of the class activation maps: the features of one layer, weighted by their gradient."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from attribution.methods.method import Computed, Cost, Method, Tick, per_pixel
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.refusal import Refusal
from attribution.settings import Choice, Number, setting

STAGE = Number("Resolution of the layer: 0 is the last and coarsest, 1 the one before.", 0, 9)


@dataclass(frozen=True)
class ClassActivation(Method):
    """Weigh the features of a layer, add them up, and enlarge the sum to the photo.

    Attributes:
        stage: Which layer: the last one of a resolution, counted from the coarsest. Default: 0.
        negative: "cut" (the papers' rectifier, default), or "kept": what speaks against the class.
    """

    group: ClassVar[str] = "activations"
    shares_forward: ClassVar[bool] = True
    deviation: ClassVar[str] = (
        "The papers take the gradient of the logit; here it is that of the score that you choose."
    )

    stage: int = setting(STAGE, 0)
    negative: str = setting(Choice("What is done with values that speak against the class.", ("cut", "kept")), "cut")

    @staticmethod
    @abstractmethod
    def weigh(maps: Tensor, gradient: Tensor) -> Tensor:
        """Return the map at the layer's size, (h, w), from its features and the score's gradient, both (C, h, w)."""

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(0, 1)

    def refusal(self, model: Model) -> str | None:
        if not model.stages:
            return f"{self.title} needs a layer whose output is a map of features, and {model.name} has none."
        if self.stage >= len(model.stages):
            return f"{model.name} has no stage {self.stage}; choose one from 0 to {len(model.stages) - 1}."
        return None

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        if reason := self.refusal(scorer.model):
            raise Refusal(reason)
        layer = scorer.model.stages[self.stage]
        maps, gradient = scorer.features(layer)  # (C, h, w)
        cells = self.weigh(maps, gradient)
        cells = cells.clamp(min=0) if self.negative == "cut" else cells
        heat = functional.interpolate(cells[None, None], scorer.x.shape[1:], mode="bilinear")[0, 0]
        seen = replace(layer, height=maps.shape[1], width=maps.shape[2])  # by this photo's size, not by the model's
        return Computed(per_pixel(heat), notes=(f"Layer {seen}.",))
