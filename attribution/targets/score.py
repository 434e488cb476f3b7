"""The interface of a score: a number computed from the logits of an image."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from attribution.targets.output import Output


class Score(ABC):
    """A score of one class, or of one class against a second one.

    The scorer backpropagates the potential, which never saturates, and multiplies by the slope.

    Attributes:
        key: Name in links, on the command line and in saved files.
        title: Name on the page.
        unit: Unit of the score.
        meaning: Explanation for the sidebar.
        meaning_versus: Explanation for a target with a second class.
        implied: True if descriptions omit its title.
        shown: Title of the numbers of a prediction.
        signs: Words for values that lower and that raise the score.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    unit: ClassVar[str]
    meaning: ClassVar[str]
    meaning_versus: ClassVar[str]
    implied: ClassVar[bool] = False
    shown: ClassVar[str] = "Probability"
    signs: ClassVar[tuple[str, str]] = ("against", "for")

    @staticmethod
    @abstractmethod
    def potential(logits: Tensor, index: int, output: Output) -> Tensor:
        """Return the quantity to backpropagate, for a target without a second class.

        Args:
            logits: (N, K); gradients flow through.
            index: Class index.
            output: Kind of output of the network.

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

    @staticmethod
    def share(share: float, unit: str) -> str:
        """Format a number of a prediction."""
        del unit
        return f"{share:.2%}"

    @staticmethod
    def predicted(index: int, name: str, share: float, unit: str) -> str:
        """Describe an entry of a prediction, as returned by `Model.predict`."""
        del unit
        return f"{name} ({index}), probability {share:.3f}"

    @classmethod
    @abstractmethod
    def has_fixed_signal(cls, versus: bool, output: Output) -> bool:
        """True if the gradient of the score with respect to the logits is the same for every image."""
