"""Integrated gradients."""

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
        baseline: Where the path starts, a value of BASELINES. Default: black.
        rule: Quadrature, a key of `path.RULES`. Default: midpoint.
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
    rule: str = setting(Choice("Where along the path the gradients are taken.", tuple(RULES)), "midpoint")

    def compute(self, scorer: Scorer) -> Computed:
        x, baseline = scorer.x, self.baseline.image(scorer.x)
        nodes, weights = (torch.from_numpy(part) for part in RULES[self.rule](self.steps))  # (S,), (S,)
        total = torch.zeros_like(x)  # sum of weight * gradient, (3, H, W)
        done = 0
        for alphas, shares in zip(scorer.chunks(nodes), scorer.chunks(weights), strict=True):
            gradients = scorer.gradients(_between(baseline, x, alphas))  # (N, 3, H, W)
            total += torch.tensordot(shares.to(gradients), gradients, dims=1)
            done += len(alphas)
            scorer.tick(done / self.steps, partial(_so_far, x - baseline, total, float(weights[:done].sum())))
        return Computed((x - baseline) * total, baseline_score=float(scorer.scores(baseline[None])[0]))

    def path_images(self, x: Tensor, count: int) -> tuple[NDArray[np.float64], Tensor]:
        alphas = np.linspace(0, 1, count)
        return alphas, _between(self.baseline.image(x), x, torch.from_numpy(alphas))


def _so_far(difference: Tensor, total: Tensor, weight: float) -> Tensor:
    """The map as it would be if the rest of the path were like the part that is done, (3, H, W)."""
    return difference * total / weight


def _between(start: Tensor, end: Tensor, alphas: Tensor) -> Tensor:
    """Images on the straight path, (N, 3, H, W), at positions (N,)."""
    return start + alphas.to(end).view(-1, 1, 1, 1) * (end - start)
