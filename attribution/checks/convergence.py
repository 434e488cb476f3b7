"""The effect of the number of steps and the rule on integrated gradients, measured on one photo.

Every map is compared with a reference map of the same path with many steps. The error of a map is its L2 distance from
the reference, relative to the reference's L2 norm. Completeness alone does not suffice: a wrong map can have a correct
sum.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.baselines.baseline import Baseline
from attribution.checks.likeness import rank_correlation
from attribution.drawing.heatmap import reduce
from attribution.engine import exact_gradients, image
from attribution.methods.paths.quadrature import RULES
from attribution.methods.paths.straight_path import ADAPTIVE_RULE, Average, average, between, refined, slopes_of
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.refusal import Refusal
from attribution.system.clock import working_time
from attribution.targets.target import Target

REFERENCE_STEPS = 512  # midpoint steps of the reference map
PIECES = 16  # equal parts of the path, each with its own accumulated map
MIDPOINT_STEPS = (5, 10, 20, 40, 80)  # numbers of steps at which the midpoint rule is measured
MAX_ADAPTIVE_STEPS = 120  # largest number of steps at which the adaptive rule is measured
ERROR_LEVELS = (0.05, 0.01)  # relative map errors for which the required steps are reported

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """The figures of one rule at one number of steps.

    Attributes:
        rule: "adaptive" or a key of `quadrature.RULES`.
        seconds: Duration in seconds, without suspensions for other jobs.
        delta: |sum of the map - score difference| / |score difference|; None if the score difference is zero.
        error: Relative L2 distance from the reference.
        rank: Spearman correlation of absolute pixel values with the reference; None if either map is constant.
    """

    rule: str
    seconds: float
    delta: float | None
    error: float
    rank: float | None


@dataclass(frozen=True, eq=False)
class Study:
    """The measurements of one path.

    Attributes:
        target: Target with its class filled in.
        explained: Description of the target.
        baseline: (3, H, W), start of the path.
        score: Score of the photo.
        baseline_score: Score of the baseline.
        nodes: (N,), nodes of the reference.
        scores: (N,), scores at the nodes.
        slopes: (N,), derivatives of the score along the path: the integrand, summed over the pixels.
        evaluated: (3, S), nodes, scores and slopes of the adaptive rule with `steps` steps.
        reference: (3, H, W), the reference map.
        accumulated: (PIECES + 1, H, W), the reference map accumulated up to evenly spaced positions, reduced by the sum
            of absolute values.
        reached: (N + 1,), the sum of the signed map before the first node and after each node.
        figures: Figures of every rule with `steps` steps.
        steps: Number of steps at which the rules are compared.
        curves: (steps, error) pairs, by rule.
    """

    target: Target
    explained: str
    baseline: NDArray[np.float32]
    score: float
    baseline_score: float
    nodes: Array
    scores: Array
    slopes: Array
    evaluated: Array
    reference: NDArray[np.float32]
    accumulated: NDArray[np.float32]
    reached: Array
    figures: tuple[Figures, ...]
    steps: int
    curves: dict[str, list[tuple[int, float]]]

    def enough(self, rule: str, error: float) -> int | None:
        """Return the fewest steps from which a rule's error stays below a level, interpolated by a power law.

        Returns:
            None if it never does.
        """
        compared = [(self.steps, each.error) for each in self.figures if each.rule == rule]
        points = sorted({**dict(self.curves[rule]), **dict(compared)}.items(), reverse=True)
        found: float | None = None
        after = points[0]
        for steps, each in points:
            if each > error:
                if found is not None and after[1] > 0:
                    share = math.log(each / error) / math.log(each / after[1])
                    found = steps * (after[0] / steps) ** share
                break
            found, after = steps, (steps, each)
        return None if found is None else math.ceil(found)

    @property
    def doubt(self) -> float:
        """The error of the reference map's sum, relative to the score difference."""
        difference = self.score - self.baseline_score
        return abs(float(self.reached[-1]) - difference) / abs(difference) if difference else 0.0


def study(
    model: Model,
    x: Tensor,
    baseline: Baseline,
    target: Target | None = None,
    steps: int = 25,
    *,
    known: Study | None = None,
    on_progress: Callable[[float], None] = lambda fraction: None,
) -> Study:
    """Measure the effect of steps and rule on the map of one photo.

    Args:
        model: The model.
        x: (3, H, W), pixels in [0, 1].
        baseline: Start of the path; the first, if there are several.
        target: Class and score. Default: the probability of the predicted class.
        steps: Number of steps at which all rules are compared. Default: 25.
        known: A study of the same path with other steps, to reuse the parts that do not depend on the steps.
        on_progress: Called between chunks with the fraction done; if it raises, the work stops.

    Raises:
        Refusal: If the target is no class of the model, or a gradient is not finite.
    """
    with exact_gradients(model):
        return _Study(
            Scorer(model, image(x).clone(), target or model.default_target), baseline, steps, on_progress
        ).run(known)


class _Study:
    """The computation behind `study`."""

    def __init__(self, scorer: Scorer, baseline: Baseline, steps: int, on_progress: Callable[[float], None]) -> None:
        self.scorer, self.steps, self.on_progress = scorer, steps, on_progress
        self.start = baseline.image(scorer.x)
        self.difference = scorer.x - self.start
        rules = (ADAPTIVE_RULE, *RULES)
        self.of = (
            REFERENCE_STEPS + len(rules) * steps + sum(MIDPOINT_STEPS) + MAX_ADAPTIVE_STEPS
        )  # gradient evaluations in all

    def run(self, known: Study | None) -> Study:
        if known is None:
            nodes, scores, slopes, accumulated = self._look()
        else:
            nodes, scores, slopes, accumulated = known.nodes, known.scores, known.slopes, known.accumulated
            self.reference = torch.from_numpy(known.reference).to(self.difference)
            self.of -= REFERENCE_STEPS + sum(MIDPOINT_STEPS) + MAX_ADAPTIVE_STEPS
        self.size = float(self.reference.norm())
        score, baseline_score = self.scorer.score, float(self.scorer.scores(self.start[None])[0])
        measured = [self._measured(rule, score - baseline_score) for rule in (ADAPTIVE_RULE, *RULES)]
        found = measured[0][1]
        return Study(
            target=self.scorer.target,
            explained=self.scorer.target.words(self.scorer.model.classes),
            baseline=self.start.cpu().float().numpy(),
            score=score,
            baseline_score=baseline_score,
            nodes=nodes,
            scores=scores,
            slopes=slopes,
            evaluated=np.stack([found.nodes, found.scores, found.slopes]),
            reference=self.reference.cpu().float().numpy(),
            accumulated=accumulated,
            reached=np.append(0.0, np.cumsum(slopes) / len(slopes)),
            figures=tuple(figures for figures, _ in measured),
            steps=self.steps,
            curves=known.curves if known else self._curves(),
        )

    def _look(self) -> tuple[Array, Array, Array, NDArray[np.float32]]:
        """Compute the reference map, and keep the accumulated map after each piece of the path."""
        nodes, _ = RULES["midpoint"](REFERENCE_STEPS)
        total = torch.zeros_like(self.difference)
        scores, slopes = np.zeros(REFERENCE_STEPS), np.zeros(REFERENCE_STEPS)
        kept, done = [np.zeros(total.shape[1:], np.float32)], 0
        for piece in np.split(nodes, PIECES):
            for alphas in self.scorer.chunks(torch.from_numpy(piece)):
                part = slice(done, done + len(alphas))
                gradients, scores[part] = self.scorer.gradients(between(self.start, self.difference, alphas))
                total += gradients.sum(0) / REFERENCE_STEPS
                slopes[part] = slopes_of(gradients, self.difference)
                done += len(alphas)
                self._report()
            kept.append(reduce((self.difference * total).cpu().numpy()).astype(np.float32))
        self.reference = self.difference * total
        if not torch.isfinite(self.reference).all():
            raise Refusal(
                "The gradients along this path are not finite, since the network overflows; try another photo."
            )
        return nodes, scores, slopes, np.stack(kept)

    def _curves(self) -> dict[str, list[tuple[int, float]]]:
        return {
            ADAPTIVE_RULE: self._adaptive_curve(),
            "midpoint": [(n, self._error_of("midpoint", n)) for n in MIDPOINT_STEPS],
        }

    def _measured(self, rule: str, score_difference: float) -> tuple[Figures, Average]:
        started = working_time()
        found = average(self.scorer, self.start, self.steps, rule, lambda *_: self._report())
        seconds = working_time() - started
        values = self.difference * found.gradient
        off = abs(float(values.cpu().double().sum()) - score_difference)
        delta = off / abs(score_difference) if score_difference else None
        return Figures(rule, seconds, delta, self._error(values), self._rank(values)), found

    def _error_of(self, rule: str, steps: int) -> float:
        found = average(self.scorer, self.start, steps, rule, lambda *_: self._report())
        return self._error(self.difference * found.gradient)

    def _adaptive_curve(self) -> list[tuple[int, float]]:
        """Measure the error after each round of a single run, since each round keeps all earlier nodes."""
        rounds = refined(self.scorer, self.start, MAX_ADAPTIVE_STEPS, lambda *_: self._report())
        found = [so_far() for so_far in rounds]
        return [(len(each.nodes), self._error(self.difference * each.gradient)) for each in found]

    def _error(self, values: Tensor) -> float:
        return float((values - self.reference).norm()) / (self.size or 1.0)

    def _rank(self, values: Tensor) -> float | None:
        return rank_correlation(*(each.abs().sum(0).cpu().numpy() for each in (values, self.reference)))

    def _report(self) -> None:
        self.on_progress(min(1.0, self.scorer.backwards / self.of))
