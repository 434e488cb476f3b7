"""The task of the faithfulness page: what a worker computes for it."""

from dataclasses import dataclass
from functools import cached_property

from attribution.checks.faithfulness import Faithfulness, Trial, measure
from attribution.refusal import Refusal
from attribution.settings import digest
from attribution.work.analysis import OnAnalysis, Outcome, loaded
from attribution.work.cache import Recent
from attribution.work.jobs import Job

EXPLAINING = 0.3  # of the progress bar; the rest is for the trial


@dataclass(frozen=True, eq=False)
class Tested:
    """The findings so far.

    Attributes:
        outcome: The maps, with those that were refused.
        found: What the trial has found.
        finished: Whether that is all.
    """

    outcome: Outcome
    found: Faithfulness
    finished: bool = False


@dataclass(frozen=True, eq=False)
class TrialTask(OnAnalysis):
    """Try the maps of an analysis."""

    trial: Trial

    @cached_property
    def key(self) -> str:
        """SHA-256 of everything that the outcome depends on."""
        return digest("faithfulness", self.analysis.key, self.trial)

    def compute(self, job: Job[Tested]) -> Tested:
        """Load the model if need be, make the maps that are not known yet, and try them.

        Raises:
            Refusal: If no method can serve.
        """
        model = loaded(self.analysis, job)

        def explained(fraction: float, message: str, so_far: Outcome | None) -> None:
            del so_far
            job.report(EXPLAINING * fraction, message)

        outcome = self.analysis.explain(model, explained, [])
        results = outcome.finished
        if not results.maps:
            raise Refusal(" ".join(map(str, results)))

        def progressed(fraction: float) -> None:
            job.report(EXPLAINING + (1 - EXPLAINING) * fraction, "Changing the photo and asking the network")

        def found(so_far: Faithfulness) -> None:
            job.report(job.fraction, so_far=Tested(outcome, so_far))

        done = measure(model, results.maps, self.trial, on_progress=progressed, on_found=found)
        tested = Tested(outcome, done, finished=True)
        _tested.put(self.key, tested)
        return tested

    def remembered(self) -> Tested | None:
        """Return the outcome if it is in the cache."""
        return _tested.get(self.key)


_tested: Recent[Tested] = Recent("faithfulness")
