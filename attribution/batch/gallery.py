"""The gallery of a batch: one self-contained HTML file, beside the photos and maps that it shows."""

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from PIL import Image

from attribution.batch.class_maps import BOX, MeanMap, mean_maps
from attribution.batch.measures import WINDOW
from attribution.batch.prototypes import Key, prototypes
from attribution.drawing.heatmap import colour, is_blank, span, unit
from attribution.drawing.view import View
from attribution.methods import METHODS
from attribution.photo.cells import GRID
from attribution.photo.encode import data_url
from attribution.refusal import Refusal
from attribution.settings import read, summary

MOST_MEANS = 4000  # pictures of mean maps, about 1.5 kB each; of the classes with the most photos
FOLDER = "photos/{:06}/"  # of a photo, by its number

# What the page needs of every photo, and of every map; numbers are rounded to DIGITS.
PHOTO = ("number", "photo", "probability", "score")
MAP = ("delta", "relative_delta", "concentration", "agreement", "box_share", "loss", "window_left", "window_top")
DIGITS = 4


def gallery(table: pa.Table, heading: str, facts: Mapping[str, str], leading: str) -> str:
    """Return the HTML of the gallery, which requests nothing but the photos and maps in the folders beside it.

    Args:
        table: Columns as in `batch.table`; `picture` and `photos/000123/photo.jpg` are paths from the HTML.
        heading: Heading of the page.
        facts: Texts by name for the head of the page, such as the model, the score and the date.
        leading: Text form of the method that has `loss` and `features`.
    """
    here = Path(__file__)
    script = here.with_name("gallery.js").read_text()
    data = json.dumps(_data(table, leading), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Template(here.with_name("gallery.html").read_text()).substitute(
        title=escape(heading),
        facts="\n".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in facts.items()),
        style=here.with_name("gallery.css").read_text(),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        window=WINDOW,
        grid=GRID,
        data=data.replace("<", "\\u003c"),  # no text can end the element or open a comment
    )


def _data(table: pa.Table, leading: str) -> dict[str, Any]:
    methods = pc.unique(table["method"].drop_null()).to_pylist()
    signed = _signed(table, methods)
    texts = _Texts()
    photos, places = _photos(table, texts)
    return {
        "methods": [_described(method) | {"signed": method in signed} for method in methods],
        "leading": methods.index(leading) if leading in methods else None,
        "classes": _classes(table, methods, signed),
        "photos": photos,
        "maps": {
            "photo": [places[number] for number in table["number"].to_pylist()],
            "method": [None if method is None else methods.index(method) for method in table["method"].to_pylist()],
            "picture": [
                texts.add(path and path.replace(FOLDER.format(number), FOLDER.format(0)))
                for number, path in zip(table["number"].to_pylist(), table["picture"].to_pylist(), strict=True)
            ],
            "refusal": list(map(texts.add, table["refusal"].to_pylist())),
            **{name: list(map(_rounded, table[name].to_pylist())) for name in MAP},
        },
        "texts": texts.found,
        "window": WINDOW,
        "grid": GRID,
    }


class _Texts:
    """Texts that many photos share, stored once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def add(self, text: str | None) -> int | None:
        """Return the place of a text among all; None for None."""
        return None if text is None else self._places.setdefault(text, len(self._places))

    @property
    def found(self) -> list[str]:
        """All texts in the order of their places."""
        return list(self._places)


def _photos(table: pa.Table, texts: _Texts) -> tuple[dict[str, list[Any]], dict[int, int]]:
    """Return the columns of the photos, and the place of each number; a photo's facts are those of its first map."""
    names = (*PHOTO, "predicted", "predicted_class", "target", "target_class", *BOX)
    columns = {name: table[name].to_pylist() for name in names}
    first: dict[int, int] = {}
    for row, (number, known) in enumerate(zip(columns["number"], columns["target_class"], strict=True)):
        if number not in first or (known is not None and columns["target_class"][first[number]] is None):
            first[number] = row
    rows = [first[number] for number in sorted(first)]
    found: dict[str, list[Any]] = {name: [_rounded(columns[name][row]) for row in rows] for name in PHOTO}
    found["number"] = sorted(first)
    found["counts"] = [columns["predicted"][row] is not None for row in rows]  # False for a number without a class
    found["predicted"] = [texts.add(columns["predicted_class"][row]) for row in rows]
    found["class"] = [
        None
        if columns["target_class"][row] is None
        else texts.add(_name((columns["target"][row], columns["target_class"][row])))
        for row in rows
    ]
    found["box"] = [None if None in (box := [_rounded(columns[side][row]) for side in BOX]) else box for row in rows]
    return found, {number: place for place, number in enumerate(found["number"])}


def _classes(table: pa.Table, methods: Sequence[str], signed: set[str]) -> list[dict[str, Any]]:
    """Return every explained class with its prototypes and mean maps, the one with the most photos first."""
    counts: dict[Key, set[int]] = {}
    columns = (table[name].to_pylist() for name in ("number", "target", "target_class"))
    for number, target, name in zip(*columns, strict=True):
        if name is not None:
            counts.setdefault((target, name), set()).add(number)
    found, means = prototypes(table), mean_maps(table)
    drawn = 0
    classes = []
    for key, numbers in sorted(counts.items(), key=lambda item: (-len(item[1]), item[0][1], item[0][0] or 0)):
        own = means.get(key, {})
        drawn += sum(1 if each.boxed is None else 2 for each in own.values())
        classes.append(
            {
                "name": key[1],
                "key": _name(key),
                "count": len(numbers),
                "prototypes": [
                    {
                        "maps": each.rows,
                        "loss": _rounded(each.loss),
                        "error": _rounded(each.error),
                        "share": _rounded(each.share),
                    }
                    for each in found.get(key, ())
                ],
                "means": [_drawn(methods.index(method), each, method in signed) for method, each in own.items()]
                if drawn <= MOST_MEANS
                else None,
            }
        )
    return classes


def _name(key: Key) -> str:
    """Return the name of a class that is unique: names of ImageNet, such as crane, repeat."""
    target, name = key
    return name if target is None else f"{name} ({target})"


def _drawn(method: int, mean: MeanMap, signed: bool) -> dict[str, Any]:
    return {
        "method": method,
        "count": mean.count,
        "photo": _picture(mean.cells, signed),
        "boxes": mean.boxes,
        "box": None if mean.boxed is None else _picture(mean.boxed, signed),
    }


def _picture(cells: NDArray[np.float64], signed: bool) -> str:
    """Draw cells as a data URL in the colours of a map; NaN is transparent."""
    known = np.isfinite(cells)
    heat = np.where(known, cells, 0.0)
    view = View().of(signed)
    scales = (span(heat[known], clip, view.signed) for clip in (view.clip, 100.0) if known.any())
    # A few cells may have all there is, beyond the percentile; zeros alone have the middle of signed colours.
    ends = next((each for each in scales if not is_blank(each)), (-1.0, 1.0) if view.signed else (0.0, 1.0))
    rgb = colour(unit(heat, ends), view.palette)
    if known.all():
        return data_url(rgb)
    return data_url(Image.fromarray(np.dstack([rgb, np.uint8(255) * known]), "RGBA"))


def _signed(table: pa.Table, methods: Iterable[str]) -> set[str]:
    """Return the methods of which a map has negative cells."""
    found = set()
    for method in methods:
        cells = table["cells"].filter(pc.fill_null(pc.equal(table["method"], method), False)).drop_null()
        if (pc.min(pc.list_flatten(cells)).as_py() or 0) < 0:
            found.add(method)
    return found


def _described(method: str) -> dict[str, str]:
    """Return the title of a method and its settings; of an unknown one its text."""
    try:
        value = read(method, METHODS)
    except Refusal:
        return {"title": method, "settings": ""}
    return {"title": value.title, "settings": summary(value)}


def _rounded(value: float | str | None) -> float | str | None:
    """Return a number with DIGITS significant digits; None if it is not finite."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() else short
