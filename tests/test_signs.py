"""Evidence against a class is drawn as such: dog over cat, explained as a cat, on the page and in every export."""

import base64
import io
import json
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from dashboard import DESK, LONG, idle, map_of
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import attribution as at

TABBY = 281
HEAD = (slice(8, 60), slice(190, 222))  # rows and columns of the dog's head among 224 x 224 pixels
SIDE = 224
METHOD = "occlusion(window=56,stride=28)"


@pytest.fixture(scope="module")
def against(samples: Path) -> list[at.Attribution]:
    model = at.load_model("efficientnet_lite0", device="cpu")
    x = model.prepare(at.open_image(samples / "dog_over_cat.jpg"))
    return at.compare(model, x, [at.Occlusion(window=56, stride=28), at.Gradient()], at.Target(TABBY)).maps


def share_of_blue(picture: NDArray[Any]) -> float:
    """The share of the pixels that are clearly blue, that is, against the class."""
    rgb = np.asarray(picture).astype(int)
    return float((rgb[..., 2] > rgb[..., 0] + 20).mean())


def test_the_head_of_the_dog_speaks_against_the_cat(against: list[at.Attribution]) -> None:
    occlusion, gradient = against
    assert occlusion.values[:, *HEAD].sum() < -0.05  # of probability
    picture = occlusion.draw()
    assert share_of_blue(picture[HEAD]) > 0.9
    assert (picture[0, 0] != picture[HEAD][0, 0]).any()
    np.testing.assert_array_equal(gradient.draw(), gradient.draw(at.View("grey")))
    np.testing.assert_array_equal(occlusion.draw(at.View("grey"))[..., 0], occlusion.draw(at.View("grey"))[..., 2])


def test_a_shared_scale_is_shared_by_maps_that_are_drawn_alike(against: list[at.Attribution]) -> None:
    maps, signed = [each.values for each in against], [each.signed for each in against]
    photo = np.zeros((SIDE, SIDE, 3), np.uint8)
    own, shared = (
        at.View(scale=scale).draw([*maps, 2 * maps[0]], photo, [*signed, True]) for scale in ("own", "shared")
    )
    assert shared[0].span == shared[2].span == own[2].span != own[0].span
    assert shared[1].span == own[1].span


def test_a_class_activation_map_is_signed_if_negative_values_are_kept() -> None:
    assert [at.GradCAM(negative=kept).signed for kept in ("cut", "kept")] == [False, True]


def test_the_figure_and_the_report_say_so(against: list[at.Attribution], tmp_path: Path) -> None:
    at.export.figure(against, tmp_path / "figure.png", dpi=100)
    with Image.open(tmp_path / "figure.png") as sheet:
        assert share_of_blue(np.asarray(sheet.convert("RGB"))) > 0.01
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        at.export.figure(against, tmp_path / "figure.svg")
    assert re.search(r">\S+ against<.*>for \S+ probability<", (tmp_path / "figure.svg").read_text(), re.DOTALL)
    at.export.report(against, tmp_path / "report.html")
    messages = re.findall('data-message="([^"]+)"', (tmp_path / "report.html").read_text())
    headers = [json.loads(data[4 : 4 + struct.unpack("<I", data[:4])[0]]) for data in map(base64.b64decode, messages)]
    signed = {each["id"]: (each["signed"], each["meanings"]) for each in headers if each["kind"] == "map"}
    assert signed == {"occlusion": (True, ["against", "for"]), "gradient": (False, None)}
    at.export.folder(against, tmp_path / "folder")
    with Image.open(tmp_path / "folder" / "occlusion.png") as picture:
        assert share_of_blue(np.asarray(picture.convert("RGB"))[HEAD]) > 0.9


@pytest.fixture(scope="module")
def explained(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(viewport=DESK)
    page = context.new_page()
    methods = f"gradient~input_x_gradient~{METHOD}"
    page.goto(f"{address}/?photo=dog_over_cat&model=efficientnet_lite0&target={TABBY}&methods={methods}")
    expect(map_of(page, "occlusion")).to_be_visible(timeout=2 * LONG)
    idle(page)
    page.wait_for_timeout(300)
    yield page
    context.close()


# Sets a control behind the stage, as a link or another panel of the page would.
SELECT = "(control, value) => { control.value = value; control.dispatchEvent(new Event('change')); }"


def painted(canvas: Any) -> NDArray[Any]:
    """The pixels of a canvas, (H, W, 3)."""
    data = base64.b64decode(canvas.evaluate("canvas => canvas.toDataURL()").partition(",")[2])
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def head(picture: NDArray[Any]) -> NDArray[Any]:
    """The part of a picture of any size that shows the dog's head."""
    rows, columns = (
        slice(*(round(each * side / SIDE) for each in (part.start, part.stop)))
        for part, side in zip(HEAD, picture.shape, strict=False)
    )
    return picture[rows, columns]


def test_the_page_draws_it_blue_and_names_both_sides(explained: Page) -> None:
    assert share_of_blue(head(painted(map_of(explained, "occlusion")))) > 0.9
    assert share_of_blue(painted(map_of(explained, "gradient"))) == 0
    bar = explained.locator(".st-key-map-occlusion .bar")
    assert re.fullmatch(r"\u2212[\d.]+\s*against\s*for\s*\+[\d.]+", bar.inner_text())
    assert "against" not in explained.locator(".st-key-map-gradient .bar").inner_text()
    explained.get_by_label("View").select_option("grey")
    explained.wait_for_timeout(100)
    assert share_of_blue(painted(map_of(explained, "occlusion"))) == 0
    explained.get_by_label("View").select_option("method")


def test_the_stage_shows_one_image_a_wipe_or_a_difference(explained: Page, against: list[at.Attribution]) -> None:
    explained.get_by_role("button", name="Present").click()
    stage = explained.get_by_role("dialog", name="Presentation")
    expect(stage.locator(".above")).to_have_text("Gradient: tabby")
    explained.keyboard.press("PageDown")
    expect(stage.locator(".above")).to_have_text("Input x gradient: tabby")
    explained.keyboard.press("PageDown")
    expect(stage.locator(".above")).to_have_text("Occlusion: tabby")
    explained.wait_for_timeout(200)
    assert share_of_blue(head(painted(stage.locator("canvas.picture")))) > 0.9
    assert stage.locator("canvas.picture").bounding_box()["width"] > 500  # type: ignore[index]  # of 900 pixels of height
    explained.keyboard.press("w")
    expect(stage.locator(".above")).to_have_text(["Occlusion: tabby", "Photo"])
    stage.get_by_label("Position of the wipe").fill("25")
    clip = stage.locator(".image").nth(1).evaluate("image => getComputedStyle(image).clipPath")
    assert clip == "inset(0px 0px 0px 25%)"
    explained.keyboard.press("d")
    expect(stage.locator(".above")).to_have_text("Occlusion: tabby \u2212 Gradient: tabby")  # the photo is no map
    stage.get_by_role("combobox").nth(2).select_option("photo")
    expect(stage.get_by_text("Choose two finished maps")).to_be_visible()
    stage.get_by_role("combobox").nth(2).select_option("gradient")
    canvas = stage.locator("canvas.picture")
    box = canvas.bounding_box()
    assert box
    x, y = 200, 30
    explained.mouse.move(box["x"] + (x + 0.5) / SIDE * box["width"], box["y"] + (y + 0.5) / SIDE * box["height"])
    drawn = at.View().draw([each.values for each in against], np.zeros((SIDE, SIDE, 3), np.uint8), [True, False])
    heats = [against[0].values.sum(0), np.abs(against[1].values).sum(0)]  # in other units: by the end of each scale
    expected = sum(
        sign * heat[y, x] / max(map(abs, each.span)) for sign, heat, each in zip((1, -1), heats, drawn, strict=True)
    )
    shown = stage.locator(".readout").inner_text().partition(",")[0].replace("\u2212", "-")
    assert float(shown) == pytest.approx(expected, abs=0.01)
    expect(stage).to_contain_text("share of each map's scale")
    for view in ("grey", "rgb", "method"):  # a difference keeps its colours and its scale
        ends = set()
        for scale in ("own", "shared"):
            for label, value in (("View", view), ("Colour scale", scale)):
                control = explained.locator(".st-key-controls label").filter(has_text=label).locator("select")
                control.evaluate(SELECT, value)
            explained.wait_for_timeout(200)
            ends.add(" ".join(stage.locator(".bar").inner_text().split()))
        assert len(ends) == 1
        assert re.fullmatch(r"\u2212([\d.]+) less more \+\1", ends.pop())
    control.evaluate(SELECT, "own")
    explained.keyboard.press("o")  # after images have been replaced, keys still arrive
    expect(stage.locator(".above")).to_have_text("Occlusion: tabby")
    explained.keyboard.press("Escape")
    expect(stage).to_be_hidden()
    expect(map_of(explained, "occlusion")).to_be_visible()


def test_channels_become_colours(explained: Page, against: list[at.Attribution]) -> None:
    explained.get_by_label("View").select_option("rgb")
    explained.mouse.move(0, 0)
    explained.wait_for_timeout(100)
    picture = painted(map_of(explained, "gradient"))
    values = against[1].values.astype(np.float64)
    expected = at.View("rgb").draw([values], np.zeros((SIDE, SIDE, 3), np.uint8))[0].rgb.astype(int)
    limit = np.percentile(np.abs(values), 99.5)
    np.testing.assert_allclose(expected, 127.5 + 127.5 * np.clip(values / limit, -1, 1).transpose(1, 2, 0), atol=0.51)
    side = picture.shape[0]
    places = ((np.arange(SIDE) + 0.5) * side / SIDE).astype(int)  # the middle of each pixel of the map
    off = np.abs(picture[places][:, places] - expected).max(-1)
    assert (off[2:-2, 2:-2] > 3).mean() < 0.01
    explained.get_by_label("View").select_option("method")


def test_a_faint_map_offers_to_end_its_scale_earlier(
    browser: Browser, against: list[at.Attribution], tmp_path: Path
) -> None:
    values = np.random.default_rng(0).uniform(0, 0.01, (3, SIDE, SIDE))
    values[:, :2] = 1  # 0.9% of the pixels
    at.export.report([replace(against[1], values=values)], tmp_path / "report.html")
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    page.get_by_role("button", name="Faint: clip at 99").click()
    expect(page.get_by_text("1.0% clipped")).to_be_visible()
    expect(page.get_by_role("button", name="Faint")).to_have_count(0)
    page.close()
