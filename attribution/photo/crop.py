"""Crop: the part of a photo that a network sees, as a setting with a text form."""

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from attribution.refusal import Refusal
from attribution.settings import Number, Setting

FIT: Literal["fit"] = "fit"  # size of a crop that contains the whole photo
MIN_SIZE = 0.1  # smallest size, as a share of the photo's shorter side
_POSITION = Number("Position in percent.", 0.0, 100.0)
_SIZE = Number("Size in percent.", 100 * MIN_SIZE, 100.0)

Size = float | Literal["fit"] | None


class Crop(NamedTuple):
    """The part of a photo that a network sees.

    Attributes:
        across: Horizontal position in percent: 0 is left, 100 is right.
        down: Vertical position in percent: 0 is top, 100 is bottom.
        size: Shorter side of the crop in percent of the photo's shorter side, from 10 to 100; "fit" for the whole
            photo; None (default) for the size that the network expects.
    """

    across: float
    down: float
    size: Size = None

    @property
    def shares(self) -> tuple[float, float, Size]:
        """Position and size as shares, as `Preprocessing.prepare` takes them."""
        size = self.size / 100 if isinstance(self.size, int | float) else self.size
        return self.across / 100, self.down / 100, size

    @property
    def account(self) -> str:
        """A sentence about the size; empty if it is the network's own."""
        if self.size is None:
            return ""
        if self.size == FIT:
            return "The whole photo is scaled into the square; the mean colour fills the rest."
        return f"The crop is {self.size:g}% of the photo's shorter side."


CENTRE, WHOLE = Crop(50.0, 50.0), Crop(50.0, 50.0, FIT)


@dataclass(frozen=True)
class CropSetting(Setting):
    """A crop; its text is `50/20`, `50/20/60` with a size, or `fit`; commas may replace slashes outside parentheses."""

    @property
    def range(self) -> str:
        low, high = _SIZE.low, _SIZE.high
        return f"two numbers from 0 to 100 and perhaps a size from {low:g} to {high:g}, such as 50/20/60, or {FIT}"

    def check(self, value: Any) -> Crop:
        parts = self.read(value) if isinstance(value, str) else value
        try:
            across, down, size = Crop(*parts)
            if isinstance(size, str) and size == FIT:
                size = FIT
            elif size is not None:
                size = _SIZE.check(size)
            crop = Crop(_POSITION.check(across), _POSITION.check(down), size)
        except (TypeError, Refusal):
            raise self._refuse(value) from None
        return WHOLE if crop.size == FIT else crop

    def read(self, text: str) -> Crop | str:
        if text == FIT:
            return WHOLE
        try:
            return Crop(*(float(part) for part in re.split("[/,]", text)))
        except (TypeError, ValueError):
            return text

    def plain(self, value: Any) -> str:
        return FIT if value.size == FIT else "/".join(f"{part:.12g}" for part in value if part is not None)
