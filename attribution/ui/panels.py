"""Panels of the linked viewer on the pages of the dashboard."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import streamlit as st

from attribution import viewer
from attribution.result import Attribution
from attribution.ui.events import read_choice, read_mark, read_tab, read_view, received
from attribution.ui.reload import claim
from attribution.ui.session import Pixel, rerun_page, session
from attribution.viewer.bundle import bundle
from attribution.viewer.message import Place, pack_result, style, view_facts

_FOLDER = Path(viewer.__file__).parent
_mount_viewer = st.components.v2.component(
    "linked_viewer", js=bundle(_FOLDER / "dashboard.js", {**view_facts(), "STYLE": style()})
)
_mount = st.components.v2.component("viewer_panel", js=(_FOLDER / "waiting.js").read_text())
_messages: WeakKeyDictionary[Attribution, dict[Place, bytes]] = WeakKeyDictionary()


def load_viewer() -> None:
    """Load the viewer into the page; call once per run. Its script is long and is sent once; the panels wait for it."""
    _mount_viewer(key="viewer")


def packed_once(result: Attribution, place: Place) -> bytes:
    """Return the message of a finished map; cached."""
    known = _messages.setdefault(result, {})
    if place not in known:
        known[place] = pack_result(result, place)
    return known[place]


def show(
    packed: bytes,
    key: str,
    marks: bool = False,
    choose: Callable[[int], None] | None = None,
    mark: Callable[[Pixel], None] | None = None,
) -> None:
    """Show a panel, the toolbar or the link.

    Args:
        packed: A message from one of the `pack_` functions.
        key: Unique on the page and constant across reruns.
        marks: True if a click marks a pixel, whose values the page then shows.
        choose: Called with the place of a class that was clicked.
        mark: Called with each pixel that is marked. Default: the page only shows its values.
    """

    def marked() -> None:
        if event := received(key, "pixel", read_mark):
            (session().mark,) = event
            if mark and event[0]:
                mark(event[0])

    def exporting() -> None:
        if event := received(key, "export", read_view):
            session().export = event
            rerun_page()

    def sharing() -> None:
        if event := received(key, "share", read_view):
            session().share = event

    def told_tab() -> None:
        if number := received(key, "tab", read_tab):
            claim(number)

    def chosen() -> None:
        if choose and (place := received(key, "choice", read_choice)) is not None:
            choose(place)
            rerun_page()

    callbacks: dict[str, Callable[[], None]] = {
        "on_export_change": exporting,
        "on_share_change": sharing,
        "on_tab_change": told_tab,
    }
    if marks or mark:
        callbacks["on_pixel_change"] = marked
    if choose:
        callbacks["on_choice_change"] = chosen
    mount: Any = _mount
    mount(data=packed, key=key, **callbacks)
