"""Faithfulness: does the score depend on the pixels that a map highlights?

Deletion, insertion, ROAD, sensitivity-n, infidelity and max-sensitivity, for several maps of one photo and for
controls.

None of them proves that a map is correct. Photos with replaced pixels are out of distribution for the network, and the
ranking of methods depends on the filler and on the number of pixels replaced at a time (Tomsett et al. 2020,
arXiv:1912.01451). Controls, which do not use the network, show what chance achieves.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.checks import controls
from attribution.checks.findings import Faithfulness, Findings
from attribution.checks.perturbation_curves import Change, Curve, Imputation, OnFraction, curves, imputed, ranks
from attribution.checks.sensitivity import (
    ACCEPTED_ERROR,
    MIN_SAMPLES,
    SAMPLES_PER_ROUND,
    correlation,
    correlation_error,
    drops,
    enough,
    infidelity,
    map_changes,
    moved,
    predicted,
    samples,
)
from attribution.checks.trial import SET_SIZES, Trial
from attribution.drawing.heatmap import reduce
from attribution.engine import exact_gradients, image
from attribution.methods import METHODS
from attribution.methods.method import Method
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import digest, restore, write

__all__ = ["Faithfulness", "Findings", "Trial", "measure"]

OnFound = Callable[[Faithfulness], None]
Fields = dict[str, Any]  # new values of fields of one map's findings


class Kept(Protocol):
    """Measurements of one photo, model and target that later calls may use; a dict, or a cache that forgets."""

    def get(self, key: str, /) -> Any:
        """Return a measurement, or None."""

    def __setitem__(self, key: str, value: Any, /) -> None:
        """Keep a measurement."""


def measure(
    model: Model,
    results: Sequence[Attribution],
    trial: Trial | None = None,
    *,
    on_progress: OnFraction = lambda fraction: None,
    on_found: OnFound = lambda found: None,
    kept: Kept | None = None,
) -> Faithfulness:
    """Measure the faithfulness of several maps of one photo.

    All curves are measured coarsely first. Then the curves, the samples of sensitivity-n and infidelity, and the
    perturbed photos of max-sensitivity take turns, the one with the fewest passes so far first, until each number is
    precise enough or its maximum is reached.

    All maps share the perturbed images of sensitivity-n and infidelity, so each further map adds only its two curves
    and its max-sensitivity. A map per unit of pixel value, such as a gradient, is multiplied by the difference between
    photo and filler before it is summed.

    Args:
        model: The model that the maps explain.
        results: One or more maps of one photo and one target.
        trial: Settings of the checks.
        on_progress: Called between chunks with the fraction done; if it raises, the work stops.
        on_found: Called with the findings about all maps so far, whenever there are new ones.
        kept: Measurements of earlier calls with the same photo, model and target, of which those with the same maps and
            settings are not repeated; this call adds its own. The findings are the same without. Default: none.

    Returns:
        `findings` has one entry per map, in the order of the results, then one per control; `count` is the number of
        maps, and `sentence(place)` summarises one of them.

    Raises:
        Refusal: If there is no map, or the maps are not of one photo, this model and one target.
    """
    trial = trial or Trial()
    alike = {(each.pixels.tobytes(), each.target, each.model, each.versions["weights"]) for each in results}
    if len(alike) != 1 or (results[0].model, results[0].versions["weights"]) != (model.name, model.weights):
        raise Refusal("The maps must be of one photo, one model and one target, and there must be at least one.")
    methods = [restore(METHODS[result.method], result.settings) for result in results]
    x, target = image(torch.from_numpy(results[0].pixels)), results[0].target
    titles = Counter(method.title for method in methods)
    names = [each.title if titles[each.title] == 1 else f"{each.title}, {write(each)}" for each in methods]
    candidates = [
        *(_Candidate(name, each.values, method) for name, each, method in zip(names, results, methods, strict=True)),
        _Candidate("random order", controls.noise(x, trial.seed)),
        _Candidate("a centred Gaussian", controls.centre(x)),
        _Candidate("the photo's edges", controls.edges(x)),
    ]
    with exact_gradients(model):
        work = _Work(
            model, Scorer(model, x, target), candidates, results, trial, {} if kept is None else kept, on_progress
        )
        found = Faithfulness(trial, target, x, (), len(methods))
        parts = dict.fromkeys((work.curves(), work.samples(), work.moves()), 0.0)  # passes of each so far
        while parts:
            part, before = min(parts, key=parts.__getitem__), work.done
            if (new := next(part, None)) is None:
                del parts[part]
                continue
            parts[part] += work.done - before
            known = found.findings or [None] * len(candidates)
            findings = [
                replace(each, **fields) if each else Findings(candidate.title, **fields)
                for each, candidate, fields in zip(known, candidates, new, strict=True)
            ]
            found = replace(found, findings=tuple(findings), samples=work.sampled)
            on_found(found)
    on_progress(1.0)
    return found


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A map to check; a control has no method."""

    title: str
    values: NDArray[np.floating]  # (3, H, W)
    method: Method | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the values."""
        return hashlib.sha256(self.values.tobytes()).hexdigest()

    def weights(self, distance: Tensor) -> Tensor:
        """Return the score drop that the map predicts for each pixel, (H, W), float64."""
        values = torch.from_numpy(self.values).double()
        return (values * distance if self.method and self.method.per_value else values).sum(0)


class _Work:
    """The measurements of all candidates in three parts, whose steps the caller interleaves; the curves come first.

    Every part yields, after each of its steps, the new fields of each candidate's findings.
    """

    def __init__(
        self,
        model: Model,
        scorer: Scorer,
        candidates: Sequence[_Candidate],
        results: Sequence[Attribution],
        trial: Trial,
        kept: Kept,
        on_progress: OnFraction,
    ) -> None:
        self.model, self.scorer, self.candidates, self.results = model, scorer, candidates, results
        self.trial, self.kept, self.on_progress = trial, kept, on_progress
        self.x = scorer.x.cpu()
        self.methods = [each.method for each in candidates if each.method]
        size = (self.x.shape[1], self.x.shape[2])
        self.costs = [1 + method.cost(size).passes for method in self.methods]
        self.sampled = 0
        self.done = 0.0  # passes
        self.left = {  # passes, at most
            "curves": (2.0 * trial.steps + trial.road_steps) * len(candidates),
            "samples": trial.samples * (len(SET_SIZES) + 1.0),
            "moves": trial.moves * float(sum(self.costs)),
        }

    def tick(self, passes: float) -> None:
        """Report the progress after some passes."""
        self.done += passes
        self.on_progress(min(1.0, self.done / (self.done + sum(self.left.values()) or 1.0)))

    def curves(self) -> Iterator[list[Fields]]:
        """Measure deletion, insertion and ROAD."""
        trial, scorer = self.trial, self.scorer
        photo, filler, start = (
            each.to(scorer.x) for each in (self.x, trial.deleted_to.image(self.x), trial.inserted_into.image(self.x))
        )
        orders = [self._order(each) for each in self.candidates]
        flat = [bool(np.ptp(reduce(each.values, trial.ranked_by)) == 0) for each in self.candidates]
        made: dict[str, Callable[[NDArray[np.int64]], Change]] = {  # by field of the findings
            "deletion": lambda order: Change(photo, filler, order, trial.steps),
            "insertion": lambda order: Change(start, photo, order, trial.steps),
        }
        begun = [
            (write(trial.deleted_to, full=True), trial.steps),
            (write(trial.inserted_into, full=True), trial.steps),
        ]
        if trial.road_steps:
            end = imputed(photo, orders[0], 1.0, trial.seed)  # the same for every order
            made["road"] = lambda order: Imputation(photo, end, order, trial.road_steps, trial.seed)
            begun.append(("", trial.road_steps))
        changes = [make(order) for order in orders for make in made.values()]
        keys = [
            digest("curve", each.digest, trial.ranked_by, trial.seed, steps, trial.tolerance, name, other)
            for each in self.candidates
            for name, (other, steps) in zip(made, begun, strict=True)
        ]
        before: list[Curve | None] = [self.kept.get(key) for key in keys]
        tolerance = trial.tolerance / 100
        for found in curves(scorer, changes, tolerance, before, self.tick):
            for key, old, new in zip(keys, before, found, strict=True):
                if new is not old:
                    self.kept[key] = new
            before = list(found)
            self.left["curves"] = float(
                sum(
                    len(change.counts) - len(curve.counts)
                    for change, curve in zip(changes, found, strict=True)
                    if change.wanted(curve, tolerance)
                )
            )
            rows = zip(orders, flat, *(found[place :: len(made)] for place in range(len(made))), strict=True)
            yield [dict(zip(("ranks", "flat", *made), each, strict=True)) for each in rows]

    def _order(self, candidate: _Candidate) -> NDArray[np.int64]:
        trial = self.trial
        key = digest("order", candidate.digest, trial.ranked_by, trial.seed)
        found: NDArray[np.int64] | None = self.kept.get(key)
        if found is None:
            self.kept[key] = found = ranks(candidate.values, trial.ranked_by, trial.seed)
        return found

    def samples(self) -> Iterator[list[Fields]]:
        """Measure sensitivity-n and infidelity."""
        trial = self.trial
        filler, size = trial.removed_to.image(self.x), (self.x.shape[1], self.x.shape[2])
        weights = torch.stack([each.weights((self.x - filler).double()) for each in self.candidates])
        key = digest("drops", trial.removed_to, trial.seed)
        known: NDArray[np.float64] | None = self.kept.get(key)  # (N, len(SET_SIZES) + 1)
        losses = np.empty((0, len(SET_SIZES) + 1)) if known is None else known
        sums: list[NDArray[np.float64]] = []
        for number, masks in enumerate(islice(samples(size, trial.seed), trial.samples), 1):
            sums.append(predicted(weights, masks))
            if number > len(losses):
                self.kept[key] = losses = np.vstack([losses, drops(self.scorer, filler, masks, self.tick)])
            self.left["samples"] -= len(masks)
            if number % SAMPLES_PER_ROUND and number < trial.samples:
                continue
            if number < MIN_SAMPLES and number < trial.samples:
                yield [{}] * len(self.candidates)
                continue
            self.sampled = number
            found = [
                _forecast(each, forecast, losses[:number])
                for each, forecast in zip(self.candidates, np.stack(sums, 2).transpose(1, 2, 0), strict=True)
            ]
            yield found
            if all(map(_precise, found)):
                break
        self.left["samples"] = 0.0

    def moves(self) -> Iterator[list[Fields]]:
        """Measure max-sensitivity."""
        trial = self.trial
        keys = [
            digest("moves", each.digest, each.method, trial.radius, trial.seed)
            for each in self.candidates
            if each.method
        ]
        changes: list[list[float] | None] = [list(self.kept.get(key) or ()) for key in keys]  # None: refused
        used = [0] * len(keys)
        for number, photo in enumerate(islice(moved(self.x, trial.radius, trial.seed), trial.moves)):
            open_ = [
                place
                for place, each in enumerate(changes)
                if each is not None and used[place] == number and not enough(each[:number])
            ]
            if not open_:
                break
            if missing := [place for place in open_ if len(changes[place] or ()) == number]:
                self._move(photo, missing, changes)
                for place in missing:
                    if each := changes[place]:
                        self.kept[keys[place]] = tuple(each)
            for place in open_:
                used[place] = number + 1
            settled = [each is None or enough(each[:count]) for each, count in zip(changes, used, strict=True)]
            costs = [cost for cost, each in zip(self.costs, settled, strict=True) if not each]
            self.left["moves"] = float((trial.moves - number - 1) * sum(costs))
            yield [
                *(
                    {"max_sensitivity": max(each[:count]) if each else None, "moves": count if each else 0}
                    for each, count in zip(changes, used, strict=True)
                ),
                *({} for _ in self.candidates[len(keys) :]),
            ]
        self.left["moves"] = 0.0

    def _move(self, photo: Tensor, places: Sequence[int], changes: list[list[float] | None]) -> None:
        """Add the changes of some maps for one perturbed photo; None if there is no change to measure."""
        cost, before = float(sum(self.costs[place] for place in places)), 0.0

        def progressed(fraction: float) -> None:
            nonlocal before
            self.tick(cost * (fraction - before))
            before = fraction

        methods, results = [self.methods[place] for place in places], [self.results[place] for place in places]
        found = map_changes(self.model, photo, methods, results, progressed)
        for place, change in zip(places, found, strict=True):
            so_far = changes[place]
            changes[place] = None if change is None or so_far is None else [*so_far, change]


def _forecast(candidate: _Candidate, sums: NDArray[np.float64], losses: NDArray[np.float64]) -> Fields:
    """Return the sensitivity-n and infidelity of one candidate.

    Args:
        candidate: The candidate.
        sums: (N, len(SET_SIZES) + 1), the predicted score drops of N samples.
        losses: As `sums`, the measured ones.
    """
    method = candidate.method
    if method and method.power != 1:  # its values are in units of the squared score
        return {}
    correlations = tuple(correlation(sums[:, place], losses[:, place]) for place in range(len(SET_SIZES)))
    known = [each for each in correlations if each is not None]
    found: Fields = {
        "sensitivity_n": correlations,
        "sensitivity_n_error": correlation_error(known, len(sums)) if known else None,
    }
    found["scaled_infidelity"], found["scaled_infidelity_error"] = infidelity(sums[:, -1], losses[:, -1], scaled=True)
    if method is not None and (method.per_value or method.complete):
        found["infidelity"], found["infidelity_error"] = infidelity(sums[:, -1], losses[:, -1])
    return found


def _precise(found: Fields) -> bool:
    """True if no standard error of one candidate is larger than accepted."""
    if found.get("sensitivity_n_error") is not None and found["sensitivity_n_error"] > ACCEPTED_ERROR:
        return False
    return all(
        found[f"{name}_error"] is not None and found[f"{name}_error"] <= ACCEPTED_ERROR * found[name]
        for name in ("infidelity", "scaled_infidelity")
        if name in found
    )
