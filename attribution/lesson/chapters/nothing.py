"""Chapter 8: a baseline is a choice of what counts as nothing."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from attribution.baselines import BASELINES
from attribution.baselines.constant import Black
from attribution.lesson.chapter import Chapter
from attribution.lesson.figure import Figure, Picture
from attribution.lesson.numerals import percent
from attribution.lesson.patch import LAST, PATCHES, patch
from attribution.lesson.subject import Subject
from attribution.methods.method import Method
from attribution.methods.paths.integrated_gradients import IntegratedGradients
from attribution.photo.encode import eight_bit
from attribution.settings import Choice, setting

STEPS = 10  # gradients of each map
COLOURS = ("white", "grey")  # of which there is nothing to see
STARTS = (*COLOURS, "blur", "uniform_noise")
DARKEST, BRIGHTEST = "darkest", "brightest"
POINTS = (DARKEST, BRIGHTEST, "middle")


@dataclass(frozen=True)
class Nothing(Chapter):
    """Integrated gradients from black beside those from another baseline, and the share that one patch gets from each.

    Attributes:
        baseline: Key of the other baseline.
        point: The patch.
    """

    key: ClassVar[str] = "nothing"
    title: ClassVar[str] = "What is nothing?"
    number: ClassVar[int] = 8
    formula: ClassVar[str] = r"x_i = b_i \quad \Rightarrow \quad \mathrm{IG}_i = (x_i - b_i) \cdots = 0"
    hidden: ClassVar[tuple[str, ...]] = ("black", "other")
    right: ClassVar[str] = "a"
    code: ClassVar[str] = """\
import torch

import attribution as at


class Dark(torch.nn.Module):
    def forward(self, x):
        return torch.stack([torch.relu(1 - x.mean((1, 2, 3))), 0 * x.sum((1, 2, 3))], 1)


model = at.Model("dark", Dark(), (8, 8), (0, 0, 0), (1, 1, 1), ("dark", "other"))
for start in (at.baselines.Black(), at.baselines.White()):
    method = at.IntegratedGradients(steps=50, baseline=start)
    result = at.attribute(model, torch.zeros(3, 8, 8), method, at.Target(0, "logit"))
    print(start.title, abs(round(float(result.values.sum()), 3)))
"""

    baseline: str = setting(
        Choice("Baseline.", STARTS, {key: BASELINES[key].title for key in STARTS}),
        "white",
    )
    point: str = setting(Choice("Patch.", POINTS), DARKEST)

    def figure(self, subject: Subject | None) -> Figure:
        assert subject
        black, other = subject.maps(IntegratedGradients(STEPS, Black()), self._method)
        place = _place(subject, self.point)
        inside = patch(place).pixels((subject.x.shape[1], subject.x.shape[2])).numpy()
        start = self._method
        shares = [float((abs(each.values) * inside).sum() / (abs(each.values).sum() or 1.0)) for each in (black, other)]
        photo = subject.photo.copy()
        photo[~inside] = (0.55 * photo[~inside] + 0.45 * 255).astype(np.uint8)  # pale outside
        return Figure(
            (
                Picture("photo", photo),
                *([] if self.baseline in COLOURS else [Picture("start", _shown(start, subject))]),
                Picture("black", black),
                Picture("other", other),
            ),
            facts={
                "baseline": start.baseline.title,
                "from_black": percent(shares[0]),
                "from_other": percent(shares[1]),
            },
        )

    def methods(self, size: tuple[int, int]) -> tuple[Method, ...]:
        del size
        return (self._method,)

    @property
    def _method(self) -> IntegratedGradients:
        return IntegratedGradients(STEPS, BASELINES[self.baseline]())


def _shown(method: IntegratedGradients, subject: Subject) -> NDArray[np.uint8]:
    return eight_bit(method.baseline.images(subject.x)[0].numpy())


def _place(subject: Subject, point: str) -> int:
    """Return the place of a patch: the darkest, the brightest, or the one in the middle."""
    if point not in (DARKEST, BRIGHTEST):
        return PATCHES * (PATCHES // 2) + PATCHES // 2
    size = (subject.x.shape[1], subject.x.shape[2])
    inside = {place: patch(place).pixels(size) for place in range(LAST + 1)}
    means = {place: float(subject.x[:, each].mean()) for place, each in inside.items() if each.any()}
    return min(means, key=means.__getitem__) if point == DARKEST else max(means, key=means.__getitem__)
