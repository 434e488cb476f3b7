"""The tasks of the challenges: the verdict on an attempt, par values, and a ranking of many attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from attribution.checks.challenges.attempt import CHALLENGES, Attempt
from attribution.checks.challenges.challenge import Judged, Par
from attribution.checks.probe import forecaster
from attribution.checks.ranking import Ranked, ranking
from attribution.network.model import Model
from attribution.result import Attribution
from attribution.settings import digest
from attribution.work.analysis import PageTask
from attribution.work.jobs import Job
from attribution.work.probe import named, prober_of


@dataclass(frozen=True, eq=False)
class JudgeTask(PageTask[Judged]):
    """The verdict on one attempt.

    Attributes:
        attempt: The attempt.
        maps: The maps whose forecasts count.
    """

    attempt: Attempt
    maps: tuple[Attribution, ...]

    @cached_property
    def key(self) -> str:
        return digest("judge", self.analysis.subject, self.attempt, *map(named, self.maps))

    def run(self, model: Model, job: Job[Judged]) -> Judged:
        attempt, prober = self.attempt, prober_of(self.analysis, model)
        made = [forecaster(each, attempt.fill) for each in self.maps]
        return CHALLENGES[attempt.challenge].judge(prober, attempt.cells, attempt.fill, made, attempt.guess)


@dataclass(frozen=True, eq=False)
class ParTask(PageTask[Sequence[Par]]):
    """The par values of a challenge: those that the order of each map achieves.

    Attributes:
        attempt: The page's own, which names the challenge and the fill.
        maps: The maps.
    """

    attempt: Attempt
    maps: tuple[Attribution, ...]

    @cached_property
    def key(self) -> str:
        attempt = self.attempt
        return digest("par", self.analysis.subject, attempt.challenge, attempt.fill, *map(named, self.maps))

    def run(self, model: Model, job: Job[Sequence[Par]]) -> Sequence[Par]:
        def progressed(fraction: float) -> None:
            job.report(fraction, "Measuring par values")

        fill = self.attempt.fill
        made = [forecaster(each, fill) for each in self.maps]
        return CHALLENGES[self.attempt.challenge].par(prober_of(self.analysis, model), fill, made, progressed)


@dataclass(frozen=True, eq=False)
class RankTask(PageTask[Sequence[Ranked]]):
    """The ranking of attempts at one challenge.

    Attributes:
        attempt: The page's own, which names the challenge.
        maps: The maps whose forecasts count.
        attempts: Those to rank, by the names of their authors.
        unread: Sentences on lines that contain no attempt, by their names.
    """

    attempt: Attempt
    maps: tuple[Attribution, ...]
    attempts: tuple[tuple[str, Attempt], ...]
    unread: tuple[tuple[str, str], ...]

    @cached_property
    def key(self) -> str:
        attempts = (each for _, each in self.attempts)
        return digest("ranking", self.analysis.subject, self.attempt.challenge, *map(named, self.maps), *attempts)

    def run(self, model: Model, job: Job[Sequence[Ranked]]) -> Sequence[Ranked]:
        def progressed(fraction: float) -> None:
            job.report(fraction, f"Judging {len(self.attempts)} attempts")

        prober, attempts = prober_of(self.analysis, model), [each for _, each in self.attempts]
        return ranking(prober, self.attempt.challenge, attempts, self.maps, progressed)
