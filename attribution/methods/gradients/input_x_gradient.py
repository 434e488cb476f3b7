"""The gradient times the photo."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution.methods.citation import Citation
from attribution.methods.method import Computed, Cost, Method, Tick
from attribution.network.scorer import Scorer


@dataclass(frozen=True)
class InputXGradient(Method):
    """The elementwise product of the photo and the gradient of the score."""

    key: ClassVar[str] = "input_x_gradient"
    title: ClassVar[str] = "Input x gradient"
    group: ClassVar[str] = "gradients"
    signed: ClassVar[bool] = True
    idea: ClassVar[str] = (
        "The gradient is the effect of a small change; multiplied by the value, it estimates the value's contribution. "
        "This is exact if the score is linear between a black image and the photo."
    )
    formula: ClassVar[str] = r"x \odot \frac{\partial F}{\partial x}"
    shows: ClassVar[str] = "The contribution of each value to the score, in a linear approximation from a black image."
    cannot: ClassVar[str] = "Dark pixels: however important, they are multiplied by nearly zero."
    passes: ClassVar[str] = "In a ReLU network without biases and mean subtraction, the values sum to the logit."
    fails: ClassVar[str] = "The photo remains visible in the map even with random weights (Adebayo et al. 2018)."
    source: ClassVar[Citation] = Citation(
        ("Avanti Shrikumar", "Peyton Greenside", "Anna Shcherbina", "Anshul Kundaje"),
        2016,
        "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences",
        "1605.01713",
    )
    shares_forward: ClassVar[bool] = True
    derivative: ClassVar[bool] = True

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(0, 1)

    def baseline_image(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        return Computed(scorer.x * scorer.backward("gradient"))
