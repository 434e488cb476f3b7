"""The card in place of a page that failed unexpectedly."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from streamlit.errors import FragmentHandledException

from attribution.system.incident import report
from attribution.ui.session import session


class Failure(Exception):
    """The content of the card; it is never raised, so there is no traceback to show."""

    alternate_name = "Error"  # Streamlit's word for the title of the card


@contextmanager
def error_card() -> Iterator[None]:
    """Draw a card in place of what could not be drawn, log the error under the id on the card, and end this run.

    Streamlit's signals to stop and to run again are no Exceptions and pass. Needed around the script, and once more
    inside each fragment, which Streamlit runs by itself.
    """
    try:
        yield
    except FragmentHandledException:  # Streamlit has drawn a card of its own inside the fragment
        raise
    except Exception as error:
        sentence = report(error, "This page could not be shown", session=session().owner)
        st.exception(Failure(f"{sentence} Reload it to go on."))
        st.stop()
