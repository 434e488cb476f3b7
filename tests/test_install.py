"""The wheel, built from this checkout and installed into an environment of its own, used from another folder."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dashboard import FIRST
from session import Session, run

ROOT = Path(__file__).parents[1]
WAIT = 60.0  # seconds after which a test fails
READ = """
import sys
opened = []
folder = sys.argv[1]
def note(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(folder):
        opened.append(arguments[0])
sys.addaudithook(note)
import attribution
print([path for path in opened if not path.endswith((".py", ".pyc"))])
"""


@dataclass(frozen=True)
class Installed:
    """An environment with the package, and an empty folder to work in."""

    wheel: Path
    bin: Path
    folder: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        program = [str(self.bin / command[0]), *command[1:]]
        return subprocess.run(
            program, cwd=self.folder, env=environment(), capture_output=True, text=True, timeout=120, check=False
        )


def environment() -> dict[str, str]:
    """The variables of this process, without those by which Python would find the checkout."""
    return {name: text for name, text in os.environ.items() if name not in ("PYTHONPATH", "COVERAGE_PROCESS_START")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Dependencies come from the environment of the tests; what the wheel asks for is compared with it below."""
    root = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", root / "wheels", ROOT], check=True)
    (wheel,) = (root / "wheels").glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "venv"], check=True)
    packages = next((root / "venv").glob("lib/python*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    python = root / "venv" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", "--no-deps", wheel], check=True)
    (root / "elsewhere").mkdir()
    return Installed(wheel, python.parent, root / "elsewhere")


def test_the_wheel_has_weights_samples_and_licences_and_needs_what_the_clone_needs(installed: Installed) -> None:
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    samples = {f"attribution/{path.relative_to(ROOT)}" for path in (ROOT / "assets" / "samples").iterdir()}
    models = {f"attribution/{path.relative_to(ROOT)}" for path in (ROOT / "assets" / "models").iterdir()}
    assert samples | models | {"attribution/drawing/colours.json", "attribution/viewer/heat.js"} <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]
    text = zipfile.ZipFile(installed.wheel).read(next(name for name in names if name.endswith("METADATA"))).decode()
    asked = {line.removeprefix("Requires-Dist: ") for line in text.splitlines() if line.startswith("Requires-Dist: ")}
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert asked == {line for line in lines if line and not line.startswith("#")}


def test_import_comes_from_the_wheel_and_reads_no_file(installed: Installed) -> None:
    ran = installed.run("python", "-c", "import attribution; print(attribution.__file__)")
    assert ran.stdout.startswith(str(installed.bin.parent)), ran.stderr
    folder = f"{Path(ran.stdout.strip()).parent}{os.sep}"
    assert installed.run("python", "-c", READ, folder).stdout == "[]\n"


def test_the_command_explains_a_photo(installed: Installed) -> None:
    ran = installed.run("attribution", "methods")
    assert (ran.returncode, ran.stderr) == (0, "")
    photo = ROOT / "assets" / "samples" / "tabby_cat.jpg"
    ran = installed.run("attribution", "explain", str(photo), "--methods", "gradient", "--device", "cpu")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "out/tabby_cat\n", "")
    reproduced = installed.run("python", "out/tabby_cat/reproduce.py")
    assert reproduced.stdout == "weights: identical\ngradient: identical\n", reproduced.stderr


@pytest.fixture
def served(installed: Installed) -> Iterator[tuple[str, subprocess.Popen[bytes], Path]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = installed.folder / "log"
    with log.open("wb") as output:
        command = [installed.bin / "attribution", "serve", "--port", str(port), "--address", "127.0.0.1"]
        process = subprocess.Popen(command, cwd=installed.folder, env=environment(), stdout=output, stderr=output)
        try:
            yield f"127.0.0.1:{port}", process, log
        finally:
            process.kill()
            process.wait()


def test_serve_starts_the_dashboard_with_its_settings(served: tuple[str, subprocess.Popen[bytes], Path]) -> None:
    address, process, log = served
    deadline = time.monotonic() + WAIT
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/_stcore/health", timeout=5) as answer:
                assert answer.read() == b"ok"
            break
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)

    async def visit() -> None:
        ann = Session(address)
        await asyncio.wait_for(ann.open(), WAIT)
        assert list(ann.maps()) == FIRST
        assert ann.troubles() == []
        assert ann.colour == "#1d4ed8"  # .streamlit/config.toml is in the wheel too
        await ann.close()

    run(visit())
    with pytest.raises(urllib.error.HTTPError, match="404") as closed:  # the door is in the wheel too
        urllib.request.urlopen(f"http://{address}/_stcore/metrics", timeout=5)
    closed.value.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) in (0, -signal.SIGTERM)
    assert not re.search("Traceback|data.streamlit.io", log.read_text())
