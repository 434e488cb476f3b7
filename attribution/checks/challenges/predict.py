"""Predict: a guess of the new score before it is shown."""

from collections.abc import Sequence
from itertools import product
from typing import ClassVar, Literal

import numpy as np

from attribution.baselines.baseline import Baseline
from attribution.checks.challenges.challenge import Challenge, Judged, Par, Tick
from attribution.checks.probe import CONTROL, Forecaster, Prober
from attribution.checks.surroundings import amounts
from attribution.photo.cells import Cells

BOXES = tuple(Cells.box(left, top, 9, 9) for top, left in product((0, 10, 19), repeat=2))  # a tenth of the photo each


class Predict(Challenge):
    """Guess the score of the covered photo."""

    key: ClassVar[str] = "predict"
    title: ClassVar[str] = "Predict"
    task: ClassVar[str] = (
        "Cover a region and guess the new score before it is shown. Your error is compared with that of every map."
    )
    better: ClassVar[Literal["less", "more"]] = "less"
    hides: ClassVar[bool] = True
    unit: ClassVar[Literal["area", "score"]] = "score"

    @classmethod
    def judge(
        cls,
        prober: Prober,
        cells: Cells,
        fill: Baseline,
        forecasters: Sequence[Forecaster] = (),
        guess: float | None = None,
    ) -> Judged:
        if not cells.count:
            return Judged(False, None, "Nothing is covered.")
        if guess is None:
            return Judged(False, None, "No score was guessed.")
        found, target = prober.probe(cells, fill, forecasters), prober.target
        error = abs(guess - found.after)
        off, guessed, fact = amounts(target, error, guess, found.after)
        errors = [abs(each.error) for each in (*found.maps, found.control) if each.error is not None]
        better = sum(other < error for other in errors)
        return Judged(
            True,
            error,
            f"You guessed {guessed}, the score is {fact}: {off} off. The best forecast ({found.best.title}) is "
            f"{amounts(target, min(errors))[0]} off; {better} of {len(errors)} are closer than you.",
        )

    @classmethod
    def par(
        cls,
        prober: Prober,
        fill: Baseline,
        forecasters: Sequence[Forecaster] = (),
        tick: Tick = lambda fraction: None,
    ) -> list[Par]:
        """Measure the median error of every forecast over nine boxes that divide the photo; `Par.cells` is None."""
        errors: list[list[float]] = [[] for _ in (*forecasters, CONTROL)]
        titles = [each.title for each in forecasters]
        for place, box in enumerate(BOXES):
            found = prober.probe(box, fill, forecasters)
            for row, known in zip((*found.maps, found.control), errors, strict=True):
                known += [] if row.error is None else [abs(row.error)]
            tick((place + 1) / len(BOXES))
        return [
            Par(title, None, float(np.median(known)) if known else None)
            for title, known in zip((*titles, CONTROL), errors, strict=True)
        ]
