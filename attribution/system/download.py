"""Downloading, verification and caching of weights."""

import contextlib
import hashlib
import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from attribution.refusal import Refusal
from attribution.system.files import storing, whole_file

BLOCK_SIZE = 1 << 20  # maximum bytes per read
TIMEOUT = 30  # seconds without data

Progress = Callable[[int, int], None]  # bytes so far, total bytes (0 if unknown)


class Unreachable(Refusal):
    """A download that failed on the network. The message lacks a remedy and a full stop, which the caller adds."""


def fetch(url: str, sha256: str, path: Path, on_progress: Progress | None = None) -> Path:
    """Ensure that a file of weights exists and has the right hash.

    An existing file is verified too. A download appears under its final name only when complete and verified.

    Args:
        url: URL of the file.
        sha256: SHA-256 of the file, or its first digits.
        path: Path of the stored file.
        on_progress: Called at least once per MB with bytes so far and total bytes; if it raises, the download stops and
            leaves nothing behind.

    Returns:
        The path.

    Raises:
        Unreachable: If the server cannot be reached.
        Refusal: If the download is truncated, has the wrong hash, or cannot be stored. A wrong file is deleted.
    """
    damaged = ""
    with storing(path):
        if path.exists():
            if _hash_of(path).startswith(sha256):
                return path
            path.unlink()
            damaged = f"The cached {path.name} was damaged and has been deleted. "
            logging.getLogger(__name__).warning(damaged)
    with whole_file(path) as file, _answer(url, path, damaged) as answer:
        total = int(answer.headers.get("Content-Length") or 0)
        size, found = _copy(answer, file, path, total, on_progress)
        if size < total:
            raise Refusal(
                f"The download of {path.name} stopped after {size} of {total} bytes and was deleted; try again."
            )
        if not found.startswith(sha256):
            raise Refusal(
                f"The download of {path.name} has the wrong hash (SHA-256 {found[:8]}, expected {sha256[:8]}) and was "
                f"deleted; try again, or check for a proxy between you and {url}."
            )
    return path


def _answer(url: str, path: Path, damaged: str) -> Any:
    with _reaching(path, damaged):
        return urllib.request.urlopen(url, timeout=TIMEOUT)


def _copy(answer: Any, file: BinaryIO, path: Path, total: int, on_progress: Progress | None) -> tuple[int, str]:
    """Write the response to the file; return its size in bytes and its hash."""
    digest, size = hashlib.sha256(), 0
    while True:
        with _reaching(path):
            block = answer.read1(BLOCK_SIZE)  # the available bytes, so that slow downloads can be cancelled too
        if not block:
            return size, digest.hexdigest()
        with storing(path):
            file.write(block)
        digest.update(block)
        size += len(block)
        if on_progress:
            on_progress(size, total)


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _reaching(path: Path, damaged: str = "") -> Iterator[None]:
    """Convert network errors to Unreachable."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = getattr(error, "reason", None) or error
        raise Unreachable(f"{damaged}{path.name} could not be downloaded ({reason})") from error
