"""Storage: a folder of whole files, on this machine or in an object store, by fsspec."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from attribution.refusal import Refusal
from attribution.system.files import store, whole_file


def absolute(place: str) -> str:
    """Return a path independent of the current folder; a URL remains as it is."""
    return place if "://" in place else str(Path(place).resolve())


class Storage:
    """A folder by its path or URL, such as `out` or `s3://bucket/out`.

    A file appears under its name when it is complete, as object stores ensure by themselves.

    Attributes:
        place: Path or URL.
    """

    def __init__(self, place: str) -> None:
        """Connect to the file system.

        Raises:
            Refusal: If the URL's protocol is unknown, or its package is not installed.
        """
        self.place = place
        try:
            self._fs, self._root = fsspec.core.url_to_fs(place)
        except (ImportError, ValueError) as error:
            raise Refusal(f"{place} cannot be opened: {error}.") from error
        self._local = isinstance(self._fs, LocalFileSystem)

    def read(self, name: str) -> bytes:
        """Read a file.

        Raises:
            Refusal: If it cannot be read.
        """
        with self._refusing(name):
            return cast(bytes, self._fs.cat_file(self._path(name)))

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all.

        Raises:
            Refusal: If it cannot be written.
        """
        if self._local:
            store(self._path(name), content)
        else:
            with self._refusing(name):
                self._fs.pipe_file(self._path(name), content)

    @contextlib.contextmanager
    def whole(self, name: str) -> Iterator[BinaryIO]:
        """Open a file for writing that appears under its name when the block ends, and not if it raises.

        Raises:
            Refusal: If it cannot be written.
        """
        if self._local:
            with whole_file(self._path(name)) as file:
                yield file
            return
        with tempfile.NamedTemporaryFile() as kept:
            yield cast(BinaryIO, kept)
            kept.flush()
            with self._refusing(name):
                self._fs.put_file(kept.name, self._path(name))

    def names(self, folder: str = "") -> list[str]:
        """Return the files below a folder of the storage, relative to the storage, sorted."""
        with self._refusing(folder):
            self._fs.invalidate_cache()
            found = self._fs.find(self._path(folder)) if self._fs.exists(self._path(folder)) else []
        prefix = len(self._path("").rstrip("/")) + 1
        return sorted(name for each in found if not (name := each[prefix:]).rpartition("/")[2].startswith("."))

    def has(self, name: str) -> bool:
        """True if there is a file of this name."""
        with self._refusing(name):
            return bool(self._fs.isfile(self._path(name)))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    @contextlib.contextmanager
    def _refusing(self, name: str) -> Iterator[None]:
        """Convert errors of the file system to a Refusal."""
        try:
            yield
        except Refusal:
            raise
        except Exception as error:  # every file system has errors of its own
            path = Path(name).name or self.place
            raise Refusal(
                f"{path} in {self.place} cannot be read or written: {error or type(error).__name__}."
            ) from error
