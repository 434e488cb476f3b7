"""Integrated gradients."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.baselines.constant import Black
from attribution.citation import Citation
from attribution.methods.method import Computed, Method
from attribution.methods.straight_path import ADAPTIVE, average, between
from attribution.path import RULES
from attribution.scorer import Scorer
from attribution.settings import Choice, Number, Part, setting


@dataclass(frozen=True)
class IntegratedGradients(Method):
    """(x - b) times the gradient averaged along the straight path from the baseline b to the photo x.

    Shows how the score difference from the baseline is shared among the pixels; the values sum to it (completeness).
    Cannot show pixels that equal the baseline, and depends on that choice. Deviation: the quadrature is a setting, and
    delta, what it misses, is reported and never forced to zero.
    Source: Sundararajan et al. 2017, arXiv:1703.01365.

    Attributes:
        steps: Gradient evaluations along the path, 1 to 1000. Default: 25.
        baseline: Where the path starts, a value of BASELINES; the maps of several are averaged. Default: black.
        rule: Quadrature, "adaptive" (default) or a key of `path.RULES`.
    """

    key: ClassVar[str] = "integrated_gradients"
    title: ClassVar[str] = "Integrated gradients"
    group: ClassVar[str] = "paths"
    shows: ClassVar[str] = "How the score difference from the baseline is shared among the pixels."
    cannot: ClassVar[str] = "Pixels that equal the baseline: they get zero, however much they matter."
    source: ClassVar[Citation] = Citation(
        ("Mukund Sundararajan", "Ankur Taly", "Qiqi Yan"),
        2017,
        "Axiomatic Attribution for Deep Networks",
        "1703.01365",
        "ICML",
    )
    complete: ClassVar[bool] = True
    chosen: ClassVar[bool] = True

    steps: int = setting(
        Number("Gradients taken along the path; more steps bring the map closer to the integral.", 1, 1000), 25
    )
    baseline: Baseline = setting(Part("Image at which the path starts.", BASELINES), Black())
    rule: str = setting(Choice("Where along the path the gradients are taken.", (ADAPTIVE, *RULES)), ADAPTIVE)

    def compute(self, scorer: Scorer) -> Computed:
        values, scores = torch.zeros_like(scorer.x), []
        baselines = self.baseline.images(scorer.x)  # (K, 3, H, W)
        for number, baseline in enumerate(baselines):
            difference = scorer.x - baseline
            tick = partial(_tick, scorer, values.clone(), difference, number, len(baselines))
            found = average(scorer, baseline, self.steps, self.rule, tick)
            values += difference * found.gradient
            score = found.score_at(0.0)
            scores.append(float(scorer.scores(baseline[None])[0]) if score is None else score)
        return Computed(values / len(baselines), baseline_score=sum(scores) / len(scores))

    def path_images(self, x: Tensor, count: int) -> tuple[NDArray[np.float64], Tensor]:
        alphas, baseline = np.linspace(0, 1, count), self.baseline.image(x)
        return alphas, between(baseline, x - baseline, torch.from_numpy(alphas))


def _tick(
    scorer: Scorer,
    earlier: Tensor,
    difference: Tensor,
    number: int,
    of: int,
    fraction: float,
    gradient: Callable[[], Tensor] | None,
) -> None:
    """Report one path of several: the map so far is the mean over the paths that are done and this one."""
    so_far = gradient and (lambda: (earlier + difference * gradient()) / (number + 1))
    scorer.tick((number + fraction) / of, so_far)
