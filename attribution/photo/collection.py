"""Collections of photos: a folder, a ZIP or a list, on this machine or behind a URL, read one photo at a time."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import fsspec

from attribution.photo.decode import MAX_BYTES
from attribution.photo.preprocessing import Box
from attribution.refusal import Refusal

# Files of a folder or ZIP with another ending are not photos.
ENDINGS = {*".png .jpg .jpeg .jpe .jfif .webp .bmp .gif .tif .tiff .heic .heif".split()}
MAX_LIST_BYTES = 500_000_000  # bytes of a list; ten million lines
BOX = ("left", "top", "right", "bottom")  # columns of a list


@dataclass(frozen=True)
class Entry:
    """A photo of a collection.

    Attributes:
        name: Path below the folder, in the ZIP, or as the list has it.
        target: Class to explain, an index or a name; empty if the list has none.
        box: Left, top, right and bottom in pixels of the upright photo; None without a box.
    """

    name: str
    target: str = ""
    box: Box | None = None


class Collection:
    """The photos of a folder (with its subfolders), a ZIP, or a CSV file with a column `photo`.

    A list may also have the columns `target`, and `left`, `top`, `right` and `bottom`. Its paths are relative to its
    own folder.

    Attributes:
        place: Path or URL.
    """

    def __init__(self, place: str) -> None:
        """Connect to the file system.

        Raises:
            Refusal: If there is no such folder or file.
        """
        self.place = place
        try:
            self._fs, self._root = fsspec.core.url_to_fs(place)
            ending = PurePosixPath(self._root).suffix.lower()
            if not self._fs.exists(self._root):
                raise Refusal(f"{place} does not exist; name a folder, a ZIP or a CSV file.")
            self._is_list = ending == ".csv" and not self._fs.isdir(self._root)
            if ending == ".zip" and not self._fs.isdir(self._root):
                self._fs, self._root = fsspec.filesystem("zip", fo=self._fs.open(self._root)), ""
            elif not self._is_list and not self._fs.isdir(self._root):
                raise Refusal(f"{place} is not a folder, ZIP or CSV file; for one photo, use the command explain.")
        except Refusal:
            raise
        except Exception as error:  # every file system has errors of its own
            raise Refusal(f"{place} cannot be opened: {error or type(error).__name__}.") from error

    def entries(self) -> list[Entry]:
        """Return the photos: those of a list in its order, all others sorted by path.

        Raises:
            Refusal: If there is none, or the list is malformed.
        """
        found = self._listed() if self._is_list else self._found()
        if not found:
            raise Refusal(f"{self.place} contains no photo; photos end in {', '.join(sorted(ENDINGS))}.")
        return found

    def read(self, name: str) -> bytes:
        """Read a photo, up to one byte more than a photo may have.

        Raises:
            Refusal: If it cannot be read.
        """
        try:
            fs, path = self._fs, f"{self._root}/{name}" if self._root else name
            if self._is_list:
                parent = self._root.rpartition("/")[0]
                absolute = "://" in name or name.startswith("/")
                fs, path = fsspec.core.url_to_fs(name) if absolute else (fs, f"{parent}/{name}")
            with fs.open(path, "rb") as file:
                content: bytes = file.read(MAX_BYTES + 1)
            return content
        except Exception as error:  # every file system has errors of its own
            reason = getattr(error, "strerror", None) or error or type(error).__name__
            raise Refusal(f"{name} cannot be read: {reason}.") from error

    def _found(self) -> list[Entry]:
        prefix = len(self._root.rstrip("/")) + 1 if self._root else 0
        names = (path[prefix:] for path in self._fs.find(self._root))
        return [Entry(name) for name in sorted(names) if _is_photo(name)]

    def _listed(self) -> list[Entry]:
        try:
            with self._fs.open(self._root, "rb") as file:
                content = file.read(MAX_LIST_BYTES + 1)
            if len(content) > MAX_LIST_BYTES:
                raise Refusal(f"{self.place} has more than {MAX_LIST_BYTES / 1e6:.0f} MB; split it.")
            lines = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
            columns, rows = lines.fieldnames or [], list(enumerate(lines, 2))
        except UnicodeDecodeError as error:
            raise Refusal(f"{self.place} is not UTF-8; save it as a CSV file in UTF-8.") from error
        except csv.Error as error:
            raise Refusal(f"{self.place} is not a CSV file: {error}; look for a quote that is not closed.") from error
        if "photo" not in columns:
            raise Refusal(f"{self.place} has no column photo, only {', '.join(columns)}; add one of paths.")
        found: dict[str, Entry] = {}
        for number, line in rows:
            name = (line["photo"] or "").strip()
            if name in found:
                raise Refusal(f"Line {number} of {self.place} repeats {name}; name each photo once, with one box.")
            if name:
                found[name] = Entry(name, (line.get("target") or "").strip(), self._box(line, number))
        return list(found.values())

    def _box(self, line: Mapping[str, str], number: int) -> Box | None:
        try:
            return box_of(line)
        except ValueError:
            given = "/".join(line.get(name) or "" for name in BOX)
            raise Refusal(
                f"Line {number} of {self.place} has the box {given}; left, top, right and bottom must be four numbers "
                "of pixels, right above left and bottom above top."
            ) from None


def box_of(line: Mapping[str, str]) -> Box | None:
    """Read the box in a line of a list; None without one.

    Raises:
        ValueError: If it is no box.
    """
    texts = [(line.get(name) or "").strip() for name in BOX]
    if not any(texts):
        return None
    left, top, right, bottom = map(float, texts)
    if not (-math.inf < left < right < math.inf and -math.inf < top < bottom < math.inf):
        raise ValueError
    return left, top, right, bottom


def _is_photo(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return not hidden and PurePosixPath(name).suffix.lower() in ENDINGS
