"""Two networks of two cells that integrated gradients explain alike, but that react differently if one cell is covered.

Both see the photo (1, 1) and return 1; with both cells black, both return 0. The straight path raises both cells
together, so that each gets one half in both networks. Completeness is about both cells together: it does not promise
what one of them does alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from attribution.baselines.constant import Black
from attribution.checks.probe import Forecast, probe
from attribution.engine import attribute
from attribution.methods.paths.integrated_gradients import IntegratedGradients
from attribution.network.model import Model
from attribution.photo.cells import GRID, Cells
from attribution.targets.target import Target

FIRST = Cells.box(0, 0, GRID // 2, GRID)  # the left half, which the networks see as one value
STEPS = 100


@dataclass(frozen=True)
class Example:
    """A network of two cells.

    Attributes:
        title: Its name.
        formula: LaTeX.
        forecast: The forecast of integrated gradients for covering the first cell with black.
        change: The measured change of the score.
    """

    title: str
    formula: str
    forecast: Forecast
    change: float


class TwoCells(nn.Module):
    """A function of the means of the left and the right half of an image as logit 0; logit 1 is zero."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Use a function of two values, (N,) each."""
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits, (N, 2), of images, (N, 3, 28, 28)."""
        left, right = (half.mean((1, 2, 3)) for half in torch.split(x, GRID // 2, dim=3))
        score = self.function(left, right)
        return torch.stack([score, torch.zeros_like(score)], 1)


def _either(left: Tensor, right: Tensor) -> Tensor:
    return 1 - relu(1 - left - right)


def _both(left: Tensor, right: Tensor) -> Tensor:
    return relu(left + right - 1)


NETWORKS = {
    "OR": (r"1 - \max(0,\ 1 - x_1 - x_2)", _either),
    "AND": (r"\max(0,\ x_1 + x_2 - 1)", _both),
}


def examples() -> list[Example]:
    """Explain and probe both networks at (1, 1)."""
    found = []
    for title, (formula, function) in NETWORKS.items():
        model = Model(title, TwoCells(function), (GRID, GRID), (0, 0, 0), (1, 1, 1), ["score", "nothing"], device="cpu")
        photo = torch.ones(3, GRID, GRID)
        map_ = attribute(model, photo, IntegratedGradients(STEPS, Black(), "midpoint"), Target(0, "logit"))
        probed = probe(model, photo, FIRST, Black(), [map_])
        found.append(Example(title, formula, probed.maps[0], probed.change))
    return found
