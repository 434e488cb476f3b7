"""Reads the text of the lesson. It is plain text; braces are placeholders for the facts of a figure."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from attribution.lesson.chapters import CHAPTERS
from attribution.lesson.figure import Figure

FOLDER = Path(__file__).parent
_UNKNOWN = "\u2026"  # in place of a fact that is not known yet


class _Facts(dict[str, str]):
    """Facts that may be missing while a figure is being computed."""

    def __missing__(self, name: str) -> str:
        return _UNKNOWN


@dataclass(frozen=True)
class ChapterText:
    """The text of a chapter in one language.

    Attributes:
        parts: Its sentences by name: title, idea, question, a, b, c, look, answer, reading, misconception, cannot, say.
        captions: Names of pictures, curves and axes.
        controls: Labels of the controls, by setting.
        options: Labels of the options of a setting, by setting and option.
    """

    parts: Mapping[str, str]
    captions: Mapping[str, str]
    controls: Mapping[str, str]
    options: Mapping[str, Mapping[str, str]]

    def said(self, name: str, facts: Mapping[str, str]) -> str:
        """Return a sentence with the facts of a figure in place of their names."""
        return self.parts[name].format_map(_Facts(facts))

    def captioned(self, facts: Mapping[str, str]) -> dict[str, str]:
        """Return all captions with the facts of a figure in place of their names."""
        return {name: text.format_map(_Facts(facts)) for name, text in self.captions.items()}


@dataclass(frozen=True)
class Language:
    """One language of the lesson.

    Attributes:
        key: Code of the language (BCP 47), the name of the folder.
        page: Words of the page, by name.
        sandbox: Words of the sandboxes, by name.
        handout: Words of the handout, by name.
        chapters: Texts by key of the chapter.
        names: Translations of names in the package, such as those of methods and baselines.
        notes: Notes for teachers, Markdown.
    """

    key: str
    page: Mapping[str, str]
    sandbox: Mapping[str, str]
    handout: Mapping[str, str]
    chapters: Mapping[str, ChapterText]
    names: Mapping[str, str]
    notes: str

    def translated(self, figure: Figure) -> Figure:
        """Return a figure whose facts and categories have translated names."""
        facts = {name: self.names.get(text, text) for name, text in figure.facts.items()}
        chart = figure.chart
        if chart:
            chart = replace(chart, categories=tuple(self.names.get(each, each) for each in chart.categories))
        return replace(figure, facts=facts, chart=chart)


@cache
def languages() -> dict[str, Language]:
    """Return all languages by their codes, English first."""
    names = sorted((path.parent.name for path in FOLDER.glob("*/page.toml")), key=lambda name: (name != "en", name))
    return {name: _language(name) for name in names}


def _language(name: str) -> Language:
    folder = FOLDER / name
    page = tomllib.loads((folder / "page.toml").read_text("utf-8"))
    sandbox, handout = (tomllib.loads((folder / f"{each}.toml").read_text("utf-8")) for each in ("sandbox", "handout"))
    chapters = {key: _chapter(folder / f"{key}.toml") for key in CHAPTERS}
    return Language(
        name, page, sandbox, handout, chapters, page.pop("names", {}), (folder / "teachers.md").read_text("utf-8")
    )


def _chapter(path: Path) -> ChapterText:
    text = tomllib.loads(path.read_text("utf-8"))
    tables = [text.pop(name, {}) for name in ("captions", "controls", "options")]
    return ChapterText(text, *tables)
