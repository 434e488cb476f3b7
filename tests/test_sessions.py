"""Several people on one real server, by its own protocol: memory, faults of one that others do not see, and its end."""

import asyncio
import contextlib
import re
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from dashboard import FIRST, serving
from session import WAIT, Session, memory, opening
from session import run as run_visit

from attribution.photo.samples import SAMPLES, sample_title

LONG = "Steps", 990.0  # minutes
ENDED = (0, 1, -signal.SIGTERM, -signal.SIGINT)  # statuses of a server that was told to stop; 1 is Ctrl+C


@contextlib.asynccontextmanager
async def people(address: str, count: int) -> AsyncIterator[list[Session]]:
    """So many sessions, each with its first maps."""
    sessions = [Session(address.removeprefix("http://")) for _ in range(count)]
    async with opening(sessions):
        yield sessions


async def choose(session: Session, **settings: str | float) -> None:
    await asyncio.wait_for(session.choose({label.replace("_", " "): value for label, value in settings.items()}), WAIT)


async def begin(session: Session, label: str, value: str | float) -> None:
    """Change a setting, and do not wait for what comes of it."""
    session.set(label, value)
    await asyncio.wait_for(session.run(), WAIT)


def run(test: Callable[[], Awaitable[None]]) -> None:
    run_visit(asyncio.wait_for(test(), 4 * WAIT))  # type: ignore[arg-type]


@pytest.mark.slow
def test_ten_sessions_and_both_embedded_networks_take_less_than_1_3_gb(tmp_path: Path) -> None:
    models = ("squeezenet1_1", "efficientnet_lite0")

    async def visit(address: str) -> None:
        async with people(address, 10) as sessions:
            for number, (session, photo) in enumerate(zip(sessions, SAMPLES, strict=False)):
                await choose(session, Sample_photo=sample_title(photo), Model=models[number % 2])
                assert session.troubles() == []
                assert list(session.maps()) == FIRST

    with serving(tmp_path / "log", ATTRIBUTION_MEMORY_MB="1300") as (address, process):
        run(lambda: visit(address))
        peak = memory(process.pid, "VmHWM")
    assert peak < 1300
    assert "error" not in (tmp_path / "log").read_text().lower()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    log = tmp_path_factory.mktemp("server") / "log"
    with serving(log, "tests/hostile_app.py") as (address, _):
        yield address, log


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("raising", r"Something went wrong \(error (\w{8})\); details are in the server log\."),
        ("exhausting", r"Out of memory; choose a smaller model \(error (\w{8})\); details are in the server log"),
    ],
    ids=["raising", "exhausting"],
)
def test_a_job_that_fails_is_told_to_its_own_session_and_the_next_one_works(
    hostile: tuple[str, Path], model: str, sentence: str
) -> None:
    address, log = hostile

    async def visit() -> None:
        async with people(address, 2) as (ann, bob):
            await choose(ann, Model=model)
            (trouble,) = ann.troubles()
            told = re.match(sentence, trouble)
            assert told
            assert f"error {told[1]}" in log.read_text()
            assert "secret" not in trouble
            assert list(ann.maps()) == FIRST  # the last that were finished stay
            await choose(bob, Model="constant")
            assert bob.troubles() == []
            await choose(ann, Model="constant")
            assert ann.troubles() == []
            assert list(ann.maps()) == FIRST

    run(visit)


def test_a_network_whose_maps_are_no_numbers_is_told_and_the_next_choice_works(hostile: tuple[str, Path]) -> None:
    async def visit() -> None:
        async with people(hostile[0], 1) as (ann,):
            await choose(ann, Model="broken")
            assert ann.maps() == {}
            assert any("not finite" in each for each in ann.said())
            await choose(ann, Model="constant")
            assert list(ann.maps()) == FIRST

    run(visit)


@pytest.mark.slow
def test_a_server_that_is_stopped_during_a_job_ends_within_ten_seconds_and_starts_again(tmp_path: Path) -> None:
    async def visit(address: str, stop: Callable[[], int]) -> None:
        async with people(address, 2) as (ann, bob):
            await begin(ann, *LONG)
            await begin(bob, "Sample photo", sample_title(list(SAMPLES)[1]))
            assert ann.busy
            assert bob.busy
            assert await asyncio.to_thread(stop) in ENDED

    async def again(address: str) -> None:
        async with people(address, 1) as (ann,):
            assert list(ann.maps()) == FIRST

    for number, ending in enumerate((signal.SIGTERM, signal.SIGINT)):
        log = tmp_path / f"log-{number}"
        with serving(log) as (address, process):
            run(lambda: visit(address, lambda: (process.send_signal(ending), process.wait(10))[1]))  # noqa: B023
        said = log.read_text()
        assert "state=cancelled" in said
        assert not re.search("Traceback|terminate called|error", said)
    with serving(tmp_path / "log") as (address, _):
        run(lambda: again(address))


def test_a_server_that_is_stopped_during_a_download_leaves_nothing_half_written(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with socket.create_server(("127.0.0.1", 0)) as weights:
        threading.Thread(target=_drip, args=(weights,), daemon=True).start()
        url = f"http://127.0.0.1:{weights.getsockname()[1]}/net.pth"

        async def visit(address: str, stop: Callable[[], int]) -> None:
            async with people(address, 1) as (ann,):
                await begin(ann, "Model", "downloading")
                while not any(part.stat().st_size for part in cache.glob("*.part")):
                    await asyncio.sleep(0.05)
                assert await asyncio.to_thread(stop) in ENDED

        log = tmp_path / "log"
        with serving(log, "tests/hostile_app.py", TEST_WEIGHTS=url, TEST_CACHE=str(cache)) as (address, process):
            run(lambda: visit(address, lambda: (process.send_signal(signal.SIGTERM), process.wait(10))[1]))
    assert list(cache.iterdir()) == []
    assert not re.search("Traceback|terminate called", log.read_text())


def _drip(server: socket.socket) -> None:
    """Serve a file that never ends, slowly."""
    line, _ = server.accept()
    with line:
        line.recv(10_000)
        line.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        try:
            while True:
                line.sendall(bytes(100_000))
                time.sleep(3)  # longer than the server itself takes to stop
        except OSError:
            return
