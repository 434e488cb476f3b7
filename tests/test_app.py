"""The dashboard's script through AppTest: every page and every method once, refusals readable, no exception."""

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from toys import BRIEF, CONVOLUTIONAL

import attribution as at
from attribution.checks import convergence
from attribution.settings import described
from attribution.ui import watch
from attribution.ui.session import session
from attribution.work.jobs import Job

ROOT = Path(__file__).parents[1]
FIRST = [key for key, method in at.METHODS.items() if method.chosen]


@pytest.fixture
def app() -> AppTest:
    return finished(AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run())


def finished(app: AppTest) -> AppTest:
    """Run until the worker is done, as the browser's timer would."""
    return until(app, lambda: not app.session_state["session"].watches["explore"].job.active)


def until(app: AppTest, condition: Callable[[], bool]) -> AppTest:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
        app.run()
    app.run()
    assert not app.exception
    return app


def results(app: AppTest) -> list[at.Attribution]:
    outcome = app.session_state["session"].watches["explore"].outcome
    return [outcome.results[place] for place in range(len(outcome.analysis.methods))]


def methods_shown(app: AppTest) -> list[str]:
    return [result.method for result in results(app)]


def texts(app: AppTest) -> str:
    shown = (*app.markdown, *app.caption, *app.text, *app.error, *app.warning, *app.info, *app.html)
    return "\n".join(element.value for element in shown)


def test_it_opens_with_the_shepherd_and_four_maps(app: AppTest) -> None:
    outcome = app.session_state["session"].watches["explore"].outcome
    assert methods_shown(app) == FIRST == ["gradient", "guided_backprop", "zeiler_fergus", "integrated_gradients"]
    assert outcome.prediction[0][1] == "German shepherd"
    assert "German shepherd" in texts(app)
    assert results(app)[3].settings["steps"] == "auto"
    assert app.number_input(key="integrated_gradients.steps").value is None
    assert re.search(r"After \d\d gradients, the estimated error of the map is 4\.\d%", texts(app))
    assert re.search(r"The map sums to [\d.]+; the score difference is 0\.997 ", texts(app))
    assert "Images along the integration path" in texts(app)


def show(app: AppTest, keys: list[str]) -> None:
    """Choose these methods and no other, by the pills of their groups."""
    for place in [each.key for each in app.pills if str(each.key).startswith("methods-")]:
        pills = app.pills(key=place)
        titles = set(pills.options)
        pills.set_value([key for key in keys if at.METHODS[key].title in titles]).run()
    assert app.session_state["methods"] == keys


@pytest.mark.parametrize("key", CONVOLUTIONAL)
def test_every_method_is_shown_by_itself(app: AppTest, key: str) -> None:
    for name, value in BRIEF.items():
        if name in described(at.METHODS[key]) and name != "negative":
            app.session_state[f"{key}.{name}"] = value
    show(app, [key])
    finished(app)
    assert methods_shown(app) == [key]


def test_steps_baseline_colour_and_rule_reach_the_method(app: AppTest) -> None:
    show(app, ["integrated_gradients"])
    app.number_input(key="integrated_gradients.steps").set_value(3)
    app.selectbox(key="integrated_gradients.rule").set_value("trapezoid")
    app.selectbox(key="integrated_gradients.baseline").set_value("constant").run()
    app.color_picker(key="integrated_gradients.baseline.constant.colour").set_value("#ff0080").run()
    finished(app)
    (result,) = results(app)
    assert result.settings == {"steps": 3, "baseline": "constant(colour=#ff0080)", "rule": "trapezoid"}
    assert result.backwards == 3


def test_any_class_can_be_the_target(app: AppTest) -> None:
    app.session_state.target = 281
    app.run()
    finished(app)
    assert {result.target.index for result in results(app)} == {281}
    assert "tabby" in texts(app)


def test_the_other_embedded_model_says_that_zeiler_fergus_hardly_sees_the_photo(app: AppTest) -> None:
    app.selectbox(key="model").set_value("efficientnet_lite0").run()
    finished(app)
    assert app.session_state["session"].watches["explore"].outcome.prediction[0][1] == "German shepherd"
    assert "no max-pooling and no gates" in texts(app)


@pytest.mark.parametrize("sample", ["dog_over_cat", "espresso"])
def test_another_sample_photo(app: AppTest, sample: str) -> None:
    before = app.session_state["session"].watches["explore"].outcome.analysis.key
    app.selectbox(key="sample").set_value(sample).run()
    finished(app)
    assert app.session_state["session"].watches["explore"].outcome.analysis.key != before


def test_an_uploaded_photo_is_explained(app: AppTest, samples: Path) -> None:
    app.segmented_control(key="source").set_value("Upload").run()
    assert "No photo yet" in texts(app)
    assert methods_shown(app) == FIRST  # the old maps stay
    app.file_uploader(key="upload").upload("mine.jpg", (samples / "giant_panda.jpg").read_bytes()).run()
    finished(app)
    assert app.session_state["session"].watches["explore"].outcome.prediction[0][1] == "giant panda"


@pytest.mark.parametrize("content", [b"no photo", b"", b"\xff\xd8\xff\xe0 cut off"])
def test_a_broken_upload_gives_a_sentence_and_the_old_maps_stay(app: AppTest, content: bytes) -> None:
    app.segmented_control(key="source").set_value("Upload").run()
    app.file_uploader(key="upload").upload("photo.png", content).run()
    assert not app.exception
    assert any(sentence in texts(app) for sentence in ("not a readable photo", "is empty", "truncated"))
    assert methods_shown(app) == FIRST


def test_no_method_gives_a_sentence(app: AppTest) -> None:
    show(app, [])
    finished(app)
    assert results(app) == []
    assert "Choose at least one method" in texts(app)


def test_a_model_that_needs_a_network_says_so_without_one(
    app: AppTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import torch
    from torchvision.models import ResNet18_Weights

    monkeypatch.setattr(ResNet18_Weights.IMAGENET1K_V1.value, "url", "http://127.0.0.1:9/resnet18-f37072fd.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    app.selectbox(key="model").set_value("resnet18").run()
    finished(app)
    assert "choose a model without a download: squeezenet1_1, efficientnet_lite0." in texts(app)
    assert methods_shown(app) == FIRST


def test_cancel_keeps_the_old_maps_and_compute_starts_again(app: AppTest) -> None:
    before = app.session_state["session"].watches["explore"].outcome
    app.number_input(key="integrated_gradients.steps").set_value(1000).run()
    assert app.session_state["session"].watches["explore"].job.active
    next(button for button in app.button if button.label == "Cancel").click().run()
    until(app, lambda: app.session_state["session"].watches["explore"].job.state == "cancelled")
    assert app.session_state["session"].watches["explore"].outcome is before
    assert "Cancelled" in texts(app)
    app.number_input(key="integrated_gradients.steps").set_value(4).run()
    finished(app)
    assert results(app)[3].backwards == 4


def test_an_unexpected_error_gives_a_sentence_without_its_text(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: at.Model, x: object, k: int = 5) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(at.Model, "predict", fail)
    app.number_input(key="integrated_gradients.steps").set_value(5).run()
    finished(app)
    assert "Something went wrong" in texts(app)
    assert "secret" not in texts(app)


def test_the_methods_page_describes_every_method_and_the_choices_survive_it(app: AppTest) -> None:
    app.selectbox(key="sample").set_value("espresso").run()
    finished(app)
    app.switch_page("attribution/ui/pages/methods.py").run()
    assert not app.exception
    for method in at.METHODS.values():
        assert method.cannot in texts(app)
    app.switch_page("attribution/ui/pages/explore.py").run()
    assert app.selectbox(key="sample").value == "espresso"
    assert app.session_state["session"].watches["explore"].outcome.analysis.photo == "Espresso"


def test_a_change_waits_for_a_click_when_automatic_is_off(app: AppTest) -> None:
    app.toggle(key="automatic").set_value(False).run()
    app.number_input(key="integrated_gradients.steps").set_value(4).run()
    assert not app.session_state["session"].watches["explore"].job.active
    assert "The settings have changed" in texts(app)
    next(button for button in app.button if button.label == "Compute").click().run()
    finished(app)
    assert results(app)[3].backwards == 4


def test_cancelled_work_waits_for_a_click_when_automatic_is_off(app: AppTest) -> None:
    app.toggle(key="automatic").set_value(False).run()
    app.number_input(key="integrated_gradients.steps").set_value(1000).run()
    next(button for button in app.button if button.label == "Compute").click().run()
    next(button for button in app.button if button.label == "Cancel").click().run()
    for steps in (999, 1000):  # the choices change, and are again those of the cancelled job
        app.number_input(key="integrated_gradients.steps").set_value(steps).run()
        assert not app.session_state["session"].watches["explore"].active()
    assert "Cancelled" in texts(app)


def test_reset_gives_the_settings_their_defaults(app: AppTest) -> None:
    app.number_input(key="integrated_gradients.steps").set_value(4)
    app.selectbox(key="integrated_gradients.baseline").set_value("white").run()
    next(button for button in app.button if button.label == "Reset").click().run()
    finished(app)
    assert results(app)[3].settings == {"steps": "auto", "baseline": "black", "rule": "adaptive"}


def test_score_and_second_class_reach_the_engine(app: AppTest) -> None:
    app.segmented_control(key="score").set_value("log_odds")
    app.session_state.versus = 207
    app.run()
    finished(app)
    assert results(app)[0].target == at.Target(235, "log_odds", versus=207)
    assert "Explaining: German shepherd against golden retriever (log-odds " in texts(app)
    app.session_state.versus = 235
    app.run()
    finished(app)
    assert "choose another second class" in texts(app)


def test_the_crop_can_be_moved(app: AppTest) -> None:
    before = app.session_state["session"].watches["explore"].outcome.analysis
    app.session_state.across = 100
    app.run()
    finished(app)
    after = app.session_state["session"].watches["explore"].outcome.analysis
    assert after.key != before.key
    assert after.full == before.full == (560, 560)
    app.session_state.size = 50
    app.run()
    finished(app)
    smaller = app.session_state["session"].watches["explore"].outcome.analysis
    assert smaller.full == (320, 320)
    assert smaller.key not in (before.key, after.key)
    app.selectbox(key="sample").set_value("espresso").run()
    assert (app.session_state.across, app.session_state.size) == (50, 0)  # another photo is seen from its middle


def test_a_whole_photo_is_saved_in_pixels_of_the_photo_and_stays_whole_with_the_next_one(app: AppTest) -> None:
    app.selectbox(key="sample").set_value("espresso").run()
    app.toggle(key="fit").set_value(True).run()
    finished(app)
    analysis = app.session_state["session"].watches["explore"].outcome.analysis
    assert analysis.analysis.crop == at.Crop(50, 50, "fit")
    assert analysis.full == (pytest.approx(600, abs=2), 600)
    assert "Bars in the mean colour fill the square." in texts(app)
    app.selectbox(key="sample").set_value("tabby_cat").run()
    finished(app)
    assert app.session_state.fit
    assert "The network sees the whole photo." in texts(app)
    assert "Bars" not in texts(app)  # a square photo leaves none


def test_hiding_a_method_computes_nothing_again(app: AppTest) -> None:
    before = {result.method: result for result in results(app)}
    show(app, ["gradient", "integrated_gradients"])
    finished(app)
    assert [result is before[result.method] for result in results(app)] == [True, True]


def page_done(app: AppTest, page: str) -> AppTest:
    app.switch_page(f"attribution/ui/pages/{page}.py").run()
    return until(app, lambda: not app.session_state["session"].watches[page].job.active)


def test_the_path_page_measures_the_path_of_the_session(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convergence, "REFERENCE_STEPS", 33)  # the real lengths are tested elsewhere
    monkeypatch.setattr(convergence, "MAX_ADAPTIVE_STEPS", 16)
    app.session_state["path.steps"] = 8
    app.selectbox(key="sample").set_value("espresso").run()
    page_done(app, "path")
    found = app.session_state["session"].watches["path"].outcome.study
    assert found.explained == "espresso"
    assert {figures.rule for figures in found.figures} >= {"adaptive", "midpoint"}
    assert "Map error below 5%: adaptive" in texts(app)
    assert "All rules at 8 steps" in "\n".join(each.value for each in app.header)
    app.slider(key="path.steps").set_value(12).run()
    until(app, lambda: not app.session_state["session"].watches["path"].job.active)
    assert app.session_state["session"].watches["path"].outcome.study.steps == 12
    page_done(app, "explore")
    page_done(app, "path")
    assert app.slider(key="path.steps").value == 12


@pytest.mark.parametrize(("keys", "explains"), [(["occlusion"], "Integrated gradients"), (["idgi"], "IDGI")])
def test_the_baseline_page_explains_by_a_method_that_starts_there(app: AppTest, keys: list[str], explains: str) -> None:
    for key in keys:
        app.session_state[f"{key}.steps" if key == "idgi" else f"{key}.window"] = 4 if key == "idgi" else 200
    show(app, keys)
    app.session_state["baselines"] = ["black", "black_and_white"]
    page_done(app, "baselines")
    assert f"{explains}: each map distributes the score difference" in texts(app)
    assert ("Blind pixels" in texts(app)) == (explains == "Integrated gradients")
    assert "Mean entropy of 2 images" in texts(app)


def test_the_baseline_page_compares_the_method_that_is_asked_for(app: AppTest) -> None:
    show(app, ["gradient"])
    app.session_state["baselines"] = ["black", "blur"]
    page_done(app, "baselines")
    app.selectbox(key="compared.method").set_value("deep_lift").run()
    until(app, lambda: not app.session_state["session"].watches["baselines"].job.active)
    found = app.session_state["session"].watches["baselines"].outcome
    assert [each.method for each in found.outcome.finished.maps] == ["deep_lift", "deep_lift"]
    assert "DeepLIFT: each map distributes the score difference" in texts(app)
    assert "All other settings have their defaults" in texts(app)


def test_the_baseline_page_makes_one_map_for_each_baseline(app: AppTest) -> None:
    page_done(app, "baselines")
    found = app.session_state["session"].watches["baselines"].outcome
    assert [start.baseline.key for start in found.starts] == ["black", "white", "uniform_noise", "blur"]
    maps = [found.outcome.results[number].values for number in range(4)]
    assert len({each.tobytes() for each in maps}) == 4
    assert all(0 <= start.entropy <= 10 and 0 <= start.blind <= 1 for start in found.starts)
    assert "Blind pixels" in texts(app)
    app.pills(key="baselines").set_value(["grey", "blur"]).run()
    until(app, lambda: not app.session_state["session"].watches["baselines"].job.active)
    starts = app.session_state["session"].watches["baselines"].outcome.starts
    assert [start.baseline.key for start in starts] == ["grey", "blur"]
    app.slider(key="baselines.blur.sigma").set_value(3.0).run()
    until(app, lambda: not app.session_state["session"].watches["baselines"].job.active)
    assert app.session_state["session"].watches["baselines"].outcome.starts[1].baseline == at.baselines.Blur(3.0)
    app.pills(key="baselines").set_value([]).run()
    assert "Choose at least one baseline" in texts(app)


def test_the_sanity_page_takes_the_network_apart(app: AppTest) -> None:
    show(app, ["gradient", "guided_backprop"])
    app.session_state["sanity.stages"] = 3
    page_done(app, "sanity")
    tried = app.session_state["session"].watches["sanity"].outcome
    assert [len(stage.results) for stage in tried.sanity.stages] == [2, 2, 2, 2]
    assert re.search(r"Guided backpropagation: similarity after randomising all weights, 0\.\d\d", texts(app))
    assert tried.sanity.swap.results[0].target.index != tried.sanity.stages[0].results[0].target.index
    assert "Similarity between its logit maps of this class and " in texts(app)
    assert "constant map" not in texts(app)
    app.selectbox(key="sanity.target_class").set_value("picked_again").run()
    until(app, lambda: not app.session_state["session"].watches["sanity"].job.active)
    again = app.session_state["session"].watches["sanity"].outcome.sanity
    assert len({stage.results[0].target.index for stage in again.stages}) > 1
    app.slider(key="sanity.stages").set_value(2).run()
    assert app.session_state["session"].watches["sanity"].job.active
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert "Cancelled" in texts(app)


def test_the_faithfulness_page_tries_the_maps(app: AppTest) -> None:
    show(app, ["gradient", "grad_cam"])
    app.session_state["grad_cam.stage"] = 9  # there is no such layer, so one of two methods refuses
    for name, number in (("steps", 5), ("samples", 3), ("moves", 1), ("road_steps", 2)):
        app.session_state[f"faithfulness.{name}"] = number
    page_done(app, "faithfulness")
    assert "ROAD, area" in texts(app)
    tested = app.session_state["session"].watches["faithfulness"].outcome
    assert tested.finished
    assert [each.name for each in tested.found.findings[: tested.found.count]] == ["Gradient"]
    assert "Gradient beats" in texts(app)
    assert "squeezenet1_1 has no stage 9" in texts(app)
    assert app.number_input(key="faithfulness.road_steps").label == "ROAD steps"
    app.selectbox(key="faithfulness.deleted_to").set_value("black").run()
    until(app, lambda: not app.session_state["session"].watches["faithfulness"].job.active)
    again = app.session_state["session"].watches["faithfulness"].outcome
    assert again.found.trial.deleted_to == at.baselines.Black()
    assert again.outcome.results[0] is tested.outcome.results[0]
    for before, after in zip(tested.found.findings, again.found.findings, strict=True):  # only deletion is measured
        assert after.insertion is before.insertion
        assert after.ranks is before.ranks
        assert after.deletion.scores[-1] != before.deletion.scores[-1]


def test_a_job_that_ends_while_the_page_is_drawn_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    halfway = threading.Event()

    class Halves:
        key, device, model = f"halves {id(halfway)}", "test", "none"

        def compute(self, job: Job[str]) -> str:
            job.report(0.5, so_far="half")
            assert halfway.wait(10)
            return "whole"

        def remembered(self) -> None:
            return None

    def draw(found: str) -> None:
        st.text(found)
        halfway.set()
        job = session().watches["halves"].job
        while job.active:
            time.sleep(0.001)

    asked: list[int] = []
    monkeypatch.setattr(watch, "poll_again", lambda number, after: asked.append(number))
    monkeypatch.setattr(watch, "halves", (Halves(), draw), raising=False)

    def script() -> None:
        from attribution.ui import watch

        task, draw = watch.halves
        watch.show("halves", task, draw)

    app = AppTest.from_function(script, default_timeout=60).run()
    while not app.text:  # the job has not begun yet
        app.run()
    assert asked[-1] == len(asked) > 0
    assert app.run().text[0].value == "whole"
