"""The photo and its maps on one sheet, with titles, settings and colour bars, for slides and papers."""

import io
import os
from pathlib import Path
from textwrap import fill
from typing import Any, BinaryIO

import numpy as np

from attribution.drawing.heatmap import colour
from attribution.drawing.view import VIEWS, Drawing, View
from attribution.export.maps import Exported, named, settings, title
from attribution.photo.encode import eight_bit
from attribution.refusal import Refusal
from attribution.result import VERSION, Attribution
from attribution.system.files import store

COLUMNS = 5  # panels in a row, at most
PANEL = 2.4  # inches
LETTER = 6  # points
WIDTH = 46  # letters in a line of a panel
DPI = 300
FORMATS = ("png", "pdf", "svg")


def figure(
    results: Exported,
    path: str | os.PathLike[str] | BinaryIO,
    view: View | None = None,
    format: str | None = None,
) -> None:
    """Write all panels as one picture.

    Args:
        results: Results of one photo, as `compare` returns them.
        path: A file; its ending decides on PNG (300 dots per inch), PDF or SVG.
        view: How the maps are drawn. Default: white to black.
        format: Instead of the ending.

    Raises:
        Refusal: If there is no map, the maps are of several photos, the ending is another, or the disk does not take
            it.
    """
    from matplotlib.figure import Figure  # here, since it takes half a second and most people never ask for it

    ending = format or (Path(path).suffix[1:] if isinstance(path, str | os.PathLike) else "png")
    if ending.lower() not in FORMATS:
        raise Refusal(f"A figure cannot be written as {ending!r}; choose one of {', '.join(FORMATS)}.")
    maps, view = list(named(results).values()), view or View()
    photo = eight_bit(maps[0].pixels)
    rows = -(-(len(maps) + 1) // COLUMNS)
    columns = -(-(len(maps) + 1) // rows)
    sheet = Figure((PANEL * columns, (PANEL + 0.85) * rows + 0.3), layout="constrained")
    axes = sheet.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    axes[0].imshow(photo, interpolation="none")
    index, name, probability = maps[0].prediction[0]
    explained = f"explained: {maps[0].explained}, {maps[0].target.quantity(maps[0].score)}"
    _title(axes[0], "Photo", f"{name} ({index}), probability {probability:.3f}\n{explained}")
    for axis, result, drawing in zip(axes[1:], maps, view.draw([each.values for each in maps], photo), strict=False):
        axis.imshow(drawing.rgb, interpolation="none")
        _title(axis, title(result), _below(result))
        _bar(axis, drawing, view, result.unit)
    sheet.supxlabel(f"{maps[0].model}. {sentence(view)} attribution {VERSION}", fontsize=6, parse_math=False)
    whole = io.BytesIO()
    sheet.savefig(whole, dpi=DPI, format=ending)
    store(path, whole.getvalue())


def sentence(view: View) -> str:
    """Return the way the maps are drawn, in words."""
    drawn = VIEWS[view.view]
    if view.view == "important":
        drawn += f" (top {view.top} %)"
    elif view.view == "heat":
        drawn += f" ({view.blend:.0%}{'' if view.signed else f', {view.colours}'})"
    if view.signed and view.view != "important":
        drawn += ", zero at the centre of the colours"
    reduced = f"{'sum' if view.view == 'signed' else view.reduction.replace('_', ' ')} over the channels"
    if view.view == "important":
        return f"{drawn}; {reduced}."
    clip = "" if view.clip == 100 else f", clipped at percentile {view.clip:g}"
    scale = "one scale for all maps" if view.scale == "shared" else "each map on its own scale"
    return f"{drawn}; {reduced}{clip}, {scale}."


def _below(result: Attribution) -> str:
    """Return the lines between a title and its map."""
    off = "" if result.relative_delta is None else f"sum {result.relative_delta:.1%} off"
    return "\n".join(fill(line, WIDTH) for line in (result.explained, settings(result), off) if line)


def _title(axis: Any, name: str, below: str) -> None:
    axis.set_title(below, fontsize=LETTER, loc="left", parse_math=False)
    height = 1.25 * LETTER * (below.count("\n") + 1) + 6  # points
    place = {"xycoords": "axes fraction", "textcoords": "offset points"}
    axis.annotate(name, (0, 1), (0, height + 4), fontsize=8, fontweight="bold", parse_math=False, **place)


def _bar(axis: Any, drawing: Drawing, view: View, unit: str) -> None:
    """Draw a colour bar under a map, with the ends of its scale in numbers."""
    low, high = drawing.span
    if drawing.blank or view.view == "important":
        return
    ramp = np.linspace(0, 1, 256)[None]  # (1, 256)
    bar = axis.inset_axes((0, -0.09, 1, 0.04))
    bar.imshow(colour(ramp, view.palette), aspect="auto", extent=(0, 1, 0, 1))
    bar.set_xticks([0, 1], [f"{low:.3g}", f"{high:.3g} {unit}"], fontsize=6)
    bar.set_yticks([])
    bar.get_xticklabels()[0].set_horizontalalignment("left")
    bar.get_xticklabels()[1].set_horizontalalignment("right")
