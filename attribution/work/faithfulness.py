"""The task of the faithfulness page, computed by a job."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from attribution.checks.faithfulness import Faithfulness, Trial, measure
from attribution.network.model import Model
from attribution.refusal import Refusal
from attribution.settings import digest
from attribution.work.analysis import Outcome, PageTask
from attribution.work.cache import Recent
from attribution.work.jobs import Job

EXPLAINING_SHARE = 0.3  # share of the progress bar for the maps; the rest is for the checks


@dataclass(frozen=True, eq=False)
class Tested:
    """The findings so far.

    Attributes:
        outcome: The maps, including refusals.
        found: The findings of the checks.
        finished: True if complete.
    """

    outcome: Outcome
    found: Faithfulness
    finished: bool = False


@dataclass(frozen=True, eq=False)
class TrialTask(PageTask[Tested]):
    """The faithfulness checks of an analysis."""

    trial: Trial

    @cached_property
    def key(self) -> str:
        return digest("faithfulness", self.analysis.own_key, self.trial)

    def run(self, model: Model, job: Job[Tested]) -> Tested:

        def explained(fraction: float, message: str, so_far: Outcome | None) -> None:
            del so_far
            job.report(EXPLAINING_SHARE * fraction, message)

        outcome = self.analysis.explain(model, explained, [])
        results = outcome.finished
        if not results.maps:
            raise Refusal(" ".join(map(str, results)))

        def progressed(fraction: float) -> None:
            job.report(EXPLAINING_SHARE + (1 - EXPLAINING_SHARE) * fraction, "Scoring perturbed photos")

        def found(so_far: Faithfulness) -> None:
            job.report(job.fraction, so_far=Tested(outcome, so_far))

        kept = _Kept(self.analysis.subject)
        done = measure(model, results.maps, self.trial, on_progress=progressed, on_found=found, kept=kept)
        return Tested(outcome, done, finished=True)


@dataclass(frozen=True)
class _Kept:
    """The measurements of one photo, model and target, in the bounded cache."""

    subject: str

    def get(self, key: str, /) -> Any:
        return _measurements.get((self.subject, key))

    def __setitem__(self, key: str, value: Any, /) -> None:
        _measurements.put((self.subject, key), value)


_measurements: Recent[Any] = Recent("measurements of faithfulness")
