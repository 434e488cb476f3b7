"""The main page: the predictions, the photo and its maps, in linked panels."""

import streamlit as st

from attribution.ui.export_dialog import offer_export
from attribution.ui.heading import show_heading
from attribution.ui.pictures import PAGE, show_beside, show_header, show_maps, show_strip
from attribution.ui.session import session
from attribution.ui.watch import is_computing, show
from attribution.work.analysis import Outcome


def draw(outcome: Outcome) -> None:
    """Show the results."""
    show_header(outcome)
    show_maps(outcome)
    show_beside(outcome)
    st.caption(
        "A map shows what the network responds to, not what is true. Scroll or pinch to zoom, drag to pan, Shift-drag "
        "to select a region, click to mark a pixel, double-click to reset. All panels are linked. "
        "Click a predicted class to explain it."
    )
    for strip in outcome.strips:
        show_strip(strip)


def wait() -> None:
    """Show the page until there is a result."""
    show_heading("Explore", compact=True)
    if not isinstance(session().analysis, str):
        st.skeleton(height=300)


def is_worth(so_far: Outcome) -> bool:
    """True if an unfinished outcome has something to show that belongs to the current photo, model and class.

    After a cancel, finished maps of the same subject with other settings are worth more.
    """
    last: Outcome = session().watches[PAGE].outcome
    same = last.analysis.subject == so_far.analysis.subject
    return bool(so_far.results or so_far.growing) and (is_computing(PAGE) or not same)


offer_export(show(PAGE, session().analysis, draw, is_worth, wait=wait))
