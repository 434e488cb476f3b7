"""A network of three neurons on two inputs, small enough to follow every signal, and its maps by the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from attribution.engine import compare
from attribution.methods.gradients.gradient import Gradient
from attribution.methods.gradients.guided_backprop import GuidedBackprop
from attribution.methods.gradients.zeiler_fergus import ZeilerFergus
from attribution.network.model import Model
from attribution.result import Attribution
from attribution.targets.target import Target

Pair = tuple[float, float]
Triple = tuple[float, float, float]
Into = tuple[Pair, Pair, Pair]

INTO: Into = ((1, 1), (1, -1), (-1, 1))  # A adds the inputs; B and C see their difference, one in each direction
OUT: Mapping[int, Triple] = {1: (2, -3, 4), 2: (2, -5, -1)}  # by class
NO_SKIP: Pair = (0, 0)


@dataclass(frozen=True)
class Neurons:
    """An input and the weights of the network.

    Attributes:
        x: The inputs, any numbers. Default: (2, 1).
        into: Weights from both inputs, of each neuron. Default: INTO.
        out: Weights from each neuron to the score. Default: those of class 1.
        skip: Weights of the direct edges from each input to the score. Default: none.
    """

    x: Pair = (2, 1)
    into: Into = INTO
    out: Triple = OUT[1]
    skip: Pair = NO_SKIP


_FOLDED = {"out": (2, 0, 0), "skip": (-3, -3)}  # 2 ReLU(z) - 3z with z = x1 + x2
PRESETS: Mapping[str, Neurons] = {
    "differ": Neurons((2, 1)),
    "agree": Neurons((1, 2)),
    "negative": Neurons((-2, 1)),
    "empty": Neurons((-2, -3)),
    "skip_open": Neurons((2, 1), **_FOLDED),  # type: ignore[arg-type]
    "skip_closed": Neurons((-2, 1), **_FOLDED),  # type: ignore[arg-type]
}


@dataclass(frozen=True)
class Rules:
    """The score and what each rule sends back to the inputs.

    Attributes:
        score: The score.
        before: Values of the neurons before the ReLU.
        gradient: Map of the gradient.
        guided: Map of guided backpropagation.
        zeiler_fergus: Map of Zeiler-Fergus.
    """

    score: float
    before: Triple
    gradient: Pair
    guided: Pair
    zeiler_fergus: Pair


class ThreeNeurons(nn.Module):
    """Three neurons without biases; x1 and x2 are the red values of two pixels. Logit 0 is the score, logit 1 zero."""

    into: Tensor
    out: Tensor
    skip: Tensor

    def __init__(self, into: Sequence[Sequence[float]], out: Sequence[float], skip: Sequence[float] = NO_SKIP) -> None:
        """Set the weights.

        Args:
            into: (3, 2), from the inputs to the neurons.
            out: (3,), from the neurons to the score.
            skip: (2,), from the inputs directly to the score. Default: none.
        """
        super().__init__()
        for name, weights in (("into", into), ("out", out), ("skip", skip)):
            self.register_parameter(name, nn.Parameter(torch.tensor(weights, dtype=torch.float64)))

    def before(self, x: Tensor) -> Tensor:
        """Return the values before the ReLU, (N, 3), of inputs, (N, 2)."""
        return x @ self.into.T

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits, (N, 2), of images, (N, 3, 1, 2)."""
        x = image[:, 0, 0]
        score = relu(self.before(x)) @ self.out + x @ self.skip
        return torch.stack([score, torch.zeros_like(score)], 1)


def rules(into: Sequence[Sequence[float]], out: Sequence[float], skip: Sequence[float], x: Sequence[float]) -> Rules:
    """Compute the score and the maps of three rules by the engine, in float64.

    Args:
        into: As for `ThreeNeurons`.
        out: As for `ThreeNeurons`.
        skip: As for `ThreeNeurons`.
        x: (2,), the inputs, any numbers.
    """
    net = ThreeNeurons(into, out, skip)
    model = Model("three neurons", net, (1, 2), (0, 0, 0), (1, 1, 1), ("score", "nothing"), device="cpu")
    inputs = torch.tensor(x, dtype=torch.float64)
    image = torch.zeros(3, 1, 2, dtype=torch.float64)
    image[0, 0] = inputs
    found = compare(model, image, (Gradient(), GuidedBackprop(), ZeilerFergus()), Target(0, "logit"))
    for refusal in found.refusals:
        raise refusal
    gradient, guided, zeiler_fergus = (_pair(each) for each in found.maps)
    with torch.no_grad():
        a, b, c = net.before(inputs[None])[0].tolist()
    return Rules(found.maps[0].score, (a, b, c), gradient, guided, zeiler_fergus)


def _pair(result: Attribution) -> Pair:
    first, second = np.asarray(result.values, np.float64)[0, 0].tolist()
    return first, second
