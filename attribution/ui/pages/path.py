"""The path page: score and gradients between the baseline and the photo, and how many steps are enough."""

import plotly.graph_objects as go
import streamlit as st

from attribution.checks.convergence import ERROR_LEVELS, REFERENCE_STEPS, Study
from attribution.methods.paths.integrated_gradients import RULE_SETTING
from attribution.methods.paths.quadrature import RULES
from attribution.methods.paths.straight_path import ADAPTIVE_RULE
from attribution.ui.forms import ask
from attribution.ui.heading import show_heading
from attribution.ui.player.player import pack, show_player
from attribution.ui.session import session
from attribution.ui.table import show_table
from attribution.ui.theme import make_legible
from attribution.ui.watch import show
from attribution.work.path import PathChoice, PathTask, Traced


def draw(traced: Traced) -> None:
    """Show the measurements."""
    analysis, study = traced.analysis, traced.study
    st.text(f"{analysis.heading} Explaining: {study.explained}.")
    if traced.choice.baseline.count > 1:
        st.info("Only the path from the first of these baselines is shown and measured.", icon=":material/info:")
    show_player(pack(study, analysis.x.numpy()))
    st.caption(
        f"Move the slider, or the pointer over a chart. The map and the meter are computed from {len(study.nodes)} "
        f"gradients, whose sum is off by {study.doubt:.2%}. The dots mark the {study.steps} steps of the adaptive rule."
    )
    st.header(f"All rules at {study.steps} steps")
    rows = sorted(study.figures, key=lambda figures: figures.error)
    show_table(
        {
            "Rule": [RULE_SETTING.label(each.rule) for each in rows],
            "Map error": [f"{each.error:.1%}" for each in rows],
            "Rank correlation": ["\u2013" if each.rank is None else f"{each.rank:.3f}" for each in rows],
            "Sum error (% of the score difference)": [
                "\u2013" if each.delta is None else f"{each.delta:.1%}" for each in rows
            ],
            "Time (s)": [f"{each.seconds:.2f}" for each in rows],
            "Nodes": [_where(each.rule) for each in rows],
        },
        f"Map error, rank correlation, sum error and time of every rule at {study.steps} steps",
    )
    st.caption(
        f"Map error: L2 distance from a reference map (midpoint rule, {REFERENCE_STEPS} steps), relative to its norm. "
        "Rank correlation: Spearman, of absolute pixel values. A correct sum does not imply a correct map."
    )
    st.header("How many steps are enough?")
    for level in ERROR_LEVELS:
        st.text(f"Map error below {level:.0%}: {', '.join(_enough(study, rule, level) for rule in study.curves)}.")
    show_curves(study)


def _where(rule: str) -> str:
    """Return a short description of a rule's nodes."""
    said = (RULES[rule].__doc__ or "") if rule in RULES else "Nodes concentrate where the gradient changes."
    first = said.removeprefix("Return ").partition(":")[0].rstrip(".")
    return first[:1].upper() + first[1:]


def _enough(study: Study, rule: str, level: float) -> str:
    steps = study.enough(rule, level)
    most = max(measured for measured, _ in study.curves[rule])
    return f"{rule}: about {steps} steps" if steps else f"{rule}: more than {most} steps"


def show_curves(study: Study) -> None:
    """Plot the map error against the steps, both on log scales."""
    figure = go.Figure()
    for rule, curve in study.curves.items():
        steps, errors = zip(*curve, strict=True)
        symbol, colour = ("circle", "#2563eb") if rule == ADAPTIVE_RULE else ("square", "#d97706")
        marker = {"symbol": symbol, "color": colour}
        figure.add_scatter(x=steps, y=errors, name=rule, mode="lines+markers", marker=marker, line={"color": colour})
    for level in ERROR_LEVELS:
        figure.add_hline(level, line={"dash": "dot", "width": 1.5, "color": "#808080"})
    figure.update_xaxes(type="log", title="steps", tickvals=[5, 10, 20, 50, 100])
    ticks = [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005]
    figure.update_yaxes(type="log", title="map error", tickvals=ticks, ticktext=[f"{100 * tick:g}%" for tick in ticks])
    figure.update_layout(height=320, margin={"l": 0, "r": 0, "t": 10, "b": 0})
    make_legible(figure)
    spoken = "; ".join(_enough(study, rule, ERROR_LEVELS[0]) for rule in study.curves)
    alt = f"Map error against steps. Below {ERROR_LEVELS[0]:.0%}: {spoken}."
    st.plotly_chart(figure, key="convergence", alt=alt, config={"displayModeBar": False})


show_heading("The path of integrated gradients")
left, right = st.columns([2, 3])
with left:
    choice = ask(PathChoice, PathChoice.key)
with right:
    st.caption(
        "Integrated gradients average the gradient along a straight path from a baseline to the photo. Most of the "
        "map comes from where the score changes steeply; steps where it is flat add little. All numbers below are "
        "measured on your photo. The baseline and steps on this page apply only here."
    )
analysis = session().analysis
task = analysis if isinstance(analysis, str) else PathTask(analysis, choice)
show("path", task, draw)
