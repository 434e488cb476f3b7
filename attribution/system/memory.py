"""The memory budget of this process, the release of freed memory, and out-of-memory errors."""

import contextlib
import ctypes
import os
from functools import cache
from pathlib import Path

from attribution.refusal import Refusal

MEMORY_VARIABLE = "ATTRIBUTION_MEMORY_MB"
LIMIT_FILES = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)  # cgroup memory limits, versions 2 and 1
TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8  # parameters of glibc's malloc.h
LIBRARY_BYTES = 900_000_000  # bytes used by Python, torch, timm, streamlit and a few sessions before a model is loaded


@cache
def budget() -> int:
    """Return the memory limit in bytes: ATTRIBUTION_MEMORY_MB, or the memory of the container or machine.

    Raises:
        Refusal: If the variable is not a whole number of megabytes.
    """
    if text := os.environ.get(MEMORY_VARIABLE):
        if not text.isdecimal() or not int(text):
            raise Refusal(f"{MEMORY_VARIABLE} must be a whole number of megabytes, got {text!r}.")
        return int(text) * 1_000_000
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 4_000_000_000
    return min([machine, *(limit for path in map(Path, LIMIT_FILES) if (limit := _number(path)))])


def share(part: float) -> float:
    """Return a share, in bytes, of the budget minus the libraries, or of a quarter of the budget if that is more."""
    return part * max(budget() - LIBRARY_BYTES, budget() / 4)


def has_room(part: float) -> bool:
    """True if a share of the memory, as for `share`, is free within the budget; also if the system does not say."""
    if held() <= budget() - share(part):
        return True
    give_back()
    return held() <= budget() - share(part)


def held() -> int:
    """Return the bytes of memory that this process holds; 0 if the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return 0


def keep_one_heap() -> None:
    """Let all threads allocate from one heap, since glibc would keep freed memory for each thread that ever ran.

    Twelve suspended jobs on SqueezeNet then hold 0.5 GB instead of 1.1 GB.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # other C libraries and systems
        ctypes.CDLL(None).mallopt(ARENA_MAX, 1)


def keep_freed_memory() -> None:
    """Let this process keep what it frees, for a command that computes all the time.

    glibc returns large blocks to the system at once, and the kernel has to clear their pages again for the next pass:
    15 % of the time of a gradient.
    """
    keep_one_heap()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # other C libraries and systems
        libc = ctypes.CDLL(None)
        libc.mallopt(MMAP_MAX, 0)
        libc.mallopt(TRIM_THRESHOLD, (1 << 31) - 1)


def give_back() -> None:
    """Return freed memory to the system, which glibc would keep: 200 MB after a few analyses; takes 10 ms."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # other C libraries and systems
        ctypes.CDLL(None).malloc_trim(0)


def _number(path: Path) -> int:
    """Return the number in a kernel file; 0 if there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def exhausted(error: BaseException) -> bool:
    """True if an error means that memory ran out; torch signals that by messages, not by a type."""
    said = ("can't allocate memory", "out of memory")  # on the CPU, and on CUDA and MPS
    short = isinstance(error, RuntimeError) and any(words in str(error) for words in said)
    return isinstance(error, MemoryError) or short
