"""The batch page: photos and ZIPs within limits, a gallery that fills, and all of it to take away."""

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from dashboard import DESK, LONG, PHONE, map_of
from PIL import Image
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from attribution.photo.samples import SAMPLES
from attribution.refusal import Refusal
from attribution.work import batch as work
from attribution.work.batch import Photos

ROOT = Path(__file__).parents[1]
PANDA = "giant_panda.jpg"


@pytest.fixture
def app() -> AppTest:
    app = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    app.query_params["methods"] = "gradient"
    app.run()
    return app.switch_page("attribution/ui/pages/batch.py").run()


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return file.getvalue()


def click(app: AppTest, label: str) -> AppTest:
    next(each for each in app.button if each.label == label).click().run()
    assert not app.exception
    return app


def state(app: AppTest) -> Any:
    return app.session_state["session"]


def until(app: AppTest, condition: Callable[[], bool]) -> AppTest:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    app.run()
    assert not app.exception
    return app


def ended(app: AppTest) -> AppTest:
    return until(app, lambda: not state(app).batch.job.active)


def texts(app: AppTest) -> str:
    return "\n".join(each.value for each in app.text)


def sent(app: AppTest, files: dict[str, bytes]) -> AppTest:
    next(each for each in app.get("button_group") if each.key == "batch-source").set_value("Upload").run()
    uploader = app.file_uploader(key="batch-upload")
    uploader.set_value([(name, content, "") for name, content in files.items()]).run()
    assert not app.exception
    return app


def test_nothing_starts_by_itself_and_rows_come_while_it_runs_and_stay_when_it_stops(app: AppTest) -> None:
    assert state(app).batch is None
    assert f"{len(SAMPLES)} photos, 1 method, SqueezeNet 1.1" in texts(app)
    click(app, "Explain all")
    until(app, lambda: bool(state(app).batch.job.so_far and state(app).batch.job.so_far.rows))
    batch = state(app).batch
    assert batch.job.active
    click(app, "Stop")
    until(app, lambda: not batch.job.active)
    done = batch.job.so_far.done
    assert 0 < done < len(SAMPLES)
    assert f"Stopped. {done} of {len(SAMPLES)} photos are done." in texts(app)
    assert "What drives a class" in [each.value for each in app.header]
    click(app, "Continue")
    ended(app)
    assert [row["number"] for row in batch.job.result.rows] == list(range(len(SAMPLES)))
    assert f"{len(SAMPLES)} photos explained." in texts(app)


def test_a_zip_with_a_broken_photo_and_a_hostile_name_has_one_error_row(app: AppTest, samples: Path) -> None:
    panda = (samples / PANDA).read_bytes()
    content = zipped({"../../../etc/<b>panda</b>.jpg": panda, "cut.jpg": panda[:2000], "inner.zip": zipped({"a": b""})})
    sent(app, {"all.zip": content, "![x](y).jpg": (samples / "espresso.jpg").read_bytes()})
    photos = state(app).sent
    assert photos.names == ["0001 b_.jpg", "0002 cut.jpg", "0003 __x_(y).jpg"]
    assert sorted(each.name for each in photos.folder.path.iterdir()) == photos.names
    assert "all.zip: 1 file that is no photo was left out." in texts(app)
    click(app, "Explain all")
    ended(app)
    batch = state(app).batch
    rows = batch.job.result.rows
    assert [row["photo"] for row in rows if row["refusal"]] == ["0002 cut.jpg"]
    assert "0002 cut.jpg is damaged or truncated" in texts(app)
    file = io.BytesIO()
    batch.archive(file)
    with zipfile.ZipFile(file) as packed:
        names = set(packed.namelist())
        table = pq.read_table(io.BytesIO(packed.read("table.parquet")))
        assert json.loads(packed.read("plan.json"))["collection"] == "uploads"
        assert packed.read("table.csv").count(b"\n") == 4
    assert {"photos/000000/photo.jpg", "photos/000000/gradient.png", "photos/000002/photo.jpg"} < names
    assert not any(name.startswith(("rows", "photos/000001")) for name in names)
    assert table["refusal"].null_count == 2
    next(each for each in app.button if each.key == "batch-open-0").click().run()
    assert not app.exception
    assert state(app).page == ""
    assert state(app).chosen.photo == "upload"
    assert [method.key for method in state(app).chosen.methods] == ["gradient"]
    (image,) = [each for each in (state(app).analysis,) if not isinstance(each, str)]
    with zipfile.ZipFile(file) as packed, Image.open(packed.open("photos/000000/photo.jpg")) as seen:
        assert abs(image.x - torch.from_numpy(np.array(seen)).permute(2, 0, 1) / 255).mean() < 0.02  # but for JPEG


def test_limits_refuse_in_a_sentence(monkeypatch: pytest.MonkeyPatch, samples: Path) -> None:
    panda = (samples / PANDA).read_bytes()
    photos = Photos()
    assert photos.add("a.jpg", panda) == ""
    monkeypatch.setenv(work.PHOTOS_VARIABLE, "2")
    refusals = {
        "at most 2 photos, and these would be 3": zipped({"b.jpg": panda, "c.jpg": panda}),
        "damaged ZIP": zipped({"b.jpg": panda})[:-30],
        "contains no photo": zipped({"b.txt": b"", ".hidden.jpg": panda}),
        "more than 2000 files": zipped({f"{number}.jpg": b"" for number in range(2001)}),
        "encrypted": zipped({"b.jpg": panda}).replace(b"PK\x01\x02\x14\x03\x14\0\0\0", b"PK\x01\x02\x14\x03\x14\0\1\0"),
    }
    for sentence, content in refusals.items():
        with pytest.raises(Refusal, match=sentence):
            photos.add("some.zip", content)
    monkeypatch.setenv(work.BATCH_VARIABLE, "9")
    with pytest.raises(Refusal, match=r"at most 9 MB of photos, and these would be \d+ MB unpacked"):
        photos.add("bomb.zip", zipped({"b.bmp": bytes(9_000_000)}))  # 9 kB
    monkeypatch.setenv(work.ALL_VARIABLE, "1")
    with pytest.raises(Refusal, match="The server's 1 MB for batches are in use"):
        photos.add("b.jpg", bytes(1_000_000))
    assert photos.names == ["0001 a.jpg"]


def test_folders_are_deleted_with_their_batch_and_at_the_end(samples: Path) -> None:
    photos, others = Photos.of_samples(), Photos.of_samples()
    first, second = photos.folder.path, others.folder.path
    assert sorted(each.stem for each in first.iterdir()) == sorted(SAMPLES)
    del photos
    assert not first.exists()
    assert second.exists()
    work.delete_all()
    assert not second.exists()


def test_uploads_fill_the_gallery_in_the_browser_and_come_back_after_a_reload(
    browser: Browser, address: str, samples: Path, tmp_path: Path
) -> None:
    page = browser.new_context(viewport=DESK, color_scheme="light").new_page()
    page.set_default_timeout(LONG)
    page.goto(f"{address}/batch?methods=gradient")
    page.get_by_test_id("stMain").get_by_role("radio", name="Upload").click()
    names = [f"{name}.jpg" for name in SAMPLES[:4]]
    page.get_by_test_id("stMain").locator("input[type=file]").set_input_files([samples / name for name in names])
    expect(page.get_by_text("4 photos, 1 method, SqueezeNet 1.1")).to_be_visible()
    begin = page.get_by_role("button", name="Explain all")
    begin.focus()
    begin.press("Enter")
    expect(page.get_by_text("4 photos explained.")).to_be_visible()
    expect(page.get_by_role("img", name="Gradient map of photo 4")).to_be_visible()
    expect(page.get_by_text("3. espresso.jpg")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as packed:
        assert {"table.csv", "gallery.html", "plan.json", "photos/000003/gradient.png"} <= set(packed.namelist())
    page.reload()
    expect(page.get_by_role("img", name="Gradient map of photo 4")).to_be_visible()
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")
    expect(page.get_by_test_id("stApp")).to_have_css("color-scheme", "dark")
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    found = [each for each in Axe().run(page).response["violations"] if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found] == []
    page.get_by_role("button", name="Open in Explore").nth(2).click()
    expect(map_of(page, "gradient")).to_be_visible()
    expect(page).to_have_title("Explore: espresso (SqueezeNet 1.1)")
    page.context.close()
