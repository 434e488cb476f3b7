"""The linked viewer: message.py packs maps, bundle.py joins the JavaScript files, which show and link the panels.

It is independent of Streamlit: the dashboard mounts panels in `ui/panels.py`, and a report mounts its own.
"""
