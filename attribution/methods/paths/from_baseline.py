"""Base class of the path methods with a baseline: one path per baseline, and the mean of their maps."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.baselines.constant import Black
from attribution.methods.method import Computed, Cost, Method, Tick
from attribution.network.scorer import Scorer
from attribution.settings import Number, Part, setting


@dataclass(frozen=True)
class FromBaseline(Method):
    """The score difference from a baseline, distributed over the pixels.

    Attributes:
        steps: Gradient evaluations along the path, 1 to 1000. Default: 25.
        baseline: Start of the path, an instance of a class in BASELINES; the maps of several baselines are averaged.
            Default: black.
    """

    group: ClassVar[str] = "paths"
    complete: ClassVar[bool] = True
    signed: ClassVar[bool] = True

    steps: int = setting(
        Number("Gradient evaluations along the path; more approximate the integral better.", 1, 1000), 25
    )
    baseline: Baseline = setting(Part("Image at which the path starts.", BASELINES), Black())

    @abstractmethod
    def walk(self, scorer: Scorer, baseline: Tensor, tick: Tick) -> tuple[Tensor, float | None]:
        """Integrate along one path.

        Args:
            scorer: Scorer of the photo.
            baseline: (3, H, W).
            tick: Called between chunks with the fraction done and a function that returns this path's map so far.

        Returns:
            The map, (3, H, W), and the score of the baseline if the path includes it, else None.
        """

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(self.steps * self.baseline.count, self.steps * self.baseline.count)

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        values, scores = torch.zeros_like(scorer.x), []
        baselines = self.baseline.images(scorer.x)  # (K, 3, H, W)
        for number, baseline in enumerate(baselines):
            found, score = self.walk(scorer, baseline, partial(_report, tick, values.clone(), number, len(baselines)))
            values += found
            scores.append(float(scorer.scores(baseline[None])[0]) if score is None else score)
        return Computed(values / len(baselines), baseline_score=sum(scores) / len(scores))


def _report(
    tick: Tick, earlier: Tensor, number: int, of: int, fraction: float, path: Callable[[], Tensor] | None
) -> None:
    """Report progress on one of several paths; the map so far is the mean over the finished paths and this one."""
    so_far = path and (lambda: (earlier + path()) / (number + 1))
    tick((number + fraction) / of, so_far)
