"""The faithfulness page: does the score depend on the pixels that each map highlights?"""

from html import escape

import streamlit as st

from attribution.checks.findings import BETTER_DIRECTION, Faithfulness, Findings
from attribution.checks.trial import SET_SIZES, Trial
from attribution.export.checks import LINE_COLOURS
from attribution.photo.encode import data_url, eight_bit
from attribution.ui.chart import axis, line_chart
from attribution.ui.events import read_selected, received
from attribution.ui.forms import ask
from attribution.ui.heading import show_heading
from attribution.ui.pictures import MIN_PANEL_WIDTH
from attribution.ui.session import rerun_page, session
from attribution.ui.table import show_table
from attribution.ui.watch import show
from attribution.work.analysis import require_methods
from attribution.work.faithfulness import Tested, TrialTask

REPLACED = {"deletion": "replaced", "insertion": "inserted", "ROAD": "imputed"}
HEIGHT = 380  # pixels of a chart with its legend
MIN_CHART_WIDTH = 350  # pixels
MAX_PLAIN_LEGEND = 9  # curves whose names fit below a chart on a phone
ROUNDED = 0.0005  # share of the pixels within which the slider, of 0.1% steps, is at a measured point


def draw(tested: Tested) -> None:
    """Show the curves, the metrics, and the perturbed images, finished or not, in a layout that does not change."""
    found, analysis = tested.found, tested.outcome.analysis
    explained = found.target.words(tested.outcome.classes)
    st.text(f"{analysis.heading} Explaining: {explained}.{'' if tested.finished else ' So far:'}")
    for refusal in tested.outcome.finished.refusals:
        st.info(str(refusal), icon=":material/info:")
    said = "".join(f"<li>{escape(found.sentence(place))}</li>" for place in range(found.count))
    st.html(f'<ul class="verdicts">{said}</ul>')
    if found.warning:
        st.warning(found.warning, icon=":material/warning:")
    charts = st.grid(len(found.findings[0].curves), min_column_width=MIN_CHART_WIDTH)
    for name in found.findings[0].curves:
        with charts, st.container():
            show_curves(found, name)
    show_numbers(found)
    show_images(found)
    st.caption(
        "Limitations: photos with replaced pixels are out of distribution for the network. Scattered maps do well at "
        "deletion because they damage the whole photo, smooth maps do well at insertion, and the ranking of the "
        "methods depends on the filler (Tomsett et al. 2020, arXiv:1912.01451). A map that does not beat the controls "
        "shows no evidence of faithfulness; a map that does may still miss a lot. Curves: Petsiuk et al. 2018, "
        "arXiv:1806.07421. ROAD replaces pixels by the mean of their neighbours and a little noise, not by a filler; "
        "set its number of steps to measure it: Rong et al. 2022, arXiv:2202.00449. Sensitivity-n: Ancona et al. 2018, "
        "arXiv:1711.06104. Infidelity and max-sensitivity: Yeh et al. 2019, arXiv:1901.09392."
    )


def show_curves(found: Faithfulness, name: str) -> None:
    """Plot the score against the share of replaced pixels; clicking a point shows its images below."""
    curves = [each.curves[name] for each in found.findings]
    colours = [LINE_COLOURS[place % len(LINE_COLOURS)] for place in range(len(curves))]
    series = [
        {
            "type": "line",
            "name": each.name,
            "data": [
                [float(f"{100 * count / curve.counts[-1]:.4g}"), float(f"{score:.4g}")]
                for count, score in zip(curve.counts, curve.scores, strict=True)
            ],
            "symbol": "circle",
            "symbolSize": 6,
            "selectedMode": "single",
            "itemStyle": {"color": colour},
            "lineStyle": {"color": colour, "width": 2, "type": "solid" if place < found.count else "dotted"},
            "emphasis": {"scale": 1.5, "lineStyle": {"width": 2}},
            "select": {"itemStyle": {"color": colour, "borderColor": colour}, "lineStyle": {"width": 2}},
        }
        for place, (each, curve, colour) in enumerate(zip(found.findings, curves, colours, strict=True))
    ]
    chart = {
        **line_chart(series, HEIGHT, MAX_PLAIN_LEGEND),
        "tooltip": {"trigger": "item", "formatter": "{a}<br>{@[0]}%: {@[1]}"},
        "xAxis": {**axis(), "max": 100, "nameGap": 25, "name": f"pixels {REPLACED[name]} (%)"},
        "yAxis": {**axis(), "nameGap": 45, "name": found.target.axis},
    }
    st.markdown(f"**{_title(name)}**, {BETTER_DIRECTION[name]}")
    spoken = ", ".join(
        f"{each.name} {_number(curve.area, '.3f', curve.error)}"
        for each, curve in zip(found.findings, curves, strict=True)
    )

    def clicked() -> None:
        selected = received(f"{name}-curves", "selection", read_selected)
        if selected is None or selected[0] >= len(curves) or selected[1] >= len(curves[selected[0]].counts):
            return
        curve = curves[selected[0]]
        st.session_state["faithfulness-curve"] = name
        st.session_state["faithfulness-share"] = round(float(100 * curve.counts[selected[1]] / curve.counts[-1]), 1)
        rerun_page()

    st.echarts_chart(
        chart,
        key=f"{name}-curves",
        height=HEIGHT,
        renderer="svg",
        on_select=clicked,
        alt=f"Score during {name}. Areas under the curves: {spoken}",
    )


def show_numbers(found: Faithfulness) -> None:
    """Show all metrics of all maps and controls."""
    rows = found.findings
    st.header("Metrics")
    show_table(
        {
            "Map": [each.name for each in rows],
            **{
                f"{_title(name)}, area": [
                    _number(each.curves[name].area, ".3f", each.curves[name].error) for each in rows
                ]
                for name in rows[0].curves
            },
            "Sensitivity-n": [_number(each.mean_sensitivity_n, "+.2f", each.sensitivity_n_error) for each in rows],
            "Infidelity": [_square(each.infidelity, each.infidelity_error) for each in rows],
            "Scaled infidelity": [_square(each.scaled_infidelity, each.scaled_infidelity_error) for each in rows],
            "Max-sensitivity": [_least(each) for each in rows],
        },
        "Deletion, insertion, sensitivity-n, infidelity and max-sensitivity of each map and control",
        width="8rem",
    )
    trial, unit = found.trial, found.target.unit
    said = [
        f"{', '.join(map(_title, rows[0].curves))}: area under the curve, that is, the mean score (unit: {unit}). "
        "\u00b1 estimated standard error, since steps are left out where the curve hardly bends."
    ]
    if trial.samples:
        said += [
            "Sensitivity-n: correlation between the map's sum over a random set of pixels and the score drop when "
            f"they are replaced, averaged over set sizes from {SET_SIZES[0]:.0%} to {SET_SIZES[-1]:.0%} of all pixels, "
            f"up to {trial.samples} sets each; 1 is best, and a random map rarely exceeds {found.chance:.2f}. "
            f"Infidelity: mean squared error of the score drop that the map predicts for as many squares (unit: "
            f"{unit}\u00b2); only for maps that sum to a score difference or are per unit of pixel value. Scaled "
            "infidelity: after multiplying the map by its best factor. Lower is better for both. A map whose baseline "
            "differs from the filler predicts a different score drop, which raises its infidelity. "
            "\u00b1 standard error of the random sets and squares."
        ]
    if trial.moves:
        said += [
            "Max-sensitivity: largest relative change (L2) of the map among random perturbed photos whose pixel values "
            f"differ by at most {trial.radius:g}; lower is more robust. It is a lower bound: another perturbation may "
            f"change the map more. In brackets: the number of photos, {trial.moves} or fewer if all changes are alike. "
            "Not measured for controls, which do not use the network."
        ]
    st.caption(" ".join(said))


def show_images(found: Faithfulness) -> None:
    """Show each map's perturbed image at one point of a curve."""
    st.header("Perturbed images")
    left, right = st.columns([1, 2])
    with left:
        st.session_state.setdefault("faithfulness-curve", "deletion")
        chosen = st.segmented_control(
            "Curve", list(found.findings[0].curves), format_func=_title, key="faithfulness-curve"
        )
    with right:
        st.session_state.setdefault("faithfulness-share", 10.0)
        share = st.slider("Pixels replaced", 0.0, 100.0, step=0.1, key="faithfulness-share", format="%.1f%%") / 100
    grid = st.grid(len(found.findings), min_column_width=MIN_PANEL_WIDTH)
    for each in found.findings:
        with grid, st.container(gap="xsmall"):
            show_image(found, each, chosen or "deletion", share)


def show_image(found: Faithfulness, findings: Findings, name: str, share: float) -> None:
    """Show the perturbed image of one map, and its score, which is interpolated where it was not measured."""
    curve, count = findings.curves[name], round(share * findings.ranks.size)
    image = found.image(name, findings, share)
    st.image(data_url(eight_bit(image.numpy())), width="stretch", alt=f"{findings.name}, {100 * share:.3g}% replaced")
    between = "" if abs(curve.counts - count).min() <= ROUNDED * findings.ranks.size else "about "
    st.caption(f"{findings.name}: {between}{found.target.quantity(curve.at(count))}")


def _title(name: str) -> str:
    return name[0].upper() + name[1:]


def _number(value: float | None, form: str, error: float | None) -> str:
    """Write a number with its standard error, unless that rounds to zero."""
    if value is None:
        return "\u2013"
    doubt = format(error or 0.0, form.removeprefix("+"))
    return format(value, form) + (f" \u00b1 {doubt}" if float(doubt) else "")


def _square(value: float | None, error: float | None) -> str:
    """Write a number of any size, as a mean square is, with its standard error."""
    return _number(value, ".0f" if value is not None and value >= 100 else ".2g", error)


def _least(findings: Findings) -> str:
    if findings.max_sensitivity is None:
        return "\u2013"
    return f"\u2265 {findings.max_sensitivity:.2f} ({findings.moves})"


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
show("faithfulness", task, draw)
