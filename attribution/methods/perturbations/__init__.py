"""Methods that hide parts of the photo and watch the score."""
