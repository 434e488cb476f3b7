"""The interface of a kind of output: the meaning of the numbers that a network returns."""

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from attribution.refusal import Refusal
from attribution.settings import Configurable


class Output(Configurable):
    """A kind of output.

    Attributes:
        key: Name in code, on the command line and in saved files.
        title: Name on the page.
        scores: Keys of the scores that mean something for it, the default first.
        range: Number of names that it takes, worded to follow "needs".
        has_rivals: True if every class has a logit of its own, so that two classes can be compared.
        compares: True if a class can be explained against another.
        has_shares: True if the numbers to show are probabilities.
        has_fixed_odds: True if the gradient of the log-odds with respect to the logits is the same for every image.
        unit: Unit of the score "value".
    """

    scores: ClassVar[tuple[str, ...]] = ("probability", "log_odds", "logit")
    range: ClassVar[str]
    has_rivals: ClassVar[bool] = True
    compares: ClassVar[bool] = True
    has_shares: ClassVar[bool] = True
    has_fixed_odds: ClassVar[bool] = False
    unit: ClassVar[str] = ""

    @staticmethod
    @abstractmethod
    def fits(names: int) -> bool:
        """True if a network with this output can have so many names."""

    @staticmethod
    def usual_names(logits: int) -> tuple[str, ...]:
        """Return names for a network with so many logits whose names are unknown."""
        return tuple(map(str, range(logits)))

    @staticmethod
    def logits(returned: object) -> object:
        """Return logits of shape (N, K), one per name, from the value that the network returned.

        A value of another shape or type is returned unchanged.
        """
        return returned

    @staticmethod
    @abstractmethod
    def shares(logits: Tensor) -> Tensor:
        """Return the numbers to show for each name, (N, K), such as probabilities."""

    @staticmethod
    @abstractmethod
    def log_odds(logits: Tensor, index: int) -> Tensor:
        """Return the log-odds of a class, (N,), in nats; gradients flow through."""

    @staticmethod
    @abstractmethod
    def entropy(shares: Tensor) -> Tensor:
        """Return the entropy of probabilities, (N, K), in bits, (N,)."""

    def check(self, score: str, index: int | None, versus: int | None) -> None:
        """Check that a score of a class means something.

        Raises:
            Refusal: If it does not.
        """
        del index, versus
        if score not in self.scores:
            offered = " or ".join(self.scores)
            raise Refusal(f"The score {score} means nothing for a network that returns {self.title}; choose {offered}.")
