"""The target of an explanation: a class and a score."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from torch import Tensor

from attribution.refusal import Refusal
from attribution.registry import discover
from attribution.settings import Choice, Configurable, Index, read, setting
from attribution.targets.probability import Probability
from attribution.targets.score import Score

DEFAULT_SCORE = Probability.key
SCORES: dict[str, type[Score]] = dict(
    sorted(
        discover("attribution.targets", Score).items(),  # type: ignore[type-abstract]
        key=lambda entry: entry[0] != DEFAULT_SCORE,
    )
)


@dataclass(frozen=True)
class Target(Configurable):
    """The score of one class, or of one class against another.

    Attributes:
        index: Class index. Default: None, the predicted class.
        score: A key of SCORES: "probability" (the softmax probability, default), "log_odds" (in nats) or "logit".
        versus: Index of a second class, to ask "why this class and not that one?". The log-odds and the logit are then
            z_c - z_v, and the probability is sigmoid(z_c - z_v). Default: None, all other classes.

    Raises:
        Refusal: If the score is unknown or the two classes are the same.
    """

    key: ClassVar[str] = "target"
    title: ClassVar[str] = "Target"

    index: int | None = setting(Index("Explained class. Default: the predicted class."), None)
    score: str = setting(Choice("Explained score.", tuple(SCORES)), DEFAULT_SCORE)
    versus: int | None = setting(Index("Second class, to compare with. Default: all other classes."), None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.versus is not None and self.versus == self.index:
            raise Refusal(f"Class {self.versus} is the explained class itself; choose another second class.")

    @classmethod
    def shorthand(cls, text: str) -> Self | None:
        return cls(int(text)) if text.isascii() and text.isdecimal() and len(text) < 10 else None

    @property
    def kind(self) -> type[Score]:
        """The class of the score."""
        return SCORES[self.score]

    def check(self, classes: int) -> None:
        """Check both indices.

        Raises:
            Refusal: If an index is not below the number of classes.
        """
        for index in (self.index, self.versus):
            if index is not None and not 0 <= index < classes:
                raise Refusal(f"There is no class {index}; choose an index from 0 to {classes - 1}.")

    def resolve(self, logits: Tensor) -> "Target":
        """Fill in the predicted class if none is set, and check both indices.

        Args:
            logits: (K,), of the image to explain.

        Raises:
            Refusal: If an index is not one of the K classes, or the predicted class equals the second class.
        """
        self.check(len(logits))
        return self if self.index is not None else replace(self, index=int(logits.argmax()))

    def potential(self, logits: Tensor) -> Tensor:
        """Return the quantity to backpropagate, such as the log-odds.

        Args:
            logits: (N, K); gradients flow through.

        Returns:
            (N,), in the dtype of the logits.
        """
        assert self.index is not None
        if self.versus is not None:
            return logits[:, self.index] - logits[:, self.versus]
        return self.kind.potential(logits, self.index)

    def value(self, potential: Tensor) -> Tensor:
        """Return the score, (N,), at a potential."""
        return self.kind.value(potential)

    def slope(self, potential: Tensor) -> Tensor:
        """Return the derivative of the score with respect to the potential, (N,)."""
        return self.kind.slope(potential)

    def words(self, classes: Sequence[str]) -> str:
        """Describe the class and the score; the default score is omitted. The class must be known."""
        assert self.index is not None
        versus = "" if self.versus is None else f" against {classes[self.versus]}"
        score = "" if self.score == DEFAULT_SCORE else f", {self.kind.title.lower()}"
        return f"{classes[self.index]}{versus}{score}"

    def quantity(self, value: float) -> str:
        """Format a value of the score, such as "probability 0.997" or "log-odds 5.81 nats"."""
        name, unit = self.kind.title.lower(), self.kind.unit
        return f"{name} {value:.3g}" + (f" {unit}" if unit != name else "")

    @property
    def axis(self) -> str:
        """The label of an axis: "probability", "log-odds, nats" or "logit"."""
        name, unit = self.kind.title.lower(), self.kind.unit
        return name if unit == name else f"{name}, {unit}"

    @property
    def unit(self) -> str:
        """The unit of the score."""
        return self.kind.unit

    @property
    def fixed_signal(self) -> bool:
        """True if the gradient of the score with respect to the logits is the same for every image."""
        return self.kind.has_fixed_signal(self.versus is not None)


def read_target(text: str) -> Target:
    """Make a target from its text form.

    Args:
        text: `target(index=235,score=log_odds,versus=207)`, or only a class index.

    Raises:
        Refusal: If the text is not a valid target.
    """
    return read(text, {Target.key: Target})
