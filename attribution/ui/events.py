"""Events from components in the browser: parsed into typed values, or dropped if malformed."""

import logging
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import streamlit as st

from attribution.drawing.view import View
from attribution.lesson.chapter import LETTERS
from attribution.lesson.chapters.saturation import HIGH, LOW
from attribution.lesson.neurons_chapter import LARGEST
from attribution.lesson.saturation import Toy
from attribution.lesson.three_neurons import Neurons
from attribution.photo.cells import Cells, CellsSetting
from attribution.photo.crop import Crop, CropSetting
from attribution.settings import described, restore
from attribution.ui.session import Pixel
from attribution.viewer.message import WHOLE_WINDOW, Window

E = TypeVar("E")
MAX_SIDE = 1 << 16  # pixels of a map's side
MAX_QUESTIONS = 1 << 31  # after which the board counts from 0 again
MAX_TOY_STEPS = 50


@dataclass(frozen=True)
class Asked:
    """A question of the board.

    Attributes:
        number: Number of the question.
        cells: What is covered.
        rests: True if the hand rests, so that a thorough answer is worth its time.
        facts: Identifier of the facts that the browser has.
    """

    number: int
    cells: Cells
    rests: bool
    facts: str


def received(key: str, name: str, read: Callable[[Any], E]) -> E | None:
    """Read the event that a component has just sent.

    Args:
        key: Key of the component.
        name: Name of the event.
        read: Parses the payload; raises an error if it is malformed.

    Returns:
        The value; None if there is no event or it is malformed, which is logged.
    """
    try:
        sent = st.session_state[key][name]
        return None if sent is None else read(sent)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:  # or a Refusal, a ValueError
        logging.getLogger(__name__).warning("dropped the event %s: %s", name, type(error).__name__)
        return None


def read_mark(sent: Any) -> tuple[Pixel | None]:
    """Read the marked pixel; None if the payload is empty, which removes the mark."""
    return (Pixel(_whole(sent["x"]), _whole(sent["y"])) if sent else None,)


def read_covered(sent: Any) -> Cells:
    """Read the cells that the board covers."""
    return CellsSetting("").check(str(sent["cells"]))


def read_recompute(sent: Any) -> tuple[int, str]:
    """Read the place of a map on the board, and the identifier of the board's facts."""
    return _whole(sent["place"]), str(sent["facts"])


def read_choice(sent: Any) -> int:
    """Read the place of a class in the list of the most probable ones."""
    return _whole(sent["place"])


def read_classes(sent: Any) -> tuple[str, str, tuple[int, ...]]:
    """Read a choice of classes: the name of the box, the identifier of the class names, and different indices."""
    chosen = tuple(_whole(index) for index in sent["chosen"])
    if len(set(chosen)) < len(chosen):
        raise ValueError(chosen)
    return str(sent["box"]), str(sent["model"]), chosen


def read_place(sent: Any) -> Crop:
    """Read the crop: position and size as shares from 0 to 1, in whole percent; without a size, the network's own."""
    across, down = (float(round(100 * _share(sent[name]))) for name in ("across", "down"))
    size = None if sent["size"] is None else float(round(100 * _share(sent["size"])))
    return CropSetting("").check((across, down, size))


def read_tab(sent: Any) -> str:
    """Read the number of a tab: 128 bits in hexadecimal."""
    if not re.fullmatch("[0-9a-f]{32}", number := sent["number"]):
        raise ValueError(number)
    return str(number)


def read_asked(sent: Any) -> Asked:
    """Read a question of the board."""
    cells, rests, facts = sent["cells"], sent["rests"], sent["facts"]
    if not isinstance(cells, str) or not isinstance(rests, bool) or not re.fullmatch("[0-9a-f]{16}", facts):
        raise ValueError(sent)
    return Asked(_whole(sent["number"], MAX_QUESTIONS), CellsSetting("").check(cells), rests, facts)


def read_move(sent: Any) -> int:
    """Read a move in the lesson: 1 or -1 step."""
    if sent["by"] not in (1, -1):
        raise ValueError(sent["by"])
    return int(sent["by"])


def read_letter(sent: Any) -> str:
    """Read the letter of an option."""
    if sent["letter"] not in LETTERS:
        raise ValueError(sent["letter"])
    return str(sent["letter"])


def read_neurons(sent: Any) -> tuple[Neurons, int]:
    """Read the state of the sandbox of three neurons, in tenths, and how often it had been set from outside."""

    def several(values: Any, count: int) -> Any:
        if not isinstance(values, list) or len(values) != count:
            raise ValueError(values)
        return tuple(_tenth(each, -LARGEST, LARGEST) for each in values)

    a, b, c = (several(weights, 2) for weights in sent["into"])
    found = Neurons(several(sent["x"], 2), (a, b, c), several(sent["out"], 3), several(sent["skip"], 2))
    return found, _whole(sent["restored"], MAX_QUESTIONS)


def read_toy(sent: Any) -> tuple[Toy, int]:
    """Read the state of the sandbox of saturation, in tenths, and how often it had been set from outside."""
    x, baseline = (_tenth(sent[name], LOW, HIGH) for name in ("x", "baseline"))
    if not (steps := _whole(sent["steps"], MAX_TOY_STEPS + 1)):
        raise ValueError(steps)
    return Toy(x, baseline, steps), _whole(sent["restored"], MAX_QUESTIONS)


def read_view(sent: Any) -> tuple[View, Window]:
    """Read the view of the panels, which the viewer sends when an export or a link is requested."""
    parts = {str(name): str(text) for name, text in dict(sent).items()}
    view = restore(View, {name: text for name, text in parts.items() if name in described(View)})
    return view, read_window(parts["zoom"]) if "zoom" in parts else WHOLE_WINDOW


def read_window(text: str) -> Window:
    """Read the visible part of the photo: `left,top,side`, as shares of the photo's sides.

    Raises:
        ValueError: If the text is malformed.
    """
    x, y, size = (_share(float(each)) for each in text.split(","))
    if size < 0.01:
        raise ValueError(text)
    return x, y, size


def read_selected(sent: Any) -> tuple[int, int] | None:
    """Read the series and the place in it of the first selected point of an ECharts chart; None if there is none."""
    for group in sent["selected"]:
        return _whole(group["series_index"]), _whole(group["data_indices"][0])
    return None


def _whole(value: Any, end: int = MAX_SIDE) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < end:
        raise ValueError(value)
    return value


def _share(value: Any) -> float:
    if not 0 <= _number(value) <= 1:
        raise ValueError(value)
    return float(value)


def _tenth(value: Any, low: float, high: float) -> float:
    if not low <= _number(value) <= high:
        raise ValueError(value)
    return round(float(value), 1) + 0.0  # no negative zero


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ValueError(value)
    return float(value)
