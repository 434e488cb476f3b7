"""The order of a layer's cells: an output is a stack of feature maps only if its cells follow the image's raster.

Shapes alone do not tell: attention weights look like maps, and tokens may be in any order. So cells are traced back:
what one depends on more than others do must be where the raster places it.
"""

import re
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from attribution.network.layer import Layer

CELLS = 8  # traced back; they take half as many backward passes, since there are two images
ALIGNED = 0.5  # smallest share of what cells depend on that is where the raster places them

# Nodes that may change the order of the cells; without them, maps (N, C, H, W) follow the raster.
_REORDERING = re.compile(
    "AsStrided|Bmm|Col2Im|Cumsum|Fft|Flip|Gather|Im2Col|Index|Mm|Permute|Reshape|Roll|Rot90|Scatter|Select|Sort|Topk|"
    "Transpose|T(Backward|$)|Unfold|UnsafeView|View|.*(CppFunction|Attention|DifferentiableGraph|Generated|Rnn)"
)


def may_reorder(node: Any) -> bool:
    """True if an operator may change the order of the cells."""
    name = node.name().rpartition("::")[2]
    if name.startswith("AsStrided") and node.next_functions[0][0].name().startswith("Mean"):  # as pooling to 1 x 1 does
        return False
    return bool(_REORDERING.match(name)) or isinstance(node, torch.autograd.function.BackwardCFunction)


def alignment(layer: Layer, output: Tensor, x: Tensor) -> float:
    """Return how well the cells of a layer are where the raster places them, from 0 to 1.

    It is what cells depend on within one cell of their places, relative to the most within any 3 x 3 cells.

    Args:
        layer: A way to read the output.
        output: The output for `x`.
        x: (2, 3, H, W), the same image twice, which requires a gradient.
    """
    random = torch.Generator().manual_seed(0)
    height, width = layer.height, layer.width
    feature = torch.randn(layer.channels, generator=random).to(output)  # a random combination of the features
    cells = torch.randperm(height * width, generator=random)[:CELLS]
    powers = []
    for pair in torch.split(cells, len(x)):
        maps = layer.maps(output)
        signal = torch.zeros_like(maps)
        for image, cell in enumerate(pair.tolist()):
            signal[image, :, cell // width, cell % width] = feature
        (gradient,) = torch.autograd.grad(maps, x, signal, retain_graph=True)
        powers.append(gradient[: len(pair)].double().square().sum(1).cpu())
    power = functional.interpolate(torch.cat(powers)[:, None], (height, width), mode="area")[:, 0]  # (cells, h, w)
    power = power / power.sum((1, 2), keepdim=True).clamp(min=1e-300)
    own = (power - power.mean(0)).clamp(min=0)  # more than the others depend on it
    near = functional.avg_pool2d(own[:, None], 3, 1, 1)[:, 0]  # (cells, h, w)
    placed = near[torch.arange(len(cells)), cells // width, cells % width]
    return float(placed.sum() / near.amax((1, 2)).sum().clamp(min=1e-300))
