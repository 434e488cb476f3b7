"""The interface of a chapter: a figure with at most two controls, and the states that its steps set."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self

from attribution.lesson.figure import Figure
from attribution.lesson.subject import Subject
from attribution.methods.method import Method
from attribution.settings import Choice, Configurable, Number, described

LETTERS = ("a", "b", "c")  # of the options of every question
STEPS = ("guess", "look", "answer", "formula")  # steps of every chapter, in their order


class Chapter(Configurable):
    """A chapter; its settings are the controls of the figure, and an instance is a state of it.

    A new chapter is one file in `attribution/lesson/chapters/`, one file with its code and one with its text in every
    language.

    Attributes:
        key: Name in links and of the files.
        title: English title, for messages.
        number: Place in the lesson, from 1.
        formula: LaTeX.
        right: Letter of the right guess; empty if only the figure knows it.
        code: About ten lines of Python that run as they are beside a photo `dog.jpg`.
        pointed: Name of the setting that a click on the photo sets to the number of a patch. Default: none.
        picks_photo: True if the sample photo is one of the controls. Default: False.
        strides: Distance between the values of a number, by the name of its setting. Default: 1.
        score: Key of the score that the figure explains, where the network offers it. Default: the chosen one.
        hidden: Names of the pictures and series that would give the answer away before the guess. Default: none.
        toy: Name of a sandbox that illustrates the answer, below the figure. Default: none.
        sandbox: Name of the component that draws the figure in the browser. Default: none, for a figure of the photo.
    """

    number: ClassVar[int]
    formula: ClassVar[str]
    right: ClassVar[str]
    code: ClassVar[str]
    pointed: ClassVar[str] = ""
    picks_photo: ClassVar[bool] = False
    strides: ClassVar[Mapping[str, int]] = {}
    score: ClassVar[str] = ""
    hidden: ClassVar[tuple[str, ...]] = ()
    toy: ClassVar[str] = ""
    sandbox: ClassVar[str] = ""

    @classmethod
    def at(cls, step: int) -> Self:
        """Return the state of the figure that a step sets, by its number from 1. Default: the defaults at all steps."""
        del step
        return cls()

    def neighbours(self) -> "list[Self]":
        """Return the states that one move of a control leads to: every other option, and a number's next values."""
        found = []
        for name, kind in described(type(self)).items():
            now, others = getattr(self, name), list[object]()
            if isinstance(kind, Choice):
                others = [each for each in kind.options if each != now]
            elif isinstance(kind, Number) and kind.whole:
                stride = self.strides.get(name, 1)
                others = [each for each in (now + stride, now - stride) if kind.low <= each <= kind.high]
            changes: list[dict[str, Any]] = [{name: each} for each in others]
            found += [replace(self, **change) for change in changes]
        return found

    @abstractmethod
    def figure(self, subject: Subject | None) -> Figure:
        """Compute the figure.

        Args:
            subject: The photo; None for a sandbox, which needs none.

        Raises:
            Refusal: If it cannot be computed for this photo or model.
        """

    @abstractmethod
    def methods(self, size: tuple[int, int]) -> tuple[Method, ...]:
        """Return the methods that the page Explore opens with, for a network whose input is of size (H, W)."""
