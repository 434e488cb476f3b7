"""The order of a layer's cells: an output is a stack of feature maps only if its cells follow the image's raster.

Shapes alone do not tell: attention weights look like maps, and tokens may be in any order. So boxes of an image are
changed, one at a time: the cells that change most must be where the raster places them.
"""

import re
from typing import Any

import torch
from torch import Tensor

from attribution.network.layer import Layer

MOST_PADDED = 3  # cells; what a convolution of 7 x 7 needs to keep the size
BOXES = 8  # changed, one at a time
ALIGNED_LAST = 0.6  # the same for a rarer layout, since channels can be taken for rows or tokens
MIRRORED = 0.6  # smallest alignment relative to that of the mirrored maps; cells of a coarse grid are alike
DIFFUSE = 0.25  # share of the cells that change most in all changes, below which the order cannot be told
BOX_SIDE = 0.2  # of a box, relative to the image's
ALIGNED = 0.3  # smallest change where the raster places the boxes, relative to that of as many cells that change most

# Nodes that may change the order of the cells; without them, maps (N, C, H, W) follow the raster.
_REORDERING = re.compile(
    "AsStrided|Bmm|Col2Im|ConstantPad|Cumsum|Fft|Flip|Gather|(Cudnn)?GridSampler|Im2Col|Index|Mm|Permute|Repeat|Reshape|"
    "Roll|Rot90|Scatter|Select|Sort|Topk|Transpose|T(Backward|$)|Unfold|UnsafeView|View|.*(CppFunction|Attention|DifferentiableGraph|Generated|Rnn)"
)


def may_reorder(node: Any) -> bool:
    """True if an operator may change the order of the cells."""
    name = node.name().rpartition("::")[2]
    if re.match("Cat|Slice|Split", name):
        return bool(node._saved_dim != 1)  # the channels
    if name.startswith("ConstantPad") and max(map(abs, node._saved_pad)) <= MOST_PADDED:
        return False
    if name.startswith("AsStrided") and node.next_functions[0][0].name().startswith("Mean"):  # as pooling to 1 x 1 does
        return False
    return bool(_REORDERING.match(name)) or isinstance(node, torch.autograd.function.BackwardCFunction)


def boxes() -> list[tuple[float, float]]:
    """Return the top left corners of the boxes, relative to the image's sides."""
    places = torch.rand((BOXES, 2), generator=torch.Generator().manual_seed(0)) * (1 - BOX_SIDE)
    return [(float(top), float(left)) for top, left in places]


def changed(x: Tensor, box: tuple[float, float]) -> Tensor:
    """Return an image, (3, H, W), with the pixels of a box inverted."""
    x = x.clone()
    rows, columns = _inside(box, (x.shape[1], x.shape[2]))
    x[:, rows, columns] = 1 - x[:, rows, columns]
    return x


def change(layer: Layer, output: Tensor) -> Tensor:
    """Return by how much each cell of a layer changes, (N - 1, h, w).

    Args:
        layer: A way to read the output.
        output: The output for N images, of which the first one is unchanged.
    """
    maps = layer.maps(output)
    distance: Tensor = torch.linalg.vector_norm(maps[1:] - maps[:1], dim=1)
    return distance.cpu().double()


def alignment(changes: Tensor) -> float:
    """Return how well the cells of a layer are where the raster places them, from 0 to 1; 0 if they are mirrored.

    Args:
        changes: For each of the boxes, (BOXES, h, w), as returned by `change`.
    """
    mirrored = [changes.flip(1), changes.flip(2), changes.flip(1, 2), changes.mT]
    here, most, whole = _sums(changes)
    if most < DIFFUSE * whole:
        return max(ALIGNED, here / max(most, 1e-300))  # every cell depends on all of the image
    others = [_sums(each)[0] for each in mirrored if each.shape == changes.shape]
    return here / max(most, 1e-300) if here >= MIRRORED * max(others) else 0.0


def _sums(changes: Tensor) -> tuple[float, float, float]:
    """Return the changes inside the boxes, those of as many cells that change most, and those of all cells."""
    own = (changes - changes.mean(0)).clamp(min=0)  # more than by the other boxes
    inside = [each[_inside(box, (each.shape[0], each.shape[1]))] for each, box in zip(own, boxes(), strict=True)]
    most = [each.flatten().topk(cells.numel()).values for each, cells in zip(own, inside, strict=True)]
    return float(torch.cat([cells.flatten() for cells in inside]).sum()), float(torch.cat(most).sum()), float(own.sum())


def _inside(box: tuple[float, float], size: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of a box in an image or a grid of (H, W)."""
    starts = [min(round(start * side), side - 1) for start, side in zip(box, size, strict=True)]
    rows, columns = (
        slice(start, max(start + 1, round((place + BOX_SIDE) * side)))
        for start, place, side in zip(starts, box, size, strict=True)
    )
    return rows, columns
