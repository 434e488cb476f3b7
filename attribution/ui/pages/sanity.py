"""The sanity page: each map's similarity to the original as the network's weights are randomised."""

from typing import Any

import streamlit as st

from attribution.checks.likeness import Likeness
from attribution.checks.sanity import CONTROLS, ORDERS, PICKED_CLASS, Randomisation, Stage
from attribution.export.checks import LINE_COLOURS
from attribution.photo.encode import eight_bit
from attribution.refusal import Refusal
from attribution.ui import panels
from attribution.ui.chart import axis, line_chart, text_style
from attribution.ui.forms import ask
from attribution.ui.heading import show_heading
from attribution.ui.pictures import GROUP, HEADER_WIDTHS
from attribution.ui.session import session
from attribution.ui.watch import show
from attribution.viewer.message import Place, pack_map, pack_pending, pack_photo, pack_toolbar
from attribution.work.analysis import require_methods
from attribution.work.sanity import SanityTask, Tried

STRIP_COLUMNS = 7  # panels per row on a desktop
TICK = 0.6  # seconds between two polls: every new map redraws all panels
CONTROL_COLUMNS = 6  # the same for the controls, with more text below
MIN_PANEL_WIDTH = 110  # pixels of a panel's width; a phone shows two side by side
PENDING = "correlation \u2026"  # as long as with its number
LABELS = ("insideStartBottom", "insideEndBottom")  # places of the names of the controls in the chart
HEIGHT = 320  # pixels of the chart with its legend
MAX_PLAIN_LEGEND = 6  # curves whose names fit below the chart on a phone
LOWEST = -0.2  # lower end of the chart, unless a similarity is below
MEASURES = {
    "absolute": "Rank correlation, absolute values",
    "signed": "Rank correlation, signed values",
    "structure": "SSIM",
}


def draw(tried: Tried) -> None:
    """Show the curves and the maps of all stages, in linked panels."""
    analysis, sanity = tried.analysis, tried.sanity
    explains = " Each network explains its own predicted class." if sanity.plan.target_class == PICKED_CLASS else ""
    trained = sanity.stages[0].maps
    explained = f" Explaining: {trained[0].explained}." if trained else ""
    st.text(f"{analysis.heading}{explained} Layers are randomised {ORDERS[sanity.plan.order]}.{explains}")
    photo, beside = st.columns(HEADER_WIDTHS)
    with photo:
        where = Place(GROUP, "photo", "The photo as the network sees it", analysis.full)
        panels.show(pack_photo(eight_bit(analysis.x.numpy()), where), "panel-photo")
    with beside:
        panels.show(pack_toolbar(GROUP, session().view, session().window, can_export=False), "sanity-toolbar")
        for place in range(len(sanity.methods)):
            st.text(f"{sanity.sentence(place)} {sanity.swapped(place)}")
    show_curves(tried)
    for place, method in enumerate(sanity.methods):
        with st.expander(f"Maps of {method.title}", expanded=place == 0):  # the others are folded, for three screens
            if isinstance(refused := sanity.stages[0].results[place], Refusal):
                st.info(str(refused))
                continue
            with st.grid(STRIP_COLUMNS, min_column_width=MIN_PANEL_WIDTH, gap="xsmall"):
                for number, stage in enumerate(sanity.stages):
                    show_stage(stage, f"{number}: {sanity.label(number)}", f"{number}", place, tried)
                if sanity.swap:
                    show_stage(sanity.swap, "as trained, another class", "swap", place, tried)
    show_controls(tried)
    st.caption(
        "Similarity: Spearman's rank correlation of absolute pixel values. A map that stays the same does not show "
        "what the network has learnt. A map that changes is not thereby correct: results depend on the order of the "
        "layers and on the measure (Binder et al. 2023, arXiv:2211.12486), and on some tasks trained and random "
        "networks respond to the same pixels (Yona and Greenfeld 2021, arXiv:2110.14297). Another class: the logit "
        "map of a random class compared with that of the explained class (Sixt et al. 2020, arXiv:1912.09818); if "
        "the similarity is 1, the map does not depend on the class. Random weights are normal with the mean and "
        "standard deviation of each trained tensor, with a separate seed per layer; batch-norm statistics are "
        "shuffled among channels."
    )


def show_stage(stage: Stage, title: str, key: str, place: int, tried: Tried) -> None:
    """Show the map of one method at one stage."""
    result, method, alike = stage.results[place], tried.sanity.methods[place], stage.likeness[place]
    if isinstance(result, Refusal):
        st.info(f"{title}: {result}")
        return
    trained = tried.sanity.stages[0]
    statement = result.statement if result else _without_number(next((each.statement for each in trained.maps), ""))
    kept = "" if stage is trained else f"\n{_correlation(alike) if result else PENDING}"
    below = f"{statement}{kept}"
    panel, label = f"{method.key}-{key}", f"{method.title} map, {title}"
    where = Place(GROUP, panel, label, tried.analysis.full, title=title, below=below)
    height, width = tried.analysis.x.shape[1:]
    panels.show(panels.packed_once(result, where) if result else pack_pending((height, width), where), f"map-{panel}")


def show_controls(tried: Tried) -> None:
    """Show the controls and their similarity to each map."""
    st.header("Controls that do not use the network")
    grid = st.grid(CONTROL_COLUMNS, min_column_width=MIN_PANEL_WIDTH)
    height, width = tried.analysis.x.shape[1:]
    for name in CONTROLS:
        values, alike = tried.sanity.controls.get(name, (None, ()))
        said = [
            f"{method.title}: {_correlation(each)}" for method, each in zip(tried.sanity.methods, alike, strict=False)
        ] or [f"{method.title}: {PENDING}" for method in tried.sanity.methods]
        key, title, below = name.split()[0], name.capitalize(), "\n".join(said)
        place = Place(GROUP, key, f"Control: {name}", tried.analysis.full, title=title, below=below)
        with grid:
            packed = pack_pending((height, width), place) if values is None else pack_map(values, "", place)
            panels.show(packed, f"map-{key}")


def show_curves(tried: Tried) -> None:
    """Plot each stage's similarity to the map of the trained network."""
    sanity = tried.sanity
    st.session_state.setdefault("sanity-measure", "absolute")
    chosen = st.segmented_control(
        "Similarity measure",
        list(MEASURES),
        format_func=lambda name: MEASURES[name],
        key="sanity-measure",
        label_visibility="collapsed",
    )
    measure = chosen or "absolute"
    series: list[dict[str, Any]] = []
    for place, method in enumerate(sanity.methods):
        colour = {"color": LINE_COLOURS[place % len(LINE_COLOURS)]}
        points = [
            {"name": sanity.label(number), "value": [number, value if value is None else round(value, 3)]}
            for number, stage in enumerate(sanity.stages)
            for value in [_value(stage.likeness[place], measure)]
            if stage.results[place] is not None  # so that lines connect the stages computed so far
        ]
        style = {"symbol": "circle", "symbolSize": 6, "itemStyle": colour, "lineStyle": {**colour, "width": 2}}
        series.append({"type": "line", "name": method.title, "data": points, **style})
    drawn = [each["value"][1] for one in series for each in one["data"] if each["value"][1] is not None]
    limits = [
        {
            "yAxis": round(max(known), 3),
            "label": {"formatter": f"{name}, maximum", "position": side, **text_style()},
        }
        for (name, (_, alike)), side in zip(sanity.controls.items(), LABELS, strict=False)
        if (known := [value for each in alike if (value := _value(each, measure)) is not None])
    ]
    line = {"color": "#808080", "type": "dotted"}
    series[0]["markLine"] = {"silent": True, "symbol": "none", "lineStyle": line, "data": limits}
    chart = {
        **line_chart(series, HEIGHT, MAX_PLAIN_LEGEND),
        "tooltip": {"trigger": "item", "formatter": "{a}<br>{b}: {@[1]}"},
        "xAxis": {**axis(), "name": "stage", "nameGap": 25, "min": 0, "max": len(sanity.stages) - 1, "minInterval": 1},
        "yAxis": {
            **axis(),
            "name": "similarity to trained",
            "nameGap": 35,
            "min": LOWEST if min([0.0, *drawn]) >= LOWEST else -1,
            "max": 1,
            "interval": 0.2,
        },
    }
    spoken = " ".join(sanity.sentence(place) for place in range(len(sanity.methods)))
    alt = f"{MEASURES[measure]} at each stage. {spoken}"
    st.echarts_chart(chart, key="sanity-curves", height=HEIGHT, renderer="svg", alt=alt)


def _value(alike: Likeness | None, measure: str) -> float | None:
    return None if alike is None else getattr(alike, measure)


def _without_number(statement: str) -> str:
    """Return a text as long as the statement of another network's score: "German shepherd (probability \u2026)"."""
    return f"{statement.rpartition(' ')[0]} \u2026)"


def _correlation(alike: Likeness | None) -> str:
    value = _value(alike, "absolute")
    return "constant map" if value is None else f"correlation {value:.2f}"


show_heading("Does the map depend on the network?")
left, right = st.columns([2, 3])
with left, st.expander("Settings"):
    plan = ask(Randomisation, Randomisation.key)
with right:
    st.caption(
        "The network's weights are randomised layer by layer, and each map is recomputed. A network with random "
        "weights has learnt nothing, so a map that stays the same did not show what the trained network had learnt "
        "(Adebayo et al. 2018, arXiv:1810.03292)."
    )
analysis = require_methods(session().analysis)
task = analysis if isinstance(analysis, str) else SanityTask(analysis, plan)
show("sanity", task, draw, tick=TICK)
