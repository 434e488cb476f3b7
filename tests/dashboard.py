"""The real server on a free port, and how a test finds its way about the page."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

import attribution as at

ROOT = Path(__file__).parents[1]
FIRST = [key for key, method in at.METHODS.items() if method.chosen]
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
LONG = 60_000  # milliseconds
# Gives a page `pictures()`, all panels of the viewer, and `look(picture)`, the middle row that is painted on one.
PICTURES = """() => {
window.pictures = () => {
    const found = [];
    const walk = (root) => {
        for (const each of root.querySelectorAll("*")) {
            if (each.matches("canvas.picture")) found.push(each);
            if (each.shadowRoot) walk(each.shadowRoot);
        }
    };
    walk(document);
    return found;
};
window.look = (picture) => {
    const {width, height} = picture;
    const row = picture.getContext("2d").getImageData(0, height >> 1, width, 1).data;
    return row[3] ? row.join() : ""; // nothing is painted where all is transparent
};
}"""


@contextmanager
def serving(
    log: Path, script: str = "streamlit_app.py", **environment: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start the dashboard as `make run` does, but for the port; stop it in the end.

    Args:
        log: Where its output goes.
        script: What it runs. Default: the dashboard.
        environment: Variables that it finds beside those of this process.

    Yields:
        Its address, as soon as it says that it is healthy, and its process.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port)]
    command += ["--server.address", "127.0.0.1", "--server.headless", "true"]
    if "PYTEST_XDIST_WORKER" in os.environ:
        environment = {"OMP_NUM_THREADS": "1", **environment}  # as in the worker, whose maps are to have the same bytes
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(f"{address}/_stcore/health", process, log)
            yield address, process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.read() == b"ok":
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise RuntimeError(f"The dashboard did not start:\n{log.read_text()}")


def map_of(page: Page, key: str) -> Locator:
    return page.locator(f".st-key-map-{key} canvas.picture")


def source(page: Page, key: str) -> str:
    """Return the picture that is painted on a panel, as a data URL."""
    painted: str = map_of(page, key).evaluate("canvas => canvas.toDataURL()")
    return painted


def expect_new(page: Page, key: str, old: str) -> None:
    """Wait until a panel shows something else and the job has ended."""
    for _ in range(LONG // 100):
        if map_of(page, key).count() and source(page, key) != old:
            return idle(page)
        page.wait_for_timeout(100)
    raise AssertionError(f"The panel {key} did not change within {LONG // 1000} s.")


def idle(page: Page) -> None:
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0, timeout=LONG)


def set_steps(page: Page, steps: int) -> None:
    field = page.get_by_label("Steps", exact=True)
    field.fill(str(steps))
    field.press("Enter")


def choose(page: Page, label: str, option: str) -> None:
    """Type into a select box and take the first match."""
    box = page.get_by_role("combobox", name=re.compile(label))
    box.click()
    box.fill(option)
    page.get_by_role("option").filter(has_text=option).first.click()


def upload(page: Page, name: str, content: bytes) -> None:
    page.get_by_role("radio", name="Upload").or_(page.get_by_role("button", name="Upload", exact=True)).first.click()
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})
