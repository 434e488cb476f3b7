"""The linked map viewer: viewer.py packs the panels, heat.js colours them, viewer.js shows and links them."""
