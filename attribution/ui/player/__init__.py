"""The path player: an animation of the path from baseline to photo."""
