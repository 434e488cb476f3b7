"""Faithfulness: are the pixels that a map points to those on which the score depends?

Deletion and insertion (Petsiuk et al. 2018, arXiv:1806.07421): the pixels are replaced in the order of the map, the
strongest first, and the score is followed. Sensitivity-n (Ancona et al. 2018, arXiv:1711.06104): over random sets of
n pixels, the correlation between a set's sum in the map and what the score loses without it. Infidelity and
max-sensitivity (Yeh et al. 2019, arXiv:1901.09392): the squared error of the map's forecast of such losses, and how
far the map moves when the photo hardly does.

None of them proves a map right. A photo with replaced pixels is no photo, so the network is asked about images that it
was not made for; the rank of the methods changes with what fills the pixels and how many go at a time
(Tomsett et al. 2020, arXiv:1912.01451). So maps that know nothing of the network stand beside them.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.baselines.constant import ImageNetMean
from attribution.baselines.noise import SEED
from attribution.baselines.photo import Blur
from attribution.checks import controls
from attribution.drawing.heatmap import REDUCTIONS, reduce
from attribution.engine import compare, image, untroubled
from attribution.methods import METHODS
from attribution.methods.method import Method
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import Choice, Configurable, Number, Part, restore, setting, write
from attribution.targets.target import Target

SIZES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)  # n of sensitivity-n, over the number of pixels
LEAD = 0.01  # of the score's range, by which a map must beat a control
TELLING = 0.2  # of the photo's score that a filler may have
ROUNDING = 1e-12  # of the largest value
TIES, SETS = 1, 2  # with the seed, so that no two draws share their random numbers
LARGEST = 0.25  # side of the largest square of infidelity, over the photo's

OnProgress = Callable[[float], None]
OnFound = Callable[["Faithfulness"], None]


@dataclass(frozen=True)
class Trial(Configurable):
    """How maps are tried.

    Attributes:
        deleted_to: What replaces deleted pixels. Default: the mean colour of ImageNet, as in the paper.
        inserted_into: Where insertion starts. Default: the blurred photo, as in the paper, but blurred more.
        removed_to: What replaces the pixels of sensitivity-n and infidelity. Default: the mean colour of ImageNet.
        steps: Of deletion and insertion, at most; each changes the same number of pixels. Default: 50.
        ranked_by: How the channels become one number to rank by, a key of `heatmap.REDUCTIONS`.
        samples: Random sets for each n, and squares for infidelity. Default: 30; at 0 neither is measured.
        moves: Photos near this one for max-sensitivity. Default: 10; at 0 it is not measured.
        radius: By how much each value of the photo moves at most. Default: 0.02, of a range of 1.
        seed: Of all random numbers. Default: 0.
    """

    key: ClassVar[str] = "faithfulness"
    title: ClassVar[str] = "Faithfulness"

    deleted_to: Baseline = setting(
        Part("What replaces deleted pixels; of several, the first.", BASELINES), ImageNetMean()
    )
    inserted_into: Baseline = setting(Part("Where insertion starts; of several, the first.", BASELINES), Blur())
    removed_to: Baseline = setting(
        Part("What replaces the pixels of sensitivity-n and infidelity; of several, the first.", BASELINES),
        ImageNetMean(),
    )
    steps: int = setting(Number("Steps of deletion and insertion; each changes as many pixels.", 2, 500), 50)
    ranked_by: str = setting(
        Choice("How the channels become one number to rank by.", tuple(REDUCTIONS)), "sum_of_absolutes"
    )
    samples: int = setting(Number("Random sets for each n, and squares for infidelity; 0 leaves both out.", 0, 500), 30)
    moves: int = setting(Number("Photos near this one for max-sensitivity; 0 leaves it out.", 0, 100), 10)
    radius: float = setting(
        Number("By how much each value of the photo moves at most, of a range of 1.", 0.001, 0.5), 0.02
    )
    seed: int = setting(SEED, 0)


@dataclass(frozen=True, eq=False)
class Curve:
    """The score while pixels are replaced.

    Attributes:
        counts: (N,), pixels replaced, from 0 to all.
        scores: (N,).
    """

    counts: NDArray[np.int64]
    scores: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Mean height in units of the score, each step weighing the same, by the trapezoid rule, as in the paper."""
        return float((self.scores.sum() - (self.scores[0] + self.scores[-1]) / 2) / (len(self.scores) - 1))


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found about one map.

    Attributes:
        name: Of the map.
        ranks: (H, W), place of each pixel in the order of the map: 0 is the strongest, and ties are in random order.
        deletion: From the photo; the lower, the better.
        insertion: To the photo; the higher, the better.
        flat: Whether the map is the same everywhere, so that its order is random.
        sensitivity_n: Pearson correlation for each of SIZES; None where the map gives all sets one sum.
        infidelity: Mean squared error, in squares of the score's unit; None for a map whose values are neither shares
            of a score difference nor per unit of pixel value, since their sums then forecast nothing.
        scaled_infidelity: The same for the map times the number that makes it least.
        max_sensitivity: Largest change of the map, L2, over the map's own size; None for a map that was not made by a
            method, and where it was not measured.
    """

    name: str
    ranks: NDArray[np.int64]
    deletion: Curve
    insertion: Curve
    flat: bool = False
    sensitivity_n: tuple[float | None, ...] = ()
    infidelity: float | None = None
    scaled_infidelity: float | None = None
    max_sensitivity: float | None = None

    @property
    def mean_sensitivity_n(self) -> float | None:
        """Over the sizes at which there is one."""
        known = [each for each in self.sensitivity_n if each is not None]
        return float(np.mean(known)) if known else None


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """What was found about all maps.

    Attributes:
        trial: As it was asked for.
        target: The class and score that the maps explain.
        x: (3, H, W), the photo.
        findings: One a map, then one for each control: a map that knows nothing of the network.
        count: How many maps there are beside the controls.
    """

    trial: Trial
    target: Target
    x: Tensor
    findings: tuple[Findings, ...]
    count: int

    def deleted(self, findings: Findings, share: float) -> Tensor:
        """The photo without a share of its pixels, (3, H, W)."""
        return changed(self.x, self.trial.deleted_to.image(self.x), findings.ranks, share)

    def inserted(self, findings: Findings, share: float) -> Tensor:
        """A share of the photo's pixels on what insertion starts from, (3, H, W)."""
        return changed(self.trial.inserted_into.image(self.x), self.x, findings.ranks, share)

    def sentence(self, place: int) -> str:
        """What was found about one map, in plain words."""
        this, blind = self.findings[place], self.findings[self.count :]
        if this.flat:
            return f"{this.name} has the same value everywhere, so the order of its pixels is random."
        margin = LEAD * (this.deletion.scores.max() - this.deletion.scores.min())
        deletion = [each.name for each in blind if this.deletion.area < each.deletion.area - margin]
        insertion = [each.name for each in blind if this.insertion.area > each.insertion.area + margin]
        beaten = [_names(names, len(blind)) for names in (deletion, insertion)]
        said = f"{this.name} beats {beaten[0]} at deletion, and {beaten[1]} at insertion."
        if beaten[0] == beaten[1]:
            said = f"{this.name} beats {beaten[0]} at deletion and at insertion."
        if this.mean_sensitivity_n is not None and this.mean_sensitivity_n < self.chance:
            said += " What it gives to random sets of pixels forecasts their loss no better than chance."
        return said

    @property
    def chance(self) -> float:
        """Mean sensitivity-n below which a map without any meaning stays in 98 of 100 trials."""
        return 2 / math.sqrt(len(SIZES) * max(1, self.trial.samples))

    @property
    def warning(self) -> str:
        """A sentence, if what replaces the pixels has much of the score by itself; else empty."""
        first = self.findings[0].deletion.scores
        if first[-1] <= TELLING * max(first[0], 0.0):
            return ""
        return (
            f"The photo has a score of {first[0]:.3g}, and what replaces all of its pixels one of {first[-1]:.3g}, so "
            "deletion tells little here; choose another filler."
        )


def _names(names: Sequence[str], of: int) -> str:
    if len(names) in (0, of):
        return "every control" if names else "no control"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def ranks(values: NDArray[np.floating], reduction: str = "sum_of_absolutes", seed: int = 0) -> NDArray[np.int64]:
    """Place of each pixel in the order of a map.

    Args:
        values: (3, H, W).
        reduction: A key of `heatmap.REDUCTIONS`.
        seed: Equal values are in random order, since any other would favour a side of the photo.

    Returns:
        (H, W): 0 for the greatest value.
    """
    heat = reduce(values, reduction)
    order = np.lexsort((np.random.default_rng((seed, TIES)).random(heat.size), -heat.ravel()))
    places = np.empty(heat.size, np.int64)
    places[order] = np.arange(heat.size)
    return places.reshape(heat.shape)


def changed(start: Tensor, end: Tensor, ranks: NDArray[np.int64], share: float) -> Tensor:
    """An image on its way from one to another: the first pixels are the other's already, (3, H, W)."""
    return torch.where(torch.from_numpy(ranks < round(share * ranks.size)).to(start.device), end, start)


def curve(scorer: Scorer, start: Tensor, end: Tensor, ranks: NDArray[np.int64], steps: int) -> Curve:
    """Follow the score from one image to another.

    Args:
        scorer: Of the photo; its `tick` is called between chunks.
        start: (3, H, W).
        end: (3, H, W).
        ranks: (H, W), the order in which the pixels change.
        steps: At most; each but the last changes ceil(H W / steps) pixels.

    Returns:
        The scores of start, of the images between, and of end.
    """
    step = -(-ranks.size // steps)
    counts = np.minimum(np.arange(-(-ranks.size // step) + 1) * step, ranks.size)
    places = torch.from_numpy(ranks).to(scorer.x.device)
    start, end = (each.to(scorer.x) for each in (start, end))
    scores = np.empty(len(counts))
    for piece in scorer.pieces(len(counts)):
        reached = torch.from_numpy(counts[piece.start : piece.stop]).to(places.device)
        images = torch.where((places < reached[:, None, None])[:, None], end, start)
        scores[piece.start : piece.stop] = scorer.scores(images)
        scorer.tick(piece.stop / len(counts), None)
    return Curve(counts, scores)


def sets(size: tuple[int, int], share: float, random: np.random.Generator) -> Iterator[Tensor]:
    """Random sets of a share of all pixels, at least one; endless."""
    count, pixels = max(1, round(share * size[0] * size[1])), size[0] * size[1]
    while True:
        mask = np.zeros(pixels, bool)
        mask[random.choice(pixels, count, replace=False)] = True
        yield torch.from_numpy(mask.reshape(size))


def squares(size: tuple[int, int], random: np.random.Generator) -> Iterator[Tensor]:
    """Squares inside the photo, of a random side from 1 pixel to LARGEST, at a random place; endless."""
    while True:
        side = int(random.integers(1, max(2, round(LARGEST * min(size)) + 1)))
        top, left = (int(random.integers(0, each - side + 1)) for each in size)
        mask = torch.zeros(size, dtype=torch.bool)
        mask[top : top + side, left : left + side] = True
        yield mask


def sums_and_losses(
    scorer: Scorer, filler: Tensor, weights: Tensor, masks: Iterator[Tensor], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What maps forecast for sets of pixels, and what the score loses without them.

    Args:
        scorer: Of the photo; its `tick` is called between chunks.
        filler: (3, H, W), what replaces a set.
        weights: (M, H, W), the maps in units of the score, float64.
        masks: (H, W) each, True in the set.
        count: How many masks.

    Returns:
        (count, M) and (count,).
    """
    sums, losses = np.empty((count, len(weights))), np.empty(count)
    filler, flat = filler.to(scorer.x), weights.flatten(1).T  # (H W, M)
    for piece in scorer.pieces(count):
        removed = torch.stack([next(masks) for _ in piece])  # (n, H, W)
        sums[piece.start : piece.stop] = (removed.flatten(1).double() @ flat).numpy()
        images = torch.where(removed[:, None].to(scorer.x.device), filler, scorer.x)
        losses[piece.start : piece.stop] = scorer.score - scorer.scores(images)
        scorer.tick(piece.stop / count, None)
    return sums, losses


def infidelity(sums: NDArray[np.float64], losses: NDArray[np.float64], scaled: bool = False) -> float:
    """Mean squared error of a forecast (Yeh et al. 2019, definition 2.1).

    Args:
        sums: (N,), what the map forecasts.
        losses: (N,), what the score loses.
        scaled: Whether the forecast is first multiplied by the number that makes the error least, as in section 2.2.
    """
    power = float(sums @ sums)
    factor = float(losses @ sums) / power if scaled and power > 0 else 1.0
    return float(((factor * sums - losses) ** 2).mean())


def correlation(sums: NDArray[np.float64], losses: NDArray[np.float64]) -> float | None:
    """Pearson's; None where one of them is the same everywhere but for rounding."""
    if any(np.ptp(each) <= ROUNDING * np.abs(each).max() for each in (sums, losses)):
        return None
    return float(np.corrcoef(sums, losses)[0, 1])


def max_sensitivity(
    model: Model,
    x: Tensor,
    method: Method,
    result: Attribution,
    radius: float = 0.02,
    moves: int = 10,
    seed: int = 0,
    on_progress: OnProgress = lambda fraction: None,
) -> float | None:
    """The largest change of a map when each value of the photo moves by at most `radius`.

    Args:
        model: The model.
        x: (3, H, W), the photo.
        method: That made the map; its own seed stays the same.
        result: The map of the photo itself.
        radius: In units of pixel value; moved photos are not clipped.
        moves: Uniform random moves; the paper searches the largest change by such samples too.
        seed: Of the moves.
        on_progress: Called between chunks with the fraction done; if it raises, the work stops.

    Returns:
        Change over the size of the map, both L2; None where the map is 0 everywhere, or a moved photo is refused.
    """
    if (size := float(np.linalg.norm(result.values.astype(np.float64)))) == 0:
        return None
    random, largest = torch.Generator().manual_seed(seed), 0.0
    for number in range(moves):
        move = (torch.rand(x.shape, generator=random, dtype=torch.float64) * 2 - 1) * radius

        def progressed(fraction: float, partial: object, number: int = number) -> None:
            on_progress((number + fraction) / moves)

        (moved,) = compare(model, x + move.to(x), [method], result.target, chunk=result.chunk, on_progress=progressed)
        if isinstance(moved, Refusal):
            return None
        largest = max(largest, float(np.linalg.norm(moved.values.astype(np.float64) - result.values)) / size)
    return largest


def measure(
    model: Model,
    results: Sequence[Attribution],
    trial: Trial | None = None,
    *,
    on_progress: OnProgress = lambda fraction: None,
    on_found: OnFound = lambda found: None,
) -> Faithfulness:
    """Try maps of one photo.

    All maps are held against the same images, so another map adds two curves and its own max-sensitivity. A map per
    unit of pixel value, such as a gradient, forecasts by its product with the distance from the filler.

    Args:
        model: That the maps explain.
        results: One or more, of one photo and one target, as `compare` gives them.
        trial: Fillers, steps and numbers of samples.
        on_progress: Called between chunks with the fraction done; if it raises, the work stops.
        on_found: Called with all that is known whenever something was added.

    Returns:
        `findings`, one a map in the order of the results, then one for each control; `count` maps come first, and
        `sentence(place)` says what was found about one of them.

    Raises:
        Refusal: If there is no map, or they are not of one photo, this model and one target.
    """
    trial = trial or Trial()
    alike = {(each.pixels.tobytes(), each.target, each.model, each.versions["weights"]) for each in results}
    if len(alike) != 1 or (results[0].model, results[0].versions["weights"]) != (model.name, model.weights):
        raise Refusal("The maps to be tried must be of one photo, one model and one target, and there must be one.")
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
    curves, losses = 2 * trial.steps, trial.samples * (len(SIZES) + 1)  # images, of each map and of all together
    moves = [trial.moves * (1 + method.cost((x.shape[1], x.shape[2])).passes) for method in methods]
    progress = _Progress(on_progress, curves * len(candidates) + losses + sum(moves))
    found = Faithfulness(trial, target, x, (), len(methods))

    def add(place: int, findings: Findings) -> None:
        nonlocal found
        found = replace(found, findings=(*found.findings[:place], findings, *found.findings[place + 1 :]))
        on_found(found)

    with untroubled(model):
        scorer = Scorer(model, x, target)
        for place, candidate in enumerate(candidates):
            scorer.tick = progress.part(curves / 2)
            order = ranks(candidate.values, trial.ranked_by, trial.seed)
            deletion = curve(scorer, x, trial.deleted_to.image(x), order, trial.steps)
            scorer.tick = progress.part(curves / 2)
            insertion = curve(scorer, trial.inserted_into.image(x), x, order, trial.steps)
            flat = bool(np.ptp(reduce(candidate.values, trial.ranked_by)) == 0)
            add(place, Findings(candidate.title, order, deletion, insertion, flat))
        if trial.samples:
            scorer.tick = progress.part(losses)
            for place, numbers in enumerate(_forecasts(scorer, candidates, trial)):
                add(place, replace(found.findings[place], **numbers))
    for place, (method, result) in enumerate(zip(methods, results, strict=True)):
        if trial.moves:
            tick = progress.part(moves[place])
            most = max_sensitivity(model, x, method, result, trial.radius, trial.moves, trial.seed, tick)
            add(place, replace(found.findings[place], max_sensitivity=most))
    on_progress(1.0)
    return found


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A map to be tried; of a control there is no method."""

    title: str
    values: NDArray[np.floating]  # (3, H, W)
    method: Method | None = None

    def weights(self, distance: Tensor) -> Tensor:
        """What the map forecasts for the loss of each pixel, (H, W), float64."""
        values = torch.from_numpy(self.values).double()
        return (values * distance if self.method and self.method.per_value else values).sum(0)


class _Progress:
    """The fraction done of several parts that take unequally long."""

    def __init__(self, report: OnProgress, whole: float) -> None:
        self.report, self.whole, self.begun = report, whole, 0.0

    def part(self, size: float) -> Callable[..., None]:
        """What is called with the fraction done of the next part."""
        before, self.begun = self.begun, self.begun + size
        return lambda fraction, _=None: self.report(min(1.0, (before + size * fraction) / self.whole))


def _forecasts(scorer: Scorer, candidates: Sequence[_Candidate], trial: Trial) -> Iterator[dict[str, Any]]:
    """Sensitivity-n and infidelity of all candidates."""
    x, random = scorer.x.cpu(), np.random.default_rng((trial.seed, SETS))
    filler, size = trial.removed_to.image(x), (x.shape[1], x.shape[2])
    weights = torch.stack([candidate.weights((x - filler).double()) for candidate in candidates])
    masks = [sets(size, n, random) for n in SIZES] + [squares(size, random)]
    count = trial.samples
    drawn = (mask for each in masks for mask in islice(each, count))
    sums, losses = sums_and_losses(scorer, filler, weights, drawn, count * len(masks))
    for place, candidate in enumerate(candidates):
        forecast = sums[:, place]
        correlations = [
            correlation(forecast[start : start + count], losses[start : start + count])
            for start in range(0, count * len(SIZES), count)
        ]
        in_squares = forecast[-count:], losses[-count:]
        method = candidate.method
        if method and method.power != 1:  # its sums are in squares of the score
            yield {}
            continue
        forecasts = method is not None and (method.per_value or method.complete)
        yield {
            "sensitivity_n": tuple(correlations),
            "infidelity": infidelity(*in_squares) if forecasts else None,
            "scaled_infidelity": infidelity(*in_squares, scaled=True),
        }
