"""The copy-link button, which keeps the address bar true on every page, and what a link could not bring."""

import streamlit as st

from attribution.analysis import Analysis
from attribution.ui import panels
from attribution.ui.address import SOURCES, UPLOADED, query
from attribution.ui.pictures import GROUP
from attribution.ui.session import session
from attribution.viewer.message import pack_link

UPLOAD = "Your photo is not part of the link."


def show_link(analysis: Analysis, page: str) -> None:
    """Show the button.

    Args:
        analysis: What is chosen in the sidebar.
        page: Which page is open.
    """
    state = session()
    note = UPLOAD if analysis.photo in SOURCES else ""
    packed = pack_link(GROUP, state.view, state.window, query(analysis), page, note)
    panels.show(packed, "link")


def show_sentences() -> None:
    """Show the parts of the link that could not be served, until they are closed. They are untrusted: no Markdown."""
    state = session()
    if UPLOADED in state.sentences and not isinstance(state.analysis, str):  # there is a photo now
        state.sentences.remove(UPLOADED)
    if not state.sentences:
        return
    with st.container(border=True, key="link-sentences"):
        for sentence in state.sentences:
            st.text(sentence)
        st.button("Close", key="close-sentences", on_click=state.sentences.clear)
