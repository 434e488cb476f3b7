"""Fool: the region where a map's forecast is most wrong."""

from typing import ClassVar, Literal

from attribution.checks.challenges.challenge import Challenge


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
