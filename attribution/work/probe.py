"""The task of the probe page: the network's answer to a covered photo."""

from dataclasses import dataclass
from functools import cached_property

from attribution.baselines.baseline import Baseline
from attribution.checks.probe import Answer, Probe, Prober
from attribution.checks.surroundings import Surroundings, surroundings
from attribution.checks.two_cells import Example, examples
from attribution.network.model import Model
from attribution.network.scorer import Known
from attribution.photo.cells import ALL, Cells
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import digest
from attribution.work.analysis import PageTask, PreparedAnalysis
from attribution.work.cache import Recent
from attribution.work.jobs import Job


@dataclass(frozen=True, eq=False)
class Answered:
    """The answer to one mask.

    Attributes:
        probe: The probe, without forecasts, which the browser makes.
        surroundings: Other fills and other places; None unless they were asked for.
        refusal: The reason why they could not be measured.
    """

    probe: Probe
    surroundings: Surroundings | None = None
    refusal: str = ""

    @property
    def sentences(self) -> list[str]:
        """The sentences on the surroundings; empty unless they were asked for."""
        return [self.refusal] if self.refusal else list(self.surroundings.sentences) if self.surroundings else []


@dataclass(frozen=True, eq=False)
class ProbeTask(PageTask[Answered]):
    """One probe.

    Attributes:
        cells: What is covered.
        fill: What covers it.
        around: True to measure other fills and other places as well.
    """

    cells: Cells
    fill: Baseline
    around: bool = False

    @cached_property
    def key(self) -> str:
        return digest("probe", self.analysis.subject, self.fill, self.cells.text, self.around)

    def run(self, model: Model, job: Job[Answered]) -> Answered:
        prober = prober_of(self.analysis, model)
        place = digest(self.analysis.subject, self.fill)
        whole = _whole.get(place) or prober.ask(ALL, self.fill)
        _whole.put(place, whole)
        probe = prober.probe(self.cells, self.fill, whole=whole)
        if not (self.around and self.cells.count):
            return Answered(probe)

        def progressed(fraction: float) -> None:
            job.report(fraction, "Covering other places")

        try:
            return Answered(probe, surroundings(prober, self.cells, self.fill, progressed, whole))
        except Refusal as refusal:  # of a copy; the region itself has been measured
            return Answered(probe, refusal=str(refusal))


def maps_of(analysis: PreparedAnalysis) -> tuple[Attribution, ...]:
    """Return the finished maps of an analysis."""
    found = (analysis.known_map(method) for method in analysis.methods)
    return tuple(each for each in found if isinstance(each, Attribution))


def named(map_: Attribution) -> str:
    """Return the method of a map with its settings, for cache keys."""
    return f"{map_.method}{map_.settings}"


def prober_of(analysis: PreparedAnalysis, model: Model) -> Prober:
    """Return a prober of an analysis, which runs the photo itself only the first time."""
    prober = Prober(model, analysis.x, analysis.target, _known.get(analysis.view))
    _known.put(analysis.view, prober.known)
    return prober


_known: Recent[Known] = Recent("probed photos")
_whole: Recent[Answer] = Recent("answers to covered photos")


class ExamplesTask:
    """The two networks of two cells, which are the same for all photos."""

    key, device, model = "two cells", "cpu", "OR and AND"

    def compute(self, job: Job[tuple[Example, ...]]) -> tuple[Example, ...]:
        """Return the examples; called in the job's thread."""
        del job
        found = tuple(examples())
        _examples.put(self.key, found)
        return found

    def remembered(self) -> tuple[Example, ...] | None:
        """Return the cached examples, or None."""
        return _examples.get(self.key)


_examples: Recent[tuple[Example, ...]] = Recent("examples")
