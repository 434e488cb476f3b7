"""The state of the lesson's page, as links contain it."""

from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import streamlit as st

from attribution.lesson.chapter import STEPS, Chapter
from attribution.lesson.chapters import CHAPTERS
from attribution.settings import Choice, Configurable, Number, setting, write
from attribution.ui.forms import fill, held
from attribution.ui.lessons.text import Language, languages

KEY = "lesson"  # prefix of the widgets' keys
PAGE = "learn"  # URL path of the page
ENGLISH = "en"
SET = f"{KEY}.set"  # key of the number of times that a place has been set, after which sandboxes follow
SHOWN, HIDDEN = "shown", "hidden"
NO, YES = "no", "yes"


@dataclass(frozen=True)
class Lesson(Configurable):
    """A place in the lesson.

    Attributes:
        chapter: Number of the chapter, from 1.
        step: Number of its step, from 1.
        language: Code of the language.
        controls: "hidden" to leave out the controls of the figures.
        present: "yes" for the presenter mode.
    """

    key: ClassVar[str] = "lesson"
    title: ClassVar[str] = "Lesson"

    chapter: int = setting(Number("Chapter.", 1, len(CHAPTERS)), 1)
    step: int = setting(Number("Step of the chapter.", 1, len(STEPS)), 1)
    language: str = setting(Choice("Language.", tuple(languages())), ENGLISH)
    controls: str = setting(Choice("Controls of the figures.", (SHOWN, HIDDEN)), SHOWN)
    present: str = setting(Choice("Presenter mode.", (NO, YES)), NO)

    @property
    def kind(self) -> type[Chapter]:
        """The class of the chapter."""
        return list(CHAPTERS.values())[self.chapter - 1]

    @property
    def preset(self) -> Chapter:
        """The state of the figure that the step sets."""
        return self.kind.at(self.step)

    @property
    def words(self) -> Language:
        """The text in the language."""
        return languages()[self.language]

    @property
    def presents(self) -> bool:
        """True in the presenter mode."""
        return self.present == YES

    def moved(self, by: int) -> "Lesson":
        """Return the place that many steps further on, or back; at an end of the lesson, the end."""
        place = (self.chapter - 1) * len(STEPS) + self.step - 1 + by
        chapter, step = divmod(min(max(place, 0), len(CHAPTERS) * len(STEPS) - 1), len(STEPS))
        return replace(self, chapter=chapter + 1, step=step + 1)


def place() -> Lesson:
    """Return the place of this session in the lesson."""
    return held(Lesson, KEY, st.session_state.to_dict())


def state_of(kind: type[Chapter]) -> Chapter:
    """Return the state of a chapter's figure in this session."""
    return held(kind, control_key(kind), st.session_state.to_dict())


def control_key(kind: type[Chapter]) -> str:
    """Return the prefix of the keys of a figure's controls."""
    return f"{KEY}.{kind.key}"


def go(to: Lesson, state: MutableMapping[str, Any], figure: Chapter | None = None) -> None:
    """Set a place and the state of its figure; call before the page is drawn, such as from a callback.

    Args:
        to: The place.
        state: Widget values by key, such as the session's state.
        figure: State of the figure. Default: that of the step.
    """
    shown = to.preset if figure is None or type(figure) is not to.kind else figure
    fill(to, KEY, state)
    state[SET] = state.get(SET, 0) + 1
    fill(shown, control_key(to.kind), state)


def figure_text(to: Lesson) -> str:
    """Return the text of the figure's state for a link; empty if the step sets it."""
    shown = state_of(to.kind)
    return "" if shown == to.preset else write(shown)


def language_of(locale: str) -> str:
    """Return the code of the lesson's language for a browser's locale, such as "zh-CN"."""
    code = locale.partition("-")[0].lower()
    return code if code in languages() else ENGLISH
