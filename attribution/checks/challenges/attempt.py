"""An attempt: what is covered, by what, and for which challenge, as links and files contain it; and the registry."""

from dataclasses import dataclass
from typing import ClassVar

from attribution.baselines.baseline import Baseline
from attribution.baselines.covered import FILLS
from attribution.baselines.photo import Blur
from attribution.checks.challenges.challenge import Challenge
from attribution.photo.cells import Cells, CellsSetting
from attribution.registry import discover
from attribution.settings import Choice, Configurable, OptionalNumber, Part, setting

CHALLENGES: dict[str, type[Challenge]] = discover(__package__ or "", Challenge)  # type: ignore[type-abstract]
FREE = "free"  # no challenge
LARGEST_GUESS = 1e9  # in the unit of the score


@dataclass(frozen=True)
class Attempt(Configurable):
    """A covered photo.

    Attributes:
        cells: The covered cells. Default: none.
        fill: What covers them, an instance of a class in FILLS. Default: the blurred photo.
        challenge: A key of CHALLENGES, or "free". Default: free.
        guess: Guessed score of the covered photo, in its unit. Default: None.
    """

    key: ClassVar[str] = "probe"
    title: ClassVar[str] = "Probe"

    cells: Cells = setting(CellsSetting("Cells that are covered.", shown=False), Cells())
    fill: Baseline = setting(Part("Image that covers them.", FILLS), Blur())
    challenge: str = setting(
        Choice(
            "Task to solve.",
            (FREE, *CHALLENGES),
            {FREE: "None", **{key: challenge.title for key, challenge in CHALLENGES.items()}},
        ),
        FREE,
    )
    guess: float | None = setting(
        OptionalNumber("Guessed score of the covered photo.", -LARGEST_GUESS, LARGEST_GUESS, shown=False), None
    )
