"""One figure of the photo and its maps, with titles, settings and colour bars, for slides and papers."""

import io
import math
import os
from pathlib import Path
from textwrap import fill
from typing import Any, BinaryIO

import numpy as np

from attribution.drawing.heatmap import colour
from attribution.drawing.view import VIEWS, Drawing, View
from attribution.export.maps import Exported, by_target, named, settings, title
from attribution.photo.encode import eight_bit
from attribution.refusal import Refusal
from attribution.result import VERSION, Attribution
from attribution.system.files import store
from attribution.viewer.message import Signs

MAX_COLUMNS = 5  # panels per row, at most
PANEL_SIZE = 2.4  # inches of a panel's side
FONT_SIZE = 6  # points of the panel text
LINE_LENGTH = 46  # characters per line of panel text
LINE_HEIGHT = 1.25  # of the font size
USUAL_LINES = 3  # below a panel's title, for which there is room
HEADING_LENGTH = 28  # characters per line of the heading of a row
DPI = 300  # dots per inch
MAX_PIXELS = 40e6  # of a PNG; 19 methods for four classes would have 57 million
FORMATS = ("png", "pdf", "svg")


def figure(
    results: Exported,
    path: str | os.PathLike[str] | BinaryIO,
    view: View | None = None,
    format: str | None = None,
    dpi: int = DPI,
) -> None:
    """Write all panels as one picture; the maps of several targets in rows of their own.

    Args:
        results: Results of one photo, as `compare` returns them.
        path: A path or a binary file. The path's suffix selects PNG, PDF or SVG.
        view: View settings. Default: as each method asks for, signed or white to black.
        format: "png", "pdf" or "svg"; overrides the suffix. Default: by the suffix, or PNG for a binary file.
        dpi: Dots per inch of a PNG; fewer if the figure would have more than 40 megapixels. Default: 300.

    Raises:
        Refusal: If there is no map, the maps are of several photos, the format is not supported, or the file cannot be
            written.
    """
    from matplotlib.figure import Figure  # lazy: the import takes half a second

    ending = format or (Path(path).suffix[1:] if isinstance(path, str | os.PathLike) else "png")
    if ending.lower() not in FORMATS:
        raise Refusal(f"A figure cannot be written as {ending!r}; choose one of {', '.join(FORMATS)}.")
    groups, view = [list(each.values()) for each in by_target(named(results))], view or View()
    maps = [result for group in groups for result in group]
    photo = eight_bit(maps[0].pixels)
    panels = 1 + max(map(len, groups))
    rows = -(-panels // MAX_COLUMNS)  # of each target
    columns = -(-panels // rows)
    predicted = maps[0].target.predicted(*maps[0].prediction[0])
    photos = "\n".join(fill(line, LINE_LENGTH) for line in (predicted, f"Explaining: {maps[0].statement}"))
    lines = 1 + max(each.count("\n") for each in (photos, *map(_below, maps)))
    height = PANEL_SIZE + 0.85 + max(0, lines - USUAL_LINES) * LINE_HEIGHT * FONT_SIZE / 72
    sheet = Figure((PANEL_SIZE * columns, height * rows * len(groups) + 0.3), layout="constrained")
    axes = sheet.subplots(rows * len(groups), columns, squeeze=False).reshape(len(groups), -1)
    for axis in axes.flat:
        axis.set_axis_off()
    axes[0, 0].imshow(photo, interpolation="none")
    _title(axes[0, 0], "Photo", photos)
    for row, group in zip(axes[1:], groups[1:], strict=True):
        heading = fill(group[0].statement, HEADING_LENGTH)
        row[0].text(0, 1, heading, fontsize=8, fontweight="bold", verticalalignment="top", parse_math=False)
    cells = [axis for row, group in zip(axes, groups, strict=True) for axis in row[1 : 1 + len(group)]]
    signed, segments = [each.signed for each in maps], [each.segments for each in maps]
    drawings = view.draw([each.values for each in maps], photo, signed, segments)
    for axis, result, drawing in zip(cells, maps, drawings, strict=True):
        axis.imshow(drawing.rgb, interpolation="none")
        _title(axis, title(result), _below(result))
        _bar(axis, drawing, view.of(result.signed), result)
    sheet.supxlabel(f"{maps[0].model}. {sentence(view)} attribution {VERSION}", fontsize=6, parse_math=False)
    whole = io.BytesIO()
    width, height = sheet.get_size_inches()
    sheet.savefig(whole, dpi=min(dpi, math.sqrt(MAX_PIXELS / (width * height))), format=ending)
    store(path, whole.getvalue())


def sentence(view: View) -> str:
    """Describe how the maps are drawn."""
    drawn = VIEWS[view.view]
    if view.view == "important":
        drawn += f" (top {view.top}%)"
    elif view.view == "heat":
        drawn += f" ({view.blend:.0%}{'' if view.signed else f', {view.colours}'})"
    if view.signed and view.view != "important":
        drawn += ", centred at zero"
    reductions = {"signed": "sum", "rgb": "grey for zero", "method": f"sum if signed, else {view.reduction}"}
    reduced = f"{reductions.get(view.view, view.reduction).replace('_', ' ')} over the channels"
    if view.view == "important":
        return f"{drawn}; {reduced}."
    clip = "" if view.clip == 100 else f", clipped at percentile {view.clip:g}"
    scale = "shared scale" if view.scale == "shared" else "one scale per map"
    return f"{drawn}; {reduced}{clip}, {scale}."


def _below(result: Attribution) -> str:
    """Return the lines below a panel's title."""
    off = "" if result.relative_delta is None else f"sum off by {result.relative_delta:.1%}"
    return "\n".join(fill(line, LINE_LENGTH) for line in (result.explained, settings(result), off) if line)


def _title(axis: Any, name: str, below: str) -> None:
    axis.set_title(below, fontsize=FONT_SIZE, loc="left", parse_math=False)
    height = LINE_HEIGHT * FONT_SIZE * (below.count("\n") + 1) + 6  # points
    place = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axis.annotate(name, (0, 1), (0, height + 4), fontsize=8, fontweight="bold", parse_math=False, **place)


def _bar(axis: Any, drawing: Drawing, view: View, result: Attribution) -> None:
    """Draw a colour bar under a map, labelled with the values at both ends and, if signed, what they mean."""
    low, high = drawing.span
    if drawing.blank or view.view == "important":
        return
    ramp = np.linspace(0, 1, 256)[None]  # (1, 256)
    bar = axis.inset_axes((0, -0.09, 1, 0.04))
    bar.imshow(colour(ramp, view.palette), aspect="auto", extent=(0, 1, 0, 1))
    meanings = Signs.of(result).meanings if view.signed and view.view != "rgb" else None
    against, favour = meanings or ("", "")
    ends = (f"{low:.3g} {against}", f"{favour} {high:.3g} {result.unit}")
    bar.set_xticks([0, 1], [each.strip() for each in ends], fontsize=6)
    bar.set_yticks([])
    bar.get_xticklabels()[0].set_horizontalalignment("left")
    bar.get_xticklabels()[1].set_horizontalalignment("right")
