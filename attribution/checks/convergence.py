"""The effect of the number of steps and the rule on integrated gradients, measured on one photo.

Every map is compared with a reference map of the same path: the trapezoid rule, whose cells are halved, first all of
them, then in the pieces of the path where halving changes the map most. All earlier gradients are kept, and the new
nodes of a halving of all cells are those of the midpoint rule, whose map thus costs nothing. The error of a map is its
L2 distance from the reference, relative to the reference's L2 norm. Completeness alone does not suffice: a wrong map
can have a correct sum.

While the reference is refined, its change by the last halving bounds what is still missing, since the changes fall
geometrically (measured: each is half of the one before). By the triangle inequality, errors and rank correlations are
known up to that.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.baselines.baseline import Baseline
from attribution.checks.likeness import rank_correlation
from attribution.drawing.heatmap import reduce
from attribution.engine import exact_gradients, image
from attribution.methods.paths.quadrature import RULES
from attribution.methods.paths.straight_path import ADAPTIVE_RULE, average, between, refined, slopes_of
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.refusal import Refusal
from attribution.system.clock import working_time
from attribution.targets.target import Target

PIECES = 16  # equal parts of the path, each with its own accumulated map; cells of the first reference
TABLE_CELLS = 64  # cells of the reference from which on the rules are measured
EVEN_CELLS = 128  # cells up to which all are halved
# Gradients of the last reference. It is 0.3 % off on SqueezeNet, as 512 even steps are.
REFERENCE_STEPS = 257
STEPS_PER_ROUND = 32  # gradients of each round after EVEN_CELLS
MAX_ADAPTIVE_STEPS = 120  # largest number of steps at which the adaptive rule is measured
ROUNDS_PER_REPORT = 4  # rounds of the adaptive rule between two reports
ERROR_LEVELS = (0.05, 0.01)  # relative map errors for which the required steps are reported

Array = NDArray[np.float64]
Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Figures:
    """The figures of one rule at one number of steps.

    Attributes:
        rule: "adaptive" or a key of `quadrature.RULES`.
        seconds: Duration of its gradients in seconds, without suspensions; rules with the same nodes share theirs.
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
        nodes: (N,), nodes of the reference, from 0 to 1.
        scores: (N,), scores at the nodes.
        slopes: (N,), derivatives of the score along the path: the integrand, summed over the pixels.
        evaluated: (3, S), nodes, scores and slopes of the adaptive rule with `steps` steps; (3, 0) before they are
            known.
        reference: (3, H, W), the reference map.
        drift: Relative L2 change of the reference by its last halving.
        agreement: Spearman correlation of the absolute values of the last two references; None if one is constant.
        accumulated: (PIECES + 1, H, W), the reference map accumulated up to evenly spaced positions, reduced by the sum
            of absolute values.
        reached: (E + 1,), the sum of the signed map up to evenly spaced positions.
        figures: Figures of every rule with `steps` steps, as far as they are known.
        steps: Number of steps at which the rules are compared.
        curves: (steps, error) pairs, by rule, as far as they are known.
        is_final: True if the reference is the last one, so that errors and rank correlations are final.
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
    drift: float
    agreement: float | None
    accumulated: NDArray[np.float32]
    reached: Array
    figures: tuple[Figures, ...]
    steps: int
    curves: dict[str, Curve]
    is_final: bool = False

    def error_range(self, error: float) -> tuple[float, float]:
        """Return the least and the largest error against the last reference, for an error against this one."""
        missing = 0.0 if self.is_final else self.drift
        return max(0.0, error - missing) / (1 + missing), (error + missing) / max(1 - missing, np.finfo(float).eps)

    def rank_range(self, rank: float) -> tuple[float, float]:
        """Return the least and the largest rank correlation with the last reference, likewise.

        A rank correlation is the cosine of an angle, and angles satisfy the triangle inequality.
        """
        missing = 0.0 if self.is_final or self.agreement is None else math.acos(_cosine(self.agreement))
        angle = math.acos(_cosine(rank))
        return math.cos(min(math.pi, angle + missing)), math.cos(max(0.0, angle - missing))

    def enough(self, rule: str, error: float) -> int | None:
        """Return the fewest steps from which a rule's error stays below a level, interpolated by a power law.

        Returns:
            None if it never does.
        """
        return self._enough(rule, error, lambda each: each)

    def enough_range(self, rule: str, error: float) -> tuple[int | None, int | None]:
        """Return the least and the largest result of `enough` with the last reference."""
        few = self._enough(rule, error, lambda each: self.error_range(each)[0])
        many = self._enough(rule, error, lambda each: self.error_range(each)[1])
        return few, many

    def _enough(self, rule: str, error: float, changed: Callable[[float], float]) -> int | None:
        compared = [(self.steps, each.error) for each in self.figures if each.rule == rule]
        known = {**dict(self.curves[rule]), **dict(compared)}
        points = sorted(((steps, changed(each)) for steps, each in known.items()), reverse=True)
        found: float | None = None
        after = points[0] if points else (0, 0.0)
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
    on_found: Callable[[Study], None] = lambda so_far: None,
) -> Study:
    """Measure the effect of steps and rule on the map of one photo.

    Args:
        model: The model.
        x: (3, H, W), pixels in [0, 1].
        baseline: Start of the path; the first, if there are several.
        target: Class and score. Default: the probability of the predicted class.
        steps: Number of steps at which all rules are compared. Default: 25.
        known: A finished study of the same path with other steps, to reuse the parts that do not depend on the steps.
        on_progress: Called between chunks with the fraction done; if it raises, the work stops.
        on_found: Called with the study so far, from a coarse reference on.

    Raises:
        Refusal: If the target is no class of the model, or a gradient is not finite.
    """
    with exact_gradients(model):
        scorer = Scorer(model, image(x).clone(), target or model.default_target)
        return _Study(scorer, baseline.image(scorer.x), steps, on_progress, on_found).run(known)


class _Reference:
    """The trapezoid rule with cells of equal width in each piece of the path; only sums of gradients are kept."""

    def __init__(self, scorer: Scorer, start: Tensor, on_chunk: Callable[[], None]) -> None:
        """Evaluate the ends of all pieces."""
        self.scorer, self.start, self.on_chunk = scorer, start, on_chunk
        self.difference = scorer.x - start
        self.cells = np.ones(PIECES, int)  # of each piece
        self.ends = start.new_zeros((PIECES + 1, *start.shape))  # gradients at the ends of the pieces
        self.inside = start.new_zeros((PIECES, *start.shape))  # sums of the gradients inside each piece
        self.nodes = self.scores = self.slopes = np.zeros(0)
        self._evaluate(np.linspace(0, 1, PIECES + 1), self.ends, range(PIECES + 1))
        pairs = (self.ends[:-2:2] + self.ends[2::2]) / 2 / PIECES
        self.before = pairs.repeat_interleave(2, 0)  # as `parts`, before each piece's last halving
        self.midpoints: dict[int, Tensor] = {}  # maps of the midpoint rule, by steps
        for steps in (PIECES // 4, PIECES // 2):
            each = PIECES // steps
            self.midpoints[steps] = self.difference * self.ends[each // 2 :: each].mean(0)

    def halve(self, pieces: Sequence[int]) -> None:
        """Halve all cells of some pieces."""
        parts, inside = self.parts, self.inside.sum(0)
        for piece in pieces:
            self.before[piece] = parts[piece]
        nodes = [(piece + RULES["midpoint"](int(self.cells[piece]))[0]) / PIECES for piece in pieces]
        owners = np.repeat(pieces, self.cells[list(pieces)])
        self._evaluate(np.concatenate(nodes), self.inside, owners)
        if len(pieces) == PIECES:
            self.midpoints[len(owners)] = self.difference * (self.inside.sum(0) - inside) / len(owners)
        self.cells[list(pieces)] *= 2

    def worst(self, steps: int) -> list[int]:
        """Return the pieces whose halving promises most for a number of gradients."""
        changes = np.array([float((self.difference * each).norm()) for each in self.parts - self.before])
        chosen: list[int] = []
        for piece in np.argsort(-(changes**2) / self.cells, kind="stable"):
            if self.cells[[*chosen, piece]].sum() <= steps:
                chosen.append(int(piece))
        return sorted(chosen)

    @property
    def parts(self) -> Tensor:
        """The part of each piece in the mean gradient, (PIECES, 3, H, W)."""
        widths = torch.from_numpy(1 / (PIECES * self.cells)).to(self.inside).view(-1, 1, 1, 1)
        return (self.inside + (self.ends[:-1] + self.ends[1:]) / 2) * widths

    @property
    def accumulated(self) -> NDArray[np.float32]:
        """As for `Study`."""
        sums = self.parts.cumsum(0)
        maps = [reduce((self.difference * each).cpu().numpy()) for each in sums]
        return np.stack([np.zeros_like(maps[0]), *maps]).astype(np.float32)

    @property
    def reached(self) -> Array:
        """As for `Study`."""
        gains = np.diff(self.nodes) * (self.slopes[:-1] + self.slopes[1:]) / 2
        even = np.linspace(0, 1, PIECES * int(self.cells.min()) + 1)  # all of them nodes
        reached: Array = np.interp(even, self.nodes, np.append(0.0, np.cumsum(gains)))
        return reached

    def _evaluate(self, nodes: Array, sums: Tensor, places: Sequence[int] | NDArray[np.int_]) -> None:
        """Add the gradient at each node to the sum at its place, and keep the scores and slopes."""
        scores, slopes = np.zeros(len(nodes)), np.zeros(len(nodes))
        for piece in self.scorer.pieces(len(nodes)):
            part = slice(piece.start, piece.stop)
            alphas = torch.from_numpy(nodes[part])
            gradients, scores[part] = self.scorer.gradients(between(self.start, self.difference, alphas))
            for place, gradient in zip(places[part], gradients, strict=True):
                sums[int(place)] += gradient
            slopes[part] = slopes_of(gradients, self.difference)
            self.on_chunk()
        found = np.append([self.nodes, self.scores, self.slopes], [nodes, scores, slopes], axis=1)
        self.nodes, self.scores, self.slopes = found[:, np.argsort(found[0])]


class _Study:
    """The computation behind `study`."""

    def __init__(
        self,
        scorer: Scorer,
        start: Tensor,
        steps: int,
        on_progress: Callable[[float], None],
        on_found: Callable[[Study], None],
    ) -> None:
        self.scorer, self.start, self.steps = scorer, start, steps
        self.on_progress, self.on_found = on_progress, on_found
        self.difference = scorer.x - start
        self.union = np.unique(np.concatenate([rule(steps)[0] for rule in RULES.values()]))  # nodes of all fixed rules
        self.of = steps + len(self.union)  # gradient evaluations in all
        self.tried: dict[str, tuple[Tensor, float]] = {}  # map and seconds of every rule at `steps`
        self.points: dict[str, dict[int, Tensor]] = {ADAPTIVE_RULE: {}, "midpoint": {}}  # maps of the curves
        self.curves: dict[str, Curve] = {}  # those of a known study
        self.evaluated = np.zeros((3, 0))

    def run(self, known: Study | None) -> Study:
        if known is None:
            self.baseline_score = float(self.scorer.scores(self.start[None])[0])
            self.of += REFERENCE_STEPS + MAX_ADAPTIVE_STEPS
            self._refine()
        else:
            self.reference = torch.from_numpy(known.reference).to(self.difference)
            self.so_far = replace(known, steps=self.steps, figures=())
            self.curves = known.curves
            self._try_adaptive()
            self.on_found(self._measured())
            self._try_fixed()
        return self._measured()

    def _refine(self) -> None:
        """Measure the path, then the rules, then the curves; refine the reference in between."""
        reference = _Reference(self.scorer, self.start, self._report)
        self._take(reference)
        self._try_adaptive()
        self.on_found(self._measured())
        while True:
            even, left = len(reference.nodes) - 1, REFERENCE_STEPS - len(reference.nodes)
            if even == min(TABLE_CELLS, REFERENCE_STEPS - 1):
                self._try_fixed()
                self.on_found(self._measured())
                self._draw_adaptive()
            pieces = range(PIECES) if even < EVEN_CELLS else reference.worst(min(left, STEPS_PER_ROUND))
            if left <= 0 or not pieces:
                break
            reference.halve(pieces)
            self._take(reference)
        self.so_far = replace(self.so_far, is_final=True)

    def _take(self, reference: _Reference) -> None:
        """Measure all maps so far against a finer reference."""
        self.reference = self.difference * reference.parts.sum(0)
        if not torch.isfinite(self.reference).all():
            raise Refusal(
                "The gradients along this path are not finite, since the network overflows; try another photo."
            )
        before = self.difference * reference.before.sum(0)
        self.points["midpoint"] = reference.midpoints
        self.so_far = Study(
            target=self.scorer.target,
            explained=self.scorer.target.words(self.scorer.model.classes),
            baseline=self.start.cpu().float().numpy(),
            score=self.scorer.score,
            baseline_score=self.baseline_score,
            nodes=reference.nodes,
            scores=reference.scores,
            slopes=reference.slopes,
            evaluated=self.evaluated,
            reference=self.reference.cpu().float().numpy(),
            drift=self._error(before),
            agreement=self._rank(before),
            accumulated=reference.accumulated,
            reached=reference.reached,
            figures=(),
            steps=self.steps,
            curves={},
        )
        self.on_found(self._measured())

    def _measured(self) -> Study:
        """Return the study so far, with all maps measured against the present reference."""
        figures = tuple(self._figures(rule, *found) for rule, found in self.tried.items())
        curves = self.curves or {
            rule: [(n, self._error(values)) for n, values in found.items()] for rule, found in self.points.items()
        }
        return replace(self.so_far, evaluated=self.evaluated, figures=figures, curves=curves)

    def _try_adaptive(self) -> None:
        started = working_time()
        found = average(self.scorer, self.start, self.steps, ADAPTIVE_RULE, lambda *_: self._report())
        self.tried[ADAPTIVE_RULE] = self.difference * found.gradient, working_time() - started
        self.evaluated = np.stack([found.nodes, found.scores, found.slopes])

    def _try_fixed(self) -> None:
        """Evaluate the nodes of all fixed rules once, and add them up with the weights of each."""
        weights = {rule: self._weights(rule) for rule in RULES}
        totals = {rule: torch.zeros_like(self.difference) for rule in RULES}
        started = working_time()
        for piece in self.scorer.pieces(len(self.union)):
            part = slice(piece.start, piece.stop)
            alphas = torch.from_numpy(self.union[part])
            gradients, _ = self.scorer.gradients(between(self.start, self.difference, alphas))
            for rule, total in totals.items():
                total += torch.tensordot(torch.from_numpy(weights[rule][part]).to(gradients), gradients, dims=1)
            self._report()
        pace = (working_time() - started) / len(self.union)
        for rule, total in totals.items():
            self.tried[rule] = self.difference * total, self.steps * pace

    def _weights(self, rule: str) -> Array:
        """Return the weights of a rule at all nodes of the fixed rules, zero at those that are not its own."""
        nodes, own = RULES[rule](self.steps)
        weights = np.zeros(len(self.union))
        weights[np.searchsorted(self.union, nodes)] = own
        return weights

    def _draw_adaptive(self) -> None:
        """Keep the map of each round of a single run, since each round keeps all earlier nodes."""
        rounds = refined(self.scorer, self.start, MAX_ADAPTIVE_STEPS, lambda *_: self._report())
        for number, so_far in enumerate(rounds, 1):
            found = so_far()
            self.points[ADAPTIVE_RULE][len(found.nodes)] = self.difference * found.gradient
            if number % ROUNDS_PER_REPORT == 0:
                self.on_found(self._measured())

    def _figures(self, rule: str, values: Tensor, seconds: float) -> Figures:
        score_difference = self.so_far.score - self.so_far.baseline_score
        off = abs(float(values.cpu().double().sum()) - score_difference)
        delta = off / abs(score_difference) if score_difference else None
        return Figures(rule, seconds, delta, self._error(values), self._rank(values))

    def _error(self, values: Tensor) -> float:
        return float((values - self.reference).norm()) / (float(self.reference.norm()) or 1.0)

    def _rank(self, values: Tensor) -> float | None:
        return rank_correlation(*(each.abs().sum(0).cpu().numpy() for each in (values, self.reference)))

    def _report(self) -> None:
        self.on_progress(min(1.0, self.scorer.backwards / self.of))


def _cosine(value: float) -> float:
    """Return a correlation within its range, which rounding can leave."""
    return min(1.0, max(-1.0, value))
