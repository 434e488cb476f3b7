"""The link: what it holds comes back, whatever else it holds gives a sentence, and never an exception."""

import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import streamlit as st
from hypothesis import example, given, settings
from hypothesis import strategies as some
from streamlit.testing.v1 import AppTest

import attribution as at
from attribution.photo.samples import SAMPLES
from attribution.settings import Choice, Number, Part, described
from attribution.ui.address import parse, query
from attribution.ui.forms import held
from attribution.work.analysis import Analysis

ROOT = Path(__file__).parents[1]


def values(cls: type[Any]) -> some.SearchStrategy[Any]:
    """Any value of a class with settings."""

    def of(kind: Any) -> some.SearchStrategy[Any]:
        if isinstance(kind, Number):
            if kind.whole:
                return some.integers(int(kind.low), int(kind.high))
            return some.floats(kind.low, kind.high, allow_subnormal=False)
        if isinstance(kind, Choice):
            return some.sampled_from(kind.options)
        if isinstance(kind, Part):
            return some.one_of(*map(values, kind.registry.values()))
        return some.tuples(*[some.integers(0, 255).map(lambda level: level / 255)] * 3)  # a colour picker has 8 bits

    return some.builds(cls, **{name: of(kind) for name, kind in described(cls).items()})


CHOICES = some.fixed_dictionaries(
    {
        "source": some.just("Samples"),
        "sample": some.sampled_from(sorted(SAMPLES)),
        "across": some.integers(0, 100),
        "down": some.integers(0, 100),
        "model": some.sampled_from(["squeezenet1_1", "efficientnet_lite0"]),
        "target": some.integers(-1, 999),
        "versus": some.integers(-1, 999),
        "score": some.sampled_from(["probability", "log_odds", "logit"]),
    }
)
METHODS = some.lists(some.sampled_from(sorted(at.METHODS)), unique=True).flatmap(
    lambda keys: some.tuples(*(values(at.METHODS[key]) for key in keys))
)


@given(choices=CHOICES, methods=METHODS)
@settings(max_examples=200, deadline=None)
def test_what_the_sidebar_holds_comes_back_from_its_link(choices: dict[str, Any], methods: tuple[Any, ...]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            st, "session_state", type("State", (dict,), {"__getattr__": dict.__getitem__, "to_dict": dict})(choices)
        )
        link = query(methods)
    assert len(link) < 2000
    found = parse(dict(parse_qsl(link, keep_blank_values=True)))
    assert found.sentences == []
    usual = {"source": "Samples", "sample": "german_shepherd_on_grass", "across": 50, "down": 50}
    usual |= {"model": "squeezenet1_1", "target": -1, "versus": -1, "score": "probability"}
    assert {**usual, **{key: value for key, value in found.state.items() if key in usual}} == choices
    chosen = found.state.get("methods", [key for key, method in at.METHODS.items() if method.chosen])
    assert chosen == [method.key for method in methods]
    for method in methods:
        assert held(type(method), method.key, found.state) == method


PARTS = ("photo", "crop", "model", "target", "versus", "score", "methods", "path", "baselines", "zoom")
NAMES = (*PARTS, *described(at.View), "nonsense", "utm_source")
ODD = """nan,nan 5,nan inf,1,1 1e999 -1 ² 0x1 ~ gradient~gradient ( ))) upload ![x](http://a) 0,0,0 0,0,1e-320
integrated_gradients(steps=9e99) integrated_gradients(baseline=constant(colour=nan/0/0))
integrated_gradients(baseline=integrated_gradients)""".split()
TEXTS = some.one_of(some.text(max_size=30), some.sampled_from([*ODD, "", "1" * 400, "a" * 9000]))
LINKS = some.dictionaries(some.one_of(some.sampled_from(NAMES), some.text(max_size=9)), TEXTS, max_size=6)


@given(parts=LINKS)
@settings(max_examples=1000, deadline=None)
@example(parts={"target": "٣"})
def test_any_link_is_read(parts: dict[str, str]) -> None:
    found = parse(parts)
    assert all(sentence.endswith(".") and "\n" not in sentence.strip() for sentence in found.sentences)
    assert set(found.state.get("methods", [])) <= set(at.METHODS)
    x, y, size = found.window
    assert 0 <= x <= 1
    assert 0 <= y <= 1
    assert 0 < size <= 1


def opened(link: dict[str, str]) -> AppTest:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    for name, text in link.items():
        app.query_params[name] = text
    return app.run()


@pytest.mark.parametrize("examples", [25, pytest.param(1000, marks=pytest.mark.slow)])
def test_no_link_gives_an_exception_on_the_page(examples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Analysis, "compute", lambda self, job: None)  # what is computed is tested elsewhere

    @given(parts=LINKS)
    @settings(max_examples=examples, deadline=None)
    def check(parts: dict[str, str]) -> None:
        app = opened(parts)
        assert not app.exception
        sentences = "\n".join(text.value for text in app.text)
        assert "nonsense" not in parts or "'nonsense' is left out" in sentences

    check()


def test_a_link_sets_every_widget_and_says_what_it_could_not(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"photo": "espresso", "crop": "10,90", "model": "efficientnet_lite0", "target": "281", "versus": "207"}
    parts |= {"score": "log_odds", "methods": "gradient~integrated_gradients(steps=7,baseline=#ff0080)~nonsense"}
    app = opened(parts | {"clip": "97.5", "zoom": "0.1,0.2,0.5", "blend": "7"})
    deadline = time.monotonic() + 60
    while app.session_state["watch-explore"].job.active:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    app.run()
    assert not app.exception
    analysis = app.session_state["watch-explore"].outcome.analysis
    assert (analysis.photo, analysis.model) == ("Espresso", "efficientnet_lite0")
    assert analysis.target == at.Target(281, "log_odds", 207)
    colour = at.baselines.Constant((1.0, 0.0, 128 / 255))
    assert analysis.methods == (at.Gradient(), at.IntegratedGradients(7, colour))
    assert (app.session_state.across, app.session_state.down) == (10, 90)
    assert app.session_state.view == at.View(clip=97.5)
    assert app.session_state.window == (0.1, 0.2, 0.5)
    said = "\n".join(text.value for text in app.text)
    assert "A part of the link is left out: There is no 'nonsense' here" in said
    assert "The link's 'blend' is left out: View: blend must be a number from 0 to 1" in said
    next(button for button in app.button if button.label == "Close").click().run()
    assert "left out" not in "\n".join(text.value for text in app.text)


def test_a_link_to_an_upload_says_that_the_photo_is_missing() -> None:
    app = opened({"photo": "upload", "methods": "gradient"})
    assert "a photo that is not part of it" in "\n".join(text.value for text in app.text)
    assert app.session_state.source == "Upload"
