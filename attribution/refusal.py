"""Refusals, the errors whose messages are shown to users, and remedies, which a button beside a warning applies."""

from dataclasses import dataclass


class Refusal(ValueError):
    """A refused request. Its message is one sentence with the problem, the value and a remedy.

    The dashboard and the command line show the message verbatim; tables contain it in place of a result.
    """


@dataclass(frozen=True)
class Remedy:
    """A change that a warning about a map recommends.

    Attributes:
        title: The change, in a few words.
        method: Text form of the method, with its settings, that replaces the map's own. Default: "", the same method.
        score: Key of the score. Default: "", the same score.
    """

    title: str
    method: str = ""
    score: str = ""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type if there is none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
