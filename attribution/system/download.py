"""Download, check and cache weights."""

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

BLOCK = 1 << 20  # bytes read at a time, at most
TIMEOUT = 30  # seconds without a byte

Progress = Callable[[int, int], None]  # bytes so far, bytes in all (0 if the server does not say)


class Unreachable(Refusal):
    """A download that the network did not allow. The text lacks its remedy and full stop: whoever asked knows them."""


def fetch(url: str, sha256: str, path: Path, on_progress: Progress | None = None) -> Path:
    """Make sure that a file of weights is there and right.

    A file that is there already is checked too. The file gets its name only when it is complete and its hash is right.

    Args:
        url: Where it comes from.
        sha256: Its hash, or the first digits of it.
        path: Where it is to be.
        on_progress: Called after every MB, on a slow line more often; if it raises, the download stops and leaves
            nothing behind.

    Returns:
        The path.

    Raises:
        Unreachable: If there is no network.
        Refusal: If the file is cut off or not the right one, or cannot be stored. A wrong file is deleted.
    """
    damaged = ""
    with storing(path):
        if path.exists():
            if _hash_of(path).startswith(sha256):
                return path
            path.unlink()
            damaged = f"The stored {path.name} was damaged and has been deleted. "
            logging.getLogger(__name__).warning(damaged)
    with whole_file(path) as file, _answer(url, path, damaged) as answer:
        total = int(answer.headers.get("Content-Length") or 0)
        size, found = _copy(answer, file, path, total, on_progress)
        if size < total:
            raise Refusal(
                f"The download of {path.name} was cut off after {size} of {total} bytes and deleted; try again."
            )
        if not found.startswith(sha256):
            raise Refusal(
                f"The download of {path.name} is not the file that was published (SHA-256 {found[:8]}, expected "
                f"{sha256[:8]}) and was deleted; try again, or check the network between you and {url}."
            )
    return path


def _answer(url: str, path: Path, damaged: str) -> Any:
    with _reaching(path, damaged):
        return urllib.request.urlopen(url, timeout=TIMEOUT)


def _copy(answer: Any, file: BinaryIO, path: Path, total: int, on_progress: Progress | None) -> tuple[int, str]:
    """Write the answer to the file; return its size and hash."""
    digest, size = hashlib.sha256(), 0
    while True:
        with _reaching(path):
            block = answer.read1(BLOCK)  # what is there: a slow line can be cancelled, too
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
    """Turn what goes wrong on the way from a server into a sentence."""
    try:
        yield
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = getattr(error, "reason", None) or error
        raise Unreachable(f"{damaged}{path.name} could not be downloaded ({reason})") from error
