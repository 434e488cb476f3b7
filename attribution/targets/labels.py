"""Labels that are independent of each other: one sigmoid each."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution.refusal import Refusal
from attribution.targets.output import Output


@dataclass(frozen=True)
class Labels(Output):
    """One logit per label, with p = sigmoid(z) each."""

    key: ClassVar[str] = "labels"
    title: ClassVar[str] = "independent labels"
    range: ClassVar[str] = "at least 1 label name"
    compares: ClassVar[bool] = False
    has_fixed_odds: ClassVar[bool] = True

    @staticmethod
    def fits(names: int) -> bool:
        return names >= 1

    @staticmethod
    def shares(logits: Tensor) -> Tensor:
        return logits.sigmoid()

    @staticmethod
    def log_odds(logits: Tensor, index: int) -> Tensor:
        return logits[:, index]

    @staticmethod
    def entropy(shares: Tensor) -> Tensor:
        """Return the mean entropy of the labels in bits, (N,)."""
        both = torch.special.entr(shares) + torch.special.entr(1 - shares)
        entropy: Tensor = both.mean(1) / math.log(2)
        return entropy

    def check(self, score: str, index: int | None, versus: int | None) -> None:
        super().check(score, index, versus)
        if versus is not None:
            raise Refusal("Labels are independent, so one cannot be explained against another; leave versus out.")
