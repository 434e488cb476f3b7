"""The copy-link button, which also keeps the address bar up to date, and messages about an invalid link."""

import streamlit as st

from attribution.analysis import Analysis
from attribution.ui import panels
from attribution.ui.address import MISSING_PHOTO_NOTE, UPLOAD_SOURCES, query
from attribution.ui.pictures import GROUP
from attribution.ui.session import session
from attribution.viewer.message import pack_link

UPLOAD_NOTE = "The link does not contain your photo."


def show_link(analysis: Analysis, page: str) -> None:
    """Show the button.

    Args:
        analysis: The analysis chosen in the sidebar.
        page: URL path of the open page.
    """
    state = session()
    note = UPLOAD_NOTE if analysis.photo in UPLOAD_SOURCES else ""
    packed = pack_link(GROUP, state.view, state.window, query(analysis), page, note)
    panels.show(packed, "link")


def show_sentences() -> None:
    """Show the messages about the link until they are closed; as plain text, since they quote untrusted input."""
    state = session()
    if MISSING_PHOTO_NOTE in state.sentences and not isinstance(state.analysis, str):  # a photo has been added
        state.sentences.remove(MISSING_PHOTO_NOTE)
    if not state.sentences:
        return
    with st.container(border=True, key="link-sentences"):
        for sentence in state.sentences:
            st.text(sentence)
        st.button("Close", key="close-sentences", on_click=state.sentences.clear)
