"""The page Learn in Chromium: every chapter in both languages, its controls, links, presenter and handout."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dashboard import LONG, PHONE, idle, map_of
from playwright.sync_api import Browser, Locator, Page, expect
from test_pages import CUT_OFF, FADED, SCREEN, serious

from attribution.lesson.chapter import STEPS
from attribution.lesson.chapters import CHAPTERS
from attribution.lesson.three_neurons import INTO, NO_SKIP, OUT, rules
from attribution.ui.lessons.text import languages

FIGURES = {  # a part of each figure that is there once it is drawn
    "one_score": ".st-key-map-lesson-covered canvas.picture",
    "slope": ".st-key-map-lesson-map canvas.picture",
    "speckle": ".st-key-map-lesson-mean canvas.picture",
    "guided": ".st-key-neurons svg",
    "zeiler_fergus": ".st-key-neurons svg",
    "saturation": ".st-key-saturation svg >> nth=0",
    "path": ".st-key-map-lesson-map canvas.picture",
    "nothing": ".st-key-map-lesson-other canvas.picture",
    "covering": ".st-key-map-lesson-occlusion canvas.picture",
    "doubt": ".st-key-map-lesson-random canvas.picture",
}


def opened(browser: Browser, address: str, query: str, **settings: Any) -> Page:
    page = browser.new_context(**{"viewport": SCREEN, "locale": "en-US", **settings}).new_page()
    page.set_default_timeout(LONG)
    page.asked = []  # type: ignore[attr-defined]
    local = (address, "data:", "blob:")
    page.on("request", lambda sent: None if sent.url.startswith(local) else page.asked.append(sent.url))  # type: ignore[attr-defined]
    page.goto(f"{address}/learn?{query}")
    expect(page.locator("h1")).to_be_visible()
    return page


def closed(page: Page) -> None:
    expect(page.get_by_test_id("stException")).to_have_count(0)
    assert page.asked == []  # type: ignore[attr-defined]
    page.context.close()


@pytest.fixture
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = opened(browser, address, request.param)
    yield page
    closed(page)


def step(page: Page) -> Locator:
    places = page.locator(".st-key-lesson-places")
    return places.get_by_test_id("stButtonGroup").first.locator("[aria-checked=true]")


def advance(page: Page, button: str, following: str) -> None:
    """Go to the next step; once more if a run of the page that was under way has lost the click."""
    page.get_by_role("button", name=button, exact=True).click()
    try:
        expect(step(page)).to_have_text(following, timeout=5000)
    except AssertionError:
        page.get_by_role("button", name=button, exact=True).click()


LOOKS = [
    ("en", SCREEN, "light"),
    ("zh", PHONE, "dark"),
    pytest.param("en", PHONE, "light", marks=pytest.mark.slow),
    pytest.param("zh", SCREEN, "dark", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("language", "size", "scheme"), LOOKS, ids=["en-desk", "zh-phone", "en-phone", "zh-desk"])
def test_every_chapter_is_whole_and_legible(
    language: str, size: dict[str, int], scheme: str, browser: Browser, address: str
) -> None:
    words = languages()[language]
    page = opened(browser, address, f"language={language}", viewport=size, color_scheme=scheme)
    for number, key in enumerate(CHAPTERS, 1):
        text = words.chapters[key].parts
        for name in STEPS:
            expect(page.locator("h1")).to_have_text(f"{number}. {text['title']}")
            expect(step(page)).to_have_text(words.page[name])
            if name == "guess":
                expect(page.get_by_role("radio", name=f"B. {text['b']}")).to_be_visible()
            elif name == "look":
                expect(page.locator("p.lesson-look")).to_have_text(text["look"])
                expect(page.locator(FIGURES[key])).to_be_visible()
                idle(page)
                assert page.evaluate(CUT_OFF) == [], key
                if key in ("one_score", "guided"):  # a photo and a sandbox
                    page.evaluate(FADED)
                    assert serious(page) == [], key
            elif name == "answer":
                expect(page.locator("p.lesson-answer")).not_to_contain_text("\u2026")  # all facts are known
            else:
                expect(page.locator("p.lesson-cannot")).to_have_text(text["cannot"])
                expect(page.locator(".katex").first).to_be_visible()
            if (number, name) != (len(CHAPTERS), STEPS[-1]):
                following = STEPS[(STEPS.index(name) + 1) % len(STEPS)]
                advance(page, words.page["next"], words.page[following])
    assert f"chapter={len(CHAPTERS)}&step={len(STEPS)}&language={language}" in page.url
    closed(page)


@pytest.mark.parametrize("page", ["chapter=2&step=1&language=en"], indirect=True)
def test_a_guess_is_judged_back_leads_to_the_step_before_and_a_link_restores_a_state(
    page: Page, browser: Browser, address: str
) -> None:
    expect(page.locator(FIGURES["slope"])).to_be_visible()
    page.wait_for_timeout(500)  # until the run that drew it has ended
    page.get_by_text("B. The gradient: it should follow").click()
    expect(page.get_by_role("radio", name="B. The gradient")).to_be_checked()
    page.get_by_role("button", name="Next", exact=True).click()
    expect(page).to_have_url(re.compile("chapter=2&step=2&language=en$"))
    photo = page.locator(".st-key-map-lesson-photo")
    expect(photo).to_contain_text("patch +5%")
    page.get_by_role("slider", name="Change of brightness").press("ArrowRight")
    expect(photo).to_contain_text("patch +10%")
    expect(page).to_have_url(re.compile(r"figure=slope\(change=10\)$"))
    box = photo.locator("canvas.picture").bounding_box()
    assert box
    page.mouse.click(box["x"] + 1, box["y"] + box["height"] - 2)  # the patch in the lower left corner
    expect(page).to_have_url(re.compile(r"figure=slope\(place=42,change=10\)$"))
    copied = page.url
    page.get_by_role("button", name="Next", exact=True).click()
    expect(page.locator("p.lesson-verdict")).to_have_text("Your guess: B. It is C.")
    expect(page.locator("p.lesson-answer")).to_contain_text("changed by +30%")
    page.go_back()
    expect(page).to_have_url(copied)
    expect(step(page)).to_have_text("Look")
    expect(photo).to_contain_text("patch +10%")
    other = opened(browser, address, copied.partition("?")[2])
    expect(other.locator(".st-key-map-lesson-photo")).to_contain_text("patch +10%")
    expect(other.get_by_role("slider", name="Patch")).to_have_value("42")
    closed(other)


@pytest.mark.parametrize("page", ["chapter=8&step=2&language=en&controls=hidden"], indirect=True)
def test_a_link_hides_the_controls_and_explore_opens_with_the_methods(page: Page) -> None:
    expect(page.locator(FIGURES["nothing"])).to_be_visible()
    expect(page.locator(".st-key-lesson-controls")).to_have_count(0)
    page.get_by_role("radio", name="Formula and code").or_(page.get_by_role("button", name="Formula and code")).click()
    page.get_by_role("button", name="Open in Explore").click()
    expect(map_of(page, "integrated_gradients")).to_be_visible()
    expect(map_of(page, "gradient")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"methods=integrated_gradients\(steps=10,baseline=white\)"))


@pytest.mark.parametrize("page", ["chapter=4&step=4&language=en"], indirect=True)
def test_a_sandbox_answers_in_the_browser_with_the_engines_numbers(page: Page) -> None:
    sandbox = page.locator(".st-key-neurons")
    table = sandbox.get_by_role("table")
    first = sandbox.get_by_role("slider", name="Input x1")
    for _ in range(5):
        first.press("ArrowRight")
    sandbox.get_by_role("button", name="Decrease Input x2").click()
    sandbox.get_by_text("Class 2").click()

    def shown(value: float) -> str:
        return f"{value:g}".replace("-", "\u2212")

    found = rules(INTO, OUT[2], NO_SKIP, (2.5, 0.9))
    for pair in (found.gradient, found.guided, found.zeiler_fergus):
        expect(table).to_contain_text(f"({shown(pair[0])}, {shown(pair[1])})")
    expect(page).to_have_url(re.compile(r"figure=guided\(x1=2.5,x2=0.9,output=2\)"))
    sandbox.get_by_role("button", name="Skip connection, z = \u22121").click()
    for value in (-3, -1):  # the gradient and guided backpropagation; Zeiler-Fergus
        expect(table).to_contain_text(f"({shown(value)}, {shown(value)})")
    expect(page).to_have_url(re.compile("weights="))
    page.reload()
    expect(table).to_contain_text("(\u22123, \u22123)")


@pytest.mark.parametrize("page", ["chapter=6&step=1&language=en&present=yes"], indirect=True)
def test_a_lecturer_presents_with_keys_and_counts_votes(page: Page, tmp_path: Path) -> None:
    expect(page.locator("p.lesson-say")).to_have_count(0)  # it would be the answer
    expect(page.get_by_test_id("stSidebar")).to_be_hidden()
    expect(page.get_by_role("button", name="C \u00b7 0")).to_be_visible()
    page.wait_for_timeout(1000)  # until the keys are listened for
    for key, votes in (("b", 1), ("b", 2), ("c", 2)):
        page.keyboard.press(key)
        expect(page.get_by_role("button", name=f"B \u00b7 {votes}")).to_be_visible()
    expect(page.get_by_role("button", name="C \u00b7 1")).to_be_visible()
    size = page.locator("p.lesson-question").evaluate("each => parseFloat(getComputedStyle(each).fontSize)")
    assert size >= 24
    page.keyboard.press("PageDown")
    expect(page).to_have_url(re.compile("chapter=6&step=2"))
    number = page.locator(".st-key-saturation").get_by_role("spinbutton", name="x", exact=True)
    number.focus()
    page.keyboard.press("PageDown")  # not inside inputs
    page.keyboard.press("b")
    page.locator("h1").click()
    page.keyboard.press(".")
    blank = page.get_by_text("The screen is blank")
    expect(blank).to_be_visible()
    page.keyboard.press(".")
    expect(blank).to_have_count(0)
    expect(page).to_have_url(re.compile("chapter=6&step=2"))
    expect(page.get_by_role("button", name="B \u00b7 2")).to_be_visible()
    for place in ("chapter=6&step=3", "chapter=6&step=4", "chapter=7&step=1"):
        page.keyboard.press("ArrowRight")
        expect(page).to_have_url(re.compile(place))
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("stSidebar")).to_be_visible()
    page.get_by_role("button", name="Handout").click()
    with page.expect_download() as download:
        page.get_by_role("dialog").get_by_role("button", name="Download").click()
    content = Path(download.value.path()).read_text()
    assert "https://" not in content
    assert content.index("Answers</h2>") > content.index(CHAPTERS["doubt"].code[:20])
    offline = page.context.browser.new_page()  # type: ignore[union-attr]
    path = tmp_path / "handout.html"
    path.write_text(content)
    offline.goto(path.as_uri())
    expect(offline.locator("section.chapter")).to_have_count(len(CHAPTERS))
    expect(offline.locator("#chapter-6")).to_contain_text("Votes")
    offline.close()


@pytest.mark.parametrize("page", ["chapter=3&step=2&language=en"], indirect=True)
def test_the_language_changes_and_the_place_stays(page: Page) -> None:
    page.get_by_role("radio", name="16", exact=True).or_(page.get_by_role("button", name="16", exact=True)).click()
    for name, code in (("中文", "zh"), ("English", "en"), ("中文", "zh"), ("English", "en")):
        language = page.locator(".st-key-lesson-places").get_by_text(name, exact=True)
        expect(language).to_have_count(1)  # that of the language before stays until the run ends
        language.click()
        expect(page).to_have_url(re.compile(rf"chapter=3&step=2&language={code}&figure=speckle\(copies=16\)$"))
        expect(page.locator("h1")).to_have_text(f"3. {languages()[code].chapters['speckle'].parts['title']}")
