"""The crop that is moved on the photo."""
