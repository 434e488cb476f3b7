"""Base class of the class activation maps whose weights are computed from the gradient."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from attribution.methods.activations.class_activation import ClassActivation
from attribution.methods.method import Cost, Tick
from attribution.network.layer import Layer
from attribution.network.scorer import Mixture, Scorer


@dataclass(frozen=True)
class GradientActivation(ClassActivation):
    """The sum of a layer's feature maps, weighted by their gradients."""

    shares_forward: ClassVar[bool] = True
    deviation: ClassVar[str] = "The paper uses the gradient of the logit; here it is the gradient of the chosen score."

    @staticmethod
    @abstractmethod
    def weigh(maps: Tensor, gradient: Tensor) -> Tensor:
        """Return the map, (h, w), from the layer's feature maps and their gradients, both (C, h, w)."""

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(int(bool(self.layer)), 1)

    def cells(self, scorer: Scorer, layer: Layer, tick: Tick) -> tuple[Tensor, tuple[str, ...]]:
        return self.weigh(*scorer.features(layer, as_given=bool(self.layer), mixture=self.mixture)), ()

    @property
    def mixture(self) -> Mixture | None:
        """The targets whose scores are differentiated, as for `Scorer.features`; None for the current one."""
        return None
