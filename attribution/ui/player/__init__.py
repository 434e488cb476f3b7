"""The path from baseline to photo, to be played, hovered and dragged through."""
