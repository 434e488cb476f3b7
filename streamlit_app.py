"""The dashboard's entry: page, navigation and the sidebar that all pages share."""

import os

import streamlit as st

# Threads of torch that wait for each other sleep after 1000 looks instead of turning. Beside a browser on two cores
# that made the four maps take 1 s instead of 2 to 10 s; on idle cores it costs nothing that could be measured.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

st.set_page_config("Attribution", "assets/icon.png", layout="wide")

from attribution.ui.sidebar import choose  # noqa: E402 (the page is set up before torch is imported)

page = st.navigation([st.Page("attribution/ui/pages/explore.py", title="Explore", icon=":material/compare:")])
st.session_state.analysis = choose()
page.run()
