"""The log of the server: one line a record, `name=value` parts, on standard error; a traceback follows its line.

A record may carry the fields below as `extra`, and no other is printed: no pixels and no file names.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime

MAX_LINE = 2000  # characters; a longer line is cut off
FIELDS = ("session", "job", "task", "model", "state", "seconds", "reason")


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        parts: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **{name: getattr(record, name) for name in FIELDS if getattr(record, name, "") != ""},
        }
        line = " ".join(f"{name}={_quoted(str(value))}" for name, value in parts.items())
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return "\n".join(each if len(each) <= MAX_LINE else f"{each[: MAX_LINE - 3]}..." for each in line.split("\n"))


class _StandardError(logging.Handler):
    """Writes to standard error as it is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


_handler = _StandardError()
_handler.setFormatter(_Lines())


def start_log() -> None:
    """Print what the package logs: how each job ended, and whatever goes wrong. Calling it again changes nothing."""
    logging.getLogger("attribution").addHandler(_handler)
    logging.getLogger("attribution.work.jobs").setLevel(logging.INFO)


def _quoted(text: str) -> str:
    """Quote a text if necessary, so that a line stays one line and its parts can be told apart."""
    return text if re.fullmatch(r"[\w.:+-]+", text, re.ASCII) else json.dumps(text)
