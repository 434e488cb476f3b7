"""Boxes in which classes are found by typing, in the browser: the names travel once per model, not with every run."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import streamlit as st

from attribution.ui.events import read_classes, received
from attribution.viewer.bundle import bundle

_FOLDER = Path(__file__).parent

_mount = st.components.v2.component(
    "class_box", css=(_FOLDER / "class_box.css").read_text(), js=bundle(_FOLDER / "class_box.js")
)


@dataclass(frozen=True)
class ClassBox:
    """One box.

    Attributes:
        name: Identifier.
        label: Text above the box.
        hint: Text below the open list.
        unset: Text while no class is chosen.
        chosen: Indices of the chosen classes.
        most: Largest number of classes. Default: 1.
        without: Indices that a box for several classes does not offer.
    """

    name: str
    label: str
    hint: str
    unset: str
    chosen: tuple[int, ...]
    most: int = 1
    without: tuple[int, ...] = ()


@lru_cache(maxsize=4)
def _pack_names(classes: tuple[str, ...]) -> tuple[str, bytes]:
    """Return an identifier of the names, and their message."""
    model = hashlib.sha256(json.dumps(classes).encode()).hexdigest()[:16]
    return model, json.dumps({"model": model, "names": classes}).encode()


def show_class_boxes(
    classes: tuple[str, ...], boxes: Sequence[ClassBox], choose: Callable[[str, tuple[int, ...]], None]
) -> None:
    """Show boxes for the classes of one model.

    Args:
        classes: Class names.
        boxes: The boxes, from top to bottom.
        choose: Called with the name of a box and the indices chosen in it; none for the text while unset.
    """
    model, names = _pack_names(classes)
    most = {box.name: box.most for box in boxes}

    def chosen() -> None:
        if event := received("class-boxes", "choice", read_classes):
            box, of, found = event
            if of == model and len(found) <= most.get(box, 0) and all(index < len(classes) for index in found):
                choose(box, found)

    _mount(data=names, key="class-names")
    message = json.dumps({"model": model, "boxes": [asdict(box) for box in boxes]}).encode()
    _mount(data=message, key="class-boxes", on_choice_change=chosen)
