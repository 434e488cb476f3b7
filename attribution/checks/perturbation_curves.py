"""Deletion and insertion: the score while pixels are replaced in the order of a map.

Petsiuk et al. 2018, arXiv:1806.07421. The strongest pixels are replaced first.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.drawing.heatmap import reduce
from attribution.network.scorer import Scorer

TIE_STREAM = 1  # combined with the seed: random stream that breaks ties

OnFraction = Callable[[float], None]  # called with the fraction done; if it raises, the work stops


@dataclass(frozen=True, eq=False)
class Curve:
    """The score as a function of the number of replaced pixels.

    Attributes:
        counts: (N,), numbers of replaced pixels, from 0 to all.
        scores: (N,), scores of the images.
    """

    counts: NDArray[np.int64]
    scores: NDArray[np.float64]

    @property
    def area(self) -> float:
        """The area under the curve over [0, 1], in units of the score, by the trapezoid rule with equal steps."""
        return float((self.scores.sum() - (self.scores[0] + self.scores[-1]) / 2) / (len(self.scores) - 1))


def ranks(values: NDArray[np.floating], reduction: str = "sum_of_absolutes", seed: int = 0) -> NDArray[np.int64]:
    """Return the rank of each pixel in a map.

    Args:
        values: (3, H, W).
        reduction: A key of `heatmap.REDUCTIONS`.
        seed: Random seed for breaking ties; any fixed order would favour one side of the photo.

    Returns:
        (H, W): 0 for the greatest value.
    """
    heat = reduce(values, reduction)
    order = np.lexsort((np.random.default_rng((seed, TIE_STREAM)).random(heat.size), -heat.ravel()))
    places = np.empty(heat.size, np.int64)
    places[order] = np.arange(heat.size)
    return places.reshape(heat.shape)


def changed(start: Tensor, end: Tensor, ranks: NDArray[np.int64], share: float) -> Tensor:
    """Return the start image with a share of its pixels replaced by those of the end image, (3, H, W)."""
    return torch.where(torch.from_numpy(ranks < round(share * ranks.size)).to(start.device), end, start)


def curve(scorer: Scorer, start: Tensor, end: Tensor, ranks: NDArray[np.int64], steps: int, tick: OnFraction) -> Curve:
    """Measure the score while one image is turned into another.

    Args:
        scorer: Scorer of the photo.
        start: (3, H, W).
        end: (3, H, W).
        ranks: (H, W), the order in which the pixels change.
        steps: Maximum number of steps; each but the last changes ceil(H W / steps) pixels.
        tick: Called between chunks with the fraction done.

    Returns:
        The scores from the start image to the end image, both included.
    """
    step = -(-ranks.size // steps)
    counts = np.minimum(np.arange(-(-ranks.size // step) + 1) * step, ranks.size)
    places = torch.from_numpy(ranks).to(scorer.x.device)
    start, end = (each.to(scorer.x) for each in (start, end))
    scores = np.empty(len(counts))
    for piece in scorer.pieces(len(counts)):
        reached = torch.from_numpy(counts[piece.start : piece.stop]).to(places.device)
        images = torch.where((places < reached[:, None, None])[:, None], end, start)
        scores[piece.start : piece.stop] = scorer.scores(images)
        tick(piece.stop / len(counts))
    return Curve(counts, scores)
