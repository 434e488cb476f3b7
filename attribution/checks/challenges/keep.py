"""Keep: the smallest box that is enough for the class."""

from typing import ClassVar, Literal

from attribution.checks.challenges.challenge import Challenge


class Keep(Challenge):
    """Keep the predicted class with as small a box as possible."""

    key: ClassVar[str] = "keep"
    title: ClassVar[str] = "Keep"
    task: ClassVar[str] = (
        "Cover everything except one box, as small as possible, so that the network still predicts the same class. It "
        "must also do so when the box moves by one cell in each direction."
    )
    better: ClassVar[Literal["less", "more"]] = "less"
    unit: ClassVar[Literal["area", "score"]] = "area"
