"""attribute() and compare(): a model, a photo and methods in, Attributions out."""

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.methods.method import Computed, Method
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.refusal import Refusal
from attribution.result import VERSION, Attribution, Results
from attribution.settings import plain
from attribution.targets.target import Target

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
        x: (3, H, W), finite; pixels in [0, 1] as `model.prepare` gives them. Not clipped.
        method: A method with its settings.
        target: Class and score. Default: the probability of the predicted class.
        chunk: Images at a time. Default: by the kind of device; values can differ in their last bits with it.
        on_progress: Called between chunks with the fraction done and a coarse Attribution, or None where the method
            has none yet. If it raises, the work stops within one chunk and nothing is left behind.

    Raises:
        Refusal: If x is no such image, the target is no class of the model, or the method cannot serve the model.
    """
    (result,) = compare(model, x, [method], target, chunk=chunk, on_progress=on_progress)
    if isinstance(result, Refusal):
        raise result
    return result


def compare(
    model: Model,
    x: Tensor,
    methods: Sequence[Method],
    target: Target | None = None,
    *,
    chunk: int | None = None,
    on_progress: OnProgress | None = None,
    on_result: OnResult | None = None,
) -> Results:
    """Explain one photo by several methods, sharing the photo's forward pass.

    The method that runs the shared forward pass counts it. Arguments as for `attribute`; the fraction is that of all
    methods together. `on_result` is called with the place of a method and its result as soon as it is there; methods
    that share the photo's forward pass come first.

    Returns:
        A list in the order of `methods`; a method that refuses has its Refusal in its place.

    Raises:
        Refusal: If x is no such image or the target is no class of the model.
    """
    x, target = image(x), target or Target()
    _expect(target, Target, "at.Target(235)")
    for method in methods:
        _expect(method, Method, "at.Gradient()")
    target.check(len(model.classes))
    if chunk is not None and chunk < 1:
        raise Refusal(f"The chunk must be at least 1 image, got {chunk}.")
    with untroubled(model):
        return _compare(Scorer(model, x.clone(), target, chunk), methods, on_progress, on_result)


def _compare(
    scorer: Scorer, methods: Sequence[Method], on_progress: OnProgress | None, on_result: OnResult | None
) -> Results:
    results: dict[int, Attribution | Refusal] = {}
    # Methods that share the forward pass come first, so that its graph is freed before the long ones.
    order = sorted(range(len(methods)), key=lambda place: not methods[place].shares_forward)
    costs = [1 + method.cost((scorer.x.shape[1], scorer.x.shape[2])).passes for method in methods]
    try:
        for place in order:
            method = methods[place]
            if not method.shares_forward:
                scorer.release()
            before = sum(costs[done] for done in results) / sum(costs)
            results[place] = _Run(scorer, method, on_progress, before, costs[place] / sum(costs)).result()
            if on_result:
                on_result(place, results[place])
    finally:
        scorer.release()
    if on_progress:
        on_progress(1.0, None)
    return Results(results[place] for place in range(len(methods)))


class _Run:
    """One method at work, with the clock and the counters as they were when it started."""

    def __init__(
        self, scorer: Scorer, method: Method, on_progress: OnProgress | None, before: float, share: float
    ) -> None:
        """Note the time. Of the whole progress, `before` is done, and this method is a `share`."""
        self.model, self.scorer, self.method = scorer.model, scorer, method
        self.on_progress, self.before, self.share = on_progress, before, share
        self.started = time.perf_counter()
        self.forwards, self.backwards = scorer.forwards, scorer.backwards

    def result(self) -> Attribution | Refusal:
        self._tick(0.0, None)
        if reason := self.method.refusal(self.model):
            return Refusal(reason)
        if self.method.shares_forward:
            self.scorer.record()
        target = self.scorer.target  # outside the try: an unknown class is the caller's mistake, not the method's
        try:
            computed = self.method.compute(self.scorer, self._tick)
        except Refusal as refusal:
            return refusal.with_traceback(None)  # which would hold the graph
        values = computed.values.detach().cpu().numpy()
        if not np.isfinite(values).all():
            return Refusal(
                f"{self.method.title} gives values that are not finite for this photo, target {target.index}; "
                "the network overflows, so try another photo or float64."
            )
        return self._attribution(values, computed)

    def _tick(self, fraction: float, map_so_far: Callable[[], Tensor] | None) -> None:
        if not self.on_progress:
            return
        partial = None
        if map_so_far:
            values = map_so_far()
            partial = self._attribution(values.cpu().numpy(), Computed(values, notes=("This map is not finished.",)))
        self.on_progress(min(1.0, self.before + self.share * fraction), partial)  # a sum may round to more than 1

    def _attribution(self, values: NDArray[Any], computed: Computed) -> Attribution:
        score, baseline_score, delta = self.scorer.score, computed.baseline_score, None
        if self.method.complete and baseline_score is not None:
            delta = float(values.sum(dtype=np.float64)) - (score - baseline_score)
        return Attribution(
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
            seconds=time.perf_counter() - self.started,
            rectifiers=computed.rectifiers,
            notes=(*self._notes(), *computed.notes),
            explained=self.scorer.target.words(self.model.classes),
            prediction=self.scorer.prediction,
            converges=self.method.converges,
            unit=self.method.unit.format(score=self.scorer.target.unit),
            versions={
                **_VERSIONS,
                "device": str(self.model.device),
                "threads": str(torch.get_num_threads()),
                "weights": self.model.weights,
            },
        )

    def _notes(self) -> list[str]:
        notes = []
        low, high = (float(each) for each in self.scorer.x.aminmax())
        if low < -1 or high > 2:
            notes.append(f"The image's values reach from {low:.3g} to {high:.3g}, but pixels lie in [0, 1].")
        if self.scorer.saturated:
            notes.append("The probability is so close to its end that its gradient underflows; choose log-odds.")
        return notes


def _expect(given: object, wanted: type, example: str) -> None:
    if not isinstance(given, wanted):
        raise Refusal(f"{given!r} was given where a value such as {example} is needed.")


@contextmanager
def untroubled(model: Model) -> Iterator[None]:
    """Whatever the caller's context: tensors of inference mode cannot be differentiated, autocast would round."""
    with torch.inference_mode(False), torch.autocast(model.device.type, enabled=False):
        yield


def image(x: Tensor) -> Tensor:
    """Check a photo: (3, H, W), finite.

    Raises:
        Refusal: If it is something else.
    """
    if not isinstance(x, Tensor) or x.ndim != 3 or x.shape[0] != 3:
        given = f"{type(x).__name__} of shape {tuple(x.shape)}" if hasattr(x, "shape") else type(x).__name__
        raise Refusal(f"The image must be a torch Tensor of shape (3, H, W), got {given}; use model.prepare(image).")
    if not torch.isfinite(x).all():
        raise Refusal("The image holds values that are not finite; use model.prepare(image).")
    return x.detach()
