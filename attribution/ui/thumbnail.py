"""Small pictures of maps, drawn once per map."""

from weakref import WeakKeyDictionary

from PIL import Image

from attribution.photo.encode import data_url
from attribution.result import Attribution

SIDE = 96  # pixels of a side on the page
SHARPNESS = 2  # pixels of the picture per pixel of the page

_drawn: WeakKeyDictionary[Attribution, str] = WeakKeyDictionary()


def thumbnail(result: Attribution) -> str:
    """Return a map in the default view, as a data URL; cached."""
    if result not in _drawn:
        side = SHARPNESS * SIDE
        _drawn[result] = data_url(Image.fromarray(result.draw()).resize((side, side), Image.Resampling.BOX))
    return _drawn[result]
