"""Forms for values with settings: the widget depends on the kind of setting, never on its name."""

from collections.abc import Mapping, MutableMapping, Sequence
from functools import singledispatch
from typing import Any, TypeVar

import streamlit as st

from attribution.refusal import Refusal
from attribution.settings import (
    AUTO,
    AutomaticNumber,
    Choice,
    ColourSetting,
    Configurable,
    LayerName,
    Number,
    Part,
    Setting,
    default,
    described,
)

C = TypeVar("C", bound=Configurable)

USUAL_LAYER = "Last layer"
MAX_SLIDER_RANGE = 100  # largest range shown as a slider; wider ranges get a number input


def ask(cls: type[C], key: str, layers: Sequence[str] = ()) -> C:
    """Show the settings of a class and return the value that they define. Widgets without a value take the default.

    Args:
        cls: Any class with settings, such as a method or a baseline.
        key: Prefix of the widgets' keys, unique on the page.
        layers: Names of layers to offer. Default: none; any name can be typed.
    """
    values = {}
    for name, kind in described(cls).items():
        usual, place = default(cls, name), f"{key}.{name}"
        if place not in st.session_state or not _offered(kind, st.session_state[place]):
            st.session_state[place] = _shown(kind, usual)
        if isinstance(kind, LayerName):
            values[name] = _layer(kind, layers, place)
        elif not kind.shown:
            values[name] = _value(kind, st.session_state[place])
        else:
            values[name] = _widget(kind, kind.named(name), usual, place)
    return cls(**values)


def fill(value: Configurable, key: str, state: MutableMapping[str, Any]) -> None:
    """Set the widgets of a form before they are shown, so that `ask` returns this value.

    Args:
        value: The value to show.
        key: Prefix of the widgets' keys.
        state: Widget values by key, such as the session's state.
    """
    for name, kind in described(type(value)).items():
        content = getattr(value, name)
        state[f"{key}.{name}"] = _shown(kind, content)
        if isinstance(kind, Part):
            fill(content, f"{key}.{name}.{content.key}", state)


def held(cls: type[C], key: str, state: Mapping[str, Any]) -> C:
    """Return the value of a form without showing it; missing widgets take their defaults.

    Args:
        cls: Any class with settings, such as a method or a baseline.
        key: Prefix of the widgets' keys.
        state: Widget values by key.
    """
    values = {}
    for name, kind in described(cls).items():
        place, usual = f"{key}.{name}", default(cls, name)
        shown: Any = state.get(place)
        if place not in state or not _offered(kind, shown):
            shown = _shown(kind, usual)
        if isinstance(kind, Part):
            values[name] = held(kind.registry[shown], f"{place}.{shown}", state) if place in state else usual
        else:
            values[name] = _value(kind, shown)
    return cls(**values)


def reset(cls: type[Configurable], key: str) -> None:
    """Reset the widgets of a form to their defaults; call from a callback."""
    fill(cls(), key, st.session_state)  # type: ignore[arg-type]


def _offered(kind: Setting, shown: Any) -> bool:
    """True if a widget of this kind can show a value; browsers may send anything."""
    if isinstance(kind, Part):
        return isinstance(shown, str) and shown in kind.registry
    try:
        kind.check(_value(kind, shown))
    except (Refusal, TypeError):
        return False
    return True


def _shown(kind: Setting, value: Any) -> Any:
    """Convert a value to its widget's representation."""
    if isinstance(kind, Part):
        return value.key
    if isinstance(kind, ColourSetting):
        return "#" + "".join(f"{round(255 * part):02x}" for part in value)
    return None if isinstance(kind, AutomaticNumber) and value == AUTO else value


def _value(kind: Setting, shown: Any) -> Any:
    """Convert a widget's representation to a value, which may be invalid."""
    if isinstance(kind, ColourSetting):
        return kind.read(shown)
    return AUTO if isinstance(kind, AutomaticNumber) and shown is None else shown


def _layer(kind: LayerName, layers: Sequence[str], key: str) -> str:
    """Show a picker of layers, where any other name can be typed."""
    chosen = st.session_state[key]
    options = ["", *layers, *([chosen] if chosen and chosen not in layers else [])]
    return st.selectbox(
        "Layer",
        options,
        format_func=lambda name: name or USUAL_LAYER,
        key=key,
        help=f"{kind.help} Type the name of any other.",
        accept_new_options=True,
        persist_state="session",
    )


@singledispatch
def _widget(kind: Setting, label: str, usual: Any, key: str) -> Any:
    """Show one setting, whose value is in the session's state, and return it."""
    raise TypeError(f"There is no widget for {type(kind).__name__}.")


@_widget.register
def _(kind: Number, label: str, usual: Any, key: str) -> int | float:
    widget = st.slider if kind.high - kind.low <= MAX_SLIDER_RANGE else st.number_input
    convert = int if kind.whole else float
    shown = f"{kind.help} Must be {kind.range}. Default: {usual:g}."
    step = 1 if kind.whole else 0.01 if kind.high - kind.low <= 5 else 0.5
    return widget(label, convert(kind.low), convert(kind.high), step=step, key=key, help=shown, persist_state="session")


@_widget.register
def _(kind: AutomaticNumber, label: str, usual: Any, key: str) -> int | float | str:
    number = st.number_input(
        label,
        kind.low,
        kind.high,
        value=None,
        step=1,
        key=key,
        help=f"{kind.help} From {kind.low:g} to {kind.high:g}; automatic if empty.",
        placeholder="Automatic",
        persist_state="session",
    )
    return AUTO if number is None else number


@_widget.register
def _(kind: Choice, label: str, usual: Any, key: str) -> str:
    shown = f"{kind.help} Default: {kind.label(usual)}."
    return st.selectbox(label, kind.options, format_func=kind.label, key=key, help=shown, persist_state="session")


@_widget.register
def _(kind: ColourSetting, label: str, usual: Any, key: str) -> Any:
    return kind.read(st.color_picker(label, key=key, help=kind.help, persist_state="session"))


@_widget.register
def _(kind: Part, label: str, usual: Any, key: str) -> Configurable:
    chosen = st.selectbox(
        label,
        list(kind.registry),
        format_func=lambda each: kind.registry[each].title,
        key=key,
        help=f"{kind.help} Default: {usual.title}.",
        persist_state="session",
    )
    return ask(kind.registry[chosen], f"{key}.{chosen}")
