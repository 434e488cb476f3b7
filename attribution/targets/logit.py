"""The logit score of a class."""

from typing import ClassVar

from torch import Tensor

from attribution.targets.output import Output
from attribution.targets.score import Score


class Logit(Score):
    """The network's output for a class before softmax; against a second class, z_c - z_v."""

    key: ClassVar[str] = "logit"
    title: ClassVar[str] = "Logit"
    unit: ClassVar[str] = "logit"
    meaning: ClassVar[str] = (
        "Logit z: the output for the class before softmax. It includes any offset common to all classes."
    )
    meaning_versus: ClassVar[str] = "Logit difference z1 \u2212 z2; equal to the log-odds between the two classes."

    @staticmethod
    def potential(logits: Tensor, index: int, output: Output) -> Tensor:
        del output
        return logits[:, index]

    @classmethod
    def has_fixed_signal(cls, versus: bool, output: Output) -> bool:
        del versus, output
        return True
