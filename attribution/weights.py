"""Download, check and cache weights."""

import contextlib
import hashlib
import http.client
import logging
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from attribution.refusal import Refusal

BLOCK = 1 << 20  # bytes read at a time
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
        on_progress: Called after every MB; if it raises, the download stops and leaves nothing behind.

    Returns:
        The path.

    Raises:
        Unreachable: If there is no network.
        Refusal: If the file is cut off or not the right one, or cannot be stored. A wrong file is deleted.
    """
    damaged = ""
    if path.exists():
        with path.open("rb") as file:
            if _hash(iter(lambda: file.read(BLOCK), b"")).startswith(sha256):
                return path
        path.unlink()
        damaged = f"The stored {path.name} was damaged and has been deleted. "
        logging.getLogger(__name__).warning(damaged)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file, urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            total = int(answer.headers.get("Content-Length") or 0)
            found = _hash(_copying(answer, file, total, on_progress))
            size = file.tell()
        if size < total:
            raise Refusal(
                f"The download of {path.name} was cut off after {size} of {total} bytes and deleted; try again."
            )
        if not found.startswith(sha256):
            raise Refusal(
                f"The download of {path.name} is not the file that was published (SHA-256 {found[:8]}, expected "
                f"{sha256[:8]}) and was deleted; try again, or look at what stands between you and {url}."
            )
        part.replace(path)
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        reason = getattr(error, "reason", None) or error
        raise Unreachable(f"{damaged}{path.name} could not be downloaded ({reason})") from None
    except OSError as error:
        raise Refusal(f"{path.name} could not be stored in {path.parent}: {error.strerror or error}.") from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
    return path


def _copying(source, file, total: int, on_progress: Progress | None) -> Iterator[bytes]:  # type: ignore[no-untyped-def]
    """Write every block to the file, report it and pass it on."""
    while block := source.read(BLOCK):
        file.write(block)
        if on_progress:
            on_progress(file.tell(), total)
        yield block


def _hash(blocks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()
