"""The findings of the faithfulness checks, in numbers and in sentences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from attribution.checks.perturbation_curves import Curve, changed
from attribution.checks.trial import SIZES, Trial
from attribution.targets.target import Target

MIN_LEAD = 0.01  # lead over a control, in shares of the score's range, from which a map beats it
MAX_FILLER_SCORE = 0.2  # score of the filler, over the photo's, above which deletion says little


@dataclass(frozen=True, eq=False)
class Findings:
    """The findings about one map.

    Attributes:
        name: Name of the map.
        ranks: (H, W), rank of each pixel in the map: 0 is the strongest, and ties are in random order.
        deletion: Curve from the photo; lower is better.
        insertion: Curve to the photo; higher is better.
        flat: True if the map is the same everywhere, so that its ranks are random.
        sensitivity_n: Pearson correlation for each of SIZES; None where all sets have the same sum.
        infidelity: Mean squared error, in squares of the score's unit; None for a map whose values are neither shares
            of a score difference nor per unit of pixel value, since their sums then forecast nothing.
        scaled_infidelity: Infidelity of the map times the factor that minimises it.
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
        """The mean over the sizes at which it is known."""
        known = [each for each in self.sensitivity_n if each is not None]
        return float(np.mean(known)) if known else None


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """The findings about all maps.

    Attributes:
        trial: Settings.
        target: The class and score that the maps explain.
        x: (3, H, W), the photo.
        findings: One a map, then one for each control: a map that knows nothing of the network.
        count: Number of maps, without the controls.
    """

    trial: Trial
    target: Target
    x: Tensor
    findings: tuple[Findings, ...]
    count: int

    def deleted(self, findings: Findings, share: float) -> Tensor:
        """Return the photo without a share of its pixels, (3, H, W)."""
        return changed(self.x, self.trial.deleted_to.image(self.x), findings.ranks, share)

    def inserted(self, findings: Findings, share: float) -> Tensor:
        """Return a share of the photo's pixels on the image that insertion starts from, (3, H, W)."""
        return changed(self.trial.inserted_into.image(self.x), self.x, findings.ranks, share)

    def sentence(self, place: int) -> str:
        """Return the findings about one map in words."""
        this, blind = self.findings[place], self.findings[self.count :]
        if this.flat:
            return f"{this.name} has the same value everywhere, so the order of its pixels is random."
        margin = MIN_LEAD * (this.deletion.scores.max() - this.deletion.scores.min())
        deletion = [each.name for each in blind if this.deletion.area < each.deletion.area - margin]
        insertion = [each.name for each in blind if this.insertion.area > each.insertion.area + margin]
        beaten = [_names(names, len(blind)) for names in (deletion, insertion)]
        said = f"{this.name} beats {beaten[0]} at deletion, and {beaten[1]} at insertion."
        if beaten[0] == beaten[1]:
            said = f"{this.name} beats {beaten[0]} at deletion and at insertion."
        if this.mean_sensitivity_n is not None and this.mean_sensitivity_n < self.chance:
            said += " Its sums over random sets of pixels predict the lost score no better than chance."
        return said

    @property
    def chance(self) -> float:
        """The mean sensitivity-n that a random map exceeds in 2 of 100 trials."""
        return 2 / math.sqrt(len(SIZES) * max(1, self.trial.samples))

    @property
    def warning(self) -> str:
        """A sentence, if the filler alone has a large part of the score; else empty."""
        first = self.findings[0].deletion.scores
        if first[-1] <= MAX_FILLER_SCORE * max(first[0], 0.0):
            return ""
        return (
            f"The photo scores {first[0]:.3g} and the filler alone {first[-1]:.3g}, so deletion says little here; "
            "choose another filler."
        )


def _names(names: Sequence[str], of: int) -> str:
    if len(names) in (0, of):
        return "every control" if names else "no control"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
