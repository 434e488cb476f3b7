"""The link: an analysis, the settings of the pages and the view as `name=value` query parameters.

    photo=espresso&crop=50/20&model=squeezenet1_1&target=235&methods=gradient~integrated_gradients(steps=50)

A missing parameter takes its default. The parameters of the view are written by the browser.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from attribution.analysis import Analysis
from attribution.baselines import BASELINES
from attribution.checks.challenges.attempt import Attempt
from attribution.checks.faithfulness import Trial
from attribution.checks.sanity import Randomisation
from attribution.drawing.view import View
from attribution.lesson.chapter import Chapter
from attribution.lesson.chapters import CHAPTERS
from attribution.methods import METHODS
from attribution.models.served import SERVED
from attribution.photo.samples import SAMPLES
from attribution.refusal import Refusal
from attribution.settings import C, Configurable, Several, described, plain, read, restore, write
from attribution.ui.events import read_window
from attribution.ui.forms import fill, held
from attribution.ui.lessons.lesson import PAGE as LEARN
from attribution.ui.lessons.lesson import Lesson, figure_text, go, language_of, place
from attribution.ui.models import find_model
from attribution.ui.photo import SHARED_PREFIX
from attribution.ui.session import session
from attribution.ui.sidebar import fill_sidebar
from attribution.viewer.message import WHOLE_WINDOW, Window
from attribution.work.baselines import FIRST_BASELINES, ComparedMethod
from attribution.work.path import PathChoice
from attribution.work.shared import NAME

TRACKING_PREFIXES = ("utm_", "fbclid", "gclid")  # ignored prefixes, added by mailers and social networks
MAX_PARAMETER_LENGTH = 500  # per parameter; per item in a list of methods or baselines
PAGES: dict[str, type[Configurable]] = {
    page.key: page for page in (PathChoice, ComparedMethod, Attempt, Randomisation, Trial)
}
SAFE_CHARACTERS = "=,():/~@"  # characters that stay unescaped in the query
UPLOAD_SOURCES = ("upload", "camera")  # photos that a link cannot contain
MISSING_PHOTO_NOTE = "The photo is not part of the link; upload it again, or choose a sample."


@dataclass
class Restored:
    """The content of a link.

    Attributes:
        analysis: The analysis to show in the sidebar.
        state: Values of the pages' widgets, by key.
        view: View of the panels.
        window: Visible part of the photo.
        lesson: Place in the lesson; None if the link has none.
        figure: State of the lesson's figure; None for that of the step.
        sentences: One message per invalid parameter.
    """

    analysis: Analysis = field(default_factory=Analysis)
    state: dict[str, Any] = field(default_factory=dict)
    view: View = field(default_factory=View)
    window: Window = WHOLE_WINDOW
    lesson: Lesson | None = None
    figure: Chapter | None = None
    sentences: list[str] = field(default_factory=list)


def restore_session() -> None:
    """Set the widgets and the view from the URL when a session starts, and the widgets after Back or Forward."""
    state, context = session(), get_script_run_ctx()
    if state.restored:
        if context and context.is_history_navigation:  # Streamlit then sends the query of the entry
            _go_to(parse(st.query_params.to_dict()))
        return
    parts = st.query_params.to_dict()
    asked = parse(parts if parts or not SERVED else {"model": next(iter(SERVED))})
    fill_sidebar(asked.analysis)
    go(asked.lesson or _first_place(), st.session_state, asked.figure)  # type: ignore[arg-type]
    st.session_state.update(asked.state)
    state.restored, state.keep_crop = True, asked.analysis.photo in UPLOAD_SOURCES
    state.view, state.window, state.sentences = asked.view, asked.window, asked.sentences


def _go_to(entry: Restored) -> None:
    """Set the widgets to those of an entry of the browser's history; the view stays."""
    fill_sidebar(entry.analysis)
    for key, page in PAGES.items():
        fill(page(), key, st.session_state)  # type: ignore[arg-type]
    for key in FIRST_BASELINES:
        fill(BASELINES[key](), f"baselines.{key}", st.session_state)  # type: ignore[arg-type]
    if entry.lesson:
        go(entry.lesson, st.session_state, entry.figure)  # type: ignore[arg-type]
    st.session_state["baselines"] = list(FIRST_BASELINES)
    st.session_state.update(entry.state)
    state = session()
    state.sentences = entry.sentences
    state.restorations += 1


def query(analysis: Analysis) -> str:
    """Return the query of the current choices, percent-encoded, without parameters at their defaults."""
    state, usual = st.session_state.to_dict(), plain(Analysis())
    chosen = state.get("baselines", FIRST_BASELINES)
    baselines = [write(held(BASELINES[key], f"baselines.{key}", state)) for key in BASELINES if key in chosen]
    parts = {
        **{name: (text, usual[name]) for name, text in plain(analysis).items()},
        "photo": (analysis.photo, usual["photo"]),  # its names need no escapes
        **({"model": (plain(analysis)["model"], "")} if SERVED else {}),  # without a model, a link shows the served one
        **{key: (write(held(page, key, state)), key) for key, page in PAGES.items()},
        "baselines": (Several.SEPARATOR.join(baselines), Several.SEPARATOR.join(FIRST_BASELINES)),
    }
    if session().page == LEARN:
        parts |= {name: (text, "") for name, text in _lesson(place()).items()}
    return "&".join(parameter(name, str(text)) for name, (text, default) in parts.items() if text != default)


def _first_place() -> Lesson:
    """Return the beginning of the lesson, in the language of the browser."""
    return Lesson(language=language_of(st.context.locale or ""))


def _lesson(here: Lesson) -> dict[str, str]:
    """Return the parameters of a place in the lesson; chapter, step and language always, so that a link sets them."""
    usual = plain(Lesson())
    always = ("chapter", "step", "language")
    found = {name: str(text) for name, text in plain(here).items() if name in always or text != usual[name]}
    return {**found, "figure": figure_text(here)}


def parameter(name: str, text: str) -> str:
    """Return one parameter of a query, percent-encoded."""
    return f"{name}={quote(text, SAFE_CHARACTERS)}"


def parse(parts: Mapping[str, str]) -> Restored:
    """Read the parameters of a link. An invalid one takes its default and is reported in a message."""
    found = Restored()
    # The model determines the classes, and further classes must differ from the others.
    for name, text in sorted(parts.items(), key=lambda part: (part[0] != "model", part[0] == "also")):
        try:
            if not name.startswith(TRACKING_PREFIXES):
                _read_part(name, text, found)
        except Refusal as refusal:
            found.sentences.append(f"Ignored {name[:40]!r} in the link: {refusal}")
    if found.figure and (found.lesson is None or type(found.figure) is not found.lesson.kind):
        found.sentences.append("Ignored 'figure' in the link: it belongs to another chapter.")
        found.figure = None
    return found


def _read_part(name: str, text: str, found: Restored) -> None:
    if len(text) > MAX_PARAMETER_LENGTH * (len(METHODS) if name in ("methods", "baselines") else 1):
        raise Refusal(f"its value is too long ({len(text)} characters).")
    if name == "methods":
        methods = _several(text, METHODS, found)
        if methods or not text:
            found.analysis = replace(found.analysis, methods=tuple(methods))
    elif name == "baselines":
        baselines = _several(text, BASELINES, found)
        for each in baselines:
            fill(each, f"baselines.{each.key}", found.state)
        if baselines or not text:
            found.state["baselines"] = [each.key for each in baselines]
    elif name in described(Analysis):
        changed = restore(Analysis, {**plain(found.analysis), name: text})
        if name == "model":  # a number has no probability, which is the default score
            offered = find_model(changed.model).facts().output.scores
            changed = changed if changed.score in offered else replace(changed, score=offered[0])
        _check(changed, text, found)
        found.analysis = changed
    elif name in described(View):
        found.view = restore(View, {**plain(found.view), name: text})
    elif name in described(Lesson):
        found.lesson = restore(Lesson, {**plain(found.lesson or _first_place()), name: text})
    elif name == "figure":
        found.figure = read(text, CHAPTERS)
    elif name in PAGES:
        fill(read(text, {name: PAGES[name]}), name, found.state)
    elif name == "zoom":
        try:
            found.window = read_window(text)
        except ValueError as error:
            sides = "left and top from 0 to 1 and a side from 0.01 to 1"
            raise Refusal(f"it must be {sides}, such as 0.1,0.2,0.5, got {text!r}.") from error
    else:
        raise Refusal("there is no such parameter.")


def _check(changed: Analysis, text: str, found: Restored) -> None:
    """Refuse values that the sidebar does not offer."""
    facts = find_model(changed.model).facts()
    for key in changed.beside:
        find_model(key)
    for target in changed.targets:
        target.check(len(facts.classes), facts.output)
    if changed.also and len(facts.classes) == 1:
        raise Refusal("this model has no further classes.")
    if changed.photo in UPLOAD_SOURCES and MISSING_PHOTO_NOTE not in found.sentences:
        found.sentences.append(MISSING_PHOTO_NOTE)
    elif changed.photo.startswith(SHARED_PREFIX):
        if not NAME.fullmatch(changed.photo.removeprefix(SHARED_PREFIX)):
            raise Refusal("a shared photo has a name of 22 letters and digits; copy the whole link.")
    elif changed.photo not in (*SAMPLES, *UPLOAD_SOURCES):
        raise Refusal(f"there is no sample photo {text!r}.")


def _several(text: str, registry: Mapping[str, type[C]], found: Restored) -> list[C]:
    """Read several methods or baselines; invalid ones are reported and skipped."""
    values: list[C] = []
    for each in text.split(Several.SEPARATOR) if text else []:
        try:
            value = read(each, registry)
            if value.key in {known.key for known in values}:
                raise Refusal(f"{value.title} is given twice.")
        except Refusal as refusal:
            found.sentences.append(f"Ignored in the link: {refusal}")
            continue
        values.append(value)
    return values
