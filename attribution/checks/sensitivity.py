"""Sensitivity-n, infidelity and max-sensitivity: how well a map predicts score drops, and how robust it is.

Sensitivity-n (Ancona et al. 2018, arXiv:1711.06104): the correlation, over random sets of n pixels, between the map's
sum over a set and the score drop when the set is replaced. Infidelity (Yeh et al. 2019, arXiv:1901.09392): the mean
squared error of the score drops that the map predicts. Max-sensitivity (same paper): the largest relative change of the
map under small perturbations of the photo.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.checks.perturbation_curves import OnFraction
from attribution.engine import compare
from attribution.methods.method import Method
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.result import Attribution

ROUNDING_TOLERANCE = 1e-12  # range of values, relative to the largest, that counts as rounding
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


def sums_and_losses(
    scorer: Scorer, filler: Tensor, weights: Tensor, masks: Iterator[Tensor], count: int, tick: OnFraction
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the maps' sums over sets of pixels, and the score drop when each set is replaced.

    Args:
        scorer: Scorer of the photo.
        filler: (3, H, W), replacement for the pixels of a set.
        weights: (M, H, W), the maps in units of the score, float64.
        masks: (H, W) each, True for pixels in the set.
        count: Number of masks.
        tick: Called between chunks with the fraction done.

    Returns:
        Sums, (count, M), and score drops, (count,).
    """
    sums, losses = np.empty((count, len(weights))), np.empty(count)
    filler, flat = filler.to(scorer.x), weights.flatten(1).T  # (H W, M)
    for piece in scorer.pieces(count):
        removed = torch.stack([next(masks) for _ in piece])  # (n, H, W)
        sums[piece.start : piece.stop] = (removed.flatten(1).double() @ flat).numpy()
        images = torch.where(removed[:, None].to(scorer.x.device), filler, scorer.x)
        losses[piece.start : piece.stop] = scorer.score - scorer.scores(images)
        tick(piece.stop / count)
    return sums, losses


def infidelity(sums: NDArray[np.float64], losses: NDArray[np.float64], scaled: bool = False) -> float:
    """Return the mean squared error of predicted score drops (Yeh et al. 2019, definition 2.1).

    Args:
        sums: (N,), predicted score drops.
        losses: (N,), measured score drops.
        scaled: True to first multiply the predictions by the factor that minimises the error, as in section 2.2.
    """
    power = float(sums @ sums)
    factor = float(losses @ sums) / power if scaled and power > 0 else 1.0
    return float(((factor * sums - losses) ** 2).mean())


def correlation(sums: NDArray[np.float64], losses: NDArray[np.float64]) -> float | None:
    """Return Pearson's correlation; None if either argument is constant up to rounding."""
    if any(np.ptp(each) <= ROUNDING_TOLERANCE * np.abs(each).max() for each in (sums, losses)):
        return None
    return float(np.corrcoef(sums, losses)[0, 1])


def max_sensitivity(
    model: Model,
    x: Tensor,
    method: Method,
    result: Attribution,
    radius: float = 0.02,
    moves: int = 10,
    seed: int = 0,
    on_progress: OnFraction = lambda fraction: None,
) -> float | None:
    """Return the largest relative change of a map when each value of the photo changes by at most `radius`.

    Args:
        model: The model.
        x: (3, H, W), the photo.
        method: The method of the map; its random seed stays the same.
        result: The map of the photo itself.
        radius: In units of pixel value; perturbed photos are not clipped.
        moves: Number of uniform random perturbations; the paper, too, samples to find the largest change.
        seed: Random seed of the perturbations.
        on_progress: Called between chunks with the fraction done; if it raises, the work stops.

    Returns:
        The L2 norm of the change over that of the map; None if the map is zero or a perturbed photo is refused.
    """
    if (size := float(np.linalg.norm(result.values.astype(np.float64)))) == 0:
        return None
    random, largest = torch.Generator().manual_seed(seed), 0.0
    for number in range(moves):
        move = (torch.rand(x.shape, generator=random, dtype=torch.float64) * 2 - 1) * radius

        def progressed(fraction: float, partial: object, number: int = number) -> None:
            on_progress((number + fraction) / moves)

        moved = compare(model, x + move.to(x), [method], result.target, chunk=result.chunk, on_progress=progressed)
        if moved.refusals:
            return None
        change = moved.maps[0].values.astype(np.float64) - result.values
        largest = max(largest, float(np.linalg.norm(change)) / size)
    return largest
