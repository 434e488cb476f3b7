"""Twenty people at once, and one RISE a minute: real websocket sessions on one server, two minutes, SqueezeNet.

Each session is a client of Streamlit's own protocol: it keeps the messages that a browser would keep, and looks at its
job as the page's own script does. Every 8 s it changes photo, class or steps; another one asks for a RISE every minute.
Each map that it gets is held against the one that a single user gets from the package, and each waiting time against
that of a single user on the same server. In the end ten of twenty sessions are cut off in the middle of a job.
The server may take 2.7 GB, as on Community Cloud.

    make benchmark NAME=load
"""

import asyncio
import itertools
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from dashboard import FIRST, serving
from numpy.typing import NDArray
from session import Session, memory, unpacked, values
from verdict import Verdict

import attribution as at
from attribution.photo.samples import SAMPLES, open_sample, sample_title
from attribution.viewer.message import Place, pack_map
from attribution.work.jobs import Job, Jobs

SESSIONS, EVERY, SECONDS = 20, 8.0, 120.0
TARGETS = (235, 281)  # German shepherd, tabby
STEPS = (10, 25)
BRIEF = 0.5  # seconds; what costs less for a single user is brief
BRIEF_LIMITS, ALL_LIMITS = (2.0, 4.0), (8.0, 12.0)  # aim and floor in seconds, 95th percentile of waiting and computing
LONG_EVERY = 60.0  # seconds from one RISE to the next
SETTLED = 6  # measurements of the memory after which it should stay
GROWTH = 100.0  # MB that the server may grow by from the first half minute on
CANCELS = 20
CANCEL = 0.3  # seconds, from a cancel to a free device
NEAR = 1e-4  # of a map's largest value

Choice = tuple[str, int, int]  # photo, class, steps


def settings(choice: Choice) -> dict[str, str | float]:
    """A choice, as the page's widgets take it."""
    photo, _, steps = choice
    return {"Sample photo": sample_title(photo), "Steps": float(steps)}


def single_user(
    choices: Iterable[Choice], model: at.Model
) -> tuple[dict[Choice, dict[str, NDArray[np.float64]]], dict[Choice, float]]:
    """Return the expected maps of each choice, and the seconds that they take."""
    expected, costs = {}, {}
    for photo, target, steps in choices:
        x = model.prepare(open_sample(photo))
        methods = [at.METHODS[key](**({"steps": steps} if key == "integrated_gradients" else {})) for key in FIRST]
        begun = time.perf_counter()
        results = at.compare(model, x, methods, at.Target(target))
        costs[photo, target, steps] = time.perf_counter() - begun
        packed = {
            result.method: unpacked(pack_map(result.values, "", Place("", "", "", (1, 1))))
            for result in results
            if isinstance(result, at.Attribution)
        }
        expected[photo, target, steps] = {key: values(*each) for key, each in packed.items()}
    return expected, costs


async def alone(address: str, choices: Iterable[Choice]) -> dict[Choice, float]:
    """Return the seconds of waiting and computing of a single user, by choice."""
    session = Session(address.removeprefix("http://"))
    await session.open()
    seconds = {choice: await session.choose(settings(choice), choice[1]) for choice in choices}
    await session.close()
    return seconds


async def person(session: Session, number: int, until: float, expected: dict[Choice, Any], found: "Found") -> None:
    """Change something every EVERY seconds, and look at what comes."""
    dice = random.Random(number)
    await asyncio.sleep(dice.random() * EVERY)
    while time.perf_counter() < until:
        begun, choice = time.perf_counter(), dice.choice(list(expected))
        found.seconds.append((choice, await session.choose(settings(choice), choice[1])))
        found.troubles += session.troubles()
        maps = session.maps()
        right = set(maps) == set(expected[choice]) and all(
            np.abs(maps[key] - each).max() <= NEAR * np.abs(each).max() for key, each in expected[choice].items()
        )
        found.wrong += not right
        await asyncio.sleep(max(0.0, EVERY - (time.perf_counter() - begun)))


async def rise(address: str, until: float, found: "Found") -> None:
    """Ask for a RISE of another photo every LONG_EVERY seconds, and look at what comes."""
    session = Session(address, query=f"methods=rise&photo={next(iter(SAMPLES))}")
    for number, photo in enumerate(itertools.cycle(SAMPLES)):
        begun = time.perf_counter()
        await (session.choose({"Sample photo": sample_title(photo)}) if number else session.open())
        found.long.append(time.perf_counter() - begun)
        found.troubles += session.troubles()
        if begun + LONG_EVERY > until:
            break
        await asyncio.sleep(max(0.0, begun + LONG_EVERY - time.perf_counter()))
    await session.close()


@dataclass
class Found:
    """The observations of all sessions."""

    seconds: list[tuple[Choice, float]] = field(default_factory=list)
    long: list[float] = field(default_factory=list)  # seconds of the RISEs
    troubles: list[str] = field(default_factory=list)
    wrong: int = 0


async def cut_off(sessions: list[Session]) -> tuple[int, float]:
    """All ask at once for what nobody has asked for, and half of them go.

    Returns:
        The longest line that the others are told of a moment later, and the seconds until all of them are served.
    """
    staying, going = sessions[: SESSIONS // 2], sessions[SESSIONS // 2 :]
    photos = itertools.cycle(SAMPLES)
    asked = [
        asyncio.create_task(each.choose(settings((next(photos), TARGETS[0], 40 + place)), TARGETS[0]))
        for place, each in enumerate([*going, *staying])
    ]
    await asyncio.sleep(2.0)
    for task, each in zip(asked, going, strict=False):
        task.cancel()
        await each.close()
    begun = time.perf_counter()
    for each in staying:
        each.waiting = []
    await asyncio.sleep(2.0)
    longest = max((number for each in staying for number in each.waiting), default=0)
    await asyncio.gather(*asked[len(going) :])
    return longest, time.perf_counter() - begun


def cancelled(model: at.Model) -> float:
    """Seconds from a cancel in the middle of a long map to a worker that is free: the longest of several."""
    x, method, took = model.prepare(open_sample(SAMPLES[0])), at.IntegratedGradients(500), []
    jobs: Jobs[object] = Jobs()

    def work(job: Job[object]) -> object:
        return at.compare(model, x, [method], on_progress=lambda fraction, _: job.report(fraction))

    for number in range(CANCELS):
        job = jobs.submit("cpu", str(number), "ann", work)
        while job.active and not job.fraction:
            time.sleep(0.01)
        time.sleep(0.1 * number / CANCELS)  # somewhere in a chunk
        begun = time.perf_counter()
        jobs.cancel("ann")
        begins = threading.Event()
        jobs.submit("cpu", "next", "bob", lambda job, begins=begins: begins.set())  # type: ignore[misc]
        begins.wait()
        took.append(time.perf_counter() - begun)
    jobs.close(patience=1.0)
    return max(took)


async def measure(address: str, process: int, expected: dict[Choice, Any]) -> tuple[Found, list[float], int, float]:
    """Run all sessions for SECONDS."""
    sessions = [Session(address.removeprefix("http://")) for _ in range(SESSIONS)]
    for each in sessions:
        await each.open()
    found, held, until = Found(), [memory(process)], time.perf_counter() + SECONDS
    people = [asyncio.create_task(person(each, number, until, expected, found)) for number, each in enumerate(sessions)]
    people.append(asyncio.create_task(rise(address.removeprefix("http://"), until, found)))
    while not all(task.done() for task in people):
        await asyncio.sleep(5.0)
        held.append(memory(process))
    await asyncio.gather(*people)
    return found, held, *await cut_off(sessions)


def main() -> int:
    """Print every figure and the verdict."""
    choices = list(itertools.product(SAMPLES, TARGETS, STEPS))
    model = at.load_model("squeezenet1_1", device="cpu")
    free, (expected, costs) = cancelled(model), single_user(choices, model)
    memory_limit = {"ATTRIBUTION_MEMORY_MB": "2700"}
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "log", **memory_limit) as (address, _):
        single = asyncio.run(alone(address, choices))
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "log", **memory_limit) as (address, process),
    ):
        found, held, line, freed = asyncio.run(measure(address, process.pid, expected))
    growth = max(held[SETTLED:]) - held[SETTLED]
    verdict = Verdict()
    wrong = f"{found.wrong} of {len(found.seconds)} by {SESSIONS} sessions in {SECONDS:.0f} s"
    verdict.judge("load wrong maps", wrong, found.wrong, 0, 0)
    errors = f"{len(found.troubles)} {sorted(set(found.troubles))[:3]}"
    verdict.judge("load errors", errors, len(found.troubles), 0, 0)
    brief = {choice for choice, cost in costs.items() if cost < BRIEF}
    kinds = ((f"of what costs less than {BRIEF:g} s", brief, BRIEF_LIMITS), ("of all", set(choices), ALL_LIMITS))
    for kind, which, (aim, floor) in kinds:
        waits = [seconds for choice, seconds in found.seconds if choice in which]
        if not waits:
            print(f"load waiting and computing {kind}: nothing does", flush=True)
            continue
        late, usual = (float(np.percentile(each, 95)) for each in (waits, [single[choice] for choice in which]))
        text = f"median {statistics.median(waits):.1f} s, 95th percentile {late:.1f} s of {len(waits)}"
        text += f", {late / usual:.1f} times that of one user alone, {usual:.1f} s"
        verdict.judge(f"load waiting and computing {kind}", text, late, aim, floor)
    print(f"load RISE: {', '.join(f'{each:.0f}' for each in found.long)} s", flush=True)
    grown = f"{growth:.0f} MB after half a minute; {held[0]:.0f} MB at first, {max(held):.0f} MB at most"
    verdict.judge("load growth of memory", grown, growth, GROWTH, GROWTH)
    text = f"the others wait for {line} at most, and for {freed:.1f} s"
    verdict.judge(f"load {SESSIONS // 2} of {SESSIONS} leave", text, line, SESSIONS // 2, SESSIONS // 2)
    verdict.judge("load seconds from a cancel to a free device", f"{free:.3f} s at most", free, CANCEL, CANCEL)
    return verdict.status()


if __name__ == "__main__":
    sys.exit(main())
