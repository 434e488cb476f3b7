"""Unexpected errors: the details go to the log, a sentence with their id to the person."""

import logging
import uuid


def report(error: BaseException, what: str = "Something went wrong", **about: object) -> str:
    """Log an error with its traceback.

    Args:
        error: What happened.
        what: Of it, for people. Default: "Something went wrong".
        about: Whose and what it was, as `attribution.system.log` prints it.

    Returns:
        One sentence with the id of the error in the log, and nothing else about it.
    """
    number = uuid.uuid4().hex[:8]
    logging.getLogger(__name__).error("error %s", number, exc_info=error, extra=about)
    return f"{what} (error {number}); the details are in the log of the server."
