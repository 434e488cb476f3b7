"""The task of the sanity page, computed by a job."""

from dataclasses import dataclass, replace
from functools import cached_property

from attribution.checks.sanity import Randomisation, Sanity, Stage, randomise
from attribution.network.model import Model
from attribution.settings import digest
from attribution.work.analysis import PageTask, PreparedAnalysis
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
class SanityTask(PageTask[Tried]):
    """The sanity checks of an analysis."""

    plan: Randomisation

    @cached_property
    def key(self) -> str:
        return digest("sanity", self.analysis.own_key, self.plan)

    def run(self, model: Model, job: Job[Tried]) -> Tried:
        analysis, plan = self.analysis, self.plan
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
        return Tried(analysis, found, finished=True)
