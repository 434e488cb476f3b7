"""Remedies: changes that a map's warnings recommend, for a button beside them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Remedy:
    """A change that may give a better map.

    Attributes:
        title: The change, in a few words.
        method: Text form of the method, with its settings, that replaces the map's own. Default: "", the same method.
        score: Key of the score. Default: "", the same score.
    """

    title: str
    method: str = ""
    score: str = ""
