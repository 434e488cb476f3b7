"""Messages for the browser: the viewer's module, and one message per panel.

A message is the length of the header (32 bits, little-endian), the header as JSON, and the pixels. It is sent once; a
rerun with the same data does not send it again.
"""

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.drawing.heatmap import colour_maps, reduce
from attribution.drawing.view import View
from attribution.methods import METHODS
from attribution.result import Attribution
from attribution.settings import Choice, Number, described, plain
from attribution.viewer.bundle import bundle

_FOLDER = Path(__file__).parent
Window = tuple[float, float, float]  # left, top and side of the visible part, as shares of the image's sides
WHOLE_WINDOW: Window = (0.0, 0.0, 1.0)

_MAX_INT8 = 127  # largest signed 8-bit number
_MAX_INT16 = 32767  # largest signed 16-bit number


def module() -> str:
    """Return the viewer as one ES module, with constants from Python."""
    return bundle(_FOLDER / "viewer.js", view_facts())


def view_facts() -> dict[str, Any]:
    """Return the viewer's constants: colour maps, the default view, and its settings' labels or ranges."""
    controls: dict[str, Any] = {}
    for name, kind in described(View).items():
        if isinstance(kind, Choice):
            controls[name] = {option: kind.label(option) for option in kind.options}
        elif isinstance(kind, Number):
            controls[name] = (kind.low, kind.high)
    return {"COLOUR_MAPS": colour_maps(), "DEFAULT_VIEW": plain(View()), "VIEW_CONTROLS": controls}


def style() -> str:
    """Return the viewer's CSS, which uses the variables of Streamlit's theme."""
    return (_FOLDER / "viewer.css").read_text()


def pack(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Return the length of the header (32 bits, little-endian), the header as JSON, and the body."""
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + body


@dataclass(frozen=True)
class Frame:
    """The place of an image in the coordinates that the panels of a group share, such as those of the photo.

    Attributes:
        left: Left edge, as a share of the common width.
        top: Upper edge, as a share of the common height.
        width: Width, as a share of the common width.
        height: Height, as a share of the common height.
        aspect: Common width by common height; 0 (default) for that of the image, which then fills the panel.
    """

    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0
    aspect: float = 0.0

    def window(self, common: Window) -> Window:
        """Return the part of the image in a window of the common coordinates, as a window of the image."""
        left, top, side = common
        size = min(1.0, side / max(self.width, self.height))
        x, y = ((left - self.left) / self.width, (top - self.top) / self.height)
        return max(0.0, min(1 - size, x)), max(0.0, min(1 - size, y)), size


WHOLE_FRAME = Frame()


def common_frames(boxes: Sequence[tuple[float, float, float, float]]) -> list[Frame]:
    """Return the places of several crops of one photo in the smallest rectangle that contains all of them.

    Args:
        boxes: Left, top, right and bottom of each crop, in pixels of the photo.
    """
    left, top = (min(box[side] for box in boxes) for side in (0, 1))
    right, bottom = (max(box[side] for box in boxes) for side in (2, 3))
    width, height = right - left, bottom - top
    return [
        Frame(
            (box[0] - left) / width,
            (box[1] - top) / height,
            (box[2] - box[0]) / width,
            (box[3] - box[1]) / height,
            width / height,
        )
        for box in boxes
    ]


@dataclass(frozen=True)
class Place:
    """The place of an image in the viewer.

    Attributes:
        group: Name of the group; its panels are linked.
        name: Name of the panel, unique in its group.
        label: Label for screen readers.
        full: (H, W) of the crop in pixels of the original photo, for saving at that resolution.
        file: File name of a saved PNG, without suffix. Default: the name.
        title: Text above the image.
        below: Text below the image.
        row: Name of the photo that belongs to the image, if the group has several. Default: the only one.
        frame: Place of the image in the coordinates of the group. Default: all of it.
    """

    group: str
    name: str
    label: str
    full: tuple[int, int]
    file: str = ""
    title: str = ""
    below: str = ""
    row: str = ""
    frame: Frame = WHOLE_FRAME

    def header(self, kind: str, size: tuple[int, int]) -> dict[str, Any]:
        """Return the message header of an image of size (H, W)."""
        return {
            "kind": kind,
            "group": self.group,
            "id": self.name,
            "label": self.label,
            "file": self.file or self.name,
            "title": self.title,
            "below": self.below,
            "row": self.row,
            "frame": asdict(self.frame),
            "height": size[0],
            "width": size[1],
            "fullHeight": self.full[0],
            "fullWidth": self.full[1],
        }


def pack_photo(pixels: NDArray[np.uint8], place: Place) -> bytes:
    """Pack the photo as the network sees it, (H, W, 3), 8-bit RGB."""
    return pack(place.header("photo", pixels.shape[:2]), pixels.tobytes())


@dataclass(frozen=True)
class Signs:
    """The meaning of the signs of a map's values.

    Attributes:
        drawn: True if the map is drawn in signed colours by default.
        meanings: Words for the negative and the positive end of a signed scale. Default: none.
    """

    drawn: bool = False
    meanings: tuple[str, str] | None = None

    @classmethod
    def of(cls, result: Attribution) -> "Signs":
        """Return those of a result; without words for gradients, whose sign is that of a change of brightness."""
        method = METHODS.get(result.method)
        return cls(result.signed, None if method is None or method.per_value else result.target.kind.signs)

    def header(self) -> dict[str, Any]:
        """Return the part of a message header that describes them."""
        return {"signed": self.drawn, "meanings": self.meanings}


UNSIGNED = Signs()


def pack_map(
    values: NDArray[Any],
    unit: str,
    place: Place,
    signs: Signs = UNSIGNED,
    segments: NDArray[Any] | None = None,
    standard_error: NDArray[Any] | None = None,
) -> bytes:
    """Pack a finished map: three channels of 16 bits with one scale, and the labels of its segments in 16 bits.

    Args:
        values: (3, H, W), signed, finite.
        unit: Unit of the values.
        place: Place in the viewer.
        signs: Meaning of the signs. Default: none.
        segments: (H, W), labels from 0. Default: no segments.
        standard_error: (M,), of the values of the segments. Default: none.
    """
    values = values.astype(np.float64)  # in float32, the scale could underflow
    largest = float(np.abs(values).max())
    scale = largest / _MAX_INT16 if largest > 0 else 1.0
    channels = np.clip(np.rint(values / scale), -_MAX_INT16, _MAX_INT16).astype("<i2")
    header = {**place.header("map", values.shape[1:]), **signs.header(), "scale": scale, "unit": unit}
    if segments is None or standard_error is None:
        return pack(header, channels.tobytes())
    header["errors"] = standard_error.tolist()
    return pack(header, channels.tobytes() + segments.astype("<u2").tobytes())


def pack_result(result: Attribution, place: Place) -> bytes:
    """Pack the map of a result."""
    return pack_map(result.values, result.unit, place, Signs.of(result), result.segments, result.standard_error)


def pack_pending(size: tuple[int, int], place: Place) -> bytes:
    """Pack an empty panel of the height that it will have with a map of size (H, W)."""
    shrunk = math.gcd(*size)
    height, width = size[0] // shrunk, size[1] // shrunk
    header = {**place.header("pending", (height, width)), **UNSIGNED.header(), "scale": 1.0, "unit": ""}
    return pack(header, bytes(height * width))


def pack_partial(result: Attribution, place: Place) -> bytes:
    """Pack a partial map in one 8-bit channel: the sum of the values if it is drawn signed, else of their sizes."""
    heat = reduce(result.values, "signed_sum" if result.signed else "sum_of_absolutes")
    scale = float(np.abs(heat).max()) / _MAX_INT8 or 1.0
    header = {**place.header("partial", heat.shape), **Signs.of(result).header(), "scale": scale, "unit": result.unit}
    return pack(header, np.rint(heat / scale).astype(np.int8).tobytes())


def pack_toolbar(group: str, view: View, window: Window, can_export: bool = True, by: str = "") -> bytes:
    """Pack the controls of a group of panels.

    Args:
        group: Name of the group.
        view: Initial view; later changes stay in the browser.
        window: Initially visible part.
        can_export: True if the toolbar has an export button. Default: True.
        by: The model, named above each map, if the maps are not those of the current choice. Default: they are.
    """
    settings = {"settings": plain(view), "window": window, "canExport": can_export, "by": by}
    return pack({"kind": "toolbar", "group": group, **settings})


def pack_classes(prediction: Sequence[tuple[int, str, float]], explained: int) -> bytes:
    """Pack the most probable classes as buttons.

    Args:
        prediction: Index, name and probability of each class.
        explained: Index of the explained class.
    """
    entries = [
        {
            "name": f"{name} ({index})",
            "text": f"{share:.1%}" if share >= 0.001 else "< 0.1%",
            "share": share,
            "explained": index == explained,
        }
        for index, name, share in prediction
    ]
    return pack({"kind": "classes", "entries": entries})


def pack_link(
    group: str, view: View, window: Window, query: str, page: str, restored: int = 0, asks_tab: bool = False
) -> bytes:
    """Pack the share button, which also keeps the address bar up to date.

    Args:
        group: Name of the group whose view is part of the link.
        view: As for `pack_toolbar`.
        window: As for `pack_toolbar`.
        query: The other parameters of the link, `name=value&...`, percent-encoded.
        page: URL path of the open page; the address bar is rewritten when it changes.
        restored: How often Back or Forward has restored an analysis. Default: 0.
        asks_tab: True if the browser is to send the number of its tab. Default: False.
    """
    rest = {"query": query, "page": page, "restored": restored, "asksTab": asks_tab}
    return pack({"kind": "link", "group": group, "settings": plain(view), "window": window, **rest})


def pack_copy(link: str) -> bytes:
    """Pack a link with a button that copies it."""
    return pack({"kind": "copy", "link": link})
