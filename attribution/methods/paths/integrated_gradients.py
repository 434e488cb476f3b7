"""Integrated gradients."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.methods.citation import Citation
from attribution.methods.method import Tick
from attribution.methods.paths.from_baseline import FromBaseline, Walked
from attribution.methods.paths.quadrature import RULES
from attribution.methods.paths.straight_path import (
    ADAPTIVE_RULE,
    FIXED_STEPS,
    MAP_ERROR,
    MAX_AUTO_STEPS,
    average,
    between,
)
from attribution.network.scorer import Scorer
from attribution.settings import AUTO, AutomaticNumber, Choice, setting

USUAL_AUTO_STEPS = 36  # median over sample photos, embedded networks, baselines and scores
RULE_SETTING = Choice(
    "Quadrature: positions of the gradients along the path.",
    (ADAPTIVE_RULE, *RULES),
    {"gauss_legendre": "Gauss-Legendre"},
)


@dataclass(frozen=True)
class IntegratedGradients(FromBaseline):
    """(x - b) times the gradient averaged along the straight path from the baseline b to the photo x.

    Attributes:
        steps: Gradient evaluations along the path, 1 to 1000, or "auto" (default): with the adaptive rule, until the
            estimated error of the map is below 5%, at most 200; with the fixed rules, 25.
        rule: Quadrature: "adaptive" (default) or a key of `quadrature.RULES`.
    """

    key: ClassVar[str] = "integrated_gradients"
    title: ClassVar[str] = "Integrated gradients"
    idea: ClassVar[str] = (
        "The path fades from a baseline to the photo, and the gradients along it are averaged. "
        "Multiplied by each value's change, they distribute the score difference over the pixels."
    )
    formula: ClassVar[str] = (
        r"(x - b) \odot \int_0^1 \frac{\partial F}{\partial x}\big(b + \alpha (x - b)\big)\, d\alpha"
    )
    shows: ClassVar[str] = "How the score difference from the baseline is distributed over the pixels."
    cannot: ClassVar[str] = "Pixels equal to the baseline: they get zero, however important."
    passes: ClassVar[str] = "Completeness: the values sum to the score difference. Equal functions get equal maps."
    fails: ClassVar[str] = (
        "It depends on the baseline, and the factor x - b makes the photo itself visible in every map."
    )
    deviation: ClassVar[str] = (
        "The quadrature is a setting; its error, delta, is reported and never normalised away. With several photos as "
        "baselines, the mean of their maps is Expected gradients (Erion et al. 2021, arXiv:1906.10670), with a full "
        "path from each photo instead of one random point on it."
    )
    source: ClassVar[Citation] = Citation(
        ("Mukund Sundararajan", "Ankur Taly", "Qiqi Yan"),
        2017,
        "Axiomatic Attribution for Deep Networks",
        "1703.01365",
        "ICML",
    )
    blind: ClassVar[bool] = True
    chosen: ClassVar[bool] = True
    signed: ClassVar[bool] = False

    steps: int | str = setting(
        AutomaticNumber(
            "Gradient evaluations along the path. Automatic: until the estimated error of the map is below "
            f"{MAP_ERROR:.0%}, at most {MAX_AUTO_STEPS}; rules other than adaptive take {FIXED_STEPS}.",
            1,
            1000,
        ),
        AUTO,
    )
    rule: str = setting(RULE_SETTING, ADAPTIVE_RULE)

    @property
    def evaluations(self) -> int:
        if isinstance(self.steps, int):
            return self.steps
        return USUAL_AUTO_STEPS if self.rule == ADAPTIVE_RULE else FIXED_STEPS

    def walk(self, scorer: Scorer, baseline: Tensor, tick: Tick) -> Walked:
        difference = scorer.x - baseline

        def grown(fraction: float, gradient: Callable[[], Tensor] | None) -> None:
            tick(fraction, gradient and (lambda: difference * gradient()))

        found = average(scorer, baseline, self.steps, self.rule, grown)
        return Walked(difference * found.gradient, found.score_at(0.0), found.error)

    def path_images(self, x: Tensor, count: int) -> tuple[NDArray[np.float64], Tensor]:
        alphas, baseline = np.linspace(0, 1, count), self.baseline.image(x)
        return alphas, between(baseline, x - baseline, torch.from_numpy(alphas))
