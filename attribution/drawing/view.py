"""View: how maps are drawn. The browser's viewer offers the same; figures draw what it shows.

The browser's half is `viewer/`; `tests/test_viewer.py` holds the two equal, pixel by pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from attribution.drawing.heatmap import (
    REDUCTIONS,
    Heat,
    Span,
    clipped,
    colour,
    colour_maps,
    is_blank,
    reduce,
    shared,
    span,
    unit,
)
from attribution.settings import Choice, Configurable, Number, setting

VIEWS = {
    "grey": "White to black",
    "heat": "Heat on the photo",
    "signed": "Signed",
    "important": "Important pixels",
}
SCALES = {"own": "Own for each map", "shared": "One for all"}
UNIMPORTANT = 235  # grey level of pixels that are not among the important ones


@dataclass(frozen=True, eq=False)
class Drawing:
    """One map as it is seen.

    Attributes:
        rgb: (H, W, 3), 8 bits.
        span: The values at the two ends of the colour scale.
        clipped: Share of the pixels beyond the scale, in percent.
        blank: Whether the map is the same everywhere, so that nothing can be drawn.
    """

    rgb: NDArray[np.uint8]
    span: Span
    clipped: float
    blank: bool


@dataclass(frozen=True)
class View(Configurable):
    """Settings for drawing maps.

    Attributes:
        view: White to black (default), heat on the photo, signed around zero, or only the important pixels.
        reduction: From three channels to one number a pixel. Signed views sum.
        clip: Percentile at which the colour scale ends. Default: 99.5; at 100 a few outliers leave the rest pale.
        blend: Share of the heat over the photo, in [0, 1]. Default: 0.6.
        top: Share of the pixels that count as important, in percent. Default: 10.
        colours: Colour map of the heat.
        scale: Each map's own (default), or one for all.
    """

    key: ClassVar[str] = "view"
    title: ClassVar[str] = "View"

    view: str = setting(Choice("How the maps are drawn.", tuple(VIEWS), VIEWS), "grey")
    reduction: str = setting(Choice("How three channels become one.", tuple(REDUCTIONS)), "sum_of_absolutes")
    clip: float = setting(Number("Percentile at which the colour scale ends.", 90, 100.0), 99.5)
    blend: float = setting(Number("Share of the heat over the photo.", 0, 1.0), 0.6)
    top: int = setting(Number("Percent of the pixels that count as important.", 1, 50), 10)
    colours: str = setting(Choice("Colour map of the heat.", ("magma", "viridis", "cividis")), "magma")
    scale: str = setting(Choice("Whose values span the colours.", tuple(SCALES), SCALES), "own")

    @property
    def signed(self) -> bool:
        """True if zero is at the centre of the colours."""
        return self.view == "signed" or self.reduction == "signed_sum"

    @property
    def palette(self) -> list[list[int]]:
        """Anchors of the colour map, 8-bit RGB."""
        if self.signed:
            return colour_maps()["blue_orange"]
        return colour_maps()[self.colours if self.view == "heat" else "grey"]

    def draw(self, maps: Sequence[NDArray[Any]], photo: NDArray[np.uint8]) -> list[Drawing]:
        """Draw several maps of one photo.

        Args:
            maps: (3, H, W) each, signed.
            photo: (H, W, 3), 8-bit RGB.
        """
        heats = [reduce(values, "signed_sum" if self.view == "signed" else self.reduction) for values in maps]
        spans = [span(heat, self.clip, self.signed) for heat in heats]
        if spans and self.scale == "shared":
            spans = [shared(spans)] * len(spans)
        return [
            Drawing(self._paint(heat, ends, photo), ends, clipped(heat, ends), is_blank(ends))
            for heat, ends in zip(heats, spans, strict=True)
        ]

    def _paint(self, heat: Heat, ends: Span, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.view == "important":
            chosen = (heat >= np.percentile(heat, 100 - self.top)) & (not is_blank(ends))
            return np.where(chosen[..., None], photo, np.uint8(UNIMPORTANT))
        painted = colour(unit(heat, ends), self.palette)
        if self.view == "heat":
            return np.rint((1 - self.blend) * photo + self.blend * painted).astype(np.uint8)
        return painted
