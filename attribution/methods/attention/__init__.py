"""Methods based on the attention weights of a vision transformer."""
