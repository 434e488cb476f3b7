"""The boxes in which classes are found by typing, in Chromium: what they find, and how they are used by keyboard."""

import json
import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from dashboard import expect_new, idle, source
from playwright.sync_api import Browser, Locator, Page, expect

from attribution.ui.class_box.class_box import _FOLDER
from attribution.ui.events import read_classes
from attribution.viewer.bundle import bundle

OPTIONS = ".popup:popover-open [role=option]"
# Mounts a box for a model with 21,843 classes.
LARGE = """async (script) => {
    const {default: mount} = await import(URL.createObjectURL(new Blob([script], {type: "text/javascript"})));
    const pack = (data) => new TextEncoder().encode(JSON.stringify(data));
    const names = Array.from({length: 21843}, (_, i) => `kind ${i % 97} of fish`);
    mount({data: pack({model: "large", names}), parentElement: document.body});
    const box = {name: "target", label: "Class", hint: "", unset: "Predicted class", chosen: [], most: 1, without: []};
    mount({data: pack({model: "large", boxes: [box]}), parentElement: document.body, setTriggerValue() {}});
}"""


def active(box: Locator) -> str:
    """Return the text of the option that the keyboard would choose."""
    found: str = box.evaluate(
        "box => box.getRootNode().getElementById(box.getAttribute('aria-activedescendant')).innerText"
    )
    return found


def test_a_class_is_found_by_any_part_and_chosen_by_keyboard(page: Page) -> None:
    idle(page)
    old = source(page, "gradient")
    box, options = page.get_by_role("combobox", name="Target class"), page.locator(OPTIONS)
    box.press("ArrowDown")
    expect(box).to_have_attribute("aria-expanded", "true")
    assert active(box) == "Predicted class"
    box.press("End")
    assert active(box) == "toilet tissue (999)"
    box.press("ArrowUp")
    assert active(box) == "ear (998)"
    box.press("Home")
    assert active(box) == "Predicted class"
    box.fill("RETR gold")
    expect(options).to_have_text(["golden retriever (207)"])
    expect(box.locator("xpath=../..").get_by_role("status")).to_have_text("1 match")
    box.fill("28")
    expect(options.first).to_have_text(re.compile(r"\(28\)"))  # the class 28 before 128
    box.fill("no such class")
    expect(options).to_have_count(0)
    box.press("Enter")
    box.press("Escape")
    expect(box).to_have_attribute("aria-expanded", "false")
    expect(box).to_have_value("Predicted class")
    box.fill("tabby")
    assert Axe().run(page).response["violations"] == []
    box.press("Enter")
    expect(box).to_have_value("tabby (281)")
    expect_new(page, "gradient", old)
    expect(page.locator(".st-key-map-gradient")).to_contain_text("tabby")
    expect(page).to_have_url(re.compile("target=281"))


def test_several_classes_are_added_and_removed(page: Page) -> None:
    idle(page)
    box = page.get_by_role("combobox", name="Also explain")
    for typed in ("281", "golden retr", "electric ray"):
        box.fill(typed)
        box.press("Enter")
    expect(page.locator(OPTIONS)).to_have_count(0)  # no more than three
    expect(page).to_have_url(re.compile(r"also=281/207/5$"))
    page.get_by_role("button", name="Remove golden retriever (207)").click()
    expect(page).to_have_url(re.compile(r"also=281/5$"))
    box.press("Escape")
    box.press("Backspace")
    expect(page).to_have_url(re.compile(r"also=281$"))
    idle(page)


def test_a_list_of_21843_classes_draws_only_what_is_seen(browser: Browser) -> None:
    page = browser.new_page()
    page.goto("about:blank")
    page.add_style_tag(path=_FOLDER / "class_box.css")
    page.evaluate(LARGE, bundle(_FOLDER / "class_box.js"))
    box, options = page.get_by_role("combobox"), page.locator(OPTIONS)
    box.fill("fish 96")
    expect(options.first).to_have_text(re.compile("96"))
    assert 5 < options.count() < 50
    box.fill("")
    box.press("End")
    assert active(box) == "kind 17 of fish (21842)"
    assert options.count() < 50
    expect(options.last).to_have_attribute("aria-posinset", "21844")
    page.close()


@pytest.mark.parametrize(
    "sent",
    [
        None,
        [],
        {"box": "target", "model": "x"},
        {"box": "target", "model": "x", "chosen": [1.5]},
        {"box": "target", "model": "x", "chosen": [True]},
        {"box": "target", "model": "x", "chosen": [-1]},
        {"box": "target", "model": "x", "chosen": [7, 7]},
        {"box": "target", "model": "x", "chosen": ["7"]},
    ],
    ids=json.dumps,
)
def test_a_malformed_choice_is_an_error(sent: Any) -> None:
    with pytest.raises((TypeError, KeyError, ValueError)):
        read_classes(sent)
