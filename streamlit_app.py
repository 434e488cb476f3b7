"""The dashboard's entry: page, navigation and the sidebar that all pages share."""

import base64
import os
from pathlib import Path

import streamlit as st

# Threads of torch that wait for each other sleep after 1000 looks instead of turning. Beside a browser on two cores
# that made the four maps take 1 s instead of 2 to 10 s; on idle cores it costs nothing that could be measured.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# Inline, since browsers ask for an icon's file again whenever the address bar changes.
icon = base64.b64encode((Path(__file__).parent / "assets" / "icon.png").read_bytes()).decode()
st.set_page_config("Attribution", f"data:image/png;base64,{icon}", layout="wide", initial_sidebar_state=320)

with st.spinner("Starting PyTorch; this takes a few seconds the first time."):
    from attribution.system.log import start_log
    from attribution.ui.address import restore_session
    from attribution.ui.error_card import error_card
    from attribution.ui.share import show_link, show_sentences
    from attribution.ui.sidebar import choose
    from attribution.ui.uploads import keep_uploads_in_memory

start_log()
keep_uploads_in_memory()
PAGES = Path(__file__).parent / "attribution" / "ui" / "pages"
with error_card():
    page = st.navigation(
        [
            st.Page(PAGES / "explore.py", title="Explore", icon=":material/compare:"),
            st.Page(PAGES / "path.py", title="Path", icon=":material/timeline:"),
            st.Page(PAGES / "baselines.py", title="Baselines", icon=":material/texture:"),
            st.Page(PAGES / "sanity.py", title="Sanity", icon=":material/science:"),
            st.Page(PAGES / "faithfulness.py", title="Faithfulness", icon=":material/fact_check:"),
            st.Page(PAGES / "methods.py", title="Methods", icon=":material/menu_book:"),
        ],
        position="top",
    )
    restore_session()
    link = st.sidebar.container()
    chosen, st.session_state.analysis = choose()
    with link:
        show_link(chosen, page.url_path)
    show_sentences()
    page.run()
