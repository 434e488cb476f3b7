"""Two classes from one logit: sigmoid."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution.refusal import Refusal
from attribution.targets.classes import Classes


@dataclass(frozen=True)
class Binary(Classes):
    """One logit z, with p = sigmoid(z) for the second of two classes: equal to a network with the logits [0, z]."""

    key: ClassVar[str] = "binary"
    title: ClassVar[str] = "one logit for two classes"
    range: ClassVar[str] = "2 class names"
    has_rivals: ClassVar[bool] = False
    has_fixed_odds: ClassVar[bool] = True

    @staticmethod
    def fits(names: int) -> bool:
        return names == 2

    @staticmethod
    def usual_names(logits: int) -> tuple[str, ...]:
        del logits
        return "0", "1"

    @staticmethod
    def logits(returned: object) -> object:
        """Return [0, z], (N, 2), from z of shape (N,) or (N, 1)."""
        if not isinstance(returned, Tensor):
            return returned
        if returned.shape[1:] not in ((), (1,)):  # (N, 2) would pass for [0, z]
            raise Refusal(
                f"The network returns shape {tuple(returned.shape)}, but {Binary.title} needs (N,) or (N, 1)."
            )
        z = returned.reshape(-1, 1)
        return torch.cat([torch.zeros_like(z), z], 1)

    def check(self, score: str, index: int | None, versus: int | None) -> None:
        super().check(score, index, versus)
        if score == "logit" and index == 0 and versus is None:
            raise Refusal("The first of two classes has no logit of its own; choose log_odds, or explain the second.")
