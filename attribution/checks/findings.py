"""The findings of the faithfulness checks, as numbers and as sentences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from attribution.checks.perturbation_curves import Curve, changed, imputed
from attribution.checks.trial import SET_SIZES, Trial
from attribution.targets.target import Target

BETTER_DIRECTION = {"deletion": "lower is better", "insertion": "higher is better", "ROAD": "lower is better"}
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
        road: Curve from the photo by noisy linear imputation; lower is better. None if it was not measured.
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
    road: Curve | None = None

    @property
    def curves(self) -> dict[str, Curve]:
        """The measured curves by name, as in BETTER_DIRECTION."""
        found = dict(zip(BETTER_DIRECTION, (self.deletion, self.insertion, self.road), strict=True))
        return {name: curve for name, curve in found.items() if curve is not None}

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

    def image(self, name: str, findings: Findings, share: float) -> Tensor:
        """Return an image of a curve, (3, H, W).

        Args:
            name: A key of BETTER_DIRECTION.
            findings: The findings about the map that orders the pixels.
            share: Share of replaced pixels.
        """
        if name == "deletion":
            return changed(self.x, self.trial.deleted_to.image(self.x), findings.ranks, share)
        if name == "insertion":
            return changed(self.trial.inserted_into.image(self.x), self.x, findings.ranks, share)
        return imputed(self.x, findings.ranks, share, self.trial.seed)

    def sentence(self, place: int) -> str:
        """Summarise the findings about one map."""
        this, blind = self.findings[place], self.findings[self.count :]
        if this.flat:
            return f"{this.name}: the map is constant, so the order of its pixels is random."
        beaten: dict[str, list[str]] = {}  # names of curves by the controls that are beaten
        for name, curve in this.curves.items():
            pairs = [(each.name, each.curves[name]) for each in blind]
            lower = BETTER_DIRECTION[name].startswith("lower")
            names = [
                control
                for control, other in pairs
                if (self._leads(other, curve, this) if lower else self._leads(curve, other, this))
            ]
            beaten.setdefault(_names(names, len(blind)), []).append(f"at {name}")
        said = f"{this.name} beats {_listed([f'{who} {_listed(at)}' for who, at in beaten.items()], ', and ')}."
        if this.mean_sensitivity_n is not None and this.mean_sensitivity_n < self.chance:
            rank = "worse than" if this.mean_sensitivity_n < -self.chance else "no better than"
            said += f" Its sensitivity-n is {rank} chance."
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
    return _listed(names)


def _listed(words: Sequence[str], last: str = " and ") -> str:
    """Join words by commas, the last one by another conjunction."""
    return last.join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
