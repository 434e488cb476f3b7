"""Response times of the page Learn in Chromium: the first chapter after a click, and every control of every chapter.

Prints, for each control, the median from an input to the frame in which the figure has changed. Photos and states are
new each time, so that no figure is remembered. Exits with 1 beyond a floor.

    make benchmark NAME=lesson
"""

import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import chromium
from dashboard import LONG, PICTURES, idle, serving
from playwright.sync_api import Locator, Page, expect, sync_playwright
from verdict import Verdict

from attribution.photo.samples import SAMPLES

SCREEN = {"width": 1280, "height": 720}
FIRST = "first chapter after the click on Learn"
READY = "slowest control that the server answers, once the next figures are ready"
FRESH = "slowest control that the server answers, at once"
TOY = "slowest control of a sandbox"
FIGURES = {
    FIRST: ("ms", 2000, 2000, False),
    READY: ("ms", 300, 600, False),
    FRESH: ("ms", 300, 1500, False),
    TOY: ("ms", 50, 300, False),
}
TOYS = (4, 5, 6)  # chapters with a sandbox
PHOTOS = tuple(SAMPLES)[:5]
# All that a figure shows, as one text: what is painted on the pictures, the chart, and the sandboxes.
SHOWN = """() => {
const sampled = (picture) => {
    const image = picture.getContext("2d").getImageData(0, 0, picture.width, picture.height).data;
    return image.filter((_, place) => place % 499 === 0).join();
};
window.shown = () => {
    const found = window.pictures().map(sampled);
    const walk = (root) => {
        for (const each of root.querySelectorAll(".st-key-lesson-figure svg, svg.wide, svg.tall, .facts, table, svg")) {
            if (each.closest?.(".st-key-lesson-figure") || root !== document) found.push(each.innerHTML);
        }
        for (const each of root.querySelectorAll("*")) if (each.shadowRoot) walk(each.shadowRoot);
    };
    walk(document);
    return found.join("|");
};
window.changes = () => {
    const [before, started] = [window.shown(), performance.now()];
    const passed = () => performance.now() - started;
    window.changed = new Promise((done, fail) => {
        const wait = () => {
            if (window.shown() !== before) done(passed());
            else if (passed() > 20000) fail("unchanged for 20 s");
            else requestAnimationFrame(wait);
        };
        requestAnimationFrame(wait);
    });
};
}"""


def settled(page: Page, pause: int = 300) -> None:
    """Wait until the figure is there, and then so many milliseconds."""
    page.wait_for_function("window.shown().length > 20", timeout=LONG)
    idle(page)
    page.wait_for_timeout(pause)


def pressed(page: Page, control: Locator, key: str, pause: int) -> float:
    """Press a key on a control; return the milliseconds until the figure has changed."""
    settled(page, pause)
    control.focus()
    page.evaluate("window.changes()")
    page.keyboard.press(key)
    return float(page.evaluate("window.changed"))


def controls(page: Page, chapter: int) -> Iterator[tuple[str, Locator, str]]:
    """Yield the name of each control, its element, and a key that changes it."""
    figure = page.locator(".st-key-lesson-figure")
    for slider in figure.get_by_test_id("stSlider").all():
        if not slider.count():  # left over from an earlier run of the page
            continue
        key = "ArrowLeft" if chapter == 10 else "ArrowRight"
        yield f"chapter {chapter}: {slider.locator('p').first.text_content()}", slider.get_by_role("slider"), key
    for group in figure.get_by_test_id("stButtonGroup").all():
        other = group.locator("button:not([aria-checked=true])").last
        yield f"chapter {chapter}: {group.locator('p').first.text_content()}", other, "Enter"
    for name in ("x1", "x2"):
        if (scrub := figure.get_by_role("slider", name=f"Input {name}")).count():
            yield f"chapter {chapter}: {name}", scrub, "ArrowRight"
    for name in ("x", "Baseline b"):
        if (number_input := figure.get_by_role("spinbutton", name=name, exact=True)).count():
            yield f"chapter {chapter}: {name}", number_input, "ArrowDown"


def measure(page: Page, address: str) -> dict[str, float]:
    """Return every figure, measured on one page."""
    page.add_init_script(f"({PICTURES})(); ({SHOWN})();")
    times = []
    for photo in PHOTOS:
        page.goto(f"{address}/?photo={photo}&methods=")
        expect(page.get_by_role("link", name="Learn")).to_be_visible(timeout=LONG)
        idle(page)
        page.wait_for_timeout(1500)
        page.get_by_role("link", name="Learn").evaluate("link => { window.started = performance.now(); link.click(); }")
        page.wait_for_function(
            "document.querySelector('.lesson-title') && window.pictures().filter(window.look).length >= 3",
            polling="raf",
            timeout=LONG,
        )
        times.append(float(page.evaluate("performance.now() - window.started")))
    found = {READY: dict[str, float](), FRESH: dict[str, float](), TOY: dict[str, float]()}
    for chapter in range(1, 11):
        for photo, figure, pause in ((PHOTOS[1], FRESH, 0), (PHOTOS[4], READY, 5000)):
            page.goto(f"{address}/learn?photo={photo}&chapter={chapter}&step=2&language=en")
            settled(page, 1000)  # nothing of the page's first runs is left
            for name, control, key in controls(page, chapter):
                spent = pressed(page, control, key, 0 if chapter in TOYS else pause)
                found[TOY if chapter in TOYS else figure][name] = spent
                print(f"lesson {name}: {spent:.0f} ms{' at once' * (figure == FRESH)}", flush=True)
    return {FIRST: statistics.median(times), **{name: max(several.values()) for name, several in found.items()}}


def main() -> int:
    """Print every figure and the verdict."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "log") as (address, _),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        found = measure(browser.new_page(viewport=SCREEN), address)  # type: ignore[arg-type]
        browser.close()
    verdict = Verdict()
    for name, (unit, aim, floor, more) in FIGURES.items():
        verdict.judge(f"lesson {name}", f"{found[name]:.0f} {unit}", found[name], aim, floor, more)
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
