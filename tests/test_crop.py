"""The crop: its text forms, what of a photo is in it, and how it is resized on the page."""

import io
import math
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from dashboard import expect_new, idle, map_of, source, upload
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image
from playwright.sync_api import Locator, Page, expect

import attribution as at
from attribution.photo.crop import CENTRE, WHOLE
from attribution.photo.preprocessing import RESAMPLING, Preprocessing
from attribution.settings import plain, restore
from attribution.ui.events import read_place

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
KINDS = {
    "crop": Preprocessing((20, 20), *IMAGENET),
    "whole": Preprocessing((24, 24), *IMAGENET, crop=1.0, interpolation="bilinear"),
    "stretched square": Preprocessing((20, 40), *IMAGENET, crop=0.6),
    "grey": Preprocessing((20, 20), (0.3,), (0.2,), channels=1),
    "resized": Preprocessing((20, 20), *IMAGENET, resize=23),
    "resized, wide": Preprocessing((16, 24), *IMAGENET, resize=25, rounds_down=True),
    "stretched photo": Preprocessing((20, 20), *IMAGENET, resize=(24, 22)),
    "plain": Preprocessing((20, 20), (0.0,) * 3, (1.0,) * 3),
}
SHAPES = [(30, 30), (64, 20), (21, 57), (1, 1), (1, 400), (300, 1), (2, 3)]
kinds = some.sampled_from(list(KINDS))
shapes = some.tuples(some.integers(1, 80), some.integers(1, 80)) | some.sampled_from([*SHAPES, (1, 5000), (5000, 1)])
shares = some.floats(0, 1)
sizes = some.none() | some.floats(0.1, 1)
quick = settings(max_examples=200, deadline=None)


def noise(width: int, height: int) -> Image.Image:
    generator = np.random.default_rng(width * height)
    return Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8))


def earlier(kind: Preprocessing, image: Image.Image, across: float, down: float) -> torch.Tensor:
    """Prepare a photo as version 0.1.0 did, when the crop had no size."""
    (height, width), resample = kind.size, RESAMPLING[kind.interpolation]
    if kind.resize is None:
        side = kind.crop * min(image.size)
        left, top = across * (image.width - side), down * (image.height - side)
        small = image.resize((width, height), resample, box=(left, top, left + side, top + side))
    else:
        if isinstance(kind.resize, tuple):
            high, wide = kind.resize
        else:
            wide, high = (int(kind.resize * side / min(image.size)) for side in image.size)
        whole = math.floor if kind.rounds_down else round
        x, y = whole(across * (wide - width)), whole(down * (high - height))
        small = image.resize((wide, high), resample).crop((x, y, x + width, y + height))
    pixels = np.array(small, dtype=np.float32) / 255
    if kind.channels == 1:
        pixels = pixels.mean(2, dtype=np.float64, keepdims=True).astype(np.float32).repeat(3, 2)
    return torch.from_numpy(pixels).permute(2, 0, 1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_a_crop_without_a_size_has_the_same_bits_as_before_there_were_sizes(kind: str, shape: tuple[int, int]) -> None:
    for across, down in ((0.5, 0.5), (0.0, 1.0), (0.37, 0.81)):
        found = KINDS[kind].prepare(noise(*shape), across, down)
        assert torch.equal(found, earlier(KINDS[kind], noise(*shape), across, down))


@given(kind=kinds, shape=shapes, across=shares, down=shares, size=sizes | some.just("fit"))
@quick
def test_any_crop_of_any_photo_fills_the_input(
    kind: str, shape: tuple[int, int], across: float, down: float, size: float | Literal["fit"] | None
) -> None:
    found = KINDS[kind].prepare(noise(*shape), across, down, size)
    assert found.shape == (3, *KINDS[kind].size)
    assert found.dtype == torch.float32
    assert 0 <= found.min() <= found.max() <= 1


@given(kind=kinds, shape=shapes, across=shares, down=shares, size=sizes)
@quick
def test_a_crop_is_inside_the_photo_and_as_large_as_its_size(
    kind: str, shape: tuple[int, int], across: float, down: float, size: float | None
) -> None:
    photo, own = Image.new("RGB", shape), KINDS[kind].box(Image.new("RGB", shape))
    left, top, right, bottom = KINDS[kind].box(photo, across, down, size)
    assert 0 <= left < right <= photo.width
    assert 0 <= top < bottom <= photo.height
    if size is not None:
        assert (right - left) / (bottom - top) == pytest.approx((own[2] - own[0]) / (own[3] - own[1]))
        limited = right - left > photo.width - 1e-6 or bottom - top > photo.height - 1e-6
        assert limited or min(right - left, bottom - top) == pytest.approx(size * min(shape))


@given(kind=kinds, shape=shapes)
@quick
def test_fit_shows_every_corner_and_fills_the_rest_with_the_mean_colour(kind: str, shape: tuple[int, int]) -> None:
    steps, black = KINDS[kind], Image.new("RGB", shape)
    left, top, right, bottom = steps.box(black, size="fit")
    height, width = steps.size
    x, y = round(-left * width / (right - left)), round(-top * height / (bottom - top))
    wide, high = round(shape[0] * width / (right - left)), round(shape[1] * height / (bottom - top))
    outside = torch.ones(height, width, dtype=torch.bool)
    outside[y : y + high, x : x + wide] = False
    before = steps.prepare(black, size="fit")
    assert (before[:, ~outside] == 0).all()
    for row in range(3):
        assert (before[row, outside] == torch.tensor(steps.bar_colour)[row]).all()
    for i, j in ((0, 0), (-1, 0), (0, -1), (-1, -1)):
        if max(shape) <= 400:  # else one pixel is less than one of 255 levels
            marked = black.copy()
            marked.putpixel((i % shape[0], j % shape[1]), (255, 255, 255))
            assert (steps.prepare(marked, size="fit")[:, y + j % high, x + i % wide] > 0).all()


def test_bars_have_the_mean_of_the_network_or_grey() -> None:
    assert KINDS["crop"].bar_colour == IMAGENET[0]
    assert KINDS["grey"].bar_colour == (0.3,) * 3
    assert KINDS["plain"].bar_colour == (0.5,) * 3
    assert Preprocessing((9, 9), (-1.0, 0.0, 2.0), (1.0,) * 3).bar_colour == (0.0, 0.0, 1.0)


def test_a_wide_photo_fits_between_two_bars_of_equal_height(squeezenet: at.Model) -> None:
    found = squeezenet.prepare(Image.new("RGB", (400, 200), "white"), size="fit")
    assert squeezenet.preprocessing.size == (227, 227)
    white = (found == 1).all(0)
    assert white.sum(0).unique().tolist() == [114]
    assert white.any(1).nonzero()[[0, -1]].flatten().tolist() == [56, 169]


@pytest.mark.parametrize("size", [0, 0.05, 1.01, -1, float("nan"), "all"])
def test_a_size_out_of_range_is_refused(size: Any) -> None:
    with pytest.raises(at.Refusal, match=r"^The size of the crop must be from 0\.1 to 1, 'fit' or None, got"):
        KINDS["crop"].prepare(noise(9, 9), size=size)


@pytest.mark.parametrize(
    ("text", "crop", "written"),
    [
        ("50/20", at.Crop(50, 20), "50/20"),
        ("50,20", at.Crop(50, 20), "50/20"),
        ("0/100/60", at.Crop(0, 100, 60), "0/100/60"),
        ("10,20.5,10", at.Crop(10, 20.5, 10), "10/20.5/10"),
        ("fit", WHOLE, "fit"),
    ],
)
def test_a_crop_comes_back_from_its_text(text: str, crop: at.Crop, written: str) -> None:
    found = restore(at.Analysis, {"crop": text})
    assert found.crop == crop
    assert plain(found)["crop"] == written
    assert restore(at.Analysis, plain(found)) == found


@pytest.mark.parametrize("text", ["", "50", "fits", "5/5/9", "5/5/101", "5/5/nan", "1/2/3/4", "5/5/fit", "-1/5"])
def test_a_text_that_is_no_crop_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(at.Refusal, match=r"crop must be two numbers from 0 to 100 .* such as 50/20/60, or fit, got"):
        restore(at.Analysis, {"crop": text})


@pytest.mark.parametrize("value", [(True, 5), (1,), ("5", "5"), 5, None, (1, 2, "all"), {"across": 1}])
def test_a_value_that_is_no_crop_is_refused(value: Any) -> None:
    with pytest.raises(at.Refusal, match="crop must be"):
        at.Analysis(crop=value)


def test_the_position_of_a_whole_photo_means_nothing() -> None:
    assert at.Analysis(crop=at.Crop(10, 90, "fit")) == at.Analysis(crop=WHOLE)
    assert at.Analysis().crop == CENTRE == (50, 50, None)


@pytest.mark.parametrize(
    ("sent", "crop"),
    [
        ({"across": 0.5, "down": 0.204, "size": None}, at.Crop(50, 20)),
        ({"across": 0, "down": 1, "size": 0.6}, at.Crop(0, 100, 60)),
        ({"across": 0.5, "down": 0.5}, None),
        ({"across": 0.5, "down": 0.5, "size": 0.05}, None),
        ({"across": 0.5, "down": 0.5, "size": 1.2}, None),
        ({"across": 0.5, "down": 0.5, "size": "fit"}, None),
        ({"across": 0.5, "down": 0.5, "size": True}, None),
        ({"across": 0.5, "down": 0.5, "size": float("nan")}, None),
        ({"across": 0.5, "down": 0.5, "size": 10**400}, None),
    ],
)
def test_an_event_is_a_crop_or_dropped(sent: Any, crop: at.Crop | None) -> None:
    if crop:
        assert read_place(sent) == crop
    else:
        with pytest.raises((LookupError, ValueError, ArithmeticError)):
            read_place(sent)


def tall(samples: Path) -> bytes:
    """A PNG of 300 x 600 pixels with a bird."""
    file = io.BytesIO()
    Image.open(samples / "lorikeet.jpg").convert("RGB").resize((300, 600)).save(file, "PNG")
    return file.getvalue()


def sides(part: Locator) -> dict[str, float]:
    part.scroll_into_view_if_needed()
    box = part.bounding_box()
    assert box
    return {**box}


def pull(page: Page, handle: Locator, right: float, down: float) -> None:
    box = sides(handle)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right, y + down, steps=5)
    page.mouse.up()


def test_an_upload_is_cropped_by_a_corner_and_by_keys_and_its_link_keeps_the_crop(page: Page, samples: Path) -> None:
    old = source(page, "photo")
    upload(page, "tall.png", tall(samples))
    expect_new(page, "photo", old)
    usual = source(page, "photo")
    square = page.get_by_role("button", name=re.compile(r"The crop that the network sees.*\+ and - to resize"))
    before, handles = sides(square), page.locator(".handle")
    assert all(sides(handle)["width"] >= 24 <= sides(handle)["height"] for handle in handles.all())
    pull(page, page.locator(".handle.right.bottom"), -before["width"] / 3, -before["width"] / 3)
    expect_new(page, "photo", usual)
    after = sides(square)
    assert after["width"] == pytest.approx(before["width"] * 2 / 3, abs=3)
    assert after["height"] == pytest.approx(after["width"], abs=1)
    assert (after["x"], after["y"]) == pytest.approx((before["x"], before["y"]), abs=3)  # the opposite corner
    expect(page).to_have_url(re.compile(r"crop=\d+/\d+/5[789]$"))
    resized = source(page, "photo")
    square.press("-")
    square.press("ArrowLeft")
    expect_new(page, "photo", resized)
    expect(page).to_have_url(re.compile(r"crop=\d+/\d+/5[234]$"))
    smaller, link = source(page, "photo"), page.url
    square.press("0")
    expect_new(page, "photo", smaller)
    assert source(page, "photo") == usual
    assert sides(square) == pytest.approx(before, abs=1)
    page.goto(link)
    expect(page.get_by_text("The photo is not part of the link")).to_be_visible()
    upload(page, "tall.png", tall(samples))
    expect(map_of(page, "photo")).to_be_visible()
    idle(page)
    assert source(page, "photo") == smaller


def test_the_whole_photo_fits_and_a_reload_keeps_it(page: Page, samples: Path) -> None:
    old = source(page, "photo")
    upload(page, "tall.png", tall(samples))
    expect_new(page, "photo", old)
    cropped, sentence = source(page, "photo"), page.get_by_text("Bars in the mean colour fill the square.")
    square = page.get_by_role("button", name="The crop that the network sees")
    expect(sentence).to_have_count(0)
    page.get_by_text("Fit the whole photo").click()
    expect_new(page, "photo", cropped)
    expect(sentence).to_be_visible()
    expect(square).to_have_count(0)
    expect(page).to_have_url(re.compile("crop=fit$"))
    fitted = source(page, "photo")
    page.reload()
    upload(page, "tall.png", tall(samples))
    expect(sentence).to_be_visible()
    expect(map_of(page, "photo")).to_be_visible()
    idle(page)
    assert source(page, "photo") == fitted
    page.get_by_text("Fit the whole photo").click()
    expect_new(page, "photo", fitted)
    assert source(page, "photo") == cropped
    expect(square).to_be_visible()
