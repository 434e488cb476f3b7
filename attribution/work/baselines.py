"""The task of the baseline page: the maps of one method from several baselines."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attribution.baselines.baseline import Baseline
from attribution.methods.method import Method
from attribution.network.model import Model
from attribution.photo.encode import eight_bit
from attribution.settings import digest
from attribution.work.analysis import OnAnalysis, Outcome, PreparedAnalysis, loaded
from attribution.work.cache import Recent
from attribution.work.jobs import Job

FIRST_BASELINES = ("black", "white", "uniform_noise", "blur")  # in the order of BASELINES
NEAR = 0.05  # of the range of pixel values; what is nearer to the baseline gets next to nothing


@dataclass(frozen=True, eq=False)
class Start:
    """A baseline as the network sees it.

    Attributes:
        baseline: With its settings.
        image: (H, W, 3), 8-bit RGB; of several the first.
        entropy: Of the predicted probabilities, in bits; of several the mean. A network that has nothing to say
            has log2 of the number of classes.
        top: The most probable class and its probability; of several by the mean of their probabilities.
        blind: Share of the pixels that differ from the baseline by less than NEAR in all three channels; of several,
            from all of them.
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
class BaselineTask(OnAnalysis):
    """One map for each baseline, all else alike: the methods of its analysis differ in their baseline only."""

    baselines: tuple[Baseline, ...]

    @classmethod
    def of(cls, analysis: PreparedAnalysis, method: Method, baselines: tuple[Baseline, ...]) -> "BaselineTask":
        """Return the task for a method with a setting `baseline`."""
        changes: Any = [{"baseline": baseline} for baseline in baselines]
        return cls(analysis.with_methods(tuple(replace(method, **change) for change in changes)), baselines)

    @cached_property
    def key(self) -> str:
        """SHA-256 of everything that the comparison depends on."""
        return digest("baselines", self.analysis.key)

    def compute(self, job: Job[Comparison]) -> Comparison:
        """Look at the baselines, then make the maps."""
        model = loaded(self.analysis, job)
        starts = tuple(self._start(baseline, model) for baseline in self.baselines)

        def report(fraction: float, message: str, so_far: Outcome | None) -> None:
            job.report(fraction, message, None if so_far is None else Comparison(so_far, starts))

        outcome = self.analysis.explain(model, report, [])
        found = Comparison(outcome, starts)
        _comparisons.put(self.key, found)
        return found

    def remembered(self) -> Comparison | None:
        """Return the result if it is in the cache."""
        return _comparisons.get(self.key)

    def _start(self, baseline: Baseline, model: Model) -> Start:
        x = self.analysis.x
        images = baseline.images(x)  # (K, 3, H, W)
        with torch.no_grad():
            logits = torch.cat([model.logits(image[None].to(model.device, model.dtype)) for image in images])
        probabilities = logits.cpu().double().softmax(1)
        entropy = float(torch.special.entr(probabilities).sum(1).mean()) / np.log(2)
        _, name, share = model.rank(probabilities.mean(0).log(), 1)[0]
        blind = float(((images - x).abs() < NEAR).all(1).all(0).double().mean())
        return Start(baseline, eight_bit(images[0].numpy()), entropy, (name, share), blind)


_comparisons: Recent[Comparison] = Recent("comparisons")
