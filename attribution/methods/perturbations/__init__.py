"""Methods that hide parts of the photo and measure the score."""
