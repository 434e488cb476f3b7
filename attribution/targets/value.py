"""The value score: the number that a network for regression returns."""

from typing import ClassVar

from attribution.targets.logit import Logit


class Value(Logit):
    """The network's output itself, in the unit of the model."""

    key: ClassVar[str] = "value"
    title: ClassVar[str] = "Value"
    unit: ClassVar[str] = ""
    meaning: ClassVar[str] = "The number that the network returns, in its unit."
    meaning_versus: ClassVar[str] = "A number cannot be compared with a second class."
    implied: ClassVar[bool] = True
    shown: ClassVar[str] = "Value"
    signs: ClassVar[tuple[str, str]] = ("lower", "higher")

    @staticmethod
    def share(share: float, unit: str) -> str:
        return f"{share:.4g} {unit}".strip()

    @staticmethod
    def predicted(index: int, name: str, share: float, unit: str) -> str:
        del index
        return f"{name} {share:.4g} {unit}".strip()
