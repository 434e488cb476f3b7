"""The task of the faithfulness page, computed by a worker."""

from dataclasses import dataclass
from functools import cached_property

from attribution.checks.faithfulness import Faithfulness, Trial, measure
from attribution.refusal import Refusal
from attribution.settings import digest
from attribution.work.analysis import OnAnalysis, Outcome, loaded
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
class TrialTask(OnAnalysis):
    """The faithfulness checks of an analysis."""

    trial: Trial

    @cached_property
    def key(self) -> str:
        """Cache key: SHA-256 of everything that the findings depend on."""
        return digest("faithfulness", self.analysis.key, self.trial)

    def compute(self, job: Job[Tested]) -> Tested:
        """Load the model if necessary, compute the maps that are not cached, and check them.

        Raises:
            Refusal: If no method supports the model.
        """
        model = loaded(self.analysis, job)

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

        done = measure(model, results.maps, self.trial, on_progress=progressed, on_found=found)
        tested = Tested(outcome, done, finished=True)
        _tested.put(self.key, tested)
        return tested

    def remembered(self) -> Tested | None:
        """Return the cached findings, or None."""
        return _tested.get(self.key)


_tested: Recent[Tested] = Recent("faithfulness")
