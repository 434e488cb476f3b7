"""Waiting times for the sanity checks and for deletion and insertion, in Chromium.

SqueezeNet, real weights. Sanity: two methods, 12 stages, from the click on the page's name to the first map, and to all
maps, curves and controls. Faithfulness: from the same click to the deletion and insertion curves of four maps and three
controls; the four maps are there already. Medians over sample photos, each in a session of its own.

    make benchmark NAME=checks
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import chromium
from dashboard import DESK, FIRST, LONG, idle, map_of, serving
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from verdict import Verdict

PHOTOS = ("german_shepherd_on_grass", "dog_over_cat", "espresso")
PAIR = ("gradient", "guided_backprop")
FIGURES = {  # name: (aim, floor), seconds
    "first sanity map": (1.0, 3.0),
    "all of 12 stages of 2 methods": (15.0, 40.0),
    "deletion and insertion of four maps": (10.0, 30.0),
}


def explored(browser: Browser, address: str, photo: str, methods: tuple[str, ...], rest: str) -> Page:
    """A new session whose first maps are there."""
    page = browser.new_page(viewport=DESK)  # type: ignore[arg-type]
    page.goto(f"{address}/?photo={photo}&methods={'~'.join(methods)}{rest}")
    expect(map_of(page, methods[-1])).to_be_visible(timeout=LONG)
    idle(page)
    page.wait_for_timeout(1500)
    return page


def seconds(page: Page, name: str, *shown: Locator) -> list[float]:
    """From the click on a page's name until each of these is seen; the job has ended at the last."""
    started, found = time.perf_counter(), []
    page.get_by_role("link", name=name).click()
    for each in shown:
        expect(each).to_be_visible(timeout=2 * LONG)
        found.append(time.perf_counter() - started)
    idle(page)
    return [*found[:-1], time.perf_counter() - started]


def measure(browser: Browser, folder: Path) -> dict[str, list[float]]:
    """All figures, one a photo."""
    found: dict[str, list[float]] = {name: [] for name in FIGURES}
    with serving(folder / "log") as (address, _):
        for photo in PHOTOS:
            page = explored(browser, address, photo, PAIR, "")
            first, all_of_it = seconds(page, "Sanity", map_of(page, "gradient-0"), map_of(page, "noise"))
            found["first sanity map"].append(first)
            found["all of 12 stages of 2 methods"].append(all_of_it)
            page.close()
            page = explored(browser, address, photo, tuple(FIRST), "&faithfulness=faithfulness(samples=0,moves=0)")
            found["deletion and insertion of four maps"] += seconds(
                page, "Faithfulness", page.get_by_text("Perturbed images")
            )
            page.close()
    return found


def main() -> int:
    """Print every figure and the verdict."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        found = measure(browser, Path(folder))
        browser.close()
    verdict = Verdict()
    for name, (aim, floor) in FIGURES.items():
        value = statistics.median(found[name])
        each = ", ".join(f"{one:.1f}" for one in found[name])
        verdict.judge(f"checks {name}", f"{value:.2f} s, of {each}", value, aim, floor)
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
