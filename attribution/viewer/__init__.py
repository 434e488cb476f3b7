"""The linked viewer: message.py packs maps, heat.js colours them, viewer.js shows and links the panels.

Nothing in here knows where the panels stand: the dashboard mounts them in `ui/panels.py`, a report in its own page.
"""
