"""The board on which parts of a photo are covered by hand."""
