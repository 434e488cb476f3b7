"""Charts in the text colour of the page's theme; Streamlit's grey for axes has too little contrast."""

import plotly.graph_objects as go
import streamlit as st


def text_colour() -> str:
    """Return the text colour of the current theme."""
    return "#fafafa" if st.context.theme.type == "dark" else "#0b0d12"


def make_legible(figure: go.Figure) -> None:
    """Draw ticks, axis titles and annotations of a chart in the text colour."""
    colour = text_colour()
    figure.update_xaxes(tickfont_color=colour, title_font_color=colour)
    figure.update_yaxes(tickfont_color=colour, title_font_color=colour)
    figure.update_annotations(font_color=colour)
