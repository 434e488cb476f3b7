"""Chapter 3: the speckle of a gradient is a part that changes its sign from one noisy copy of the photo to the next."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from attribution.lesson.chapter import Chapter
from attribution.lesson.figure import Figure, Picture
from attribution.lesson.numerals import percent
from attribution.lesson.subject import Subject
from attribution.methods.gradients.gradient import Gradient
from attribution.methods.gradients.smoothgrad import SmoothGrad
from attribution.methods.method import Method
from attribution.photo.encode import eight_bit
from attribution.settings import Choice, Number, setting
from attribution.targets.log_odds import LogOdds

SEEDS = (1, 2)  # of two noisy copies that are compared


@dataclass(frozen=True)
class Speckle(Chapter):
    """The gradient of the photo beside the mean of the gradients of noisy copies.

    Attributes:
        noise: Standard deviation of the noise in percent of the photo's range.
        copies: Number of noisy copies.
    """

    key: ClassVar[str] = "speckle"
    title: ClassVar[str] = "Speckle"
    number: ClassVar[int] = 3
    formula: ClassVar[str] = r"\frac{1}{n} \sum_{k=1}^{n} \nabla S(x + \sigma\, \varepsilon_k)"
    right: ClassVar[str] = "b"
    score: ClassVar[str] = LogOdds.key  # a saturated probability has hardly a gradient, and its noisy copies have
    hidden: ClassVar[tuple[str, ...]] = ("mean",)
    strides: ClassVar[Mapping[str, int]] = {"noise": 5}
    code: ClassVar[str] = """\
import attribution as at

model = at.load_model("squeezenet1_1")
x = model.prepare(at.open_image("dog.jpg"))
target = at.Target(score="log_odds")
one = at.attribute(model, x, at.SmoothGrad(samples=1, sigma=0.1, seed=1), target)
two = at.attribute(model, x, at.SmoothGrad(samples=1, sigma=0.1, seed=2), target)
flipped = (one.values.sum(0) * two.values.sum(0) < 0).mean()
print(f"{flipped:.0%} of the pixels change their sign")
"""

    noise: int = setting(Number("Noise in percent of the photo's range.", 5, 30), 10)
    copies: str = setting(Choice("Number of noisy copies.", ("1", "2", "4", "8", "16")), "8")

    @classmethod
    def at(cls, step: int) -> "Speckle":
        return cls(copies="1" if step == 1 else "16" if step == 3 else "8")

    def figure(self, subject: Subject | None) -> Figure:
        assert subject
        subject, share = subject.scored(self.score), self.noise / 100
        copies = [SmoothGrad(samples=1, sigma=share, seed=seed) for seed in SEEDS]
        gradient, mean, *pair = subject.maps(Gradient(), self._mean, *copies)
        one, other = (each.values.sum(0) for each in pair)
        random = torch.Generator().manual_seed(SEEDS[0])
        scale = share * float(subject.x.max() - subject.x.min())
        copy = subject.x + scale * torch.randn(subject.x.shape, generator=random)
        return Figure(
            (
                Picture("copy", eight_bit(copy.clamp(0, 1).numpy())),
                Picture("gradient", gradient),
                Picture("mean", mean),
            ),
            facts={
                "flipped": percent(float(np.mean(one * other < 0))),
                "copies": self.copies,
                "noise": f"{self.noise}%",
            },
        )

    def methods(self, size: tuple[int, int]) -> tuple[Method, ...]:
        del size
        return (Gradient(), self._mean)

    @property
    def _mean(self) -> SmoothGrad:
        return SmoothGrad(samples=int(self.copies), sigma=self.noise / 100)
