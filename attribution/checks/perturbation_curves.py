"""Deletion, insertion and ROAD: the score while pixels are replaced in the order of a map.

Petsiuk et al. 2018, arXiv:1806.07421; Rong et al. 2022, arXiv:2202.00449. The strongest pixels are replaced first.
Their evaluations score an image after every step; here a few are scored first, and more where the curve bends.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.checks.imputation import impute
from attribution.drawing.heatmap import reduce
from attribution.network.scorer import Scorer

TIE_STREAM = 1  # combined with the seed: random stream that breaks ties
FIRST_CELLS = 5  # cells of a curve before the first refinement
CELLS_PER_ROUND = 2  # cells of a curve halved per round

OnFraction = Callable[[float], None]  # called with the fraction done; if it raises, the work stops


@dataclass(frozen=True, eq=False)
class Curve:
    """The score as a function of the number of replaced pixels.

    Attributes:
        counts: (N,), numbers of replaced pixels, ascending from 0 to all.
        scores: (N,), scores of the images.
        step: Number of pixels of one step; nothing is measured between two counts that are one step apart. Default: 0,
            which is smaller than any distance.
    """

    counts: NDArray[np.int64]
    scores: NDArray[np.float64]
    step: int = 0

    @property
    def area(self) -> float:
        """The area under the curve over [0, 1], in units of the score, by the trapezoid rule."""
        return float(np.trapezoid(self.scores, self.counts / self.counts[-1]))

    @property
    def error(self) -> float:
        """The estimated standard error of the area, relative to the curve with every step; 0 if it has them all."""
        return float(np.sqrt((self.doubts**2).sum()))

    @property
    def range(self) -> float:
        """The difference between the highest and the lowest score."""
        return float(np.ptp(self.scores))

    @property
    def doubts(self) -> NDArray[np.float64]:
        """The standard error of each cell's area, (N - 1,).

        Between two measured points the curve is taken for a Brownian bridge, whose mean is the straight line and whose
        integral over a width w has the variance v w^3 / 12. The variance v per unit of width is the squared change of
        the cell itself, or the mean with those of its neighbours if that is larger, each divided by its width.
        """
        widths = np.diff(self.counts) / self.counts[-1]
        own = np.diff(self.scores) ** 2 / widths
        around = np.pad(own, 1, mode="edge")
        variances = np.maximum(own, (around[:-2] + 2 * own + around[2:]) / 4)
        return np.where(np.diff(self.counts) <= self.step, 0.0, np.sqrt(variances * widths**3 / 12))

    def at(self, count: float) -> float:
        """Return the score at any number of replaced pixels, interpolated between the measured ones."""
        return float(np.interp(count, self.counts, self.scores))

    def with_points(self, counts: Sequence[int], scores: Sequence[float]) -> "Curve":
        """Return the curve with further points."""
        together = np.append(self.counts, counts)
        order = np.argsort(together)
        return replace(self, counts=together[order], scores=np.append(self.scores, scores)[order])


@dataclass(frozen=True, eq=False)
class Change:
    """One image that turns into another, pixel by pixel.

    Attributes:
        start: (3, H, W).
        end: (3, H, W).
        ranks: (H, W), the order in which the pixels change.
        steps: Maximum number of steps; each but the last changes ceil(H W / steps) pixels.
    """

    start: Tensor
    end: Tensor
    ranks: NDArray[np.int64]
    steps: int

    @property
    def step(self) -> int:
        """Pixels of one step."""
        return -(-self.ranks.size // self.steps)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """The number of changed pixels after each step, from 0 to all."""
        return np.minimum(np.arange(-(-self.ranks.size // self.step) + 1) * self.step, self.ranks.size)

    @property
    def ends(self) -> tuple[tuple[Tensor, int], tuple[Tensor, int]]:
        """The first and the last image, each with its number of changed pixels."""
        return (self.start, 0), (self.end, self.ranks.size)

    def image(self, count: int) -> Tensor:
        """Return the image with this number of changed pixels, (3, H, W)."""
        return changed(self.start, self.end, self.ranks, count / self.ranks.size)

    @property
    def first(self) -> NDArray[np.int64]:
        """The counts of the first round, evenly spaced."""
        steps = len(self.counts) - 1
        first: NDArray[np.int64] = self.counts[
            np.unique(np.linspace(0, steps, min(FIRST_CELLS, steps) + 1).round().astype(int))
        ]
        return first

    def wanted(self, curve: Curve, tolerance: float) -> list[int]:
        """Return the counts to measure next, in the middle of the cells with the largest doubts.

        Args:
            curve: The curve so far; each cell spans whole steps.
            tolerance: As for `curves`.

        Returns:
            At most CELLS_PER_ROUND counts; none if the curve is final.
        """
        splittable = np.flatnonzero(np.diff(curve.counts) > self.step)
        if not len(splittable) or curve.error < tolerance * curve.range:
            return []
        places = np.searchsorted(self.counts, curve.counts)
        cells = splittable[np.argsort(-curve.doubts[splittable], kind="stable")][:CELLS_PER_ROUND]
        return [int(self.counts[(places[cell] + places[cell + 1]) // 2]) for cell in cells]


@dataclass(frozen=True, eq=False)
class Imputation(Change):
    """A photo whose pixels are replaced by noisy linear imputation, as in ROAD.

    Attributes:
        seed: Random seed of the noise.
    """

    seed: int

    def image(self, count: int) -> Tensor:
        return imputed(self.start, self.ranks, count / self.ranks.size, self.seed)


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


def imputed(photo: Tensor, ranks: NDArray[np.int64], share: float, seed: int) -> Tensor:
    """Return the photo with a share of its pixels replaced by noisy linear imputation, (3, H, W)."""
    found = impute(photo.cpu().numpy(), ranks < round(share * ranks.size), seed=seed)
    return torch.from_numpy(found).to(photo)


def curves(
    scorer: Scorer,
    changes: Sequence[Change],
    tolerance: float,
    known: Sequence[Curve | None],
    tick: Callable[[int], None],
) -> Iterator[list[Curve]]:
    """Measure the score during several changes, all at a time: coarsely first, then where the curves bend.

    The points of a curve depend neither on the other curves nor on what is known.

    Args:
        scorer: Scorer of the photo.
        changes: The changes; an image that several of them start or end with is scored once.
        tolerance: Accepted standard error of an area, as a share of the curve's score range; 0 for every step.
        known: For each change, an earlier curve to continue, or None.
        tick: Called between chunks with the number of images in the chunk.

    Yields:
        All curves so far, after every round.
    """

    def scores(points: Sequence[tuple[Change, int]]) -> list[float]:
        found: list[float] = []
        for piece in scorer.pieces(len(points)):
            images = [change.image(count) for change, count in points[piece.start : piece.stop]]
            found += scorer.scores(torch.stack(images)).tolist()
            tick(len(piece))
        return found

    new = [change for change, curve in zip(changes, known, strict=True) if curve is None]
    ends = {id(image): (change, count) for change in new for image, count in change.ends}
    inside = [(change, int(count)) for change in new for count in change.first[1:-1]]
    measured = iter(scores([*ends.values(), *inside]))
    end_scores = dict(zip(ends, measured, strict=False))
    found = []
    for change, curve in zip(changes, known, strict=True):
        if curve is None:
            start, end = (end_scores[id(image)] for image, _ in change.ends)
            between = list(islice(measured, len(change.first) - 2))
            curve = Curve(change.first, np.array([start, *between, end]), change.step)
        found.append(curve)
    yield list(found)
    while True:
        wanted = {place: change.wanted(found[place], tolerance) for place, change in enumerate(changes)}
        points = [(changes[place], count) for place, counts in wanted.items() for count in counts]
        if not points:
            return
        measured = iter(scores(points))
        for place, counts in wanted.items():
            if counts:
                found[place] = found[place].with_points(counts, list(islice(measured, len(counts))))
        yield list(found)
