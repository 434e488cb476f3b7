"""Mount the sandboxes: three neurons, and a function that saturates. The browser computes and draws every change.

The server hears of a change when the hand has rested. It sets the values in the browser only when `restored` changes;
what the hand cannot change, such as the words, follows at once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import streamlit as st

from attribution.lesson.saturation import Toy
from attribution.lesson.three_neurons import OUT, PRESETS, Neurons
from attribution.ui.events import read_neurons, read_toy, received
from attribution.viewer import message
from attribution.viewer.bundle import bundle

S = TypeVar("S")
_FOLDER = Path(__file__).parent
_CONSTANTS = {"OUT": OUT, "PRESETS": {name: asdict(preset) for name, preset in PRESETS.items()}}

_mount_script = st.components.v2.component("sandbox_script", js=bundle(_FOLDER / "sandbox.js", _CONSTANTS))
_mount = st.components.v2.component(
    "sandbox", css=(_FOLDER / "sandbox.css").read_text(), js=(_FOLDER / "waiting.js").read_text()
)


def show_three_neurons(
    key: str,
    state: Neurons,
    controls: Collection[str],
    words: Mapping[str, str],
    restored: int,
    changed: Callable[[Neurons], None],
    *,
    reveal: bool = True,
    focus: str = "",
    presets: Sequence[str] = tuple(PRESETS),
) -> None:
    """Show the network of three neurons.

    Args:
        key: Key of the component.
        state: Input and weights at first, and after `restored` has changed; the hand then changes them in the browser.
        controls: What the hand may change: any of "x", "class", "weights" and "presets". The rest is plain text.
        words: Texts of the sandboxes by name. Names in braces are replaced in the browser.
        restored: How often the state has been set from outside.
        changed: Called with the new state when the hand has rested.
        reveal: False to hide what is sent back, until the reader has guessed. Default: True.
        focus: Name of the rule to emphasise, as in the words. Default: none.
        presets: Keys of PRESETS, for the buttons. Default: all.
    """
    facts = {"reveal": reveal, "focus": focus, "presets": list(presets)}
    _show("neurons", key, state, controls, words, restored, changed, read_neurons, facts)


def show_saturation(
    key: str,
    state: Toy,
    controls: Collection[str],
    words: Mapping[str, str],
    restored: int,
    changed: Callable[[Toy], None],
) -> None:
    """Show the function that saturates.

    Args:
        key: Key of the component.
        state: As for `show_three_neurons`.
        controls: What the hand may change: any of "x", "baseline" and "steps". The rest is plain text.
        words: As for `show_three_neurons`.
        restored: As for `show_three_neurons`.
        changed: As for `show_three_neurons`.
    """
    _show("saturation", key, state, controls, words, restored, changed, read_toy, {})


def _show(
    kind: str,
    key: str,
    state: Any,
    controls: Collection[str],
    words: Mapping[str, str],
    restored: int,
    changed: Callable[[S], None],
    read: Callable[[Any], tuple[S, int]],
    facts: Mapping[str, Any],
) -> None:
    def rested() -> None:
        if (event := received(key, "changed", read)) and event[1] == restored:  # an older one is of another state
            changed(event[0])

    shown = {
        "kind": kind,
        "state": asdict(state),
        "controls": sorted(controls),
        "words": dict(words),
        "restored": restored,
        **facts,
    }
    _mount_script(key=f"{key}-script")
    _mount(data=message.pack(shown), key=key, on_changed_change=rested)
