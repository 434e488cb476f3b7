"""The interface of a challenge: a task for a region and its fill, judged by the network."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from attribution.baselines.baseline import Baseline
from attribution.checks.probe import Forecaster, Prober
from attribution.photo.cells import Cells

Tick = Callable[[float], None]  # called between images with the fraction done; if it raises, the work stops


@dataclass(frozen=True)
class Judged:
    """The verdict on one attempt.

    Attributes:
        valid: True if the task is fulfilled.
        value: The measured quantity, by which valid attempts are ranked; None if there is none.
        sentence: The verdict in words.
    """

    valid: bool
    value: float | None
    sentence: str


@dataclass(frozen=True)
class Par:
    """The value that an order of the cells achieves.

    Attributes:
        title: Title of the map, or "Random order".
        cells: The covered cells that achieve it; None if none do.
        value: As in `Judged`; None if there is none.
    """

    title: str
    cells: Cells | None
    value: float | None


class Challenge(ABC):
    """A challenge.

    Attributes:
        key: Name in links.
        title: Name on the page.
        task: Two sentences that describe it.
        better: "less" if a smaller value is better, else "more".
        hides: True if the answer of the network stays hidden until there is a guess. Default: False.
        unit: "area" if the value is a share of the area, else "score", in the unit of the score.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    task: ClassVar[str]
    better: ClassVar[Literal["less", "more"]]
    unit: ClassVar[Literal["area", "score"]]
    hides: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def judge(
        cls,
        prober: Prober,
        cells: Cells,
        fill: Baseline,
        forecasters: Sequence[Forecaster] = (),
        guess: float | None = None,
    ) -> Judged:
        """Judge one attempt.

        Args:
            prober: The photo.
            cells: The covered cells.
            fill: What covers them.
            forecasters: Maps of the photo under this fill. Default: none.
            guess: Guessed score of the covered photo, in its unit. Default: none.
        """

    @classmethod
    @abstractmethod
    def par(
        cls,
        prober: Prober,
        fill: Baseline,
        forecasters: Sequence[Forecaster] = (),
        tick: Tick = lambda fraction: None,
    ) -> list[Par]:
        """Measure what each map's own order achieves, and a random one.

        Args:
            prober: The photo.
            fill: What covers the cells.
            forecasters: Maps of the photo under this fill. Default: none.
            tick: Called between images with the fraction done; if it raises, the work stops.
        """
