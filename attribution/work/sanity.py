"""The task of the sanity page, computed by a worker."""

from dataclasses import dataclass, replace
from functools import cached_property

from attribution.checks.sanity import Randomisation, Sanity, Stage, randomise
from attribution.settings import digest
from attribution.work.analysis import OnAnalysis, PreparedAnalysis, loaded
from attribution.work.cache import Recent
from attribution.work.jobs import Job


@dataclass(frozen=True, eq=False)
class Tried:
    """The findings so far.

    Attributes:
        analysis: The analysis whose methods are checked.
        sanity: The findings, with the stages completed so far.
        finished: True if complete.
    """

    analysis: PreparedAnalysis
    sanity: Sanity
    finished: bool = False


@dataclass(frozen=True, eq=False)
class SanityTask(OnAnalysis):
    """The sanity checks of an analysis."""

    plan: Randomisation

    @cached_property
    def key(self) -> str:
        """Cache key: SHA-256 of everything that the findings depend on."""
        return digest("sanity", self.analysis.key, self.plan)

    def compute(self, job: Job[Tried]) -> Tried:
        """Load the model if necessary, and run the checks."""
        analysis, plan = self.analysis, self.plan
        model = loaded(analysis, job)
        tried = Tried(analysis, Sanity(analysis.methods, plan, (), {}))

        def progressed(fraction: float) -> None:
            job.report(fraction, f"Networks explained: {len(tried.sanity.stages)}; {fraction:.0%} done")

        def staged(stage: Stage) -> None:
            nonlocal tried
            tried = replace(tried, sanity=replace(tried.sanity, stages=(*tried.sanity.stages, stage)))
            job.report(job.fraction, so_far=tried)

        found = randomise(
            model, analysis.x, analysis.methods, analysis.target, plan, on_progress=progressed, on_stage=staged
        )
        tried = Tried(analysis, found, finished=True)
        _tried.put(self.key, tried)
        return tried

    def remembered(self) -> Tried | None:
        """Return the cached findings, or None."""
        return _tried.get(self.key)


_tried: Recent[Tried] = Recent("sanity")
