"""Chapter 10: one photo convinces nobody, and a map that survives random weights shows nothing of the network."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
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
        trained = subject.explain(methods)
        network = randomised(subject.model, gone) if gone else subject.model
        random = subject.by(network).explain(methods) if gone else trained
        kept, shown = dict[str, float](), list[Picture]()
        for method, one, other in zip(methods, trained, random, strict=True):
            if isinstance(one, Attribution) and isinstance(other, Attribution):
                alike = likeness(one.values, other.values).absolute
                if alike is not None:  # of a constant map there is nothing to compare
                    kept[method.key] = alike
                if method.key == self.method:
                    shown = [Picture("trained", one), Picture("random", other)]
        ranked = {LETTERS[key]: value for key, value in kept.items() if key in LETTERS}
        chart = Chart(
            "likeness",
            "method",
            (Series("likeness", tuple((float(place), value) for place, value in enumerate(kept.values()))),),
            (min(0.0, *kept.values()), 1.0),
            tuple(METHODS[key].title for key in kept),
        )
        most = max(kept, key=lambda key: kept[key], default=self.method)
        return Figure(
            (Picture("photo", subject.photo), *shown),
            chart,
            {
                "method": METHODS[self.method].title,
                "kept": plain(kept[self.method]) if self.method in kept else "\u2013",
                "most": METHODS[most].title,
                "most_kept": plain(kept[most]) if most in kept else "\u2013",
                "layers": f"{min(self.layers, len(groups))}",
                "groups": f"{len(groups)}",
            },
            strip=tuple(self._strip(subject)),
            right=max(ranked, key=lambda letter: ranked[letter]) if ranked and gone else "",
        )

    def _strip(self, subject: Subject) -> Iterator[tuple[str, NDArray[np.uint8], Attribution]]:
        """Yield sample photos with the map of the method for the class that the network predicts."""
        method = next(each for each in COMPARED if each.key == self.method)
        for name in SAMPLES[::2][:STRIP]:
            other = subject.photo_of(subject.model.prepare(open_sample(name)))
            for found in other.explain((method,)):
                if isinstance(found, Attribution):
                    yield found.statement, other.photo, found

    def methods(self) -> tuple[Method, ...]:
        return COMPARED
