"""A link opened by somebody else, and exported files, in Chromium."""

import io
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dashboard import DESK, FIRST, LONG, PHONE, ROOT, choose, expect_new, idle, map_of, set_steps, source, upload
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

Open = Callable[..., Page]


@pytest.fixture
def fresh(browser: Browser) -> Iterator[Open]:
    """Open an address in a profile of its own."""
    contexts: list[BrowserContext] = []

    def visit(address: str, viewport: Any = DESK) -> Page:
        contexts.append(browser.new_context(viewport=viewport))
        contexts[-1].set_default_timeout(LONG)
        page = contexts[-1].new_page()
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()


def shown(page: Page) -> dict[str, str]:
    """Everything that is painted, once all of it is there."""
    expect(page.locator(".st-key-map-integrated_gradients")).to_contain_text("backward pass")
    idle(page)
    page.mouse.move(0, 0)
    page.wait_for_timeout(700)
    return {key: source(page, key) for key in ("photo", "gradient", "integrated_gradients")}


@pytest.mark.parametrize(
    "page", [{"viewport": DESK, "permissions": ["clipboard-read", "clipboard-write"]}], indirect=True
)
def test_ten_settings_over_two_pages_come_back_in_a_fresh_profile(page: Page, fresh: Open) -> None:
    old = source(page, "photo")
    choose(page, "Sample photo", "Dog over cat")  # 1
    expect_new(page, "photo", old)
    choose(page, "Target class", "tabby")  # 2
    page.get_by_role("radio", name="Log-odds").click()  # 3
    sidebar = page.get_by_test_id("stSidebar")
    sidebar.get_by_role("button", name="Guided backpropagation").click()  # 4
    sidebar.get_by_role("button", name="Zeiler-Fergus").click()  # 5
    page.get_by_role("link", name="Methods").click()
    expect(page.get_by_role("heading", name="What each method can and cannot show")).to_be_visible()
    set_steps(page, 7)  # 6
    choose(page, "Baseline", "White")  # 7
    expect(page).to_have_url(re.compile(r"/methods\?.*steps=7"))
    page.get_by_role("link", name="Explore").click()
    expect(page.locator(".st-key-map-integrated_gradients")).to_contain_text("baseline white")
    page.get_by_label("View").select_option("heat")  # 8
    page.get_by_label("Clip at percentile").fill("98")  # 9
    box = map_of(page, "gradient").bounding_box()
    assert box
    page.mouse.move(box["x"] + 100, box["y"] + 60)
    page.mouse.wheel(0, -300)  # 10
    before = shown(page)
    page.get_by_role("button", name="Share").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Copy").click()
    expect(dialog.get_by_text("Link copied.")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    expect(dialog.get_by_role("textbox", name="Link")).to_have_value(link)
    expect(dialog.get_by_role("checkbox")).to_have_count(0)  # a sample is on every server
    assert len(link) < 500
    other = fresh(link)
    assert shown(other) == before
    assert other.url == link
    expect(other.locator(".st-key-map-gradient")).to_contain_text("tabby, log-odds")


def test_a_link_to_another_page_keeps_the_view_for_later(fresh: Open, address: str) -> None:
    page = fresh(f"{address}/methods?methods=gradient&view=heat&zoom=0.1,0.2,0.5&nonsense=1")
    expect(page.get_by_text("Ignored 'nonsense' in the link")).to_be_visible()
    expect(page).to_have_url(f"{address}/methods?methods=gradient&view=heat&zoom=0.1,0.2,0.5")
    page.get_by_role("link", name="Explore").click()
    expect(page.get_by_label("View")).to_have_value("heat")
    expect(page).to_have_url(f"{address}/?methods=gradient&view=heat&zoom=0.1,0.2,0.5")


@pytest.mark.parametrize("page", [{"viewport": PHONE}], indirect=True)
def test_a_phone_keeps_its_address_bar_too(page: Page) -> None:
    page.get_by_label("View").select_option("signed")
    expect(page).to_have_url(re.compile(r"/\?view=signed$"))


def archived(page: Page, folder: Path) -> dict[str, bytes]:
    """Export the raw data; the arrays by name, each as bytes."""
    page.get_by_role("button", name="Export").click()
    with zipfile.ZipFile(exported(page, "Raw data (ZIP)")) as packed:
        packed.extractall(folder)
    page.get_by_role("button", name="Close").click()
    with np.load(folder / "attribution-maps" / "attributions.npz") as arrays:
        return {name: arrays[name].tobytes() for name in arrays}


def test_a_lecturer_shares_a_photo_that_a_phone_then_explains_with_the_same_maps(
    page: Page, fresh: Open, samples: Path, tmp_path: Path
) -> None:
    old = source(page, "gradient")
    upload(page, "photo.jpg", (samples / "giant_panda.jpg").read_bytes())
    expect_new(page, "gradient", old)
    sidebar = page.get_by_test_id("stSidebar")
    for name in ("Guided backpropagation", "Zeiler-Fergus"):
        sidebar.get_by_role("button", name=name).click()
        idle(page)
    before = archived(page, tmp_path / "lecturer")
    assert list(before) == ["pixels", "gradient", "integrated_gradients"]
    page.get_by_role("button", name="Share").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The link does not contain your photo.")
    include = dialog.get_by_role("checkbox", name="Include the photo for 24 hours")
    include.focus()
    page.keyboard.press("Space")
    field = dialog.get_by_role("textbox", name="Link")
    expect(field).to_have_value(re.compile(r"photo=shared:[\w-]{22}&methods=gradient~integrated_gradients$"))
    link = field.input_value()
    expect(dialog.get_by_role("img", name="QR code of the link")).to_be_visible()
    targets = [
        dialog.get_by_role("button", name=name, exact=True) for name in ("Copy", "Delete the shared photo", "Close")
    ]
    for target in (*targets, dialog.get_by_test_id("stCheckbox").locator("label")):
        box = target.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 24
    phone = fresh(link, PHONE)
    for key in ("photo", "gradient", "integrated_gradients"):
        expect(map_of(phone, key)).to_be_visible()
    idle(phone)
    phone.get_by_role("button", name="More", exact=True).click()
    assert archived(phone, tmp_path / "phone") == before
    script = tmp_path / "phone" / "attribution-maps" / "reproduce.py"
    said = subprocess.run([sys.executable, script], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    assert said.stdout.decode().count("identical") == 3, said.stderr  # the weights and two maps
    assert link.partition("shared:")[2][:22] not in (script.parent / "manifest.json").read_text()
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    dialog.get_by_role("button", name="Delete the shared photo").click()
    expect(field).to_have_value(re.compile("photo=upload"))
    late = fresh(link)
    expect(late.get_by_test_id("stMain")).to_contain_text("The shared photo is no longer on this server")
    expect(late.get_by_test_id("stSkeleton")).to_have_count(0)


def exported(page: Page, button: str) -> Path:
    with page.expect_download() as download, page.expect_response(lambda answer: "/media/" in answer.url) as answer:
        page.get_by_role("button", name=button).click()
    assert answer.value.headers["cache-control"] == "no-store"
    return download.value.path()


def test_what_is_exported_is_what_is_shown(page: Page, fresh: Open, tmp_path: Path) -> None:
    idle(page)
    page.get_by_label("View").select_option("signed")
    page.get_by_role("button", name="Export").click()
    with Image.open(exported(page, "Figure (PNG)")) as sheet:
        assert sheet.info["dpi"] == pytest.approx((300, 300), abs=1)
        assert sheet.width == 5 * 2.4 * 300
        colours = sheet.convert("RGB").getcolors(1 << 24)
        assert any(blue > red + 60 for _, (red, _, blue) in colours)  # the signed view has blue in it
    with zipfile.ZipFile(io.BytesIO(exported(page, "Raw data (ZIP)").read_bytes())) as packed:
        names = {name.removeprefix("attribution-maps/") for name in packed.namelist()}
        assert {"attributions.npz", "manifest.json", "reproduce.py", "CITATION.bib"} <= names
        assert {f"{key}.png" for key in FIRST} <= names
    report = tmp_path / "report.html"
    report.write_bytes(exported(page, "Report (HTML)").read_bytes())
    assert report.stat().st_size < 5_000_000
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Figure (PNG)")).to_have_count(0)

    requests: list[str] = []
    alone = fresh("about:blank")
    alone.on("request", lambda request: requests.append(request.url))
    alone.goto(report.as_uri())
    expect(alone.get_by_label("View")).to_have_value("signed")
    expect(alone.locator("canvas.picture")).to_have_count(5)
    picture = alone.locator("section#gradient canvas.picture")
    before = picture.evaluate("canvas => canvas.toDataURL()")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    assert box
    alone.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.2 * box["height"])
    for readout in alone.locator("section .readout").all():
        expect(readout).to_contain_text("larger than")
    alone.wait_for_timeout(500)
    alone.mouse.wheel(0, -300)
    alone.wait_for_timeout(300)
    assert picture.evaluate("canvas => canvas.toDataURL()") != before
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    alone.screenshot(path=tmp_path / "report.png")
