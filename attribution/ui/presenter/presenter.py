"""Mount the listener for the presenter's keys."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from attribution.ui.events import read_letter, read_move, received

_KEY = "presenter"
_mount = st.components.v2.component("presenter", js=(Path(__file__).parent / "presenter.js").read_text())


def listen(blank: str, move: Callable[[int], None], vote: Callable[[str], None], leave: Callable[[], None]) -> None:
    """Listen for keys while this is on the page, except inside inputs.

    Args:
        blank: Words on the blank screen.
        move: Called with 1 for the next step and -1 for the previous one.
        vote: Called with the letter of an option.
        leave: Called on Escape.
    """

    def moved() -> None:
        if by := received(_KEY, "move", read_move):
            move(by)

    def voted() -> None:
        if letter := received(_KEY, "vote", read_letter):
            vote(letter)

    def left() -> None:
        if received(_KEY, "leave", bool):
            leave()

    _mount(data={"blank": blank}, key=_KEY, on_move_change=moved, on_vote_change=voted, on_leave_change=left)
