"""Mean maps of a class, in the frame of the photo and in that of the box."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from attribution.batch.prototypes import Key, by_class
from attribution.photo.cells import GRID

MARGIN = 0.5  # around the box on each side, as a share of its own side
CHUNK = 512  # maps that are resampled at once

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MeanMap:
    """The mean of the maps of one class by one method.

    Each map is first divided by its sum of absolute values, so that no photo dominates.

    Attributes:
        cells: (28, 28), in the frame of the photo.
        count: Number of photos.
        boxed: (28, 28), in the frame of the box, which fills its middle half; NaN where no photo has values. None if no
            photo has a box.
        boxes: Number of photos with a box.
    """

    cells: Floats
    count: int
    boxed: Floats | None
    boxes: int


def mean_maps(table: pa.Table) -> dict[Key, dict[str, MeanMap]]:
    """Return the mean map of every explained class and method, in the order of the table.

    Args:
        table: Columns as in `batch.table`; rows without `cells`, or with a map of zeros, do not count.

    Returns:
        Mean maps by class, then by the method's text.
    """
    found: dict[Key, dict[str, MeanMap]] = {}
    for method in pc.unique(table["method"].drop_null()).to_pylist():
        chosen = pc.and_(pc.fill_null(pc.equal(table["method"], method), False), pc.is_valid(table["cells"]))
        for key, rows in by_class(table, chosen):
            if (mean := _mean(table, rows)) is not None:
                found.setdefault(key, {})[method] = mean
    return found


def _mean(table: pa.Table, rows: NDArray[np.int64]) -> MeanMap | None:
    total, count = np.zeros((GRID, GRID)), 0
    seen, boxed, boxes = np.zeros((GRID, GRID)), np.zeros((GRID, GRID)), 0
    for cells, box in _normalised(table, rows):
        total += cells.sum(0)
        count += len(cells)
        inside = (box[:, 2] > box[:, 0]) & (box[:, 3] > box[:, 1])  # False without a box, whose sides are NaN
        values, known = around(cells[inside], box[inside])
        boxed += values.sum(0)
        seen += known.sum(0)
        boxes += int(inside.sum())
    if count == 0:
        return None
    with np.errstate(invalid="ignore"):
        return MeanMap(total / count, count, boxed / seen if boxes else None, boxes)


def _normalised(table: pa.Table, rows: NDArray[np.int64]) -> Iterator[tuple[Floats, Floats]]:
    """Yield maps, (N, 28, 28), each with a sum of absolute values of 1, and their boxes, (N, 4), in chunks."""
    for start in range(0, len(rows), CHUNK):
        part = table.take(rows[start : start + CHUNK])
        cells = part["cells"].combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float64)
        cells = cells.reshape(-1, GRID, GRID)
        sides = [part[f"box_{side}"].to_numpy() for side in ("left", "top", "right", "bottom")]
        box = np.stack(sides, 1).astype(np.float64)  # null becomes NaN
        size = np.abs(cells).sum((1, 2), keepdims=True)
        good = np.isfinite(size[:, 0, 0]) & (size[:, 0, 0] > 0)
        yield cells[good] / size[good], box[good]


def around(cells: Floats, box: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Resample maps so that the box and its margin fill them, bilinearly between the centres of the cells.

    Args:
        cells: (N, 28, 28).
        box: Left, top, right and bottom, as shares of the photo's sides, (N, 4).

    Returns:
        The values, 0 outside the photo, (N, 28, 28), and where they are inside, of the same shape.
    """
    across, is_across = _weights(box[:, 0], box[:, 2])
    down, is_down = _weights(box[:, 1], box[:, 3])
    known = is_down[:, :, None] & is_across[:, None, :]
    return np.where(known, down @ cells @ across.transpose(0, 2, 1), 0.0), known


def _weights(low: Floats, high: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the weights of the cells at each place along a side, (N, 28, 28), and which places are in the photo."""
    side = (high - low)[:, None]
    places = low[:, None] - MARGIN * side + (np.arange(GRID) + 0.5) / GRID * (1 + 2 * MARGIN) * side  # (N, 28)
    centres = np.clip(places * GRID - 0.5, 0, GRID - 1)  # at the photo's edge, the values of the outermost cells
    weights = np.maximum(1 - np.abs(centres[:, :, None] - np.arange(GRID)), 0)
    return weights, (places >= 0) & (places <= 1)
