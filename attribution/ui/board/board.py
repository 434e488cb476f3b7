"""Mount the board: parts of a photo are covered by hand, and forecasts and answers are drawn in the browser."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from attribution.checks.probe import NOTES, Forecaster
from attribution.photo.cells import GRID, Cells
from attribution.ui.events import Asked, read_asked, read_covered, read_recompute, received
from attribution.viewer import message
from attribution.viewer.bundle import bundle

_FOLDER = Path(__file__).parent
_KEY = "board"

_mount_facts = st.components.v2.component("board_facts", js=bundle(_FOLDER / "board.js"))
_mount = st.components.v2.component(
    "board", css=(_FOLDER / "board.css").read_text(), js=(_FOLDER / "waiting.js").read_text()
)


@dataclass(frozen=True, eq=False)
class Facts:
    """The facts that the browser needs before the first stroke.

    Attributes:
        photo: (H, W, 3), the photo as the network sees it, 8-bit RGB.
        filled: (H, W, 3), what covers it.
        fill: Title of what covers it.
        forecasters: The forecasts of the finished maps, for this fill.
        axis: Name of the score, such as "probability".
        before: Score of the photo.
        whole: Score of the photo with all cells covered.
        top: Most probable classes of the photo: index, name and number, twice.
        explained: Index of the explained class.
        has_shares: True if the numbers of the classes are probabilities.
        link: The parameter of a link without cells, and with `CELLS` in place of theirs.
        hides: True if answers are hidden. Default: False.
    """

    photo: NDArray[np.uint8]
    filled: NDArray[np.uint8]
    fill: str
    forecasters: tuple[Forecaster, ...]
    axis: str
    before: float
    whole: float
    top: Sequence[tuple[int, str, float, float]]
    explained: int
    has_shares: bool
    link: tuple[str, str]
    hides: bool = False


def pack_facts(facts: Facts) -> tuple[str, bytes]:
    """Pack facts into one message: a header, two arrays of sums per map in float64, then both photos, 8 bits each.

    Returns:
        An identifier of the content, and the message.
    """
    height, width, _ = facts.photo.shape
    header = {
        "height": height,
        "width": width,
        "fill": facts.fill,
        "maps": [
            {"title": each.title, "kind": each.kind, "valid": each.valid, "note": NOTES.get(each.kind, "")}
            for each in facts.forecasters
        ],
        "axis": facts.axis,
        "before": facts.before,
        "whole": facts.whole,
        "top": facts.top,
        "explained": facts.explained,
        "hasShares": facts.has_shares,
        "link": facts.link,
        "hides": facts.hides,
    }
    none = np.zeros(GRID * GRID)
    arrays = [
        sums for each in facts.forecasters for sums in (none if each.changes is None else each.changes, each.sizes)
    ]
    body = b"".join([*(sums.astype("<f8").tobytes() for sums in arrays), facts.photo.tobytes(), facts.filled.tobytes()])
    found = hashlib.sha256(json.dumps(header).encode() + body).hexdigest()[:16]
    return found, message.pack({"id": found, **header}, body)


def show_board(
    facts_id: str,
    facts: bytes,
    cells: Cells,
    restored: int,
    answer: Mapping[str, Any] | None,
    ask: Callable[[Asked], None],
    recompute: Callable[[int], None],
    explain: Callable[[Cells], None],
) -> None:
    """Show the board.

    Args:
        facts_id: Identifier of the facts.
        facts: Their message.
        cells: What is covered at first, and after `restored` has changed; the hand then changes it in the browser.
        restored: How often the cells have been set from outside, as by Back or Forward.
        answer: The newest answer about these facts: `number` and `cells` of the question, `score` and `top` as in the
            facts, `rest` with `sentences` or None, `failed` with a sentence or None. None: there is none.
        ask: Called with each question.
        recompute: Called with the place of a map that counts from another baseline.
        explain: Called with the cells whose change is to be explained.
    """

    def asked() -> None:
        if event := received(_KEY, "ask", read_asked):
            ask(event)

    def recomputed() -> None:
        if (event := received(_KEY, "recompute", read_recompute)) and event[1] == facts_id:
            recompute(event[0])

    def explained() -> None:
        if cells := received(_KEY, "explain", read_covered):
            explain(cells)

    _mount_facts(data=facts, key="board-facts")
    shown = {"facts": facts_id, "cells": cells.text, "restored": restored, "answer": answer}
    _mount(
        data=message.pack(shown),
        key=_KEY,
        on_ask_change=asked,
        on_recompute_change=recomputed,
        on_explain_change=explained,
    )
