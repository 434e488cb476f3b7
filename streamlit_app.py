"""Entry point of the dashboard: the ASGI app, and the page with its navigation and the shared sidebar."""

import base64
import os
import sys
from pathlib import Path

import streamlit as st
from streamlit import config

import door

# torch's waiting threads sleep after 1000 spins instead of spinning on. With a browser on the same two cores, the four
# default maps then take 1 s instead of 2 to 10 s; on idle cores the cost is not measurable.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# A thread that needs the interpreter waits this long for one that runs the page of another session, 5 ms by default. A
# job needs it for each of a hundred operators a pass.
sys.setswitchinterval(0.0005)


def main() -> None:
    """Draw the page; Streamlit calls this on every rerun of every session."""
    # Inline, since browsers request an icon file again whenever the address bar changes.
    icon = base64.b64encode((Path(__file__).parent / "assets" / "icon.png").read_bytes()).decode()
    first = "Attribution" if not st.session_state else None  # later runs keep the title until it is known again
    st.set_page_config(first, f"data:image/png;base64,{icon}", layout="wide", initial_sidebar_state=320)
    with st.spinner("Starting PyTorch. The first start takes a few seconds."):
        from attribution import ui
        from attribution.system.log import start_log
        from attribution.ui.add_model import offer_models
        from attribution.ui.address import restore_session
        from attribution.ui.error_card import error_card
        from attribution.ui.heading import name_tab
        from attribution.ui.panels import load_viewer
        from attribution.ui.session import session
        from attribution.ui.share import show_link, show_sentences
        from attribution.ui.sidebar import choose

    start_log()
    st.html(Path(ui.__path__[0]) / "page.css")
    pages = Path(ui.__path__[0]) / "pages"
    with error_card():
        page = st.navigation(
            [
                st.Page(pages / "explore.py", title="Explore", icon=":material/compare:"),
                st.Page(pages / "path.py", title="Path", icon=":material/timeline:"),
                st.Page(pages / "baselines.py", title="Baselines", icon=":material/texture:"),
                st.Page(pages / "probe.py", title="Probe", icon=":material/format_paint:"),
                st.Page(pages / "sanity.py", title="Sanity", icon=":material/science:"),
                st.Page(pages / "faithfulness.py", title="Faithfulness", icon=":material/fact_check:"),
                st.Page(pages / "batch.py", title="Batch", icon=":material/photo_library:"),
                st.Page(pages / "learn.py", title="Learn", icon=":material/school:"),
                st.Page(pages / "methods.py", title="Methods", icon=":material/menu_book:"),
            ],
            position="top",
        )
        session().page = page.url_path
        restore_session()
        load_viewer()
        link = st.sidebar.container()
        session().chosen, session().analysis = choose()
        name_tab(page.title)
        with link:
            show_link(session().chosen, page.url_path)
        show_sentences()
        offer_models(door.allows_checkpoints())
        page.run()


if __name__ == "__main__":
    main()
else:  # imported by the server
    if door.allows_checkpoints():
        config.set_option("server.maxUploadSize", door.MAX_CHECKPOINT_MB)
    limit = st.get_option("server.maxUploadSize") * 1024 * 1024  # bytes
    app = st.App(__file__, middleware=door.install(limit), lifespan=door.lifespan)
