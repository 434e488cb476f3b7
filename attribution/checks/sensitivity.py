"""Sensitivity-n, infidelity and max-sensitivity: predictions of a map, and its robustness.

Sensitivity-n (Ancona et al. 2018, arXiv:1711.06104): over random sets of n pixels, the correlation between the sum of a
set in the map and the score lost without the set. Infidelity and max-sensitivity (Yeh et al. 2019, arXiv:1901.09392):
the squared error of the map's prediction of such losses, and the change of the map when the photo hardly changes.
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

ROUNDING = 1e-12  # range of values, over the largest, that counts as rounding
MAX_SQUARE = 0.25  # side of the largest square of infidelity, over the photo's


def sets(size: tuple[int, int], share: float, random: np.random.Generator) -> Iterator[Tensor]:
    """Yield random sets of a share of all pixels, of at least one, without end."""
    count, pixels = max(1, round(share * size[0] * size[1])), size[0] * size[1]
    while True:
        mask = np.zeros(pixels, bool)
        mask[random.choice(pixels, count, replace=False)] = True
        yield torch.from_numpy(mask.reshape(size))


def squares(size: tuple[int, int], random: np.random.Generator) -> Iterator[Tensor]:
    """Yield squares inside the photo, of a random side up to MAX_SQUARE, at a random position, without end."""
    while True:
        side = int(random.integers(1, max(2, round(MAX_SQUARE * min(size)) + 1)))
        top, left = (int(random.integers(0, each - side + 1)) for each in size)
        mask = torch.zeros(size, dtype=torch.bool)
        mask[top : top + side, left : left + side] = True
        yield mask


def sums_and_losses(
    scorer: Scorer, filler: Tensor, weights: Tensor, masks: Iterator[Tensor], count: int, tick: OnFraction
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums of maps over sets of pixels, and the score lost without each set.

    Args:
        scorer: Scorer of the photo.
        filler: (3, H, W), replaces a set.
        weights: (M, H, W), the maps in units of the score, float64.
        masks: (H, W) each, True in the set.
        count: Number of masks.
        tick: Called between chunks.

    Returns:
        (count, M) and (count,).
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
    """Return the mean squared error of a prediction (Yeh et al. 2019, definition 2.1).

    Args:
        sums: (N,), the losses that the map predicts.
        losses: (N,), the losses of the score.
        scaled: True if the prediction is first multiplied by the factor that minimises the error, as in section 2.2.
    """
    power = float(sums @ sums)
    factor = float(losses @ sums) / power if scaled and power > 0 else 1.0
    return float(((factor * sums - losses) ** 2).mean())


def correlation(sums: NDArray[np.float64], losses: NDArray[np.float64]) -> float | None:
    """Return Pearson's correlation; None where one of them is constant up to rounding."""
    if any(np.ptp(each) <= ROUNDING * np.abs(each).max() for each in (sums, losses)):
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
    """Return the largest change of a map when each value of the photo changes by at most `radius`.

    Args:
        model: The model.
        x: (3, H, W), the photo.
        method: The method of the map; its own seed stays the same.
        result: The map of the photo itself.
        radius: In units of pixel value; perturbed photos are not clipped.
        moves: Number of uniform random perturbations; the paper searches for the largest change by such samples too.
        seed: Seed of the perturbations.
        on_progress: Called between chunks with the fraction done; if it raises, the work stops.

    Returns:
        The change over the norm of the map, both L2; None where the map is 0 everywhere, or a photo is refused.
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
