"""The crop editor: a square that can be dragged on the photo."""
