"""Faithfulness: does the score depend on the pixels that a map highlights?

Deletion, insertion, sensitivity-n, infidelity and max-sensitivity, for several maps of one photo and for controls.

None of them proves that a map is correct. Photos with replaced pixels are out of distribution for the network, and the
ranking of methods depends on the filler and on the number of pixels replaced at a time (Tomsett et al. 2020,
arXiv:1912.01451). Controls, which do not use the network, show what chance achieves.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.checks import controls
from attribution.checks.findings import Faithfulness, Findings
from attribution.checks.perturbation_curves import OnFraction, curve, ranks
from attribution.checks.sensitivity import correlation, infidelity, max_sensitivity, sets, squares, sums_and_losses
from attribution.checks.trial import SET_SIZES, Trial
from attribution.drawing.heatmap import reduce
from attribution.engine import exact_gradients, image
from attribution.methods import METHODS
from attribution.methods.method import Method
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import restore, write

__all__ = ["Faithfulness", "Findings", "Trial", "measure"]

MASK_STREAM = 2  # combined with the seed: random stream for the sets of pixels

OnFound = Callable[[Faithfulness], None]


def measure(
    model: Model,
    results: Sequence[Attribution],
    trial: Trial | None = None,
    *,
    on_progress: OnFraction = lambda fraction: None,
    on_found: OnFound = lambda found: None,
) -> Faithfulness:
    """Measure the faithfulness of several maps of one photo.

    All maps share the perturbed images of sensitivity-n and infidelity, so each further map adds only its two curves
    and its max-sensitivity. A map per unit of pixel value, such as a gradient, is multiplied by the difference between
    photo and filler before it is summed.

    Args:
        model: The model that the maps explain.
        results: One or more maps of one photo and one target.
        trial: Settings of the checks.
        on_progress: Called between chunks with the fraction done; if it raises, the work stops.
        on_found: Called with all findings so far, whenever there are new ones.

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
    curves, losses = 2 * trial.steps, trial.samples * (len(SET_SIZES) + 1)  # images per map, and shared by all maps
    moves = [trial.moves * (1 + method.cost((x.shape[1], x.shape[2])).passes) for method in methods]
    progress = _Progress(on_progress, curves * len(candidates) + losses + sum(moves))
    found = Faithfulness(trial, target, x, (), len(methods))

    def add(place: int, findings: Findings) -> None:
        nonlocal found
        found = replace(found, findings=(*found.findings[:place], findings, *found.findings[place + 1 :]))
        on_found(found)

    with exact_gradients(model):
        scorer = Scorer(model, x, target)
        for place, candidate in enumerate(candidates):
            order, tick = ranks(candidate.values, trial.ranked_by, trial.seed), progress.part(curves / 2)
            deletion = curve(scorer, x, trial.deleted_to.image(x), order, trial.steps, tick)
            tick = progress.part(curves / 2)
            insertion = curve(scorer, trial.inserted_into.image(x), x, order, trial.steps, tick)
            flat = bool(np.ptp(reduce(candidate.values, trial.ranked_by)) == 0)
            add(place, Findings(candidate.title, order, deletion, insertion, flat))
        if trial.samples:
            for place, numbers in enumerate(_forecasts(scorer, candidates, trial, progress.part(losses))):
                add(place, replace(found.findings[place], **numbers))
    for place, (method, result) in enumerate(zip(methods, results, strict=True)):
        if trial.moves:
            tick = progress.part(moves[place])
            most = max_sensitivity(model, x, method, result, trial.radius, trial.moves, trial.seed, tick)
            add(place, replace(found.findings[place], max_sensitivity=most))
    on_progress(1.0)
    return found


class _Progress:
    """The overall progress of several parts of unequal size."""

    def __init__(self, report: OnFraction, whole: float) -> None:
        self.report, self.whole, self.begun = report, whole, 0.0

    def part(self, size: float) -> OnFraction:
        """Return a callable that reports the progress of the next part."""
        before, self.begun = self.begun, self.begun + size
        return lambda fraction: self.report(min(1.0, (before + size * fraction) / self.whole))


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A map to check; a control has no method."""

    title: str
    values: NDArray[np.floating]  # (3, H, W)
    method: Method | None = None

    def weights(self, distance: Tensor) -> Tensor:
        """Return the score drop that the map predicts for each pixel, (H, W), float64."""
        values = torch.from_numpy(self.values).double()
        return (values * distance if self.method and self.method.per_value else values).sum(0)


def _forecasts(
    scorer: Scorer, candidates: Sequence[_Candidate], trial: Trial, tick: OnFraction
) -> Iterator[dict[str, Any]]:
    """Yield the sensitivity-n and infidelity of each candidate."""
    x, random = scorer.x.cpu(), np.random.default_rng((trial.seed, MASK_STREAM))
    filler, size = trial.removed_to.image(x), (x.shape[1], x.shape[2])
    weights = torch.stack([candidate.weights((x - filler).double()) for candidate in candidates])
    masks = [sets(size, n, random) for n in SET_SIZES] + [squares(size, random)]
    count = trial.samples
    drawn = (mask for each in masks for mask in islice(each, count))
    sums, losses = sums_and_losses(scorer, filler, weights, drawn, count * len(masks), tick)
    for place, candidate in enumerate(candidates):
        forecast = sums[:, place]
        correlations = [
            correlation(forecast[start : start + count], losses[start : start + count])
            for start in range(0, count * len(SET_SIZES), count)
        ]
        in_squares = forecast[-count:], losses[-count:]
        method = candidate.method
        if method and method.power != 1:  # its values are in units of the squared score
            yield {}
            continue
        forecasts = method is not None and (method.per_value or method.complete)
        yield {
            "sensitivity_n": tuple(correlations),
            "infidelity": infidelity(*in_squares) if forecasts else None,
            "scaled_infidelity": infidelity(*in_squares, scaled=True),
        }
