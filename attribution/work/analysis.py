"""The maps of an analysis, as a worker computes them. No network runs outside `compute`."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from attribution.analysis import Analysis
from attribution.engine import compare
from attribution.methods.method import Method
from attribution.models import MODELS, load_model
from attribution.network.model import Model
from attribution.photo.encode import data_url, eight_bit
from attribution.refusal import Refusal
from attribution.result import Attribution, Results
from attribution.settings import digest, plain, write
from attribution.system.memory import VARIABLE, share
from attribution.targets.target import Target
from attribution.work.cache import LOADED, NETWORKS, Recent
from attribution.work.jobs import Job

PATH_IMAGES = 6
COPIES = 2.2  # a network in memory over its file: the one that was given, the one that runs
COMPUTING = "Computing the maps"
MIN_TIMED_IMAGES = 20  # images sent through the network from which the time of a map is used for estimates
GROWTH = 0.5  # seconds between two pictures of a map that grows


@dataclass(frozen=True, eq=False)
class Strip:
    """Images along the path of one method: positions, (S,), and as many pictures.

    They travel inside the page: a picture that the server offers by an address is gone once the page was drawn again.
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
        results: By the place of their method; those that are finished.
        growing: By the place of their method; maps that are not finished.
        strips: Images along the paths.
    """

    analysis: "PreparedAnalysis"
    prediction: list[tuple[int, str, float]]
    classes: tuple[str, ...]
    strips: list[Strip]
    results: dict[int, Attribution | Refusal] = field(default_factory=dict)
    growing: dict[int, Attribution] = field(default_factory=dict)

    @property
    def finished(self) -> Results:
        """The finished results, in the order of the methods."""
        return Results(self.results[place] for place in sorted(self.results))


@dataclass(frozen=True, eq=False)
class PreparedAnalysis:
    """An analysis with its photo as the network sees it, ready to be computed.

    Attributes:
        analysis: The photo's name, the model, the target and the methods.
        x: (3, H, W), the prepared photo.
        full: (H, W) of the same square of the original photo.
        photo: Name of the photo, for people.
        device: As `attribution.load_model` takes it.
        target: Class and score.
    """

    analysis: Analysis
    x: Tensor
    full: tuple[int, int]
    photo: str
    device: str
    target: Target

    @property
    def model(self) -> str:
        """Key of the model."""
        return self.analysis.model

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods with their settings."""
        return self.analysis.methods

    def with_methods(self, methods: tuple[Method, ...]) -> "PreparedAnalysis":
        """Return the same analysis with other methods."""
        return replace(self, analysis=replace(self.analysis, methods=methods))

    @cached_property
    def key(self) -> str:
        """SHA-256 of everything that the outcome depends on."""
        return digest(self.photo, self.full, self.subject, *self.methods)

    @cached_property
    def subject(self) -> str:
        """SHA-256 of the pixels, the model, the device and the target."""
        return digest(self._pixels, self.model, self.device, self.target)

    def _key(self, method: Method) -> str:
        """Return the SHA-256 of everything that the map of one method depends on."""
        return digest(self.subject, method)

    @cached_property
    def _pixels(self) -> str:
        return hashlib.sha256(self.x.numpy().tobytes()).hexdigest()

    def compute(self, job: Job[Outcome]) -> Outcome:
        """Load the model if need be, predict, and make the maps; report everything to the job."""
        return self.explain(loaded(self, job), job.report, self._strips())

    def explain(
        self, model: Model, report: Callable[[float, str, Outcome | None], None], strips: list[Strip]
    ) -> Outcome:
        """Predict and make the maps that are not known yet.

        Args:
            model: The one of this analysis.
            strips: Images along the paths, for the outcome.
            report: Called often with the fraction done, what is being done, and what is known if that is new.
        """
        known = self._known()
        missing = [place for place in range(len(self.methods)) if place not in known]
        prediction = model.predict(self.x, also=self.target.index)
        _predictions.put(self.subject, (prediction, model.classes))
        outcome = Outcome(self, prediction, model.classes, strips, known)
        grown, done = time.monotonic(), 0.0
        report(done, COMPUTING, outcome)

        def finished(place: int, result: Attribution | Refusal) -> None:
            nonlocal outcome
            if isinstance(result, Attribution) and (passes := result.forwards + result.backwards) >= MIN_TIMED_IMAGES:
                _pace[self.model, self.device] = result.seconds / passes
            _results.put(self._key(self.methods[missing[place]]), result)
            outcome = replace(outcome, results={**outcome.results, missing[place]: result})
            report(done, COMPUTING, outcome)

        def progressed(fraction: float, partial: Attribution | None) -> None:
            nonlocal grown, done
            so_far, done = None, fraction
            if partial and time.monotonic() - grown > GROWTH:
                grown = time.monotonic()
                place = next(place for place in missing if _made_by(self.methods[place], partial))
                so_far = replace(outcome, growing={place: partial})
            report(fraction, COMPUTING, so_far)

        methods = [self.methods[place] for place in missing]
        compare(model, self.x, methods, self.target, on_progress=progressed, on_result=finished)
        return outcome

    def remembered(self) -> Outcome | None:
        """Return the outcome if all of it is in the cache."""
        known, predicted = self._known(), _predictions.get(self.subject)
        if predicted is None or len(known) < len(self.methods):
            return None
        return Outcome(self, *predicted, self._strips(), known)

    def _known(self) -> dict[int, Attribution | Refusal]:
        found = {place: _results.get(self._key(method)) for place, method in enumerate(self.methods)}
        return {place: result for place, result in found.items() if result is not None}

    def _strips(self) -> list[Strip]:
        return [strip for method in self.methods if (strip := self._strip(method))]

    def _strip(self, method: Method) -> Strip | None:
        key = (self._pixels, write(method))  # whatever the model and the target are
        if (strip := _strips.get(key)) is None and (path := method.path_images(self.x, PATH_IMAGES)):
            strip = Strip(method, path[0], [data_url(image) for image in eight_bit(path[1].numpy())])
            _strips.put(key, strip)
        return strip


@dataclass(frozen=True, eq=False)
class OnAnalysis:
    """The part that the tasks of the other pages share: their analysis."""

    analysis: PreparedAnalysis

    @property
    def device(self) -> str:
        """Whose worker does it."""
        return self.analysis.device

    @property
    def model(self) -> str:
        """Key of the model."""
        return self.analysis.model


def require_methods(analysis: PreparedAnalysis | str) -> PreparedAnalysis | str:
    """Return the analysis if it has a method, else a sentence that says what is missing."""
    if isinstance(analysis, str) or analysis.methods:
        return analysis
    return "No method is chosen; choose one or more in the sidebar."


def _made_by(method: Method, result: Attribution) -> bool:
    return (method.key, plain(method)) == (result.method, result.settings)


_pace: dict[tuple[str, str], float] = {}  # seconds for each image sent forward or back, by model and device
_models: Recent[Model] = Recent("models", LOADED)
_strips: Recent[Strip] = Recent("strips")
_results: Recent[Attribution | Refusal] = Recent("maps")
_predictions: Recent[tuple[list[tuple[int, str, float]], tuple[str, ...]]] = Recent("predictions")


def estimate(method: Method, model: str, device: str) -> float | None:
    """Return the estimated seconds of a map, at the pace of the last one; None before there is one for this model."""
    pace = _pace.get((model, device))
    return pace and pace * method.cost(MODELS[model].facts().preprocessing.size).passes


def loaded(analysis: PreparedAnalysis, job: Job[Any]) -> Model:
    """Return the model of an analysis, loaded if necessary; the job reports the download."""
    name, device = analysis.model, analysis.device
    job.report(0.0, f"Loading {name}")

    def downloading(size: int, total: int) -> None:
        of = f" of {total / 1e6:.0f}" if total else ""
        job.report(size / total if total else 0.0, f"Downloading {name}: {size / 1e6:.0f}{of} MB")

    model = _models.get((name, device))
    if model is None:
        size = COPIES * MODELS[name].facts().download * 1e6
        if size > share(NETWORKS):
            raise Refusal(
                f"{name} takes about {size / 1e6:.0f} MB, more than this server may spend on networks "
                f"({share(NETWORKS) / 1e6:.0f} MB); choose a smaller model, or raise {VARIABLE}."
            )
        LOADED.make_room(size)  # before it is read
        model = load_model(name, device, downloading)
        _models.put((name, device), model)
    return model
