"""The linked viewer in Chromium: one view for all panels, the engine's values under the cursor, nothing sent."""

import io
import itertools
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from dashboard import DESK, FIRST, PHONE, idle, map_of, set_steps, source
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import attribution as at
from attribution.photo.encode import eight_bit
from attribution.settings import plain

READOUT = re.compile(r"^([+\u2212]?[\d.e+\u2212-]+), larger than ([\d.]+)% of the pixels$")


@pytest.fixture(scope="module")
def results(squeezenet: at.Model, shepherd: Any) -> dict[str, at.Attribution]:
    methods = [at.METHODS[key]() for key in FIRST]
    return dict(zip(FIRST, at.compare(squeezenet, shepherd, methods), strict=True))


def box_of(page: Page, key: str) -> dict[str, float]:
    map_of(page, key).scroll_into_view_if_needed()
    return map_of(page, key).bounding_box()  # type: ignore[return-value]


def hover(page: Page, key: str, x: int, y: int, side: int = 227) -> None:
    """Put the pointer on the middle of a pixel of a map that is not zoomed."""
    box = box_of(page, key)
    page.mouse.move(box["x"] + (x + 0.5) / side * box["width"], box["y"] + (y + 0.5) / side * box["height"])


def readout(page: Page, key: str) -> str:
    page.wait_for_timeout(100)  # two frames
    return page.locator(f".st-key-map-{key} .readout").inner_text()


def number(text: str) -> float:
    return float(text.replace("\u2212", "-"))


def choose_view(page: Page, view: str) -> None:
    page.get_by_label("View").select_option(view)
    page.wait_for_timeout(100)


def test_the_value_under_the_cursor_is_the_engines_in_every_panel(
    page: Page, results: dict[str, at.Attribution]
) -> None:
    idle(page)
    places = [(172, 37), (0, 0), (226, 226), (113, 60)]
    for (x, y), (key, result) in itertools.product(places, results.items()):
        hover(page, "gradient", x, y)
        expect(page.locator(".st-key-map-photo .readout")).to_contain_text(f"x {x}, y {y}:")
        shown = readout(page, key)
        assert READOUT.match(shown), shown
        value, above = READOUT.match(shown).groups()
        step = 3 * float(np.abs(result.values).max()) / 32767 / 2  # three channels, half a level each
        exact = float(result.values[:, y, x].sum())
        assert number(value) == pytest.approx(exact, abs=step + 0.006 * abs(exact))  # shown with three digits
        heat = np.abs(result.values).sum(0)
        low, high = (100 * (heat <= heat[y, x] + sign * 2 * step).mean() for sign in (-1, 1))  # levels tie
        assert low - 0.1 <= float(above) <= high + 0.1


def test_the_colour_of_the_photo_stands_under_the_same_cursor(page: Page, shepherd: Any) -> None:
    hover(page, "gradient", 100, 50)
    red, green, blue = (shepherd[:, 50, 100] * 255).round().int().tolist()
    assert readout(page, "photo") == f"x 100, y 50: RGB {red}, {green}, {blue}"


def test_the_wheel_zooms_all_panels_to_the_same_part(page: Page, results: dict[str, at.Attribution]) -> None:
    before = {key: source(page, key) for key in ("photo", *FIRST)}
    hover(page, "gradient", 172, 37)
    for _ in range(6):
        page.mouse.wheel(0, -150)
        page.wait_for_timeout(50)
    values = {}
    for key in FIRST:  # the same pixel of every panel, whichever panel the pointer is over
        box = box_of(page, key)
        page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.1)
        values[key] = readout(page, "photo")
        assert source(page, key) != before[key]
    assert len(set(values.values())) == 1
    page.get_by_role("button", name="Reset view").click()
    page.mouse.move(0, 0)
    page.wait_for_timeout(200)
    assert {key: source(page, key) for key in before} == before


@pytest.mark.parametrize("page", [{"viewport": PHONE, "has_touch": True, "is_mobile": True}], indirect=True)
def test_two_fingers_zoom_all_panels_around_the_point_between_them(page: Page) -> None:
    before = {key: source(page, key) for key in ("photo", *FIRST)}
    box = box_of(page, "gradient")
    x, y = box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"]
    fingers = page.context.new_cdp_session(page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": left, "y": top, "id": i} for i, (left, top) in enumerate(places)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (x - 8, y), (x + 8, y))
    for apart in range(10, 33, 2):
        touch("touchMove", (x - apart, y), (x + apart, y))
    page.wait_for_timeout(200)
    assert [key for key in before if source(page, key) == before[key]] == []
    touch("touchEnd")
    map_of(page, "gradient").evaluate(  # the point between the fingers shows what it showed
        "(canvas, at) => canvas.dispatchEvent(new PointerEvent('pointermove', {clientX: at[0], clientY: at[1]}))",
        [x, y],
    )
    found = re.match(r"x (\d+), y (\d+):", readout(page, "photo"))
    assert found
    assert [int(each) for each in found.groups()] == pytest.approx([0.75 * 227, 0.25 * 227], abs=3)
    assert page.evaluate("window.visualViewport.scale") == 1  # the page itself is not zoomed


def test_zoom_survives_new_data_and_a_double_click_resets_it(page: Page) -> None:
    whole = source(page, "photo")
    hover(page, "gradient", 172, 37)
    page.mouse.wheel(0, -600)
    page.mouse.move(0, 0)
    page.wait_for_timeout(200)
    zoomed = source(page, "photo")
    assert zoomed != whole
    set_steps(page, 4)
    expect(page.locator(".st-key-map-integrated_gradients")).to_contain_text("4 backward pass", timeout=60_000)
    assert source(page, "photo") == zoomed
    map_of(page, "gradient").dblclick()
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    map_of(page, "gradient").press("0")
    page.wait_for_timeout(200)
    assert source(page, "photo") == whole


def test_display_changes_send_nothing(page: Page) -> None:
    expect(page.locator(f".st-key-map-{FIRST[-1]}")).to_contain_text("estimated error of the map")
    idle(page)
    page.wait_for_timeout(1500)  # the images of the path have come
    sent: list[Any] = []
    page.on("request", lambda request: sent.append(request.url))
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.webSocketFrameSent", lambda frame: sent.append(frame["response"]["payloadData"]))
    seen = {source(page, "gradient")}
    for view in ("heat", "signed", "important", "grey"):
        choose_view(page, view)
        if view == "heat":
            for colours in ("viridis", "cividis", "magma"):
                page.get_by_label("Colours").select_option(colours)
            page.get_by_label("Opacity").fill("0.9")
        seen.add(source(page, "gradient"))
    page.get_by_label("Clip at percentile").fill("99")
    page.get_by_label("Channels").select_option("maximum")
    page.get_by_label("Colour scale").select_option("shared")
    page.wait_for_timeout(100)
    seen.add(source(page, "gradient"))
    hover(page, "gradient", 50, 50)
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(500)
    assert len(seen) == 5
    assert sent == []


def test_the_clipped_share_and_the_ends_of_the_scale_are_the_engines(
    page: Page,
    results: dict[str, at.Attribution],
) -> None:
    page.get_by_label("Clip at percentile").fill("99")
    page.wait_for_timeout(100)
    for key, result in results.items():
        panel = page.locator(f".st-key-map-{key}")
        heat = np.abs(result.values).sum(0)
        expect(panel.locator(".note")).to_have_text(f"Unit: {result.unit}; 1.0% clipped")
        high = number(panel.locator(".bar > span").nth(1).inner_text().split()[0])
        assert high == pytest.approx(np.percentile(heat, 99), rel=0.01)
    page.get_by_label("Colour scale").select_option("shared")
    page.wait_for_timeout(100)
    ends = {page.locator(f".st-key-map-{key} .bar").inner_text() for key in FIRST}
    assert len(ends) == 1


def test_a_click_marks_a_pixel_and_python_answers_with_its_values(
    page: Page,
    results: dict[str, at.Attribution],
) -> None:
    box = box_of(page, "gradient")
    page.mouse.click(box["x"] + 172.5 / 227 * box["width"], box["y"] + 37.5 / 227 * box["height"])
    expected = f"Guided backpropagation {float(results['guided_backprop'].values[:, 37, 172].sum()):+.3g}"
    marked = page.get_by_text("Marked pixel x 172, y 37")
    expect(marked).to_contain_text(expected, timeout=20_000)


def test_a_region_reports_each_maps_share(page: Page, results: dict[str, at.Attribution]) -> None:
    hover(page, "gradient", 150, 20)
    page.keyboard.down("Shift")
    page.mouse.down()
    hover(page, "gradient", 200, 80)
    page.mouse.up()
    page.keyboard.up("Shift")
    page.mouse.move(0, 0)
    for key, result in results.items():
        heat = np.abs(result.values).sum(0)
        note = page.locator(f".st-key-map-{key} .note").inner_text()
        share, area = (float(each) for each in re.match(r"Region: ([\d.]+)% of the map, ([\d.]+)% of", note).groups())  # type: ignore[union-attr]
        assert share == pytest.approx(100 * heat[20:81, 150:201].sum() / heat.sum(), abs=1.5)
        assert area == pytest.approx(100 * 61 * 51 / 227**2, abs=0.3)


@pytest.mark.parametrize(("size", "side"), [("map", 227), ("photo", 560)])
def test_a_panel_saves_what_it_shows(page: Page, size: str, side: int) -> None:
    page.get_by_label("PNG size").select_option(size)
    found = saved(page, "guided_backprop")
    assert found.shape[0] == found.shape[1] >= (side if size == "map" else 400)
    assert found.min() == 0


SAVED = """async button => {
    const [create, click] = [URL.createObjectURL, HTMLAnchorElement.prototype.click];
    HTMLAnchorElement.prototype.click = () => {};
    const blob = await new Promise(done => {
        URL.createObjectURL = blob => { setTimeout(() => done(blob)); return "#"; };
        button.click();
    });
    [URL.createObjectURL, HTMLAnchorElement.prototype.click] = [create, click];
    return Array.from(new Uint8Array(await blob.arrayBuffer()));
}"""


def saved_without_download(page: Page, key: str) -> Any:
    """The PNG that a panel would save, (H, W, 3): Chromium blocks a page's eleventh download in a row."""
    data = bytes(page.locator(f".st-key-map-{key}").get_by_role("button", name="Save PNG").evaluate(SAVED))
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def saved(page: Page, key: str) -> Any:
    """The PNG that a panel saves, (H, W, 3)."""
    with page.expect_download() as download:
        page.locator(f".st-key-map-{key}").get_by_role("button", name="Save PNG").click()
    assert download.value.suggested_filename == f"german_shepherd_on_grass-squeezenet1_1-{key}.png"
    with Image.open(io.BytesIO(download.value.path().read_bytes())) as image:
        return np.asarray(image.convert("RGB")).astype(int)


VIEWS = [
    at.View(),
    at.View("heat", colours="viridis", blend=0.35),
    at.View("heat", reduction="signed_sum"),
    at.View("signed", clip=97, scale="shared"),
    at.View("important", top=5, reduction="maximum"),
    at.View("rgb", clip=99),
    at.View("grey", reduction="absolute_of_sum", clip=100),
]


PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
LABELS = {"view": "View", "reduction": "Channels", "clip": "Clip at percentile", "blend": "Opacity"}
LABELS |= {"top": "Top pixels", "colours": "Colours", "scale": "Colour scale", "outlines": "Segment outlines"}


def test_python_draws_what_the_viewer_draws(page: Page, results: dict[str, at.Attribution], shepherd: Any) -> None:
    idle(page)
    for place, view in enumerate(VIEWS):
        for name, value in plain(view).items():
            control = page.get_by_label(LABELS[name])
            if control.is_visible():
                (control.select_option if isinstance(value, str) else control.fill)(str(value))
                page.evaluate(PAINTED)  # a view shows and hides controls when it is painted
        drawn = view.draw([each.values for each in results.values()], eight_bit(shepherd.numpy()))
        for key, drawing in list(zip(results, drawn, strict=True))[place % 2 :: 2]:  # half of the maps each
            off = np.abs(saved_without_download(page, key) - drawing.rgb).max(-1)
            assert (off > 3).mean() < 0.001, view  # 16-bit values, and pixels just at a threshold
            assert np.abs(drawing.rgb.astype(int) - 255).max() > 100  # and something is drawn


@pytest.mark.slow
def test_segments_are_outlined_and_named_under_the_cursor(
    page: Page, address: str, squeezenet: at.Model, shepherd: Any
) -> None:
    result = at.attribute(squeezenet, shepherd, at.LIME(masks=100))
    photo = eight_bit(shepherd.numpy())
    expect(page.get_by_label("Segment outlines")).to_be_hidden()  # no map has segments
    page.goto(f"{address}/?methods=lime(masks=100)")
    page.get_by_label("Segment outlines").wait_for(timeout=90_000)
    idle(page)
    for outlines in ("shown", "hidden"):
        page.get_by_label("Segment outlines").select_option(outlines)
        page.evaluate(PAINTED)
        (drawn,) = at.View(outlines=outlines).draw([result.values], photo, [True], [result.segments])
        off = np.abs(saved_without_download(page, "lime") - drawn.rgb).max(-1)
        assert (off > 3).mean() < 0.001
    for x, y in ((170, 40), (20, 200)):
        hover(page, "lime", x, y)
        label = result.segments[y, x]
        expected = float(result.values.sum(0)[result.segments == label].sum()), float(result.standard_error[label])
        shown = re.fullmatch(r"Segment: (\S+) \u00b1 (\S+)", readout(page, "lime"))
        assert shown, readout(page, "lime")
        assert [number(each) for each in shown.groups()] == pytest.approx(expected, rel=0.01)


def test_the_keyboard_alone_moves_zooms_marks_and_resets(page: Page) -> None:
    whole = source(page, "photo")
    map_of(page, "gradient").focus()
    for key in ("ArrowRight", "ArrowDown", "+", "+", "+"):
        page.keyboard.press(key)
    page.wait_for_timeout(100)
    assert readout(page, "photo").startswith("x 114, y 114")
    page.keyboard.press("r")
    for key in ("Shift+ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    page.keyboard.press("r")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowUp")
    area = 100 * 11 * 11 / 227**2  # the pixels of both corners belong to it
    expect(page.locator(".st-key-map-gradient .note")).to_contain_text(f"{area:.1f}% of the area")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Marked pixel x 114, y 114")).to_be_visible(timeout=20_000)
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    page.mouse.move(0, 0)
    expect(page.get_by_role("button", name="Save PNG").nth(1)).to_be_focused()
    assert len(whole) > 0


@pytest.fixture(params=["light", "dark"])
def themed(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(viewport=DESK, color_scheme=request.param)
    page = context.new_page()
    page.goto(address)
    expect(map_of(page, FIRST[-1])).to_be_visible(timeout=90_000)
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0, timeout=90_000)
    yield page
    context.close()


def test_axe_finds_nothing_serious(themed: Page) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(themed).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in serious] == []


def test_a_click_on_a_predicted_class_explains_it(page: Page) -> None:
    buttons = page.locator(".st-key-prediction button")
    expect(buttons).to_have_count(5)
    buttons.nth(2).click()
    expect(page.locator(".st-key-map-gradient")).to_contain_text("malinois", timeout=30_000)
    expect(page.get_by_role("combobox", name=re.compile("Target class"))).to_have_value("malinois (225)")


def test_the_keyboard_reaches_the_first_map_within_ten_stops(page: Page) -> None:
    idle(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # Streamlit's "Skip to main content"
    for _ in range(8):
        page.keyboard.press("Tab")
        if page.get_by_role("button", name="Go to the maps").evaluate("button => button.matches(':focus')"):
            page.keyboard.press("Enter")
            break
    expect(map_of(page, "gradient")).to_be_focused()


def test_the_tab_key_reaches_every_control(page: Page) -> None:
    reached: set[str] = set()
    page.evaluate("document.body.focus()")
    for _ in range(120):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                """() => {
                    let each = document.activeElement;
                    while (each.shadowRoot && each.shadowRoot.activeElement) each = each.shadowRoot.activeElement;
                    const label = each.labels && each.labels[0] ? each.labels[0].innerText : "";
                    return each.getAttribute("aria-label") || label || each.innerText || each.tagName;
                }"""
            )
        )
    everything = "\n".join(reached)
    wanted = ["View", "Channels", "Clip at percentile", "Colour scale", "PNG size", "Reset view", "Save PNG", "Steps"]
    wanted += [
        "Model",
        "Target class",
        "Against",
        "Gradient map for German shepherd",
        "The photo as the network sees it",
    ]
    assert [label for label in wanted if label not in everything] == []
