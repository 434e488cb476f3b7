"""The probe page: from a stroke to its bars in Chromium, and ten people who paint beside a job of 900 steps.

SqueezeNet on two cores. In the browser, strokes of a mouse are timed from the release of the button to the new bars,
and from each movement to the frame in which it is painted. Then ten sessions of Streamlit's own protocol make two
strokes a second for half a minute, while another session computes integrated gradients of 900 steps; every answer is
compared with that of the package, bit by bit.

    make benchmark NAME=probe
"""

import asyncio
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chromium
from dashboard import LONG, idle, serving
from playwright.sync_api import Page, sync_playwright
from session import Session, unpacked
from verdict import Verdict

import attribution as at
from attribution.checks.probe import Prober
from attribution.photo.cells import GRID, Cells, CellsSetting
from attribution.photo.samples import DEFAULT_SAMPLE, open_sample

STROKES = 40  # in Chromium
BARS = ((150.0, 300.0), (300.0, 600.0))  # aim and floor in milliseconds, median and 95th percentile
FRAME = (17.0, 34.0)  # milliseconds from a movement to the frame that shows it, median
SESSIONS, EVERY, SECONDS = 10, 0.5, 30.0
CROWD = (1.0, 1.5)  # seconds, 95th percentile
STEPS = 900
KIND = CellsSetting("")
VIEWPORT = {"width": 1280, "height": 900}
# Notes when a button is released, when bars are no longer old, and when the frame after each movement has been drawn.
WATCH = """canvas => {
    const bars = canvas.getRootNode().querySelector(".bars");
    Object.assign(window, { bars: [], frames: [], released: 0 });
    canvas.addEventListener("pointerup", () => (window.released = performance.now()), true);
    canvas.addEventListener("pointermove", (event) => {
        if (!event.buttons) return;
        requestAnimationFrame(() => setTimeout(() => window.frames.push(performance.now() - event.timeStamp)));
    });
    new MutationObserver(() => {
        if (!window.released || bars.getAttribute("aria-busy") !== "false") return;
        window.bars.push(performance.now() - window.released);
        window.released = 0;
    }).observe(bars, { attributes: true });
}"""


def percentile(values: list[float], share: float) -> float:
    """Return a percentile by its share."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def painted(address: str) -> tuple[list[float], list[float]]:
    """Return milliseconds from strokes to bars, and from movements to frames."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=chromium.FLAGS)
        page = browser.new_context(viewport=VIEWPORT).new_page()  # type: ignore[arg-type]
        page.goto(f"{address}/probe")
        canvas = page.locator(".board canvas")
        canvas.wait_for(timeout=LONG)
        idle(page)
        page.wait_for_timeout(2000)
        canvas.evaluate(WATCH)
        dice = random.Random(0)
        for number in range(STROKES):
            stroke(page, dice)
            page.wait_for_function(f"window.bars.length > {number}", timeout=LONG)
            page.wait_for_timeout(dice.randrange(300, 1500))  # the hand may rest
        bars, frames = page.evaluate("[window.bars, window.frames]")
        browser.close()
    return bars, frames


def stroke(page: Page, dice: random.Random) -> None:
    """Paint a short line somewhere."""
    box = page.locator(".board canvas").bounding_box()
    assert box
    x, y = box["x"] + box["width"] * dice.uniform(0.1, 0.8), box["y"] + box["height"] * dice.uniform(0.1, 0.8)
    page.mouse.move(x, y)
    page.mouse.down()
    for _ in range(5):
        x, y = x + dice.uniform(2, 12), y + dice.uniform(2, 12)
        page.mouse.move(x, y)
        page.wait_for_timeout(16)
    page.mouse.up()


@dataclass
class Found:
    """The observations of all sessions.

    Attributes:
        seconds: From each stroke to its answer.
        answers: Mask and score of each.
        troubles: Errors on the pages.
    """

    seconds: list[float] = field(default_factory=list)
    answers: list[tuple[str, float]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


async def person(session: Session, number: int, until: float, found: Found) -> None:
    """Paint every EVERY seconds; what is painted while an answer is awaited is asked with the next question."""
    dice = random.Random(number)
    await asyncio.sleep(EVERY * dice.random())
    for count in itertools.count(1):
        begun = time.perf_counter()
        if begun > until:
            return
        left, top = dice.randrange(GRID - 6), dice.randrange(GRID - 6)
        cells = Cells.box(left, top, dice.randint(1, 6), dice.randint(1, 6))
        answer = await ask(session, 1000 * number + count, cells)
        found.seconds.append(time.perf_counter() - begun)
        found.answers.append((cells.text, answer["score"]))
        found.troubles += [*session.troubles(), *filter(None, [answer["failed"]])]
        await asyncio.sleep(max(0.0, EVERY - (time.perf_counter() - begun)))


async def ask(session: Session, number: int, cells: Cells) -> dict[str, Any]:
    """Ask about cells, as the board does, and poll until the answer is there."""
    board = session.mounted("board")[-1]
    fragment = session.fragments[board.id]
    facts = unpacked(board.bytes)[0]["facts"]
    session.tell(board, "ask", {"number": number, "cells": cells.text, "rests": False, "facts": facts})
    while True:
        await session.run(fragment)
        found: dict[str, Any] | None = unpacked(session.mounted("board")[-1].bytes)[0]["answer"]
        if found and found["number"] == number:
            return found
        polling = session.mounted("poll-probe")[-1]
        await asyncio.sleep(json.loads(polling.json)["after"] / 1000)


async def long_job(address: str, until: float) -> int:
    """Compute one map of 900 steps after the other; return the number of those that ended."""
    session = Session(address, query=f"methods=integrated_gradients(steps={STEPS},rule=midpoint)")
    await session.open()
    for target in itertools.count(1):
        if time.perf_counter() > until:
            await session.close()
            return target
        await session.choose({}, target)
    raise AssertionError


async def crowd(address: str) -> tuple[Found, int]:
    """Let ten people paint beside the job."""
    sessions = [Session(address, page="probe") for _ in range(SESSIONS)]
    for each in sessions:
        await each.open()
    found, until = Found(), time.perf_counter() + SECONDS
    job = asyncio.create_task(long_job(address, until))
    await asyncio.gather(*(person(each, number, until, found) for number, each in enumerate(sessions)))
    count = await job
    for each in sessions:
        await each.close()
    return found, count


def wrong(found: Found) -> int:
    """Return the number of answers that are not the package's to the last bit."""
    model = at.load_model("squeezenet1_1", device="cpu")
    prober = Prober(model, model.prepare(open_sample(DEFAULT_SAMPLE)), at.Target())
    fill = at.baselines.Blur()
    return sum(prober.ask(KIND.check(text), fill).score != score for text, score in found.answers)


def main() -> int:
    """Print every figure and the verdict."""
    verdict = Verdict()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "log") as (address, _):
        bars, frames = painted(address)
        median, late = statistics.median(bars), percentile(bars, 0.95)
        verdict.judge("stroke to bars, median", f"{median:.0f} ms", median, *BARS[0])
        verdict.judge("stroke to bars, 95th percentile", f"{late:.0f} ms", late, *BARS[1])
        frame = statistics.median(frames)
        print(f"frames: 95th percentile {percentile(frames, 0.95):.1f} ms", flush=True)
        verdict.judge("movement to frame, median", f"{frame:.1f} ms", frame, *FRAME)
        found, count = asyncio.run(crowd(address.removeprefix("http://")))
    late = percentile(found.seconds, 0.95)
    print(f"{len(found.seconds)} strokes of {SESSIONS} sessions beside {count} maps of {STEPS} steps", flush=True)
    print(f"stroke to answer, median: {statistics.median(found.seconds):.2f} s", flush=True)
    verdict.judge("stroke to answer beside a job, 95th percentile", f"{late:.2f} s", late, *CROWD)
    count = wrong(found)
    verdict.judge("wrong answers", f"{count}", count, 0, 0)
    verdict.judge("errors", f"{len(found.troubles)}", len(found.troubles), 0, 0)
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
