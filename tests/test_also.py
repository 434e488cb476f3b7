"""Further classes: rows of one job that only compute what is missing; links, the page, and what is exported."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from dashboard import LONG, ROOT, idle, map_of
from PIL import Image
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest
from test_app import finished
from test_link import opened

import attribution as at
from attribution.checks.sanity import Randomisation
from attribution.settings import plain, restore
from attribution.ui.address import parse, query
from attribution.work.analysis import Outcome, PreparedAnalysis, loaded
from attribution.work.jobs import Job
from attribution.work.sanity import SanityTask

NEXT = count(1)
METHODS = (at.Gradient(), at.GuidedBackprop(), at.RISE(10))


@pytest.fixture
def analysis(shepherd: torch.Tensor) -> PreparedAnalysis:
    asked = at.Analysis(target=235, methods=METHODS, score="logit", also=(281, 207))
    x = shepherd * (1 - next(NEXT) / 1000)  # so that no map of another test is cached
    return PreparedAnalysis(asked, at.MODELS["squeezenet1_1"], x, (300, 300), "photo", "cpu")


def run(analysis: PreparedAnalysis) -> tuple[Outcome, list[Outcome]]:
    """The outcome, and those that were reported on the way."""
    seen: list[Outcome] = []

    class Seen(Job[Outcome]):
        def report(self, fraction: float, message: str = "", so_far: Outcome | None = None) -> None:
            super().report(fraction, message, so_far)
            if so_far:
                seen.append(so_far)

    return analysis.compute(Seen(analysis.key, analysis.compute, "ann")), seen


@contextmanager
def images(analysis: PreparedAnalysis) -> Iterator[list[int]]:
    """The number of images in each pass of the running network."""
    passes: list[int] = []
    network = loaded(analysis, Job("key", analysis.compute, "ann"), lambda *_: None).running_net
    hook = network.register_forward_pre_hook(lambda _, inputs: passes.append(len(inputs[0])))
    yield passes
    hook.remove()


def with_also(analysis: PreparedAnalysis, *also: int) -> PreparedAnalysis:
    return replace(analysis, analysis=replace(analysis.analysis, also=also))


def test_a_row_is_the_analysis_of_its_class(squeezenet: at.Model, analysis: PreparedAnalysis) -> None:
    outcome, seen = run(analysis)
    for row, index in zip(outcome.rows, (235, 281, 207), strict=True):
        alone = at.compare(squeezenet, analysis.x, METHODS, at.Target(index, "logit"))
        for found, expected in zip(row.finished.maps, alone.maps, strict=True):
            assert np.array_equal(found.values, expected.values)
        assert row.explained == index
    whole = [each for each in seen if not any(row.growing for row in each.rows)]
    assert [sum(len(row.results) for row in each.rows) for each in whole] == list(range(10))
    again = analysis.remembered()
    assert again
    assert [row.results for row in again.rows] == [row.results for row in outcome.rows]
    for row in again.also:  # under the keys of an analysis of one class
        assert row.analysis._known() == row.results


def test_a_further_class_runs_only_its_own_maps(analysis: PreparedAnalysis) -> None:
    run(with_also(analysis))
    more, most = with_also(analysis, 281), with_also(analysis, 281, 207)
    assert len({each.key for each in (with_also(analysis), more, most)}) == 3
    assert more.remembered() is None
    with images(analysis) as passes:
        outcome, _ = run(more)
    assert sum(passes) == 1 + 1 + 10  # the prediction, the shared pass and RISE
    assert all(len(row.results) == 3 for row in outcome.rows)
    with images(analysis) as passes:
        run(replace(most, analysis=replace(most.analysis, methods=(*METHODS, at.GradCAM()))))
    assert sum(passes) == 1 + 1 + (1 + 10)  # Grad-CAM of two classes; all maps of the third


def test_partial_maps_grow_in_their_own_row(analysis: PreparedAnalysis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attribution.work.analysis.UPDATE_INTERVAL", -1.0)
    seen = run(replace(analysis, analysis=replace(analysis.analysis, methods=(at.Gradient(), at.SmoothGrad(8)))))[1]
    grown = [
        (row.explained, place, partial) for each in seen for row in each.rows for place, partial in row.growing.items()
    ]
    assert {(explained, place) for explained, place, _ in grown} == {(235, 1), (281, 1), (207, 1)}
    assert all(partial.target.index == explained for explained, _, partial in grown)


def test_the_predicted_class_has_one_row(analysis: PreparedAnalysis) -> None:
    asked = replace(analysis, analysis=at.Analysis(methods=METHODS[:1], also=(235, 281)))
    outcome, _ = run(asked)
    assert [row.explained for row in outcome.rows] == [235, 281]
    again = asked.remembered()
    assert again
    assert len(again.rows) == 2


def test_other_pages_do_not_start_again(analysis: PreparedAnalysis) -> None:
    tasks = [SanityTask(each, Randomisation()) for each in (analysis, with_also(analysis))]
    assert tasks[0].key == tasks[1].key


@pytest.mark.parametrize(
    ("link", "also", "said"),
    [
        ({"also": "281/207"}, (281, 207), ""),
        ({"also": "281", "target": "235"}, (281,), ""),
        ({"also": "281", "target": "281"}, (), "The further class 281 is the explained or the second class"),
        ({"also": "207", "versus": "207"}, (), "The further class 207 is"),
        ({"also": "1000"}, (), "There is no class 1000"),
        ({"also": "-1"}, (), "There is no class -1"),
        ({"also": "1/2/3/4"}, (), "must be at most 3 different class indices"),
        ({"also": "7/7"}, (), "must be at most 3 different class indices"),
        ({"also": "1//2"}, (), "must be at most 3 different class indices"),
        ({"also": "tabby"}, (), "must be a class index"),
    ],
)
def test_a_link_holds_further_classes_or_says_why_not(link: dict[str, str], also: tuple[int, ...], said: str) -> None:
    found = parse(link)
    assert found.analysis.also == also
    assert said in " ".join(found.sentences)
    assert len(found.sentences) == bool(said)
    assert restore(at.Analysis, plain(found.analysis)) == found.analysis
    assert parse(dict(part.split("=") for part in query(found.analysis).split("&") if part)).analysis == found.analysis


def headings(app: AppTest) -> str:
    return "\n".join(text.value for text in (*app.text, *app.html))


def test_the_page_shows_a_row_for_each_class_and_drops_what_does_not_fit() -> None:
    app = finished(
        opened({"also": "281/207", "target": "235", "methods": "gradient~guided_backprop", "score": "logit"}),
    )
    watch = app.session_state["session"].watches["explore"]
    first, *others = (row.finished.maps[0].statement for row in watch.outcome.rows)
    assert all(re.search(rf"^{re.escape(each)}$", headings(app), re.MULTILINE) for each in others)
    assert f"Explaining: {first}" in headings(app)
    assert "tabby (logit" in headings(app)
    assert app.session_state.also == [281, 207]
    app.session_state.target = 281
    finished(app.run())
    assert app.session_state.also == [207]
    assert [row.explained for row in watch.outcome.rows] == [281, 207]
    app.session_state.also = [207, 5]
    finished(app.run())
    assert [row.explained for row in watch.outcome.rows] == [281, 207, 5]
    assert "electric ray (logit" in headings(app)
    app.session_state["session"].classes = ("cat", "dog")  # as if the model had other classes before
    finished(app.run())
    assert app.session_state.also == []
    assert len(watch.outcome.rows) == 1


def test_exports_hold_all_classes(squeezenet: at.Model, shepherd: torch.Tensor, tmp_path: Path) -> None:
    targets = [at.Target(235), at.Target(281), at.Target(207)]
    results = at.compare(squeezenet, shepherd, [at.Gradient(), at.GradCAM()], targets=targets)
    at.export.folder(results, tmp_path, "dog.jpg")
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    asked = restore(at.Analysis, manifest["analysis"])
    assert (asked.target, asked.also, asked.methods) == (235, (281, 207), (at.Gradient(), at.GradCAM()))
    assert {235, 281, 207} <= {each["index"] for each in manifest["prediction"]}
    ran = subprocess.run(
        [sys.executable, tmp_path / "reproduce.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert ran.stdout.count("identical") == 1 + 6, ran.stderr
    at.export.report(results, tmp_path / "report.html")
    report = (tmp_path / "report.html").read_text()
    assert re.findall("<h2>(.*?)</h2>", report) == [*(row.maps[0].statement for row in results), "Sources"]
    at.export.figure(results, tmp_path / "grid.png", dpi=50)
    at.export.figure(results[0], tmp_path / "one.png", dpi=50)
    with Image.open(tmp_path / "grid.png") as grid, Image.open(tmp_path / "one.png") as one:
        assert grid.width == one.width
        assert grid.height > 2.5 * one.height


def test_rows_are_drawn_over_the_first_photo_and_marked_alike(page: Page, address: str) -> None:
    page.goto(f"{address}/?also=281&methods=gradient&view=heat&blend=0&photo=dog_over_cat")
    expect(map_of(page, "gradient-class-281")).to_be_visible(timeout=LONG)
    idle(page)
    page.wait_for_timeout(500)
    drawn = [
        page.locator(f".st-key-map-{key} canvas.picture").evaluate("each => each.toDataURL()")
        for key in ("photo", "gradient", "gradient-class-281")
    ]
    assert drawn[1] == drawn[2]  # with an opacity of zero, only the photo is seen
    assert drawn[0] == drawn[1]
    page.locator(".st-key-map-gradient-class-281 canvas.picture").click()
    expect(page.get_by_text(re.compile(r"^Marked pixel x \d+, y \d+, tabby: Gradient"))).to_be_visible()
