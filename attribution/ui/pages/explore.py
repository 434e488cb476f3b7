"""The main page: the predictions, and the photo and its maps in linked panels."""

import streamlit as st

from attribution.ui.pictures import show_header, show_maps, show_strip
from attribution.ui.take import offer
from attribution.ui.worker import TICK, active, follow, outcome, show_state


def show(looking: bool) -> None:
    """Everything below the navigation. While a job is at work it is shown again and again, without the sidebar.

    Args:
        looking: Whether this page was set up to look at a job.
    """
    if st.session_state.pop("whole", False):  # a click in here runs this function only
        st.rerun()
    ended = looking and not active()
    with st.container(key="state"):  # always there, so that what stands below keeps its place in the tree
        show_state()
    if found := outcome():
        show_header(found)
        show_maps(found)
        st.caption(
            "A map shows what the network reacts to, not what is true. Wheel or two fingers: zoom. Drag: move. "
            "Shift and drag: region. Click: mark a pixel. Double-click: reset. All panels follow. "
            "Click a class of the predictions to explain it."
        )
        for strip in found.strips:
            show_strip(strip)
    else:
        st.skeleton(height=300)
    if ended:  # the maps are there already; the page stops looking
        st.rerun()


follow(st.session_state.analysis, st.session_state.automatic)
looking = active()
st.fragment(show, run_every=TICK if looking else None)(looking)
offer(outcome())
