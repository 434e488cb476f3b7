"""Analysis: everything that defines one, and how a worker computes it. Torch runs here, in the worker only."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from attribution.engine import compare
from attribution.jobs import Job
from attribution.methods.method import Method
from attribution.model import Model
from attribution.models import load_model
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import plain, write
from attribution.target import Target

MODELS_KEPT = 2  # networks in memory
PATH_IMAGES = 6


@dataclass(frozen=True, eq=False)
class Strip:
    """Images along the path of one method: positions, (S,), and images, (S, H, W, 3) 8-bit RGB."""

    method: Method
    alphas: NDArray[np.float64]
    images: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What is known of an analysis, also while it is being computed.

    Attributes:
        analysis: What was asked for.
        prediction: The most probable classes, as `Model.predict` gives them.
        classes: All class names.
        results: By the place of their method; those that are finished.
        growing: By the place of their method; maps that are not finished.
        strips: Images along the paths.
    """

    analysis: "Analysis"
    prediction: list[tuple[int, str, float]]
    classes: tuple[str, ...]
    strips: list[Strip]
    results: dict[int, Attribution | Refusal] = field(default_factory=dict)
    growing: dict[int, Attribution] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Analysis:
    """One photo, model, target and choice of methods.

    Attributes:
        x: (3, H, W), the prepared photo.
        full: (H, W) of the same part of the original photo.
        model: A key of MODELS.
        device: As `attribution.load_model` takes it.
        target: Class and score.
        methods: With their settings.
    """

    x: Tensor
    full: tuple[int, int]
    model: str
    device: str
    target: Target
    methods: tuple[Method, ...]

    @cached_property
    def key(self) -> str:
        """SHA-256 of everything that the outcome depends on."""
        rest = (self.full, self.model, self.device, self.target, [write(method) for method in self.methods])
        return hashlib.sha256(self.x.numpy().tobytes() + repr(rest).encode()).hexdigest()

    def compute(self, job: Job[Outcome]) -> Outcome:
        """Load the model if need be, predict, and make the maps; report everything to the job."""
        job.report(0.0, f"Loading {self.model}")
        model = _loaded(self.model, self.device, job)
        outcome = Outcome(self, model.predict(self.x), model.classes, self._strips())
        job.report(0.0, "Computing the maps", outcome)

        def finished(place: int, result: Attribution | Refusal) -> None:
            nonlocal outcome
            outcome = replace(outcome, results={**outcome.results, place: result})
            job.report(job.fraction, so_far=outcome)

        def progressed(fraction: float, partial: Attribution | None) -> None:
            places = {(method.key, *plain(method).items()): place for place, method in enumerate(self.methods)}
            growing = {places[(partial.method, *partial.settings.items())]: partial} if partial else {}
            job.report(fraction, so_far=replace(outcome, growing=growing))

        compare(model, self.x, self.methods, self.target, on_progress=progressed, on_result=finished)
        return outcome

    def _strips(self) -> list[Strip]:
        strips = []
        for method in self.methods:
            if path := method.path_images(self.x, PATH_IMAGES):
                strips.append(Strip(method, path[0], eight_bit(path[1])))
        return strips


def eight_bit(images: Tensor) -> NDArray[np.uint8]:
    """(..., 3, H, W) in [0, 1] to (..., H, W, 3) in 0 to 255."""
    pixels: NDArray[np.uint8] = (images.movedim(-3, -1).clamp(0, 1) * 255).round().byte().numpy()
    return pixels


_models: OrderedDict[tuple[str, str], Model] = OrderedDict()
_lock = Lock()


def _loaded(name: str, device: str, job: Job[Any]) -> Model:
    def downloading(size: int, total: int) -> None:
        of = f" of {total / 1e6:.0f}" if total else ""
        job.report(size / total if total else 0.0, f"Downloading {name}: {size / 1e6:.0f}{of} MB")

    with _lock:
        if (name, device) in _models:
            _models.move_to_end((name, device))
            return _models[name, device]
    model = load_model(name, device, downloading)
    with _lock:
        _models[name, device] = model
        while len(_models) > MODELS_KEPT:
            _models.popitem(last=False)
    return model
