"""The door of a live server: what it bounds, what it closes, and what it adds to answers."""

import asyncio
import contextlib
import http.client
import os
import socket
import struct
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dashboard import serving
from session import WAIT, Session, memory, opening, run
from starlette.exceptions import HTTPException
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from test_forged import TOKEN, put

import door

MB = 1_000_000
LARGE = 25 * MB  # bytes of a photo near the limit


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int, Path]]:
    log = tmp_path_factory.mktemp("server") / "log"
    with serving(log, "tests/hostile_app.py", ATTRIBUTION_MEMORY_MB="800", ATTRIBUTION_ALLOW_CHECKPOINTS="0") as (
        address,
        process,
    ):
        yield address.removeprefix("http://"), process.pid, log


@contextlib.asynccontextmanager
async def opened(address: str, count: int) -> AsyncIterator[list[Session]]:
    """Open so many pages that wait for an upload."""
    sessions = [Session(address, query="photo=upload&model=constant") for _ in range(count)]
    async with opening(sessions):
        yield sessions


def connected(address: str) -> socket.socket:
    host, port = address.split(":")
    return socket.create_connection((host, int(port)), timeout=WAIT)


def test_unfinished_messages_take_no_memory(server: tuple[str, int, Path]) -> None:
    address, process, _ = server
    held, lines = memory(process), []
    for _ in range(12):
        line = connected(address)
        lines.append(line)
        head = f"GET /_stcore/stream HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        line.sendall((head + "Sec-WebSocket-Protocol: streamlit\r\n\r\n").encode())
        assert b"101" in line.recv(1000)
        try:
            line.sendall(b"\x82\xff" + struct.pack(">Q", 180 * MB) + b"\0\0\0\0")
            for _ in range(60):
                line.sendall(bytes(MB))
        except OSError:
            continue  # refused in the middle, as it should be
    assert memory(process) - held < 40
    for line in lines:
        line.close()


def test_many_uploads_of_one_session_take_the_memory_of_a_few(server: tuple[str, int, Path]) -> None:
    address, process, _ = server

    async def visit() -> None:
        async with opened(address, 1) as (eve,):
            held = memory(process)
            for number in range(20):
                assert await asyncio.to_thread(put, address, eve.name, f"file-{number}", os.urandom(LARGE)) == 204
            assert memory(process) - held < 10 * LARGE / MB  # of 500 MB: four that are kept, and what is freed late

    run(visit())


def test_uploads_of_all_sessions_are_bounded(server: tuple[str, int, Path]) -> None:
    address, _, _ = server

    async def visit() -> None:
        async with opened(address, 6) as sessions:
            statuses = [
                await asyncio.to_thread(put, address, session.name, f"file-{number}", bytes(LARGE))
                for session in sessions
                for number in range(2)
            ]
        assert statuses.count(204) <= door.MAX_STORED_BYTES // LARGE
        assert statuses[-1] == 507

    run(visit())


def test_uploads_are_kept_for_connected_sessions_only(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = {"ann", "bob"}
    monkeypatch.setattr(door, "get_instance", lambda: SimpleNamespace(is_active_session=connected.__contains__))
    monkeypatch.setattr(door, "MAX_STORED_BYTES", 100)
    uploads = door.BoundedUploads("/upload")
    uploads.add_file("ann", UploadedFileRec("1", "a.png", "image/png", bytes(60)))
    with pytest.raises(HTTPException, match="too many files"):
        uploads.add_file("bob", UploadedFileRec("2", "b.png", "image/png", bytes(60)))
    connected.remove("ann")
    uploads.add_file("bob", UploadedFileRec("2", "b.png", "image/png", bytes(60)))  # ann's made room
    assert list(uploads.file_storage) == ["bob"]
    with pytest.raises(HTTPException, match="session has ended"):
        uploads.add_file("ann", UploadedFileRec("3", "c.png", "image/png", bytes(1)))
    assert list(uploads.file_storage) == ["bob"]


def test_one_address_cannot_open_all_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_SOCKETS", 3)
    monkeypatch.setattr(door, "MAX_SOCKETS_PER_ADDRESS", 2)
    sent: list[Any] = []

    async def visit() -> None:
        leave = asyncio.Event()

        async def app(*_: Any) -> None:
            await leave.wait()

        async def send(message: Any) -> None:
            sent.append(message["type"])

        guard = door.Door(app)
        people = [
            asyncio.create_task(guard({"type": "websocket", "client": (address, 1)}, app, send))
            for address in ("10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.3")
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sent == ["websocket.close", "websocket.close"]  # the third of one address, and the fourth in all
        leave.set()
        await asyncio.gather(*people)
        assert not guard.sockets

    run(visit())


def stalled(address: str, session: str, file: str, sent: int) -> tuple[http.client.HTTPConnection, int]:
    """Begin an upload and stop in the middle; return the connection and the bytes that were taken."""
    connection = http.client.HTTPConnection(address, timeout=WAIT)
    connection.putrequest("PUT", f"/_stcore/upload_file/{session}/{file}")
    for name, text in {
        "Content-Type": "multipart/form-data; boundary=x",
        "X-Xsrftoken": TOKEN,
        "Cookie": f"_streamlit_xsrf={TOKEN}",
        "Content-Length": str(sent + 1000),
    }.items():
        connection.putheader(name, text)
    connection.endheaders(b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n')
    done = 0
    try:
        while done < sent:
            connection.send(bytes(MB))
            done += MB
    except OSError:
        pass  # refused in the middle
    return connection, done


def test_stalled_uploads_are_bounded(server: tuple[str, int, Path]) -> None:
    address, process, _ = server

    async def visit() -> None:
        async with opened(address, 6) as sessions:
            held = memory(process)
            lines = [
                (await asyncio.to_thread(stalled, address, session.name, f"slow-{number}", LARGE))[0]
                for session in sessions
                for number in range(door.MAX_ACTIVE_UPLOADS)  # a further one waits and is not read
            ]
            assert memory(process) - held < 2 * door.MAX_ARRIVING_BYTES / MB  # of 300 MB
            for line in lines:
                line.close()
            await asyncio.sleep(1)
            assert await asyncio.to_thread(put, address, sessions[0].name, "photo", b"a photo") == 204

    run(visit())


@pytest.mark.slow
def test_a_stalled_upload_is_stopped(server: tuple[str, int, Path]) -> None:
    address, _, _ = server

    async def visit() -> None:
        async with opened(address, 1) as (eve,):
            line, _ = await asyncio.to_thread(stalled, address, eve.name, "slow", MB)
            started = time.monotonic()
            assert (await asyncio.to_thread(line.getresponse)).status == 408
            assert time.monotonic() - started < 2 * door.MAX_SILENCE
            line.close()

    run(visit())


@pytest.mark.parametrize("path", ["metrics", "metrics/", "agent/openapi.json", "agent/interact", "agent/mcp"])
def test_what_is_for_operators_is_closed(server: tuple[str, int, Path], path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404") as refused:
        urllib.request.urlopen(f"http://{server[0]}/_stcore/{path}", timeout=WAIT)
    refused.value.close()


def test_health_is_open_and_answers_are_of_the_type_that_they_say(server: tuple[str, int, Path]) -> None:
    with urllib.request.urlopen(f"http://{server[0]}/_stcore/health", timeout=WAIT) as answer:
        assert answer.read() == b"ok"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_message_from_the_server_may_be_larger_than_one_to_it() -> None:
    from streamlit.runtime import runtime_util

    assert hasattr(runtime_util, "_max_message_size_bytes")  # what door.install sets
    assert runtime_util.get_max_message_size_bytes.__code__.co_names.count("_max_message_size_bytes")


def test_the_log_has_no_traceback(server: tuple[str, int, Path]) -> None:
    assert "Traceback" not in server[2].read_text()
