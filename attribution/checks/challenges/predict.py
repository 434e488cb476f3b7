"""Predict: a guess of the new score before it is shown."""

from typing import ClassVar, Literal

from attribution.checks.challenges.challenge import Challenge


class Predict(Challenge):
    """Guess the score of the covered photo."""

    key: ClassVar[str] = "predict"
    title: ClassVar[str] = "Predict"
    task: ClassVar[str] = (
        "Cover a region and guess the new score before it is shown. Your error is compared with that of every map."
    )
    better: ClassVar[Literal["less", "more"]] = "less"
    hides: ClassVar[bool] = True
    unit: ClassVar[Literal["area", "score"]] = "score"
