"""Which score is explained.

A probability is sigmoid(L) of its log-odds L = z_c - logsumexp(z_others). The gradient of L is exact in float32 where
autograd through softmax gives zeros or a wrong direction, because 1 - p has been lost to rounding. So L is
back-propagated and the result multiplied by d sigmoid / dL = sigmoid(L) * sigmoid(-L).
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from attribution.refusal import Refusal

Score = Literal["probability", "log_odds", "logit"]
SCORES: tuple[Score, ...] = get_args(Score)


@dataclass(frozen=True)
class Target:
    """The score of one class, or of one class against another.

    Attributes:
        index: Class index; None means the predicted class.
        score: "probability" (the softmax probability, default), "log_odds" (in nats) or "logit".
        versus: Index of a second class, for "why this and not that": then the log-odds and the logit are
            z_c - z_v, and the probability is sigmoid(z_c - z_v). Default: None, against all other classes.

    Raises:
        Refusal: If the score is unknown or the two classes are the same.
    """

    index: int | None = None
    score: Score = "probability"
    versus: int | None = None

    def __post_init__(self) -> None:
        """Refuse what needs no model to be refused."""
        for name in ("index", "versus"):
            if (index := getattr(self, name)) is not None:
                object.__setattr__(self, name, _whole(index))
        if self.score not in SCORES:
            raise Refusal(f"The score must be one of {', '.join(SCORES)}, got {self.score!r}.")
        if self.versus is not None and self.versus == self.index:
            raise Refusal(f"The class {self.index} cannot be compared with itself; choose another second class.")

    def check(self, classes: int) -> None:
        """Check both indices.

        Raises:
            Refusal: If one is not an index of so many classes.
        """
        for index in (self.index, self.versus):
            if index is not None and not 0 <= index < classes:
                raise Refusal(f"There is no class {index}; choose an index from 0 to {classes - 1}.")

    def resolve(self, logits: Tensor) -> "Target":
        """Fill in the predicted class and check both indices.

        Args:
            logits: (K,), of the image to be explained.

        Raises:
            Refusal: If an index is not one of the K classes, or the predicted class is the second one.
        """
        self.check(len(logits))
        if self.index is None and self.versus == (index := int(logits.argmax())):
            raise Refusal(f"The predicted class is {index}, the one to compare with; choose another second class.")
        return self if self.index is not None else replace(self, index=int(logits.argmax()))

    def potential(self, logits: Tensor) -> Tensor:
        """What is back-propagated: the log-odds, or the logit.

        Args:
            logits: (N, K); gradients flow through.

        Returns:
            (N,), of the logits' dtype.
        """
        chosen = logits[:, self.index]
        if self.versus is not None:
            return chosen - logits[:, self.versus]
        if self.score == "logit":
            return chosen
        assert self.index is not None
        others = torch.cat([logits[:, : self.index], logits[:, self.index + 1 :]], 1)  # (N, K - 1)
        return chosen - others.logsumexp(1)

    def value(self, potential: Tensor) -> Tensor:
        """The score, (N,), from the potential."""
        return potential.sigmoid() if self.score == "probability" else potential

    def slope(self, potential: Tensor) -> Tensor:
        """D score / d potential, (N,)."""
        if self.score == "probability":
            return potential.sigmoid() * (-potential).sigmoid()
        return torch.ones_like(potential)

    def words(self, classes: Sequence[str]) -> str:
        """The explained class and score for people, once the class is known; the probability goes without saying."""
        assert self.index is not None
        versus = "" if self.versus is None else f" against {classes[self.versus]}"
        score = "" if self.score == "probability" else f", {self.score.replace('_', '-')}"
        return f"{classes[self.index]}{versus}{score}"

    @property
    def unit(self) -> str:
        """Of the score, short enough for a colour bar."""
        return {"probability": "p", "log_odds": "nats", "logit": "z"}[self.score]

    @property
    def fixed_signal(self) -> bool:
        """Whether the gradient of the score with respect to the logits is the same for every image."""
        return self.score == "logit" or (self.score == "log_odds" and self.versus is not None)


def _whole(index: object) -> int:
    """A class index as an int, also from numpy."""
    try:
        if isinstance(index, bool):
            raise TypeError
        return operator.index(index)  # type: ignore[arg-type]
    except TypeError:
        raise Refusal(f"A class must be an index, got {index!r}; use model.find_class for a name.") from None
