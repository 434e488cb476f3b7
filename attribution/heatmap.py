"""Attribution values -> one number a pixel -> a picture. The only place where values are rescaled."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def sum_of_absolutes(values: NDArray[Any]) -> NDArray[np.float64]:
    """Reduce the channels as the worked example does.

    Args:
        values: (3, H, W), signed.

    Returns:
        (H, W), not negative.
    """
    heat: NDArray[np.float64] = np.abs(values.astype(np.float64)).sum(0)
    return heat


def is_blank(heat: NDArray[np.float64]) -> bool:
    """Whether a map holds one number everywhere, so that a picture of it can show nothing."""
    return float(heat.max()) == float(heat.min())


def grey(heat: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Draw a map white-to-black: the least value white, the greatest black. A blank map is drawn white.

    Args:
        heat: (H, W), finite.

    Returns:
        (H, W, 3), 8-bit RGB.
    """
    low, high = heat.min(), heat.max()
    shade = np.zeros_like(heat) if is_blank(heat) else (heat - low) / (high - low)  # in [0, 1]
    return np.repeat(np.round(255 * (1 - shade)).astype(np.uint8)[..., None], 3, axis=2)
