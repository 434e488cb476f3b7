"""The error type whose messages are shown to users."""


class Refusal(ValueError):
    """A refused request. Its message is one sentence with the problem, the value and a remedy.

    The dashboard and the command line show the message verbatim; tables contain it in place of a result.
    """


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type if there is none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
