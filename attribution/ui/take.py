"""The export dialog: a figure, a ZIP that reproduces the maps, a report. Each is made when it is requested."""

import io
from collections.abc import Callable
from typing import Any

import streamlit as st

from attribution import export
from attribution.drawing.view import View
from attribution.ui.error_card import error_card
from attribution.ui.session import session
from attribution.viewer.message import Window
from attribution.work.analysis import Outcome


def offer(outcome: Outcome | None) -> None:
    """Show the dialog, if it was requested and not closed since."""
    if (export := session().export) and outcome:
        _dialog(outcome, *export)


def _close() -> None:
    session().export = None


@st.dialog("Take away", on_dismiss=_close)
@error_card()
def _dialog(outcome: Outcome, view: View, window: Window) -> None:
    results = outcome.finished
    if not results.maps:
        st.text("There is no map yet; choose a method, or wait until one is finished.")
        return
    photo, asked = outcome.analysis.photo, len(outcome.analysis.methods)
    if len(results) < asked:
        st.text(f"{len(results)} of {asked} maps are finished; the others are not in the files yet.")
    _download(
        "Figure (PNG)",
        "All maps in this view, the whole photo, with titles, settings and colour bars, at 300 dots per inch.",
        "attribution.png",
        lambda file: export.figure(results, file, view, format="png"),
    )
    _download(
        "Report (HTML)",
        "One file with this viewer inside: zoom, values and views, without a server or a network.",
        "attribution.html",
        lambda file: export.report(results, file, view, photo, window),
    )
    _download(
        "Numbers (ZIP)",
        "The raw values, the pixels that the network saw, pictures, a manifest, the papers, and a script that "
        "computes all of it again. It holds no file name and no metadata of your photo.",
        "attribution.zip",
        lambda file: export.archive(results, file, photo, outcome.analysis.analysis.crop),
    )


def _download(label: str, sentence: str, name: str, write: Callable[[Any], None]) -> None:
    def content() -> bytes:
        file = io.BytesIO()
        write(file)
        return file.getvalue()

    st.download_button(label, content, name, on_click="ignore", icon=":material/download:", width="stretch")
    st.caption(sentence)
