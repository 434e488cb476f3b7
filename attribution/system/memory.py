"""The memory budget of this process, freed memory, and errors that report a lack of memory."""

import contextlib
import ctypes
import os
from functools import cache
from pathlib import Path

from attribution.refusal import Refusal

VARIABLE = "ATTRIBUTION_MEMORY_MB"
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container, version 2 and 1
LIBRARIES = 700_000_000  # bytes that Python, torch, streamlit and a few sessions take before any network


@cache
def budget() -> int:
    """Return the bytes that this process may use: ATTRIBUTION_MEMORY_MB, else the container's or the machine's memory.

    Raises:
        Refusal: If the variable holds no whole number of megabytes.
    """
    if text := os.environ.get(VARIABLE):
        if not text.isdecimal() or not int(text):
            raise Refusal(f"{VARIABLE} must be a whole number of megabytes, got {text!r}.")
        return int(text) * 1_000_000
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 4_000_000_000
    return min([machine, *(limit for path in map(Path, LIMITS) if (limit := _number(path)))])


def share(part: float) -> float:
    """Return a share of the budget beside the libraries, in bytes; of a quarter of it, where they take more."""
    return part * max(budget() - LIBRARIES, budget() / 4)


def give_back() -> None:
    """Return what was freed to the system, which glibc otherwise keeps: 10 ms, for 200 MB after a few analyses."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library, another system
        ctypes.CDLL(None).malloc_trim(0)


def _number(path: Path) -> int:
    """Return the number in a file of the kernel; 0 where there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def exhausted(error: BaseException) -> bool:
    """Return True if an error reports that memory ran out; torch has messages for it instead of a type."""
    said = ("can't allocate memory", "out of memory")  # the CPU's, and those of CUDA and MPS
    short = isinstance(error, RuntimeError) and any(words in str(error) for words in said)
    return isinstance(error, MemoryError) or short
