"""The export dialog: a figure, a report, and a ZIP that reproduces the maps. Each is created on request."""

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


def offer_export(outcome: Outcome | None, probed: export.Probed | None = None) -> None:
    """Show the dialog if it is open.

    Args:
        outcome: The maps; None if there are none yet.
        probed: A probe of their photo. Default: none.
    """
    if (requested := session().export) and outcome:
        _dialog(outcome, *requested, probed)


def _close() -> None:
    session().export = None


@st.dialog("Export", on_dismiss=_close)
@error_card()
def _dialog(outcome: Outcome, view: View, window: Window, probed: export.Probed | None) -> None:
    results = [row.finished for row in outcome.rows]
    if not any(row.maps for row in results):
        st.text("No map yet; choose a method, or wait for one to finish.")
        return
    window = outcome.analysis.frame.window(window)
    crop = outcome.analysis.analysis.crop
    name = outcome.analysis.analysis.photo.partition(":")[0]  # without the secret name of a shared photo
    photo, asked = outcome.analysis.photo, len(outcome.rows) * len(outcome.analysis.methods)
    if (count := sum(map(len, results))) < asked:
        st.text(f"Only {count} of {asked} maps are finished; the files contain no others yet.")
    _download(
        "Figure (PNG)",
        "All maps in the current view without the zoom, with titles, settings and colour bars, at 300 dpi.",
        "attribution.png",
        lambda file: export.figure(results, file, view, format="png"),
    )
    _download(
        "Report (HTML)",
        "One file with the interactive viewer; works offline.",
        "attribution.html",
        lambda file: export.report(results, file, view, photo, window, crop, probed),
    )
    _download(
        "Raw data (ZIP)",
        "Raw values, the network's input, images, a manifest, citations, and a script that recomputes the maps. "
        "Contains no file name or metadata of your photo.",
        "attribution.zip",
        lambda file: export.archive(results, file, name, crop, probed),
    )


def _download(label: str, sentence: str, name: str, write: Callable[[Any], None]) -> None:
    def content() -> bytes:
        file = io.BytesIO()
        write(file)
        return file.getvalue()

    st.download_button(label, content, name, on_click="ignore", icon=":material/download:", width="stretch")
    st.caption(sentence)
