"""The similarity of two maps."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.drawing.heatmap import reduce

CLIP = 99.5  # percentile at which a map is cut before its structure is compared
WINDOW = 11  # pixels of a side of SSIM's window


@dataclass(frozen=True)
class Likeness:
    """The similarity of two maps; None where one of them is constant.

    Attributes:
        absolute: Spearman correlation of the pixels' sizes, from -1 to 1.
        signed: Spearman correlation of their signed sums, from -1 to 1.
        structure: SSIM of the two as pictures (Wang et al. 2004), from -1 to 1; None also for pictures under 11 pixels
            and where fewer pixels than those above the clip are not zero.
    """

    absolute: float | None
    signed: float | None
    structure: float | None


def likeness(one: NDArray[np.floating], other: NDArray[np.floating]) -> Likeness:
    """Compare two maps, both (3, H, W)."""
    sizes, sums = ([reduce(each, how) for each in (one, other)] for how in ("sum_of_absolutes", "signed_sum"))
    return Likeness(rank_correlation(*sizes), rank_correlation(*sums), _structure(*sizes))


def rank_correlation(one: NDArray[Any], other: NDArray[Any]) -> float | None:
    """Spearman's, of two maps (H, W); None where one of them is the same everywhere."""
    from scipy.stats import spearmanr  # here, since it takes a second and few ask for it

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(spearmanr(one.ravel(), other.ravel()).statistic)


def _structure(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    from skimage.metrics import structural_similarity  # here, since it takes a second

    tops = [np.percentile(each, CLIP) for each in (one, other)]
    if min(tops) <= 0 or min(one.shape) < WINDOW:
        return None
    pictures = [np.clip(each / top, 0, 1) for each, top in zip((one, other), tops, strict=True)]
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(*pictures, data_range=1.0, **wang))  # type: ignore[no-untyped-call]
