"""The task of the baseline page: the maps of one method from several baselines."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.methods import METHODS
from attribution.methods.method import Method
from attribution.network.model import Model
from attribution.photo.encode import eight_bit
from attribution.settings import AUTO, Choice, Configurable, Part, described, digest, setting
from attribution.work.analysis import Outcome, PageTask, PreparedAnalysis
from attribution.work.jobs import Job

FIRST_BASELINES = ("black", "white", "uniform_noise", "blur")  # in the order of BASELINES
BLIND_DISTANCE = 0.05  # pixel-value distance from the baseline below which a pixel counts as blind


def starts_there(method: type[Method]) -> bool:
    """True if a method explains the score difference from a selectable baseline."""
    kind = described(method).get("baseline")
    return method.complete and isinstance(kind, Part) and kind.registry is BASELINES


STARTING = {key: method for key, method in METHODS.items() if starts_there(method)}
USUAL = next(iter(STARTING.values()))


@dataclass(frozen=True)
class ComparedMethod(Configurable):
    """Settings of the baseline page."""

    key: ClassVar[str] = "compared"
    title: ClassVar[str] = "Compared method"

    method: str = setting(
        Choice(
            "Method of all maps on this page, with the other settings of the sidebar if it is chosen there. Automatic: "
            "the first in the sidebar whose map sums to the score difference from its baseline, or "
            f"{USUAL.title.lower()}.",
            (AUTO, *STARTING),
            {AUTO: "Automatic", **{key: method.title for key, method in STARTING.items()}},
        ),
        AUTO,
    )

    def among(self, methods: Sequence[Method]) -> Method:
        """Return the method as it is among these, or with its defaults if it is not.

        Args:
            methods: Methods of the sidebar.
        """
        keys = list(STARTING) if self.method == AUTO else [self.method]
        return next((each for each in methods if each.key in keys), STARTING.get(self.method, USUAL)())


@dataclass(frozen=True, eq=False)
class Start:
    """A baseline as the network sees it.

    Attributes:
        baseline: The baseline with its settings.
        image: (H, W, 3), 8-bit RGB; the first image, if there are several.
        entropy: Entropy of the predicted probabilities in bits, averaged over several images; at most log2 of the
            number of classes, for a uniform prediction.
        top: The most probable class and its probability, averaged over several images.
        blind: Share of the pixels closer than BLIND_DISTANCE to all baseline images in all three channels.
    """

    baseline: Baseline
    image: NDArray[np.uint8]
    entropy: float
    top: tuple[str, float]
    blind: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Maps of one method from several baselines."""

    outcome: Outcome
    starts: tuple[Start, ...]


@dataclass(frozen=True, eq=False)
class BaselineTask(PageTask[Comparison]):
    """One map per baseline: the methods of the analysis differ only in their baseline."""

    baselines: tuple[Baseline, ...]

    @classmethod
    def of(cls, analysis: PreparedAnalysis, method: Method, baselines: tuple[Baseline, ...]) -> "BaselineTask":
        """Return the task for a method that has a `baseline` setting."""
        changes: Any = [{"baseline": baseline} for baseline in baselines]
        return cls(analysis.with_methods(tuple(replace(method, **change) for change in changes)), baselines)

    @cached_property
    def key(self) -> str:
        return digest("baselines", self.analysis.own_key)

    def run(self, model: Model, job: Job[Comparison]) -> Comparison:
        starts = tuple(self._start(baseline, model) for baseline in self.baselines)

        def report(fraction: float, message: str, so_far: Outcome | None) -> None:
            job.report(fraction, message, None if so_far is None else Comparison(so_far, starts))

        outcome = self.analysis.explain(model, report, [])
        return Comparison(outcome, starts)

    def _start(self, baseline: Baseline, model: Model) -> Start:
        x = self.analysis.x
        images = baseline.images(x)  # (K, 3, H, W)
        with torch.no_grad():
            logits = torch.cat([model.logits(image[None].to(model.device, model.dtype)) for image in images])
        shares = model.output.shares(logits.cpu().double())  # (K, classes)
        entropy = float(model.output.entropy(shares).mean())
        share, top = (float(each) for each in shares.mean(0).max(0))
        name = model.classes[int(top)]
        blind = float(((images - x).abs() < BLIND_DISTANCE).all(1).all(0).double().mean())
        return Start(baseline, eight_bit(images[0].numpy()), entropy, (name, share), blind)
