"""The similarity of two maps."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.drawing.heatmap import reduce

CLIP_PERCENTILE = 99.5  # percentile at which maps are clipped before computing SSIM
SSIM_WINDOW = 11  # pixels of a side of the SSIM window


@dataclass(frozen=True)
class Likeness:
    """The similarity of two maps; None if one of them is constant.

    Attributes:
        absolute: Spearman correlation of pixels' sums of absolute values, from -1 to 1.
        signed: Spearman correlation of pixels' signed sums, from -1 to 1.
        structure: SSIM of the two maps as images (Wang et al. 2004), from -1 to 1; also None for images with a side
            below 11 pixels and for maps whose clip percentile is zero.
    """

    absolute: float | None
    signed: float | None
    structure: float | None


def likeness(one: NDArray[np.floating], other: NDArray[np.floating]) -> Likeness:
    """Compare two maps, both (3, H, W)."""
    sizes, sums = ([reduce(each, how) for each in (one, other)] for how in ("sum_of_absolutes", "signed_sum"))
    return Likeness(rank_correlation(*sizes), rank_correlation(*sums), _structure(*sizes))


def rank_correlation(one: NDArray[Any], other: NDArray[Any]) -> float | None:
    """Return Spearman's rank correlation of two maps, (H, W); None if one of them is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.asarray(np.corrcoef(_ranks(one), _ranks(other)))[0, 1])


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the rank of each value, the mean for equal values; scipy.stats takes a second to import for it."""
    _, places, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def _structure(one: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    from skimage.metrics import structural_similarity  # lazy: the import takes a second

    tops = [np.percentile(each, CLIP_PERCENTILE) for each in (one, other)]
    if min(tops) <= 0 or min(one.shape) < SSIM_WINDOW:
        return None
    pictures = [np.clip(each / top, 0, 1) for each, top in zip((one, other), tops, strict=True)]
    wang = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(structural_similarity(*pictures, data_range=1.0, **wang))  # type: ignore[no-untyped-call]
