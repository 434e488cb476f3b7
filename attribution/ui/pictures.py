"""How results look: a map with its facts, the predictions, the images along a path."""

import plotly.graph_objects as go
import streamlit as st

from attribution.export import picture
from attribution.heatmap import is_blank, sum_of_absolutes
from attribution.methods.method import Method
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.target import Target
from attribution.ui.analysis import Outcome, Strip, eight_bit

COLUMNS = 4
NARROWEST = 150  # pixels of a map, so that a phone shows two side by side


def show_photo(outcome: Outcome) -> None:
    """The photo as the network sees it."""
    x = outcome.analysis.x
    _, height, width = x.shape
    st.image(eight_bit(x), output_format="PNG", width="stretch", alt="The photo as the network sees it")
    st.caption(f"As the network sees it: {width} x {height} pixels")


def show_prediction(outcome: Outcome) -> None:
    """The most probable classes as bars."""
    names = [f"{name} ({index})" for index, name, _ in outcome.prediction]
    shares = [probability for _, _, probability in outcome.prediction]
    figure = go.Figure(
        go.Bar(
            x=shares,
            y=names,
            orientation="h",
            text=[f"{share:.1%}" if share >= 0.001 else "< 0.1%" for share in shares],
            textposition="outside",
            cliponaxis=False,
            hoverinfo="skip",
        )
    )
    figure.update_xaxes(range=[0, 1.3], visible=False)
    figure.update_yaxes(autorange="reversed", ticks="", automargin=True)
    figure.update_layout(height=220, margin={"l": 0, "r": 0, "t": 0, "b": 0}, bargap=0.35)
    spoken = ", ".join(f"{name} {share:.1%}" for name, share in zip(names, shares, strict=True))
    with st.container(key="prediction"):
        st.plotly_chart(figure, config={"displayModeBar": False, "staticPlot": True}, alt=f"Top 5: {spoken}")


def show_maps(outcome: Outcome) -> None:
    """All maps side by side: COLUMNS in a row on a desk, two on a phone."""
    grid = st.grid(COLUMNS, min_column_width=NARROWEST)
    for method, result in zip(outcome.analysis.methods, outcome.results, strict=True):
        with grid, st.container(key=f"map-{method.key}", gap="xsmall"):
            st.markdown(f"**{method.title}**")
            if isinstance(result, Refusal):
                st.info(str(result))
            else:
                _show_map(result, method, outcome.classes)


def _show_map(result: Attribution, method: Method, classes: tuple[str, ...]) -> None:
    explained = target_text(result.target, classes)
    st.text(explained)
    st.image(picture(result), output_format="PNG", width="stretch", alt=f"{method.title} map for {explained}")
    st.caption(f"{result.seconds:.2f} s, {_count(result.forwards, 'forward')}, {_count(result.backwards, 'backward')}")
    if result.delta is not None:
        st.caption(_delta_text(result))
    if is_blank(sum_of_absolutes(result.values)):
        st.caption("The map is the same everywhere, so there is nothing to draw.")
    for note in result.notes:
        st.caption(f":material/info: {note}")


def target_text(target: Target, classes: tuple[str, ...]) -> str:
    """The explained class and score in words."""
    versus = "" if target.versus is None else f" versus {classes[target.versus]}"
    score = "" if target.score == "probability" else f", {target.score.replace('_', '-')}"
    return f"{classes[target.index or 0]}{versus}{score}"


def _delta_text(result: Attribution) -> str:
    difference = result.score - (result.baseline_score or 0.0)
    relative = "" if result.relative_delta is None else f", {result.relative_delta:.1%}"
    return (
        f"Accounts for {difference + (result.delta or 0.0):.3g} of the {difference:.3g} score difference "
        f"(delta {result.delta:+.2g}{relative})"
    )


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
