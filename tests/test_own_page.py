"""A network of one's own in the dashboard: the dialog, the same maps as in code, the link, and the served model."""

import re
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dashboard import LONG, choose, idle, map_of, serving
from forged_checkpoints import forged
from playwright.sync_api import Browser, Locator, Page, expect
from session import memory
from test_own import FOUR, KINDS, PHOTO, Kind, trained, write

import attribution as at
from attribution.models.own import Checkpoint, read_own


def open_dialog(page: Page) -> Locator:
    page.get_by_role("button", name="Your own...").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("combobox", name="Architecture")).to_be_visible(timeout=LONG)
    return dialog


def describe(page: Page, dialog: Locator, architecture: str, path: Path) -> None:
    choose(page, "Architecture", architecture)
    dialog.locator("input[type=file]").set_input_files(path)
    expect(dialog.get_by_role("button", name="Add", exact=True)).to_be_enabled(timeout=LONG)


def add(page: Page, kind: Kind, path: Path) -> None:
    """Add a network with the dialog, and wait for its maps."""
    dialog = open_dialog(page)
    describe(page, dialog, "timm/resnet18", path)
    if output := kind.settings.get("output"):
        choose(page, "Output", {"binary": "One logit", "labels": "Independent", "number": "A number"}[output])
    dialog.get_by_role("textbox", name="Names").fill(kind.settings["classes"].replace("/", "\n"))
    if unit := kind.settings.get("unit"):
        dialog.get_by_role("textbox", name="Unit").fill(unit)
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog).to_have_count(0, timeout=LONG)
    expect(page.get_by_text(re.compile(r"German shepherd on grass\. resnet18 \("))).to_be_visible(timeout=LONG)
    idle(page)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        pytest.param(name, "pt" if place % 2 else "safetensors", marks=pytest.mark.slow)
        for place, name in enumerate(KINDS)
    ],
)
def test_the_maps_of_the_page_are_those_of_code(name: str, form: str, page: Page, tmp_path: Path) -> None:
    kind = KINDS[name]
    path = write(kind.net, tmp_path, form)
    add(page, kind, path)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
        page.get_by_role("button", name="Raw data (ZIP)").click()
    with zipfile.ZipFile(download.value.path()) as packed:
        packed.extractall(tmp_path)
    found = np.load(tmp_path / "attribution-maps" / "attributions.npz")
    model = kind.model()
    x = model.prepare(at.open_image(PHOTO))
    assert found["pixels"].tobytes() == x.numpy().tobytes()
    for text in [each.partition(":")[0] for each in FOUR]:
        result = at.attribute(model, x, at.read_method(text), model.default_target)
        assert result.values.any()
        assert found[text].tobytes() == result.values.tobytes()
    if name == "number":
        expect(page.get_by_text(re.compile(r"^Predicted: age -?[\d.e-]+ years$"))).to_be_visible()
        expect(page.get_by_role("combobox", name=re.compile("Against"))).to_have_count(0)


def test_a_wrong_head_is_named_in_the_dialog_which_stays(page: Page, tmp_path: Path) -> None:
    path = write(trained(logits=5), tmp_path, "pt")
    dialog = open_dialog(page)
    describe(page, dialog, "timm/resnet18", path)
    dialog.get_by_role("textbox", name="Names").fill("cat\ndog\nbird")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog).to_contain_text("The head has 3 classes, the checkpoint 5", timeout=LONG)
    expect(dialog.get_by_role("textbox", name="Mean")).to_have_value("0.485, 0.456, 0.406")


@pytest.mark.slow
def test_a_link_names_the_network_that_it_needs_and_works_once_that_is_there(
    page: Page, browser: Browser, address: str, tmp_path: Path
) -> None:
    kind = Kind(6, classes="left/right/c/d/e/f")  # no other test adds these weights
    path = write(kind.net, tmp_path, "pt")
    key = read_own(Checkpoint(architecture="timm/resnet18", classes=kind.settings["classes"]), path.read_bytes()).key
    assert key.startswith(f"resnet18@{kind.model().weights}-")
    link = f"{address}/?model={key}&target=1"
    visitor = browser.new_context().new_page()
    visitor.goto(link)
    expect(visitor.get_by_text(f"with weights of SHA-256 {kind.model().weights}")).to_be_visible(timeout=LONG)
    add(page, kind, path)
    assert f"model={key}" in page.url
    visitor.goto(link)
    expect(map_of(visitor, "integrated_gradients")).to_be_visible(timeout=LONG)
    expect(visitor.locator(".st-key-map-gradient")).to_contain_text("right")
    visitor.context.close()


def test_a_pretrained_network_of_timm_is_found_by_typing(page: Page) -> None:
    page.get_by_role("button", name="timm...").click()
    choose(page, "Network", "test_vit.r160_in1k")
    expect(page.get_by_role("dialog")).to_contain_text("1,000 classes, 160 x 160 pixels, 1 MB download", timeout=LONG)


def test_a_server_for_others_takes_no_checkpoints(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path / "log", ATTRIBUTION_ALLOW_CHECKPOINTS="0") as (address, _):
        page = browser.new_page()
        page.goto(address)
        page.get_by_role("button", name="Your own...").click(timeout=LONG)
        expect(page.get_by_role("dialog")).to_contain_text("This server accepts no checkpoints from browsers.")
        page.context.close()


MINE = """
import timm, torch
import attribution as at
from attribution.models.own import Checkpoint, read_own

def make():
    torch.manual_seed(0)
    net = timm.create_model("test_resnet", num_classes=2)
    return at.wrap(net, name="mine", classes=["left", "right"])
"""


@pytest.mark.parametrize("way", ["command", pytest.param("code", marks=pytest.mark.slow)])
def test_the_dashboard_starts_with_a_model_of_ones_own(way: str, browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE + ("" if way == "command" else "\nat.serve(make(), port=PORT)\n"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = (tmp_path / "mine.py").read_text().replace("PORT", str(port))
    (tmp_path / "mine.py").write_text(script)
    served = [sys.executable, "-m", "attribution", "serve", "--port", str(port), "--model", f"{tmp_path}/mine.py:make"]
    command = served if way == "command" else [sys.executable, str(tmp_path / "mine.py")]
    root = str(Path(at.__file__).parents[1])
    import os

    environment = {**os.environ, "PYTHONPATH": root, "STREAMLIT_SERVER_HEADLESS": "true"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        page = browser.new_page()
        page.goto(f"http://localhost:{port}")
        expect(page.locator(".st-key-map-gradient")).to_contain_text(re.compile("left|right"), timeout=LONG)
        expect(page.get_by_text(re.compile(r"German shepherd on grass\. mine on"))).to_be_visible()
        page.context.close()
    finally:
        process.terminate()
        assert process.wait(20) is not None


@pytest.mark.slow
def test_200_forged_checkpoints_through_the_upload(browser: Browser, tmp_path: Path) -> None:
    marker, log = tmp_path / "marker", tmp_path / "log"
    with serving(log) as (address, process):
        page = browser.new_page()
        page.set_default_timeout(LONG)
        page.goto(address)
        idle(page)
        dialog = open_dialog(page)
        choose(page, "Architecture", "torchvision/resnet18")
        sentence, button = dialog.get_by_test_id("stText"), dialog.get_by_role("button", name="Add", exact=True)
        before = 0.0
        for place, (name, content) in enumerate(forged(marker)):
            path = tmp_path / f"forged{place}.pt"
            path.write_bytes(content)
            dialog.locator("input[type=file]").set_input_files(path)
            expect(dialog).to_contain_text(path.name, timeout=LONG)
            expect(sentence).to_have_count(0, timeout=LONG)
            expect(button).to_be_enabled(timeout=LONG)
            button.click()
            expect(sentence).to_contain_text(re.compile(r"^The (checkpoint|file|safetensors).*\.$"), timeout=LONG)
            assert not marker.exists(), name
            before = before or memory(process.pid)
        page.wait_for_timeout(2000)
        assert memory(process.pid) - before < 50
        page.context.close()
    assert "Traceback" not in log.read_text()
