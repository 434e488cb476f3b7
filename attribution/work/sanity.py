"""The task of the sanity page, computed by a job."""

from dataclasses import dataclass
from functools import cached_property

from attribution.checks.sanity import Map, Part, Randomisation, Sanity, randomise
from attribution.network.model import Model
from attribution.settings import digest
from attribution.work.analysis import PageTask, PreparedAnalysis
from attribution.work.cache import Recent
from attribution.work.jobs import Job


@dataclass(frozen=True, eq=False)
class Tried:
    """The findings so far.

    Attributes:
        analysis: The analysis whose methods are checked.
        sanity: The findings, as far as they are computed.
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

        def progressed(fraction: float) -> None:
            job.report(fraction, f"Randomising the network; {fraction:.0%} done")

        def found(so_far: Sanity) -> None:
            job.report(job.fraction, so_far=Tried(analysis, so_far))

        tried = randomise(
            model,
            analysis.x,
            analysis.methods,
            analysis.target,
            plan,
            kept=_Kept(analysis),
            on_progress=progressed,
            on_found=found,
        )
        return Tried(analysis, tried, finished=True)


@dataclass(frozen=True)
class _Kept:
    """The maps of one model and photo: those of the trained network from any page, the others from earlier checks."""

    analysis: PreparedAnalysis

    def get(self, part: Part) -> Map | None:
        shown = None
        if not part.layers and part.target == self.analysis.target:
            shown = self.analysis.known_map(part.method)
        return shown or _maps.get(self._key(part))

    def put(self, part: Part, found: Map) -> None:
        _maps.put(self._key(part), found)

    def _key(self, part: Part) -> str:
        return digest(self.analysis.view, part.method, part.target, part.seed, *part.layers)


_maps: Recent[Map] = Recent("sanity maps")
