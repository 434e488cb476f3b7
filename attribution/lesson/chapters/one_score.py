"""Chapter 1: a map explains one score of one class."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from attribution.baselines.covered import Covered
from attribution.baselines.photo import Blur
from attribution.checks.probe import Prober
from attribution.lesson.chapter import Chapter
from attribution.lesson.figure import Chart, Figure, Picture, Series
from attribution.lesson.numerals import percent
from attribution.lesson.patch import patch, strongest
from attribution.lesson.subject import Subject
from attribution.methods.gradients.gradient import Gradient
from attribution.methods.method import Method
from attribution.photo.encode import eight_bit
from attribution.refusal import Refusal
from attribution.settings import Number, setting

TOP = 5  # classes of the list
SIZE = 3  # patches of a side of what is covered


@dataclass(frozen=True)
class OneScore(Chapter):
    """The most probable classes, the map of one of them, and the photo without what that map marks.

    Attributes:
        rank: Place of the explained class in the list of the most probable ones.
    """

    key: ClassVar[str] = "one_score"
    title: ClassVar[str] = "A map explains one score"
    number: ClassVar[int] = 1
    formula: ClassVar[str] = r"p_c = \frac{e^{z_c}}{\sum_k e^{z_k}}, \qquad \sum_c p_c = 1"
    right: ClassVar[str] = "b"
    hidden: ClassVar[tuple[str, ...]] = ("after",)
    picks_photo: ClassVar[bool] = True
    code: ClassVar[str] = """\
import attribution as at

model = at.load_model("squeezenet1_1")
x = model.prepare(at.open_image("dog.jpg"))
top = model.predict(x)
for index, name, probability in top:
    map = at.attribute(model, x, at.Gradient(), at.Target(index))
    print(name, f"{probability:.3f}", f"{abs(map.values).sum():.1f}")
covered = at.probe(model, x, "8/4/12/12")
print(f"{covered.before:.3f} {covered.after:.3f}")
"""

    rank: int = setting(Number("Place of the class in the list.", 1, TOP, shown=False), 1)

    def figure(self, subject: Subject | None) -> Figure:
        assert subject
        model = subject.model
        if not model.output.compares or len(model.classes) < 2:
            raise Refusal("This chapter needs a network whose classes share one probability; choose another model.")
        top = model.predict(subject.x, TOP)
        index, name, _ = top[min(self.rank, len(top)) - 1]
        (found,) = subject.of(index).maps(Gradient())
        cells, prober = patch(strongest(found.values, SIZE), SIZE), Prober(model, subject.x, subject.of(index).target)
        before, after = prober.before.shares, prober.ask(cells, Blur()).shares
        places = [each for each, _, _ in top]
        change = (after - before) * (1 if after[index] < before[index] else -1)  # of the others: what makes up for it
        change[index] = -np.inf
        rise = int(change.argmax())
        return Figure(
            (
                Picture("photo", subject.photo),
                Picture("map", found),
                Picture("covered", eight_bit(Covered(cells, Blur()).image(subject.x).numpy())),
            ),
            Chart(
                "probability",
                "class",
                (
                    Series("before", tuple((place, 100 * float(before[each])) for place, each in enumerate(places))),
                    Series("after", tuple((place, 100 * float(after[each])) for place, each in enumerate(places))),
                ),
                (0.0, 100.0),
                tuple(each for _, each, _ in top),
            ),
            {
                "class": name,
                "before": percent(before[index]),
                "after": percent(after[index]),
                "riser": model.classes[rise],
                "riser_before": percent(before[rise]),
                "riser_after": percent(after[rise]),
            },
            top=tuple(top),
            explained=index,
        )

    def methods(self, size: tuple[int, int]) -> tuple[Method, ...]:
        del size
        return (Gradient(),)
