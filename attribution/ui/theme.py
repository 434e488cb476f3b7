"""The text colour of the page's theme, for charts, whose own grey for axes has too little contrast."""

import streamlit as st


def text_colour() -> str:
    """Return the text colour of the current theme."""
    return "#fafafa" if st.context.theme.type == "dark" else "#0b0d12"
