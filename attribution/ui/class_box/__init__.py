"""Boxes in which a person finds classes by typing."""
