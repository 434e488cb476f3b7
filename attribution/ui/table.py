"""A table that scrolls sideways on narrow screens, also by keyboard."""

from collections.abc import Mapping, Sequence
from html import escape

import streamlit as st

_CELL = "padding:0.3rem 0.75rem;border-bottom:1px solid rgba(128,128,128,0.3);white-space:nowrap;text-align:left"


def show_table(columns: Mapping[str, Sequence[str]], label: str, width: str = "0", wraps: bool = False) -> None:
    """Show columns of text as a table.

    Args:
        columns: Cells by column heading; the first column holds the row headings.
        label: Description for screen readers.
        width: Smallest width of a cell, as a CSS length. Default: as its text.
        wraps: True if long cells take several lines. Default: False.
    """
    wrapped = ";white-space:normal" if wraps else ""
    head = "".join(f'<th scope="col" style="{_CELL}">{escape(name)}</th>' for name in columns)
    rows = "".join(
        f'<tr><th scope="row" style="{_CELL};font-weight:400">{escape(first)}</th>'
        + "".join(
            f'<td style="{_CELL}{wrapped};min-width:{width};font-variant-numeric:tabular-nums">{escape(cell)}</td>'
            for cell in rest
        )
        + "</tr>"
        for first, *rest in zip(*columns.values(), strict=True)
    )
    st.html(
        f'<div role="region" tabindex="0" aria-label="{escape(label)}" style="overflow-x:auto">'
        f'<table style="border-collapse:collapse;font-size:0.875rem"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
