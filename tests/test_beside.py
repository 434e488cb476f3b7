"""Models side by side: the same class by its name, crops in the photo's coordinates, links, and what is refused."""

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from dashboard import LONG, idle, map_of
from playwright.sync_api import Locator, Page, expect
from test_own import PHOTO, STATE, Kind, write
from test_own_page import add as add_own

import attribution as at
from attribution.models.own import Checkpoint, read_own
from attribution.models.record import ModelRecord
from attribution.photo.decode import open_image
from attribution.ui.photo import saved_size
from attribution.viewer.message import common_frames
from attribution.work.analysis import Outcome, PreparedAnalysis, same_class
from attribution.work.jobs import Job
from attribution.work.own import add


def test_classes_are_the_same_by_name_or_first_synonym() -> None:
    assert same_class(["a", "b"], 1, ["a", "b"]) == 1
    assert same_class(["crane", "crane"], 1, ["crane", "crane"]) == 1
    assert same_class(["tench", "dog"], 0, ["Dog", "tench, Tinca tinca"]) == 1
    assert same_class(["tench", "dog"], 1, ["Dog", "tench, Tinca tinca"]) == 0
    with pytest.raises(at.Refusal, match=r"^This model has no class 'dog'; choose another class to compare.$"):
        same_class(["dog"], 0, ["cat", "bird"])
    with pytest.raises(at.Refusal, match=r"^This model has more than one class 'crane'"):
        same_class(["crane"], 0, ["crane, a bird", "crane, a machine"])


def test_the_frames_of_crops_fill_the_smallest_rectangle() -> None:
    wide, square = common_frames([(0.0, 10.0, 200.0, 110.0), (50.0, 10.0, 150.0, 110.0)])
    assert (wide.left, wide.top, wide.width, wide.height, wide.aspect) == (0, 0, 1, 1, 2)
    assert (square.left, square.top, square.width, square.height) == (0.25, 0, 0.5, 1)


def test_a_large_crop_is_saved_with_no_more_pixels_than_a_photo_may_have() -> None:
    assert saved_size((0.0, 10.0, 200.4, 110.0)) == (100, 200)
    height, width = saved_size((0.0, -30_000.0, 60_000.0, 30_000.0))
    assert height == width == 6325


@pytest.fixture
def analysis(squeezenet: at.Model, shepherd: torch.Tensor) -> PreparedAnalysis:
    asked = at.Analysis(methods=(at.Gradient(),), score="logit")
    return PreparedAnalysis(asked, at.MODELS["squeezenet1_1"], shepherd, (300, 300), "photo", "cpu")


def under(analysis: PreparedAnalysis, record: ModelRecord) -> PreparedAnalysis:
    return replace(analysis, record=record, x=record.facts().preprocessing.prepare(open_image(PHOTO)))


def run(analysis: PreparedAnalysis) -> Outcome:
    job: Job[Outcome] = Job(analysis.key, analysis.compute, "ann")
    return analysis.compute(job)


def test_other_models_explain_the_class_of_the_same_name(analysis: PreparedAnalysis) -> None:
    other = add(Checkpoint(architecture="timm/resnet18", classes="cat/German shepherd/dog/a/b"), STATE)
    stranger = add(Checkpoint(architecture="timm/resnet18", classes="cat/x/dog/a/b", size=96), STATE)
    asked = replace(analysis, beside=(under(analysis, other), under(analysis, stranger)))
    assert asked.key != analysis.key
    outcome = run(asked)
    first, refusal = outcome.beside
    assert isinstance(first, Outcome)
    assert first.results[0].target.index == 1
    assert isinstance(refusal, at.Refusal)
    assert "no class 'German shepherd'" in str(refusal)
    model = at.Model(
        "own",
        _net(),
        (224, 224),
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
        "abcde",
        device="cpu",
    )
    alone = at.attribute(model, first.analysis.x, at.Gradient(), at.Target(1, "logit"))
    assert np.array_equal(first.results[0].values, alone.values)
    again = asked.remembered()
    assert again
    assert isinstance(again.beside[0], Outcome)
    assert again.beside[0].results[0] is first.results[0]


def _net() -> torch.nn.Module:
    net: torch.nn.Module = timm.create_model("resnet18", num_classes=5)
    net.load_state_dict(torch.load(io.BytesIO(STATE), weights_only=True))
    return net


@pytest.mark.slow
def test_a_point_is_the_same_place_of_the_photo_in_all_models(page: Page, address: str, tmp_path: Path) -> None:
    kind = Kind(2, classes="cat/German shepherd")
    path = write(kind.net, tmp_path, "pt")
    add_own(page, kind, path)
    key = read_own(Checkpoint(architecture="timm/resnet18", classes=kind.settings["classes"]), path.read_bytes()).key
    page.goto(f"{address}/?beside={key}&crop=20/80&methods=gradient")
    canvases = [page.locator(f".st-key-map-photo{suffix} canvas.picture") for suffix in ("", "-2")]
    expect(canvases[1]).to_be_visible(timeout=LONG)
    idle(page)
    expect(map_of(page, "gradient-2")).to_be_visible()
    expect(page.locator(".st-key-map-gradient-2")).to_contain_text("German shepherd")
    photo = open_image(PHOTO)
    crops = [each.preprocessing for each in (at.load_model("squeezenet1_1", "cpu"), kind.model())]
    boxes = [each.box(photo, 0.2, 0.8) for each in crops]
    assert boxes[1][2] - boxes[1][0] > 1.05 * (boxes[0][2] - boxes[0][0])
    for canvas in canvases:
        for across, down in ((0.5, 0.5), (0.2, 0.7), (0.81, 0.33)):
            found = []
            for place, said in enumerate(readouts(page, canvas, across, down)):
                x, y = (int(each) for each in re.findall(r"x (\d+), y (\d+)", said)[0])
                left, top, right, bottom = boxes[place]
                height, width = crops[place].size
                found.append((left + (x + 0.5) / width * (right - left), top + (y + 0.5) / height * (bottom - top)))
            assert found[0] == pytest.approx(found[1], abs=1.1 * (right - left) / width)
        assert readouts(page, canvas, 0.995, 0.01)[0] == "Outside this network's crop"
        assert readouts(page, canvas, 0.995, 0.01)[1].startswith("x ")


def readouts(page: Page, canvas: Locator, across: float, down: float) -> list[str]:
    """Return what both photos say when the pointer is at a point of a panel."""
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
    page.wait_for_timeout(300)
    return [page.locator(f".st-key-map-photo{suffix} .readout").inner_text() for suffix in ("", "-2")]
