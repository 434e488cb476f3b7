"""The gradient averaged along the straight path from a baseline to the photo."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.methods.method import Tick
from attribution.methods.paths.quadrature import RULES, Refinement
from attribution.network.scorer import Scorer
from attribution.refusal import Refusal

ADAPTIVE = "adaptive"
PREVIEWS = 16  # maps that are shown before the end, at most
KEPT = 1e9  # bytes of gradients that the adaptive rule may keep


@dataclass(frozen=True)
class Average:
    """The result of a quadrature rule.

    Attributes:
        gradient: (3, H, W), the weighted mean of the gradients at the nodes.
        nodes: (S,), in the order of evaluation by fixed rules, ascending by the adaptive one.
        weights: (S,), they sum to 1.
        scores: (S,), at the nodes.
        slopes: (S,), the derivative of the score along the path at the nodes.
    """

    gradient: Tensor
    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]
    scores: NDArray[np.float64]
    slopes: NDArray[np.float64]

    def score_at(self, alpha: float) -> float | None:
        """Return the score at a node; None where there is none."""
        (found,) = np.nonzero(self.nodes == alpha)
        return float(self.scores[found[0]]) if len(found) else None


def average(scorer: Scorer, baseline: Tensor, steps: int, rule: str, tick: Tick) -> Average:
    """Average the gradient along the path.

    Args:
        scorer: Of the photo and the target.
        baseline: (3, H, W).
        steps: Gradient evaluations, exactly.
        rule: "adaptive" or a key of `quadrature.RULES`.
        tick: Called between chunks with the fraction done and a function that returns the average so far.

    Raises:
        Refusal: If the adaptive rule would keep more than 1 GB.
    """
    return (_adaptive if rule == ADAPTIVE else _fixed)(scorer, baseline, steps, rule, tick)


def between(start: Tensor, difference: Tensor, alphas: Tensor) -> Tensor:
    """Return images on the path, (N, 3, H, W), at positions (N,)."""
    return torch.addcmul(start, alphas.to(start).view(-1, 1, 1, 1), difference)


def _fixed(scorer: Scorer, baseline: Tensor, steps: int, rule: str, tick: Tick) -> Average:
    nodes, weights = RULES[rule](steps)  # (S,), (S,)
    difference = scorer.x - baseline
    total = torch.zeros_like(difference)  # sum of weight * gradient, (3, H, W): no gradient is kept
    scores, slopes = np.zeros(steps), np.zeros(steps)
    for piece in scorer.pieces(steps):
        part = slice(piece.start, piece.stop)
        gradients, scores[part] = scorer.gradients(between(baseline, difference, torch.from_numpy(nodes[part])))
        total += torch.tensordot(torch.from_numpy(weights[part]).to(gradients), gradients, dims=1)
        slopes[part] = slopes_of(gradients, difference)
        tick(piece.stop / steps, partial(torch.div, total, float(weights[: piece.stop].sum())))
    return Average(total, nodes, weights, scores, slopes)


def _adaptive(scorer: Scorer, baseline: Tensor, steps: int, rule: str, tick: Tick) -> Average:
    for found in refined(scorer, baseline, steps, tick):
        latest = found
    return latest()


def refined(scorer: Scorer, baseline: Tensor, steps: int, tick: Tick) -> Iterator[Callable[[], Average]]:
    """Refine the path round by round.

    A cell is split where the gradient changes most: h/2 * ||D * (G(left) - G(right))||_1 is how far the trapezoid map
    of the cell is from its one-sided map. What the trapezoid misses of the score in a cell counts too, where it is
    more; it sees a peak between two ends that agree. Alone it would make the sum right and the map wrong.

    Args:
        scorer: As for `average`.
        baseline: As for `average`.
        steps: As for `average`.
        tick: As for `average`.

    Yields:
        After each round a function that returns the average over the nodes so far.
    """
    difference = scorer.x - baseline
    if (size := steps * difference.nbytes) > KEPT:
        raise Refusal(
            f"The {ADAPTIVE} rule keeps every gradient, {size / 1e9:.1f} GB for {steps} steps at this size; "
            f"the limit is {KEPT / 1e9:.0f} GB. Choose another rule, or fewer steps."
        )

    def doubt(width: float, left: _Node, right: _Node) -> float:
        change = width / 2 * float((difference * (left.gradient - right.gradient)).abs().sum())
        missed = right.score - left.score - width / 2 * (left.slope + right.slope)
        return max(change, abs(missed))

    path = Refinement[_Node](steps, doubt)
    kept = difference.new_empty((steps, *difference.shape))  # one place, so that no chunk stays between two others
    done = previewed = 0

    def so_far() -> Average:
        scores, slopes = (np.array([getattr(node, name) for node in path.values]) for name in ("score", "slope"))
        return Average(_mean(path), np.array(path.nodes), path.weights, scores, slopes)

    while wanted := path.wanted():
        found: list[_Node] = []
        while len(found) < len(wanted):
            alphas = torch.tensor(wanted[len(found) : len(found) + scorer.chunk], dtype=torch.float64)
            gradients, scores = scorer.gradients(between(baseline, difference, alphas))
            slopes = slopes_of(gradients, difference)
            place = kept[done : done + len(alphas)].copy_(gradients)
            found += map(_Node, place, scores.tolist(), slopes.tolist())
            done += len(alphas)
            # A preview adds up all that is kept, so there are only a few.
            worth = bool(path.nodes) and (done - previewed) * PREVIEWS >= steps
            previewed = done if worth else previewed
            tick(done / steps, partial(_mean, path) if worth else None)
        path.take(wanted, found)
        yield so_far


@dataclass(frozen=True, eq=False)
class _Node:
    """The evaluation at one position of the path."""

    gradient: Tensor
    score: float
    slope: float


def slopes_of(gradients: Tensor, difference: Tensor) -> NDArray[np.float64]:
    """Return the derivative along the path, (N,), summed in float64 where the device has it."""
    return (gradients * difference).flatten(1).cpu().double().sum(1).numpy()


def _mean(path: Refinement[_Node]) -> Tensor:
    """Sum of weight * gradient, (3, H, W), without another copy of the gradients."""
    total = torch.zeros_like(path.values[0].gradient)
    for weight, node in zip(path.weights, path.values, strict=True):
        total.add_(node.gradient, alpha=float(weight))
    return total
