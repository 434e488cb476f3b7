"""Flip: the smallest region on which the class depends."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from attribution.baselines.baseline import Baseline
from attribution.checks.challenges.challenge import Challenge, Judged, Par, Tick
from attribution.checks.challenges.classes import NO_CLASS, has_classes, kept, name
from attribution.checks.challenges.orders import Found, Judge, first, pars, smallest, steps
from attribution.checks.probe import Forecaster, Prober
from attribution.checks.surroundings import three_fills
from attribution.photo.cells import ALL, Cells


class Flip(Challenge):
    """Change the predicted class by covering as little as possible."""

    key: ClassVar[str] = "flip"
    title: ClassVar[str] = "Flip"
    task: ClassVar[str] = (
        "Cover as little as possible so that the network predicts another class. It must do so with three fills: yours "
        "and two others."
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
        if not cells.count:
            return Judged(False, None, "Nothing is covered.")
        fills, before = three_fills(fill), name(prober, prober.before)
        answers = prober.answers([(cells, each) for each in fills])
        area = cells.area((prober.x.shape[1], prober.x.shape[2]))
        same = [each for each, answer in zip(fills, answers, strict=True) if kept(prober, answer)]
        if not same:
            others = list(dict.fromkeys(name(prober, answer) for answer in answers))
            becomes = (
                others[0] if len(others) == 1 else f"{', '.join(others[:-1])} or {others[-1]}, depending on the fill"
            )
            return Judged(True, area, f"With {area:.1%} covered, {before} becomes {becomes}.")
        sentence = f"It is still {before} with {_listed(same)}."
        if hopeless := [each for each in same if kept(prober, prober.whole(each))]:
            sentence += f" Even the completely covered photo is {before} with {_listed(hopeless)}."
        return Judged(False, area, sentence)

    @classmethod
    def par(
        cls,
        prober: Prober,
        fill: Baseline,
        forecasters: Sequence[Forecaster] = (),
        tick: Tick = lambda fraction: None,
    ) -> list[Par]:
        def judge(cells: Cells) -> Judged:
            return cls.judge(prober, cells, fill)

        whole = judge(ALL)

        def search(values: NDArray[np.float64], judge: Judge) -> Found:
            if not whole.valid:  # nothing to halve: if a smaller region flips, then by accident
                return None
            return smallest(lambda count: first(values, count), ALL.count, judge) or (ALL, whole)

        return pars(forecasters, judge, search, cls.better, steps(ALL.count), tick)


def _listed(fills: Sequence[Baseline]) -> str:
    return ("these fills: " if len(fills) > 1 else "this fill: ") + ", ".join(each.title.lower() for each in fills)
