"""A number: regression."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from attribution.settings import Text, setting
from attribution.targets.output import Output


@dataclass(frozen=True)
class Number(Output):
    """One number, such as an age.

    Attributes:
        unit: Its unit, such as "years". Default: none.
    """

    key: ClassVar[str] = "number"
    title: ClassVar[str] = "a number"
    scores: ClassVar[tuple[str, ...]] = ("value",)
    range: ClassVar[str] = "1 name"
    has_rivals: ClassVar[bool] = False
    compares: ClassVar[bool] = False
    has_shares: ClassVar[bool] = False

    unit: str = setting(Text("Unit of the number."), "")  # type: ignore[misc]

    @staticmethod
    def fits(names: int) -> bool:
        return names == 1

    @staticmethod
    def usual_names(logits: int) -> tuple[str, ...]:
        del logits
        return ("number",)

    @staticmethod
    def logits(returned: object) -> object:
        """Return (N, 1) from (N,) or (N, 1)."""
        return returned[:, None] if isinstance(returned, Tensor) and returned.ndim == 1 else returned

    @staticmethod
    def shares(logits: Tensor) -> Tensor:
        return logits

    @staticmethod
    def log_odds(logits: Tensor, index: int) -> Tensor:
        """Return the number itself, since it has no odds; no score asks for them."""
        return logits[:, index]

    @staticmethod
    def entropy(shares: Tensor) -> Tensor:
        """Return NaN, since a number has no entropy."""
        return torch.full_like(shares[:, 0], torch.nan)
