"""The dashboard as a person sees and uses it: the real server, Chromium, real files."""

import re
from pathlib import Path

import pytest
from dashboard import FIRST, PHONE, choose, expect_new, idle, map_of, set_steps, source, upload
from playwright.sync_api import Page, expect

AUTOMATIC = re.compile(r"After (\d+) gradients, the estimated error of the map is 4\.\d%")


def test_it_opens_with_four_maps_and_no_click(page: Page) -> None:
    for key in FIRST:
        expect(map_of(page, key)).to_be_visible()
        assert len(source(page, key)) > 10_000  # an empty picture has 2 kB
        expect(page.locator(f".st-key-map-{key}")).to_contain_text("German shepherd")
    assert len({source(page, key) for key in FIRST}) == 4
    expect(page.locator(".st-key-map-integrated_gradients")).to_contain_text(AUTOMATIC)
    expect(page.get_by_role("img", name="Image at 0% of the path", exact=True)).to_be_visible()
    expect(page.locator(".st-key-prediction")).to_contain_text("German shepherd (235)")


@pytest.mark.parametrize("page", [{"viewport": PHONE}, {"viewport": PHONE, "color_scheme": "dark"}], indirect=True)
def test_a_phone_shows_the_maps_two_by_two_without_scrolling_sideways(page: Page) -> None:
    boxes = [map_of(page, key).bounding_box() for key in FIRST]
    assert all(box["width"] > 140 and box["x"] + box["width"] <= PHONE["width"] for box in boxes if box)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert boxes[0]["y"] == pytest.approx(boxes[1]["y"], abs=2)
    assert boxes[2]["y"] == pytest.approx(boxes[3]["y"], abs=2)
    assert all(box["y"] + box["height"] <= PHONE["height"] for box in boxes if box)  # all on the first screen
    photo = map_of(page, "photo").bounding_box()
    assert photo
    assert 60 < photo["width"] < 100 < photo["y"] + photo["height"] <= boxes[0]["y"]


def test_an_upload_is_explained(page: Page, samples: Path) -> None:
    old = source(page, "gradient")
    upload(page, "photo.png", (samples / "giant_panda.jpg").read_bytes())
    expect_new(page, "gradient", old)
    expect(page.locator(".st-key-map-gradient")).to_contain_text("giant panda")


def test_a_text_file_whose_name_is_markup_gives_a_sentence_and_the_old_maps_stay(page: Page) -> None:
    old = source(page, "gradient")
    upload(page, "![x](https://tracker.example/a.png).png", b"This is no photo.")
    expect(page.get_by_test_id("stMain")).to_contain_text("The file is not a readable photo")
    assert source(page, "gradient") == old


def test_methods_come_and_go(page: Page) -> None:
    page.get_by_test_id("stSidebar").get_by_role("button", name="Guided backpropagation").click()
    expect(map_of(page, "guided_backprop")).to_have_count(0)
    expect(map_of(page, "gradient")).to_be_visible()


def test_baseline_and_steps_change_one_map_only(page: Page) -> None:
    idle(page)
    old = {key: source(page, key) for key in FIRST}
    choose(page, "Baseline", "White")
    expect_new(page, "integrated_gradients", old["integrated_gradients"])
    white = source(page, "integrated_gradients")
    set_steps(page, 3)
    expect_new(page, "integrated_gradients", white)
    expect(page.locator(".st-key-map-integrated_gradients")).to_contain_text("3 backward pass")
    assert source(page, "gradient") == old["gradient"]


def test_cancel_keeps_the_old_maps_and_compute_makes_the_new_ones(page: Page) -> None:
    old = source(page, "integrated_gradients")
    set_steps(page, 997)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_test_id("stMain")).to_contain_text("Cancelled")
    assert source(page, "integrated_gradients") == old
    expect(page.locator(".st-key-map-integrated_gradients")).to_contain_text(AUTOMATIC)
    set_steps(page, 8)
    expect(page.locator(".st-key-map-integrated_gradients")).to_contain_text("8 backward pass", timeout=20_000)


def test_a_change_waits_for_compute_when_automatic_is_off(page: Page) -> None:
    page.get_by_text("Compute automatically").click()
    set_steps(page, 9)
    page.get_by_role("button", name="Compute", exact=True).click()
    expect(page.locator(".st-key-map-integrated_gradients")).to_contain_text("9 backward pass", timeout=20_000)


def test_a_newer_choice_replaces_one_that_is_running(page: Page) -> None:
    set_steps(page, 998)
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    set_steps(page, 6)
    expect(page.locator(".st-key-map-integrated_gradients")).to_contain_text("6 backward pass", timeout=20_000)


@pytest.mark.slow
def test_the_other_embedded_model(page: Page) -> None:
    old = source(page, "zeiler_fergus")
    choose(page, "Model", "EfficientNet-Lite0")
    expect_new(page, "zeiler_fergus", old)
    expect(page.locator(".st-key-map-zeiler_fergus")).to_contain_text("no max-pooling and no gates")
    expect(page.locator(".st-key-prediction")).to_contain_text("German shepherd (235)")
    idle(page)


def test_the_crop_is_dragged_and_moved_by_the_arrow_keys(page: Page) -> None:
    old = source(page, "photo")
    choose(page, "Sample photo", "Dog over cat")
    expect_new(page, "photo", old)
    old = source(page, "photo")
    square = page.get_by_role("button", name="The crop that the network sees")
    square.scroll_into_view_if_needed()
    box = square.bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 20, box["y"] + 400, steps=5)
    page.mouse.up()
    expect_new(page, "photo", old)
    low = square.bounding_box()
    assert low
    assert low["y"] > box["y"] + 5
    moved = source(page, "photo")
    square.press("ArrowUp")
    expect_new(page, "photo", moved)
    high = square.bounding_box()
    assert high
    assert box["y"] < high["y"] < low["y"]
