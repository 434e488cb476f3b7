"""Flip: the smallest region on which the class depends."""

from typing import ClassVar, Literal

from attribution.checks.challenges.challenge import Challenge


class Flip(Challenge):
    """Change the predicted class by covering as little as possible."""

    key: ClassVar[str] = "flip"
    title: ClassVar[str] = "Flip"
    task: ClassVar[str] = (
        "Cover as little as possible so that the network predicts another class. It must do so with three fills: yours "
        "and two others."
    )
    better: ClassVar[Literal["less", "more"]] = "less"
    unit: ClassVar[Literal["area", "score"]] = "area"
