"""The sample photos included in the project."""

from functools import cache

from PIL import Image

from attribution.photo.decode import open_image
from attribution.system.assets import asset

DEFAULT_SAMPLE = "german_shepherd_on_grass"
SAMPLES = tuple(  # names of the files in assets/samples, without .jpg
    """citrus_fruits dog_over_cat espresso german_shepherd_on_grass giant_panda golden_retriever hot_air_balloon
    lorikeet space_shuttle sports_car tabby_cat""".split()
)


def sample_title(name: str) -> str:
    """Return the title of a sample photo."""
    return name.replace("_", " ").capitalize()


@cache
def open_sample(name: str) -> Image.Image:
    """Return a decoded sample photo; cached."""
    return open_image(asset(f"samples/{name}.jpg"))
