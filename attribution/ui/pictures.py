"""Results on a page: the predictions, the maps with their costs, and images along a path."""

from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache
from html import escape

import plotly.graph_objects as go
import streamlit as st

from attribution.export.maps import computed, settings
from attribution.methods.method import Method
from attribution.photo.encode import eight_bit
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.ui import panels
from attribution.ui.events import read_point, received
from attribution.ui.session import rerun_page, session
from attribution.ui.sidebar import explain_class
from attribution.ui.theme import text_colour
from attribution.viewer.message import Place, pack_partial, pack_photo, pack_toolbar
from attribution.work.analysis import Outcome, Strip

GROUP = "explore"
COLUMNS = 4  # panels per row on a desktop
MIN_PANEL_WIDTH = 150  # pixels of a panel's width; a phone shows two side by side
BAR_HEIGHT = 28  # pixels of a bar's height in the predictions


def show_prediction(outcome: Outcome) -> None:
    """Show the most probable classes and the explained class as bars; clicking a bar explains its class."""
    target, output = outcome.analysis.target, outcome.analysis.record.facts().output
    if not output.has_shares:
        (number,) = outcome.prediction
        st.text(f"Predicted: {replace(target, value_unit=output.unit).predicted(*number)}")
        return
    asked = target.index
    explained = outcome.prediction[0][0] if asked is None else asked
    figure = _bars(tuple(outcome.prediction), explained, text_colour())
    spoken = ", ".join(f"{name} {share:.1%}" for _, name, share in outcome.prediction)

    def clicked() -> None:
        place = received("bars", "selection", lambda sent: read_point(sent, "point_index"))
        if place is not None and 0 <= place < len(outcome.prediction):
            explain_class(outcome.prediction[int(place)][0])
            rerun_page()

    with st.container(key="prediction"):
        st.plotly_chart(
            figure,
            key="bars",
            on_select=clicked,
            selection_mode="points",
            config={"displayModeBar": False},
            alt=f"Most probable classes: {spoken}",
        )


@lru_cache(maxsize=64)
def _bars(prediction: tuple[tuple[int, str, float], ...], explained: int, ink: str) -> go.Figure:
    """Plot one bar per class, the explained class darker. Cached, since Plotly is slow."""
    labels, shares, text, colours = [], [], [], []
    for index, name, share in prediction:
        label = f"{escape(name)} ({index})"  # Plotly renders HTML
        labels.append(f"<b>{label}</b>" if index == explained else label)
        shares.append(share)
        text.append(f"{share:.1%}" if share >= 0.001 else "< 0.1%")
        colours.append("#1d4ed8" if index == explained else "#93b4f5")
    font = {"color": ink, "size": 13}
    kept = {"marker": {"opacity": 1}, "textfont": {"color": ink}}  # clicking a bar must not dim the others
    common = {"y": labels, "orientation": "h", "hoverinfo": "none", "selected": kept, "unselected": kept}
    row = go.Bar(x=[1.3] * len(shares), marker={"color": "rgba(128, 128, 128, 0.06)"}, **common)  # clickable background
    bar = go.Bar(x=shares, text=text, textposition="outside", cliponaxis=False, marker={"color": colours}, **common)
    figure = go.Figure([row, bar])
    figure.update_xaxes(range=[0, 1.3], visible=False, fixedrange=True)
    figure.update_yaxes(autorange="reversed", ticks="", automargin=True, fixedrange=True, tickfont=font)
    figure.update_traces(textfont=font)
    margin = {"l": 0, "r": 0, "t": 0, "b": 0}
    height = BAR_HEIGHT * len(shares)
    figure.update_layout(height=height, margin=margin, bargap=0.3, barmode="overlay", showlegend=False, dragmode=False)
    return figure


def show_header(outcome: Outcome) -> None:
    """Show the photo, the predictions and the viewer's controls, no taller than one panel."""
    analysis = outcome.analysis
    explained = next(iter(outcome.finished.maps), None)
    score = f" Explaining: {explained.statement}." if explained else ""
    st.text(f"{analysis.heading}{score}")
    photo, beside = st.columns([1, COLUMNS - 1])
    with photo, st.container(key="map-photo", gap="xsmall"):
        place = _place(outcome, "photo", "The photo as the network sees it")
        panels.show(pack_photo(eight_bit(analysis.x.numpy()), place), "panel-photo", marks=True)
    with beside:
        show_prediction(outcome)
        panels.show(pack_toolbar(GROUP, session().view, session().window), "toolbar")


def show_beside(outcome: Outcome) -> None:
    """Show the same analysis under the other models, each below a line with its prediction."""
    pending = [Refusal("Still computing.") for _ in outcome.analysis.beside[len(outcome.beside) :]]
    rows = zip(outcome.analysis.beside, (*outcome.beside, *pending), strict=True)
    for number, (analysis, found) in enumerate(rows, 2):
        with st.container(key=f"beside-{number}"):
            st.divider()
            if isinstance(found, Refusal):
                st.text(f"{analysis.record.title}: {found}")
            else:
                _show_heading(found, f"-{number}")
                _show_grid(found, f"-{number}")


def _show_heading(outcome: Outcome, row: str) -> None:
    """Show the photo as another model sees it, and what that predicts."""
    analysis = outcome.analysis
    photo, beside = st.columns([1, COLUMNS - 1])
    with photo, st.container(key=f"map-photo{row}", gap="xsmall"):
        place = _place(outcome, "photo", f"The photo as {analysis.record.title} sees it", row)
        panels.show(pack_photo(eight_bit(analysis.x.numpy()), place), f"panel-photo{row}")
    target = replace(analysis.target, value_unit=analysis.record.facts().output.unit)
    with beside:
        explained = next(iter(outcome.finished.maps), None)
        score = f" Explaining: {explained.statement}." if explained else ""
        st.text(f"{analysis.record.title}.{score}")
        st.text("Predicted: " + "; ".join(target.predicted(*each) for each in outcome.prediction[:3]) + ".")


def show_maps(outcome: Outcome) -> None:
    """Show all maps in linked panels."""
    if not outcome.analysis.methods:
        st.info("Choose at least one method in the sidebar to see a map.", icon=":material/touch_app:")
    _show_grid(outcome)
    _show_mark(outcome)


def _show_grid(outcome: Outcome, row: str = "") -> None:
    """Show a panel per method. `row` is the suffix of the keys of another model than the first."""
    grid = st.grid(COLUMNS, min_column_width=MIN_PANEL_WIDTH)
    for place, method in enumerate(outcome.analysis.methods):
        with grid, st.container(key=f"map-{method.key}{row}", gap="xsmall"):
            st.markdown(f":small[**{method.title}**]")  # small, to fit on one line on a phone
            result = outcome.results.get(place)
            if isinstance(result, Refusal):
                st.info(str(result))
            elif result:
                _show_map(result, method, outcome, row)
            elif partial := outcome.growing.get(place):
                _show_panel(partial, method, outcome, row, growing=True)
                st.caption("Partial map: still computing.")
            else:
                st.skeleton(height=220)


def _show_map(result: Attribution, method: Method, outcome: Outcome, row: str) -> None:
    _show_panel(result, method, outcome, row, growing=False)
    compared = row or outcome.analysis.beside
    with st.expander("Details") if compared else nullcontext():  # so that the rows are close to each other
        _show_captions(result, method)


def _show_captions(result: Attribution, method: Method) -> None:
    if result.settings:
        st.caption(f"Settings: {settings(result)}.")
    hint = f"Shows: {method.shows} Cannot show: {method.cannot} {method.source}."
    st.caption(computed(result), help=hint)
    if result.account:
        st.caption(f":material/warning: {result.account}" if result.doubtful else result.account)
    for note in result.notes:
        st.caption(f":material/info: {note}")


def _show_panel(result: Attribution, method: Method, outcome: Outcome, row: str, growing: bool) -> None:
    st.text(result.explained)
    label = (
        f"{method.title} map for {result.explained}. Arrow keys move the crosshair, + and - zoom, Enter marks a pixel."
    )
    place = _place(outcome, method.key, label, row)
    packed = pack_partial(result.values, result.unit, place) if growing else panels.packed_once(result, place)
    panels.show(packed, f"panel-{method.key}{row}", marks=not row)


def _place(outcome: Outcome, name: str, label: str, row: str = "") -> Place:
    analysis = outcome.analysis
    file = f"{analysis.photo}-{analysis.model}-{name}".replace(" ", "_").lower()
    return Place(GROUP, f"{name}{row}", label, analysis.full, file, row=row, frame=analysis.frame)


def _show_mark(outcome: Outcome) -> None:
    """Show the raw values of the last marked pixel, taken from the results."""
    if not (mark := session().mark):
        return
    x, y = mark.x, mark.y
    values = [
        f"{method.title} {float(result.values[:, y, x].sum()):+.3g}"
        for place, method in enumerate(outcome.analysis.methods)
        if isinstance(result := outcome.results.get(place), Attribution)
        and y < result.values.shape[1]
        and x < result.values.shape[2]
    ]
    if values:
        st.text(f"Marked pixel x {x}, y {y}: {', '.join(values)}")


def show_strip(strip: Strip) -> None:
    """Show images along the integration path of one method."""
    st.markdown(f"**Images along the integration path** ({strip.method.title})")
    grid = st.grid(len(strip.alphas), min_column_width=MIN_PANEL_WIDTH // 2)
    for alpha, url in zip(strip.alphas, strip.urls, strict=True):
        with grid, st.container(gap="xsmall"):
            st.image(url, width="stretch", alt=f"Image at {alpha:.0%} of the path")
            st.caption(f"{alpha:.0%}")
