"""The gradient averaged along the straight path from a baseline to the photo."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.path import RULES, Refinement
from attribution.refusal import Refusal
from attribution.scorer import Scorer, Tick

ADAPTIVE = "adaptive"
KEPT = 1e9  # bytes of gradients that the adaptive rule may keep


@dataclass(frozen=True)
class Average:
    """What a quadrature rule found.

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
        """The score at a node; None where there is none."""
        (found,) = np.nonzero(self.nodes == alpha)
        return float(self.scores[found[0]]) if len(found) else None


def average(scorer: Scorer, baseline: Tensor, steps: int, rule: str, tick: Tick) -> Average:
    """Average the gradient along the path.

    Args:
        scorer: Of the photo and the target.
        baseline: (3, H, W).
        steps: Gradient evaluations, exactly.
        rule: "adaptive" or a key of `path.RULES`.
        tick: Called between chunks with the fraction done and what gives the average so far.

    Raises:
        Refusal: If the adaptive rule would keep more than 1 GB.
    """
    return (_adaptive if rule == ADAPTIVE else _fixed)(scorer, baseline, steps, rule, tick)


def between(start: Tensor, difference: Tensor, alphas: Tensor) -> Tensor:
    """Images on the path, (N, 3, H, W), at positions (N,)."""
    return torch.addcmul(start, alphas.to(start).view(-1, 1, 1, 1), difference)


def _fixed(scorer: Scorer, baseline: Tensor, steps: int, rule: str, tick: Tick) -> Average:
    nodes, weights = RULES[rule](steps)  # (S,), (S,)
    difference = scorer.x - baseline
    total = torch.zeros_like(difference)  # sum of weight * gradient, (3, H, W): no gradient is kept
    scores, slopes = np.zeros(steps), np.zeros(steps)
    done = 0
    while done < steps:
        part = slice(done, done + scorer.chunk)
        gradients, scores[part] = scorer.gradients(between(baseline, difference, torch.from_numpy(nodes[part])))
        total += torch.tensordot(torch.from_numpy(weights[part]).to(gradients), gradients, dims=1)
        slopes[part] = _slopes(gradients, difference)
        done += len(gradients)
        tick(done / steps, partial(torch.div, total, float(weights[:done].sum())))
    return Average(total, nodes, weights, scores, slopes)


def _adaptive(scorer: Scorer, baseline: Tensor, steps: int, rule: str, tick: Tick) -> Average:
    (found,) = deque(refined(scorer, baseline, steps, tick), maxlen=1)
    return found()


def refined(scorer: Scorer, baseline: Tensor, steps: int, tick: Tick) -> Iterator[Callable[[], Average]]:
    """Refine the path round by round.

    Args:
        scorer: As for `average`.
        baseline: As for `average`.
        steps: As for `average`.
        tick: As for `average`.

    Yields:
        After each round what gives the average by the nodes so far.
    """
    difference = scorer.x - baseline
    if (size := steps * difference.nbytes) > KEPT:
        raise Refusal(
            f"The {ADAPTIVE} rule keeps every gradient, {size / 1e9:.1f} GB for {steps} steps at this size; "
            f"the limit is {KEPT / 1e9:.0f} GB. Choose another rule, or fewer steps."
        )
    path = Refinement[Tensor](steps, lambda one, other: float((difference * (one - other)).abs().sum()))
    seen: dict[float, tuple[float, float]] = {}  # node -> score, slope

    def so_far() -> Average:
        scores, slopes = np.array([seen[node] for node in path.nodes]).T
        return Average(_mean(path.values, path.weights), np.array(path.nodes), path.weights, scores, slopes)

    while wanted := path.wanted():
        found: list[Tensor] = []
        while len(found) < len(wanted):
            alphas = torch.tensor(wanted[len(found) : len(found) + scorer.chunk], dtype=torch.float64)
            gradients, scores = scorer.gradients(between(baseline, difference, alphas))
            seen |= dict(zip(alphas.tolist(), zip(scores, _slopes(gradients, difference), strict=True), strict=True))
            found += gradients
            tick(len(seen) / steps, partial(_mean, path.values, path.weights) if path.nodes else None)
        path.take(wanted, found)
        yield so_far


def _slopes(gradients: Tensor, difference: Tensor) -> NDArray[np.float64]:
    """The derivative along the path, (N,), summed in float64 where the device has it."""
    return (gradients * difference).flatten(1).cpu().double().sum(1).numpy()


def _mean(gradients: list[Tensor], weights: NDArray[np.float64]) -> Tensor:
    """Sum of weight * gradient, (3, H, W), without another copy of the gradients."""
    total = torch.zeros_like(gradients[0])
    for weight, gradient in zip(weights, gradients, strict=True):
        total.add_(gradient, alpha=float(weight))
    return total
