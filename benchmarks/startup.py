"""Start-up time and memory: from starting the server to four painted maps in an open Chromium.

Prints the seconds and the memory of the server process then (resident, MB of 10^6 bytes), each the median of five
starts, and exits with 1 above the floor.

    make benchmark NAME=startup
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import chromium
from dashboard import PICTURES, serving
from playwright.sync_api import Page, sync_playwright
from verdict import Verdict

RUNS = 5
AIM = {"seconds": 8.0, "MB": 950.0}
FLOOR = {"seconds": 16.0, "MB": 1200.0}
PANELS = 5  # the photo and four maps
PAINTED = (
    f"""() => pictures().length === {PANELS} && pictures().every(look) && !document.body.innerText.includes("Cancel")"""
)


def measure(page: Page, log: Path) -> dict[str, float]:
    """One start."""
    started = time.perf_counter()
    with serving(log) as (address, server):
        page.goto(address)
        page.evaluate(PICTURES)
        page.wait_for_function(PAINTED, timeout=120_000)
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return {"seconds": time.perf_counter() - started, "MB": resident(server.pid)}


def resident(pid: int) -> float:
    """Resident memory of a process on Linux, in MB."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024 / 1e6


def main() -> int:
    """Print every figure and the verdict."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        runs = []
        for _ in range(RUNS):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            runs.append(measure(page, Path(folder) / "log"))
            page.close()
        browser.close()
    verdict = Verdict()
    for figure, floor in FLOOR.items():
        values = sorted(run[figure] for run in runs)
        median = statistics.median(values)
        text = f"median {median:.1f}, {values[0]:.1f} to {values[-1]:.1f}"
        verdict.judge(f"startup {figure}", text, median, AIM[figure], floor)
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
