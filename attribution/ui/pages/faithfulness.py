"""The faithfulness page: does the score depend on the pixels that each map points to?"""

import plotly.graph_objects as go
import streamlit as st

from attribution.checks.findings import Faithfulness, Findings
from attribution.checks.trial import SIZES, Trial
from attribution.export.checks import LINE_COLOURS
from attribution.photo.encode import data_url, eight_bit
from attribution.ui.events import read_point, received
from attribution.ui.forms import ask
from attribution.ui.pictures import NARROWEST
from attribution.ui.session import rerun_page, session
from attribution.ui.table import show_table
from attribution.ui.watch import show
from attribution.work.analysis import require_methods
from attribution.work.faithfulness import Tested, TrialTask

BETTER = {"deletion": "lower is better", "insertion": "higher is better"}


def draw(tested: Tested) -> None:
    """Show the curves, the numbers, and the images that the network has seen."""
    found, analysis = tested.found, tested.outcome.analysis
    explained = found.target.words(tested.outcome.classes)
    st.text(f"{analysis.photo} by {analysis.model}, explained: {explained}")
    for refusal in tested.outcome.finished.refusals:
        st.info(str(refusal), icon=":material/info:")
    if tested.finished:
        st.markdown("\n".join(f"- {found.sentence(place)}" for place in range(found.count)))
    if found.findings and found.warning:
        st.warning(found.warning, icon=":material/warning:")
    for column, name in zip(st.columns(2), BETTER, strict=True):
        with column:
            show_curves(found, name, tested.finished)
    show_numbers(found)
    if tested.finished:
        show_images(found)
    st.caption(
        "What these numbers do not prove: a photo with replaced pixels is no photo, and the network was never made for "
        "it. Scattered maps do well at deletion by damaging the whole photo, smooth ones at insertion, and the order "
        "of the methods changes with what fills the pixels (Tomsett et al. 2020, arXiv:1912.01451). A map that does "
        "not beat the controls has shown nothing here; one that does may still leave out much. Curves: Petsiuk et "
        "al. 2018, arXiv:1806.07421. Sensitivity-n: Ancona et al. 2018, arXiv:1711.06104. Infidelity and "
        "max-sensitivity: Yeh et al. 2019, arXiv:1901.09392."
    )


def show_curves(found: Faithfulness, name: str, finished: bool) -> None:
    """Plot the score while pixels are replaced; a click on a point shows its images below."""
    figure = go.Figure()
    for place, each in enumerate(found.findings):
        curve = getattr(each, name)
        dash = "solid" if place < found.count else "dot"
        colour = LINE_COLOURS[place % len(LINE_COLOURS)]
        figure.add_scatter(
            x=100 * curve.counts / each.ranks.size,
            y=curve.scores,
            name=each.name,
            mode="lines+markers" if finished else "lines",  # a click needs a marker; many take long to draw
            line={"color": colour, "dash": dash},
            marker={"color": colour, "size": 5},
            unselected={"marker": {"opacity": 1}},
            hovertemplate="%{x:.0f} % changed: %{y:.3g}",
        )
    figure.update_xaxes(title="pixels changed, %")
    figure.update_yaxes(title=found.target.axis)
    legend = {"orientation": "h", "yanchor": "top", "y": -0.25}
    figure.update_layout(height=400, margin={"l": 0, "r": 0, "t": 10, "b": 0}, legend=legend)
    st.markdown(f"**{name.capitalize()}**, {BETTER[name]}")
    spoken = ", ".join(f"{each.name} {getattr(each, name).area:.3f}" for each in found.findings)

    def clicked() -> None:
        share = received(f"{name}-curves", "selection", lambda sent: read_point(sent, "x"))
        if share is not None and 0 <= share <= 100:
            st.session_state["faithfulness-curve"] = name
            st.session_state["faithfulness-share"] = round(share, 1)
            rerun_page()

    st.plotly_chart(
        figure,
        key=f"{name}-curves",
        on_select=clicked,
        selection_mode="points",
        config={"displayModeBar": False},
        alt=f"Score during {name}. Areas: {spoken}",
    )


def show_numbers(found: Faithfulness) -> None:
    """Show all numbers of all maps and controls."""
    rows = found.findings
    st.subheader("In numbers")
    show_table(
        {
            "Map": [each.name for each in rows],
            "Deletion, area": [f"{each.deletion.area:.3f}" for each in rows],
            "Insertion, area": [f"{each.insertion.area:.3f}" for each in rows],
            "Sensitivity-n": [_number(each.mean_sensitivity_n, "+.2f") for each in rows],
            "Infidelity": [_number(each.infidelity, ".2g") for each in rows],
            "Infidelity, scaled": [_number(each.scaled_infidelity, ".2g") for each in rows],
            "Max-sensitivity": [_number(each.max_sensitivity, ".2f") for each in rows],
        },
        "Deletion, insertion, sensitivity-n, infidelity and max-sensitivity of each map and control",
    )
    trial, unit = found.trial, found.target.unit
    said = [f"Areas: mean height of the curves, in {unit}."]
    if trial.samples:
        said += [
            "Sensitivity-n: correlation of a map's sums over random sets of pixels with the score lost "
            f"without them, mean over sets of {SIZES[0]:.0%} to {SIZES[-1]:.0%} of all pixels, {trial.samples} of "
            f"each; 1 is best, and chance alone mostly stays below {found.chance:.2f}. Infidelity: mean squared error "
            f"of the map's forecast for {trial.samples} squares, in {unit}\u00b2, for maps that add up to a score or "
            "are per unit of pixel value; scaled: of the map times its best factor; lower is better. A map that starts "
            "from another baseline than what replaces the pixels forecasts another loss, which counts against it."
        ]
    if trial.moves:
        said += [
            f"Max-sensitivity: largest change of the map over its size, in {trial.moves} photos that differ by at most "
            f"{trial.radius:g} a value; lower is steadier. Controls are made without the network."
        ]
    st.caption(" ".join(said))


def show_images(found: Faithfulness) -> None:
    """Show the image that the network has seen at one point of a curve, for each map."""
    st.subheader("What the network was shown")
    left, right = st.columns([1, 2])
    with left:
        st.session_state.setdefault("faithfulness-curve", "deletion")
        chosen = st.segmented_control("Curve", list(BETTER), format_func=str.capitalize, key="faithfulness-curve")
    with right:
        st.session_state.setdefault("faithfulness-share", 10.0)
        share = st.slider("Pixels changed", 0.0, 100.0, step=0.1, key="faithfulness-share", format="%.1f%%") / 100
    grid = st.grid(len(found.findings), min_column_width=NARROWEST)
    for each in found.findings:
        with grid, st.container(gap="xsmall"):
            show_image(found, each, chosen or "deletion", share)


def show_image(found: Faithfulness, findings: Findings, name: str, share: float) -> None:
    """Show the image of one map, at the nearest point of its curve."""
    curve = getattr(findings, name)
    point = abs(curve.counts - share * findings.ranks.size).argmin()
    share, score = curve.counts[point] / findings.ranks.size, curve.scores[point]
    image = (found.deleted if name == "deletion" else found.inserted)(findings, share)
    st.image(data_url(eight_bit(image.numpy())), width="stretch", alt=f"{findings.name}, {100 * share:.3g}% changed")
    st.caption(f"{findings.name}: {found.target.quantity(score)}")


def _number(value: float | None, form: str) -> str:
    return "\u2013" if value is None else format(value, form)


st.header("Does the score depend on what the map shows?")
left, right = st.columns([2, 3])
with left, st.expander("Settings of the trial"):
    trial = ask(Trial, Trial.key)
with right:
    st.caption(
        "Pixels are replaced in the order of each map, the strongest first. Where the score falls at once, the map "
        "has found what the network needs. Three controls that know nothing of the network are shown for comparison. "
        "A click on a curve shows the image there."
    )
analysis = require_methods(session().analysis)
task = analysis if isinstance(analysis, str) else TrialTask(analysis, trial)
show("faithfulness", task, draw, tick=1.5)
