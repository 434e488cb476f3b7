"""The link: everything that defines an analysis as `name=value` parts of an address, read once a session.

    photo=espresso&crop=50,20&model=squeezenet1_1&target=235&methods=gradient~integrated_gradients(steps=50)

What is left out has its default. The view of the panels stands in the same address, written by the browser itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import streamlit as st

from attribution.baselines import BASELINES
from attribution.checks.faithfulness import Trial
from attribution.checks.sanity import Randomisation
from attribution.drawing.view import View
from attribution.methods import METHODS
from attribution.methods.method import Method
from attribution.models import DEFAULT, MODELS
from attribution.photo.samples import FIRST, SAMPLES
from attribution.refusal import Refusal
from attribution.settings import Configurable, described, plain, read, restore, write
from attribution.targets.target import SCORES
from attribution.ui.forms import fill, held
from attribution.ui.sidebar import OPEN
from attribution.viewer.message import WHOLE, Window
from attribution.work.path import FIRST_BASELINES, PathChoice

ADDED = ("utm_", "fbclid", "gclid")  # by mailers and social sites; no sentence for the reader
BETWEEN = "~"  # stands between methods; no setting's text holds it
LONGEST = 500  # characters of a part that are read
PAGES: tuple[type[Configurable], ...] = (PathChoice, Randomisation, Trial)  # choices of a page of its own
SAFE = "=,():/~"  # what an address may hold unescaped
UPLOADED = "The link was made with a photo that is not part of it, as after a reload; upload it, or choose a sample."


@dataclass
class Restored:
    """What a link asks for.

    Attributes:
        state: Values of the sidebar's widgets, by key.
        view: Of the panels.
        window: The part of the photo in view.
        sentences: What could not be served, for people.
    """

    state: dict[str, Any] = field(default_factory=dict)
    view: View = field(default_factory=View)
    window: Window = WHOLE
    sentences: list[str] = field(default_factory=list)


def restore_session() -> None:
    """Set the sidebar's widgets and the view as the address says, when a session begins."""
    state = st.session_state
    if "view" in state:
        return
    asked = parse(st.query_params.to_dict())
    state.update(asked.state)
    state.view, state.window, state.sentences = asked.view, asked.window, asked.sentences


def parse(parts: Mapping[str, str]) -> Restored:
    """Read the parts of a link. What cannot be served takes its default and is said in a sentence."""
    found = Restored()
    for name, text in sorted(parts.items(), key=lambda part: part[0] != "model"):  # the model knows the classes
        try:
            if name.startswith(ADDED):
                continue
            if len(text) > LONGEST * (len(METHODS) if name in ("methods", "baselines") else 1):
                raise Refusal(f"it has {len(text)} characters, more than a link of this dashboard holds.")
            if name in described(View):
                found.view = restore(View, {**plain(found.view), name: text})
            elif name in _READERS:
                _READERS[name](text, found)
            else:
                raise Refusal("this dashboard has no such part.")
        except Refusal as refusal:
            found.sentences.append(f"The link's {name[:40]!r} is left out: {refusal}")
    return found


def query(methods: tuple[Method, ...]) -> str:
    """The link of what the sidebar shows, percent-encoded, without what has its default."""
    state = st.session_state
    parts = {
        "photo": (state.sample if state.source == "Samples" else state.source.lower(), FIRST),
        "crop": (f"{state.across},{state.down}", "50,50"),
        "model": (state.model, DEFAULT),
        "target": (state.target, OPEN),
        "versus": (state.versus, OPEN),
        "score": (state.score, SCORES[0]),
        "methods": (BETWEEN.join(map(write, methods)), BETWEEN.join(_chosen())),
        **{page.key: (write(held(page, page.key, state.to_dict())), page.key) for page in PAGES},
        "baselines": (
            BETWEEN.join(write(held(BASELINES[key], f"baselines.{key}", state.to_dict())) for key in _baselines_held()),
            BETWEEN.join(FIRST_BASELINES),
        ),
    }
    return "&".join(f"{name}={quote(str(value), SAFE)}" for name, (value, usual) in parts.items() if value != usual)


def _baselines_held() -> list[str]:
    chosen = st.session_state.get("baselines", FIRST_BASELINES)
    return [key for key in BASELINES if key in chosen]


def _chosen() -> list[str]:
    return [key for key, method in METHODS.items() if method.chosen]


def _photo(text: str, found: Restored) -> None:
    if text in SAMPLES:
        found.state |= {"source": "Samples", "sample": text}
    elif text in ("upload", "camera"):
        found.state |= {"source": text.capitalize(), "keep_crop": True}
        found.sentences.append(UPLOADED)
    else:
        raise Refusal(f"there is no sample photo {text!r}.")


def _crop(text: str, found: Restored) -> None:
    across, down = _numbers(text, 2)
    if not (0 <= across <= 100 and 0 <= down <= 100):
        raise Refusal(f"a crop is two numbers from 0 to 100, such as 50,20, and not {text!r}.")
    found.state |= {"across": round(across), "down": round(down)}


def _model(text: str, found: Restored) -> None:
    if text not in MODELS:
        raise Refusal(f"there is no model {text!r}.")
    found.state["model"] = text


def _class(name: str) -> Callable[[str, Restored], None]:
    def read_class(text: str, found: Restored) -> None:
        classes = MODELS[found.state.get("model", DEFAULT)].facts().classes
        if not (text.isascii() and text.isdecimal() and int(text) < len(classes)):
            raise Refusal(f"a class is a whole number from 0 to {len(classes) - 1}, and not {text!r}.")
        found.state[name] = int(text)

    return read_class


def _score(text: str, found: Restored) -> None:
    if text not in SCORES:
        raise Refusal(f"a score is one of {', '.join(SCORES)}, and not {text!r}.")
    found.state["score"] = text


def _methods(text: str, found: Restored) -> None:
    keys = _several(text, METHODS, "", found)
    found.state["methods"] = keys if keys or not text else _chosen()


def _baselines(text: str, found: Restored) -> None:
    keys = _several(text, BASELINES, "baselines.", found)
    found.state["baselines"] = keys if keys or not text else list(FIRST_BASELINES)


def _several(text: str, registry: Mapping[str, type[Configurable]], prefix: str, found: Restored) -> list[str]:
    """Fill the forms of several methods or baselines; the keys of those that can be served."""
    keys: list[str] = []
    for each in text.split(BETWEEN) if text else []:
        try:
            value = read(each, registry)
            if value.key in keys:
                raise Refusal(f"{value.title} is asked for twice.")
        except Refusal as refusal:
            found.sentences.append(f"A part of the link is left out: {refusal}")
            continue
        keys.append(value.key)
        fill(value, f"{prefix}{value.key}", found.state)
    return keys


def _page(choice: type[Configurable]) -> Callable[[str, Restored], None]:
    def read_choice(text: str, found: Restored) -> None:
        fill(read(text, {choice.key: choice}), choice.key, found.state)

    return read_choice


def _zoom(text: str, found: Restored) -> None:
    x, y, size = _numbers(text, 3)
    if not (0.01 <= size <= 1 and 0 <= x <= 1 and 0 <= y <= 1):
        raise Refusal(f"a zoom is left and top from 0 to 1 and side from 0.01 to 1, and not {text!r}.")
    found.window = x, y, size


def _numbers(text: str, count: int) -> list[float]:
    try:
        numbers = [float(each) for each in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise Refusal(f"it must be {count} numbers with commas, and not {text!r}.")
    return numbers


_READERS: dict[str, Callable[[str, Restored], None]] = {
    "photo": _photo,
    "crop": _crop,
    "model": _model,
    "target": _class("target"),
    "versus": _class("versus"),
    "score": _score,
    "methods": _methods,
    **{page.key: _page(page) for page in PAGES},
    "baselines": _baselines,
    "zoom": _zoom,
}
