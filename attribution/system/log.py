"""The server log: one line of `name=value` fields per record on standard error, followed by any traceback.

Of a record's `extra`, only the fields below are printed; never pixels or file names.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime

MAX_LINE = 2000  # characters; longer lines are truncated
FIELD_NAMES = ("session", "job", "task", "model", "state", "seconds", "reason")


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        parts: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **{name: getattr(record, name) for name in FIELD_NAMES if getattr(record, name, "") != ""},
        }
        line = " ".join(f"{name}={_quoted(str(value))}" for name, value in parts.items())
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return "\n".join(each if len(each) <= MAX_LINE else f"{each[: MAX_LINE - 3]}..." for each in line.split("\n"))


class _StandardError(logging.Handler):
    """A handler that writes to the current standard error, even if it is replaced later."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            print(self.format(record), file=sys.stderr, flush=True)
        except Exception:
            self.handleError(record)


_handler = _StandardError()
_handler.setFormatter(_Lines())


def start_log() -> None:
    """Print the package's log records: the end of each job, warnings and errors. Idempotent."""
    logging.getLogger("attribution").addHandler(_handler)
    logging.getLogger("attribution.work.jobs").setLevel(logging.INFO)


def _quoted(text: str) -> str:
    """Quote a text if necessary, so that a record stays on one line and can be parsed."""
    return text if re.fullmatch(r"[\w.:+-]+", text, re.ASCII) else json.dumps(text)
