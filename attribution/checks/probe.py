"""Probe: cover a part of the photo, and set what each map forecasts beside what the network then does.

A complete map forecasts minus the sum of its values in the covered cells, if they are filled with the map's own
baseline. A map per unit of pixel value forecasts minus the sum of map times (photo minus fill): a slope, exact for a
linear score. Other maps forecast no number. None of them is right by construction: completeness (Sundararajan et al.
2017, Proposition 1) is about all pixels together. Every map has to beat one control: the change when the whole photo is
covered, times the share of its area.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attribution.baselines.baseline import Baseline
from attribution.baselines.covered import Covered
from attribution.baselines.photo import Blur
from attribution.methods import METHODS
from attribution.methods.method import Method
from attribution.network.model import Model
from attribution.network.scorer import Known, Scorer
from attribution.photo.cells import ALL, Cells, CellsSetting, sums, total
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import restore, write
from attribution.targets.target import Target

Kind = Literal["sum", "slope", "tested", "share"]
EQUAL_IMAGES = 0.5 / 255  # largest difference of two images that are the same in eight bits
CONTROL = "Area alone"
NOTES = {"slope": "a forecast by the slope", "tested": "not a derivative; listed as a test"}  # by kind
TOP = 5  # classes shown


@dataclass(frozen=True, eq=False)
class Forecaster:
    """The forecasts of one map for any cells under one fill.

    Attributes:
        result: The map.
        title: Title of the method.
        kind: "sum" for minus the sum of the values; "slope" for derivatives times the change of the pixels; "tested"
            for the same with values that are no derivatives; "share" for no number.
        valid: True if the forecast is meant for this fill.
        changes: (784,), forecast change of the score for every cell; None without a forecast.
        sizes: (784,), sum of the absolute values in every cell.
    """

    result: Attribution
    title: str
    kind: Kind
    valid: bool
    changes: NDArray[np.float64] | None
    sizes: NDArray[np.float64]

    def forecast(self, cells: Cells) -> float | None:
        """Return the forecast change of the score when cells are covered, in its unit."""
        return None if self.changes is None else total(self.changes, cells)

    def share(self, cells: Cells) -> float:
        """Return the share of the map's absolute values in the cells; 0 for a map of zeros."""
        whole = total(self.sizes, ALL)
        return total(self.sizes, cells) / whole if whole else 0.0


def forecaster(result: Attribution, fill: Baseline) -> Forecaster:
    """Prepare the forecasts of a map, as its method's fields ask for.

    Args:
        result: The map.
        fill: What covers the photo.
    """
    method = restore(METHODS[result.method], result.settings)
    values, photo = torch.from_numpy(result.values), torch.from_numpy(result.pixels)
    image, sizes = fill.image(photo), sums(values.abs().sum(0))
    if method.per_value and method.power == 1:
        change = (values.double() * (image.double() - photo.double())).sum(0)
        kind: Kind = "slope" if method.derivative else "tested"
        return Forecaster(result, method.title, kind, True, sums(change), sizes)
    if method.complete or (method.derivative and not method.per_value):
        kind = "sum" if method.complete else "slope"
        return Forecaster(result, method.title, kind, _counts_from(method, photo, image), -sums(values.sum(0)), sizes)
    return Forecaster(result, method.title, "share", True, None, sizes)


def _counts_from(method: Method, photo: Tensor, image: Tensor) -> bool:
    """True if an image is the one from which a method's values count."""
    own = method.baseline_image(photo)
    return own is not None and float((own - image).abs().max()) < EQUAL_IMAGES


@dataclass(frozen=True)
class Forecast:
    """One row of a probe.

    Attributes:
        title: Title of the method, or of the control.
        method: Key of the method; empty for the control.
        kind: As in `Forecaster`.
        valid: As in `Forecaster`.
        value: Forecast change of the score, in its unit; None if there is none.
        share: Share of the map's absolute values in the covered cells; that of the area for the control.
        error: Forecast minus the measured change, in the unit of the score; None without a valid forecast.
    """

    title: str
    method: str
    kind: Kind
    valid: bool
    value: float | None
    share: float
    error: float | None

    @property
    def note(self) -> str:
        """A remark on the forecast; empty for one that is meant for this fill."""
        if self.kind == "share":
            return f"{self.share:.1%} of the map is covered"
        if not self.valid:
            return "the map's baseline is another image"
        return NOTES.get(self.kind, "")


@dataclass(frozen=True, eq=False)
class Answer:
    """The network's answer to a photo, which may be covered.

    Attributes:
        score: Score of the explained class.
        shares: (K,), the numbers of all classes, such as probabilities.
    """

    score: float
    shares: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Probe:
    """A probe of one photo.

    Attributes:
        target: The explained class and score.
        cells: What is covered.
        fill: What covers it.
        area: Share of the photo's pixels that are covered.
        before: Score of the photo.
        after: Score of the photo with the cells covered.
        whole: Score of the photo with all cells covered.
        top: The five most probable classes of the covered photo, the explained class among them: index, name, and the
            numbers before and after, such as probabilities.
        maps: One forecast per map, in the order given.
    """

    target: Target
    cells: Cells
    fill: Baseline
    area: float
    before: float
    after: float
    whole: float
    top: tuple[tuple[int, str, float, float], ...]
    maps: tuple[Forecast, ...] = ()

    @property
    def change(self) -> float:
        """The measured change of the score, in its unit."""
        return self.after - self.before

    @property
    def control(self) -> Forecast:
        """The forecast that any map must beat: the change when all is covered, times the share of the area."""
        value = self.area * (self.whole - self.before)
        return Forecast(CONTROL, "", "sum", True, value, self.area, value - self.change)

    @property
    def best(self) -> Forecast:
        """The forecast with the smallest error; the control if it is as good."""
        valid = [self.control, *(each for each in self.maps if each.error is not None)]
        return min(valid, key=lambda each: abs(each.error or 0.0))


class Prober:
    """Covers cells of one photo and asks the network, one image at a time.

    Attributes:
        model: The model.
        x: (3, H, W), the photo, on the model's device and in its dtype.
    """

    def __init__(self, model: Model, x: Tensor, target: Target, known: Known | None = None) -> None:
        """Prepare a photo without running the network.

        Args:
            model: The model.
            x: (3, H, W), pixels in [0, 1].
            target: Class and score; if the class is None, the predicted class is used.
            known: `known` of an earlier prober of this photo and model. Default: None.
        """
        self._scorer = Scorer(model, x, target)
        self.model, self.x = model, self._scorer.x
        if known:
            self._scorer.known = known
        self._whole: dict[Baseline, Answer] = {}

    @property
    def known(self) -> Known:
        """The network's answer to the photo, for another prober."""
        return self._scorer.known

    @property
    def target(self) -> Target:
        """The target with its class filled in."""
        return self._scorer.target

    @cached_property
    def before(self) -> Answer:
        """The network's answer to the photo."""
        return self._answer(self.known.logits[None])

    def ask(self, cells: Cells, fill: Baseline) -> Answer:
        """Return the network's answer to the photo with cells covered; that to the photo itself without cells."""
        if not cells.count:
            return self.before
        return self._answer(self._scorer.logits(Covered(cells, fill).image(self.x)[None]))

    def answers(
        self, regions: Sequence[tuple[Cells, Baseline]], on_progress: Callable[[float], None] = lambda fraction: None
    ) -> list[Answer]:
        """Return the network's answers to the photo covered in several ways, several images at a time.

        Args:
            regions: Cells, and what covers them; without cells, the answer is that to the photo itself.
            on_progress: Called between pieces with the fraction done; if it raises, the work stops.
        """
        fills = {fill: fill.image(self.x) for _, fill in regions}
        found: list[Answer] = []
        for piece in self._scorer.pieces(len(regions)):
            masks = [regions[place][0].pixels((self.x.shape[1], self.x.shape[2])).to(self.x.device) for place in piece]
            images = [
                torch.where(mask, fills[regions[place][1]], self.x) for place, mask in zip(piece, masks, strict=True)
            ]
            logits = self._scorer.logits(torch.stack(images))
            found += [
                self._answer(each[None]) if regions[place][0].count else self.before
                for place, each in zip(piece, logits, strict=True)
            ]
            on_progress(len(found) / len(regions))
        return found

    def whole(self, fill: Baseline) -> Answer:
        """Return the network's answer to the photo with all cells covered, which is kept."""
        if fill not in self._whole:
            self._whole[fill] = self.ask(ALL, fill)
        return self._whole[fill]

    def _answer(self, logits: Tensor) -> Answer:
        if not bool(logits.isfinite().all()):
            raise Refusal(
                f"{self.model.name} returns a value that is not finite for this covered photo; choose another fill."
            )
        output = self.model.output
        score = self.target.value(self.target.potential(logits, output))
        return Answer(float(score[0]), output.shares(logits)[0].numpy())

    def probe(
        self, cells: Cells, fill: Baseline, forecasters: Sequence[Forecaster] = (), whole: Answer | None = None
    ) -> Probe:
        """Measure what covering cells changes.

        Args:
            cells: What is covered.
            fill: What covers it.
            forecasters: Maps of the photo under this fill. Default: none.
            whole: The answer to the photo with all cells covered by this fill, if it is known.
        """
        area = cells.area((self.x.shape[1], self.x.shape[2]))
        after = self.ask(cells, fill)
        whole = whole or self.whole(fill)
        scores = (self.before.score, after.score, whole.score)
        return with_forecasts(Probe(self.target, cells, fill, area, *scores, self._top(after)), forecasters)

    def _top(self, after: Answer) -> tuple[tuple[int, str, float, float], ...]:
        order = [int(index) for index in np.argsort(-after.shares, kind="stable")[:TOP]]
        if self.target.index is not None and self.target.index not in order:
            order[TOP - 1 :] = [self.target.index]
        names, before = self.model.classes, self.before.shares
        return tuple((index, names[index], float(before[index]), float(after.shares[index])) for index in order)


def _row(each: Forecaster, cells: Cells, change: float) -> Forecast:
    value = each.forecast(cells)
    error = value - change if value is not None and each.valid else None
    return Forecast(each.title, each.result.method, each.kind, each.valid, value, each.share(cells), error)


def with_forecasts(found: Probe, forecasters: Sequence[Forecaster]) -> Probe:
    """Return a probe with the forecasts of maps of the same photo, under the same fill."""
    return replace(found, maps=tuple(_row(each, found.cells, found.change) for each in forecasters))


def probe(
    model: Model,
    x: Tensor,
    mask: Cells | NDArray[np.bool_] | str,
    fill: Baseline | None = None,
    results: Sequence[Attribution | Refusal] = (),
    target: Target | int | None = None,
) -> Probe:
    """Cover a part of a photo, and set each map's forecast beside the change that the network then shows.

    Args:
        model: The model.
        x: (3, H, W), pixels in [0, 1].
        mask: The covered cells of a grid of 28 x 28: as `Cells`, as a (28, 28) array, or as text, such as
            "10/8/6/6" for left, top, width and height of a box.
        fill: What covers them, such as `at.baselines.Black()`. Default: the blurred photo.
        results: Maps of this photo, all for one target; refusals are left out. Default: none.
        target: Class and score, if there are no maps. Default: the probability of the predicted class.

    Raises:
        Refusal: If the mask has another shape, or the maps explain another photo or different targets.
    """
    cells, fill = CellsSetting("").check(mask), fill or Blur()
    maps = [each for each in results if isinstance(each, Attribution)]
    if len({each.target for each in maps}) > 1:
        raise Refusal("The maps explain different targets; pass those of one class and score.")
    for each in maps:
        if (each.model, each.versions.get("weights")) != (model.name, model.weights):
            raise Refusal(
                f"The map {each.method} explains {each.model!r}, or other weights; compute it for this model."
            )
        if each.pixels.shape != tuple(x.shape) or not np.array_equal(each.pixels, x.cpu().numpy()):
            raise Refusal(f"The map {each.method} explains another photo; compute it for this one.")
    asked = target if isinstance(target, Target) else Target(target)
    if maps and target is not None and (asked.index, asked.score) != (maps[0].target.index, maps[0].target.score):
        raise Refusal(f"The maps explain {maps[0].explained}, not the target {write(asked)}; leave the target out.")
    asked = maps[0].target if maps else asked
    return Prober(model, x, asked).probe(cells, fill, [forecaster(each, fill) for each in maps])
