"""A clock for durations of work: it stops in a thread while the thread's job is suspended for another one."""

import time
from contextvars import ContextVar

_suspended: ContextVar[float] = ContextVar("suspended", default=0.0)  # seconds, of the current thread


def working_time() -> float:
    """Return a time in seconds that leaves out how long this thread has been suspended; only differences count."""
    return time.perf_counter() - _suspended.get()


def leave_out(seconds: float) -> None:
    """Leave out a suspension of the current thread that has just ended."""
    _suspended.set(_suspended.get() + seconds)
