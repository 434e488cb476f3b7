"""What a person sees and does: the real server, Chromium, real files."""

import re
from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest
from dashboard import serving
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

import attribution as at

FIRST = [key for key, method in at.METHODS.items() if method.chosen]
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
LONG = 90_000  # milliseconds


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("server") / "log") as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The dashboard, open and with its first maps; in the end no exception, no error and no request requests."""
    settings = {"viewport": DESK, "color_scheme": "light", **getattr(request, "param", {})}
    context = browser.new_context(**settings)
    context.set_default_timeout(LONG)
    page = context.new_page()
    requests: list[str] = []
    errors: list[str] = []
    page.on(
        "request",
        lambda asked: None if asked.url.startswith((address, "data:", "blob:")) else requests.append(asked.url),
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address)
    expect(map_of(page, FIRST[-1])).to_be_visible(timeout=LONG)
    yield page
    expect(page.get_by_test_id("stException")).to_have_count(0)
    context.close()
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []
    assert errors == []


def map_of(page: Page, key: str) -> Locator:
    return page.locator(f".st-key-map-{key} img")


def source(page: Page, key: str) -> str:
    """The address of a map's picture, which names its content."""
    return map_of(page, key).get_attribute("src") or ""


def expect_new(page: Page, key: str, old: str) -> None:
    expect(map_of(page, key)).not_to_have_attribute("src", old, timeout=LONG)


def idle(page: Page) -> None:
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0, timeout=LONG)


def set_steps(page: Page, steps: int) -> None:
    field = page.get_by_label("Steps", exact=True)
    field.fill(str(steps))
    field.press("Enter")


def choose(page: Page, label: str, option: str) -> None:
    """Type into a select box and take the first match."""
    box = page.get_by_role("combobox", name=re.compile(label))
    box.click()
    box.fill(option)
    page.get_by_role("option").filter(has_text=option).first.click()


def upload(page: Page, name: str, content: bytes) -> None:
    page.get_by_role("radio", name="Upload").or_(page.get_by_role("button", name="Upload", exact=True)).first.click()
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})


def test_it_opens_with_four_maps_and_no_click(page: Page) -> None:
    for key in FIRST:
        expect(map_of(page, key)).to_be_visible()
        loaded = map_of(page, key).evaluate("image => image.complete && image.naturalWidth")
        assert loaded == 227
        expect(page.locator(f".st-key-map-{key}")).to_contain_text("German shepherd")
    assert len({source(page, key) for key in FIRST}) == 4
    expect(page.locator(".st-key-map-integrated_gradients")).to_contain_text("26 forwards, 25 backwards")
    expect(page.get_by_role("img", name="Path image at 0%", exact=True)).to_be_visible()
    expect(page.locator(".st-key-prediction")).to_contain_text("German shepherd (235)")


@pytest.mark.parametrize("page", [{"viewport": PHONE}, {"viewport": PHONE, "color_scheme": "dark"}], indirect=True)
def test_a_phone_shows_the_maps_two_by_two_without_scrolling_sideways(page: Page) -> None:
    boxes = [map_of(page, key).bounding_box() for key in FIRST]
    assert all(box["width"] > 140 and box["x"] + box["width"] <= PHONE["width"] for box in boxes if box)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert boxes[0]["y"] == pytest.approx(boxes[1]["y"], abs=2)


def test_an_upload_is_explained(page: Page, samples: Path) -> None:
    old = source(page, "gradient")
    upload(page, "photo.png", (samples / "giant_panda.jpg").read_bytes())
    expect_new(page, "gradient", old)
    expect(page.locator(".st-key-map-gradient")).to_contain_text("giant panda")


@pytest.mark.parametrize("name", ["photo.png", "![x](https://tracker.example/a.png).png"])
def test_a_text_file_named_png_gives_a_sentence_and_the_old_maps_stay(page: Page, name: str) -> None:
    old = source(page, "gradient")
    upload(page, name, b"This is no photo.")
    expect(page.get_by_test_id("stMain")).to_contain_text("The file is not a photo that can be read")
    assert source(page, "gradient") == old


def test_methods_come_and_go(page: Page) -> None:
    page.get_by_test_id("stSidebar").get_by_role("button", name="Guided backpropagation").click()
    expect(map_of(page, "guided_backprop")).to_have_count(0)
    expect(map_of(page, "gradient")).to_be_visible()


def test_any_class_can_be_found_by_typing(page: Page) -> None:
    old = source(page, "gradient")
    choose(page, "Target class", "tabby")
    expect_new(page, "gradient", old)
    expect(page.locator(".st-key-map-gradient")).to_contain_text("tabby")


def test_baseline_and_steps_change_one_map_only(page: Page) -> None:
    old = {key: source(page, key) for key in FIRST}
    choose(page, "Baseline", "White")
    expect_new(page, "integrated_gradients", old["integrated_gradients"])
    white = source(page, "integrated_gradients")
    set_steps(page, 3)
    expect_new(page, "integrated_gradients", white)
    expect(page.locator(".st-key-map-integrated_gradients")).to_contain_text("3 backwards")
    assert source(page, "gradient") == old["gradient"]


def test_cancel_keeps_the_old_maps_and_compute_makes_the_new_ones(page: Page) -> None:
    old = source(page, "integrated_gradients")
    set_steps(page, 997)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_test_id("stMain")).to_contain_text("Cancelled")
    assert source(page, "integrated_gradients") == old
    expect(page.locator(".st-key-map-integrated_gradients")).to_contain_text("25 backwards")
    set_steps(page, 8)
    expect(page.locator(".st-key-map-integrated_gradients")).to_contain_text("8 backwards")


def test_a_newer_choice_replaces_one_that_is_running(page: Page) -> None:
    set_steps(page, 998)
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    set_steps(page, 6)
    expect(page.locator(".st-key-map-integrated_gradients")).to_contain_text("6 backwards", timeout=20_000)


def test_the_other_embedded_model(page: Page) -> None:
    old = source(page, "zeiler_fergus")
    choose(page, "Model", "efficientnet_lite0")
    expect_new(page, "zeiler_fergus", old)
    expect(page.locator(".st-key-map-zeiler_fergus")).to_contain_text("no max-pooling and no gates")
    expect(page.locator(".st-key-prediction")).to_contain_text("German shepherd (235)")
    idle(page)
