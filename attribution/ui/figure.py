"""A figure of the lesson on the page: pictures in linked panels, a chart, and small pictures of further photos."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from attribution.lesson.figure import Chart, Figure, Picture
from attribution.photo.encode import data_url
from attribution.result import Attribution
from attribution.ui import panels
from attribution.ui.chart import axis, text_style
from attribution.ui.session import Pixel
from attribution.viewer.message import Place, pack_classes, pack_photo

MIN_PANEL_WIDTH = 120  # pixels
COLUMNS_WITH_CHART = 3  # pictures beside each other at least, so that the chart is on the screen, too
CHART_HEIGHT = 210  # pixels
PRESENTED_HEIGHT = 235  # the same for larger text, at which a screen has room for one row of pictures
STRIP_WIDTH = 88  # pixels of a small picture
COLOURS = ("#2563eb", "#d97706", "#059669", "#7c3aed")  # at least 3:1 on white and on the dark background
SYMBOLS = ("circle", "rect", "triangle", "diamond")


def show_figure(
    figure: Figure,
    captions: Mapping[str, str],
    group: str,
    scale: float = 1.0,
    choose: Callable[[int], None] | None = None,
    mark: Callable[[Pixel], None] | None = None,
) -> None:
    """Show a figure.

    Args:
        figure: The figure.
        captions: Names of its pictures, curves and axes.
        group: Name of the group of its panels, which share zoom and mark.
        scale: Size of the text, relative to the usual one. Default: 1.
        choose: Called with the place of a class that was clicked, if the figure has some. Default: they cannot be.
        mark: Called with a pixel of the first picture that was clicked. Default: nothing happens.
    """
    if figure.top and choose:
        panels.show(pack_classes(figure.top, figure.explained), "lesson-classes", choose=choose)
    if figure.pictures:
        columns = max(COLUMNS_WITH_CHART if figure.chart else 2, len(figure.pictures))
        grid = st.grid(columns, min_column_width=MIN_PANEL_WIDTH, gap="xsmall")
        for number, picture in enumerate(figure.pictures):
            with grid, st.container(key=f"map-lesson-{picture.name}", gap=None):
                _show(picture, captions[picture.name], group, None if number else mark)
    if figure.chart:
        st.echarts_chart(
            chart(figure.chart, captions, scale),
            key="lesson-chart",
            height=CHART_HEIGHT if scale == 1 else PRESENTED_HEIGHT,
            renderer="svg",
            alt=spoken(figure.chart, captions),
        )
    if figure.strip:
        st.text(captions["strip"])
        with st.container(horizontal=True, gap="xsmall"):
            for title, photo, found in figure.strip:
                with st.container(width=2 * STRIP_WIDTH, gap=None):
                    pair = [data_url(photo), data_url(found.draw())]
                    st.html(
                        "".join(
                            f'<img src="{each}" alt="" width="{STRIP_WIDTH - 2}" style="margin-right: 2px">'
                            for each in pair
                        )
                    )
                    st.text(title)


def _show(picture: Picture, caption: str, group: str, mark: Callable[[Pixel], None] | None) -> None:
    image, key = picture.image, f"{group}-picture-{picture.name}"
    if isinstance(image, Attribution):
        place = Place(group, picture.name, caption, image.values.shape[1:], title=caption)
        packed = panels.packed_once(image, place)
    else:
        place = Place(group, picture.name, caption, image.shape[:2], title=caption)
        packed = pack_photo(image, place)
    panels.show(packed, key, mark=mark)


def spoken(found: Chart, captions: Mapping[str, str]) -> str:
    """Describe a chart in words: its last values."""
    if found.categories:
        rows = [
            f"{category}: "
            + ", ".join(
                f"{captions[each.name]} {value:.3g}"
                for each in found.series
                for place, value in each.values
                if place == number
            )
            for number, category in enumerate(found.categories)
        ]
        return "; ".join(rows)
    return "; ".join(
        f"{captions[each.name]} {each.values[0][1]:.3g} \u2192 {each.values[-1][1]:.3g}"
        for each in found.series
        if each.values
    )


def chart(found: Chart, captions: Mapping[str, str], scale: float) -> dict[str, Any]:
    """Return the settings of a chart for ECharts."""
    size = round(12 * scale)
    text = {**text_style(), "fontSize": size}
    series = [
        _bars(each.values, captions[each.name], colour, size)
        if found.categories
        else _curve(each.values, captions[each.name], each.dots, colour, symbol, scale)
        for each, colour, symbol in zip(found.series, COLOURS, SYMBOLS, strict=False)
    ]
    low, high = ends(*found.range)
    value = {**axis(), "min": low, "max": high, "axisLabel": {**text, "hideOverlap": True}, "nameTextStyle": text}
    names = {
        **axis("category"),
        "data": list(found.categories),
        "inverse": True,
        "axisLabel": {**text, "width": round(150 * scale), "overflow": "truncate"},
    }
    across = {**axis(), "axisLabel": text, "nameTextStyle": text}
    if not found.categories:
        places = [place for each in found.series for place, _ in each.values]
        across |= {"min": min(places), "max": max(places), "name": captions[found.across], "nameGap": 2.2 * size}
        value |= {"name": captions[found.up], "nameGap": 3.2 * size}
    several = len(found.series) > 1
    legend = {"show": several, "data": [captions[each.name] for each in found.series], "top": 0, "textStyle": text}
    bottom = 4 * size if not found.categories else 2 * size
    return {
        "animation": False,
        "grid": {
            "left": 5 if found.categories else 4 * size,
            "right": (4 if found.categories else 2) * size,
            "top": (2.4 if several else 0.5) * size,
            "bottom": bottom,
            "containLabel": bool(found.categories),
        },
        "legend": legend,
        "xAxis": value if found.categories else across,
        "yAxis": names if found.categories else value,
        "series": series,
    }


def ends(low: float, high: float) -> tuple[float, float]:
    """Round both ends of an axis outward, to a hundredth of what is between them or less."""
    step = 10.0 ** (math.floor(math.log10(high - low)) - 2)
    return round(math.floor(low / step) * step, 12), round(math.ceil(high / step) * step, 12)


def _bars(values: tuple[tuple[float, float], ...], name: str, colour: str, size: int) -> dict[str, Any]:
    return {
        "type": "bar",
        "name": name,
        "data": [float(f"{value:.3g}") if abs(value) >= 0.001 else 0 for _, value in values],
        "itemStyle": {"color": colour},
        "label": {"show": True, "position": "right", **text_style(), "fontSize": size, "formatter": "{c}"},
        "barMinHeight": 1,
    }


def _curve(
    values: tuple[tuple[float, float], ...], name: str, dots: bool, colour: str, symbol: str, scale: float
) -> dict[str, Any]:
    return {
        "type": "scatter" if dots else "line",
        "name": name,
        "data": [[float(f"{place:.4g}"), float(f"{value:.5g}")] for place, value in values],
        "symbol": symbol,
        "symbolSize": (9 if dots else 4) * scale,
        "itemStyle": {"color": colour},
        "lineStyle": {"color": colour, "width": 2 if scale == 1 else 3},
    }
