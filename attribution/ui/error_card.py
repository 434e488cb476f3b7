"""The error card, shown in place of a page that failed unexpectedly."""

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from streamlit.errors import FragmentHandledException

from attribution.system.incident import report
from attribution.ui.session import session


class Failure(Exception):
    """The content of the card; never raised, so that no traceback is shown."""

    alternate_name = "Error"  # the attribute from which Streamlit reads the card's title


@contextmanager
def error_card() -> Iterator[None]:
    """Replace a failed page by a card, log the error under the id on the card, and end this run.

    Streamlit's stop and rerun signals do not derive from Exception, so they pass. Needed around the script and again
    inside each fragment, which Streamlit also runs on its own.
    """
    try:
        yield
    except FragmentHandledException:  # Streamlit has already drawn a card inside the fragment
        raise
    except Exception as error:
        sentence = report(error, "This page could not be shown", session=session().owner)
        st.exception(Failure(f"{sentence} Reload the page to continue."))
        st.stop()
