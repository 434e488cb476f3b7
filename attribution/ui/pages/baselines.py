"""The baseline page: one map per baseline, the pixels each baseline is blind to, and where the maps disagree."""

import numpy as np
import streamlit as st
from PIL import Image, ImageOps

from attribution.baselines import BASELINES
from attribution.baselines.baseline import Baseline
from attribution.methods import METHODS
from attribution.photo.encode import data_url, eight_bit
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import described
from attribution.ui import panels
from attribution.ui.export_dialog import offer_export
from attribution.ui.forms import ask
from attribution.ui.heading import show_heading
from attribution.ui.pictures import COLUMNS, GROUP, HEADER_WIDTHS, MIN_PANEL_WIDTH
from attribution.ui.session import session
from attribution.ui.watch import show
from attribution.viewer.message import Place, pack_map, pack_photo, pack_toolbar
from attribution.work.analysis import PreparedAnalysis
from attribution.work.baselines import (
    BLIND_DISTANCE,
    FIRST_BASELINES,
    BaselineTask,
    ComparedMethod,
    Comparison,
    Start,
)


def draw(comparison: Comparison) -> None:
    """Show the photo, one map per baseline, their mean and their disagreement."""
    analysis = comparison.outcome.analysis
    method = analysis.methods[0]
    others = "come from the sidebar" if method.key in st.session_state.methods else "have their defaults"
    explained = "".join(f" Explaining: {result.explained}." for result in comparison.outcome.finished.maps[:1])
    st.text(f"{analysis.heading}{explained}")
    photo, beside = st.columns(HEADER_WIDTHS)
    with photo:
        place = Place(GROUP, "photo", "The photo as the network sees it", analysis.full)
        panels.show(pack_photo(eight_bit(analysis.x.numpy()), place), "panel-photo")
    with beside:
        panels.show(pack_toolbar(GROUP, session().view, session().window), "toolbar")
        blind = "Pixels equal to the baseline get zero, however important: the map is blind to them. "
        st.caption(
            f"{method.title}: each map distributes the score difference from its baseline over the photo. "
            f"{blind if method.blind else ''}A good baseline is uninformative: the network's prediction for it has "
            f"high entropy. All other settings {others}. Each map has its own colour scale unless you "
            "choose the shared scale above."
        )
    grid = st.grid(COLUMNS, min_column_width=MIN_PANEL_WIDTH)
    for number, start in enumerate(comparison.starts):
        with grid, st.container(key=f"map-{start.baseline.key}", gap="xsmall"):
            show_start(start, analysis, comparison.outcome.results.get(number))
    if len(found := comparison.outcome.finished.maps) > 1:
        show_together(found, analysis, grid)


def show_start(start: Start, analysis: PreparedAnalysis, result: Attribution | Refusal | None) -> None:
    """Show one baseline: its image, its map, and figures for both."""
    st.markdown(f":small[**{start.baseline.title}**]")
    framed = ImageOps.expand(Image.fromarray(start.image), 2, "grey")  # so that white can be seen on white
    st.image(data_url(framed), width=72, alt=f"Baseline: {start.baseline.title}")
    if isinstance(result, Refusal):
        st.info(str(result))
    elif result:
        place = Place(GROUP, start.baseline.key, f"Map for the baseline: {start.baseline.title}", analysis.full)
        panels.show(panels.packed_once(result, place), f"panel-{start.baseline.key}")
        name, share = start.top
        st.text(f"Score of the baseline: {result.target.quantity(result.baseline_score or 0.0)}")
        if (count := start.baseline.count) == 1:
            st.text(f"Entropy {start.entropy:.1f} bits; predicted: {name}, {share:.0%}")
        else:
            st.text(f"Mean entropy of {count} images {start.entropy:.1f} bits; mean prediction: {name}, {share:.0%}")
        if METHODS[result.method].blind:
            st.text(f"Blind pixels (within {BLIND_DISTANCE:.0%} of the baseline): {start.blind:.1%}")
        st.caption(result.marked_account, help=start.baseline.shows)
    else:
        st.skeleton(height=220)


def show_together(
    found: list[Attribution], analysis: PreparedAnalysis, grid: "st.delta_generator.DeltaGenerator"
) -> None:
    """Show the mean of the maps and their standard deviation across baselines."""
    maps = np.stack([result.values for result in found])  # (B, 3, H, W)
    sizes = np.abs(maps).sum((1, 2, 3), keepdims=True).clip(min=np.finfo(np.float32).tiny)  # (B, 1, 1, 1)
    unit = found[0].unit
    together = {
        "mean": ("Mean map", maps.mean(0), "Mean of the maps above, unscaled: maps with large values dominate."),
        "disagreement": (
            "Disagreement",
            (maps * (sizes.mean() / sizes)).std(0),
            "Standard deviation across baselines, after scaling all maps to the same total.",
        ),
    }
    for name, (title, values, sentence) in together.items():
        with grid, st.container(key=f"map-{name}", gap="xsmall"):
            st.markdown(f":small[**{title}**]")
            panels.show(pack_map(values, unit, Place(GROUP, name, title, analysis.full)), f"panel-{name}")
            st.caption(sentence)


show_heading("Effect of the baseline")
with st.container(width=320):
    compared = ask(ComparedMethod, ComparedMethod.key)
st.session_state.setdefault("baselines", list(FIRST_BASELINES))
keys = st.pills(
    "Baselines",
    list(BASELINES),
    selection_mode="multi",
    format_func=lambda key: BASELINES[key].title,
    key="baselines",
    persist_state="session",
)
baselines: list[Baseline] = []
with st.expander("Baseline settings"):
    for key in BASELINES:
        if key in keys and described(BASELINES[key]):
            st.markdown(f"**{BASELINES[key].title}**")
        if key in keys:
            baselines.append(ask(BASELINES[key], f"baselines.{key}"))
analysis = session().analysis
if isinstance(analysis, str):
    task: BaselineTask | str = analysis
elif not baselines:
    task = "Choose at least one baseline above."
else:
    task = BaselineTask.of(analysis, compared.among(analysis.methods), tuple(baselines))
shown = show("baselines", task, draw)
offer_export(shown.outcome if shown else None)
