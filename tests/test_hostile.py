"""Maps that show nothing, photos of odd shapes, names that are markup: a plain sentence, and nothing breaks."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from dashboard import DESK, FIRST, LONG, choose, expect_new, idle, map_of, serving, source, upload
from PIL import Image
from playwright.sync_api import Browser, Page, expect


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("server") / "log", "tests/hostile_app.py") as (address, _):
        yield address


@pytest.fixture
def odd(browser: Browser, hostile: str) -> Iterator[Page]:
    context = browser.new_context(viewport=DESK)
    context.set_default_timeout(LONG)
    page = context.new_page()
    requests: list[str] = []
    errors: list[str] = []
    page.on("request", lambda asked: requests.append(asked.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(dialog.message))
    page.goto(hostile)
    expect(map_of(page, FIRST[-1])).to_be_visible(timeout=LONG)
    idle(page)
    yield page
    expect(page.get_by_test_id("stException")).to_have_count(0)
    context.close()
    assert [url for url in requests if not url.startswith((hostile, "data:", "blob:"))] == []
    assert errors == []


@pytest.mark.parametrize("model", ["constant", "zero"])
def test_a_map_without_contrast_says_so(odd: Page, model: str) -> None:
    choose(odd, "Model", model)
    cell = odd.locator(".st-key-map-gradient")
    expect(cell).to_contain_text("<b>bold</b>", timeout=LONG)
    expect(cell.locator(".note")).to_have_text("The map is constant: nothing to draw.")
    for view in ("heat", "signed", "important", "grey"):
        odd.get_by_label("View").select_option(view)
        odd.wait_for_timeout(50)


def test_values_that_are_no_numbers_give_a_sentence(odd: Page) -> None:
    choose(odd, "Model", "broken")
    expect(odd.locator(".st-key-map-gradient")).to_contain_text("not finite", timeout=LONG)


def test_class_names_that_are_markup_are_plain_text_everywhere(odd: Page) -> None:
    choose(odd, "Model", "constant")
    expect(odd.locator(".st-key-map-gradient")).to_contain_text("<b>bold</b>", timeout=LONG)
    bars = odd.locator(".st-key-prediction")
    for name in ("<b>bold</b> (0)", "![x](https://tracker.example/a.png) (1)", "<img src=x onerror=alert(1)>"):
        expect(bars).to_contain_text(name)
    choose(odd, "Target class", "![x]")
    expect(odd.locator(".st-key-map-gradient")).to_contain_text("![x](https://tracker.example/a.png)", timeout=LONG)
    assert odd.locator(".st-key-map-gradient b, .st-key-prediction b, .st-key-map-gradient img").count() == 0


def test_photos_of_odd_shapes_are_served(odd: Page) -> None:
    for width, height in ((1, 1), (1, 4000), (4000, 1)):
        old = source(odd, "photo")
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        encoded = io.BytesIO()
        Image.fromarray(pixels).save(encoded, "PNG")
        upload(odd, "odd.png", encoded.getvalue())
        expect_new(odd, "photo", old)
        expect(map_of(odd, FIRST[-1])).to_be_visible()
