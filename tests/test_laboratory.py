"""The path page and the baseline page in Chromium."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from dashboard import DESK, LONG, PHONE, expect_new, idle, map_of, source
from playwright.sync_api import Browser, Locator, Page, expect

from attribution.export.checks import LINE_COLOURS


@pytest.fixture
def visit(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of the dashboard, by its path, with everything on it."""
    path, settings = request.param
    context = browser.new_context(**{"viewport": DESK, **settings})
    context.set_default_timeout(LONG)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}/{path}")
    last = {
        "path": page.locator(".player canvas"),
        "baselines": map_of(page, "disagreement"),
        "sanity": map_of(page, "noise"),
        "faithfulness": page.get_by_text("Perturbed images"),
    }[path.partition("?")[0]]
    expect(last.first).to_be_visible(timeout=3 * LONG)  # a study takes half a minute on a busy machine
    idle(page)
    yield page
    expect(page.get_by_test_id("stException")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]  # type: ignore[index]
    context.close()
    assert errors == []


def look(canvas: Locator) -> list[int]:
    """All levels of a picture."""
    return canvas.evaluate(  # type: ignore[no-any-return]
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
    )


@pytest.mark.slow  # with the study that the page waits for, a minute; test_app.py opens the page without a browser
@pytest.mark.parametrize("visit", [("path", {})], indirect=True)
def test_slider_curve_and_play_button_move_image_map_and_meter(visit: Page) -> None:
    image, heat = (visit.locator(".player canvas").nth(number) for number in range(2))
    slider = visit.get_by_role("slider", name="Position on the path")
    meter = visit.get_by_role("meter")
    assert float(meter.evaluate("meter => meter.value")) > 0.97
    photo, whole = look(image), look(heat)
    slider.fill("0")
    black = look(image)
    assert set(black[0::4] + black[1::4] + black[2::4]) == {0}
    assert set(look(heat)) == {255}  # nothing has been added up
    assert float(meter.evaluate("meter => meter.value")) == 0
    expect(visit.locator(".said")).to_contain_text("At alpha 0.00")
    slider.fill("0.5")
    half = look(image)
    assert half[0] == pytest.approx(photo[0] / 2, abs=1)
    chart = visit.get_by_role("img", name="Score along the path")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box
    visit.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + box["height"] / 2)
    expect(visit.locator(".said")).not_to_contain_text("At alpha 0.50")
    assert 0.1 < float(slider.input_value()) < 0.4
    assert look(image) != half
    slider.fill("0.8")
    visit.get_by_role("button", name="Play").click()
    expect(slider).to_have_value("1", timeout=10_000)
    assert (look(image), look(heat)) == (photo, whole)
    expect(visit.get_by_role("table").or_(visit.get_by_test_id("stTable")).first).to_contain_text("Adaptive")
    expect(visit.get_by_text("Map error below 5%")).to_be_visible()


@pytest.mark.parametrize("visit", [("baselines", {})], indirect=True)
def test_the_maps_of_all_baselines_are_linked(visit: Page) -> None:
    panels = ["photo", "black", "white", "uniform_noise", "blur", "mean", "disagreement"]
    keys = panels[1:]
    before = {key: source(visit, key) for key in keys}
    assert len(set(before.values())) == len(keys)
    expect(visit.locator(".st-key-map-black")).to_contain_text("Blind pixels")
    zoom_moves_all(visit, "black", before)


def zoom_moves_all(page: Page, key: str, before: dict[str, str]) -> None:
    """Turn the wheel over one panel; all of them change."""
    map_of(page, key).scroll_into_view_if_needed()
    box = map_of(page, key).bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.3 * box["height"])
    page.wait_for_timeout(500)  # the page stands still, so the wheel zooms
    page.mouse.wheel(0, -300)
    for each, old in before.items():
        expect_new(page, each, old)


SANITY = "sanity?methods=gradient~guided_backprop&sanity=sanity(stages=4)"


@pytest.mark.parametrize("visit", [(SANITY, {})], indirect=True)
def test_the_maps_of_all_stages_and_the_controls_are_linked(visit: Page) -> None:
    stages = [*range(5), "swap"]
    keys = [f"{method}-{stage}" for method in ("gradient", "guided_backprop") for stage in stages] + ["edges", "noise"]
    before = {key: source(visit, key) for key in keys}
    assert len(set(before.values())) == len(keys)
    expect(visit.get_by_role("button", name="Export")).to_have_count(0)
    expect(visit.get_by_text("Guided backpropagation: similarity after randomising all weights, 0.")).to_be_visible()
    zoom_moves_all(visit, "gradient-0", before)
    visit.get_by_role("radio", name="SSIM").click()
    expect(visit.get_by_role("img", name="SSIM at each stage")).to_be_visible()


FAITHFULNESS = (
    "faithfulness?methods=gradient~grad_cam&faithfulness=faithfulness(steps=10,tolerance=0,samples=3,moves=1)"
)


@pytest.mark.parametrize("visit", [(FAITHFULNESS, {})], indirect=True)
def test_a_click_on_a_curve_shows_what_the_network_was_shown(visit: Page) -> None:
    expect(visit.get_by_role("region", name="Deletion, insertion")).to_contain_text("a centred Gaussian")
    picture = visit.get_by_role("img", name="a centred Gaussian, 10% replaced")
    before = picture.get_attribute("src")
    colour = LINE_COLOURS[3]  # of the second control, after two methods
    points = visit.locator(f".st-key-insertion-curves svg path[fill='{colour}']")
    expect(points).to_have_count(11 + 1)  # the last is in the legend
    points.nth(7).click(force=True)
    changed = visit.get_by_role("img", name="a centred Gaussian, 70% replaced")
    expect(changed).to_be_visible()
    assert changed.get_attribute("src") != before
    expect(visit.get_by_role("radio", name="Insertion")).to_be_checked()
    expect(visit.get_by_text("Limitations: photos with replaced pixels")).to_be_visible()


@pytest.mark.parametrize(
    "visit",
    [
        (SANITY, {"viewport": PHONE}),
        (FAITHFULNESS, {"color_scheme": "dark"}),
        pytest.param(("path", {"viewport": PHONE}), marks=pytest.mark.slow),
        ("baselines", {"color_scheme": "dark"}),
    ],
    indirect=True,
)
def test_axe_finds_nothing_serious(visit: Page) -> None:
    found = Axe().run(visit).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in serious] == []
