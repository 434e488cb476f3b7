"""The target of an explanation: a class and a score."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from torch import Tensor

from attribution.refusal import Refusal
from attribution.registry import discover
from attribution.settings import Choice, Configurable, Index, Text, read, setting
from attribution.targets.classes import Classes
from attribution.targets.number import Number
from attribution.targets.output import Output
from attribution.targets.probability import Probability
from attribution.targets.score import Score

DEFAULT_SCORE = Probability.key
SCORES: dict[str, type[Score]] = dict(
    sorted(
        discover("attribution.targets", Score).items(),  # type: ignore[type-abstract]
        key=lambda entry: entry[0] != DEFAULT_SCORE,
    )
)
DEFAULT_OUTPUT = Classes.key
OUTPUTS: dict[str, type[Output]] = dict(
    sorted(
        discover("attribution.targets", Output).items(),  # type: ignore[type-abstract]
        key=lambda entry: entry[0] != DEFAULT_OUTPUT,
    )
)


def output_of(key: str, unit: str = "") -> Output:
    """Return a kind of output.

    Args:
        key: A key of OUTPUTS.
        unit: Unit of a number. Default: none.

    Raises:
        Refusal: If there is no such kind, or it has no unit.
    """
    output: Output = read(key, OUTPUTS)
    if unit and not isinstance(output, Number):
        raise Refusal(f"The unit {unit!r} needs the output number, got {key!r}; leave it out.")
    return Number(unit) if isinstance(output, Number) else output


@dataclass(frozen=True)
class Target(Configurable):
    """The score of one class, or of one class against another.

    Attributes:
        index: Class index. Default: None, the predicted class.
        score: A key of SCORES: "probability" (the softmax probability, default), "log_odds" (in nats) or "logit"; for a
            number, "value".
        versus: Index of a second class, to ask "why this class and not that one?". The log-odds and the logit are then
            z_c - z_v, and the probability is sigmoid(z_c - z_v). Default: None, all other classes.
        value_unit: Unit of the score "value"; filled in with the model's.

    Raises:
        Refusal: If the score is unknown or the two classes are the same.
    """

    key: ClassVar[str] = "target"
    title: ClassVar[str] = "Target"

    index: int | None = setting(Index("Explained class. Default: the predicted class."), None)
    score: str = setting(Choice("Explained score.", tuple(SCORES)), DEFAULT_SCORE)
    versus: int | None = setting(Index("Second class, to compare with. Default: all other classes."), None)
    value_unit: str = setting(Text("Unit of a value; filled in with the model's.", shown=False), "")

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

    def check(self, classes: int, output: Output) -> None:
        """Check both indices and the score.

        Args:
            classes: Number of classes.
            output: Kind of output of the network.

        Raises:
            Refusal: If an index is not below the number of classes, or the score means nothing for the output.
        """
        for index in (self.index, self.versus):
            if index is not None and not 0 <= index < classes:
                raise Refusal(f"There is no class {index}; choose an index from 0 to {classes - 1}.")
        output.check(self.score, self.index, self.versus)

    def resolve(self, logits: Tensor, output: Output) -> "Target":
        """Fill in the predicted class if none is set, and the unit; check both indices and the score.

        Args:
            logits: (K,), of the image to explain.
            output: Kind of output of the network.

        Raises:
            Refusal: If an index is not one of the K classes, the predicted class equals the second class, or the score
                means nothing for the output.
        """
        index = self.index if self.index is not None else int(logits.argmax())
        resolved = replace(self, index=index, value_unit=output.unit)
        resolved.check(len(logits), output)
        return resolved

    def potential(self, logits: Tensor, output: Output) -> Tensor:
        """Return the quantity to backpropagate, such as the log-odds.

        Args:
            logits: (N, K); gradients flow through.
            output: Kind of output of the network.

        Returns:
            (N,), in the dtype of the logits.
        """
        assert self.index is not None
        if self.versus is not None:
            return logits[:, self.index] - logits[:, self.versus]
        return self.kind.potential(logits, self.index, output)

    def value(self, potential: Tensor) -> Tensor:
        """Return the score, (N,), at a potential."""
        return self.kind.value(potential)

    def slope(self, potential: Tensor) -> Tensor:
        """Return the derivative of the score with respect to the potential, (N,)."""
        return self.kind.slope(potential)

    def words(self, classes: Sequence[str]) -> str:
        """Describe the class and the score; probability and value are omitted. The class must be known."""
        assert self.index is not None
        versus = "" if self.versus is None else f" against {classes[self.versus]}"
        score = "" if self.kind.implied else f", {self.kind.title.lower()}"
        return f"{classes[self.index]}{versus}{score}"

    def quantity(self, value: float) -> str:
        """Format a value of the score, such as "probability 0.997" or "log-odds 5.81 nats"."""
        name, unit = self.kind.title.lower(), self.unit
        return f"{name} {value:.3g}" + (f" {unit}" if unit != name else "")

    @property
    def axis(self) -> str:
        """The label of an axis: "probability", "log-odds, nats" or "logit"."""
        name, unit = self.kind.title.lower(), self.unit
        return name if unit in (name, "") else f"{name}, {unit}"

    @property
    def unit(self) -> str:
        """The unit of the score."""
        return self.value_unit or self.kind.unit

    def has_fixed_signal(self, output: Output) -> bool:
        """True if the gradient of the score with respect to the logits is the same for every image."""
        return self.kind.has_fixed_signal(self.versus is not None, output)

    def share(self, share: float) -> str:
        """Format a number of a prediction, such as "99.70%" or "34.2 years"."""
        return self.kind.share(share, self.unit)

    def predicted(self, index: int, name: str, share: float) -> str:
        """Describe an entry of a prediction, such as "German shepherd (235), probability 0.997" or "age 34.2 years"."""
        return self.kind.predicted(index, name, share, self.unit)


def read_target(text: str) -> Target:
    """Make a target from its text form.

    Args:
        text: `target(index=235,score=log_odds,versus=207)`, or only a class index.

    Raises:
        Refusal: If the text is not a valid target.
    """
    return read(text, {Target.key: Target})
