"""The probe page in Chromium: one mask by every hand, a link that restores it, and what the buttons beside it do."""

import asyncio
import csv
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from dashboard import DESK, LONG, PHONE, choose, idle, map_of
from playwright.sync_api import Browser, Locator, Page, expect
from session import Session, run, unpacked

import attribution as at
from attribution.checks.challenges.attempt import Attempt
from attribution.photo.cells import GRID, Cells, CellsSetting
from attribution.photo.samples import DEFAULT_SAMPLE, open_sample
from attribution.settings import read

BOX = Cells.box(10, 8, 6, 5)
ADDRESS = "probe?methods=gradient~integrated_gradients(steps=10)&probe=probe(fill=black{more})"


def board(page: Page) -> Locator:
    return page.locator(".st-key-board .board")


def opened(browser: Browser, address: str, more: str = "", **settings: Any) -> Page:
    page = browser.new_context(**{"viewport": DESK, **settings}).new_page()
    page.set_default_timeout(LONG)
    page.goto(f"{address}/{ADDRESS.format(more=more)}")
    expect(board(page).get_by_text("Integrated gradients")).to_be_visible()
    idle(page)
    return page


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    page = opened(browser, address)
    yield page
    expect(page.get_by_test_id("stException")).to_have_count(0)
    page.context.close()


def mask(page: Page, count: int) -> Cells:
    """Return the mask of the link, once the hand rests on so many cells."""
    expect(board(page).get_by_role("status")).to_contain_text(f"{count} cells")
    page.wait_for_function("location.search.includes('cells=')")
    page.wait_for_timeout(700)
    (text,) = parse_qs(urlsplit(page.url).query)["probe"]
    return read(text, {Attempt.key: Attempt}).cells


def place(page: Page, column: float, row: float) -> tuple[float, float]:
    """Return the middle of a cell on the screen."""
    canvas = board(page).locator("canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    return box["x"] + (column + 0.5) * box["width"] / GRID, box["y"] + (row + 0.5) * box["height"] / GRID


def by_mouse(page: Page) -> None:
    board(page).get_by_role("button", name="Box", exact=True).click()
    page.mouse.move(*place(page, 10, 8))
    page.mouse.down()
    page.mouse.move(*place(page, 12, 20))
    page.mouse.move(*place(page, 15, 12), steps=3)
    page.mouse.up()


def by_keyboard(page: Page) -> None:
    canvas = board(page).locator("canvas")
    canvas.focus()
    for key, times in (("Shift+ArrowLeft", 4), ("Shift+ArrowUp", 4)):
        for _ in range(times):
            page.keyboard.press(key)
    for key, times in (("Shift+ArrowRight", 1), ("ArrowRight", 2), ("Shift+ArrowDown", 1), ("Enter", 1)):
        for _ in range(times):
            page.keyboard.press(key)
    for key, times in (("ArrowRight", 5), ("ArrowDown", 4), ("Enter", 1)):
        for _ in range(times):
            page.keyboard.press(key)


def by_numbers(page: Page) -> None:
    for name, value in zip(("Left", "Top", "Width", "Height"), (10, 8, 6, 5), strict=True):
        board(page).get_by_label(name, exact=True).fill(str(value))
    board(page).get_by_role("button", name="Add box").click()


def test_mouse_keyboard_and_numbers_make_one_mask_whose_link_restores_it(page: Page) -> None:
    for hand in (by_mouse, by_keyboard, by_numbers):
        hand(page)
        assert mask(page, BOX.count) == BOX
        if hand is not by_numbers:
            board(page).get_by_role("button", name="Clear").click()
            expect(board(page).get_by_role("status")).to_contain_text("Nothing covered")
    x = (model := at.load_model("squeezenet1_1", device="cpu")).prepare(open_sample(DEFAULT_SAMPLE))
    found = at.probe(model, x, BOX, at.baselines.Black())
    said = f"Measured probability: {found.before:.3g} to {found.after:.3g}"
    expect(board(page)).to_contain_text(said)
    expect(board(page)).to_contain_text("The network calls the completely covered photo")
    page.reload()
    expect(board(page)).to_contain_text(said)
    assert mask(page, BOX.count) == BOX
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Raw data (ZIP)").click()
    with zipfile.ZipFile(download.value.path()) as packed:
        folder = "attribution-maps"
        assert f'at.probe(model, x, "{BOX.text}"' in packed.read(f"{folder}/reproduce.py").decode()
        rows = list(csv.DictReader(packed.read(f"{folder}/probe.csv").decode().splitlines()))
    assert [row["method"] for row in rows] == ["gradient", "integrated_gradients", ""]
    assert {float(row["change"]) for row in rows} == {found.change}


def test_a_finger_paints_only_where_it_should_and_the_page_fits_a_phone(browser: Browser, address: str) -> None:
    page = opened(browser, address, viewport=PHONE, has_touch=True, is_mobile=True)
    page.touchscreen.tap(*place(page, 5, 5))
    expect(board(page).get_by_role("button", name="Undo")).to_be_disabled()
    board(page).get_by_role("switch", name="Paint").click()
    page.touchscreen.tap(*place(page, 5, 5))
    expect(board(page).get_by_role("button", name="Undo")).to_be_enabled()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.context.close()


def test_another_fill_strikes_a_sum_out_and_recompute_makes_it_a_forecast_again(page: Page) -> None:
    by_numbers(page)
    row = board(page).get_by_role("row", name="Integrated gradients")
    expect(row.get_by_text("for another baseline")).to_have_count(0)
    choose(page, "Fill", "White")
    expect(row).to_contain_text("for another baseline")
    expect(row.locator("s")).not_to_be_empty()
    row.get_by_role("button", name="Recompute with this fill").click()
    expect(row.get_by_text("for another baseline")).to_have_count(0, timeout=LONG)
    expect(page).to_have_url(re.compile("baseline=white"))
    assert mask(page, BOX.count) == BOX


def test_explain_my_change_opens_a_map_in_explore_that_sums_to_it(page: Page) -> None:
    by_numbers(page)
    assert mask(page, BOX.count) == BOX
    board(page).get_by_role("button", name="Explain my change").click()
    expect(page).to_have_title(re.compile("^Explore"))
    expect(map_of(page, "integrated_gradients")).to_be_visible()
    expect(page.locator(".st-key-map-integrated_gradients")).to_contain_text("baseline covered(fill=black)")
    expect(page).to_have_url(re.compile(r"baseline=covered\(cells="))


def test_a_guess_is_made_before_the_answer_is_shown_and_an_attempt_is_judged(browser: Browser, address: str) -> None:
    page = opened(browser, address, more=",challenge=predict,cells=10/8/6/5")
    expect(board(page)).to_contain_text("hidden until you guess")
    expect(board(page).get_by_text("Measured probability")).to_have_count(0)
    field = page.get_by_label(re.compile("^Your guess"))
    field.fill("0.5")
    field.press("Enter")
    page.get_by_role("button", name="Reveal").click()
    expect(board(page)).to_contain_text("Measured probability")
    page.get_by_role("button", name="Judge my attempt").click()
    expect(page.locator(".st-key-verdict")).to_contain_text("Valid: You guessed 0.500, the score is ")
    choose(page, "Challenge", "Flip")
    page.get_by_role("button", name="Show par values").click()
    expect(page.get_by_label("Par values of Flip, the best first")).to_contain_text("of the area", timeout=LONG)
    page.get_by_text("Rank your students' attempts").click()
    link = f"{address}/{ADDRESS}".replace("fill=black{more}", "fill=black,challenge=flip,cells={}").format
    lines = [f"Ada {link('0/0/28/28')}", f"{link('0/0/28/27')}\tBob", f"Eve {link('0/0/1/1')}", "http://[x?probe=probe"]
    page.get_by_role("textbox", name="Links").fill(
        "\n".join([*lines, f"Mallory {link('0/0/28/28')}&model=efficientnet_lite0"])
    )
    page.get_by_role("button", name="Rank").click()
    table = page.get_by_label(re.compile("^Ranking of 3 attempts"))
    expect(table).to_be_visible(timeout=LONG)
    expect(table).to_contain_text("another model")
    rows = [row.split("\t")[:2] for row in table.inner_text().splitlines()[1:]]
    assert rows == [["1", "Bob"], ["2", "Ada"], ["\u2013", "Eve"], ["\u2013", "Line 4"], ["\u2013", "Line 5"]]
    page.get_by_role("button", name="Judge my attempt").click()
    expect(page.locator(".st-key-verdict")).to_contain_text("Not valid: It is still")
    board(page).get_by_role("button", name="Invert").click()
    expect(page.locator(".st-key-verdict")).to_have_count(0)  # it was about other cells
    page.context.close()


def test_the_page_answers_with_the_bits_of_python(address: str) -> None:
    answers = []

    async def visit() -> None:
        session = Session(address.removeprefix("http://"), page="probe", query="probe=probe(fill=black)")
        await session.open()
        while not session.mounted("board"):
            await asyncio.sleep(0.1)
            await session.run()
        asked = None
        while not (header := unpacked((mounted := session.mounted("board")[-1]).bytes)[0])["answer"]:
            if header["facts"] != asked:  # those of a board that is not yet there are obsolete: the browser asks again
                asked = header["facts"]
                session.tell(mounted, "ask", {"number": 7, "cells": BOX.text, "rests": True, "facts": asked})
            await session.run(session.fragments[mounted.id])
            await asyncio.sleep(0.1)
        answers.append(header["answer"])
        await session.close()

    run(visit())
    model = at.load_model("squeezenet1_1", device="cpu")
    found = at.probe(model, model.prepare(open_sample(DEFAULT_SAMPLE)), BOX, at.baselines.Black())
    (answer,) = answers
    assert answer["number"] == 7
    assert answer["score"] == found.after
    assert answer["top"] == json.loads(json.dumps(found.top))
    assert len(answer["rest"]["sentences"]) == 3
    assert CellsSetting("").check(answer["cells"]) == BOX
