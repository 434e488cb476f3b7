"""The handout: its structure, foreign text in it, its formulas, and its pages in Chromium."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser

import attribution as at
from attribution.export.handout import Sheet, handout
from attribution.lesson.figure import Chart, Figure, Picture, Series

EVIL = '<script>alert("&")</script>'
WORDS = {
    "title": "Why did the network decide that?",
    "subject": f"{EVIL}.jpg, squeezenet1_1",
    "use": "Guess first.\n\nThen look.",
    "name": "Name",
    "reason": "Why?",
    "guess": "Your guess",
    "votes": "Votes",
    "signed": "Orange is for the class, blue against it.",
    "unsigned": "The darker, the larger.",
    "formula": "Formula",
    "code": "In Python",
    "cannot": "What this cannot show",
    "answers": "Answers",
    "misconception": "Common mistake",
}
FORMULAS = (
    r"p_c = \frac{e^{z_c}}{\sum_k e^{z_k}}, \qquad \sum_c p_c = 1",
    r"S(x + d) \approx S(x) + \sum_i \frac{\partial S}{\partial x_i}\, d_i",
    r"\rho = \mathrm{corr}\left( \mathrm{rank}\,|m|,\ \mathrm{rank}\,|m_{\mathrm{random}}| \right)",
)
VOID = {"meta", "img", "br", "hr", "path", "input"}


class Parsed(HTMLParser):
    """All elements with their attributes, and all texts; every element is closed in its order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def sheets(squeezenet: at.Model, shepherd: torch.Tensor) -> list[Sheet]:
    """A chapter with pictures and curves, one with bars and further photos, and one without a figure."""
    grey = at.attribute(squeezenet, shepherd, at.Gradient())
    photo = np.full((8, 8, 3), 99, np.uint8)
    curves = (Series("curve", ((0.0, 0.1), (1.0, 0.9))), Series("here", ((0.5, 0.5),), dots=True))
    bars = (Series("before", ((0.0, 0.9), (1.0, -0.1))), Series("after", ((0.0, 0.6), (1.0, 0.3))))
    figures = (
        Figure((Picture("photo", photo), Picture("map", grey)), Chart("change", "score", curves, (0.0, 1.0))),
        Figure(
            (Picture("map", replace(grey, signed=True)),),
            Chart("score", "class", bars, (-0.2, 1.0), (EVIL, "\u5df4\u4ed9\u5409\u72ac")),
            strip=((EVIL, photo, grey),),
        ),
        None,
    )
    names = ("photo", "map", "change", "score", "class", "curve", "here", "before", "after")
    return [
        Sheet(
            number,
            f"Chapter {number}",
            "One idea.",
            "What happens?",
            ("It rises.", f"It falls {EVIL}.", "Nothing."),
            FORMULAS[number - 1],
            "print(1 < 2)\n",
            "Other photos.",
            f"Answer {number}.",
            "b",
            f"Mistake {number}.",
            "ac"[number % 2],
            {"a": 3, "b": 12} if number == 1 else {},
            figure,
            {name: f"the {name} {EVIL}" for name in names},
            "What is seen.",
        )
        for number, figure in enumerate(figures, 1)
    ]


@pytest.fixture(scope="module")
def text(sheets: list[Sheet]) -> str:
    return handout(sheets, WORDS, "en")


def svg(url: str | None) -> ElementTree.Element:
    assert url
    start, _, content = url.partition(",")
    assert start == "data:image/svg+xml;base64"
    return ElementTree.fromstring(base64.b64decode(content))


def test_it_requests_nothing_and_runs_nothing(text: str) -> None:
    found = Parsed(text)
    assert {tag for tag, _ in found.elements}.isdisjoint({"script", "link", "iframe", "object", "form"})
    addresses = [each[name] or "" for _, each in found.elements for name in ("src", "href") if name in each]
    assert {address.split(",")[0] for address in addresses if not address.startswith("#chapter-")} == {
        "data:image/png;base64",
        "data:image/svg+xml;base64",
    }
    assert "url(" not in text
    assert "@import" not in text
    assert not [name for _, each in found.elements for name in each if name.startswith("on")]
    (policy,) = [each["content"] for _, each in found.elements if "http-equiv" in each]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_foreign_text_is_shown_as_it_is(text: str) -> None:
    assert "<script" not in text
    shown = "".join(Parsed(text).texts)
    for place in (
        f"{EVIL}.jpg",
        f"It falls {EVIL}.",
        f"the map {EVIL}",
        f"the score {EVIL}",
        "\u5df4\u4ed9\u5409\u72ac",
    ):
        assert place in shown


def test_answers_come_last_and_only_there(text: str) -> None:
    before, after = text.split('<section class="answers"')
    for number in (1, 2, 3):
        assert f"Answer {number}." not in before
        assert f"Mistake {number}." not in before
        assert f"Answer {number}." in after
    assert "chapter-" not in after.replace('href="#chapter-', "")
    assert re.findall(r'<b class="letter chosen">(\w)', after) == ["B", "B", "B"]
    assert re.findall(r'<b class="letter chosen">(\w)', before) == ["C", "A", "C"]
    assert before.count("Your guess") == 3
    assert before.count("A 3 \u00b7 B 12 \u00b7 C 0") == 1
    assert before.count(WORDS["signed"]) == 1
    assert before.count(WORDS["unsigned"]) == 2


def test_drawings_are_well_formed_and_need_no_font(text: str) -> None:
    pictures = [each for tag, each in Parsed(text).elements if tag == "img"]
    assert all("alt" in each for each in pictures)
    drawings = [each for each in pictures if (each["src"] or "").startswith("data:image/svg")]
    assert [each["alt"] for each in drawings if each.get("class") == "formula"] == list(FORMULAS)
    assert len(drawings) == len(FORMULAS) + 2
    for each in drawings:
        assert not list(svg(each["src"]).iter("{http://www.w3.org/2000/svg}text"))


def test_the_same_input_makes_the_same_bytes(sheets: list[Sheet], text: str) -> None:
    assert handout(sheets, WORDS, "en") == text
    assert '<html lang="zh-Hans">' in handout(sheets[2:], WORDS, "zh-Hans")


def test_a_formula_beyond_mathtext_is_refused_by_name(sheets: list[Sheet]) -> None:
    with pytest.raises(at.Refusal, match="begin"):
        handout([replace(sheets[2], formula=r"\begin{cases} 1 \\ 2 \end{cases}")], WORDS, "en")


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_chapters_and_answers_begin_on_pages_of_their_own(browser: Browser, text: str, paper: Any) -> None:
    page = browser.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.set_content(text)

    def pages() -> int:
        return len(re.findall(rb"/Type\s*/Page\b", page.pdf(format=paper, print_background=True)))

    assert 1 + 3 + 1 < pages() <= 1 + 2 * 2 + 1 + 1  # the first, three chapters of two pages at most, the answers
    page.add_style_tag(content="figure { display: none }")
    assert pages() == 1 + 3 + 1
    page.add_style_tag(content=".answers { display: none }")
    assert pages() == 1 + 3
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert errors == []
    page.close()
