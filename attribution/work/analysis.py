"""The maps of an analysis, computed by a job. Networks run only inside `compute`."""

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Condition
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from attribution.analysis import Analysis
from attribution.engine import compare
from attribution.methods.method import Method
from attribution.models import load
from attribution.models.record import ModelRecord
from attribution.network.model import Model
from attribution.photo.encode import data_url, eight_bit
from attribution.refusal import Refusal
from attribution.result import Attribution, Results
from attribution.settings import digest, plain, write
from attribution.system.download import Progress
from attribution.system.memory import MEMORY_VARIABLE, give_back, share
from attribution.targets.target import Target
from attribution.viewer.message import WHOLE_FRAME, Frame
from attribution.work.cache import MODEL_SHARE, MODEL_STORE, Recent
from attribution.work.jobs import Job

R = TypeVar("R")
PATH_IMAGES = 6  # images shown along a path
MEMORY_FACTOR = 3.0  # memory of a model relative to its weights file while it is made: given, folded, channels last
COMPUTING_MESSAGE = "Computing maps"
MIN_TIMED_PASSES = 20  # fewest passes of a map whose duration is used for estimates
UPDATE_INTERVAL = 0.5  # seconds between two updates of a partial map


@dataclass(frozen=True, eq=False)
class Strip:
    """Images along the path of one method: positions, (S,), and one data URL per position.

    Data URLs, since Streamlit drops image files that it serves when the page is redrawn.
    """

    method: Method
    alphas: NDArray[np.float64]
    urls: list[str]


@dataclass(frozen=True, eq=False)
class Outcome:
    """The results of an analysis so far.

    Attributes:
        analysis: The analysis.
        prediction: The most probable classes, as `Model.predict` returns them.
        classes: All class names.
        results: Finished results, by the index of their method.
        growing: Partial maps, by the index of their method.
        strips: Images along the paths.
        beside: Outcomes of the same analysis under other models, or the reason why there is none.
        also: Outcomes of the same analysis for further classes; all have the prediction of this one.
    """

    analysis: "PreparedAnalysis"
    prediction: list[tuple[int, str, float]]
    classes: tuple[str, ...]
    strips: list[Strip]
    results: dict[int, Attribution | Refusal] = field(default_factory=dict)
    growing: dict[int, Attribution] = field(default_factory=dict)
    beside: "tuple[Outcome | Refusal, ...]" = ()
    also: "tuple[Outcome, ...]" = ()

    @property
    def explained(self) -> int:
        """Index of the explained class."""
        asked = self.analysis.target.index
        return self.prediction[0][0] if asked is None else asked

    @property
    def finished(self) -> Results:
        """The finished results, in the order of the methods."""
        return Results(self.results[place] for place in sorted(self.results))

    @property
    def statement(self) -> str:
        """The explained class with its score, as `Attribution.statement`; empty before the first map."""
        return next((each.statement for each in self.finished.maps), "")

    @property
    def rows(self) -> "tuple[Outcome, ...]":
        """This outcome and those for further classes."""
        return (self, *self.also)


@dataclass(frozen=True, eq=False)
class PreparedAnalysis:
    """An analysis with its photo as the network sees it, ready to compute.

    Attributes:
        analysis: The name of the photo, the model, the target and the methods.
        record: Record of the model.
        x: (3, H, W), the prepared photo.
        full: (H, W) of the crop in pixels of the original photo.
        photo: Title of the photo.
        device: Device, as for `attribution.load_model`.
        frame: Place of the crop in the coordinates that it shares with the crops of other models.
        beside: The same analysis under other models. Their targets are replaced by the class of this one's.
    """

    analysis: Analysis
    record: ModelRecord
    x: Tensor
    full: tuple[int, int]
    photo: str
    device: str
    frame: Frame = WHOLE_FRAME
    beside: "tuple[PreparedAnalysis, ...]" = ()

    @property
    def target(self) -> Target:
        """Class and score."""
        return self.analysis.full_target

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.record.name

    @property
    def heading(self) -> str:
        """The photo, the model and the device, for people."""
        return f"{self.photo}. {self.record.title} on {self.device.upper()}."

    @property
    def explained(self) -> str:
        """Name of the explained class; empty if it is the predicted one and nothing has been computed yet."""
        index, classes = self.target.index, self.record.facts().classes
        if index is None and (predicted := _predictions.get(self.subject)):
            ((index, _, _), *_), classes = predicted
        return "" if index is None else classes[index]

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods with their settings."""
        return self.analysis.methods

    def with_methods(self, methods: tuple[Method, ...]) -> "PreparedAnalysis":
        """Return a copy with other methods."""
        return replace(self, analysis=replace(self.analysis, methods=methods))

    @cached_property
    def key(self) -> str:
        """Cache key: SHA-256 of everything that the outcome depends on."""
        others = [*(each.key for each in self.beside), *(each.subject for each in self.also)]
        return digest(self.own_key, *others)

    @cached_property
    def own_key(self) -> str:
        """Cache key of the analysis without other models and further classes."""
        return digest(self.photo, self.full, self.frame, self.subject, *self.methods)

    @cached_property
    def also(self) -> "tuple[PreparedAnalysis, ...]":
        """The same analysis for every further class."""
        alone = self.alone
        return tuple(replace(alone, analysis=replace(alone.analysis, target=index)) for index in self.analysis.also)

    @property
    def alone(self) -> "PreparedAnalysis":
        """The same analysis without other models and further classes."""
        return replace(self, beside=(), analysis=replace(self.analysis, beside=(), also=()))

    @cached_property
    def subject(self) -> str:
        """Cache key: SHA-256 of the pixels, the model, the device and the target."""
        return digest(self.view, self.target)

    @cached_property
    def view(self) -> str:
        """Cache key: SHA-256 of the pixels, the model and the device."""
        return digest(self._pixels, self.record.identity, self.device)

    def _key(self, method: Method) -> str:
        """Return the SHA-256 of everything that the map of one method depends on."""
        return digest(self.subject, method)

    @cached_property
    def _pixels(self) -> str:
        return hashlib.sha256(self.x.numpy().tobytes()).hexdigest()

    def compute(self, job: Job[Outcome]) -> Outcome:
        """Load the models if necessary, predict, and compute the maps; report progress to the job."""
        count = 1 + len(self.beside)

        def report(done: float, activity: str, so_far: Outcome | None) -> None:
            job.report(done / count, activity, so_far)

        outcome = self.explain(loaded(self, job, report), report, self._strips(), self.also)
        for place, other in enumerate(self.beside, 1):
            outcome = replace(outcome, beside=(*outcome.beside, other._compute_beside(outcome, place, count, job)))
            job.report((place + 1) / count, COMPUTING_MESSAGE, outcome)
        return outcome

    def _compute_beside(self, first: Outcome, place: int, count: int, job: Job[Outcome]) -> Outcome | Refusal:
        """Compute the maps of one of `count` models for the class of the first; report them as part of its outcome."""

        def report(done: float, activity: str, so_far: Outcome | None) -> None:
            shown = replace(first, beside=(*first.beside, so_far)) if so_far else None
            job.report((place + done) / count, activity, shown)

        try:
            return self.matching(first).explain(loaded(self, job, report), report, [])
        except Refusal as refusal:
            return refusal

    def matching(self, first: Outcome) -> "PreparedAnalysis":
        """Return this analysis for the class that another model's outcome explains, found by its name.

        Raises:
            Refusal: If this model has no such class, or more than one.
        """
        asked, names = first.analysis.target, self.record.facts().classes
        index = same_class(first.classes, first.explained, names)
        versus = None if asked.versus is None else same_class(first.classes, asked.versus, names)
        return replace(self, analysis=replace(self.analysis, target=index, versus=versus))

    def explain(
        self,
        model: Model,
        report: Callable[[float, str, Outcome | None], None],
        strips: list[Strip],
        also: "Sequence[PreparedAnalysis]" = (),
    ) -> Outcome:
        """Predict, and compute the maps that are not cached.

        Args:
            model: The model of this analysis.
            report: Called often with the fraction done, the current activity, and the outcome so far or None.
            strips: Images along the paths, for the outcome.
            also: The same analysis for further classes. Default: none.
        """
        prediction = model.predict(self.x, also=self.target.index)
        _predictions.put(self.subject, (prediction, model.classes))
        grid = _Grid(model, self._outcome((prediction, model.classes), strips, also), report)
        grid.fill()
        _ = model.stages  # so that forms can offer them
        return grid.outcome

    def _outcome(
        self,
        predicted: tuple[list[tuple[int, str, float]], tuple[str, ...]],
        strips: list[Strip],
        also: "Sequence[PreparedAnalysis]" = (),
    ) -> Outcome:
        """Return what is cached; a further class that is the predicted and explained one has no row of its own."""
        first = Outcome(self, *predicted, strips, self._known())
        others = [Outcome(each, *predicted, [], each._known()) for each in also]
        return replace(first, also=tuple(each for each in others if each.explained != first.explained))

    def known_map(self, method: Method) -> Attribution | Refusal | None:
        """Return the map of any method for this photo and target, or its refusal, if it is cached."""
        return _results.get(self._key(method))

    def keep_map(self, method: Method, found: Attribution | Refusal) -> None:
        """Cache the map of a method for this photo and target, or its refusal."""
        _results.put(self._key(method), found)

    def remembered(self) -> Outcome | None:
        """Return the outcome if all of it is cached, else None."""
        if (predicted := _predictions.get(self.subject)) is None:
            return None
        outcome = self._outcome(predicted, self._strips(), self.also)
        if _by_missing(outcome.rows):
            return None
        for other in self.beside:
            try:
                found: Outcome | Refusal | None = other.matching(outcome).remembered()
            except Refusal as refusal:
                found = refusal
            if found is None:
                return None
            outcome = replace(outcome, beside=(*outcome.beside, found))
        return outcome

    def _known(self) -> dict[int, Attribution | Refusal]:
        found = {place: _results.get(self._key(method)) for place, method in enumerate(self.methods)}
        return {place: result for place, result in found.items() if result is not None}

    def _strips(self) -> list[Strip]:
        return [strip for method in self.methods if (strip := self._strip(method))]

    def _strip(self, method: Method) -> Strip | None:
        key = (self._pixels, write(method))  # independent of the model and the target
        if (strip := _strips.get(key)) is None and (path := method.path_images(self.x, PATH_IMAGES)):
            strip = Strip(method, path[0], [data_url(image) for image in eight_bit(path[1].numpy())])
            _strips.put(key, strip)
        return strip


@dataclass(frozen=True, eq=False)
class PageTask(ABC, Generic[R]):
    """Base class of the tasks of the other pages, which build on an analysis; their results are cached by key."""

    analysis: PreparedAnalysis

    @property
    @abstractmethod
    def key(self) -> str:
        """Cache key: SHA-256 of everything that the result depends on."""

    @abstractmethod
    def run(self, model: Model, job: Job[R]) -> R:
        """Return the result, and report progress to the job."""

    def compute(self, job: Job[R]) -> R:
        """Load the model if necessary, and return the result; called in the job's thread."""
        model, subject = loaded(self.analysis, job, job.report), self.analysis
        if _predictions.get(subject.subject) is None:
            _predictions.put(subject.subject, (model.predict(subject.x, also=subject.target.index), model.classes))
        found = self.run(model, job)
        _page_results.put(self.key, found)
        return found

    def remembered(self) -> R | None:
        """Return the cached result, or None."""
        found: R | None = _page_results.get(self.key)
        return found

    @property
    def device(self) -> str:
        """The device that the task needs."""
        return self.analysis.device

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.analysis.model


def same_class(names: Sequence[str], index: int, others: Sequence[str]) -> int:
    """Return the index of a class in another model.

    Args:
        names: Class names of one model.
        index: Index of the class in it.
        others: Class names of the other model. Names are the same if their first synonyms are, as "tench, Tinca tinca"
            and "tench"; case is ignored.

    Raises:
        Refusal: If the other model has no such class, or more than one.
    """
    if tuple(names) == tuple(others):
        return index

    if names[index].isdecimal():
        raise Refusal(f"The class {names[index]} has no name by which this model's classes could be found.")

    def first(name: str) -> str:
        return name.partition(",")[0].strip().casefold()

    found = [place for place, name in enumerate(others) if name.casefold() == names[index].casefold()]
    found = found or [place for place, name in enumerate(others) if first(name) == first(names[index])]
    if len(found) != 1:
        count = "more than one class" if found else "no class"
        raise Refusal(f"This model has {count} {names[index]!r}; choose another class to compare.")
    return found[0]


def require_methods(analysis: PreparedAnalysis | str) -> PreparedAnalysis | str:
    """Return the analysis if it has a method, else a message naming what is missing."""
    if isinstance(analysis, str) or analysis.methods:
        return analysis
    return "Choose at least one method in the sidebar."


class _Grid:
    """Maps that are being computed: a row per class and a column per method."""

    def __init__(self, model: Model, outcome: Outcome, report: Callable[[float, str, Outcome | None], None]) -> None:
        """Start with the maps that are cached.

        Args:
            model: The model of the rows.
            outcome: The rows.
            report: As for `PreparedAnalysis.explain`.
        """
        self.model, self.analysis, self.rows = model, outcome.analysis, list(outcome.rows)
        self.done, self._report, self._updated = 0.0, report, time.monotonic()

    @property
    def outcome(self) -> Outcome:
        """The rows so far."""
        return _joined(self.rows)

    def fill(self) -> None:
        """Compute the missing maps; rows that lack the same methods share their passes."""
        self._report(self.done, COMPUTING_MESSAGE, self.outcome)
        groups = _by_missing(self.rows)
        whole = sum(len(columns) * len(numbers) for columns, numbers in groups.items())
        for columns, numbers in groups.items():
            self._compute(numbers, columns, len(columns) * len(numbers) / whole)

    def _compute(self, numbers: list[int], columns: tuple[int, ...], share: float) -> None:
        """Compute these columns of these rows, which take this share of the work."""
        before = self.done

        def finished(place: int, result: Attribution | Refusal) -> None:
            self._take(numbers[place // len(columns)], columns[place % len(columns)], result)

        def progressed(fraction: float, partial: Attribution | None) -> None:
            so_far, self.done = None, before + share * fraction
            if partial and time.monotonic() - self._updated > UPDATE_INTERVAL:
                self._updated = time.monotonic()
                number = next((each for each in numbers if self._asks(each) == partial.target.index), numbers[0])
                column = next(each for each in columns if _made_by(self.analysis.methods[each], partial))
                so_far = self._growing(number, column, partial)
            self._report(self.done, COMPUTING_MESSAGE, so_far)

        methods = [self.analysis.methods[column] for column in columns]
        targets = [self.rows[number].analysis.target for number in numbers]
        compare(self.model, self.analysis.x, methods, targets=targets, on_progress=progressed, on_result=finished)

    def _asks(self, number: int) -> int | None:
        """Return the index of a row's class; None for the predicted class, which only the engine knows."""
        return self.rows[number].analysis.target.index

    def _take(self, number: int, column: int, result: Attribution | Refusal) -> None:
        row = self.rows[number]
        if isinstance(result, Attribution) and (passes := result.forwards + result.backwards) >= MIN_TIMED_PASSES:
            _pace[row.analysis.record.identity, row.analysis.device] = result.seconds / passes
        _results.put(row.analysis._key(row.analysis.methods[column]), result)
        self.rows[number] = replace(row, results={**row.results, column: result})
        self._report(self.done, COMPUTING_MESSAGE, self.outcome)

    def _growing(self, number: int, column: int, partial: Attribution) -> Outcome:
        """Return the rows so far with a partial map."""
        rows = list(self.rows)
        rows[number] = replace(rows[number], growing={column: partial})
        return _joined(rows)


def _joined(rows: Sequence[Outcome]) -> Outcome:
    return replace(rows[0], also=tuple(rows[1:]))


def _by_missing(rows: Sequence[Outcome]) -> dict[tuple[int, ...], list[int]]:
    """Return the numbers of the incomplete rows by the indices of the methods that they lack."""
    found: dict[tuple[int, ...], list[int]] = {}
    for number, row in enumerate(rows):
        if missing := tuple(place for place in range(len(row.analysis.methods)) if place not in row.results):
            found.setdefault(missing, []).append(number)
    return found


def _made_by(method: Method, result: Attribution) -> bool:
    return (method.key, plain(method)) == (result.method, result.settings)


_pace: dict[tuple[str, str], float] = {}  # seconds per pass, by identity of the model and device
_models: Recent[Model] = Recent("models", MODEL_STORE)
_strips: Recent[Strip] = Recent("strips")
_results: Recent[Attribution | Refusal] = Recent("maps")
_page_results: Recent[Any] = Recent("page results")
_predictions: Recent[tuple[list[tuple[int, str, float]], tuple[str, ...]]] = Recent("predictions")


def estimate(method: Method, model: ModelRecord, device: str) -> float | None:
    """Return the estimated seconds of a map, from the pace of the last one; None if this model has not been timed."""
    pace = _pace.get((model.identity, device))
    return pace and pace * method.cost(model.facts().preprocessing.size).passes


def layers(model: ModelRecord, device: str) -> tuple[str, ...]:
    """Return the names of a model's layers with feature maps, the coarsest first; none before its first analysis."""
    known = _models.get((model.identity, device))
    return known.known_layers if known else ()


class Loadable(Protocol):
    """A choice of a model and its device."""

    @property
    def record(self) -> ModelRecord:
        """Record of the model."""

    @property
    def device(self) -> str:
        """Device, as for `attribution.load_model`."""


def loaded(asked: Loadable, job: Job[Any], report: Callable[[float, str, None], None]) -> Model:
    """Return a model, loading it if necessary; report downloads.

    Its file is read while other jobs have the device. A model is loaded once: other jobs that need it wait.
    """
    record, device = asked.record, asked.device
    name, key = record.title, (record.identity, device)
    report(0.0, f"Loading {name}", None)

    def downloading(size: int, total: int) -> None:
        of = f" of {total / 1e6:.0f}" if total else ""
        report(size / total if total else 0.0, f"Downloading {name}: {size / 1e6:.0f}{of} MB", None)

    def build(progress: Progress | None) -> nn.Module:
        with job.aside():
            return record.build(progress)

    model = _models.get(key)
    if model is None:
        size = MEMORY_FACTOR * record.facts().size * 1e6
        if size > share(MODEL_SHARE):
            raise Refusal(
                f"{name} needs about {size / 1e6:.0f} MB of memory, but this server allows "
                f"{share(MODEL_SHARE) / 1e6:.0f} MB for models; choose a smaller model, or raise {MEMORY_VARIABLE}."
            )
        with _alone(key, size, job):
            model = _models.get(key)
            if model is None:
                with _loading_ended:
                    MODEL_STORE.make_room(sum(_loading.values()))  # before loading
                model = load(replace(record, build=build), device, downloading)
                give_back()  # what its inspection needed
                _models.put(key, model)
    return model


@contextmanager
def _alone(key: tuple[str, str], size: float, job: Job[Any]) -> Iterator[None]:
    """Let one job at a time load a model of this many bytes; wait for others without the device."""
    while not _begin_loading(key, size):
        with job.aside(), _loading_ended:
            while job.wanted and not _may_load(key, size):
                _loading_ended.wait(1.0)
    try:
        yield
    finally:
        with _loading_ended:
            del _loading[key]
            _loading_ended.notify_all()


def _begin_loading(key: tuple[str, str], size: float) -> bool:
    """Note that a model is being loaded; return False if it must wait."""
    with _loading_ended:
        if begins := _may_load(key, size):
            _loading[key] = size
        return begins


def _may_load(key: tuple[str, str], size: float) -> bool:
    """True if nobody loads this model, and it fits into the memory for models beside those that are being loaded."""
    return key not in _loading and (not _loading or sum(_loading.values()) + size <= share(MODEL_SHARE))


_loading: dict[tuple[str, str], float] = {}  # bytes of the models that are being loaded, by identity and device
_loading_ended = Condition()
