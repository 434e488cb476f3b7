"""The task of the path page: the study of the path from one baseline."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.baselines.constant import Black
from attribution.checks.convergence import Study, study
from attribution.network.model import Model
from attribution.settings import Configurable, Number, Part, digest, setting
from attribution.work.analysis import PageTask, PreparedAnalysis
from attribution.work.cache import Recent
from attribution.work.jobs import Job


@dataclass(frozen=True)
class PathChoice(Configurable):
    """Settings of the path page."""

    key: ClassVar[str] = "path"
    title: ClassVar[str] = "Path"

    baseline: Baseline = setting(Part("Image at which the path starts.", BASELINES), Black())
    steps: int = setting(Number("Gradient evaluations of every rule in the table.", 2, 100), 25)


@dataclass(frozen=True, eq=False)
class Traced:
    """A study with its analysis and settings.

    Attributes:
        analysis: The analysis of the photo.
        choice: The baseline and the steps.
        study: The measurements so far.
        finished: True if complete.
    """

    analysis: PreparedAnalysis
    choice: PathChoice
    study: Study
    finished: bool = False


@dataclass(frozen=True, eq=False)
class PathTask(PageTask[Traced]):
    """The study of the path from one baseline."""

    choice: PathChoice

    @cached_property
    def key(self) -> str:
        return digest(self.analysis.photo, self.analysis.full, self.analysis.subject, self.choice)

    def run(self, model: Model, job: Job[Traced]) -> Traced:
        analysis, choice = self.analysis, self.choice

        def progressed(fraction: float) -> None:
            job.report(fraction, "Measuring the path")

        def found(so_far: Study) -> None:
            job.report(job.fraction, so_far=Traced(analysis, choice, so_far))

        progressed(0.0)
        path = digest(analysis.subject, choice.baseline)
        measured = study(
            model,
            analysis.x,
            choice.baseline,
            analysis.target,
            choice.steps,
            known=_paths.get(path),
            on_progress=progressed,
            on_found=found,
        )
        _paths.put(path, measured)
        return Traced(analysis, choice, measured, finished=True)


_paths: Recent[Study] = Recent("paths")  # by everything but the steps
