"""Classes that exclude each other: softmax."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution.targets.output import Output


@dataclass(frozen=True)
class Classes(Output):
    """One logit per class; the probabilities of all classes sum to 1."""

    key: ClassVar[str] = "classes"
    title: ClassVar[str] = "classes"
    range: ClassVar[str] = "at least 2 class names"

    @staticmethod
    def fits(names: int) -> bool:
        return names >= 2

    @staticmethod
    def shares(logits: Tensor) -> Tensor:
        return logits.softmax(1)

    @staticmethod
    def log_odds(logits: Tensor, index: int) -> Tensor:
        """Return z_c - logsumexp(z_others)."""
        others = torch.cat([logits[:, :index], logits[:, index + 1 :]], 1)  # (N, K - 1)
        return logits[:, index] - others.logsumexp(1)

    @staticmethod
    def entropy(shares: Tensor) -> Tensor:
        entropy: Tensor = torch.special.entr(shares).sum(1) / math.log(2)
        return entropy
