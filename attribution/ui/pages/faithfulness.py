"""The faithfulness page: does the score depend on the pixels that each map highlights?"""

import plotly.graph_objects as go
import streamlit as st

from attribution.checks.findings import Faithfulness, Findings
from attribution.checks.trial import SET_SIZES, Trial
from attribution.export.checks import LINE_COLOURS
from attribution.photo.encode import data_url, eight_bit
from attribution.ui.events import read_point, received
from attribution.ui.forms import ask
from attribution.ui.heading import show_heading
from attribution.ui.pictures import MIN_PANEL_WIDTH
from attribution.ui.session import rerun_page, session
from attribution.ui.table import show_table
from attribution.ui.theme import make_legible
from attribution.ui.watch import show
from attribution.work.analysis import require_methods
from attribution.work.faithfulness import Tested, TrialTask

BETTER_DIRECTION = {"deletion": "lower is better", "insertion": "higher is better"}


def draw(tested: Tested) -> None:
    """Show the curves, the metrics, and the perturbed images."""
    found, analysis = tested.found, tested.outcome.analysis
    explained = found.target.words(tested.outcome.classes)
    st.text(f"{analysis.heading} Explaining: {explained}.")
    for refusal in tested.outcome.finished.refusals:
        st.info(str(refusal), icon=":material/info:")
    if tested.finished:
        st.markdown("\n".join(f"- {found.sentence(place)}" for place in range(found.count)))
    if found.findings and found.warning:
        st.warning(found.warning, icon=":material/warning:")
    for column, name in zip(st.columns(2), BETTER_DIRECTION, strict=True):
        with column:
            show_curves(found, name, tested.finished)
    show_numbers(found)
    if tested.finished:
        show_images(found)
    st.caption(
        "Limitations: photos with replaced pixels are out of distribution for the network. Scattered maps do well at "
        "deletion because they damage the whole photo, smooth maps do well at insertion, and the ranking of the "
        "methods depends on the filler (Tomsett et al. 2020, arXiv:1912.01451). A map that does not beat the controls "
        "shows no evidence of faithfulness; a map that does may still miss a lot. Curves: Petsiuk et al. 2018, "
        "arXiv:1806.07421. Sensitivity-n: Ancona et al. 2018, arXiv:1711.06104. Infidelity and max-sensitivity: Yeh "
        "et al. 2019, arXiv:1901.09392."
    )


def show_curves(found: Faithfulness, name: str, finished: bool) -> None:
    """Plot the score against the share of replaced pixels; clicking a point shows its images below."""
    figure = go.Figure()
    for place, each in enumerate(found.findings):
        curve = getattr(each, name)
        dash = "solid" if place < found.count else "dot"
        colour = LINE_COLOURS[place % len(LINE_COLOURS)]
        figure.add_scatter(
            x=100 * curve.counts / each.ranks.size,
            y=curve.scores,
            name=each.name,
            mode="lines+markers" if finished else "lines",  # clicks need markers, which are slow to draw
            line={"color": colour, "dash": dash},
            marker={"color": colour, "size": 5},
            unselected={"marker": {"opacity": 1}},
            hovertemplate="%{x:.0f}% replaced: %{y:.3g}",
        )
    figure.update_xaxes(title=f"pixels {'replaced' if name == 'deletion' else 'inserted'} (%)")
    figure.update_yaxes(title=found.target.axis)
    legend = {"orientation": "h", "yanchor": "top", "y": -0.25}
    figure.update_layout(height=400, margin={"l": 0, "r": 0, "t": 10, "b": 0}, legend=legend)
    make_legible(figure)
    st.markdown(f"**{name.capitalize()}**, {BETTER_DIRECTION[name]}")
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
        alt=f"Score during {name}. Areas under the curves: {spoken}",
    )


def show_numbers(found: Faithfulness) -> None:
    """Show all metrics of all maps and controls."""
    rows = found.findings
    st.header("Metrics")
    show_table(
        {
            "Map": [each.name for each in rows],
            "Deletion, area": [f"{each.deletion.area:.3f}" for each in rows],
            "Insertion, area": [f"{each.insertion.area:.3f}" for each in rows],
            "Sensitivity-n": [_number(each.mean_sensitivity_n, "+.2f") for each in rows],
            "Infidelity": [_number(each.infidelity, ".2g") for each in rows],
            "Scaled infidelity": [_number(each.scaled_infidelity, ".2g") for each in rows],
            "Max-sensitivity": [_number(each.max_sensitivity, ".2f") for each in rows],
        },
        "Deletion, insertion, sensitivity-n, infidelity and max-sensitivity of each map and control",
    )
    trial, unit = found.trial, found.target.unit
    said = [f"Deletion and insertion: area under the curve, that is, the mean score (unit: {unit})."]
    if trial.samples:
        said += [
            "Sensitivity-n: correlation between the map's sum over a random set of pixels and the score drop when "
            f"they are replaced, averaged over set sizes from {SET_SIZES[0]:.0%} to {SET_SIZES[-1]:.0%} of all pixels, "
            f"{trial.samples} sets each; 1 is best, and a random map rarely exceeds {found.chance:.2f}. Infidelity: "
            f"mean squared error of the score drop that the map predicts for {trial.samples} squares (unit: "
            f"{unit}\u00b2); only for maps that sum to a score difference or are per unit of pixel value. Scaled "
            "infidelity: after multiplying the map by its best factor. Lower is better for both. A map whose baseline "
            "differs from the filler predicts a different score drop, which raises its infidelity."
        ]
    if trial.moves:
        said += [
            f"Max-sensitivity: largest relative change (L2) of the map over {trial.moves} perturbed photos whose pixel "
            f"values differ by at most {trial.radius:g}; lower is more robust. Not measured for controls, which do not "
            "use the network."
        ]
    st.caption(" ".join(said))


def show_images(found: Faithfulness) -> None:
    """Show each map's perturbed image at one point of a curve."""
    st.header("Perturbed images")
    left, right = st.columns([1, 2])
    with left:
        st.session_state.setdefault("faithfulness-curve", "deletion")
        chosen = st.segmented_control(
            "Curve", list(BETTER_DIRECTION), format_func=str.capitalize, key="faithfulness-curve"
        )
    with right:
        st.session_state.setdefault("faithfulness-share", 10.0)
        share = st.slider("Pixels replaced", 0.0, 100.0, step=0.1, key="faithfulness-share", format="%.1f%%") / 100
    grid = st.grid(len(found.findings), min_column_width=MIN_PANEL_WIDTH)
    for each in found.findings:
        with grid, st.container(gap="xsmall"):
            show_image(found, each, chosen or "deletion", share)


def show_image(found: Faithfulness, findings: Findings, name: str, share: float) -> None:
    """Show the perturbed image of one map, at the nearest point of its curve."""
    curve = getattr(findings, name)
    point = abs(curve.counts - share * findings.ranks.size).argmin()
    share, score = curve.counts[point] / findings.ranks.size, curve.scores[point]
    image = (found.deleted if name == "deletion" else found.inserted)(findings, share)
    st.image(data_url(eight_bit(image.numpy())), width="stretch", alt=f"{findings.name}, {100 * share:.3g}% replaced")
    st.caption(f"{findings.name}: {found.target.quantity(score)}")


def _number(value: float | None, form: str) -> str:
    return "\u2013" if value is None else format(value, form)


show_heading("Does the score depend on the pixels that the map highlights?")
left, right = st.columns([2, 3])
with left, st.expander("Settings"):
    trial = ask(Trial, Trial.key)
with right:
    st.caption(
        "Pixels are replaced in the order of each map, strongest first. If the score drops quickly, the map has found "
        "pixels that the network relies on. Three controls that do not use the network are shown for comparison. "
        "Click a curve to see its images."
    )
analysis = require_methods(session().analysis)
task = analysis if isinstance(analysis, str) else TrialTask(analysis, trial)
show("faithfulness", task, draw, tick=1.5)
