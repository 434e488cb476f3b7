"""The handout of the lesson, and the notes for teachers: dialogs with one file each."""

from collections.abc import Mapping, Sequence
from copy import deepcopy

import streamlit as st

from attribution.export.handout import Sheet, handout
from attribution.lesson.chapter import LETTERS, STEPS, Chapter
from attribution.lesson.chapters import CHAPTERS
from attribution.lesson.figure import Figure
from attribution.refusal import Refusal
from attribution.ui.error_card import error_card
from attribution.ui.lessons.lesson import Lesson, state_of
from attribution.ui.probing import ask, poll
from attribution.ui.session import session
from attribution.ui.watch import POLL_INTERVAL
from attribution.work.analysis import PreparedAnalysis
from attribution.work.lesson import FiguresTask

PURPOSE = "handout"  # of the job
ANSWER = 1 + STEPS.index("answer")  # number of the step whose figure belongs to the answer
GONE = "Its figure is no longer in the memory of this server; open the handout again."


def offer_handout(here: Lesson) -> None:
    """Show the buttons that open the dialogs, and the open one."""
    words = here.words.page
    for name, (icon, _) in DIALOGS.items():
        st.button(words[name], icon=icon, key=f"lesson-{name}", type="tertiary", on_click=_open, args=(name,))
    if name := session().reading:
        show = error_card()(DIALOGS[name][1])
        st.dialog(words[name], width="large" if name == "notes" else "small", on_dismiss=_close)(show)(here)


def _open(name: str) -> None:
    session().reading = name


def _close() -> None:
    session().reading = ""


def _notes(here: Lesson) -> None:
    notes = here.words.notes
    name = f"notes-{here.language}.md"
    st.download_button(here.words.page["download"], notes, name, on_click="ignore", icon=":material/download:")
    st.markdown(notes.partition("\n")[2])  # the dialog has the heading


def _handout(here: Lesson) -> None:
    """Compute the figures, and offer the file; run again until they are there."""
    words, analysis = here.words.page, session().analysis
    if isinstance(analysis, str):
        st.text(analysis)
        return
    states = tuple(_state(kind) for kind in CHAPTERS.values())
    task = FiguresTask(analysis.alone, states)
    job = ask(task, PURPOSE)
    if job.result is None:
        if job.active:
            st.text(words["handout_making"])
            poll(PURPOSE, POLL_INTERVAL)
        else:
            st.error(job.sentence, icon=":material/error:")
        return
    gone = Refusal(GONE)
    figures = [(chapter, job.result.get(chapter) or task.figure(chapter) or gone) for chapter in states]
    guesses, votes = dict(session().guesses), deepcopy(session().votes)

    def content() -> str:  # called outside of the session
        return made(here, analysis, figures, guesses, votes)

    st.text(words["handout_ready"])
    if missing := [str(chapter.number) for chapter, each in figures if isinstance(each, Refusal)]:
        st.text(words["handout_missing"].format(chapters=", ".join(missing)))
    name = f"handout-{here.language}.html"
    st.download_button(words["download"], content, name, "text/html", on_click="ignore", icon=":material/download:")


def _state(kind: type[Chapter]) -> Chapter:
    """Return the state of a chapter's figure; that of the answer, unless the reader has changed it."""
    state = state_of(kind)
    return kind.at(ANSWER) if state in [kind.at(step) for step in range(1, len(STEPS) + 1)] else state


DIALOGS = {"handout": (":material/print:", _handout), "notes": (":material/school:", _notes)}


def made(
    here: Lesson,
    analysis: PreparedAnalysis,
    figures: Sequence[tuple[Chapter, Figure | Refusal]],
    guesses: Mapping[str, str],
    votes: Mapping[str, Mapping[str, int]],
) -> str:
    """Return the handout as HTML.

    Args:
        here: Place in the lesson, which has the language.
        analysis: The photo and the model.
        figures: The chapters with their figures, in the order of the lesson.
        guesses: Letters of the guesses, by key of the chapter.
        votes: Counted votes, by key of the chapter and letter.
    """
    words, sheets = here.words, list[Sheet]()
    for kind, found in figures:
        key = kind.key
        text = words.chapters[key]
        figure = words.translated(found) if isinstance(found, Figure) else None
        facts = figure.facts if figure else {}
        one, two, three = (text.parts[letter] for letter in LETTERS)
        sheets.append(
            Sheet(
                number=kind.number,
                title=text.parts["title"],
                idea=text.parts["idea"],
                question=text.parts["question"],
                options=(one, two, three),
                formula=kind.formula,
                code=kind.code,
                cannot=text.parts["cannot"],
                answer=text.said("answer", facts),
                right=kind.right or (figure.right if figure else ""),
                misconception=text.parts["misconception"],
                guess=guesses.get(key, ""),
                votes=votes.get(key, {}),
                figure=figure,
                captions=text.captioned(facts),
                hidden=kind.hidden,
                caption="" if figure else words.page["not_here"].format(reason=found),
            )
        )
    subject = words.handout["subject"].format(photo=analysis.photo, model=analysis.record.title)
    return handout(sheets, {**words.handout, "subject": subject}, here.language)
