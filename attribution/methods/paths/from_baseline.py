"""Base class of the path methods with a baseline: one path per baseline, and the mean of their maps."""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.baselines.constant import Black
from attribution.methods.method import Computed, Cost, Method, Tick
from attribution.methods.paths.straight_path import MAP_ERROR
from attribution.network.scorer import Scorer
from attribution.settings import AUTO, Configurable, Number, Part, setting


@dataclass(frozen=True)
class Walked:
    """The map of one path.

    Attributes:
        values: (3, H, W).
        baseline_score: Score of the baseline; None if the path does not include it.
        error: Estimated L2 error of the map; None if it is not estimated.
    """

    values: Tensor
    baseline_score: float | None = None
    error: float | None = None


@dataclass(frozen=True)
class FromBaseline(Method):
    """The score difference from a baseline, distributed over the pixels.

    Attributes:
        steps: Gradient evaluations along the path.
        baseline: Start of the path, an instance of a class in BASELINES; the maps of several baselines are averaged.
            Default: black.
    """

    group: ClassVar[str] = "paths"
    complete: ClassVar[bool] = True
    signed: ClassVar[bool] = True

    steps: int | str = setting(Number("Gradient evaluations along the path.", 1, 1000), 25)
    baseline: Baseline = setting(Part("Image at which the path starts.", BASELINES), Black())

    @property
    def evaluations(self) -> int:
        """Gradient evaluations on one path; the usual number if the photo decides."""
        return int(self.steps)

    @abstractmethod
    def walk(self, scorer: Scorer, baseline: Tensor, tick: Tick) -> Walked:
        """Integrate along one path.

        Args:
            scorer: Scorer of the photo.
            baseline: (3, H, W).
            tick: Called between chunks with the fraction done and a function that returns this path's map so far.
        """

    def cost(self, size: tuple[int, int]) -> Cost:
        return Cost(self.evaluations * self.baseline.count, self.evaluations * self.baseline.count)

    def compute(self, scorer: Scorer, tick: Tick) -> Computed:
        values, scores, errors, before = torch.zeros_like(scorer.x), [], [], scorer.backwards
        baselines = self.baseline.images(scorer.x)  # (K, 3, H, W)
        for number, baseline in enumerate(baselines):
            found = self.walk(scorer, baseline, partial(_report, tick, values.clone(), number, len(baselines)))
            values += found.values
            score = found.baseline_score
            scores.append(float(scorer.scores(baseline[None])[0]) if score is None else score)
            errors.append(math.nan if found.error is None else found.error)
        error = math.hypot(*errors) / (float(values.norm()) or 1.0)  # those of different paths are independent
        reached = f"After {scorer.backwards - before} automatic steps, the estimated error of the map is {error:.1%}"
        return Computed(
            values / len(baselines),
            baseline_score=sum(scores) / len(scores),
            notes=(f"{reached}, still above {MAP_ERROR:.0%}.",) if self.steps == AUTO and error > MAP_ERROR else (),
            error=error if math.isfinite(error) else None,
        )

    def baseline_image(self, x: Tensor) -> Tensor | None:
        return self.baseline.image(x) if self.baseline.count == 1 else None

    def with_baseline(self, baseline: Configurable) -> Method:
        changed: dict[str, Any] = {"baseline": baseline}
        return replace(self, **changed)

    def settled(self, evaluations: int) -> Method:
        return super().settled(-(-evaluations // self.baseline.count))


def _report(
    tick: Tick, earlier: Tensor, number: int, of: int, fraction: float, path: Callable[[], Tensor] | None
) -> None:
    """Report progress on one of several paths; the map so far is the mean over the finished paths and this one."""
    so_far = path and (lambda: (earlier + path()) / (number + 1))
    tick((number + fraction) / of, so_far)
