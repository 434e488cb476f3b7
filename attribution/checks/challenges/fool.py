"""Fool: the region where a map's forecast is most wrong."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from attribution.baselines.baseline import Baseline
from attribution.checks.challenges.challenge import Challenge, Judged, Par, Tick
from attribution.checks.challenges.orders import Found, Judge, first, pars
from attribution.checks.probe import Forecaster, Prober
from attribution.checks.surroundings import amounts
from attribution.photo.cells import Cells, sums

LIMIT = 0.1  # largest share of the photo that may be covered
PARTS = (0.25, 0.5, 1.0)  # of the limit, which a map's own order covers


class Fool(Challenge):
    """Find a small region whose forecast is far off."""

    key: ClassVar[str] = "fool"
    title: ClassVar[str] = "Fool"
    task: ClassVar[str] = (
        "Cover at most 10% of the photo so that the forecast of some map is as wrong as possible. The map with the "
        "largest error counts."
    )
    better: ClassVar[Literal["less", "more"]] = "more"
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
        del guess
        area = cells.area((prober.x.shape[1], prober.x.shape[2]))
        if not cells.count:
            return Judged(False, None, "Nothing is covered.")
        if area > LIMIT:
            return Judged(False, None, f"{area:.1%} of the photo is covered; at most {LIMIT:.0%} may be.")
        found = prober.probe(cells, fill, forecasters)
        rows = [each for each in found.maps if each.error is not None and each.kind != "tested"]
        if not rows:
            return Judged(
                False,
                None,
                "No map forecasts a number with this fill; add the gradient, or choose a map's own baseline.",
            )
        row = max(rows, key=lambda each: abs(each.error or 0.0))
        error = abs(row.error or 0.0)
        forecast, fact = amounts(prober.target, row.value or 0.0, found.change, signed=True)
        (off,) = amounts(prober.target, error)
        return Judged(
            True, error, f"{row.title} forecasts a change of {forecast}; it is {fact}, so the map is {off} off."
        )

    @classmethod
    def par(
        cls,
        prober: Prober,
        fill: Baseline,
        forecasters: Sequence[Forecaster] = (),
        tick: Tick = lambda fraction: None,
    ) -> list[Par]:
        areas = sums(torch.ones(prober.x.shape[1:])) / (prober.x.shape[1] * prober.x.shape[2])

        def search(values: NDArray[np.float64], judge: Judge) -> Found:
            covered = np.cumsum(areas[np.argsort(-values, kind="stable")])
            regions = [first(values, int(np.searchsorted(covered, part * LIMIT, side="right"))) for part in PARTS]
            found = [(cells, judge(cells)) for cells in regions]
            valid = [each for each in found if each[1].valid]
            return max(valid, key=lambda each: each[1].value or 0.0, default=None)

        def judge(cells: Cells) -> Judged:
            return cls.judge(prober, cells, fill, forecasters)

        return pars(forecasters, judge, search, cls.better, len(PARTS), tick)
