"""Messages for the browser: the viewer's module, and one message for each panel.

A panel's data is one message: the length of a header (32 bits, little-endian), the header as JSON, and the pixels. It
travels once; a rerun with the same data sends none of it again.
"""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution.drawing.heatmap import colour_maps, reduce
from attribution.drawing.view import View
from attribution.settings import Choice, Number, described, plain
from attribution.viewer.bundle import bundle

_FOLDER = Path(__file__).parent
Window = tuple[float, float, float]  # left, top and side of the part in view, as shares of the image's sides
WHOLE: Window = (0.0, 0.0, 1.0)

_LARGEST = 32767  # of a signed 16-bit number


def module() -> str:
    """Return the viewer as one ES module, with the facts about views that Python defines."""
    return bundle(_FOLDER / "viewer.js", view_facts())


def view_facts() -> dict[str, Any]:
    """Return the constants of the browser's half: colour maps, the default view, and its settings' labels or ranges."""
    controls: dict[str, Any] = {}
    for name, kind in described(View).items():
        if isinstance(kind, Choice):
            controls[name] = {option: kind.label(option) for option in kind.options}
        elif isinstance(kind, Number):
            controls[name] = (kind.low, kind.high)
    return {"COLOUR_MAPS": colour_maps(), "DEFAULT_VIEW": plain(View()), "VIEW_CONTROLS": controls}


def style() -> str:
    """Return the viewer's CSS; its colours are the variables of Streamlit's theme."""
    return (_FOLDER / "viewer.css").read_text()


def pack(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Return the length of the header (32 bits, little-endian), the header as JSON, and the body."""
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + body


@dataclass(frozen=True)
class Place:
    """The place of a picture.

    Attributes:
        group: Panels of one group are linked.
        name: Unique in its group.
        label: Spoken by a screen reader.
        full: (H, W) of the same part of the original photo, for saving at its size.
        file: Name of the PNG that a panel saves, without its ending. Default: the name.
        title: Shown above the picture.
        below: Shown below it.
    """

    group: str
    name: str
    label: str
    full: tuple[int, int]
    file: str = ""
    title: str = ""
    below: str = ""

    def header(self, kind: str, size: tuple[int, int]) -> dict[str, Any]:
        """Return the header of a picture of (H, W) for the browser."""
        return {
            "kind": kind,
            "group": self.group,
            "id": self.name,
            "label": self.label,
            "file": self.file or self.name,
            "title": self.title,
            "below": self.below,
            "height": size[0],
            "width": size[1],
            "fullHeight": self.full[0],
            "fullWidth": self.full[1],
        }


def pack_photo(pixels: NDArray[np.uint8], place: Place) -> bytes:
    """Pack the photo as the network sees it, (H, W, 3), 8-bit RGB."""
    return pack(place.header("photo", pixels.shape[:2]), pixels.tobytes())


def pack_map(values: NDArray[Any], unit: str, place: Place) -> bytes:
    """Pack a finished map: three channels of 16 bits with one scale.

    Args:
        values: (3, H, W), signed, finite.
        unit: Of the values.
        place: Where it is shown.
    """
    values = values.astype(np.float64)  # a scale of float32 could be too small for its own format
    largest = float(np.abs(values).max())
    scale = largest / _LARGEST if largest > 0 else 1.0
    channels = np.clip(np.rint(values / scale), -_LARGEST, _LARGEST).astype("<i2")
    header = {**place.header("map", values.shape[1:]), "scale": scale, "unit": unit}
    return pack(header, channels.tobytes())


def pack_partial(values: NDArray[Any], unit: str, place: Place) -> bytes:
    """Pack a map that still grows: the sum of absolute values in one channel of 8 bits."""
    heat = reduce(values)
    scale = float(heat.max()) / 255 or 1.0
    header = {**place.header("partial", heat.shape), "scale": scale, "unit": unit}
    return pack(header, np.rint(heat / scale).astype(np.uint8).tobytes())


def pack_toolbar(group: str, view: View, window: Window, take: bool = True) -> bytes:
    """Pack the controls that all panels of a group obey.

    Args:
        group: Panels of one group are linked.
        view: As it is when the page opens; from then on the browser knows better.
        window: The same of the part in view.
        take: Whether there is something to take away. Default: True.
    """
    return pack({"kind": "toolbar", "group": group, "settings": plain(view), "window": window, "take": take})


def pack_link(group: str, view: View, window: Window, query: str, page: str, note: str) -> bytes:
    """Pack the button that copies the link; it also keeps the address bar true.

    Args:
        group: Whose view is part of the link.
        view: As for `pack_toolbar`.
        window: As for `pack_toolbar`.
        query: The rest of the link: `name=value&...`, percent-encoded.
        page: Which page is open; the address is written again when it changes.
        note: What the link cannot hold, for people; empty if it holds all.
    """
    rest = {"query": query, "page": page, "note": note}
    return pack({"kind": "link", "group": group, "settings": plain(view), "window": window, **rest})
