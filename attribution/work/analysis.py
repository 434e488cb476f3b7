"""The maps of an analysis, computed by a worker. Networks run only inside `compute`."""

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

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
    """

    analysis: "PreparedAnalysis"
    prediction: list[tuple[int, str, float]]
    classes: tuple[str, ...]
    strips: list[Strip]
    results: dict[int, Attribution | Refusal] = field(default_factory=dict)
    growing: dict[int, Attribution] = field(default_factory=dict)
    beside: "tuple[Outcome | Refusal, ...]" = ()

    @property
    def explained(self) -> int:
        """Index of the explained class."""
        asked = self.analysis.target.index
        return self.prediction[0][0] if asked is None else asked

    @property
    def finished(self) -> Results:
        """The finished results, in the order of the methods."""
        return Results(self.results[place] for place in sorted(self.results))


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
        others = [each.key for each in self.beside]
        return digest(self.photo, self.full, self.frame, self.subject, *self.methods, *others)

    @cached_property
    def subject(self) -> str:
        """Cache key: SHA-256 of the pixels, the model, the device and the target."""
        return digest(self._pixels, self.record.identity, self.device, self.target)

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

        outcome = self.explain(loaded(self, report), report, self._strips())
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
            return self.matching(first).explain(loaded(self, report), report, [])
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
        self, model: Model, report: Callable[[float, str, Outcome | None], None], strips: list[Strip]
    ) -> Outcome:
        """Predict, and compute the maps that are not cached.

        Args:
            model: The model of this analysis.
            report: Called often with the fraction done, the current activity, and the outcome so far or None.
            strips: Images along the paths, for the outcome.
        """
        known = self._known()
        missing = [place for place in range(len(self.methods)) if place not in known]
        prediction = model.predict(self.x, also=self.target.index)
        _predictions.put(self.subject, (prediction, model.classes))
        outcome = Outcome(self, prediction, model.classes, strips, known)
        grown, done = time.monotonic(), 0.0
        report(done, COMPUTING_MESSAGE, outcome)

        def finished(place: int, result: Attribution | Refusal) -> None:
            nonlocal outcome
            if isinstance(result, Attribution) and (passes := result.forwards + result.backwards) >= MIN_TIMED_PASSES:
                _pace[self.record.identity, self.device] = result.seconds / passes
            _results.put(self._key(self.methods[missing[place]]), result)
            outcome = replace(outcome, results={**outcome.results, missing[place]: result})
            report(done, COMPUTING_MESSAGE, outcome)

        def progressed(fraction: float, partial: Attribution | None) -> None:
            nonlocal grown, done
            so_far, done = None, fraction
            if partial and time.monotonic() - grown > UPDATE_INTERVAL:
                grown = time.monotonic()
                place = next(place for place in missing if _made_by(self.methods[place], partial))
                so_far = replace(outcome, growing={place: partial})
            report(fraction, COMPUTING_MESSAGE, so_far)

        methods = [self.methods[place] for place in missing]
        compare(model, self.x, methods, self.target, on_progress=progressed, on_result=finished)
        _ = model.stages  # so that forms can offer them
        return outcome

    def known_map(self, method: Method) -> Attribution | Refusal | None:
        """Return the map of any method for this photo and target, or its refusal, if it is cached."""
        return _results.get(self._key(method))

    def remembered(self) -> Outcome | None:
        """Return the outcome if all of it is cached, else None."""
        known, predicted = self._known(), _predictions.get(self.subject)
        if predicted is None or len(known) < len(self.methods):
            return None
        outcome = Outcome(self, *predicted, self._strips(), known)
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
        """Load the model if necessary, and return the result; called in a worker thread."""
        model, subject = loaded(self.analysis, job.report), self.analysis
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
        """The device whose worker runs the task."""
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


def loaded(analysis: PreparedAnalysis, report: Callable[[float, str, None], None]) -> Model:
    """Return the model of an analysis, loading it if necessary; report downloads."""
    record, device = analysis.record, analysis.device
    name = record.name
    report(0.0, f"Loading {name}", None)

    def downloading(size: int, total: int) -> None:
        of = f" of {total / 1e6:.0f}" if total else ""
        report(size / total if total else 0.0, f"Downloading {name}: {size / 1e6:.0f}{of} MB", None)

    model = _models.get((record.identity, device))
    if model is None:
        size = MEMORY_FACTOR * record.facts().size * 1e6
        if size > share(MODEL_SHARE):
            raise Refusal(
                f"{name} needs about {size / 1e6:.0f} MB of memory, but this server allows "
                f"{share(MODEL_SHARE) / 1e6:.0f} MB for models; choose a smaller model, or raise {MEMORY_VARIABLE}."
            )
        MODEL_STORE.make_room(size)  # before loading
        model = load(record, device, downloading)
        give_back()  # what its inspection needed
        _models.put((record.identity, device), model)
    return model
