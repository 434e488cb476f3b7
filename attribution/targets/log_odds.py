"""The log-odds score of a class."""

from typing import ClassVar

from torch import Tensor

from attribution.targets.output import Output
from attribution.targets.score import Score


class LogOdds(Score):
    """The log-odds log(p / (1 - p)), in nats; against a second class, z_c - z_v."""

    key: ClassVar[str] = "log_odds"
    title: ClassVar[str] = "Log-odds"
    unit: ClassVar[str] = "nats"
    meaning: ClassVar[str] = "Log-odds: log(p / (1 \u2212 p)), in nats. They never saturate."
    meaning_versus: ClassVar[str] = "Log-odds between the two classes, in nats: the logit difference z1 \u2212 z2."

    @staticmethod
    def potential(logits: Tensor, index: int, output: Output) -> Tensor:
        return output.log_odds(logits, index)

    @classmethod
    def has_fixed_signal(cls, versus: bool, output: Output) -> bool:
        return versus or output.has_fixed_odds  # the score is then a difference of logits
