"""The task of the probe page: the network's answer to a covered photo."""

from dataclasses import dataclass
from functools import cached_property

from attribution.baselines.baseline import Baseline
from attribution.checks.probe import Answer, Probe, Prober
from attribution.network.model import Model
from attribution.network.scorer import Known
from attribution.photo.cells import ALL, Cells
from attribution.settings import digest
from attribution.work.analysis import PageTask, PreparedAnalysis
from attribution.work.cache import Recent
from attribution.work.jobs import Job


@dataclass(frozen=True, eq=False)
class ProbeTask(PageTask[Probe]):
    """One probe, without forecasts, which the browser makes."""

    cells: Cells
    fill: Baseline

    @cached_property
    def key(self) -> str:
        return digest("probe", self.analysis.subject, self.fill, self.cells.text)

    def run(self, model: Model, job: Job[Probe]) -> Probe:
        prober = prober_of(self.analysis, model)
        place = digest(self.analysis.subject, self.fill)
        whole = _whole.get(place) or prober.ask(ALL, self.fill)
        _whole.put(place, whole)
        return prober.probe(self.cells, self.fill, whole=whole)


def prober_of(analysis: PreparedAnalysis, model: Model) -> Prober:
    """Return a prober of an analysis, which runs the photo itself only the first time."""
    prober = Prober(model, analysis.x, analysis.target, _known.get(analysis.view))
    _known.put(analysis.view, prober.known)
    return prober


_known: Recent[Known] = Recent("probed photos")
_whole: Recent[Answer] = Recent("answers to a covered photo")
