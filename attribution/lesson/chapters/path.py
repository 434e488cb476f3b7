"""Chapter 7: integrated gradients add the gradients along a path, and the number of steps decides what is missed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from attribution.baselines.constant import Black
from attribution.lesson.chapter import Chapter
from attribution.lesson.figure import Chart, Figure, Picture, Series
from attribution.lesson.numerals import percent, plain
from attribution.lesson.subject import Subject
from attribution.methods.gradients.gradient import Gradient
from attribution.methods.method import Method
from attribution.methods.paths.integrated_gradients import IntegratedGradients
from attribution.photo.encode import eight_bit
from attribution.settings import Choice, Number, setting

STRIDE = 10  # percent of the path between two measured scores
MARGIN = 0.05  # of the axis, as a share of what the curve spans


@dataclass(frozen=True)
class Path(Chapter):
    """A point of the path from black to the photo, with its gradient, and the map of a number of midpoint steps.

    Attributes:
        position: Position on the path in percent; 0 is black, 100 the photo.
        steps: Number of midpoint steps.
    """

    key: ClassVar[str] = "path"
    title: ClassVar[str] = "The path"
    number: ClassVar[int] = 7
    formula: ClassVar[str] = (
        r"(x_i - b_i)\, \frac{1}{n} \sum_{k=1}^{n} "
        r"\frac{\partial S}{\partial x_i}\left( b + \frac{k - 1/2}{n}\,(x - b) \right)"
    )
    right: ClassVar[str] = "c"
    toy: ClassVar[str] = "saturation"
    strides: ClassVar[Mapping[str, int]] = {"position": STRIDE}
    code: ClassVar[str] = """\
import attribution as at

model = at.load_model("squeezenet1_1")
x = model.prepare(at.open_image("dog.jpg"))
for steps in (1, 2, 5, 25, 100):
    method = at.IntegratedGradients(steps, rule="midpoint")
    result = at.attribute(model, x, method)
    difference = result.score - result.baseline_score
    print(f"{steps} steps: sum {result.values.sum():.3f}, difference {difference:.3f}")
"""

    position: int = setting(Number("Position on the path in percent.", 0, 100), 50)
    steps: str = setting(Choice("Number of midpoint steps.", ("1", "2", "5", "10", "25", "50")), "10")

    @classmethod
    def at(cls, step: int) -> "Path":
        return cls(steps="2" if step in (1, 3) else "10")

    def figure(self, subject: Subject | None) -> Figure:
        assert subject
        (found,) = subject.maps(self._method)
        image = subject.x * (self.position / 100)
        (gradient,) = subject.at(image).maps(Gradient())
        places = sorted({*range(0, 101, STRIDE), self.position})
        scores = dict(
            zip(places, subject.scores(torch.stack([subject.x * (each / 100) for each in places])), strict=True)
        )
        nodes = [100 * (k + 0.5) / int(self.steps) for k in range(int(self.steps))]
        low, high = min(0.0, *scores.values()), max(scores.values())
        rest = MARGIN * (high - low) or MARGIN
        chart = Chart(
            "position",
            "score",
            (
                Series("curve", tuple((float(each), float(score)) for each, score in scores.items())),
                Series("nodes", tuple((node, low - rest / 2) for node in nodes), dots=True),
                Series("here", ((float(self.position), float(scores[self.position])),), dots=True),
            ),
            (low - rest, high + rest),
        )
        difference = found.score - (found.baseline_score or 0.0)
        off = found.relative_delta
        return Figure(
            (
                Picture("image", eight_bit(image.numpy())),
                Picture("gradient", gradient),
                Picture("map", found),
            ),
            chart,
            {
                "steps": self.steps,
                "sum": plain(difference + (found.delta or 0.0)),
                "difference": plain(difference),
                "off": "\u2013" if off is None else percent(off),
            },
        )

    def methods(self, size: tuple[int, int]) -> tuple[Method, ...]:
        del size
        return (self._method,)

    @property
    def _method(self) -> IntegratedGradients:
        return IntegratedGradients(int(self.steps), Black(), "midpoint")
