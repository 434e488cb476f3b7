"""Reports of unexpected errors: details in the log, and a message with an error id for the user."""

import logging
import uuid


def report(error: BaseException, what: str = "Something went wrong", **about: object) -> str:
    """Log an error with its traceback.

    Args:
        error: The error.
        what: Description for the user. Default: "Something went wrong".
        about: Fields for the log, as listed in `attribution.system.log`.

    Returns:
        One sentence with the id of the error in the log, without any details.
    """
    number = uuid.uuid4().hex[:8]
    logging.getLogger(__name__).error("error %s", number, exc_info=error, extra=about)
    return f"{what} (error {number}); details are in the server log."
