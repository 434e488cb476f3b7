"""The probability score: the softmax probability of a class.

It equals sigmoid(L) of the log-odds L. The gradient of L is accurate in float32, whereas autograd through softmax
returns zeros or a wrong direction once 1 - p is lost to rounding. So L is backpropagated, and the result is multiplied
by d sigmoid / dL = sigmoid(L) * sigmoid(-L).
"""

from typing import ClassVar

from torch import Tensor

from attribution.targets.output import Output
from attribution.targets.score import Score


class Probability(Score):
    """The softmax probability; against a second class, sigmoid(z_c - z_v)."""

    key: ClassVar[str] = "probability"
    title: ClassVar[str] = "Probability"
    unit: ClassVar[str] = "probability"
    implied: ClassVar[bool] = True
    meaning: ClassVar[str] = "Softmax probability p, from 0 to 1. It saturates where the network is certain."
    meaning_versus: ClassVar[str] = (
        "Probability of the target if these two classes were the only ones: sigmoid(z1 \u2212 z2)."
    )

    @staticmethod
    def potential(logits: Tensor, index: int, output: Output) -> Tensor:
        return output.log_odds(logits, index)

    @staticmethod
    def value(potential: Tensor) -> Tensor:
        return potential.sigmoid()

    @staticmethod
    def slope(potential: Tensor) -> Tensor:
        return potential.sigmoid() * (-potential).sigmoid()

    @classmethod
    def has_fixed_signal(cls, versus: bool, output: Output) -> bool:
        del versus, output
        return False
