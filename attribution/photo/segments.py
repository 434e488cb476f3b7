"""Segments: connected regions of similar colour, which partition a photo (SLIC)."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

RAISED = 10.0  # factor of the compactness if too few segments remain
MOST_RAISES = 3
TOO_FEW = 0.5  # share of the wanted number


def segment(x: Tensor, count: int, compactness: float) -> NDArray[np.int64]:
    """Partition a photo by SLIC (Achanta et al. 2012).

    The number reached differs from the wanted one, since SLIC merges small regions into their neighbours. In a noisy
    photo almost everything would merge; if fewer than half of the segments remain, the compactness is raised tenfold,
    at most three times, towards a grid. In a photo with no more pixels than wanted segments, each pixel is one.

    Args:
        x: (3, H, W), pixels in [0, 1]; others are clipped.
        count: Wanted number of segments.
        compactness: Weight of distance against colour; 10 is usual.

    Returns:
        Labels from 0 without gaps, (H, W). They do not depend on the dtype or the device of x.
    """
    from skimage.segmentation import slic  # lazy: the import takes a second

    height, width = x.shape[1:]
    if height * width <= count:
        return np.arange(height * width).reshape(height, width)
    pixels = x.detach().cpu().float().double().clamp(0, 1).permute(1, 2, 0).numpy()  # float32, whatever x has
    found = np.zeros((height, width), dtype=np.int64)
    for raises in range(1 + MOST_RAISES):
        labels = slic(pixels, count, compactness * RAISED**raises, start_label=0, channel_axis=-1)
        again = np.unique(labels, return_inverse=True)[1].reshape(height, width)
        if again.max() > found.max():
            found = again
        if found.max() + 1 >= TOO_FEW * count:
            break
    return found
