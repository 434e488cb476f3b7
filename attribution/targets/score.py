"""The interface of a score: a number computed from the logits of an image."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor


class Score(ABC):
    """A score of one class, or of one class against a second one.

    The scorer backpropagates the potential, which never saturates, and multiplies by the slope.

    Attributes:
        key: Name in links, on the command line and in saved files.
        title: Name on the page.
        unit: Unit of the score.
        meaning: Explanation for the sidebar.
        meaning_versus: Explanation for a target with a second class.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    unit: ClassVar[str]
    meaning: ClassVar[str]
    meaning_versus: ClassVar[str]

    @staticmethod
    @abstractmethod
    def potential(logits: Tensor, index: int) -> Tensor:
        """Return the quantity to backpropagate, for a target without a second class.

        Args:
            logits: (N, K); gradients flow through.
            index: Class index.

        Returns:
            (N,), in the dtype of the logits.
        """

    @staticmethod
    def value(potential: Tensor) -> Tensor:
        """Return the score, (N,), at a potential."""
        return potential

    @staticmethod
    def slope(potential: Tensor) -> Tensor:
        """Return the derivative of the score with respect to the potential, (N,)."""
        return torch.ones_like(potential)

    @classmethod
    @abstractmethod
    def has_fixed_signal(cls, versus: bool) -> bool:
        """True if the gradient of the score with respect to the logits is the same for every image."""


def log_odds(logits: Tensor, index: int) -> Tensor:
    """Return the log-odds of a class, z_c - logsumexp(z_others), (N,), in nats."""
    others = torch.cat([logits[:, :index], logits[:, index + 1 :]], 1)  # (N, K - 1)
    return logits[:, index] - others.logsumexp(1)
