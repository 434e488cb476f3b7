"""Sensitivity-n, infidelity and max-sensitivity: how well a map predicts score drops, and how robust it is.

Sensitivity-n (Ancona et al. 2018, arXiv:1711.06104): the correlation, over random sets of n pixels, between the map's
sum over a set and the score drop when the set is replaced. Infidelity (Yeh et al. 2019, arXiv:1901.09392): the mean
squared error of the score drops that the map predicts. Max-sensitivity (same paper): the largest relative change of the
map under small perturbations of the photo.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.checks.perturbation_curves import OnFraction
from attribution.checks.trial import SET_SIZES
from attribution.engine import compare
from attribution.methods.method import Method
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.refusal import Refusal
from attribution.result import Attribution

ROUNDING_TOLERANCE = 1e-12  # range of values, relative to the largest, that counts as rounding
MASK_STREAM = 2  # combined with the seed: random stream for the sets of pixels
SAMPLES_PER_ROUND = 5  # samples between two reports
MIN_SAMPLES = 10  # samples from which standard errors are reliable, a multiple of SAMPLES_PER_ROUND
# Random draws end when they are precise enough: at a standard error of this size of each mean correlation, and of this
# share of each infidelity.
ACCEPTED_ERROR = 0.05
# Max-sensitivity: fewest perturbed photos, and the standard deviation of the changes, as a share of their mean, at
# which no more are drawn. On 11 photos, 2 networks and 4 methods, the largest change is then at least 94% of that of 10
# photos, and the same in the median.
MIN_MOVES = 4
MAX_SPREAD = 0.03
MAX_SQUARE_SIDE = 0.25  # side of the largest square for infidelity, relative to the photo's shorter side


def sets(size: tuple[int, int], share: float, random: np.random.Generator) -> Iterator[Tensor]:
    """Yield random sets of a share of all pixels, at least one each, endlessly."""
    count, pixels = max(1, round(share * size[0] * size[1])), size[0] * size[1]
    while True:
        mask = np.zeros(pixels, bool)
        mask[random.choice(pixels, count, replace=False)] = True
        yield torch.from_numpy(mask.reshape(size))


def squares(size: tuple[int, int], random: np.random.Generator) -> Iterator[Tensor]:
    """Yield squares of random side (up to MAX_SQUARE_SIDE) and position inside the photo, endlessly."""
    while True:
        side = int(random.integers(1, max(2, round(MAX_SQUARE_SIDE * min(size)) + 1)))
        top, left = (int(random.integers(0, each - side + 1)) for each in size)
        mask = torch.zeros(size, dtype=torch.bool)
        mask[top : top + side, left : left + side] = True
        yield mask


def samples(size: tuple[int, int], seed: int) -> Iterator[Tensor]:
    """Yield samples endlessly: a random set of pixels for each of SET_SIZES, then a square, (len(SET_SIZES) + 1, H, W).

    One stream draws them in turn, so a longer run continues a shorter one.
    """
    random = np.random.default_rng((seed, MASK_STREAM))
    masks = [*(sets(size, share, random) for share in SET_SIZES), squares(size, random)]
    while True:
        yield torch.stack([next(each) for each in masks])


def drops(scorer: Scorer, filler: Tensor, masks: Tensor, tick: Callable[[int], None]) -> NDArray[np.float64]:
    """Return the score drop when each set of pixels is replaced, (N,).

    Args:
        scorer: Scorer of the photo.
        filler: (3, H, W), replacement for the pixels of a set.
        masks: (N, H, W), True for pixels in the set.
        tick: Called between chunks with the number of images in the chunk.
    """
    found, filler = np.empty(len(masks)), filler.to(scorer.x)
    for piece in scorer.pieces(len(masks)):
        part = slice(piece.start, piece.stop)
        images = torch.where(masks[part, None].to(scorer.x.device), filler, scorer.x)
        found[part] = scorer.score - scorer.scores(images)
        tick(len(piece))
    return found


def predicted(weights: Tensor, masks: Tensor) -> NDArray[np.float64]:
    """Return the maps' sums over sets of pixels, (N, M).

    Args:
        weights: (M, H, W), the maps in units of the score, float64.
        masks: (N, H, W), True for pixels in the set.
    """
    return (masks.flatten(1).double() @ weights.flatten(1).T).numpy()


def infidelity(
    sums: NDArray[np.float64], losses: NDArray[np.float64], scaled: bool = False
) -> tuple[float, float | None]:
    """Return the mean squared error of predicted score drops (Yeh et al. 2019, definition 2.1), and its standard error.

    Args:
        sums: (N,), predicted score drops.
        losses: (N,), measured score drops.
        scaled: True to first multiply the predictions by the factor that minimises the error, as in section 2.2; the
            standard error ignores that the factor is estimated, too.

    Returns:
        The mean, and its standard error; None for a single drop.
    """
    power = float(sums @ sums)
    factor = float(losses @ sums) / power if scaled and power > 0 else 1.0
    squares = (factor * sums - losses) ** 2
    return float(squares.mean()), float(squares.std(ddof=1)) / math.sqrt(len(squares)) if len(squares) > 1 else None


def correlation(sums: NDArray[np.float64], losses: NDArray[np.float64]) -> float | None:
    """Return Pearson's correlation; None if either argument is constant up to rounding."""
    if any(np.ptp(each) <= ROUNDING_TOLERANCE * np.abs(each).max() for each in (sums, losses)):
        return None
    return float(np.corrcoef(sums, losses)[0, 1])


def correlation_error(correlations: Sequence[float], count: int) -> float | None:
    """Return the standard error of the mean of independent correlations, (1 - r^2) / sqrt(n - 1) each.

    Args:
        correlations: At least one.
        count: Number n of pairs of each.

    Returns:
        The standard error; None for fewer than three pairs, which always lie on a line.
    """
    if count < 3:
        return None
    errors = (1 - np.square(correlations)) / math.sqrt(count - 1)
    return float(np.sqrt((errors**2).sum())) / len(errors)


def moved(x: Tensor, radius: float, seed: int) -> Iterator[Tensor]:
    """Yield perturbed photos, (3, H, W), endlessly: uniform noise of at most `radius` on each value, not clipped."""
    random = torch.Generator().manual_seed(seed)
    while True:
        move = (torch.rand(x.shape, generator=random, dtype=torch.float64) * 2 - 1) * radius
        yield x + move.to(x)


def map_changes(
    model: Model,
    photo: Tensor,
    methods: Sequence[Method],
    results: Sequence[Attribution],
    on_progress: OnFraction = lambda fraction: None,
) -> list[float | None]:
    """Return the relative changes of maps when the photo is perturbed.

    Args:
        model: The model.
        photo: (3, H, W), the perturbed photo.
        methods: The methods of the maps; their random seeds stay the same.
        results: The maps of the photo itself, for one target.
        on_progress: Called between chunks with the fraction done; if it raises, the work stops.

    Returns:
        The L2 norm of each change over that of the map; None if the map is zero or the perturbed photo is refused.
    """

    def progressed(fraction: float, partial: object) -> None:
        on_progress(fraction)

    again = compare(model, photo, methods, results[0].target, chunk=results[0].chunk, on_progress=progressed)
    return [_change(before, after) for before, after in zip(results, again, strict=True)]


def _change(before: Attribution, after: Attribution | Refusal) -> float | None:
    size = float(np.linalg.norm(before.values.astype(np.float64)))
    if size == 0 or isinstance(after, Refusal):
        return None
    return float(np.linalg.norm(after.values.astype(np.float64) - before.values)) / size


def enough(changes: Sequence[float]) -> bool:
    """True if further perturbed photos would hardly raise the largest relative change: all changes so far are alike."""
    return len(changes) >= MIN_MOVES and bool(np.std(changes, ddof=1) <= MAX_SPREAD * np.mean(changes))
