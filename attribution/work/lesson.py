"""The task of the lesson: one figure, whose maps are kept like those of an analysis."""

from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from attribution.lesson.chapter import Chapter
from attribution.lesson.figure import Figure
from attribution.lesson.subject import Subject
from attribution.methods.method import Method
from attribution.network.model import Model
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import digest
from attribution.targets.target import Target
from attribution.work.analysis import PageTask, PreparedAnalysis
from attribution.work.jobs import Job

MESSAGE = "Computing the figure"


@dataclass(frozen=True, eq=False)
class FigureTask(PageTask[Figure]):
    """One figure of the lesson.

    Attributes:
        chapter: The chapter, in the state that the figure shows.
    """

    chapter: Chapter

    @cached_property
    def key(self) -> str:
        return digest("lesson", self.analysis.subject, self.chapter)

    def run(self, model: Model, job: Job[Figure]) -> Figure:
        def tick(done: float) -> None:
            job.report(done, MESSAGE)

        kept = _Kept(self.analysis.alone)
        return self.chapter.figure(Subject(model, self.analysis.x, self.analysis.target, tick, kept))


@dataclass(frozen=True, eq=False)
class FiguresTask(PageTask[dict[Chapter, Refusal]]):
    """Several figures: those of all chapters for the handout, or those that may be asked for next.

    The figures themselves are cached by `FigureTask`; the result has only those that are refused.

    Attributes:
        chapters: The chapters, in the states that the figures show.
    """

    chapters: tuple[Chapter, ...]

    @cached_property
    def key(self) -> str:
        return digest("figures", self.analysis.subject, *self.chapters)

    def run(self, model: Model, job: Job[dict[Chapter, Refusal]]) -> dict[Chapter, Refusal]:
        del model
        refused = dict[Chapter, Refusal]()
        for chapter in self.chapters:
            task = FigureTask(self.analysis, chapter)
            try:
                if task.remembered() is None:
                    task.compute(job)  # type: ignore[arg-type]
            except Refusal as refusal:
                refused[chapter] = refusal
        return refused

    def figure(self, chapter: Chapter) -> Figure | None:
        """Return one of the figures, if it is cached."""
        return FigureTask(self.analysis, chapter).remembered()


class _Kept:
    """The maps that are kept for all pages."""

    def __init__(self, analysis: PreparedAnalysis) -> None:
        self._analysis = analysis

    def get(self, x: Tensor, target: Target, method: Method) -> Attribution | Refusal | None:
        return self._of(x, target).known_map(method)

    def put(self, x: Tensor, target: Target, method: Method, found: Attribution | Refusal) -> None:
        self._of(x, target).keep_map(method, found)

    def _of(self, x: Tensor, target: Target) -> PreparedAnalysis:
        asked = {"target": target.index, "versus": target.versus, "score": target.score}
        return replace(self._analysis, x=x, analysis=replace(self._analysis.analysis, **asked))  # type: ignore[arg-type]
