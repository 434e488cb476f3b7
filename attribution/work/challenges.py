"""The tasks of the challenges: the verdict on an attempt, par values, and a ranking of many attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from attribution.checks.challenges.attempt import CHALLENGES, Attempt
from attribution.checks.challenges.challenge import Judged, Par
from attribution.checks.ranking import Ranked, ranking
from attribution.network.model import Model
from attribution.settings import digest
from attribution.work.analysis import PageTask
from attribution.work.jobs import Job
from attribution.work.probe import forecasters_of, maps_of, prober_of


@dataclass(frozen=True, eq=False)
class JudgeTask(PageTask[Judged]):
    """The verdict on one attempt."""

    attempt: Attempt

    @cached_property
    def key(self) -> str:
        return digest("judge", self.analysis.own_key, self.attempt)

    def run(self, model: Model, job: Job[Judged]) -> Judged:
        attempt, prober = self.attempt, prober_of(self.analysis, model)
        maps = forecasters_of(self.analysis, attempt.fill)
        return CHALLENGES[attempt.challenge].judge(prober, attempt.cells, attempt.fill, maps, attempt.guess)


@dataclass(frozen=True, eq=False)
class ParTask(PageTask[Sequence[Par]]):
    """The par values of a challenge: those that the order of each map achieves."""

    attempt: Attempt

    @cached_property
    def key(self) -> str:
        return digest("par", self.analysis.own_key, self.attempt.challenge, self.attempt.fill)

    def run(self, model: Model, job: Job[Sequence[Par]]) -> Sequence[Par]:
        def progressed(fraction: float) -> None:
            job.report(fraction, "Measuring par values")

        fill, maps = self.attempt.fill, forecasters_of(self.analysis, self.attempt.fill)
        return CHALLENGES[self.attempt.challenge].par(prober_of(self.analysis, model), fill, maps, progressed)


@dataclass(frozen=True, eq=False)
class RankTask(PageTask[Sequence[Ranked]]):
    """The ranking of attempts at one challenge.

    Attributes:
        attempt: The page's own, which names the challenge.
        attempts: Those to rank, by the names of their authors.
        unread: Sentences on lines that contain no attempt, by their names.
    """

    attempt: Attempt
    attempts: tuple[tuple[str, Attempt], ...]
    unread: tuple[tuple[str, str], ...]

    @cached_property
    def key(self) -> str:
        return digest("ranking", self.analysis.own_key, self.attempt.challenge, *(each for _, each in self.attempts))

    def run(self, model: Model, job: Job[Sequence[Ranked]]) -> Sequence[Ranked]:
        def progressed(fraction: float) -> None:
            job.report(fraction, f"Judging {len(self.attempts)} attempts")

        prober, attempts = prober_of(self.analysis, model), [each for _, each in self.attempts]
        return ranking(prober, self.attempt.challenge, attempts, maps_of(self.analysis), progressed)
