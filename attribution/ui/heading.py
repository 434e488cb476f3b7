"""The heading of a page, and the title of its browser tab."""

from html import escape

import streamlit as st

from attribution.ui.models import find_model
from attribution.ui.session import session


def show_heading(text: str, compact: bool = False) -> None:
    """Show the only first-level heading of a page.

    Args:
        text: Shown as plain text, since names of classes and models are untrusted.
        compact: True for one line in the size of the text.
    """
    st.html(f'<h1 class="{"compact" if compact else ""}">{escape(text)}</h1>')


def name_tab(page: str) -> None:
    """Set the title of the browser tab, such as "Explore: German shepherd (SqueezeNet 1.1)".

    Without the class while the photo's prediction is unknown; the page runs again when it has been computed.
    """
    analysis, model = session().analysis, find_model(session().chosen.model).title
    explained = "" if isinstance(analysis, str) else analysis.explained
    st.set_page_config(f"{page}: {explained} ({model})" if explained else f"{page} ({model})")
