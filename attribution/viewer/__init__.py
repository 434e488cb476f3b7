"""The linked viewer: message.py packs maps, heat.js colours them, viewer.js shows and links the panels.

It depends on no page: the dashboard mounts panels in `ui/panels.py`, a report in its own page.
"""
