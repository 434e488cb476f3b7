"""The crop editor: the square that the network sees, shown on the whole photo and movable."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

import streamlit as st
from PIL import Image

from attribution.photo.preprocessing import Preprocessing
from attribution.ui.events import read_place, received
from attribution.work.cache import Recent

_FOLDER = Path(__file__).parent
LONGEST_SIDE = 480  # pixels of the preview's longer side

_mount = st.components.v2.component(
    "crop", css=(_FOLDER / "crop.css").read_text(), js=(_FOLDER / "crop.js").read_text()
)


_previews: Recent[str] = Recent("previews")


def _preview(image: Image.Image, content: str) -> str:
    """Return a small copy of the photo as a data URL; cached."""
    if (found := _previews.get(content)) is None:
        small = image.copy()
        small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        file = io.BytesIO()
        small.save(file, "JPEG", quality=85)
        found = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
        _previews.put(content, found)
    return found


def show_crop(
    image: Image.Image,
    content: str,
    preprocessing: Preprocessing,
    across: float,
    down: float,
    on_move: Callable[[float, float], None],
) -> None:
    """Show a photo with the crop framed and the rest dimmed; the crop can be dragged.

    Args:
        image: The photo, of any size.
        content: Cache key: name of a sample photo, or SHA-256 of an upload.
        preprocessing: Determines the size of the crop.
        across: Horizontal position of the crop, from 0 (left) to 1 (right).
        down: Vertical position of the crop, from 0 (top) to 1 (bottom).
        on_move: Called with the new position.
    """
    left, top, right, bottom = preprocessing.box(image)
    data = {
        "photo": _preview(image, content),
        "ratio": image.width / image.height,
        "width": (right - left) / image.width,
        "height": (bottom - top) / image.height,
        "across": across,
        "down": down,
    }

    def moved() -> None:
        if place := received("crop", "place", read_place):
            on_move(*place)

    _mount(data=data, key="crop", on_place_change=moved)
