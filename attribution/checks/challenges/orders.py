"""Orders of the cells, from maps and at random, and the search for the smallest region that fulfils a task.

A search halves the interval, so that it measures tens of images. It finds a region that fulfils the task and a smaller
one of the same order that does not; where the task is fulfilled now and then, there may be a still smaller one.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from attribution.checks.challenges.challenge import Judged, Par, Tick
from attribution.checks.probe import Forecaster
from attribution.methods import METHODS
from attribution.photo.cells import GRID, Cells, sums

RANDOM = "Random order"
SEEDS = (0, 1, 2)  # of the random orders, of which the median counts

Judge = Callable[[Cells], Judged]
Found = tuple[Cells, Judged] | None  # a region that fulfils the task


def importance(each: Forecaster) -> NDArray[np.float64]:
    """Return the importance of every cell by a map, (784,): the fall of the score that it forecasts.

    Without a forecast, it is the sum of the values for maps with a sign, and of their sizes for others.
    """
    if each.changes is not None:
        return -each.changes
    signed = METHODS[each.result.method].signed
    return sums(torch.from_numpy(each.result.values).sum(0)) if signed else each.sizes


def chance(seed: int) -> NDArray[np.float64]:
    """Return random importances, (784,), in [0, 1)."""
    return np.random.default_rng(seed).random(GRID * GRID)


def first(values: NDArray[np.float64], count: int) -> Cells:
    """Return the most important cells.

    Args:
        values: (784,), importance.
        count: Number of cells.
    """
    chosen = np.zeros(GRID * GRID, dtype=bool)
    chosen[np.argsort(-values, kind="stable")[:count]] = True
    return Cells.of(chosen.reshape(GRID, GRID))


def square(values: NDArray[np.float64], side: int) -> Cells:
    """Return the square of the largest sum of importance; the first, if there are several.

    Args:
        values: (784,), importance.
        side: In cells.
    """
    corner = np.pad(values.reshape(GRID, GRID).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    total = corner[side:, side:] - corner[:-side, side:] - corner[side:, :-side] + corner[:-side, :-side]
    top, left = divmod(int(total.argmax()), total.shape[1])
    return Cells.box(left, top, side, side)


def smallest(region: Callable[[int], Cells], most: int, judge: Judge) -> Found:
    """Search for the smallest size below `most` whose region fulfils a task; None if the search finds none.

    Args:
        region: Returns the region of a size.
        most: A size above 0, which is not judged.
        judge: Judges a region.
    """
    low, high, found = 0, most, None
    while high - low > 1:
        middle = (low + high) // 2
        cells = region(middle)
        if (judged := judge(cells)).valid:
            high, found = middle, (cells, judged)
        else:
            low = middle
    return found


def steps(most: int) -> int:
    """Return the largest number of regions that `smallest` judges."""
    return math.ceil(math.log2(most))


def pars(
    forecasters: Sequence[Forecaster],
    judge: Judge,
    search: Callable[[NDArray[np.float64], Judge], Found],
    better: Literal["less", "more"],
    most: int,
    tick: Tick,
) -> list[Par]:
    """Search with the order of every map, and with random orders, of which the median counts.

    Args:
        forecasters: The maps.
        judge: Judges a region.
        search: Searches in one order of importance, (784,), with the function that judges.
        better: As in `Challenge`.
        most: Largest number of regions that one search judges.
        tick: Called after each region with the fraction done.
    """
    orders = [(each.title, importance(each)) for each in forecasters] + [(RANDOM, chance(seed)) for seed in SEEDS]
    found: list[Par] = []
    done = 0  # regions of the current search

    def counted(cells: Cells) -> Judged:
        nonlocal done
        judged = judge(cells)
        done += 1
        tick((len(found) + min(1.0, done / most)) / len(orders))
        return judged

    for title, values in orders:
        done = 0
        best = search(values, counted)
        found.append(Par(title, best[0], best[1].value) if best else Par(title, None, None))
        tick(len(found) / len(orders))
    sign = 1 if better == "less" else -1
    maps, by_chance = found[: len(forecasters)], found[len(forecasters) :]
    by_chance.sort(key=lambda each: math.inf if each.value is None else sign * each.value)
    return [*maps, by_chance[len(by_chance) // 2]]
