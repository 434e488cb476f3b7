"""Requirements of every page, in Chromium: one heading, the tab's title, nothing cut off, contrast, and the height."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from dashboard import DESK, LONG, PHONE, idle, map_of
from playwright.sync_api import Browser, Locator, Page, expect

CHEAP = "methods=gradient~guided_backprop~zeiler_fergus~input_x_gradient"
PATHS = {
    "Explore": f"?{CHEAP}",
    "Path": "path",
    "Baselines": "baselines",
    "Probe": "probe?methods=gradient~integrated_gradients(steps=5)&probe=probe(cells=10/8/6/5,challenge=flip)",
    "Sanity": f"sanity?{CHEAP}",
    "Faithfulness": "faithfulness?methods=gradient~grad_cam&faithfulness=faithfulness(steps=10,samples=3,moves=1)",
    "Methods": "methods",
}
SCREEN = {"width": 1280, "height": 720}
MAX_SCREENS = {"Sanity": 3, "Methods": 5}
# Waits until colours that fade from one theme to the other have arrived.
FADED = "Promise.all(document.getAnimations().filter((e) => e instanceof CSSTransition).map((e) => e.finished))"
# Lists what is wider than the screen and not inside something that scrolls by itself.
CUT_OFF = """() => {
    const found = [];
    const scrolls = (element) => {
        for (let each = element; each; each = each.parentElement ?? each.getRootNode().host) {
            if (each.dataset?.testid === "stMain") return false;
            const box = each.getBoundingClientRect();
            const overflow = getComputedStyle(each).overflowX;
            if (/auto|scroll/.test(overflow)) return box.right <= innerWidth + 1;
            if (overflow === "hidden" && box.width <= 1) return true;  // for screen readers only
        }
        return false;
    };
    const walk = (root) => {
        for (const each of root.querySelectorAll("*")) {
            if (each.shadowRoot) walk(each.shadowRoot);
            const box = each.getBoundingClientRect();
            if (box.width && box.right > innerWidth + 1 && !scrolls(each)) found.push(each.outerHTML.slice(0, 200));
        }
    };
    walk(document.querySelector("[data-testid=stMain]"));
    return found;
}"""


def opened(browser: Browser, url: str, **settings: object) -> Page:
    page = browser.new_context(**settings).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(LONG)
    page.goto(url)
    return page


@pytest.fixture
def page(browser: Browser, address: str, name: str) -> Iterator[Page]:
    """A page of the dashboard on a phone, with everything on it."""
    page = opened(browser, f"{address}/{PATHS[name]}", viewport=PHONE, color_scheme="light")
    last: dict[str, Locator] = {
        "Explore": map_of(page, "input_x_gradient"),
        "Path": page.locator(".player canvas"),
        "Baselines": map_of(page, "disagreement"),
        "Probe": page.get_by_text("The network calls the completely covered photo"),
        "Sanity": map_of(page, "noise"),
        "Faithfulness": page.get_by_text("Perturbed images"),
        "Methods": page.locator(".st-key-card-rise"),
    }
    expect(last[name].first).to_be_visible(timeout=3 * LONG)
    idle(page)
    yield page
    expect(page.get_by_test_id("stException")).to_have_count(0)
    page.context.close()


def serious(page: Page) -> list[tuple[str, list[str]]]:
    found = Axe().run(page).response["violations"]
    return [
        (each["id"], [node["html"][:200] for node in each["nodes"]])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == "Path" else name for name in PATHS]
)
def test_a_page_is_named_whole_legible_and_short(page: Page, name: str) -> None:
    expect(page).to_have_title(f"{name}: German shepherd (SqueezeNet 1.1)")
    expect(page.locator("h1")).to_have_count(1)
    folded = page.locator("[data-testid=stMain] details:not([open]) > summary")
    folded.evaluate_all("all => all.forEach((each) => each.click())")
    expect(folded).to_have_count(0)
    page.wait_for_timeout(500)
    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert serious(page) == []
    page.emulate_media(color_scheme="dark")
    expect(page.get_by_test_id("stApp")).to_have_css("color-scheme", "dark")
    page.evaluate(FADED)
    assert serious(page) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", MAX_SCREENS)
def test_a_page_is_short_before_it_is_unfolded(page: Page, name: str) -> None:
    page.set_viewport_size(SCREEN)  # type: ignore[arg-type]
    page.reload()
    expect(page.locator(".st-key-card-rise, .st-key-map-noise canvas.picture").first).to_be_visible()
    idle(page)
    expect(page.get_by_test_id("stSidebar")).to_be_visible()
    height = page.get_by_test_id("stMain").evaluate("main => main.scrollHeight")
    assert SCREEN["height"] < height <= MAX_SCREENS[name] * SCREEN["height"]


def test_quick_maps_are_drawn_and_try_it_adds_a_method(browser: Browser, address: str) -> None:
    page = opened(browser, f"{address}/methods?photo=espresso&methods=gradient", viewport=DESK)
    card = page.locator(".st-key-card-input_x_gradient")
    expect(card).to_contain_text("No map yet")
    page.get_by_role("button", name="quick maps").click()
    expect(card.get_by_role("img", name="Input x gradient map for espresso")).to_be_visible()
    expect(page.locator(".st-key-card-rise")).to_contain_text("No map yet")
    idle(page)
    card.get_by_role("button", name="Try it").click()
    expect(map_of(page, "input_x_gradient")).to_be_visible()
    expect(map_of(page, "gradient")).to_be_visible()
    expect(page).to_have_title("Explore: espresso (SqueezeNet 1.1)")
    page.context.close()
