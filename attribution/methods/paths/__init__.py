"""Methods that integrate along a path from a baseline to the photo."""
