"""Share of the first screen, beside the sidebar, that is map or photo, in Chromium.

SqueezeNet on the default photo. Each pixel of the screen counts once; what is below the fold does not count.

    make benchmark NAME=screen
"""

import sys
import tempfile
from pathlib import Path

import chromium
from dashboard import LONG, idle, map_of, serving
from playwright.sync_api import Browser, Page, expect, sync_playwright
from verdict import Verdict

import attribution as at

SCREENS = ((1280, 720), (1366, 768), (1920, 1080), (390, 844))
COUNTS = (1, 2, 4, 8, 12)
FLOORS = {1: 0.5, 2: 0.4, 4: 0.5, 8: 0.5}  # by number of methods, on a desktop with the sidebar open
PHONE_FLOOR = 0.4  # with four methods
# Computes the share in cells of 2 x 2 pixels, and the number of maps that are whole on the screen.
SHARE = """() => {
    const boxes = [];
    const walk = (root) => {
        for (const each of root.querySelectorAll("*")) {
            if (each.matches("canvas.picture")) boxes.push(each.getBoundingClientRect());
            if (each.shadowRoot) walk(each.shadowRoot);
        }
    };
    walk(document);
    const sidebar = document.querySelector("[data-testid=stSidebar]")?.getBoundingClientRect();
    const left = innerWidth > 700 && sidebar ? Math.max(0, sidebar.right) : 0;
    let inside = 0, all = 0;
    for (let y = 1; y < innerHeight; y += 2) {
        const row = boxes.filter((box) => box.width > 0 && box.top <= y && y < box.bottom);
        for (let x = left + 1; x < innerWidth; x += 2) {
            all += 1;
            inside += row.some((box) => box.left <= x && x < box.right);
        }
    }
    const whole = boxes.filter((box) => box.width > 0 && box.top >= 0 && box.bottom <= innerHeight).length;
    return [inside / all, whole];
}"""


def opened(browser: Browser, address: str, size: tuple[int, int], count: int) -> Page:
    """A page with the first methods of the registry, finished."""
    first = [key for key, method in at.METHODS.items() if method.chosen]
    keys = [*first, *(key for key in at.METHODS if key not in first)][:count]
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(f"{address}/?methods={'~'.join(keys)}")
    for key in keys:
        expect(map_of(page, key)).to_have_count(1, timeout=4 * LONG)
    idle(page)
    page.wait_for_timeout(800)
    return page


def main() -> int:
    """Print all figures, and judge those that have a floor."""
    verdict = Verdict()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        with serving(Path(folder) / "log") as (address, _):
            for size in SCREENS:
                phone = size[0] < 700
                for count in COUNTS:
                    page = opened(browser, address, size, count)
                    share, whole = page.evaluate(SHARE)
                    name = f"{size[0]} x {size[1]}, {count} methods"
                    floor = (PHONE_FLOOR if count == 4 else None) if phone else FLOORS.get(count)
                    text = f"{share:.0%}, {whole} pictures whole"
                    if floor is None:
                        print(f"{name}: {text}", flush=True)
                    else:
                        verdict.judge(name, text, share, floor, floor, more=True)
                    if not phone:
                        page.locator("[data-testid=stSidebarCollapseButton] button").evaluate(
                            "button => button.click()"
                        )
                        page.wait_for_timeout(1200)
                        share, whole = page.evaluate(SHARE)
                        print(f"{name}, sidebar closed: {share:.0%}, {whole} pictures whole", flush=True)
                    page.close()
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
