"""The controls and the figure that the two chapters about three neurons share."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from attribution.lesson.chapter import Chapter
from attribution.lesson.figure import Chart, Figure, Series
from attribution.lesson.subject import Subject
from attribution.lesson.three_neurons import INTO, NO_SKIP, OUT, Neurons, rules
from attribution.methods.gradients.gradient import Gradient
from attribution.methods.gradients.guided_backprop import GuidedBackprop
from attribution.methods.gradients.zeiler_fergus import ZeilerFergus
from attribution.methods.method import Method
from attribution.settings import Choice, Number, Setting, setting

LARGEST = 5.0  # input or weight
METHODS: tuple[Method, ...] = (Gradient(), GuidedBackprop(), ZeilerFergus())
COUNT = 11  # weights: six from the inputs, three to the score, two past the neurons

NETWORK = """\
import torch

import attribution as at


class Net(torch.nn.Module):
    def forward(self, x):
        x1, x2 = x[:, 0, 0].T
        a, b, c = torch.relu(torch.stack([x1 + x2, x1 - x2, x2 - x1]))
        return torch.stack([2 * a - 3 * b + 4 * c, 2 * a - 5 * b - c], 1)


model = at.Model("three neurons", Net(), (1, 2), (0, 0, 0), (1, 1, 1), ("1", "2"))
"""  # code of the network, with both classes

Weights = tuple[float, ...]


@dataclass(frozen=True)
class WeightsSetting(Setting):
    """All weights of the network, or none for those of the class; their text is `1/1/1/-1/-1/1/2/-3/4/0/0`."""

    @property
    def range(self) -> str:
        return f"{COUNT} numbers from {-LARGEST:g} to {LARGEST:g} between slashes, or empty"

    def check(self, value: Any) -> Weights:
        try:
            weights = tuple(map(float, value))
        except (TypeError, ValueError):
            raise self._refuse(value) from None
        if len(weights) not in (0, COUNT) or not all(-LARGEST <= each <= LARGEST for each in weights):
            raise self._refuse(value)
        return weights

    def read(self, text: str) -> Weights | str:
        try:
            return tuple(map(float, text.split("/"))) if text else ()
        except ValueError:
            return text

    def plain(self, value: Any) -> str:
        return "/".join(f"{each:.12g}" for each in value)


@dataclass(frozen=True)
class NeuronsChapter(Chapter):
    """Three neurons on two inputs, with the signals of three rules.

    Attributes:
        focus: Rule in the foreground: "guided" or "zeiler_fergus".
        x1: First input.
        x2: Second input.
        output: Number of the class, which has weights of its own.
        weights: Other weights: six from the inputs, neuron by neuron, three to the score, two past the neurons.
    """

    sandbox: ClassVar[str] = "three_neurons"
    focus: ClassVar[str]

    x1: float = setting(Number("First input.", -LARGEST, LARGEST), 2.0)
    x2: float = setting(Number("Second input.", -LARGEST, LARGEST), 1.0)
    output: str = setting(Choice("Class.", tuple(map(str, OUT))), "1")
    weights: Weights = setting(WeightsSetting("Other weights.", shown=False), ())

    @property
    def neurons(self) -> Neurons:
        """The input and the weights."""
        if not self.weights:
            return Neurons((self.x1, self.x2), INTO, OUT[int(self.output)], NO_SKIP)
        a, b, c, d, e, f, *out, s, t = self.weights
        return Neurons((self.x1, self.x2), ((a, b), (c, d), (e, f)), (out[0], out[1], out[2]), (s, t))

    def having(self, neurons: Neurons) -> Self:
        """Return a copy with this input and these weights; those of a class are named by it."""
        changed: dict[str, Any] = {"x1": neurons.x[0], "x2": neurons.x[1]}
        for number, out in OUT.items():
            if neurons == Neurons(neurons.x, INTO, out, NO_SKIP):
                return replace(self, **changed, output=str(number), weights=())
        weights = (*(each for pair in neurons.into for each in pair), *neurons.out, *neurons.skip)
        return replace(self, **changed, weights=weights)

    def figure(self, subject: Subject | None) -> Figure:
        del subject
        net = self.neurons
        found = rules(net.into, net.out, net.skip, net.x)
        maps = (found.gradient, found.guided, found.zeiler_fergus)
        values = [value for pair in maps for value in pair]
        series = tuple(Series(method.key, tuple(enumerate(pair))) for method, pair in zip(METHODS, maps, strict=True))
        ends = min(0.0, *values), max(0.0, *values)
        chart = Chart("value", "input", series, ends if ends[0] < ends[1] else (0.0, 1.0), ("x1", "x2"))
        return Figure(chart=chart)

    def methods(self, size: tuple[int, int]) -> tuple[Method, ...]:
        del size
        return METHODS
