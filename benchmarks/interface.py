"""Response times of the page and the bytes sent: from a click to painted pixels in Chromium.

Prints medians of several clicks: a cached result, four fresh maps beyond their computing time, a change of the display
only, the bytes that arrive, and in the same run the linked viewer against a Plotly heatmap grid of the same four maps
(one float32 channel each). Exits with 1 beyond a floor.

    make benchmark NAME=interface
"""

import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import chromium
from dashboard import DESK, FIRST, LONG, PICTURES, idle, map_of, serving
from playwright.sync_api import Browser, Page, expect, sync_playwright
from verdict import Verdict

CLICKS = 7
# name: (unit, aim, floor, true if more is better)
FIGURES = {
    "cached result": ("ms", 150, 300, False),
    "four fresh maps, beyond their computing time": ("ms", 300, 500, False),
    "display only": ("ms", 16, 50, False),
    "arriving for four fresh maps, one of them growing": ("kB", 1400, 1800, False),  # floor: one map twice
    "faster than a Plotly heatmap grid": ("x", 2.5, 1.5, True),
}
CLICK = """() => {
// Milliseconds from a click on a button to the frame in which `ready` holds.
window.clickTo = (button, ready) => new Promise((done, fail) => {
    const started = performance.now();
    const painted = () => done(performance.now() - started);
    const late = () => performance.now() - started > 60000;
    const wait = () => late() ? fail("not painted within 60 s") : requestAnimationFrame(ready() ? painted : wait);
    button.click();
    requestAnimationFrame(wait);
});
}"""


def cached_result(page: Page) -> float:
    """Hide a method and show it again: its map is remembered."""
    pill = page.get_by_test_id("stSidebar").get_by_role("button", name="Gradient", exact=True)
    pill.click()
    expect(map_of(page, "gradient")).to_have_count(0, timeout=LONG)
    idle(page)
    page.wait_for_timeout(300)
    return float(
        pill.evaluate(
            """button => clickTo(button, () => pictures().length === 5 && pictures().every(look)
            && document.querySelector('.st-key-map-gradient'))"""
        )
    )


def fresh_maps(page: Page, score: str, received: list[int]) -> tuple[float, float]:
    """Ask for another score: milliseconds beyond the computing time, and kB that arrived."""
    radio = page.get_by_role("radio", name=score, exact=True)
    received.clear()
    total = radio.evaluate(
        """(button, word) => clickTo(button, () => {
            const cells = [...document.querySelectorAll('[class*=st-key-map-]')].slice(1);
            const inside = cell => [...cell.querySelectorAll('*')].map(each => each.shadowRoot?.textContent).join();
            return cells.length === 4 && cells.every(cell => inside(cell).includes(word)
                && cell.textContent.includes('backward')) && !document.body.innerText.includes('Cancel')
                && pictures().every(look);
        })""",
        f", {score.lower()}",
    )
    kilobytes = sum(received) / 1000
    seconds = [
        float(re.search(r"(\d+\.\d+) s,", page.locator(f".st-key-map-{key}").text_content() or "").group(1))  # type: ignore[union-attr]
        for key in FIRST
    ]
    return float(total) - 1000 * sum(seconds), kilobytes


def display_only(page: Page, view: str) -> float:
    """Choose another view: until the frame that shows it is drawn."""
    return float(
        page.get_by_label("View").evaluate(
            """(select, view) => new Promise((done) => {
                select.value = view;
                const started = performance.now();
                select.dispatchEvent(new Event("change"));
                requestAnimationFrame(() => done(performance.now() - started));
            })""",
            view,
        )
    )


def next_maps(browser: Browser, address: str, grid: str) -> float:
    """Median milliseconds from a click to four other maps painted, in the viewer or in a Plotly grid."""
    page = browser.new_page(viewport=DESK)  # type: ignore[arg-type]
    page.goto(f"{address}/?grid={grid}")
    page.wait_for_selector(".heatmaplayer image" if grid == "plotly" else "canvas.picture", timeout=LONG)
    page.wait_for_timeout(2000)
    page.evaluate(PICTURES)
    page.evaluate(CLICK)
    seen = """() => [...document.querySelectorAll('.heatmaplayer image')].map(each => each.getAttribute('href'))"""
    if grid == "viewer":
        seen = "() => pictures().map(look)"
    times: list[float] = []
    for _ in range(CLICKS):
        times.append(
            page.get_by_role("button", name="Next").evaluate(
                f"""button => {{
                    const seen = {seen};
                    const old = seen();
                    return clickTo(button, () => {{
                        const now = seen();
                        return now.length === 4 && now.every((each, i) => each && each !== old[i]);
                    }});
                }}"""
            )
        )
        page.wait_for_timeout(500)
    page.close()
    return float(statistics.median(times))


def measure(browser: Browser, folder: Path) -> dict[str, float]:
    """All figures."""
    found: dict[str, float] = {}
    with serving(folder / "log") as (address, _):
        page = browser.new_page(viewport=DESK)  # type: ignore[arg-type]
        received: list[int] = []
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")

        def arrived(frame: Any) -> None:
            payload = frame["response"]["payloadData"]
            received.append(len(payload) * 3 // 4 if frame["response"]["opcode"] == 2 else len(payload))

        session.on("Network.webSocketFrameReceived", arrived)
        page.goto(address)
        expect(map_of(page, FIRST[-1])).to_be_visible(timeout=LONG)
        idle(page)
        page.wait_for_timeout(3000)
        page.evaluate(PICTURES)
        page.evaluate(CLICK)
        found["cached result"] = statistics.median(cached_result(page) for _ in range(CLICKS))
        fresh = [fresh_maps(page, score, received) for score in ("Log-odds", "Logit")]
        found["four fresh maps, beyond their computing time"] = statistics.median(each[0] for each in fresh)
        found["arriving for four fresh maps, one of them growing"] = statistics.median(each[1] for each in fresh)
        views = ("heat", "signed", "important", "grey") * 3
        found["display only"] = statistics.median(display_only(page, view) for view in views)
        page.close()
    room = {"STREAMLIT_SERVER_MAX_MESSAGE_SIZE": "200"}  # MB; a grid of Plotly heatmaps is larger than our limit
    with serving(folder / "log", "benchmarks/interface_app.py", **room) as (address, _):
        viewer, plotly = (next_maps(browser, address, grid) for grid in ("viewer", "plotly"))
        print(f"interface next four maps: viewer {viewer:.0f} ms, Plotly {plotly:.0f} ms")
        found["faster than a Plotly heatmap grid"] = plotly / viewer
    return found


def main() -> int:
    """Print every figure and the verdict."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        found = measure(browser, Path(folder))
        browser.close()
    verdict = Verdict()
    for name, (unit, aim, floor, more) in FIGURES.items():
        verdict.judge(f"interface {name}", f"{found[name]:.1f} {unit}", found[name], aim, floor, more)
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
