"""Chapter 6: a score that has reached its ceiling has no slope."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.lesson.chapter import Chapter
from attribution.lesson.figure import Chart, Figure, Series
from attribution.lesson.subject import Subject
from attribution.methods.gradients.gradient import Gradient
from attribution.methods.method import Method
from attribution.methods.paths.integrated_gradients import IntegratedGradients
from attribution.settings import Number, setting

LOW, HIGH = -1.0, 4.0  # ends of the axis
STEPS = 30  # midpoint steps, with which the sums in the text are exact


@dataclass(frozen=True)
class Saturation(Chapter):
    """f(x) = 1 - ReLU(1 - x): its slope at x, and the sum of its slopes from a baseline to x.

    Attributes:
        x: The input.
        baseline: Start of the path.
    """

    key: ClassVar[str] = "saturation"
    title: ClassVar[str] = "Saturation"
    number: ClassVar[int] = 6
    formula: ClassVar[str] = r"(x - b) \int_0^1 f'(b + \alpha\,(x - b))\ d\alpha = f(x) - f(b)"
    right: ClassVar[str] = "b"
    sandbox: ClassVar[str] = "saturation"
    code: ClassVar[str] = """\
import torch

import attribution as at


class Net(torch.nn.Module):
    def forward(self, x):
        f = 1 - torch.relu(1 - x[:, 0, 0, 0])
        return torch.stack([f, 0 * f], 1)


model = at.Model("saturation", Net(), (1, 1), (0, 0, 0), (1, 1, 1), ("f", "0"))
x = torch.full((3, 1, 1), 3.0)
for method in (at.Gradient(), at.IntegratedGradients(30, rule="midpoint")):
    result = at.attribute(model, x, method, at.Target(0, "logit"))
    print(method.title, f"{result.values.sum():.2f}")
"""

    x: float = setting(Number("Input.", LOW, HIGH), 3.0)
    baseline: float = setting(Number("Start of the path.", LOW, HIGH), 0.0)

    def figure(self, subject: Subject | None) -> Figure:
        del subject
        points = tuple((place, min(1.0, place)) for place in (self.baseline, self.x))
        chart = Chart(
            "x",
            "score",
            (Series("curve", ((LOW, LOW), (1.0, 1.0), (HIGH, 1.0))), Series("points", points, dots=True)),
            (LOW, 1.5),
        )
        return Figure(chart=chart)

    def methods(self, size: tuple[int, int]) -> tuple[Method, ...]:
        del size
        return (Gradient(), IntegratedGradients())
