"""Remedies: what a map's warnings recommend, and the buttons that apply it."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from test_app import finished, results, show, texts
from torch import Tensor, nn

import attribution as at
from attribution.refusal import Remedy
from attribution.work import analysis, cache

ROOT = Path(__file__).parents[1]


@pytest.fixture
def app() -> AppTest:
    return finished(AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run())


def press(app: AppTest, title: str) -> None:
    next(button for button in app.button if button.label == title).click().run()
    finished(app)


def test_more_steps_make_the_sum_better(app: AppTest) -> None:
    app.number_input(key="integrated_gradients.steps").set_value(3)
    app.selectbox(key="integrated_gradients.baseline").set_value("white").run()
    before = results(finished(app))[3]
    assert "more steps would reduce both" in str(before.account)
    press(app, "Use 6 steps")
    after = results(app)[3]
    assert after.settings == {**before.settings, "steps": 6}
    assert after.relative_delta < before.relative_delta


def test_a_lower_sigma_brings_the_class_back(app: AppTest) -> None:
    app.session_state["smoothgrad.samples"], app.session_state["smoothgrad.sigma"] = 3, 0.5
    show(app, ["smoothgrad"])
    assert "lower sigma" in texts(finished(app))
    press(app, "Lower sigma to 0.25")
    assert results(app)[0].settings["sigma"] == app.slider(key="smoothgrad.sigma").value == 0.25
    while offered := [button.label for button in app.button if button.label.startswith("Lower sigma")]:
        press(app, offered[0])
    assert results(app)[0].settings["sigma"] > 0
    assert "lower sigma" not in texts(app)


def test_a_map_that_does_not_see_the_photo_is_replaced(app: AppTest) -> None:
    app.selectbox(key="model").set_value("efficientnet_lite0").run()
    show(app, ["zeiler_fergus"])
    assert "no max-pooling and no gates" in texts(finished(app))
    press(app, "Use Guided backpropagation")
    assert [result.method for result in results(app)] == ["guided_backprop"]
    assert "no max-pooling and no gates" not in texts(app)


class Certain(nn.Module):
    """A network with logits a hundred times as large."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return 100 * self.net(x)  # type: ignore[no-any-return]


def test_log_odds_replace_a_saturated_probability(monkeypatch: pytest.MonkeyPatch, squeezenet: at.Model) -> None:
    known = squeezenet.preprocessing
    certain = at.Model(
        "certain", Certain(squeezenet.net), known.size, known.mean, known.std, squeezenet.classes, device="cpu"
    )
    monkeypatch.setattr(analysis, "loaded", lambda *_: certain)
    cache.RESULT_STORE.make_room(1e18)
    app = finished(AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run())
    show(app, ["gradient"])
    finished(app)
    assert not results(app)[0].values.any()
    press(app, "Explain log-odds")
    assert app.segmented_control(key="score").value == "log_odds"
    assert results(app)[0].values.any()
    assert "underflows" not in texts(app)
    cache.RESULT_STORE.make_room(1e18)


def test_there_are_no_more_than_the_most_steps() -> None:
    assert at.IntegratedGradients(700).refined(700) == at.IntegratedGradients(1000)
    assert at.IntegratedGradients(1000).refined(1000) is None
    assert at.IntegratedGradients().refined(28) == at.IntegratedGradients(56)
    both = at.baselines.BlackAndWhite()
    assert at.IntegratedGradients(baseline=both).refined(61) == at.IntegratedGradients(62, both)
    assert at.Gradient().refined(1) is None


def test_remedies_are_saved(squeezenet: at.Model, shepherd: Tensor, tmp_path: Path) -> None:
    found = at.attribute(squeezenet, shepherd, at.IntegratedGradients(2))
    assert found.remedies == (Remedy("Use 4 steps", method="integrated_gradients(steps=4)"),)
    found.save(tmp_path / "map.npz")
    assert at.load(tmp_path / "map.npz").remedies == found.remedies
