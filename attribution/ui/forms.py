"""A form for any value with settings: one widget for each kind of setting, never one for a name."""

from functools import singledispatch
from typing import Any, TypeVar

import streamlit as st

from attribution.settings import Choice, ColourSetting, Configurable, Number, Part, Setting, default, described

C = TypeVar("C", bound=Configurable)

SLIDER = 100  # a slider with more stops than this is hard to set


def ask(cls: type[C], key: str) -> C:
    """Show the settings of a class and make its value.

    Args:
        cls: A method or a baseline.
        key: Prefix of the widgets' keys, unique on the page.
    """
    return cls(
        **{
            name: _widget(kind, name.replace("_", " ").capitalize(), default(cls, name), f"{key}.{name}")
            for name, kind in described(cls).items()
        }
    )


def reset(key: str) -> None:
    """Give the widgets of a form their defaults; to be called from a callback."""
    for name in [str(name) for name in st.session_state]:
        if name.startswith(f"{key}."):
            del st.session_state[name]


@singledispatch
def _widget(kind: Setting, label: str, value: Any, key: str) -> Any:
    raise TypeError(f"There is no widget for {type(kind).__name__}.")


def _help(kind: Setting, shown: str) -> str:
    return f"{kind.help} May be {kind.range}. Default: {shown}."


@_widget.register
def _(kind: Number, label: str, value: Any, key: str) -> int | float:
    widget = st.slider if kind.high - kind.low <= SLIDER else st.number_input
    convert = int if kind.whole else float
    shown = _help(kind, f"{value:g}")
    return widget(label, convert(kind.low), convert(kind.high), convert(value), key=key, help=shown)


@_widget.register
def _(kind: Choice, label: str, value: Any, key: str) -> str:
    return st.selectbox(
        label,
        kind.options,
        kind.options.index(value),
        format_func=_words,
        key=key,
        help=f"{kind.help} Default: {_words(value)}.",
    )


@_widget.register
def _(kind: ColourSetting, label: str, value: Any, key: str) -> Any:
    red, green, blue = (round(255 * part) for part in value)
    return kind.read(st.color_picker(label, f"#{red:02x}{green:02x}{blue:02x}", key=key, help=kind.help))


@_widget.register
def _(kind: Part, label: str, value: Any, key: str) -> Configurable:
    keys = list(kind.registry)
    chosen = st.selectbox(
        label,
        keys,
        keys.index(value.key),
        format_func=lambda each: kind.registry[each].title,
        key=key,
        help=f"{kind.help} Default: {value.title}.",
    )
    return ask(kind.registry[chosen], f"{key}.{chosen}")


def _words(option: str) -> str:
    return option.replace("_", " ").capitalize()
