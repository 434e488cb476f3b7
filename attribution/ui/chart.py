"""Parts of the line charts by ECharts, which stay in the browser while points arrive; Plotly's would be replaced."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

LEGEND_HEIGHT = 65  # pixels of a legend below a chart, which takes three lines on a phone


def text_style() -> dict[str, str]:
    """Return the style of text in the current theme; ECharts' own grey for axes has too little contrast."""
    return {"color": "#fafafa" if st.context.theme.type == "dark" else "#0b0d12"}


def axis(kind: str = "value") -> dict[str, Any]:
    """Return the settings that all axes share.

    Args:
        kind: "value" (default) or "log".
    """
    return {"type": kind, "axisLabel": text_style(), "nameTextStyle": text_style(), "nameLocation": "middle"}


def line_chart(series: Sequence[dict[str, Any]], height: int, most: int) -> dict[str, Any]:
    """Return a chart of curves above their legend, without its axes.

    Args:
        series: The curves.
        height: Of the chart and the legend in pixels.
        most: Curves whose names fit below the chart on a phone; the legend of more can be scrolled.
    """
    return {
        "animation": False,
        "grid": {"left": 5, "right": 15, "top": 10, "bottom": LEGEND_HEIGHT + 20},
        "legend": {
            "type": "scroll" if len(series) > most else "plain",
            "top": height - LEGEND_HEIGHT,
            "textStyle": text_style(),
        },
        "series": series,
    }
