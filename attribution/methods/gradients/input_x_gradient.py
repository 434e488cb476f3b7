"""The gradient times the photo."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.methods.citation import Citation
from attribution.methods.method import Computed, Cost, Method, Tick
from attribution.network.scorer import Scorer


@dataclass(frozen=True)
class InputXGradient(Method):
    """Every value of the photo times the derivative of the score with respect to it."""

    key: ClassVar[str] = "input_x_gradient"
    title: ClassVar[str] = "Input x gradient"
    group: ClassVar[str] = "gradients"
    idea: ClassVar[str] = (
        "The gradient says what a change would do; times the value itself it says what the value does. "
        "That is exact where the score is a straight line from black."
    )
    formula: ClassVar[str] = r"x \odot \frac{\partial F}{\partial x}"
    shows: ClassVar[str] = "The share of every value in the score, as far as a straight line from black goes."
    cannot: ClassVar[str] = "Dark pixels: whatever they do, they are multiplied by nearly zero."
    passes: ClassVar[str] = (
        "In a rectifier network without biases and without a mean that is subtracted, they sum to the logit."
    )
    fails: ClassVar[str] = "With random weights the photo itself still shows through (Adebayo et al. 2018)."
    source: ClassVar[Citation] = Citation(
        ("Avanti Shrikumar", "Peyton Greenside", "Anna Shcherbina", "Anshul Kundaje"),
        2016,
        "Not Just a Black Box: Learning Important Features Through Propagating Activation Differences",
        "1605.01713",
    )
    shares_forward: ClassVar[bool] = True

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(0, 1)

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        return Computed(scorer.x * scorer.backward("gradient"))
