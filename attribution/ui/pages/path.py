"""The path page: score and gradients between the baseline and the photo, and how many steps are enough."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from attribution.checks.convergence import ERROR_LEVELS, MAX_ADAPTIVE_STEPS, Curve, Figures, Study
from attribution.methods.paths.integrated_gradients import RULE_SETTING
from attribution.methods.paths.quadrature import RULES
from attribution.methods.paths.straight_path import ADAPTIVE_RULE
from attribution.ui.chart import axis, text_style
from attribution.ui.forms import ask
from attribution.ui.heading import show_heading
from attribution.ui.player.player import pack, show_player
from attribution.ui.session import session
from attribution.ui.table import show_table
from attribution.ui.watch import show
from attribution.work.path import PathChoice, PathTask, Traced

CURVES = {ADAPTIVE_RULE: ("circle", "#2563eb"), "midpoint": ("rect", "#d97706")}  # rules whose error is plotted
STEPS_AXIS = (3.7, 1.1 * MAX_ADAPTIVE_STEPS)  # ends of the chart's axes, the same while points arrive
MIN_ERROR, MAX_ERROR = 0.004, 1.6
MAX_SHOWN_ERROR = 10.0  # upper end of a range of map errors above which only the lower one is shown
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
        said = "; ".join(_enough(traced, rule, level) for rule in CURVES)
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
        return f"{rule}: not known yet"
    few, many = study.enough_range(rule, level)
    most = max(measured for measured, _ in curve)
    if many is None:
        return f"{rule}: at least {few} steps" if few else f"{rule}: more than {most} steps"
    return f"{rule}: about {many} steps" if few == many else f"{rule}: about {few} to {many} steps"


def show_curves(traced: Traced) -> None:
    """Plot the map error against the steps, both on log scales; thin lines bound what errors may still become."""
    study = traced.study
    series: list[dict[str, Any]] = []
    for rule, (symbol, colour) in CURVES.items():
        style = {"itemStyle": {"color": colour}, "lineStyle": {"color": colour, "width": 2}}
        curve = [(steps, error) for steps, error in study.curves[rule] if error > 0]
        series.append(
            {"type": "line", "name": rule, "data": _points(curve), "symbol": symbol, "symbolSize": 7, **style}
        )
        for end in (0, 1):
            bounds = (
                [] if study.is_final else [(n, max(MIN_ERROR, study.error_range(error)[end])) for n, error in curve]
            )
            thin = {"color": colour, "width": 1, "type": "dotted"}
            series.append(
                {"type": "line", "data": _points(bounds), "showSymbol": False, "silent": True, "lineStyle": thin}
            )
    series[0]["markLine"] = {
        "silent": True,
        "symbol": "none",
        "label": {"show": False},
        "lineStyle": {"color": "#808080"},
        "data": [{"yAxis": 100 * level} for level in ERROR_LEVELS],
    }
    drawn = [error for curve in study.curves.values() for _, error in curve if error > 0]
    chart = {
        "animation": False,
        "grid": {"left": 5, "right": 15, "top": 30, "bottom": 25},
        "legend": {"data": list(CURVES), "top": 0, "textStyle": text_style()},
        "tooltip": {"trigger": "item", "formatter": "{a}<br>{@[0]} steps: {@[1]}%"},
        "xAxis": {
            **axis("log"),
            "name": "steps",
            "nameGap": 25,
            "min": STEPS_AXIS[0],
            "max": STEPS_AXIS[1],
            "axisLabel": {**text_style(), "customValues": [5, 10, 20, 50, 100]},
        },
        "yAxis": {
            **axis("log"),
            "name": "map error",
            "nameGap": 45,
            "min": float(f"{100 * min([MIN_ERROR, *drawn]):.3g}"),
            "max": float(f"{100 * max([MAX_ERROR, *drawn]):.3g}"),
            "axisLabel": {**text_style(), "customValues": [100, 50, 20, 10, 5, 2, 1, 0.5], "formatter": "{value}%"},
        },
        "series": series,
    }
    spoken = "; ".join(_enough(traced, rule, ERROR_LEVELS[0]) for rule in CURVES)
    alt = f"Map error against steps. Below {ERROR_LEVELS[0]:.0%}: {spoken}."
    st.echarts_chart(chart, key="convergence", height=320, renderer="svg", alt=alt)


def _points(curve: Curve) -> list[list[float]]:
    """Return the points of a chart, in steps and percent."""
    return [[steps, float(f"{100 * error:.4g}")] for steps, error in curve]


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
