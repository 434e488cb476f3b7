"""The page Learn: ten chapters, each a guess, a live figure, the answer, and the formula with its code."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st

from attribution.lesson.chapter import LETTERS, STEPS, Chapter
from attribution.lesson.chapters import CHAPTERS
from attribution.lesson.chapters.saturation import STEPS as SATURATION_STEPS
from attribution.lesson.chapters.saturation import Saturation
from attribution.lesson.figure import Figure
from attribution.lesson.neurons_chapter import NeuronsChapter
from attribution.lesson.patch import place_of
from attribution.lesson.saturation import Toy
from attribution.photo.samples import SAMPLES, sample_title
from attribution.refusal import Refusal
from attribution.settings import Choice, Number, Setting, described
from attribution.ui.figure import show_figure
from attribution.ui.forms import fill
from attribution.ui.handout import offer_handout
from attribution.ui.lessons.lesson import (
    KEY,
    NO,
    SET,
    SHOWN,
    YES,
    Lesson,
    control_key,
    go,
    place,
    state_of,
)
from attribution.ui.lessons.text import ChapterText, languages
from attribution.ui.models import find_model
from attribution.ui.presenter.presenter import listen
from attribution.ui.probing import ask, forget_failure, poll
from attribution.ui.sandbox.sandbox import show_saturation, show_three_neurons
from attribution.ui.session import Pixel, session
from attribution.ui.sidebar import OPEN_CLASS
from attribution.ui.watch import JOBS, MAX_POLL_INTERVAL, POLL_INTERVAL, POLLS_PER_AGE
from attribution.work.analysis import PreparedAnalysis
from attribution.work.lesson import FiguresTask, FigureTask

EXPLORE = Path(__file__).with_name("explore.py")
STYLE = Path(__file__).parents[1] / "lessons" / "learn.css"
PRESENTER_STYLE = STYLE.with_name("presenter.css")
PRESENTER_SCALE = 1.6  # of the text in the presenter mode; 16 pixels become 27
WIDTHS = (2, 3)  # relative widths of the text and the figure
PLACES = described(Lesson)
MAX_AHEAD = 8  # figures that are computed before they are asked for
MAX_SEGMENTS_LENGTH = 30  # letters of all options beside each other; longer ones are in a list
PURPOSE, AHEAD = "lesson", "lesson ahead"  # of the jobs for this figure and for those that may be next


def say(text: str, kind: str, language: str) -> None:
    """Show plain text in a paragraph of its kind."""
    st.html(f'<p class="lesson-{kind}" lang="{language}">{escape(text)}</p>')


class Page:
    """The page in one run.

    Attributes:
        here: Place in the lesson.
        chapter: State of the figure.
        text: Text of the chapter.
        words: Words of the page.
    """

    def __init__(self) -> None:
        self.here: Lesson = place()
        self.kind = self.here.kind
        self.chapter = state_of(self.kind)
        self.text: ChapterText = self.here.words.chapters[self.kind.key]
        self.words = self.here.words.page
        self.step = STEPS[self.here.step - 1]
        self.figure: Figure | None = None
        self.failed = ""
        self.waits: float | None = None  # seconds since the figure was asked for
        self.offered = False

    @property
    def changes(self) -> bool:
        """True if the figure can be changed: not during the guess, and not if the link hides the controls."""
        return self.step != STEPS[0] and self.here.controls == SHOWN

    # Places

    def go_to(self, to: Lesson) -> None:
        """Go to a place; for callbacks."""
        go(to, st.session_state)  # type: ignore[arg-type]

    def move(self, by: int) -> None:
        """Go some steps further on, or back; for callbacks."""
        self.go_to(place().moved(by))  # not of this run: a click may end the next one before it has drawn the button

    def turn(self, name: str, number: int) -> None:
        """Go to a chapter or a step; for callbacks."""
        first = {"step": 1} if name == "chapter" else {}
        self.go_to(replace(place(), **{**first, name: number}))  # type: ignore[arg-type]

    def speak(self, name: str, language: str) -> None:
        """Change the language; for callbacks."""
        st.session_state[f"{KEY}.{name}"] = language

    # Parts of the page

    def show(self) -> None:
        """Show the page."""
        session().rerun = False
        self.compute()
        st.html(STYLE)
        if self.here.presents:
            st.html(PRESENTER_STYLE)
            listen(self.words["blank"], self.move, self.vote, self.leave)
        else:
            self.show_places()
        language = self.here.language
        title = f"{self.here.chapter}. {self.text.parts['title']}"
        st.html(f'<h1 class="lesson-title" lang="{language}">{escape(title)}</h1>')
        left, right = st.columns(WIDTHS)
        with left:
            if not self.here.presents or self.step == "look":
                say(self.text.parts["idea"], "idea", language)
            {"guess": self.show_question, "look": self.show_look, "answer": self.show_answer}.get(
                self.step, self.show_formula
            )()
            self.show_moves()
            if not self.here.presents:
                self.show_more()
            elif self.step in STEPS[2:]:  # before, it would be the answer
                say(self.text.parts["say"], "say", language)
        if self.waits is not None:  # at the end, so that nothing changes its place
            poll(PURPOSE, max(POLL_INTERVAL / 2, min(MAX_POLL_INTERVAL, self.waits / POLLS_PER_AGE)))
        with right, st.container(key="lesson-figure"):
            self.show_controls()
            self.show_live()
            if self.step == STEPS[-1] and not self.here.presents:
                with st.expander(self.words["code"], expanded=True):
                    st.code(self.kind.code.strip(), language="python")

    def compute(self) -> None:
        """Ask for the figure of the photo; keep the last one of the chapter until it is there."""
        kind, analysis = self.kind, session().analysis
        if kind.sandbox:
            return
        if isinstance(analysis, str):
            self.failed = analysis
            return
        state, task = session(), FigureTask(analysis.alone, self.chapter)
        self.offered = not (state.automatic or state.asked_figure == task.key) and task.remembered() is None
        if self.offered:
            return
        job = ask(task, PURPOSE)
        if job.result:
            state.figure = (analysis.alone.subject, kind.key, job.result)
            self.compute_ahead(analysis.alone)
        elif not job.active:
            self.failed = job.sentence
            return
        self.waits = job.age if job.active else None
        *about, last = state.figure
        self.figure = self.here.words.translated(last) if about == [analysis.alone.subject, kind.key] else None

    def compute_ahead(self, analysis: PreparedAnalysis) -> None:
        """Ask for the figures that a move of a control or the next step leads to, if nobody else needs the device."""
        chapters = [self.here.moved(1).preset, *(self.chapter.neighbours() if self.changes else ())]
        task = FiguresTask(analysis, tuple(each for each in chapters if not each.sandbox)[:MAX_AHEAD])
        if session().automatic and task.chapters and not JOBS.busy(task.device, session().owner):
            ask(task, AHEAD, 0.0)

    def ask_for_figure(self) -> None:
        """Ask for the figure although maps are not computed automatically; for callbacks."""
        if not isinstance(analysis := session().analysis, str):
            session().asked_figure = FigureTask(analysis.alone, self.chapter).key

    def show_places(self) -> None:
        """Show the chapters, the steps, the languages, and what can be taken away."""
        titles = [each.parts["title"] for each in self.here.words.chapters.values()]
        with st.container(horizontal=True, vertical_alignment="bottom", key="lesson-places"):
            st.selectbox(
                self.words["chapter"],
                range(1, len(CHAPTERS) + 1),
                format_func=lambda number: f"{number}. {titles[number - 1]}",
                label_visibility="collapsed",
                width=300,
                **self._bound("chapter", PLACES["chapter"], self.here.chapter, self.turn),
            )
            st.segmented_control(
                self.words["step"],
                range(1, len(STEPS) + 1),
                format_func=lambda number: self.words[STEPS[number - 1]],
                required=True,
                label_visibility="collapsed",
                **self._bound("step", PLACES["step"], self.here.step, self.turn),
            )
            st.segmented_control(
                self.words["language"],
                list(languages()),
                format_func=lambda code: languages()[code].page["name"],
                required=True,
                label_visibility="collapsed",
                **self._bound("language", PLACES["language"], self.here.language, self.speak),
            )

    def _bound(self, name: str, setting: Setting, value: Any, take: Callable[..., None]) -> dict[str, Any]:
        """Bind a widget to a value of which the session's state is the home, whatever the language of its labels.

        Each place in the lesson has widgets of its own: a click sends the values of all of them, and right after a
        change of the place the browser would send those of the place before.

        Args:
            name: Name of the value.
            setting: The values that it may have; a message that contains any other is ignored.
            value: The value.
            take: Called with the name and the new value.
        """
        state = st.session_state
        key = f"{KEY}-{name}-{self.here.language}-{state[SET]}"
        if key not in state or state[key] != value:
            state[key] = value

        def changed() -> None:
            with suppress(Refusal):
                take(name, setting.check(st.session_state[key]))

        return {"key": key, "on_change": changed}

    def show_question(self) -> None:
        """Show the question with its options, or with the counted votes when presenting."""
        language = self.here.language
        say(self.text.parts["question"], "question", language)
        if self.here.presents:
            self.show_votes()
            return
        key = self.kind.key
        known = session().guesses.get(key)

        def guessed() -> None:
            if (letter := st.session_state[f"guess.{key}"]) in LETTERS:
                session().guesses[key] = letter

        st.radio(
            self.words["question"],
            LETTERS,
            index=None if known is None else LETTERS.index(known),
            format_func=lambda letter: f"{letter.upper()}. {self.text.parts[letter]}",
            key=f"guess.{key}",
            on_change=guessed,
        )

    def show_look(self) -> None:
        """Show the task for the figure."""
        say(self.text.parts["question"], "question", self.here.language)
        if self.here.presents:
            self.show_votes()
            return
        if guess := session().guesses.get(self.kind.key):
            say(f"{guess.upper()}. {self.text.parts[guess]}", "guess", self.here.language)
        say(self.text.parts["look"], "look", self.here.language)

    def show_answer(self) -> None:
        """Show the answer beside the guess."""
        language, facts = self.here.language, self.figure.facts if self.figure else {}
        right = self.kind.right or (self.figure.right if self.figure else "")
        guess = session().guesses.get(self.kind.key)
        say(self.text.parts["question"], "question", language)
        if not right:
            verdict = self.words["measure"]
        elif guess:
            judged = self.words["right"] if guess == right else self.words["wrong"].format(letter=right.upper())
            verdict = f"{self.words['your_guess'].format(letter=guess.upper())} {judged}"
        else:
            verdict = f"{self.words['wrong'].format(letter=right.upper())} {self.text.parts[right]}"
        say(verdict, "verdict", language)
        if self.here.presents and any(session().votes.get(self.kind.key, {}).values()):
            self.show_votes()
        say(self.text.said("answer", facts), "answer", language)

    def show_formula(self) -> None:
        """Show the formula, the code, the limits, and the way to Explore."""
        language, parts = self.here.language, self.text.parts
        st.latex(self.kind.formula)
        say(parts["reading"], "reading", language)
        if self.here.presents:
            say(parts["misconception"], "answer", language)
            return
        for name in ("misconception", "cannot"):
            st.html(f'<h2 lang="{language}">{escape(self.words[name])}</h2>')
            say(parts[name], name, language)
        if st.button(self.words["explore"], icon=":material/compare:", on_click=self.open_in_explore):
            st.switch_page(EXPLORE)

    def show_moves(self) -> None:
        """Show the buttons to the neighbouring steps."""
        first, last = self.here.moved(-1) == self.here, self.here.moved(1) == self.here
        with st.container(horizontal=True, key="lesson-moves", vertical_alignment="center"):
            st.button(self.words["previous"], disabled=first, on_click=self.move, args=(-1,), key="lesson-previous")
            st.button(
                self.words["next"],
                disabled=last,
                on_click=self.move,
                args=(1,),
                key="lesson-next",
            )
            if self.here.presents:
                st.button(self.words["leave"], on_click=self.leave, key="lesson-leave")

    def show_more(self) -> None:
        """Show the buttons of the presenter mode, the handout and the notes."""
        with st.container(horizontal=True, key="lesson-more"):
            st.button(
                self.words["present"],
                icon=":material/slideshow:",
                on_click=self.begin,
                help=self.words["keys"],
                type="tertiary",
            )
            offer_handout(self.here)

    def show_votes(self) -> None:
        """Show the options with their counted votes, each a button that adds one."""
        votes = session().votes.get(self.kind.key, {})
        for letter in LETTERS:
            with st.container(horizontal=True, vertical_alignment="center", key=f"vote-{letter}"):
                st.button(
                    f"{letter.upper()} \u00b7 {votes.get(letter, 0)}",
                    key=f"vote-{letter}-button",
                    help=self.words["vote"].format(letter=letter.upper()),
                    on_click=self.vote,
                    args=(letter,),
                )
                say(self.text.parts[letter], "option", self.here.language)
        if any(votes.values()):
            st.button(self.words["no_votes"], key="no-votes", on_click=votes.clear)

    def show_controls(self) -> None:
        """Show the controls of the figure, unless this is the guess or the link hides them."""
        if not self.changes or self.kind.sandbox:
            return
        with st.container(horizontal=True, vertical_alignment="bottom", key="lesson-controls"):
            if self.kind.picks_photo:
                self._photo()
            for name, setting in described(self.kind).items():
                if setting.shown:
                    self._control(name, setting)

    def _photo(self) -> None:
        sampled = st.session_state.source == "Samples"

        def picked() -> None:
            if (name := st.session_state["lesson-photo"]) in SAMPLES:
                st.session_state.source, st.session_state.sample = "Samples", name

        st.session_state["lesson-photo"] = st.session_state.sample if sampled else None
        st.selectbox(
            self.text.controls["photo"],
            list(SAMPLES),
            format_func=sample_title,
            key="lesson-photo",
            on_change=picked,
            width=260,
        )

    def _control(self, name: str, setting: Setting) -> None:
        label, now = self.text.controls[name], getattr(self.chapter, name)

        def take(_: str, value: Any) -> None:
            self._set(**{name: value})

        bound = self._bound(f"{self.kind.key}-{name}", setting, now, take)
        if isinstance(setting, Number):
            stride = self.kind.strides.get(name, 1)
            st.slider(label, int(setting.low), int(setting.high), step=stride, width=200, **bound)
        elif isinstance(setting, Choice):
            labels: dict[str, str] = {
                each: self.text.options.get(name, {}).get(each, self._named(setting.label(each)))
                for each in setting.options
            }
            if sum(map(len, labels.values())) > MAX_SEGMENTS_LENGTH:
                st.selectbox(label, setting.options, format_func=labels.__getitem__, width=200, **bound)
            else:
                st.segmented_control(label, setting.options, format_func=labels.__getitem__, required=True, **bound)

    def _named(self, label: str) -> str:
        return self.here.words.names.get(label, label)

    def show_live(self) -> None:
        """Show the figure."""
        if self.kind.sandbox:
            self._sandbox()
            return
        if self.failed:
            st.text(self.words["not_here"].format(reason=self.failed))  # plain, since it may quote names of classes
            if not isinstance(session().analysis, str):
                st.button(self.words["try_again"], on_click=forget_failure, args=(PURPOSE,))
        elif self.offered:
            st.button(self.words["compute"], on_click=self.ask_for_figure)
        elif not self.figure:
            st.skeleton(height=400)
        if not self.figure or self.failed:
            return
        show_figure(
            self.figure.without(self.kind.hidden) if self.step == "guess" else self.figure,
            self.text.captioned(self.figure.facts),
            f"{KEY}-{self.kind.key}",
            PRESENTER_SCALE if self.here.presents else 1.0,
            self._choose if self.changes else None,
            self._mark if self.changes and self.kind.pointed else None,
        )
        if self.step == "answer" and self.kind.toy and not self.here.presents:
            st.html(f'<h2 lang="{self.here.language}">{escape(self.words["toy"])}</h2>')
            words, restored = self.here.words.sandbox, st.session_state[SET]
            show_saturation("toy", Toy(), ("steps",), words, restored, lambda toy: None)

    def _sandbox(self) -> None:
        """Show the figure that the browser computes; on the last step, everything in it can be changed."""
        words, restored = self.here.words.sandbox, st.session_state[SET]
        if isinstance(self.chapter, NeuronsChapter):
            chapter = self.chapter
            free = ("x", "class", "weights", "presets") if self.step == STEPS[-1] else ("x", "class")
            show_three_neurons(
                "neurons",
                chapter.neurons,
                free if self.changes else (),
                words,
                restored,
                lambda neurons: self._fill(chapter.having(neurons)),
                reveal=self.step != "guess",
                focus=chapter.focus,
            )
        elif isinstance(self.chapter, Saturation):
            toy = Toy(self.chapter.x, self.chapter.baseline, SATURATION_STEPS)
            show_saturation(
                "saturation",
                toy,
                ("x", "baseline") if self.changes else (),
                words,
                restored,
                lambda toy: self._set(x=toy.x, baseline=toy.baseline),
            )

    def _choose(self, rank: int) -> None:
        if self.figure and rank < len(self.figure.top):
            self._set(rank=rank + 1)

    def _mark(self, pixel: Pixel) -> None:
        analysis = session().analysis
        if not isinstance(analysis, str):
            place = place_of(pixel.x, pixel.y, (analysis.x.shape[1], analysis.x.shape[2]))
            self._set(**{self.kind.pointed: place})

    def _set(self, **changes: Any) -> None:
        """Change the state of the figure; for callbacks."""
        self._fill(replace(state_of(self.kind), **changes))

    def _fill(self, chapter: Chapter) -> None:
        fill(chapter, control_key(self.kind), st.session_state)  # type: ignore[arg-type]

    # The presenter

    def begin(self) -> None:
        """Begin to present; for callbacks."""
        st.session_state[f"{KEY}.present"] = YES

    def leave(self) -> None:
        """Stop presenting; for callbacks."""
        st.session_state[f"{KEY}.present"] = NO

    def vote(self, letter: str) -> None:
        """Count a vote; for callbacks."""
        votes = session().votes.setdefault(self.kind.key, {})
        votes[letter] = votes.get(letter, 0) + 1

    def open_in_explore(self) -> None:
        """Set the sidebar to the methods and the class of the figure; for callbacks."""
        state, analysis = st.session_state, session().analysis
        size = find_model(session().chosen.model).facts().preprocessing.size
        methods: Sequence[Any] = self.chapter.methods(size)
        state.methods = [each.key for each in methods]
        for each in methods:
            fill(each, each.key, state)  # type: ignore[arg-type]
        if isinstance(analysis, str):
            return
        if self.kind.score in analysis.record.facts().output.scores:
            state.score = self.kind.score
        if self.figure and self.figure.explained >= 0:
            state.target, state.versus = self.figure.explained, OPEN_CLASS


Page().show()
