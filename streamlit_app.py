"""The dashboard's entry: page, navigation and the sidebar that all pages share."""

import streamlit as st

st.set_page_config("Attribution", "assets/icon.png", layout="wide")

from attribution.ui.sidebar import choose  # noqa: E402 (the page is set up before torch is imported)

page = st.navigation([st.Page("attribution/ui/pages/explore.py", title="Explore", icon=":material/compare:")])
st.session_state.analysis = choose()
page.run()
