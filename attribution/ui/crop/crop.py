"""The crop editor: the square that the network sees, shown on the whole photo, movable and resizable."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st
from PIL import Image

from attribution.photo.crop import FIT, MIN_SIZE, Crop
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
    image: Image.Image, content: str, preprocessing: Preprocessing, crop: Crop, on_move: Callable[[Crop], None]
) -> None:
    """Show a photo with the crop framed and the rest dimmed, or the whole photo with its bars.

    Args:
        image: The photo, of any size.
        content: Cache key: name of a sample photo, or SHA-256 of an upload.
        preprocessing: Determines the shape of the crop and the colour of the bars.
        crop: Position and size of the crop.
        on_move: Called with the new crop when it has been moved or resized.
    """
    across, down, size = crop.shares
    data: dict[str, Any] = {"photo": _preview(image, content), "fit": size == FIT}
    left, top, right, bottom = preprocessing.box(image, size=FIT if size == FIT else None)
    wide, high = right - left, bottom - top
    if size == FIT:
        data |= {
            "ratio": wide / high,
            "left": -left / wide,
            "top": -top / high,
            "width": image.width / wide,
            "height": image.height / high,
            "bars": "#" + "".join(f"{round(255 * part):02x}" for part in preprocessing.bar_colour),
        }
    else:
        data |= {
            "ratio": image.width / image.height,
            "width": wide / image.width,
            "height": high / image.height,
            "usual": min(wide, high) / min(image.size),
            "least": MIN_SIZE,
            "across": across,
            "down": down,
            "size": size,
        }

    def moved() -> None:
        if place := received("crop", "place", read_place):
            on_move(place)

    _mount(data=data, key="crop", on_place_change=moved)
