"""Keep: the smallest box that is enough for the class."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from attribution.baselines.baseline import Baseline
from attribution.checks.challenges.challenge import Challenge, Judged, Par, Tick
from attribution.checks.challenges.classes import NO_CLASS, has_classes, kept, name
from attribution.checks.challenges.orders import Found, Judge, pars, smallest, square, steps
from attribution.checks.probe import Forecaster, Prober
from attribution.photo.cells import GRID, Cells

MOVES = {"": (0, 0), "up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}


class Keep(Challenge):
    """Keep the predicted class with as small a box as possible."""

    key: ClassVar[str] = "keep"
    title: ClassVar[str] = "Keep"
    task: ClassVar[str] = (
        "Cover everything except one box, as small as possible, so that the network still predicts the same class. It "
        "must also do so when the box moves by one cell in each direction."
    )
    better: ClassVar[Literal["less", "more"]] = "less"
    unit: ClassVar[Literal["area", "score"]] = "area"

    @classmethod
    def judge(
        cls,
        prober: Prober,
        cells: Cells,
        fill: Baseline,
        forecasters: Sequence[Forecaster] = (),
        guess: float | None = None,
    ) -> Judged:
        del forecasters, guess
        if not has_classes(prober):
            return Judged(False, None, NO_CLASS)
        box = cells.others
        if not cells.count or not box.count or not _is_box(box):
            return Judged(False, None, "The uncovered cells must be one box; cover everything else.")
        before, area = name(prober, prober.before), box.area((prober.x.shape[1], prober.x.shape[2]))
        if kept(prober, prober.whole(fill)):
            return Judged(
                False, area, f"Even the completely covered photo is {before} with this fill; choose another one."
            )
        boxes = {word: moved for word, move in MOVES.items() if (moved := box.moved(*move))}
        answers = dict(zip(boxes, prober.answers([(each.others, fill) for each in boxes.values()]), strict=True))
        if not kept(prober, answers[""]):
            return Judged(False, area, f"The box alone is called {name(prober, answers[''])}, not {before}.")
        if lost := [word for word, answer in answers.items() if not kept(prober, answer)]:
            words = " or ".join(lost)
            return Judged(False, area, f"The box alone is {before}, but not when it moves {words} by one cell.")
        return Judged(True, area, f"A box of {area:.1%} of the photo is enough for {before}, also when it moves.")

    @classmethod
    def par(
        cls,
        prober: Prober,
        fill: Baseline,
        forecasters: Sequence[Forecaster] = (),
        tick: Tick = lambda fraction: None,
    ) -> list[Par]:
        def search(values: NDArray[np.float64], judge: Judge) -> Found:
            return smallest(lambda side: square(values, side).others, GRID, judge)

        return pars(forecasters, lambda cells: cls.judge(prober, cells, fill), search, cls.better, steps(GRID), tick)


def _is_box(cells: Cells) -> bool:
    """True if cells fill a rectangle."""
    grid = cells.grid
    height, width = (np.ptp(np.nonzero(grid.any(axis))[0]) + 1 for axis in (1, 0))
    return bool(height * width == cells.count)
