"""Chapter 2: the gradient is a slope, shown by the brightness of one patch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from attribution.lesson.chapter import Chapter
from attribution.lesson.figure import Chart, Figure, Picture, Series
from attribution.lesson.numerals import plain
from attribution.lesson.patch import LAST, brightened, patch
from attribution.lesson.subject import Subject
from attribution.methods.gradients.gradient import Gradient
from attribution.methods.method import Method
from attribution.photo.encode import eight_bit
from attribution.settings import Number, setting
from attribution.targets.log_odds import LogOdds

FARTHEST = 30  # largest change, in percent of the range of pixel values
STRIDE = 5  # percent between two measured scores
MARGIN = 0.1  # of the axis, as a share of what the curves span


@dataclass(frozen=True)
class Slope(Chapter):
    """A patch made brighter or darker: the measured score, and the tangent that the gradient promises.

    Attributes:
        place: Number of the patch, row by row from the top left.
        change: Added to the values of its pixels, in percent of their range.
    """

    key: ClassVar[str] = "slope"
    title: ClassVar[str] = "The gradient is a slope"
    number: ClassVar[int] = 2
    formula: ClassVar[str] = r"S(x + d) \approx S(x) + \sum_i \frac{\partial S}{\partial x_i}\, d_i"
    right: ClassVar[str] = "c"
    pointed: ClassVar[str] = "place"
    score: ClassVar[str] = LogOdds.key  # a probability near 1 is flat
    strides: ClassVar[Mapping[str, int]] = {"change": STRIDE}
    code: ClassVar[str] = """\
import attribution as at

model = at.load_model("squeezenet1_1")
x = model.prepare(at.open_image("dog.jpg"))
patch = at.Cells.box(20, 4, 4, 4).pixels(x.shape[1:])
target = at.Target(score="log_odds")
result = at.attribute(model, x, at.Gradient(), target)
slope = float((result.values * patch.numpy()).sum())
for change in (0.01, 0.3):
    brighter = at.attribute(model, x + change * patch, at.Gradient(), result.target)
    print(f"{change}: line {change * slope:+.2f}, curve {brighter.score - result.score:+.2f}")
"""

    place: int = setting(Number("Number of the patch, row by row from the top left.", 0, LAST), 12)
    change: int = setting(Number("Change of brightness in percent.", -FARTHEST, FARTHEST), STRIDE)

    @classmethod
    def at(cls, step: int) -> "Slope":
        return cls(change=FARTHEST if step == 3 else 0 if step == 1 else STRIDE)

    def figure(self, subject: Subject | None) -> Figure:
        assert subject
        subject = subject.scored(self.score)
        (found,) = subject.maps(Gradient())
        inside = patch(self.place).pixels((subject.x.shape[1], subject.x.shape[2])).numpy()
        slope = float((found.values * inside).sum())  # of the score, per unit of brightness
        changes = sorted({*range(-FARTHEST, FARTHEST + 1, STRIDE), self.change})
        images = torch.stack([brightened(subject.x, self.place, each / 100) for each in changes])
        scores = dict(zip(changes, map(float, subject.scores(images)), strict=True))
        tangent = {each: found.score + slope * each / 100 for each in (-FARTHEST, self.change, FARTHEST)}
        values = [*scores.values(), *tangent.values()]
        rest = MARGIN * (max(values) - min(values)) or MARGIN
        here = float(self.change)
        chart = Chart(
            "change",
            "score",
            (
                Series("curve", tuple((float(each), score) for each, score in scores.items())),
                Series("tangent", tuple((float(each), score) for each, score in tangent.items())),
                Series("here", ((here, scores[self.change]), (here, tangent[self.change])), dots=True),
            ),
            (min(values) - rest, max(values) + rest),
        )
        return Figure(
            (
                Picture("photo", eight_bit(brightened(subject.x, self.place, self.change / 100).clamp(0, 1).numpy())),
                Picture("map", found),
            ),
            chart,
            {
                "change": f"{self.change:+d}%".replace("-", "\u2212") if self.change else "0%",
                "tangent": plain(tangent[self.change]),
                "fact": plain(scores[self.change]),
                "before": plain(found.score),
                "axis": subject.target.axis,
            },
        )

    def methods(self, size: tuple[int, int]) -> tuple[Method, ...]:
        del size
        return (Gradient(),)
