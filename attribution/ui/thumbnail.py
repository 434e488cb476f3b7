"""Small pictures of maps, drawn once per map."""

from weakref import WeakKeyDictionary

from PIL import Image

from attribution.drawing.view import View
from attribution.photo.encode import data_url, eight_bit
from attribution.result import Attribution

SIDE = 96  # pixels of a side on the page
SHARPNESS = 2  # pixels of the picture per pixel of the page

_drawn: WeakKeyDictionary[Attribution, str] = WeakKeyDictionary()


def thumbnail(result: Attribution) -> str:
    """Return a map in the default view, as a data URL; cached."""
    if result not in _drawn:
        (drawing,) = View().draw([result.values], eight_bit(result.pixels))
        side = SHARPNESS * SIDE
        _drawn[result] = data_url(Image.fromarray(drawing.rgb).resize((side, side), Image.Resampling.BOX))
    return _drawn[result]
