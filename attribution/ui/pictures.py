"""How results look: the predictions, the maps with what was computed, the images along a path."""

from html import escape

import plotly.graph_objects as go
import streamlit as st

from attribution.methods.method import Method
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.target import Target
from attribution.ui.analysis import Outcome, Strip, eight_bit
from attribution.ui.viewer.viewer import pack_map, pack_partial, pack_photo, show_panel, show_toolbar

GROUP = "explore"
COLUMNS = 4
NARROWEST = 150  # pixels of a panel, so that a phone shows two side by side
FAR = 0.05  # relative delta above which a map is marked


def show_prediction(outcome: Outcome) -> None:
    """The most probable classes as bars; a click on one explains it."""
    names = [f"{name} ({index})" for index, name, _ in outcome.prediction]
    shares = [probability for _, _, probability in outcome.prediction]
    labels = [escape(name) for name in names]  # Plotly reads HTML
    text = [f"{share:.1%}" if share >= 0.001 else "< 0.1%" for share in shares]
    kept = {"marker": {"opacity": 1}}  # a bar that was clicked dims no other
    common = {"y": labels, "orientation": "h", "hoverinfo": "none", "selected": kept, "unselected": kept}
    figure = go.Figure(
        [
            go.Bar(x=[1.3] * len(shares), marker={"color": "rgba(128, 128, 128, 0.06)"}, **common),  # the row to click
            go.Bar(
                x=shares, text=text, textposition="outside", cliponaxis=False, marker={"color": "#3b82f6"}, **common
            ),
        ]
    )
    figure.update_xaxes(range=[0, 1.3], visible=False, fixedrange=True)
    ink = "#fafafa" if st.context.theme.type == "dark" else "#0b0d12"  # the theme's own grey is too light to read
    font = {"color": ink, "size": 13}
    figure.update_yaxes(autorange="reversed", ticks="", automargin=True, fixedrange=True, tickfont=font)
    figure.update_traces(textfont=font)
    margin = {"l": 0, "r": 0, "t": 0, "b": 0}
    figure.update_layout(height=150, margin=margin, bargap=0.3, barmode="overlay", showlegend=False, dragmode=False)
    spoken = ", ".join(f"{name} {share:.1%}" for name, share in zip(names, shares, strict=True))

    def clicked() -> None:
        points = st.session_state.bars.selection.points
        if points:
            st.session_state.target = outcome.prediction[points[0]["point_index"]][0]
            st.session_state.whole = True

    with st.container(key="prediction"):
        st.plotly_chart(
            figure,
            key="bars",
            on_select=clicked,
            selection_mode="points",
            config={"displayModeBar": False},
            alt=f"Top 5: {spoken}",
        )


def show_header(outcome: Outcome) -> None:
    """The photo, the predictions and the controls of the viewer, in the height of one picture."""
    analysis = outcome.analysis
    explained = next((result for result in outcome.results.values() if isinstance(result, Attribution)), None)
    score = f", explained: {target_text(explained.target, outcome.classes)} {explained.score:.3g}" if explained else ""
    st.text(f"{analysis.photo} by {analysis.model} on {analysis.device}{score}")
    photo, beside = st.columns([1, COLUMNS - 1])
    with photo, st.container(key="map-photo", gap="xsmall"):
        show_panel(pack_photo(eight_bit(analysis.x), GROUP, analysis.full), "panel-photo", _mark)
    with beside:
        show_prediction(outcome)
        show_toolbar(GROUP, key="toolbar")


def show_maps(outcome: Outcome) -> None:
    """All maps in linked panels: COLUMNS in a row on a desk, two on a phone."""
    if not outcome.analysis.methods:
        st.info("Choose at least one method in the sidebar to see why.", icon=":material/touch_app:")
    grid = st.grid(COLUMNS, min_column_width=NARROWEST)
    for place, method in enumerate(outcome.analysis.methods):
        with grid, st.container(key=f"map-{method.key}", gap="xsmall"):
            st.markdown(
                f"**{method.title}**", help=f"Shows: {method.shows} Cannot show: {method.cannot} {method.source}."
            )
            result = outcome.results.get(place)
            if isinstance(result, Refusal):
                st.info(str(result))
            elif result:
                _show_map(result, method, outcome)
            elif partial := outcome.growing.get(place):
                _show_panel(partial, method, outcome, growing=True)
                st.caption("Growing: this map is not finished.")
            else:
                st.skeleton(height=220)
    _show_mark(outcome)


def _show_map(result: Attribution, method: Method, outcome: Outcome) -> None:
    _show_panel(result, method, outcome, growing=False)
    forwards = _count(result.forwards, "forward") if result.forwards else "the forward shared"
    computed = f"{result.seconds:.2f} s, {forwards}, {_count(result.backwards, 'backward')}"
    if result.rectifiers:
        computed += f", {_count(result.rectifiers.count, 'rectifier')} intercepted"
    st.caption(computed)
    if result.account:
        off = result.relative_delta or 0
        st.caption(f":material/warning: {result.account}" if off > FAR else result.account)
    for note in result.notes:
        st.caption(f":material/info: {note}")


def _show_panel(result: Attribution, method: Method, outcome: Outcome, growing: bool) -> None:
    explained = target_text(result.target, outcome.classes)
    st.text(explained)
    pack = pack_partial if growing else pack_map
    label = f"{method.title} map for {explained}. Arrow keys move the crosshair, plus and minus zoom, Enter marks."
    packed = pack(result.values, method.key, label, result.target.unit, GROUP, outcome.analysis.full)
    show_panel(packed, f"panel-{method.key}", _mark)


def _mark(pixel: dict[str, int]) -> None:
    st.session_state.pixel = (pixel["x"], pixel["y"])


def _show_mark(outcome: Outcome) -> None:
    """The raw values of the pixel that was marked last, from the results themselves."""
    if not (pixel := st.session_state.get("pixel")):
        return
    x, y = pixel
    values = [
        f"{method.title} {float(result.values[:, y, x].sum()):+.3g}"
        for place, method in enumerate(outcome.analysis.methods)
        if isinstance(result := outcome.results.get(place), Attribution)
        and y < result.values.shape[1]
        and x < result.values.shape[2]
    ]
    if values:
        st.text(f"Marked pixel x {x}, y {y}: {', '.join(values)}")


def target_text(target: Target, classes: tuple[str, ...]) -> str:
    """The explained class and score in words."""
    versus = "" if target.versus is None else f" against {classes[target.versus]}"
    score = "" if target.score == "probability" else f", {target.score.replace('_', '-')}"
    return f"{classes[target.index or 0]}{versus}{score}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def show_strip(strip: Strip) -> None:
    """Images along the path of one method."""
    st.markdown(f"**Images along the integration path** ({strip.method.title})")
    grid = st.grid(len(strip.alphas), min_column_width=NARROWEST // 2)
    for alpha, image in zip(strip.alphas, strip.images, strict=True):
        with grid, st.container(gap="xsmall"):
            st.image(image, output_format="PNG", width="stretch", alt=f"Path image at {alpha:.0%}")
            st.caption(f"{alpha:.0%}")
