"""The findings of the sanity and faithfulness checks as CSV tables and PNG figures."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from attribution.checks.findings import BETTER_DIRECTION, Faithfulness
from attribution.checks.likeness import Likeness
from attribution.checks.perturbation_curves import Curve
from attribution.checks.sanity import Sanity
from attribution.checks.trial import SET_SIZES
from attribution.export.folder import UNCLIPPED
from attribution.export.maps import settings
from attribution.photo.encode import eight_bit
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import write
from attribution.system.files import store_all

DPI = 200  # dots per inch
LINE_COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#4d7c0f", "#6b7280")
SIMILARITY_MEASURES = ("absolute", "signed", "structure")


def sanity(found: Sanity, folder: Path) -> None:
    """Write `sanity.csv`, one row per map, and `sanity.png`: the maps of all stages above the curves."""
    rows: list[list[Any]] = []
    for number, stage in enumerate(found.stages):
        for method, result, alike in zip(found.methods, stage.results, stage.likeness, strict=True):
            written = settings(result) if isinstance(result, Attribution) else ""
            rows.append([number, " ".join(stage.layers), method.key, written, *_explained(result), *_likeness(alike)])
    if found.swap:
        for method, result, alike in zip(found.methods, found.swap.results, found.swap.likeness, strict=True):
            rows.append([None, "another class", method.key, "", *_explained(result), *_likeness(alike)])
    for name, (_, each) in found.controls.items():
        for method, alike in zip(found.methods, each, strict=True):
            rows.append([None, name, method.key, "", "", None, *_likeness(alike)])
    header = ["stage", "random_layers", "method", "settings", "explained", "score"]
    table = _csv([*header, "spearman", "signed_spearman", "ssim"], rows)
    store_all(folder, {"sanity.csv": table, "sanity.png": _sanity_picture(found)})


def faithfulness(found: Faithfulness, folder: Path) -> None:
    """Write `faithfulness.csv`, one row per map, `curves.csv`, one row per point, and `faithfulness.png`."""
    numbers = [
        [
            *(each.name, "map" if place < found.count else "control"),
            *(number for name in BETTER_DIRECTION for number in _area(each.curves.get(name))),
            *(each.sensitivity_n or [None] * len(SET_SIZES)),
            *(each.mean_sensitivity_n, each.sensitivity_n_error, each.infidelity, each.infidelity_error),
            *(each.scaled_infidelity, each.scaled_infidelity_error, found.samples),
            *(each.max_sensitivity, each.moves),
            *(found.target.index, found.target.score, write(found.trial, full=True)),
        ]
        for place, each in enumerate(found.findings)
    ]
    sizes = [f"sensitivity_{size:g}" for size in SET_SIZES]
    areas = [f"{name.lower()}_{number}" for name in BETTER_DIRECTION for number in ("area", "error")]
    header = ["name", "kind", *areas, *sizes]
    header += ["mean_sensitivity_n", "sensitivity_n_error", "infidelity", "infidelity_error", "scaled_infidelity"]
    header += ["scaled_infidelity_error", "samples", "max_sensitivity", "moves", "class", "score", "trial"]
    points = [
        [each.name, name, int(count), count / each.ranks.size, score]
        for each in found.findings
        for name, curve in each.curves.items()
        for count, score in zip(curve.counts, curve.scores, strict=True)
    ]
    contents = {
        "faithfulness.csv": _csv(header, numbers),
        "curves.csv": _csv(["name", "curve", "pixels", "share", "score"], points),
        "faithfulness.png": _faithfulness_picture(found),
    }
    store_all(folder, contents)


def _area(curve: Curve | None) -> tuple[float | None, float | None]:
    return (None, None) if curve is None else (curve.area, curve.error)


def _explained(result: Attribution | Refusal | None) -> list[Any]:
    return [result.explained, result.score] if isinstance(result, Attribution) else [str(result), None]


def _likeness(alike: Likeness | None) -> list[float | None]:
    return [None if alike is None else getattr(alike, name) for name in SIMILARITY_MEASURES]


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(header)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return file.getvalue().encode()


def _sanity_picture(found: Sanity) -> bytes:
    from matplotlib.figure import Figure  # lazy: the import takes half a second

    rows, columns = len(found.methods), len(found.stages)
    sheet = Figure((1.1 * columns + 1, 1.3 * rows + 3.4), layout="constrained")
    strip, below = sheet.subfigures(2, 1, height_ratios=[1.3 * rows, 3.2], squeeze=False).ravel()
    for row, axes in enumerate(strip.subplots(rows, columns, squeeze=False)):
        for number, (axis, stage) in enumerate(zip(axes, found.stages, strict=True)):
            axis.set(xticks=[], yticks=[])
            result = stage.results[row]
            if isinstance(result, Attribution):
                axis.imshow(result.draw(UNCLIPPED), interpolation="none")
            else:
                axis.set_frame_on(False)
            if not row:
                title = fill(f"{number}: {found.label(number)}", 18)
                axis.set_title(title, fontsize=5, loc="left", parse_math=False)
            if not number:
                axis.set_ylabel(found.methods[row].title, fontsize=6, parse_math=False)
    axis = below.subplots()
    for row, method in enumerate(found.methods):
        values = [alike and alike.absolute for alike in (stage.likeness[row] for stage in found.stages)]
        heights = [np.nan if value is None else value for value in values]
        axis.plot(heights, "o-", color=LINE_COLOURS[row % len(LINE_COLOURS)], label=method.title)
    axis.set_xlabel("stage, as numbered above", fontsize=8)
    axis.set_xticks(range(columns))
    axis.set_ylabel("rank correlation with the trained network's map", fontsize=8)
    axis.set_ylim(min(-0.05, axis.get_ylim()[0]), 1.05)
    axis.legend(fontsize=7)
    first = found.stages[0].maps[0]
    sheet.suptitle(f"{first.model}. Explaining: {first.statement}. {write(found.plan)}", fontsize=8, parse_math=False)
    return _png(sheet)


def _faithfulness_picture(found: Faithfulness) -> bytes:
    from matplotlib.figure import Figure

    names = list(found.findings[0].curves)
    sheet = Figure((2.2 + 4.4 * len(names), 4.6), layout="constrained")
    axes = sheet.subplots(1, 1 + len(names), width_ratios=[1, *[2] * len(names)])
    axes[0].imshow(eight_bit(found.x.numpy()))
    axes[0].set_axis_off()
    for axis, name in zip(axes[1:], names, strict=True):
        for place, each in enumerate(found.findings):
            curve = each.curves[name]
            line = "-" if place < found.count else ":"
            label = f"{each.name}, area {curve.area:.3f}"
            colour = LINE_COLOURS[place % len(LINE_COLOURS)]
            axis.plot(curve.counts / each.ranks.size, curve.scores, line, color=colour, label=label)
        axis.set_title(f"{name[0].upper()}{name[1:]}: {BETTER_DIRECTION[name]}")
        axis.set_xlabel(f"share of pixels {'inserted' if name == 'insertion' else 'replaced'}")
        axis.set_ylabel(found.target.axis)
        axis.legend(fontsize=6)
    return _png(sheet)


def _png(sheet: Any) -> bytes:
    file = io.BytesIO()
    sheet.savefig(file, dpi=DPI)
    return file.getvalue()
