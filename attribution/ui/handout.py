"""The handout of the lesson, and the notes for teachers: dialogs with one file each."""

from collections.abc import Mapping

import streamlit as st

from attribution.export.handout import Sheet, handout
from attribution.lesson.chapter import Chapter
from attribution.lesson.chapters import CHAPTERS
from attribution.lesson.figure import Figure
from attribution.refusal import Refusal
from attribution.ui.error_card import error_card
from attribution.ui.lessons.lesson import Lesson, state_of
from attribution.ui.lessons.text import LETTERS
from attribution.ui.probing import ask, poll
from attribution.ui.session import session
from attribution.ui.watch import POLL_INTERVAL
from attribution.work.analysis import PreparedAnalysis
from attribution.work.lesson import FiguresTask

PURPOSE = "handout"  # of the job


def offer_handout(here: Lesson) -> None:
    """Show the buttons that open the dialogs."""
    words = here.words.page
    if st.button(words["handout"], icon=":material/print:", key="lesson-handout", type="tertiary"):
        st.dialog(words["handout"])(error_card()(_handout))(here)
    if st.button(words["notes"], icon=":material/school:", key="lesson-notes", type="tertiary"):
        st.dialog(words["notes"], width="large")(error_card()(_notes))(here)


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
    job = ask(FiguresTask(analysis.alone, tuple(state_of(kind) for kind in CHAPTERS.values())), PURPOSE)
    if job.result is None:
        if job.active:
            st.progress(job.fraction, text=words["handout_making"])
            poll(PURPOSE, POLL_INTERVAL)
        else:
            st.error(job.sentence, icon=":material/error:")
        return
    figures, language = job.result, here.language

    def content() -> str:
        return made(here, analysis, figures)

    st.text(words["handout_ready"])
    if missing := [str(chapter.number) for chapter, each in figures.items() if isinstance(each, Refusal)]:
        st.text(words["handout_missing"].format(chapters=", ".join(missing)))
    name = f"handout-{language}.html"
    st.download_button(words["download"], content, name, "text/html", on_click="ignore", icon=":material/download:")


def made(here: Lesson, analysis: PreparedAnalysis, figures: Mapping[Chapter, Figure | Refusal]) -> str:
    """Return the handout as HTML, with the guesses and votes of this session."""
    words, sheets = here.words, list[Sheet]()
    for key, kind in CHAPTERS.items():
        text, found = words.chapters[key], figures[state_of(kind)]
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
                guess=session().guesses.get(key, ""),
                votes=session().votes.get(key, {}),
                figure=figure,
                captions=text.captioned(facts),
                caption="" if figure else words.page["not_here"].format(reason=found),
            )
        )
    subject = words.handout["subject"].format(photo=analysis.photo, model=analysis.record.title)
    return handout(sheets, {**words.handout, "subject": subject}, here.language)
