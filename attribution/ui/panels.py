"""Mount the linked viewer's panels on a page of the dashboard."""

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import streamlit as st

from attribution.result import Attribution
from attribution.viewer.message import Place, module, pack_map, style

_mount = st.components.v2.component("linked_viewer", css=style(), js=module())


_messages: WeakKeyDictionary[Attribution, dict[Place, bytes]] = WeakKeyDictionary()


def packed_once(result: Attribution, place: Place) -> bytes:
    """The message of a finished map, made once however often it is shown."""
    known = _messages.setdefault(result, {})
    if place not in known:
        known[place] = pack_map(result.values, result.unit, place)
    return known[place]


def show(packed: bytes, key: str, **on: Callable[[Any], None]) -> None:
    """Show a panel, the toolbar or the link.

    Args:
        packed: What a `pack_` function gave.
        key: Unique on the page, and the same from run to run.
        on: By name of what the browser sends (`pixel`, `take`), what is called with it.
    """

    def relay(name: str) -> Callable[[], None]:
        def called() -> None:
            if (sent := st.session_state[key].get(name)) is not None:
                on[name](sent)

        return called

    callbacks: dict[str, Any] = {f"on_{name}_change": relay(name) for name in on}
    _mount(data=packed, key=key, **callbacks)
