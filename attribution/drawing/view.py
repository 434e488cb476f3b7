"""View: the settings for drawing maps, shared by the browser's viewer and exported figures.

`viewer/` implements the same in the browser; `tests/test_viewer.py` keeps the two equal, pixel by pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from attribution.drawing.heatmap import (
    REDUCTION_LABELS,
    REDUCTIONS,
    Heat,
    Span,
    channels,
    clipped,
    colour,
    colour_maps,
    is_blank,
    outlined,
    reduce,
    shared,
    span,
    unit,
)
from attribution.settings import Choice, Configurable, Number, setting

VIEWS = {
    "method": "As the method asks",
    "grey": "White to black",
    "heat": "Heatmap over photo",
    "signed": "Signed",
    "rgb": "RGB",
    "important": "Important pixels",
}
SCALES = {"own": "Per map", "shared": "Shared"}
UNIMPORTANT_GREY = 235  # grey level, from 0 to 255, of pixels that are not important


@dataclass(frozen=True, eq=False)
class Drawing:
    """One drawn map.

    Attributes:
        rgb: (H, W, 3), 8-bit RGB.
        span: The values at both ends of the colour scale.
        clipped: Share of the pixels outside the scale, in percent.
        blank: True if the map is constant, so that there is nothing to draw.
    """

    rgb: NDArray[np.uint8]
    span: Span
    clipped: float
    blank: bool


@dataclass(frozen=True)
class View(Configurable):
    """Settings for drawing maps.

    Attributes:
        view: "method": signed or white to black, whichever the method asks for (default); "grey": white to black;
            "heat": heatmap over the photo; "signed": centred at zero, blue against and orange for the target; "rgb":
            the three channels as red, green and blue, with grey for zero; "important": only the important pixels.
        reduction: Reduction of the channels to one number per pixel; the signed view always uses the sum.
        clip: Percentile at which the colour scale ends. Default: 99.5; at 100, a few outliers make all else pale.
        blend: Opacity of the heatmap over the photo, in [0, 1]. Default: 0.6.
        top: Percentage of the pixels that count as important. Default: 10.
        colours: Colour map of the heatmap. Default: magma.
        scale: One colour scale per map, "own" (default), or one for all, "shared".
        outlines: Outlines of the segments of maps that have some, "shown" (default) or "hidden".
    """

    key: ClassVar[str] = "view"
    title: ClassVar[str] = "View"

    view: str = setting(Choice("Style of drawing.", tuple(VIEWS), VIEWS), "method")
    reduction: str = setting(
        Choice("Reduction of the channels to one number per pixel.", tuple(REDUCTIONS), REDUCTION_LABELS),
        "sum_of_absolutes",
    )
    clip: float = setting(Number("Percentile at which the colour scale ends.", 90, 100.0), 99.5)
    blend: float = setting(Number("Opacity of the heatmap over the photo.", 0, 1.0), 0.6)
    top: int = setting(Number("Percentage of the pixels that count as important.", 1, 50), 10)
    colours: str = setting(Choice("Colour map of the heatmap.", ("magma", "viridis", "cividis")), "magma")
    scale: str = setting(Choice("Colour scale: one per map, or shared.", tuple(SCALES), SCALES), "own")
    outlines: str = setting(Choice("Outlines of the segments, if a map has some.", ("shown", "hidden")), "shown")

    @property
    def signed(self) -> bool:
        """True if the colour scale is centred at zero."""
        return self.view in ("signed", "rgb") or self.reduction == "signed_sum"

    @property
    def palette(self) -> list[list[int]]:
        """The anchors of the colour map, 8-bit RGB; in the view "rgb" those of each channel."""
        if self.view == "rgb":
            return colour_maps()["grey"][::-1]
        if self.signed:
            return colour_maps()["blue_orange"]
        return colour_maps()[self.colours if self.view == "heat" else "grey"]

    def of(self, signed: bool) -> "View":
        """Return the view of one map, in which "method" is replaced by the view that its method asks for.

        Args:
            signed: True if the map's method asks for signed colours, as `Attribution.signed`.
        """
        return replace(self, view="signed" if signed else "grey") if self.view == "method" else self

    def draw(
        self,
        maps: Sequence[NDArray[Any]],
        photo: NDArray[np.uint8],
        signed: Sequence[bool] | None = None,
        segments: Sequence[NDArray[Any] | None] | None = None,
    ) -> list[Drawing]:
        """Draw several maps of one photo.

        Args:
            maps: (3, H, W) each, signed.
            photo: (H, W, 3), 8-bit RGB.
            signed: As for `of`, one per map. Default: none is.
            segments: Labels of the segments, (H, W), or None, one per map. Default: no map has segments.
        """
        views = [self.of(each) for each in signed or [False] * len(maps)]
        heats = [view._heat(values) for view, values in zip(views, maps, strict=True)]
        spans = [span(heat, self.clip, view.signed) for view, heat in zip(views, heats, strict=True)]
        if self.scale == "shared":
            spans = [
                shared([ends for other, ends in zip(views, spans, strict=True) if other == view]) for view in views
            ]
        return [
            Drawing(view._outline(view._paint(heat, ends, photo), labels), ends, clipped(heat, ends), is_blank(ends))
            for view, heat, ends, labels in zip(views, heats, spans, segments or [None] * len(maps), strict=True)
        ]

    def _heat(self, values: NDArray[Any]) -> Heat:
        """Reduce the channels, (3, H, W) -> (H, W), unless each is drawn."""
        if self.view == "rgb":
            return values.astype(np.float64)
        return reduce(values, "signed_sum" if self.view == "signed" else self.reduction)

    def _paint(self, heat: Heat, ends: Span, photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self.view == "important":
            chosen = (heat >= np.percentile(heat, 100 - self.top)) & (not is_blank(ends))
            return np.where(chosen[..., None], photo, np.uint8(UNIMPORTANT_GREY))
        if self.view == "rgb":
            return channels(unit(heat, ends))
        painted = colour(unit(heat, ends), self.palette)
        if self.view == "heat":
            return np.rint((1 - self.blend) * photo + self.blend * painted).astype(np.uint8)
        return painted

    def _outline(self, rgb: NDArray[np.uint8], segments: NDArray[Any] | None) -> NDArray[np.uint8]:
        return rgb if segments is None or self.outlines == "hidden" else outlined(rgb, segments)
