"""The sample photos that come with the project."""

from functools import cache
from pathlib import Path

from PIL import Image

from attribution.photo.decode import open_image

SAMPLES = {path.stem: path for path in sorted((Path(__file__).parents[2] / "assets" / "samples").glob("*.jpg"))}
FIRST = "german_shepherd_on_grass"


def sample_title(name: str) -> str:
    """The name of a sample photo, for people."""
    return name.replace("_", " ").capitalize()


@cache
def open_sample(name: str) -> Image.Image:
    """A sample photo, decoded once."""
    return open_image(SAMPLES[name])
