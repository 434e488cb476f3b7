"""Files that are there in whole or not at all, whatever happens while they are written."""

import contextlib
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from attribution.refusal import Refusal

Place = str | os.PathLike[str]


def store(place: Place | BinaryIO, content: bytes) -> None:
    """Write one file.

    Args:
        place: Its path, or an open binary file, which is written to as it is.
        content: All of it.

    Raises:
        Refusal: If it cannot be stored. What stood there before is still there, as it was.
    """
    if isinstance(place, str | os.PathLike):
        store_all(Path(place).parent, {Path(place).name: content})
    else:
        place.write(content)


def store_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files that belong together. None gets its name before all are written.

    Args:
        folder: Made if it is missing.
        contents: By the names of the files.

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
    """Open a file that gets its name when the block ends, and is deleted if the block raises.

    Args:
        place: Its path; folders that are missing are made. Where a device stands it is written to as it is.

    Raises:
        Refusal: If it cannot be opened, closed or given its name. What the block writes is its own affair: `storing`.
    """
    path = Path(os.path.realpath(place))  # a link stays one
    as_it_is = path.exists() and not path.is_file()
    part = path if as_it_is else path.with_name(f"{path.name[:200]}.{uuid.uuid4().hex[:8]}.part")
    with storing(place):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("wb")
    try:
        try:
            yield file
        finally:
            with storing(place):
                file.close()
        with storing(place):
            part.replace(path)
    finally:
        if not as_it_is:
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def storing(place: Place) -> Iterator[None]:
    """Turn what goes wrong on the disk into a sentence."""
    path = Path(place)
    try:
        yield
    except OSError as error:
        raise Refusal(f"{path.name} could not be stored in {path.parent}: {error.strerror or error}.") from None
