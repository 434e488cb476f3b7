"""The linked viewer: message.py packs maps, bundle.py joins the JavaScript files, which show and link the panels.

It depends on no page: the dashboard mounts panels in `ui/panels.py`, a report in its own page.
"""
