"""Base class of the class activation maps: a weighted sum of the feature maps of one layer."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from attribution.methods.method import Computed, Method, Tick, per_pixel
from attribution.network.layer import Layer
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.refusal import Refusal
from attribution.settings import Choice, LayerName, Number, setting

STAGE_SETTING = Number(
    "Stage of the layer: 0 is the last and coarsest resolution, 1 the next finer one.", 0, 9, shown=False
)
LAYER_SETTING = LayerName("Layer whose feature maps are used. Default: the last one.")


@dataclass(frozen=True)
class ClassActivation(Method):
    """The weighted sum of a layer's feature maps, upsampled to the size of the photo.

    Attributes:
        stage: Resolution, counted from the coarsest; its last layer is used. Default: 0.
        negative: Negative values are "cut" to zero, as by the papers' rectifier (default), or "kept".
        layer: Name of the layer, as in the network's `named_modules`; it takes precedence over the stage. Default: "".
    """

    group: ClassVar[str] = "activations"

    stage: int = setting(STAGE_SETTING, 0)
    negative: str = setting(
        Choice("Negative values, which lower the score: cut to zero, or kept.", ("cut", "kept")), "cut"
    )
    layer: str = setting(LAYER_SETTING, "")

    @property
    def signed(self) -> bool:  # type: ignore[override]  # of the class, where it does not depend on a setting
        """True if negative values are kept."""
        return self.negative == "kept"

    @abstractmethod
    def cells(self, scorer: Scorer, layer: Layer, tick: Tick) -> tuple[Tensor, tuple[str, ...]]:
        """Return the weighted sum of the layer's feature maps, (h, w), signed, and notes about it."""

    def refusal(self, model: Model) -> str | None:
        try:
            self.layer_of(model, model.preprocessing.size)
        except Refusal as refusal:
            return str(refusal)
        return None

    def layer_of(self, model: Model, size: tuple[int, int]) -> Layer:
        """Return the layer for images of (H, W) pixels.

        Raises:
            Refusal: If the network has no such layer.
        """
        if self.layer:
            return model.layer(self.layer, size)
        stages = model.stages_at(size)
        if not stages:
            raise Refusal(
                f"{self.title} needs a layer with feature maps, but {model.name} has none; choose another method."
            )
        if self.stage >= len(stages):
            raise Refusal(f"{model.name} has no stage {self.stage}; choose one from 0 to {len(stages) - 1}.")
        return stages[self.stage]

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        layer = self.layer_of(scorer.model, (scorer.x.shape[1], scorer.x.shape[2]))
        cells, notes = self.cells(scorer, layer, tick)
        return Computed(self.heat(cells, scorer), notes=(f"Layer {layer}.", *notes))

    def heat(self, cells: Tensor, scorer: Scorer) -> Tensor:
        """Return a sum of feature maps, (h, w), at the size of the photo, (3, H, W)."""
        cells = cells.clamp(min=0) if self.negative == "cut" else cells
        return per_pixel(functional.interpolate(cells[None, None], scorer.x.shape[1:], mode="bilinear")[0, 0])
