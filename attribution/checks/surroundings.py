"""Surroundings of a probe: is the change about the region, or about what covers it and how large it is?

The region is covered with three fills, and copies of its shape are covered elsewhere in the photo. A change that
another fill does not repeat, or that the same shape causes anywhere, says little about what the region shows.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attribution.baselines.baseline import Baseline
from attribution.baselines.constant import Grey
from attribution.baselines.photo import Blur, PhotoMean
from attribution.checks.probe import Answer, Prober
from attribution.photo.cells import GRID, Cells
from attribution.targets.target import Target

PLACES = 8  # copies of the shape, at most
MOST_OVERLAP = 0.5  # share of the shape's cells that a copy may have in common with the region
AGREEMENT = 0.5  # smallest over largest change of fills that agree
# A change is tiny below these shares of the largest change measured, and of the photo's score: with them, a probability
# of 0.8 that falls to 0.1 when all is covered changes noticeably from 0.007.
TINY_CHANGE, TINY_SCORE = 0.01, 0.001


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Changes of the score when a region is covered with three fills, and when its shape is covered elsewhere.

    Attributes:
        target: The explained class and score.
        cells: The region.
        fills: What covers it, the chosen one first.
        before: Score of the photo.
        changes: Change of the score for the region, in its unit, per fill.
        places: Copies of the shape elsewhere, at most eight; none if the region is empty or too large.
        elsewhere: Change of the score for each copy, in its unit, per fill.
        whole: Change of the score when all cells are covered with the chosen fill.
        background: What the network makes of the completely covered photo, as a sentence.
    """

    target: Target
    cells: Cells
    fills: tuple[Baseline, ...]
    before: float
    changes: tuple[float, ...]
    places: tuple[Cells, ...]
    elsewhere: tuple[tuple[float, ...], ...]
    whole: float
    background: str

    @property
    def average(self) -> float:
        """The mean change of the score for the copies, with the chosen fill; NaN without copies."""
        return float(np.mean(self.elsewhere[0])) if self.places else math.nan

    @property
    def threshold(self) -> float:
        """The size below which a change is tiny, in the unit of the score."""
        measured = [self.whole, *self.changes, *(change for row in self.elsewhere for change in row)]
        return max(TINY_CHANGE * max(map(abs, measured)), TINY_SCORE * abs(self.before))

    @property
    def tiny(self) -> bool:
        """True if the change is tiny with every fill."""
        return all(abs(change) <= self.threshold for change in self.changes)

    @property
    def agree(self) -> bool:
        """True if all changes are tiny, or have one sign and the smallest is at least half of the largest."""
        sizes = [abs(change) for change in self.changes]
        one_sign = min(self.changes) >= 0 or max(self.changes) <= 0
        return self.tiny or (one_sign and min(sizes) >= AGREEMENT * max(sizes))

    @property
    def sentences(self) -> tuple[str, ...]:
        """The findings, one short sentence per question."""
        if not self.cells.count:
            return "Nothing is covered.", self.background
        return self._of_fills, self._of_places, self.background

    @property
    def _of_fills(self) -> str:
        order = sorted(range(len(self.fills)), key=lambda place: abs(self.changes[place]))
        small, large = order[0], order[-1]
        texts = amounts(self.target, *self.changes, signed=True)
        if self.agree:
            span = texts[small] if texts[small] == texts[large] else f"{texts[small]} to {texts[large]}"
            start = "The change is tiny with all three fills" if self.tiny else "All three fills agree"
            return f"{start}: {span}."
        if min(self.changes) < 0 < max(self.changes):
            small, large = (self.changes.index(pick(self.changes)) for pick in (max, min))
        found = ", ".join(f"{self.fills[place].title.lower()}: {texts[place]}" for place in (large, small))
        return f"The fills disagree ({found}): this is about the fill as much as about what it hides."

    @property
    def _of_places(self) -> str:
        if not self.places:
            return "The region is too large to cover its shape elsewhere."
        here, there = self.changes[0], self.average
        places = f"{len(self.places)} places" if len(self.places) > 1 else "1 place"
        if here <= 0 and there <= 0:
            cost, usual = amounts(self.target, -here, -there)
            return f"Elsewhere the same shape costs {usual} on average ({places}), here {cost}."
        change, usual = amounts(self.target, here, there, signed=True)
        return f"Elsewhere the same shape changes the score by {usual} on average ({places}), here by {change}."


def surroundings(
    prober: Prober,
    cells: Cells,
    fill: Baseline,
    on_progress: Callable[[float], None] = lambda fraction: None,
    whole: Answer | None = None,
) -> Surroundings:
    """Cover a region with three fills, and its shape at up to eight other places: at most 27 images.

    Args:
        prober: The photo.
        cells: The region.
        fill: The chosen fill.
        on_progress: Called between pieces with the fraction done; if it raises, the work stops.
        whole: The answer to the photo with all cells covered by the chosen fill, if it is known; else one more image.
    """
    whole = whole or prober.whole(fill)
    fills = three_fills(fill)
    places = copies(cells)
    regions = [(each, covers) for covers in fills for each in (cells, *places)]
    answers = prober.answers(regions if cells.count else [], on_progress)
    before = prober.before.score
    changes = [answer.score - before for answer in answers] or [0.0] * len(fills)
    rows = np.reshape(changes, (len(fills), -1)).tolist()
    return Surroundings(
        prober.target,
        cells,
        fills,
        before,
        tuple(row[0] for row in rows),
        places,
        tuple(tuple(row[1:]) for row in rows),
        whole.score - before,
        _background(prober, whole),
    )


def three_fills(fill: Baseline) -> tuple[Baseline, Baseline, Baseline]:
    """Return a fill and the first two of blurred photo, photo's mean and grey that are of another class."""
    first, second = [other for other in (Blur(), PhotoMean(), Grey()) if type(other) is not type(fill)][:2]
    return fill, first, second


def copies(cells: Cells) -> tuple[Cells, ...]:
    """Return copies of a shape elsewhere on the grid, spread out, the same ones for the same shape.

    Each next copy is the farthest one from the region and from the copies before it, where the distance counts less the
    more of its cells are in the region.

    Returns:
        At most eight; none without cells, and none that have more than half of their cells in the region.
    """
    shape = cells.grid
    rows, columns = (np.nonzero(shape.any(axis))[0] for axis in (1, 0))
    if not len(rows):
        return ()
    moves = [
        (down, across)
        for down in range(-int(rows[0]), GRID - int(rows[-1]))
        for across in range(-int(columns[0]), GRID - int(columns[-1]))
        if _overlap(shape, down, across) <= MOST_OVERLAP * cells.count
    ]
    offsets = np.array(moves).reshape(-1, 2)
    outside = np.array([1 - _overlap(shape, *move) / cells.count for move in moves])
    distances: NDArray[np.float64] = np.hypot(*offsets.T)
    found: list[Cells] = []
    while len(found) < min(PLACES, len(moves)):
        down, across = offsets[np.argmax(distances * outside)]
        found.append(Cells.of(np.roll(shape, (down, across), (0, 1))))
        distances = np.minimum(distances, np.hypot(*(offsets - (down, across)).T))
    return tuple(found)


def _overlap(shape: NDArray[np.bool_], down: int, across: int) -> int:
    """Return the number of cells of a shape that are also in its copy."""
    here = shape[max(down, 0) : GRID + min(down, 0), max(across, 0) : GRID + min(across, 0)]
    there = shape[max(-down, 0) : GRID + min(-down, 0), max(-across, 0) : GRID + min(-across, 0)]
    return int(np.count_nonzero(here & there))


def _background(prober: Prober, answer: Answer) -> str:
    index = int(answer.shares.argmax())
    name, share = prober.model.classes[index], float(answer.shares[index])
    if prober.model.output.has_shares:
        return f"The network calls the completely covered photo '{name}' ({share:.0%})."
    return f"For the completely covered photo, the network returns {prober.target.predicted(index, name, share)}."


def amounts(target: Target, *values: float, signed: bool = False) -> list[str]:
    """Format values of a score with its unit, with three digits each.

    Args:
        target: The score.
        values: The values, in its unit.
        signed: True to show the sign of positive values, as for changes. Default: False.
    """
    unit = "" if target.unit in ("", target.kind.title.lower()) else f" {target.unit}"
    texts = (f"{value:{'+' if signed else ''}#.3g}".rstrip(".") if value else "0" for value in values)
    return [f"{text}{unit}" for text in texts]
