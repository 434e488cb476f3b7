"""at.show in a notebook: the widget in JupyterLab under Chromium, and the same notebook converted to HTML."""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dashboard import LONG, PICTURES
from playwright.sync_api import Browser, Page, expect

import attribution as at

CELL = """import torch
import torch
import attribution as at
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
                          torch.nn.Flatten(), torch.nn.Linear(4, 3))
model = at.Model("tiny", net, (32, 32), (0.5,) * 3, (0.25,) * 3, ["a", "b", "c"], device="cpu")
results = at.compare(model, torch.rand(3, 32, 32), [at.Gradient(), at.InputXGradient()])
shown = at.show(results)
shown"""
ASKED = "print('pixel', shown.pixel, [float(f'{each.sum():.3g}') for each in shown.values.values()])"


def results() -> at.Results:
    """The result of the first cell."""
    names: dict[str, object] = {}
    exec(CELL.rpartition("\n")[0], names)
    found = names["results"]
    assert isinstance(found, at.Results)
    return found


def cell(source: str) -> dict[str, object]:
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None}


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    path = tmp_path / "maps.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    content = {"cells": [cell(CELL), cell(ASKED)], "metadata": kernel, "nbformat": 4, "nbformat_minor": 4}
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def lab(notebook: Path) -> Iterator[str]:
    """The address of a JupyterLab that serves the notebook's folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--port", str(port), "--ip", "127.0.0.1"]
    command += ["--allow-root", "--IdentityProvider.token=", f"--ServerApp.root_dir={notebook.parent}"]
    command += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    folder = str(notebook.parent / "jupyter")
    environment = {**os.environ, "PYTHONPATH": str(Path(at.__file__).parents[1]), "JUPYTER_CONFIG_DIR": folder}
    log = notebook.with_name("log").open("wb")
    process = subprocess.Popen(command, cwd=notebook.parent, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/lab/tree/{notebook.name}?reset"
    finally:
        process.terminate()
        process.wait(20)
        log.close()


@pytest.mark.slow
def test_the_widget_lives_in_jupyterlab_and_the_converted_notebook_keeps_a_picture(
    lab: str, notebook: Path, browser: Browser
) -> None:
    page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    page.set_default_timeout(LONG)
    requests: list[str] = []
    page.on("request", lambda asked: requests.append(asked.url) if "127.0.0.1" not in asked.url else None)
    page.goto(lab)
    page.get_by_text("import torch").first.click()
    page.keyboard.press("Shift+Enter")
    maps = page.locator(".attribution .maps canvas.picture")
    expect(maps).to_have_count(2, timeout=LONG)
    page.evaluate(PICTURES)
    zoomed_by_the_wheel(page)

    values, last = [each.values for each in results().maps], maps.last.bounding_box()
    assert last
    page.mouse.move(last["x"] + 0.3 * last["width"], last["y"] + 0.7 * last["height"])
    x, y = [int(each) for each in re.findall(r"x (\d+), y (\d+)", page.locator(".attribution .photo").inner_text())[0]]
    readouts = page.locator(".attribution .maps .readout")
    for place, map_ in enumerate(values):
        expect(readouts.nth(place)).to_have_text(
            re.compile(rf"^{re.escape(written(map_[:, y, x].sum()))}, larger than")
        )
    page.mouse.down()
    page.mouse.up()
    page.wait_for_timeout(1500)
    page.get_by_text("print(").first.click()
    page.keyboard.press("Shift+Enter")
    sums = [float(f"{map_[:, y, x].sum():.3g}") for map_ in values]
    expect(page.get_by_text(f"pixel ({x}, {y}) {sums}")).to_be_visible()
    page.keyboard.press("Control+s")
    page.wait_for_timeout(2000)
    assert [url for url in requests if url.startswith("http")] == []  # works offline
    page.context.close()

    subprocess.run([sys.executable, "-m", "nbconvert", "--to", "html", notebook], check=True, capture_output=True)
    converted = browser.new_context().new_page()
    converted.goto(f"file://{notebook.with_suffix('.html')}")
    picture = converted.locator(".jp-OutputArea-output img")
    expect(picture).to_have_count(1)
    assert picture.evaluate("image => image.naturalWidth") > 600
    converted.context.close()


def zoomed_by_the_wheel(page: Page) -> None:
    """Check that a turn of the wheel on one panel zooms all three."""
    before = page.evaluate("pictures().map(look)")
    assert len(before) == 3
    first = page.locator(".attribution .maps canvas.picture").first
    first.scroll_into_view_if_needed()
    page.wait_for_timeout(600)
    box = first.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(300)
    after = page.evaluate("pictures().map(look)")
    assert all(one != other for one, other in zip(before, after, strict=True))


def written(value: float) -> str:
    """A number as the viewer writes it."""
    size = abs(float(value))
    digits = f"{size:.2e}" if size < 1e-3 else f"{float(f'{size:.3g}'):g}"
    digits = re.sub(r"e-0?(\d)", r"e-\1", digits)
    return ("\u2212" if value < 0 else "+") + digits


def test_the_picture_is_part_of_what_a_notebook_saves() -> None:
    shown = at.show(results())
    data, _ = shown._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert "application/vnd.jupyter.widget-view+json" in data
    assert shown.pixel is None
    assert shown.values == {}
    shown.widget.pixel = [3, 5]
    assert {name: each.shape for name, each in shown.values.items()} == {"gradient": (3,), "input_x_gradient": (3,)}
    assert np.array_equal(shown.values["gradient"], shown.maps["gradient"].values[:, 5, 3])


def test_only_showing_loads_the_widget_library() -> None:
    code = "import sys, attribution; print('anywidget' in sys.modules, 'IPython' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_nothing_to_show_is_refused() -> None:
    with pytest.raises(at.Refusal):
        at.show([at.Refusal("no map")])
