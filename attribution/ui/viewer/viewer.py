"""Pack maps for the browser and mount the viewer's panels.

A panel's data is one message: the length of a header (32 bits, little-endian), the header as JSON, and the pixels. It
travels once; a rerun with the same data sends none of it again.
"""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from attribution.heatmap import COLOURS, reduce

_FOLDER = Path(__file__).parent
_LARGEST = 32767  # of a signed 16-bit number


def _module() -> str:
    """One ES module: the colours, the pure functions and the viewer, which imports them where there are files."""
    viewer = "".join(
        line for line in (_FOLDER / "viewer.js").read_text().splitlines(True) if not line.startswith("import ")
    )
    return f"const COLOURS = {json.dumps(COLOURS)};\n{(_FOLDER / 'heat.js').read_text()}\n{viewer}"


_mount = st.components.v2.component("linked_viewer", css=(_FOLDER / "viewer.css").read_text(), js=_module())


def _pack(header: dict[str, Any], body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + body


def pack_photo(pixels: NDArray[np.uint8], group: str, full: tuple[int, int]) -> bytes:
    """Pack the photo as the network sees it.

    Args:
        pixels: (H, W, 3), 8-bit RGB.
        group: Panels of one group are linked.
        full: (H, W) of the same part of the original photo, for saving at its resolution.
    """
    height, width, _ = pixels.shape
    header = {
        "kind": "photo",
        "id": "photo",
        "group": group,
        "label": "The photo as the network sees it",
        "width": width,
        "height": height,
        "fullHeight": full[0],
        "fullWidth": full[1],
    }
    return _pack(header, pixels.tobytes())


def pack_map(values: NDArray[Any], name: str, label: str, unit: str, group: str, full: tuple[int, int]) -> bytes:
    """Pack a finished map: three channels of 16 bits with one scale.

    Args:
        values: (3, H, W), signed, finite.
        name: Unique in its group; also the name of its file.
        label: Spoken by a screen reader.
        unit: Of the values.
        group: Panels of one group are linked.
        full: (H, W) of the same part of the original photo.
    """
    values = values.astype(np.float64)  # a scale of float32 could be too small for its own format
    largest = float(np.abs(values).max())
    scale = largest / _LARGEST if largest > 0 else 1.0
    channels = np.clip(np.rint(values / scale), -_LARGEST, _LARGEST).astype("<i2")
    return _pack(_map_header("map", channels, name, label, unit, group, full, scale), channels.tobytes())


def pack_partial(values: NDArray[Any], name: str, label: str, unit: str, group: str, full: tuple[int, int]) -> bytes:
    """Pack a map that still grows: the sum of absolute values in one channel of 8 bits."""
    heat = reduce(values)
    scale = float(heat.max()) / 255 or 1.0
    levels = np.rint(heat / scale).astype(np.uint8)[None]
    return _pack(_map_header("partial", levels, name, label, unit, group, full, scale), levels.tobytes())


def _map_header(
    kind: str,
    channels: NDArray[Any],
    name: str,
    label: str,
    unit: str,
    group: str,
    full: tuple[int, int],
    scale: float,
) -> dict[str, Any]:
    return {
        "kind": kind,
        "id": name,
        "group": group,
        "label": label,
        "width": channels.shape[2],
        "height": channels.shape[1],
        "scale": scale,
        "unit": unit,
        "fullHeight": full[0],
        "fullWidth": full[1],
    }


def show_panel(packed: bytes, key: str, on_pixel: Callable[[dict[str, int]], None]) -> None:
    """Show a photo or a map.

    Args:
        packed: What a `pack_` function gave.
        key: Unique on the page, and the same from run to run.
        on_pixel: Called with {"x": column, "y": row} when a pixel is marked.
    """

    def marked() -> None:
        if pixel := st.session_state[key].get("pixel"):
            on_pixel(pixel)

    _mount(data=packed, key=key, on_pixel_change=marked)


def show_toolbar(group: str, key: str) -> None:
    """Show the controls that all panels of a group obey."""
    _mount(data=_pack({"kind": "toolbar", "group": group}), key=key)
