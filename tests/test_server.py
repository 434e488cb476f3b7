"""The real server as .streamlit/config.toml and the script set it up, asked without a browser."""

import contextlib
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dashboard import serving
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

LIMIT = 30 * 1024 * 1024  # bytes of a file
WAIT = 60.0  # seconds after which a test fails


@dataclass
class Visitor:
    """A session of the server: its name, the token that uploads need, and its line."""

    host: str
    session: str
    token: str
    line: ClientConnection

    def send(self, size: int, declared: bool = True, token: str | None = None, name: str = "photo.png") -> "Upload":
        return Upload(self, size, declared, self.token if token is None else token, name)


class Upload:
    """A file on its way: all but its end is sent when this is made."""

    def __init__(self, visitor: Visitor, size: int, declared: bool, token: str, name: str) -> None:
        self.declared = declared
        head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        self.end = b"\r\n--b--\r\n"
        length = f"Content-Length: {len(head) + size + len(self.end)}" if declared else "Transfer-Encoding: chunked"
        self.line = socket.create_connection(visitor.host.split(":"), WAIT)  # type: ignore[arg-type]
        self.line.sendall(
            f"PUT /_stcore/upload_file/{visitor.session}/file HTTP/1.1\r\nHost: {visitor.host}\r\n{length}\r\n"
            f"X-Xsrftoken: {token}\r\nCookie: _streamlit_xsrf={token}\r\nConnection: close\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n".encode()
        )
        with contextlib.suppress(OSError):  # the server may answer and close before all is sent
            self._send(head)
            for _ in range(0, size, 1 << 20):
                self._send(b"\1" * min(size, 1 << 20))
                size -= 1 << 20

    def _send(self, part: bytes) -> None:
        self.line.sendall(part if self.declared else b"%x\r\n%s\r\n" % (len(part), part))

    def status(self) -> int:
        """Send the end, and read the answer."""
        with contextlib.suppress(OSError):
            self._send(self.end)
            if not self.declared:
                self.line.sendall(b"0\r\n\r\n")
        with self.line:
            return int(self.line.recv(1000).split()[1])


@contextlib.contextmanager
def visiting(address: str) -> Iterator[Visitor]:
    """Open the page as a browser does, and wait until it was drawn once."""
    host = address.removeprefix("http://")
    with urllib.request.urlopen(f"{address}/_stcore/health") as answer:
        token = re.match("_streamlit_xsrf=([^;]+)", answer.headers["Set-Cookie"])[1]  # type: ignore[index]
    with connect(f"ws://{host}/_stcore/stream", subprotocols=["streamlit"], max_size=None) as line:  # type: ignore[list-item]
        line.send(BackMsg(rerun_script={}).SerializeToString())
        session = ""
        while (message := ForwardMsg.FromString(line.recv(WAIT))).WhichOneof("type") != "script_finished":
            session = message.new_session.initialize.session_id or session
        yield Visitor(host, session, token, line)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int, Path]]:
    """Its address, the number of its process and its log."""
    log = tmp_path_factory.mktemp("server") / "log"
    with serving(log, ATTRIBUTION_ALLOW_CHECKPOINTS="0") as (address, process):
        yield address, process.pid, log


@pytest.fixture
def visitor(server: tuple[str, int, Path]) -> Iterator[Visitor]:
    with visiting(server[0]) as visitor:
        yield visitor


@pytest.mark.parametrize(
    ("size", "declared", "status"),
    [(1000, True, 204), (LIMIT, False, 204), (LIMIT + (1 << 20), True, 413), (2 * LIMIT, False, 413)],
)
def test_the_server_itself_refuses_a_file_that_is_too_large(
    visitor: Visitor, size: int, declared: bool, status: int
) -> None:
    assert visitor.send(size, declared).status() == status


def test_an_upload_from_another_page_is_refused(visitor: Visitor) -> None:
    assert visitor.send(1000, token="").status() == 403


def test_an_upload_never_lies_on_the_disk(server: tuple[str, int, Path], visitor: Visitor) -> None:
    files = Path(f"/proc/{server[1]}/fd")
    if not files.exists():
        pytest.skip("Only Linux shows the open files of a process.")
    with urllib.request.urlopen(f"{server[0]}/_stcore/health") as answer:
        assert answer.read() == b"ok"
    before = _open_files(files)
    upload = visitor.send(8_000_000)
    time.sleep(0.5)  # for the server to take in what was sent
    assert [name for name in _open_files(files) - before if name.endswith("(deleted)")] == []
    assert upload.status() == 204


def _open_files(files: Path) -> set[str]:
    found = set()
    for file in files.iterdir():
        with contextlib.suppress(OSError):
            found.add(str(file.readlink()))
    return found


def test_nothing_but_the_dashboard_is_served(server: tuple[str, int, Path]) -> None:
    with urllib.request.urlopen(f"{server[0]}/app/static/README.md") as answer:
        assert b"<title>Streamlit</title>" in answer.read()  # what every address of a page gives
    request = urllib.request.Request(f"{server[0]}/_stcore/agent/interact", b"{}", method="POST")
    with pytest.raises(urllib.error.HTTPError, match=r"40[34]"):
        urllib.request.urlopen(request)


def test_the_log_has_a_line_a_job_and_no_file_name(server: tuple[str, int, Path], visitor: Visitor) -> None:
    assert visitor.send(1000, name="my-private-name.png").status() == 204
    log = server[2]
    deadline = time.monotonic() + WAIT
    while "state=" not in log.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)  # until the first job of some visitor has ended
    text = log.read_text()
    lines = [line for line in text.splitlines() if 'event="job ended"' in line]
    assert lines
    assert len(set(lines)) == len(lines)
    for line in lines:
        assert re.search(
            r"session=\w+ job=[0-9a-f]{8} task=PreparedAnalysis model=squeezenet1_1 state=\w+ seconds=[\d.]+$", line
        )
    assert "my-private-name" not in text
