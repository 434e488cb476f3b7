"""The engine: attribute() and compare() explain a photo by one or several methods."""

import math
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.methods.method import Computed, Method, Tick
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.refusal import Refusal, Remedy
from attribution.result import VERSION, Attribution, Results
from attribution.settings import plain, write
from attribution.system.clock import working_time
from attribution.targets.log_odds import LogOdds
from attribution.targets.probability import Probability
from attribution.targets.target import Target

LOG_ODDS = Remedy("Explain log-odds", score=LogOdds.key)
OnProgress = Callable[[float, Attribution | None], None]
OnResult = Callable[[int, Attribution | Refusal], None]

_VERSIONS = {
    "attribution": VERSION,
    "python": platform.python_version(),
    "torch": str(torch.__version__),
    "numpy": np.__version__,
}


def attribute(
    model: Model,
    x: Tensor,
    method: Method,
    target: Target | None = None,
    *,
    chunk: int | None = None,
    on_progress: OnProgress | None = None,
) -> Attribution:
    """Explain one photo by one method.

    Args:
        model: The model.
        x: (3, H, W), finite; pixels in [0, 1] as returned by `model.prepare`. Not clipped.
        method: A method with its settings.
        target: Class and score. Default: the predicted class, and its probability unless the network returns a number.
        chunk: Maximum images per chunk; affects the last bits of the values. Default: by the type of device.
        on_progress: Called between chunks with the fraction done and a partial Attribution, or None if there is none
            yet. If it raises, the computation stops.

    Raises:
        Refusal: If x is not such an image, the model does not have the target's class, or the method does not support
            the model.
    """
    results = compare(model, x, [method], target, chunk=chunk, on_progress=on_progress)
    for refusal in results.refusals:
        raise refusal
    return results.maps[0]


@overload
def compare(
    model: Model,
    x: Tensor,
    methods: Sequence[Method],
    target: Target | None = None,
    *,
    targets: None = None,
    chunk: int | None = None,
    on_progress: OnProgress | None = None,
    on_result: OnResult | None = None,
) -> Results: ...


@overload
def compare(
    model: Model,
    x: Tensor,
    methods: Sequence[Method],
    target: None = None,
    *,
    targets: Sequence[Target],
    chunk: int | None = None,
    on_progress: OnProgress | None = None,
    on_result: OnResult | None = None,
) -> list[Results]: ...


def compare(
    model: Model,
    x: Tensor,
    methods: Sequence[Method],
    target: Target | None = None,
    *,
    targets: Sequence[Target] | None = None,
    chunk: int | None = None,
    on_progress: OnProgress | None = None,
    on_result: OnResult | None = None,
) -> Results | list[Results]:
    """Explain one photo by several methods, which share the photo's forward pass.

    The shared forward pass is counted for the first method that needs it. Several targets share it too, and the scores
    of images that a method runs for each of them, such as RISE; the values are those of a call for each target.

    Args:
        model: The model.
        x: As for `attribute`.
        methods: Methods with their settings.
        target: As for `attribute`.
        targets: Several targets instead of one, to compare classes. Default: only `target`.
        chunk: As for `attribute`.
        on_progress: As for `attribute`, with the overall fraction of all maps.
        on_result: Called with the index of a method and its result as soon as it is available; for several targets,
            with `len(methods) * index of the target + index of the method`. Methods that share the photo's forward pass
            run first, and every method for all targets before the next.

    Returns:
        A list in the order of `methods`; a method that refuses is represented by its Refusal. With `targets`, a list of
        such lists in the order of the targets.

    Raises:
        Refusal: If x is not such an image, the model does not have a target's class, there is no target, or both
            `target` and `targets` are given.
    """
    x, asked = image(x), _targets(model, target, targets)
    for method in methods:
        _expect(method, Method, "at.Gradient()")
    for each in asked:
        each.check(len(model.classes), model.output)
    if chunk is not None and chunk < 1:
        raise Refusal(f"The chunk must be at least 1 image, got {chunk}.")
    with exact_gradients(model):
        scorer = Scorer(model, x.clone(), asked[0], chunk, further=asked[1:])
        results = _compare([scorer], methods, len(asked), on_progress, on_result)
    return results[0] if targets is None else results


def compare_photos(
    model: Model,
    photos: Sequence[Tensor],
    methods: Sequence[Method],
    targets: Sequence[Target],
    *,
    chunk: int | None = None,
    on_progress: OnProgress | None = None,
) -> list[Results]:
    """Explain several photos by the same methods.

    Methods that only need passes of the photo itself share them among the photos, whose number should fit into memory.
    The values are those of `compare` up to rounding.

    Args:
        model: The model.
        photos: Each as `x` for `attribute`, all of one size.
        methods: Methods with their settings.
        targets: One for each photo.
        chunk: As for `attribute`.
        on_progress: As for `attribute`, with the overall fraction of all maps.

    Returns:
        Results of each photo, as `compare` returns them.

    Raises:
        Refusal: If a photo is not such an image, their sizes differ, or the model does not have a target's class.
    """
    images = [image(x) for x in photos]
    if len({x.shape for x in images}) > 1:
        raise Refusal("The photos have different sizes; use model.prepare(image), or explain them one at a time.")
    for each in targets:
        each.check(len(model.classes), model.output)
    with exact_gradients(model):
        scorers = [Scorer(model, x.clone(), each, chunk) for x, each in zip(images, targets, strict=True)]
        Scorer.join(scorers)
        return _compare(scorers, methods, 1, on_progress, None)


def _targets(model: Model, target: Target | None, targets: Sequence[Target] | None) -> Sequence[Target]:
    """Return the targets to explain, one or more."""
    if targets is None:
        targets = [target or model.default_target]
    elif target is not None:
        raise Refusal("Both target and targets were given; choose one.")
    _expect(targets, Sequence, "targets=[at.Target(235), at.Target(281)]")
    if not targets:
        raise Refusal("There is no target; name at least one, or leave targets out.")
    for each in targets:
        _expect(each, Target, "at.Target(235)")
    return targets


def _compare(
    scorers: Sequence[Scorer],
    methods: Sequence[Method],
    targets: int,
    on_progress: OnProgress | None,
    on_result: OnResult | None,
) -> list[Results]:
    """Return the results of each photo for each target, the targets of the first photo first."""
    count, done = len(methods), 0
    results: dict[int, Attribution | Refusal] = {}
    # Methods that share the forward pass run first, so that its graph is freed before the long ones.
    order = sorted(range(count), key=lambda index: not methods[index].shares_forward)
    costs = [method.cost((scorers[0].x.shape[1], scorers[0].x.shape[2])) for method in methods]
    # Of the first target, and of each further one, which takes the scores of a method without gradients from the first.
    passes = [(1 + cost.passes, 1 + (cost.passes if cost.backwards else 0)) for cost in costs]
    whole = len(scorers) * sum(first + (targets - 1) * further for first, further in passes)
    rows = [(scorer, target) for scorer in scorers for target in range(targets)]
    try:
        for index in order:
            if not methods[index].shares_forward:
                for scorer in scorers:
                    scorer.release()
            for place, (scorer, target) in enumerate(rows):
                scorer.aim(target)
                run, share = _Run(scorer, methods[index], target > 0), passes[index][target > 0]
                tick = run.reporter(on_progress, done / whole, share / whole) if on_progress else _ignore
                tick(0.0, None)
                found = results[place * count + index] = run.result(tick)
                done += share
                if on_result:
                    on_result(place * count + index, found)
    finally:
        for scorer in scorers:
            scorer.release()
    if on_progress:
        on_progress(1.0, None)
    return [Results(results[place * count + index] for index in range(count)) for place in range(len(rows))]


def _ignore(fraction: float, map_so_far: Callable[[], Tensor] | None) -> None:
    """Ignore progress; used if the caller passed no `on_progress`."""


class _Run:
    """One run of a method, with its start time and the scorer's counters at the start; `further` for later targets."""

    def __init__(self, scorer: Scorer, method: Method, further: bool) -> None:
        self.model, self.scorer, self.method, self.further = scorer.model, scorer, method, further
        self.started = working_time()
        self.forwards, self.backwards = scorer.forwards, scorer.backwards

    def result(self, tick: Tick) -> Attribution | Refusal:
        if reason := self.method.refusal(self.model):
            return Refusal(reason)
        if self.method.shares_forward:
            self.scorer.record()
        target = self.scorer.target  # outside the try: an unknown class is the caller's mistake, not the method's
        try:
            computed = self.method.compute(self.scorer, tick)
        except Refusal as refusal:
            return refusal.with_traceback(None)  # the traceback would keep the graph alive
        values, baseline_score = computed.values.detach().cpu().numpy(), computed.baseline_score
        if not np.isfinite(values).all():
            return Refusal(
                f"{self.method.title} returns values that are not finite for this photo and class {target.index}, "
                "since the network overflows; try another photo or float64."
            )
        if baseline_score is not None and not math.isfinite(baseline_score):
            return Refusal(
                f"The score of the baseline is {baseline_score}, since the network overflows; choose another baseline, "
                "or float64."
            )
        return self._attribution(values, computed)

    def reporter(self, on_progress: OnProgress, before: float, share: float) -> Tick:
        """Return a tick that reports the overall fraction done, and the map so far as an Attribution."""

        def tick(fraction: float, map_so_far: Callable[[], Tensor] | None) -> None:
            partial = None
            if map_so_far:
                values = map_so_far()
                partial = self._attribution(values.cpu().numpy(), Computed(values, notes=("This map is partial.",)))
            on_progress(min(1.0, before + share * fraction), partial)  # rounding can lift the sum above 1

        return tick

    def _attribution(self, values: NDArray[Any], computed: Computed) -> Attribution:
        score, baseline_score, delta = self.scorer.score, computed.baseline_score, None
        if self.method.complete and baseline_score is not None:
            delta = float(values.sum(dtype=np.float64)) - (score - baseline_score)
        result = Attribution(
            values=values,
            pixels=self.scorer.pixels,
            score=score,
            baseline_score=baseline_score,
            delta=delta,
            method=self.method.key,
            settings=plain(self.method),
            target=self.scorer.target,
            model=self.model.name,
            forwards=self.scorer.forwards - self.forwards,
            backwards=self.scorer.backwards - self.backwards,
            chunk=self.scorer.chunk,
            seconds=working_time() - self.started,
            rectifiers=computed.rectifiers,
            notes=(*self._notes(), *computed.notes),
            explained=self.scorer.target.words(self.model.classes),
            prediction=self.scorer.prediction,
            converges=self.method.converges,
            signed=self.method.signed,
            error=computed.error,
            segments=computed.segments,
            standard_error=computed.standard_error,
            conservation=computed.conservation,
            unit=self.method.unit.format(score=self.scorer.target.unit),
            versions={
                **_VERSIONS,
                "device": str(self.model.device),
                "threads": str(torch.get_num_threads()),
                "weights": self.model.weights,
            },
        )
        return replace(result, remedies=(*self._remedies(result), *computed.remedies))

    def _notes(self) -> list[str]:
        notes = []
        low, high = (float(each) for each in self.scorer.x.aminmax())
        if low < -1 or high > 2:
            notes.append(f"The image's values range from {low:.3g} to {high:.3g}, but pixels should be in [0, 1].")
        if self.scorer.uses_given:
            notes.append(
                "For this photo, the derived network (batch norms folded, faster memory format) returns other logits "
                "than the given network, so the given network was used."
            )
        if not self.model.inspection.is_derivative:
            notes.append(
                "The gradient of this network is not the derivative of its logits: a custom backward pass, a "
                "straight-through estimator, or something hidden from autograd changes it."
            )
        if self.further and self.scorer.forwards == self.forwards and not self.method.shares_forward:
            notes.append("The forward passes are those of another class, for whose map they are counted.")
        if self.scorer.saturated:
            notes.append("The probability is so close to 0 or 1 that its gradient underflows; choose log-odds.")
        return notes

    def _remedies(self, result: Attribution) -> list[Remedy]:
        remedies = []
        if result.improvable and (finer := self.method.refined(result.backwards)):
            remedies.append(Remedy(f"Use {plain(finer)['steps']} steps", method=write(finer)))
        if self.scorer.saturated or (result.negligible and result.target.score == Probability.key):
            remedies.append(LOG_ODDS)
        return remedies


def _expect(given: object, wanted: type, example: str) -> None:
    if not isinstance(given, wanted):
        raise Refusal(f"Expected a value such as {example}, got {given!r}.")


@contextmanager
def exact_gradients(model: Model) -> Iterator[None]:
    """Override the caller's context: inference mode prevents gradients, and autocast reduces precision."""
    with torch.inference_mode(False), torch.autocast(model.device.type, enabled=False):
        yield


def image(x: Tensor) -> Tensor:
    """Check that x is a finite tensor of shape (3, H, W), and detach it.

    Raises:
        Refusal: If it is not.
    """
    if not isinstance(x, Tensor) or x.ndim != 3 or x.shape[0] != 3:
        given = f"{type(x).__name__} of shape {tuple(x.shape)}" if hasattr(x, "shape") else type(x).__name__
        raise Refusal(f"The image must be a tensor of shape (3, H, W), got {given}; use model.prepare(image).")
    if not torch.isfinite(x).all():
        raise Refusal("The image contains values that are not finite; use model.prepare(image).")
    return x.detach()
