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

ADAPTIVE_RULE = "adaptive"
MAX_PREVIEWS = 16  # partial maps shown before the final one, at most
MAX_GRADIENT_BYTES = 1e9  # bytes of gradients that the adaptive rule may store


@dataclass(frozen=True)
class Average:
    """The result of a quadrature rule.

    Attributes:
        gradient: (3, H, W), the weighted mean of the gradients at the nodes.
        nodes: (S,), in order of evaluation for fixed rules, ascending for the adaptive rule.
        weights: (S,), sum to 1.
        scores: (S,), scores at the nodes.
        slopes: (S,), derivatives of the score along the path at the nodes.
    """

    gradient: Tensor
    nodes: NDArray[np.float64]
    weights: NDArray[np.float64]
    scores: NDArray[np.float64]
    slopes: NDArray[np.float64]

    def score_at(self, alpha: float) -> float | None:
        """Return the score at a position; None if it is not a node."""
        (found,) = np.nonzero(self.nodes == alpha)
        return float(self.scores[found[0]]) if len(found) else None


def average(scorer: Scorer, baseline: Tensor, steps: int, rule: str, tick: Tick) -> Average:
    """Average the gradient along the path.

    Args:
        scorer: Scorer of the photo.
        baseline: (3, H, W).
        steps: Number of gradient evaluations.
        rule: "adaptive" or a key of `quadrature.RULES`.
        tick: Called between chunks with the fraction done and a function that returns the average so far.

    Raises:
        Refusal: If the adaptive rule would store more than 1 GB of gradients.
    """
    return (_adaptive if rule == ADAPTIVE_RULE else _fixed)(scorer, baseline, steps, rule, tick)


def between(start: Tensor, difference: Tensor, alphas: Tensor) -> Tensor:
    """Return images on the path, (N, 3, H, W), at positions (N,)."""
    return torch.addcmul(start, alphas.to(start).view(-1, 1, 1, 1), difference)


def _fixed(scorer: Scorer, baseline: Tensor, steps: int, rule: str, tick: Tick) -> Average:
    nodes, weights = RULES[rule](steps)  # (S,), (S,)
    difference = scorer.x - baseline
    total = torch.zeros_like(difference)  # sum of weight * gradient, (3, H, W); no gradient is stored
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

    The error estimate of a cell is the larger of two: h/2 * ||D * (G(left) - G(right))||_1, the L1 distance between the
    cell's trapezoid map and its one-sided map, and the part of the score change that the trapezoid misses. The second
    detects a peak between two similar ends; alone, it would yield a correct sum but a wrong map.

    Args:
        scorer: As for `average`.
        baseline: As for `average`.
        steps: As for `average`.
        tick: As for `average`.

    Yields:
        After each round a function that returns the average over the nodes so far.
    """
    difference = scorer.x - baseline
    if (size := steps * difference.nbytes) > MAX_GRADIENT_BYTES:
        raise Refusal(
            f"The {ADAPTIVE_RULE} rule stores every gradient, {size / 1e9:.1f} GB for {steps} steps at this size; "
            f"the limit is {MAX_GRADIENT_BYTES / 1e9:.0f} GB. Choose another rule, or fewer steps."
        )

    def doubt(width: float, left: _Node, right: _Node) -> float:
        change = width / 2 * float((difference * (left.gradient - right.gradient)).abs().sum())
        missed = right.score - left.score - width / 2 * (left.slope + right.slope)
        return max(change, abs(missed))

    path = Refinement[_Node](steps, doubt)
    kept = difference.new_empty((steps, *difference.shape))  # one allocation, to avoid fragmentation
    done = previewed = 0

    def so_far() -> Average:
        scores, slopes = (np.array([getattr(node, name) for node in path.values]) for name in ("score", "slope"))
        return Average(_mean(path), np.array(path.nodes), path.weights, scores, slopes)

    while wanted := path.wanted():
        found: list[_Node] = []
        while len(found) < len(wanted):
            alphas = torch.tensor(wanted[len(found) : len(found) + scorer.piece], dtype=torch.float64)
            gradients, scores = scorer.gradients(between(baseline, difference, alphas))
            slopes = slopes_of(gradients, difference)
            place = kept[done : done + len(alphas)].copy_(gradients)
            found += map(_Node, place, scores.tolist(), slopes.tolist())
            done += len(alphas)
            # A preview sums all stored gradients, so there are only a few.
            worth = bool(path.nodes) and (done - previewed) * MAX_PREVIEWS >= steps
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
    """Return the derivatives of the score along the path, (N,), summed in float64 on the CPU."""
    return (gradients * difference).flatten(1).cpu().double().sum(1).numpy()


def _mean(path: Refinement[_Node]) -> Tensor:
    """Return the sum of weight * gradient, (3, H, W), without copying the gradients."""
    total = torch.zeros_like(path.values[0].gradient)
    for weight, node in zip(path.weights, path.values, strict=True):
        total.add_(node.gradient, alpha=float(weight))
    return total
