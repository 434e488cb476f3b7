"""A function that saturates, f(x) = 1 - ReLU(1 - x): its gradient, and integrated gradients, by the engine."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from attribution.baselines.constant import Black
from attribution.engine import compare
from attribution.methods.gradients.gradient import Gradient
from attribution.methods.paths.integrated_gradients import IntegratedGradients
from attribution.methods.paths.straight_path import average
from attribution.network.model import Model
from attribution.network.scorer import Scorer
from attribution.targets.target import Target

RULE = "midpoint"


@dataclass(frozen=True)
class Toy:
    """A point, a baseline, and the number of midpoint steps from one to the other.

    Attributes:
        x: The input, any number. Default: 3.
        baseline: Start of the path, any number. Default: 0.
        steps: From 1 to 1000. Default: 2.
    """

    x: float = 3
    baseline: float = 0
    steps: int = 2


@dataclass(frozen=True)
class Integrated:
    """Integrated gradients of the function.

    Attributes:
        gradient: f'(x).
        integrand: Position on the path and f' there times x - baseline, at each midpoint.
        sum: Mean of the integrand: integrated gradients.
        exact: f(x) - f(baseline).
    """

    gradient: float
    integrand: tuple[tuple[float, float], ...]
    sum: float
    exact: float

    @property
    def error(self) -> float:
        """The error of the sum."""
        return self.sum - self.exact


class Saturating(nn.Module):
    """f(u + shift) as logit 0, where u is the red value of the only pixel; logit 1 is zero.

    The shift moves a baseline of any value to black, at which every gradient and every difference is the same.
    """

    shift: Tensor

    def __init__(self, shift: float = 0) -> None:
        """Set the shift. Default: none."""
        super().__init__()
        self.register_buffer("shift", torch.tensor(float(shift), dtype=torch.float64))

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits, (N, 2), of images, (N, 3, 1, 1)."""
        score = 1 - relu(1 - (image[:, 0, 0, 0] + self.shift))
        return torch.stack([score, torch.zeros_like(score)], 1)


def integrated(x: float, baseline: float, steps: int) -> Integrated:
    """Compute the gradient, the integrand and integrated gradients by the engine, in float64.

    Args:
        x: The input, any number.
        baseline: Start of the path, any number.
        steps: Midpoint steps, 1 to 1000.

    Raises:
        Refusal: If the number of steps is out of its range.
    """
    model = Model("saturating", Saturating(baseline), (1, 1), (0, 0, 0), (1, 1, 1), ("score", "nothing"), device="cpu")
    image = torch.zeros(3, 1, 1, dtype=torch.float64)
    image[0] = x - baseline
    target = Target(0, "logit")
    found = compare(model, image, (Gradient(), IntegratedGradients(steps, Black(), RULE)), target)
    for refusal in found.refusals:
        raise refusal
    gradient, path = found.maps
    start = Black().image(image)
    nodes = average(Scorer(model, image, target), start, steps, RULE, lambda done, map_so_far: None)
    before = float(Scorer(model, start, target).score)
    return Integrated(
        float(np.asarray(gradient.values, np.float64)[0, 0, 0]) + 0.0,  # no negative zero
        tuple(zip(nodes.nodes.tolist(), nodes.slopes.tolist(), strict=True)),
        float(np.asarray(path.values, np.float64).sum()),
        path.score - before,
    )
