"""The dashboard's entry: page, navigation and the sidebar that all pages share."""

import os
from pathlib import Path

import streamlit as st

# Threads of torch that wait for each other sleep after 1000 looks instead of turning. Beside a browser on two cores
# that made the four maps take 1 s instead of 2 to 10 s; on idle cores it costs nothing that could be measured.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

st.set_page_config("Attribution", "assets/icon.png", layout="wide")

with st.spinner("Starting PyTorch; this takes a few seconds the first time."):
    from attribution.ui.sidebar import choose

PAGES = Path(__file__).parent / "attribution" / "ui" / "pages"
page = st.navigation(
    [
        st.Page(PAGES / "explore.py", title="Explore", icon=":material/compare:"),
        st.Page(PAGES / "methods.py", title="Methods", icon=":material/menu_book:"),
    ],
    position="top",
)
st.session_state.analysis = choose()
page.run()
