"""The part of the photo that the network sees, on the whole photo, to be moved by hand."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

import streamlit as st
from PIL import Image

from attribution.photo.preprocessing import Preprocessing

_FOLDER = Path(__file__).parent
LONGEST = 480  # pixels of the photo's longer side, as shown

_mount = st.components.v2.component(
    "crop", css=(_FOLDER / "crop.css").read_text(), js=(_FOLDER / "crop.js").read_text()
)


@st.cache_data(max_entries=16, show_spinner=False)
def _small(name: str, _image: Image.Image) -> str:
    small = _image.copy()
    small.thumbnail((LONGEST, LONGEST))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def show_crop(
    image: Image.Image,
    name: str,
    preprocessing: Preprocessing,
    across: float,
    down: float,
    on_move: Callable[[float, float], None],
) -> None:
    """Show a photo with the network's square framed and the rest dimmed; the square can be dragged.

    Args:
        image: Of any size.
        name: Identifies the photo.
        preprocessing: Knows the size of the square.
        across: Where it lies, from 0 (left) to 1 (right).
        down: Where it lies, from 0 (top) to 1 (bottom).
        on_move: Called with the new place.
    """
    left, top, right, bottom = preprocessing.box(image)
    data = {
        "photo": _small(name, image),
        "ratio": image.width / image.height,
        "width": (right - left) / image.width,
        "height": (bottom - top) / image.height,
        "across": across,
        "down": down,
    }

    def moved() -> None:
        if place := st.session_state.crop.get("place"):
            on_move(float(place["across"]), float(place["down"]))

    _mount(data=data, key="crop", on_place_change=moved)
