"""The path page: score and gradients between the baseline and the photo, and how many steps are enough."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from attribution.checks.convergence import ERROR_LEVELS, MAX_ADAPTIVE_STEPS, Figures, Study
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

CURVES = (ADAPTIVE_RULE, "midpoint")  # rules whose error is plotted
STEPS_AXIS = (3.7, 1.1 * MAX_ADAPTIVE_STEPS)  # ends of the chart's axes, the same while points arrive
ERROR_AXIS = (0.004, 1.6)
MAX_SHOWN_ERROR = 10.0  # upper end of a range of map errors above which only the lower one is shown
NOWHERE = [(math.nan, math.nan)]  # a point that keeps the legend of an empty curve in its place
NONE = "\u2013"  # a figure that does not exist


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
    known = {figures.rule: figures for figures in study.figures}
    rows = [known.get(rule) for rule in RULE_SETTING.options]
    show_table(
        {
            "Rule": [RULE_SETTING.label(rule) for rule in RULE_SETTING.options],
            "Map error": [_shown(each, lambda each: _error(study, each)) for each in rows],
            "Rank correlation": [_shown(each, lambda each: _rank(study, each)) for each in rows],
            "Sum error (% of the score difference)": [
                _shown(each, lambda each: NONE if each.delta is None else f"{each.delta:.1%}") for each in rows
            ],
            "Time (s)": [_shown(each, lambda each: f"{each.seconds:.2f}") for each in rows],
            "Nodes": [_where(rule) for rule in RULE_SETTING.options],
        },
        f"Map error, rank correlation, sum error and time of every rule at {study.steps} steps",
    )
    so_far = "" if study.is_final else ", so far; ranges show how much they may still change"
    st.caption(
        f"Map error: L2 distance from a reference map (trapezoid rule, {len(study.nodes)} gradients{so_far}), relative "
        f"to its norm. The last halving of the reference's steps changed it by {study.drift:.1%}. Rank correlation: "
        "Spearman, of absolute pixel values. A correct sum does not imply a correct map."
    )
    st.header("How many steps are enough?")
    for level in ERROR_LEVELS:
        said = ", ".join(_enough(traced, rule, level) for rule in CURVES)
        st.text(f"Map error below {level:.0%}: {said}.")
    show_curves(traced)


def _shown(figures: Figures | None, text: Callable[[Figures], str]) -> str:
    """Return a cell of the table: three dots before the rule is measured."""
    return "\u2026" if figures is None else text(figures)


def _error(study: Study, figures: Figures) -> str:
    low, high = study.error_range(figures.error)
    if study.is_final:
        return f"{figures.error:.1%}"
    return f"\u2265 {low:.1%}" if high > MAX_SHOWN_ERROR else f"{100 * low:.1f}\u2013{high:.1%}"


def _rank(study: Study, figures: Figures) -> str:
    if figures.rank is None:
        return NONE
    low, high = study.rank_range(figures.rank)
    return f"{figures.rank:.3f}" if study.is_final else f"{low:.3f}\u2013{high:.3f}"


def _where(rule: str) -> str:
    """Return a short description of a rule's nodes."""
    said = (RULES[rule].__doc__ or "") if rule in RULES else "Nodes concentrate where the gradient changes."
    first = said.removeprefix("Return ").partition(":")[0].rstrip(".")
    return first[:1].upper() + first[1:]


def _enough(traced: Traced, rule: str, level: float) -> str:
    study = traced.study
    if not (curve := study.curves[rule]):
        return f"{rule}: \u2026"
    few, many = study.enough_range(rule, level)
    most = max(measured for measured, _ in curve)
    if many is None:
        return f"{rule}: at least {few} steps" if few else f"{rule}: more than {most} steps"
    return f"{rule}: about {many} steps" if few == many else f"{rule}: about {few} to {many} steps"


def show_curves(traced: Traced) -> None:
    """Plot the map error against the steps, both on log scales; bars show how much errors may still change."""
    study, figure = traced.study, go.Figure()
    for rule in CURVES:
        points: Sequence[tuple[float, float]] = study.curves[rule] or NOWHERE
        steps, errors = np.array(points).T
        symbol, colour = ("circle", "#2563eb") if rule == ADAPTIVE_RULE else ("square", "#d97706")
        marker = {"symbol": symbol, "color": colour}
        bars = None
        if study.curves[rule] and not study.is_final:
            low, high = np.array([study.error_range(error) for error in errors]).T
            bars = {"array": high - errors, "arrayminus": errors - np.maximum(low, ERROR_AXIS[0]), "thickness": 1}
        figure.add_scatter(
            x=steps, y=errors, error_y=bars, name=rule, mode="lines+markers", marker=marker, line={"color": colour}
        )
    for level in ERROR_LEVELS:
        figure.add_hline(level, line={"dash": "dot", "width": 1.5, "color": "#808080"})
    drawn = [error for curve in study.curves.values() for _, error in curve if error > 0]
    ends = [min([ERROR_AXIS[0], *drawn]), max([ERROR_AXIS[1], *drawn])]
    figure.update_xaxes(type="log", title="steps", tickvals=[5, 10, 20, 50, 100], range=np.log10(STEPS_AXIS).tolist())
    ticks = [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005]
    figure.update_yaxes(
        type="log",
        title="map error",
        tickvals=ticks,
        ticktext=[f"{100 * tick:g}%" for tick in ticks],
        range=np.log10(ends).tolist(),
    )
    figure.update_layout(height=320, margin={"l": 0, "r": 0, "t": 10, "b": 0}, showlegend=True)
    make_legible(figure)
    spoken = "; ".join(_enough(traced, rule, ERROR_LEVELS[0]) for rule in CURVES)
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
