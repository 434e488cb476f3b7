"""Atomic writing of files: complete or not at all."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from attribution.refusal import Refusal

Place = str | os.PathLike[str]


def store(place: Place | BinaryIO, content: bytes) -> None:
    """Write one file.

    Args:
        place: Its path, or an open binary file, which is written to directly.
        content: The content of the file.

    Raises:
        Refusal: If it cannot be stored. An existing file is then unchanged.
    """
    if isinstance(place, str | os.PathLike):
        store_all(Path(place).parent, {Path(place).name: content})
    else:
        place.write(content)


def store_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files that belong together; none appears under its name before all are written.

    Args:
        folder: The folder; created if missing.
        contents: Contents by file name.

    Raises:
        Refusal: As for `store`.
    """
    with contextlib.ExitStack() as files:
        for name, content in contents.items():
            file = files.enter_context(whole_file(folder / name))
            with storing(folder / name):
                file.write(content)
                file.flush()


@contextlib.contextmanager
def whole_file(place: Place) -> Iterator[BinaryIO]:
    """Open a file that appears under its name when the block ends, and is deleted if the block raises.

    Args:
        place: Its path; missing folders are created. A device is written to directly; any other file is first a hidden
            `.part` file beside it, which remains only if the process is killed.

    Raises:
        Refusal: If it cannot be opened, closed or renamed. For errors of the block's own writes, use `storing`.
    """
    path = Path(place)
    with storing(path):
        there = path.exists()
        device = there and not path.is_file()
    if device:
        with storing(path), path.open("wb") as file:
            yield file
        return
    whole = Path(os.path.realpath(path))  # keep symbolic links
    part = whole.with_name(f".{uuid.uuid4().hex}.part")
    with storing(path):
        whole.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("wb")
    try:
        try:
            if there:
                shutil.copymode(whole, part)
            yield file
        finally:
            with storing(path):
                file.close()
        with storing(path):
            part.replace(whole)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def storing(place: Place) -> Iterator[None]:
    """Convert disk errors to a Refusal."""
    path = Path(place)
    try:
        yield
    except OSError as error:
        raise Refusal(f"{path.name} could not be stored in {path.parent}: {error.strerror or error}.") from error
