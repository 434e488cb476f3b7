"""The findings of the faithfulness checks, as numbers and as sentences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from attribution.checks.perturbation_curves import Curve, changed
from attribution.checks.trial import SET_SIZES, Trial
from attribution.targets.target import Target

MIN_LEAD = 0.01  # lead in area, as a share of the curve's score range, above which a map beats a control
CLEAR_ERRORS = 2.0  # standard errors of a difference above which it is not due to the steps left out
MAX_FILLER_SCORE = 0.2  # score of the filler, relative to the photo's, above which deletion is not informative


@dataclass(frozen=True, eq=False)
class Findings:
    """The findings about one map.

    Attributes:
        name: Name of the map.
        ranks: (H, W), rank of each pixel in the map: 0 is the strongest, and ties are in random order.
        deletion: Curve from the photo; lower is better.
        insertion: Curve to the photo; higher is better.
        flat: True if the map is constant, so that its ranks are random.
        sensitivity_n: Pearson correlation for each of SET_SIZES; None if all sums or all score drops are equal.
        sensitivity_n_error: Standard error of their mean; None if there is no mean, or for fewer than three sets.
        infidelity: Mean squared error, in the square of the score's unit; None for a map that neither sums to a score
            difference nor is per unit of pixel value, since it then predicts no score drops.
        infidelity_error: Its standard error; None without infidelity, or for a single square.
        scaled_infidelity: Infidelity after multiplying the map by the factor that minimises it.
        scaled_infidelity_error: Its standard error, as above.
        max_sensitivity: Largest change of the map relative to its norm, both L2, among the perturbed photos: a lower
            bound of the largest possible one. None for controls, and if it was not measured.
        moves: Number of perturbed photos.
    """

    name: str
    ranks: NDArray[np.int64]
    deletion: Curve
    insertion: Curve
    flat: bool = False
    sensitivity_n: tuple[float | None, ...] = ()
    sensitivity_n_error: float | None = None
    infidelity: float | None = None
    infidelity_error: float | None = None
    scaled_infidelity: float | None = None
    scaled_infidelity_error: float | None = None
    max_sensitivity: float | None = None
    moves: int = 0

    @property
    def mean_sensitivity_n(self) -> float | None:
        """The mean sensitivity-n over the sizes for which it is defined."""
        known = [each for each in self.sensitivity_n if each is not None]
        return float(np.mean(known)) if known else None


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """The findings about all maps.

    Attributes:
        trial: Settings.
        target: The class and score that the maps explain.
        x: (3, H, W), the photo.
        findings: One per map, then one per control (a map computed without the network).
        count: Number of maps, excluding controls.
        samples: Number of random sets per n, and of squares, that sensitivity-n and infidelity are based on.
    """

    trial: Trial
    target: Target
    x: Tensor
    findings: tuple[Findings, ...]
    count: int
    samples: int = 0

    def deleted(self, findings: Findings, share: float) -> Tensor:
        """Return the photo with a share of its pixels replaced by the filler, (3, H, W)."""
        return changed(self.x, self.trial.deleted_to.image(self.x), findings.ranks, share)

    def inserted(self, findings: Findings, share: float) -> Tensor:
        """Return the start image of insertion with a share of the photo's pixels inserted, (3, H, W)."""
        return changed(self.trial.inserted_into.image(self.x), self.x, findings.ranks, share)

    def sentence(self, place: int) -> str:
        """Summarise the findings about one map."""
        this, blind = self.findings[place], self.findings[self.count :]
        if this.flat:
            return f"{this.name}: the map is constant, so the order of its pixels is random."
        deletion = [each.name for each in blind if self._leads(each.deletion, this.deletion, this)]
        insertion = [each.name for each in blind if self._leads(this.insertion, each.insertion, this)]
        beaten = [_names(names, len(blind)) for names in (deletion, insertion)]
        said = f"{this.name} beats {beaten[0]} at deletion, and {beaten[1]} at insertion."
        if beaten[0] == beaten[1]:
            said = f"{this.name} beats {beaten[0]} at deletion and at insertion."
        if this.mean_sensitivity_n is not None and this.mean_sensitivity_n < self.chance:
            said += " Its sensitivity-n is no better than chance."
        return said

    def _leads(self, above: Curve, below: Curve, findings: Findings) -> bool:
        """True if one area is larger than another by more than MIN_LEAD and by more than chance."""
        lead = max(MIN_LEAD * findings.deletion.range, CLEAR_ERRORS * math.hypot(above.error, below.error))
        return above.area - below.area > lead

    @property
    def chance(self) -> float:
        """The mean sensitivity-n that a random map exceeds in about 2% of cases; before it is measured, the least."""
        return 2 / math.sqrt(len(SET_SIZES) * max(1, self.samples or self.trial.samples))

    @property
    def warning(self) -> str:
        """A warning if the filler alone has a high score; otherwise empty."""
        first = self.findings[0].deletion.scores
        if first[-1] <= MAX_FILLER_SCORE * max(first[0], 0.0):
            return ""
        return (
            f"The filler alone scores {first[-1]:.3g} (photo: {first[0]:.3g}), so deletion is not informative here; "
            "choose another filler."
        )


def _names(names: Sequence[str], of: int) -> str:
    if len(names) in (0, of):
        return "every control" if names else "no control"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
