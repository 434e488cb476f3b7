"""The main page: the predictions, and the photo and its maps in linked panels."""

import streamlit as st

from attribution.ui.pictures import show_header, show_maps, show_strip
from attribution.ui.session import session
from attribution.ui.take import offer
from attribution.ui.watch import show
from attribution.work.analysis import Outcome


def draw(outcome: Outcome) -> None:
    """Show everything below the navigation."""
    show_header(outcome)
    show_maps(outcome)
    st.caption(
        "A map shows what the network reacts to, not what is true. Wheel or two fingers: zoom. Drag: move. "
        "Shift and drag: region. Click: mark a pixel. Double-click: reset. All panels follow. "
        "Click a class of the predictions to explain it."
    )
    for strip in outcome.strips:
        show_strip(strip)


offer(show("explore", session().analysis, draw, worth=lambda so_far: bool(so_far.results or so_far.growing)))
