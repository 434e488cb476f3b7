"""The link: what it holds comes back, whatever else it holds gives a sentence, and never an exception."""

import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some
from streamlit.testing.v1 import AppTest

import attribution as at
from attribution.photo.cells import Cells, CellsSetting
from attribution.photo.crop import WHOLE
from attribution.photo.samples import SAMPLES
from attribution.settings import AutomaticNumber, Choice, LayerName, Number, Part, described
from attribution.ui.address import MISSING_PHOTO_NOTE, parse, query
from attribution.ui.forms import fill, held
from attribution.work.analysis import PreparedAnalysis

ROOT = Path(__file__).parents[1]


def values(cls: type[Any]) -> some.SearchStrategy[Any]:
    """Any value of a class with settings."""

    def of(kind: Any) -> some.SearchStrategy[Any]:
        if isinstance(kind, Number):
            if kind.whole:
                whole = some.integers(int(kind.low), int(kind.high))
                return whole | some.just("auto") if isinstance(kind, AutomaticNumber) else whole
            return some.floats(kind.low, kind.high, allow_subnormal=False)
        if isinstance(kind, Choice):
            return some.sampled_from(kind.options)
        if isinstance(kind, LayerName):
            return some.text("abcxyz019_.", max_size=12)
        if isinstance(kind, CellsSetting):
            return some.binary(min_size=98, max_size=98).map(Cells)
        if isinstance(kind, Part):
            return some.one_of(*map(values, kind.registry.values()))
        return some.tuples(*[some.integers(0, 255).map(lambda level: level / 255)] * 3)  # a colour picker has 8 bits

    return some.builds(cls, **{name: of(kind) for name, kind in described(cls).items()})


INDEX = some.none() | some.integers(0, 999)
METHODS = some.lists(some.sampled_from(sorted(at.METHODS)), unique=True).flatmap(
    lambda keys: some.tuples(*(values(at.METHODS[key]) for key in keys))
)
ANALYSES = some.builds(
    at.Analysis,
    photo=some.sampled_from(sorted(SAMPLES)),
    crop=some.builds(at.Crop, *[some.integers(0, 100)] * 2, some.none() | some.integers(10, 100)) | some.just(WHOLE),
    model=some.sampled_from(["squeezenet1_1", "efficientnet_lite0"]),
    target=INDEX,
    versus=INDEX,
    score=some.sampled_from(["probability", "log_odds", "logit"]),
    methods=METHODS,
)


@given(analysis=ANALYSES.filter(lambda analysis: analysis.target is None or analysis.target != analysis.versus))
@settings(max_examples=200, deadline=None)
def test_an_analysis_comes_back_from_its_link(analysis: at.Analysis) -> None:
    link = query(analysis)
    assert len(link) < 2000
    found = parse(dict(parse_qsl(link, keep_blank_values=True)))
    assert found.sentences == []
    assert found.analysis == analysis


# Links as earlier versions wrote them: each must still be read.
EARLIER = {
    "photo=espresso&crop=10,90&model=efficientnet_lite0&target=281&versus=207&score=log_odds": at.Analysis(
        "espresso", at.Crop(10, 90), "efficientnet_lite0", 281, 207, "log_odds"
    ),
    "methods=gradient~integrated_gradients(steps=50,baseline=constant(colour=%23808080),rule=left)": at.Analysis(
        methods=(at.Gradient(), at.IntegratedGradients(50, at.baselines.Constant((128 / 255,) * 3), "left"))
    ),
    "methods=integrated_gradients(steps=25)": at.Analysis(methods=(at.IntegratedGradients(25),)),
    "target=235&utm_source=mail": at.Analysis(target=235),
    "methods=": at.Analysis(methods=()),
    "photo=upload&crop=0,100": at.Analysis("upload", at.Crop(0, 100)),
    "crop=50/20": at.Analysis(crop=at.Crop(50, 20)),
    "score=logit&view=heat&clip=98&zoom=0.1,0.2,0.5&sanity=sanity(stages=3)&baselines=black~blur(sigma=3)": at.Analysis(
        score="logit"
    ),
}


@pytest.mark.parametrize("link", EARLIER)
def test_a_link_of_an_earlier_version_is_still_read(link: str) -> None:
    found = parse(dict(parse_qsl(link, keep_blank_values=True)))
    assert found.analysis == EARLIER[link]
    assert found.sentences == ([MISSING_PHOTO_NOTE] if "upload" in link else [])
    if "view" in link:
        assert (found.view, found.window) == (at.View("heat", clip=98), (0.1, 0.2, 0.5))
        assert found.state["sanity.stages"] == 3
        assert (found.state["baselines"], found.state["baselines.blur.sigma"]) == (["black", "blur"], 3.0)


@pytest.mark.parametrize(("steps", "shown"), [("auto", None), (25, 25)])
def test_a_form_holds_automatic_steps_as_an_empty_field(steps: int | str, shown: int | None) -> None:
    method, state = at.IntegratedGradients(steps), {}
    fill(method, "form", state)
    assert state["form.steps"] == shown
    assert held(at.IntegratedGradients, "form", state) == method
    assert at.read_method(f"integrated_gradients(steps={steps})") == method
    assert at.read_method(f"integrated_gradients:steps={steps}") == method


PARTS = ("photo", "crop", "model", "target", "versus", "also", "score", "methods", "path", "baselines", "zoom")
NAMES = (*PARTS, *described(at.View), "nonsense", "utm_source")
ODD = """nan,nan 5,nan inf,1,1 1e999 -1 ² 0x1 ~ gradient~gradient ( ))) upload ![x](http://a) 0,0,0 0,0,1e-320
integrated_gradients(steps=9e99) integrated_gradients(baseline=constant(colour=nan/0/0))
integrated_gradients(baseline=integrated_gradients)""".split()
TEXTS = some.one_of(some.text(max_size=30), some.sampled_from([*ODD, "", "1" * 400, "a" * 9000, "7/8", "7/7"]))
LINKS = some.dictionaries(some.one_of(some.sampled_from(NAMES), some.text(max_size=9)), TEXTS, max_size=6)


@given(parts=LINKS)
@settings(max_examples=1000, deadline=None)
@example(parts={"target": "٣"})
def test_any_link_is_read(parts: dict[str, str]) -> None:
    found = parse(parts)
    assert all(sentence.endswith(".") and "\n" not in sentence.strip() for sentence in found.sentences)
    assert {method.key for method in found.analysis.methods} <= set(at.METHODS)
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
    monkeypatch.setattr(PreparedAnalysis, "compute", lambda self, job: None)  # what is computed is tested elsewhere

    @given(parts=LINKS)
    @settings(max_examples=examples, deadline=None)
    def check(parts: dict[str, str]) -> None:
        app = opened(parts)
        assert not app.exception
        sentences = "\n".join(text.value for text in app.text)
        assert "nonsense" not in parts or "Ignored 'nonsense' in the link" in sentences

    check()


def test_a_link_sets_every_widget_and_says_what_it_could_not(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"photo": "espresso", "crop": "10,90", "model": "efficientnet_lite0", "target": "281", "versus": "207"}
    parts |= {"score": "log_odds", "methods": "gradient~integrated_gradients(steps=7,baseline=#ff0080)~nonsense"}
    app = opened(parts | {"clip": "97.5", "zoom": "0.1,0.2,0.5", "blend": "7"})
    deadline = time.monotonic() + 60
    while app.session_state["session"].watches["explore"].job.active:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    app.run()
    assert not app.exception
    analysis = app.session_state["session"].watches["explore"].outcome.analysis
    assert (analysis.photo, analysis.model) == ("Espresso", "efficientnet_lite0")
    assert analysis.target == at.Target(281, "log_odds", 207)
    colour = at.baselines.Constant((1.0, 0.0, 128 / 255))
    assert analysis.methods == (at.Gradient(), at.IntegratedGradients(7, colour))
    assert (app.session_state.across, app.session_state.down) == (10, 90)
    assert app.session_state["session"].view == at.View(clip=97.5)
    assert app.session_state["session"].window == (0.1, 0.2, 0.5)
    said = "\n".join(text.value for text in app.text)
    assert "Ignored in the link: Unknown name 'nonsense'" in said
    assert "Ignored 'blend' in the link: View: blend must be a number from 0 to 1" in said
    next(button for button in app.button if button.label == "Close").click().run()
    assert "Ignored" not in "\n".join(text.value for text in app.text)


def test_a_link_to_an_upload_says_that_the_photo_is_missing() -> None:
    app = opened({"photo": "upload", "methods": "gradient"})
    assert "The photo is not part of the link" in "\n".join(text.value for text in app.text)
    assert app.session_state.source == "Upload"
