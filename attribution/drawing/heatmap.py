"""From attribution values to one number per pixel to colours. The only Python code that rescales values.

`viewer/heat.js` does the same in the browser; `tests/heatmap_vectors.json` keeps the two equal.
"""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Heat = NDArray[np.float64]  # (H, W)
Span = tuple[float, float]  # the values at the two ends of a colour scale
OUTLINE = 0.4  # opacity of the lines between segments

REDUCTION_LABELS = {"sum_of_absolutes": "Sum of absolute values", "absolute_of_sum": "Absolute value of sum"}
REDUCTIONS: dict[str, Callable[[Heat], Heat]] = {  # (3, H, W) -> (H, W)
    "sum_of_absolutes": lambda values: np.abs(values).sum(0),
    "absolute_of_sum": lambda values: np.abs(values.sum(0)),
    "maximum": lambda values: np.abs(values).max(0),
    "signed_sum": lambda values: values.sum(0),
}


@cache
def colour_maps() -> dict[str, list[list[int]]]:
    """Return the colour maps by name, as equally spaced anchors in 8-bit RGB.

    Magma, viridis and cividis are matplotlib's (CC0). All maps are readable with red-green colour blindness.
    """
    found: dict[str, list[list[int]]] = json.loads(Path(__file__).with_name("colours.json").read_text())
    return found


def reduce(values: NDArray[Any], reduction: str = "sum_of_absolutes") -> Heat:
    """Reduce the channels to one number per pixel.

    Args:
        values: (3, H, W), signed.
        reduction: A key of REDUCTIONS. Default: the sum of absolute values.

    Returns:
        (H, W); non-negative except for "signed_sum".
    """
    return REDUCTIONS[reduction](values.astype(np.float64))


def span(heat: Heat, clip: float = 100.0, signed: bool = False) -> Span:
    """Return the ends of the colour scale.

    Args:
        heat: (H, W), finite.
        clip: Percentile at which the scale ends. Default: 100, no clipping.
        signed: True if the scale is centred at zero.

    Returns:
        The minimum and the percentile; if signed, minus and plus the percentile of the absolute values.
    """
    if signed:
        limit = float(np.percentile(np.abs(heat), clip))
        return -limit, limit
    return float(heat.min()), float(np.percentile(heat, clip))


def shared(spans: Sequence[Span]) -> Span:
    """Return the common span of several maps, so that their colours can be compared."""
    return min(low for low, _ in spans), max(high for _, high in spans)


def clipped(heat: Heat, ends: Span) -> float:
    """Return the percentage of pixels outside a span, which are drawn in its end colours."""
    return 100 * float(((heat < ends[0]) | (heat > ends[1])).mean())


def is_blank(ends: Span) -> bool:
    """True if a span is empty, so that there is nothing to draw."""
    return not ends[1] > ends[0]


def unit(heat: Heat, ends: Span) -> Heat:
    """Return the positions of values in a span, in [0, 1]; in a blank span 0, or 0.5 if it is signed."""
    low, high = ends
    if is_blank(ends):
        return np.full(heat.shape, 0.5 if np.signbit(low) else 0.0)  # also of -0.0, from zeros
    return np.clip((heat - low) / (high - low), 0.0, 1.0)


def colour(places: Heat, anchors: Sequence[Sequence[int]]) -> NDArray[np.uint8]:
    """Return the colours at positions in [0, 1] between equally spaced anchors.

    Args:
        places: (H, W).
        anchors: At least two RGB triples.

    Returns:
        (H, W, 3), 8-bit RGB.
    """
    points = np.array(anchors, dtype=np.float64)  # (A, 3)
    x = places * (len(points) - 1)
    below = np.minimum(np.floor(x).astype(int), len(points) - 2)
    mixed = points[below] + (x - below)[..., None] * (points[below + 1] - points[below])
    rgb: NDArray[np.uint8] = np.floor(mixed + 0.5).astype(np.uint8)  # round half up, as in the browser
    return rgb


def channels(places: Heat) -> NDArray[np.uint8]:
    """Return positions in [0, 1] of three channels, (3, H, W), as red, green and blue, (H, W, 3), 8-bit RGB."""
    rgb: NDArray[np.uint8] = np.floor(255 * places.transpose(1, 2, 0) + 0.5).astype(np.uint8)
    return rgb


def outlined(rgb: NDArray[np.uint8], segments: NDArray[Any]) -> NDArray[np.uint8]:
    """Draw thin lines between segments, dark on bright pixels and bright on dark ones.

    Args:
        rgb: (H, W, 3), 8-bit RGB.
        segments: (H, W), labels.

    Returns:
        (H, W, 3), 8-bit RGB; a pixel is on a line if the one below or to the right is of another segment.
    """
    line = np.zeros(segments.shape, dtype=bool)
    line[:-1] |= segments[:-1] != segments[1:]
    line[:, :-1] |= segments[:, :-1] != segments[:, 1:]
    ends = np.where(rgb.sum(-1, dtype=int, keepdims=True) >= 384, 0, 255)
    mixed = np.rint(rgb + OUTLINE * (ends - rgb.astype(int))).astype(np.uint8)
    return np.where(line[..., None], mixed, rgb)
