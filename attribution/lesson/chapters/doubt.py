"""Chapter 10: one photo convinces nobody, and a map that survives random weights shows nothing of the network."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from attribution.checks.likeness import likeness
from attribution.checks.sanity import layers, randomised
from attribution.lesson.chapter import Chapter
from attribution.lesson.figure import Chart, Figure, Picture, Series
from attribution.lesson.numerals import plain
from attribution.lesson.subject import Subject
from attribution.methods import METHODS
from attribution.methods.gradients.gradient import Gradient
from attribution.methods.gradients.guided_backprop import GuidedBackprop
from attribution.methods.gradients.zeiler_fergus import ZeilerFergus
from attribution.methods.method import Method
from attribution.methods.paths.integrated_gradients import IntegratedGradients
from attribution.photo.samples import SAMPLES, open_sample
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import Choice, Number, setting

STAGES = 6  # groups of layers
STRIP = 5  # other photos
COMPARED: tuple[Method, ...] = (Gradient(), GuidedBackprop(), ZeilerFergus(), IntegratedGradients(8))
LETTERS = {Gradient.key: "a", GuidedBackprop.key: "b", IntegratedGradients.key: "c"}  # of the guesses


@dataclass(frozen=True)
class Doubt(Chapter):
    """The map of a method before and after the last layers are randomised, and the similarity for all methods.

    Attributes:
        method: Key of the method.
        layers: Randomised groups of layers, from the output.
    """

    key: ClassVar[str] = "doubt"
    title: ClassVar[str] = "Many photos, and doubt"
    number: ClassVar[int] = 10
    formula: ClassVar[str] = (
        r"\rho = \mathrm{corr}\left( \mathrm{rank}\,|m|,\ \mathrm{rank}\,|m_{\mathrm{random}}| \right)"
    )
    right: ClassVar[str] = ""
    hidden: ClassVar[tuple[str, ...]] = ("random", "likeness")
    code: ClassVar[str] = """\
import attribution as at
from attribution.checks.sanity import randomise

model = at.load_model("squeezenet1_1")
x = model.prepare(at.open_image("dog.jpg"))
methods = [at.Gradient(), at.GuidedBackprop(), at.IntegratedGradients(8)]
found = randomise(model, x, methods)
for place, method in enumerate(methods):
    print(method.title, f"{found.stages[-1].likeness[place].absolute:.2f}")
"""

    method: str = setting(
        Choice("Method.", tuple(each.key for each in COMPARED), {each.key: each.title for each in COMPARED}),
        GuidedBackprop.key,
    )
    layers: int = setting(Number("Randomised groups of layers, from the output.", 0, STAGES), STAGES)

    @classmethod
    def at(cls, step: int) -> "Doubt":
        return cls(layers=0 if step == 1 else STAGES)

    def figure(self, subject: Subject | None) -> Figure:
        assert subject
        groups = layers(subject.model, STAGES)
        gone = sum(groups[::-1][: self.layers], ())
        methods = [each for each in COMPARED if each.refusal(subject.model) is None]
        if not methods:
            raise Refusal("None of the compared methods supports this model; choose another one.")
        keys = [each.key for each in methods]
        chosen = self.method if self.method in keys else keys[0]
        trained = subject.explain(methods)
        network = randomised(subject.model, gone) if gone else subject.model
        random = subject.by(network).explain(methods) if gone else trained
        kept, shown = dict[str, float](), list[Picture]()
        for method, one, other in zip(methods, trained, random, strict=True):
            if isinstance(one, Attribution) and isinstance(other, Attribution):
                alike = likeness(one.values, other.values).absolute
                if alike is not None:  # of a constant map there is nothing to compare
                    kept[method.key] = alike
                if method.key == chosen:
                    shown = [Picture("trained", one), Picture("random", other)]
        chart = Chart(
            "likeness",
            "method",
            (Series("likeness", tuple((float(place), value) for place, value in enumerate(kept.values()))),),
            (min([0.0, *kept.values()]), 1.0),
            tuple(METHODS[key].title for key in kept),
        )
        options = [key for key in kept if key in LETTERS]
        most = max(options, key=lambda key: kept[key]) if options and self.layers >= len(groups) else ""
        return Figure(
            (Picture("photo", subject.photo), *shown),
            chart if kept else None,
            {
                "method": METHODS[chosen].title,
                "kept": plain(kept[chosen]) if chosen in kept else "\u2013",
                "most": METHODS[most].title if most else "\u2013",
                "most_kept": plain(kept[most]) if most else "\u2013",
                "layers": f"{min(self.layers, len(groups))}",
                "groups": f"{len(groups)}",
            },
            strip=tuple(_strip(subject, next(each for each in methods if each.key == chosen))),
            right=LETTERS[most] if most else "",
        )

    def methods(self, size: tuple[int, int]) -> tuple[Method, ...]:
        del size
        return COMPARED


def _strip(subject: Subject, method: Method) -> Iterator[tuple[str, NDArray[np.uint8], Attribution]]:
    """Yield other sample photos with the map of the method for the class that the network predicts."""
    photos = (subject.photo_of(subject.model.prepare(open_sample(name))) for name in SAMPLES[::2])
    others = (each for each in photos if not torch.equal(each.x, subject.x))
    for other in islice(others, STRIP):
        for found in other.explain((method,)):
            if isinstance(found, Attribution):
                yield found.statement, other.photo, found
