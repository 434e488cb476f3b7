"""Prototypes, mean maps and the gallery: known answers, foreign text, and the file opened from a disk in Chromium."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page
from test_handout import EVIL, Parsed

from attribution.batch.class_maps import around, mean_maps
from attribution.batch.gallery import gallery
from attribution.batch.prototypes import MOST_LINKED, clusters, prototypes, silhouette
from attribution.batch.table import COLUMNS

FACTS = {"Model": "tiny", "Score": "probability"}
LEADING = "integrated_gradients(steps=25)"


def row(number: int, method: str = LEADING, **more: Any) -> dict[str, Any]:
    known = {
        "number": number,
        "photo": f"{number}.jpg",
        "method": method,
        "predicted": 1,
        "predicted_class": "cat",
        "probability": 0.5 + number / 100,
        "target": 1,
        "target_class": "cat",
        "score": 0.5 + number / 100,
        "agreement": 1 - number / 50,
        "concentration": 0.3,
        "window_left": 3,
        "window_top": 14,
        "cells": np.ones(784).tolist(),
        "picture": f"photos/{number:06}/{method.partition('(')[0]}.png",
    }
    return known | more


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{name: each.get(name) for name in COLUMNS.names} for each in rows], schema=COLUMNS)


def planted() -> list[dict[str, Any]]:
    """Rows of 40 photos of one class: ten patches of one kind cost much, thirty of two others nearly nothing."""
    random = np.random.default_rng(0)
    kinds, found = np.eye(3, 16), []
    for number in range(40):
        kind = 0 if number % 4 == 2 else 1 + number % 2
        features = (kinds[kind] * random.uniform(1, 5) + random.normal(0, 0.05, 16)).tolist()
        found.append(row(number, loss=0.4 + number / 1000 if kind == 0 else 0.01 * (number % 3 - 1), features=features))
    return found


def test_patches_that_cost_most_are_the_first_prototype() -> None:
    rows = planted()
    (found,) = prototypes(table([*rows, row(40, "gradient"), row(41, loss=float("nan"), features=[1.0] * 16)])).values()
    assert set(found[0].rows) == {number for number in range(40) if number % 4 == 2}
    losses = [rows[each]["loss"] for each in found[0].rows]
    assert found[0].loss == pytest.approx(np.mean(losses))
    assert found[0].error == pytest.approx(np.std(losses, ddof=1) / np.sqrt(10))
    assert found[0].share == 0.25
    assert [len(each.rows) for each in found] == [10, 10, 20] or [len(each.rows) for each in found] == [10, 20, 10]
    few = prototypes(table(rows[:3]))[1, "cat"]
    assert [len(each.rows) for each in few] == [3]
    assert prototypes(table([row(0)])) == {}


def test_noise_is_one_cluster_and_many_photos_are_sampled() -> None:
    random = np.random.default_rng(1)
    noise = random.normal(size=(200, 64))
    assert len(set(clusters(noise / np.linalg.norm(noise, axis=1, keepdims=True)))) == 1
    kinds = random.integers(0, 3, MOST_LINKED + 500)
    vectors = np.eye(3, 8)[kinds] + random.normal(0, 0.05, (len(kinds), 8))
    labels = clusters(vectors)
    assert len({(one, other) for one, other in zip(kinds, labels, strict=True)}) == 3
    line = np.array([[0.0], [1.0], [10.0], [12.0]])
    distances = np.abs(line - line.T)
    by_hand = np.mean([1 - 1 / 11, 1 - 1 / 10, 1 - 2 / 9.5, 1 - 2 / 11.5])
    assert silhouette(distances, np.array([0, 0, 1, 1])) == pytest.approx(by_hand)


def test_mean_maps_weigh_photos_alike_and_follow_the_box() -> None:
    down, across = np.mgrid[0:28, 0:28] + 0.5
    ramp = across / 28
    box = np.array([[0.25, 0.25, 0.75, 0.75]])  # with its margin, the whole photo
    values, known = around(ramp[None], box)
    assert known.all()
    np.testing.assert_allclose(values[0], ramp, atol=1e-12)
    values, known = around(ramp[None], np.array([[0.5, 0.4, 1.0, 0.6]]))
    inside = known[0][14]
    assert inside.sum() == 21  # from a quarter of the photo to its right edge, which ends the third quarter
    np.testing.assert_allclose(values[0][14][inside][:-1], 0.25 + (np.arange(20) + 0.5) / 28, atol=1e-12)
    spot = np.zeros((28, 28))
    spot[5, 20] = 4
    placed = {"box_left": 20 / 28, "box_top": 5 / 28, "box_right": 21 / 28, "box_bottom": 6 / 28}
    rows = [
        row(0, cells=(ramp * 100).ravel().tolist()),
        row(1, cells=spot.ravel().tolist(), **placed),
        row(2, cells=np.zeros(784).tolist()),
    ]
    mean = mean_maps(table(rows))[1, "cat"][LEADING]
    assert (mean.count, mean.boxes) == (2, 1)
    np.testing.assert_allclose(mean.cells, (ramp / ramp.sum() + spot / 4) / 2, rtol=1e-6)
    assert mean.boxed is not None
    middle = np.unravel_index(np.nanargmax(mean.boxed), (28, 28))
    assert {int(each) for each in middle} <= {13, 14}
    assert down.shape == mean.boxed.shape


def test_foreign_text_stays_text() -> None:
    rows = [
        row(0, photo=EVIL, predicted_class=EVIL, target_class=EVIL, loss=0.1, features=[1.0, 0.0]),
        {"number": 1, "photo": f"{EVIL}.png", "refusal": f"</script>{EVIL} is damaged."},
    ]
    page = gallery(table(rows), EVIL, {EVIL: EVIL}, LEADING)
    parsed = Parsed(page)
    assert sum(name == "script" for name, _ in parsed.elements) == 2
    assert not [name for name, attributes in parsed.elements for key in attributes if key.startswith("on")]
    assert not re.search(r'(src|href)="(https?:)?//', page)
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data
    assert EVIL in json.loads(data[1])["texts"]


def test_mean_maps_are_drawn_as_maps_are_and_clear_where_nothing_is_known() -> None:
    signed = np.zeros(784)
    signed[[14 * 28 + 3, 14 * 28 + 24]] = 1, -1
    corner = {"box_left": 0.0, "box_top": 0.0, "box_right": 0.5, "box_bottom": 0.5}
    beside = {**corner, "box_right": 0.1, "box_bottom": 0.1, "target": 0, "target_class": "dog"}
    rows = [
        row(0, cells=signed.tolist(), **corner),
        row(0, "gradient", cells=np.abs(signed).tolist(), **corner),
        row(1, cells=signed.tolist(), **beside),
    ]
    page = gallery(table(rows), "Photos", FACTS, LEADING)
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])

    def pixels(url: str) -> Any:
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))

    assert [each["signed"] for each in data["methods"]] == [True, False]
    orange, grey = data["classes"][0]["means"]
    red, _, blue = pixels(orange["photo"]).astype(int).transpose(2, 0, 1)
    assert red[14, 3] > blue[14, 3]
    assert red[14, 24] < blue[14, 24]
    assert np.ptp(pixels(grey["photo"]).astype(int), axis=2).max() == 0
    (white,) = data["classes"][1]["means"]
    assert pixels(white["box"])[14:, 14:, :3].min() > 200  # zeros are neither for nor against
    clear = pixels(grey["box"])[..., 3] == 0
    assert clear[:7].all()  # the margin above and left of a box in the corner is outside the photo
    assert clear[:, :7].all()
    assert not clear[7:, 7:].any()


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"number": 0, "photo": "a.jpg", "refusal": "a.jpg is empty; choose another file."}],
        [row(0, target=0, target_class="age", predicted=None, predicted_class=None, probability=31.0, score=31.0)],
        [row(0, "gone(a=1)"), row(0, "grad_cam", picture=None, cells=None, refusal="No layer with feature maps.")],
    ],
)
def test_unusual_batches_have_a_gallery(rows: list[dict[str, Any]]) -> None:
    assert Parsed(gallery(table(rows), "Photos", FACTS, LEADING)).elements


def written(folder: Path) -> Path:
    """A gallery of 70 photos of two classes, with their pictures."""
    rows = planted()
    for number in range(40, 69):
        rows.append(row(number, target_class="dog", target=0, predicted_class="dog", predicted=0, relative_delta=0.2))
    rows.append({"number": 69, "photo": "69.jpg", "refusal": "69.jpg is empty; choose another file."})
    for number in range(69):
        place = folder / f"photos/{number:06}"
        place.mkdir(parents=True)
        Image.new("RGB", (60, 60), (number * 3, 90, 120)).save(place / "photo.jpg")
        Image.new("RGB", (60, 60), "white").save(place / "integrated_gradients.png")
    (folder / "gallery.html").write_text(gallery(table(rows), "Photos of many", FACTS, LEADING))
    return folder / "gallery.html"


def names(page: Page) -> list[str]:
    return page.locator("#cards h3").all_text_contents()


def test_the_gallery_opens_from_a_disk(browser: Browser, tmp_path: Path) -> None:
    file = written(tmp_path)
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    page, problems = context.new_page(), list[str]()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.goto(file.as_uri())
    first = page.locator("#prototypes li").first
    assert "Covering it costs 0.420 ± 0.004 of the score on average\n\n10 photos, 25%" in first.inner_text()
    patch = first.locator(".patch img").first
    page.wait_for_function("each => each.naturalWidth === 60 && each.complete", arg=patch.element_handle())
    cut = patch.evaluate("({ style }) => [style.width, style.height, style.left, style.top].map(parseFloat)")
    # Of 60 pixels, columns 3 to 9 of the cells are pixels 7 to 21, and rows 14 to 20 are pixels 30 to 44.
    np.testing.assert_allclose(cut, [400, 400, -100 * 7 / 15, -200], atol=1e-3)
    assert len(names(page)) == 60
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_role("button", name="Show 10 more").click()
    assert len(names(page)) == 70
    page.locator("#sort").select_option("agreement")
    assert names(page)[0] == "68.jpg"  # where methods disagree most
    page.get_by_label("Reversed").check()
    assert names(page)[0] == "0.jpg"
    assert "69.jpg" not in names(page)  # without an agreement, it is the last in both directions
    page.get_by_label("Reversed").uncheck()
    page.get_by_label("File name contains").fill("3.jpg")
    assert names(page) == ["63.jpg", "53.jpg", "43.jpg", "33.jpg", "23.jpg", "13.jpg", "3.jpg"]
    page.get_by_label("At most").fill("0.7")
    assert names(page) == ["13.jpg", "3.jpg"]
    page.locator("#class").select_option(label="dog (29)")
    assert page.locator("#prototypes li").count() == 0
    other = context.new_page()
    other.goto(page.url)
    assert names(other) == ["13.jpg", "3.jpg"]
    assert other.locator("#class").evaluate("each => each.selectedOptions[0].label") == "dog (29)"
    other.get_by_role("button", name="Clear").click()
    other.get_by_label("Only errors").check()
    assert names(other) == ["69.jpg"]
    assert "69.jpg is empty" in other.locator("#cards").inner_text()
    page.get_by_role("button", name="Open 13.jpg").click()
    assert page.get_by_role("dialog").get_by_role("heading").inner_text() == "13.jpg"
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    assert problems == []
    context.close()
