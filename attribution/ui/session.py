"""The dashboard's state of one session, except for widget values."""

import uuid
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from attribution.analysis import Analysis
from attribution.drawing.view import View
from attribution.models.record import ModelRecord
from attribution.photo.crop import CENTRE, Crop, Size
from attribution.viewer.message import WHOLE_WINDOW, Window
from attribution.work.analysis import PreparedAnalysis
from attribution.work.shared import Preparations

STATE_KEY = "session"


@dataclass(frozen=True)
class Pixel:
    """Coordinates of a pixel in the maps: column and row."""

    x: int
    y: int


@dataclass(frozen=True)
class Upload:
    """The cache key of a decoded upload; the photo is evicted when this object is garbage-collected."""

    key: tuple[str, str]


@dataclass(eq=False)
class Session:
    """State of one session.

    Attributes:
        owner: Random id, for jobs and the log.
        server_id: Streamlit's id of the session.
        chosen: The analysis shown in the sidebar.
        analysis: The same with its photo, or a message naming what is missing.
        automatic: True if a change starts a job without a click.
        view: View of the panels when the page was opened.
        window: Visible part of the photo when the page was opened.
        page: URL path of the open page; empty for the first.
        sentences: Messages about invalid parameters of the link.
        restored: True once the link has been read.
        keep_crop: True if the next photo keeps the crop of the link.
        mark: The last marked pixel.
        export: View and window of the export dialog; None while it is closed.
        share: View and window of the share dialog; None while it is closed.
        crops: What the networks of the analysis see of the photo; empty without a photo.
        cropped: The photo's name and the crop that they belong to.
        files: Ids of the uploaded files in Streamlit's store, by the source that they belong to.
        tab: Random number of the browser's tab; empty until the browser has sent it.
        restorations: How often Back or Forward has restored an analysis.
        shared: Name of the shared photo that a link contained; empty if none.
        shares: Names of the photos that this session has shared, by their content.
        rerun: True if the next run of a fragment must rerun the whole page.
        watches: The job that each page follows, by page name.
        upload: The current upload.
        classes: Class names of the chosen model; empty before the first run.
        models: Models that this session added to its picker, by key.
        adding: Name of the open dialog that adds a model; empty while none is open.
        probes: Jobs of the probe page, by purpose.
        asked: The last request of the probe page's board; None before the first.
        challenged: Tasks of the challenges that were asked for, by purpose.
        guessed: Digest of what the guess is about; empty without a guess.
        polls: Number of polls of that board.
        guesses: Letters of the guesses in the lesson, by key of the chapter.
        votes: Counted votes in the lesson, by key of the chapter and letter.
        figure: Subject and key of the lesson's last figure, and that figure.
        reading: Name of the open dialog of the lesson; empty while none is open.
        asked_figure: Key of the last figure that was asked for by a click.
        added: Key of a model that was added and is to be chosen; empty if there is none.
        sent: Photos that were uploaded for batches; None before the first.
        batch: The last batch; None before the first.
        batch_sentences: What was refused or left out of the last upload or batch.
        uploaders: How often each uploader was emptied, by its key.
        settled: 2 once the batch page has been shown and its run has ended; 1 after that run.
        opening: True if the next run opens Explore.
    """

    owner: str = field(default_factory=lambda: uuid.uuid4().hex)
    server_id: str = ""
    chosen: Analysis = field(default_factory=Analysis)
    analysis: PreparedAnalysis | str = ""
    automatic: bool = True
    view: View = field(default_factory=View)
    window: Window = WHOLE_WINDOW
    page: str = ""
    sentences: list[str] = field(default_factory=list)
    restored: bool = False
    keep_crop: bool = False
    mark: Pixel | None = None
    export: tuple[View, Window] | None = None
    share: tuple[View, Window] | None = None
    crops: Preparations = field(default_factory=dict)
    cropped: tuple[str, tuple[float, float, Size]] | None = None
    files: dict[str, str] = field(default_factory=dict)
    tab: str = ""
    restorations: int = 0
    shared: str = ""
    shared_crop: Crop = CENTRE
    shares: dict[str, str] = field(default_factory=dict)
    rerun: bool = False
    watches: dict[str, Any] = field(default_factory=dict)
    upload: Upload | None = None
    classes: tuple[str, ...] = ()
    models: dict[str, ModelRecord] = field(default_factory=dict)
    adding: str = ""
    probes: dict[str, Any] = field(default_factory=dict)
    asked: Any = None
    challenged: dict[str, Any] = field(default_factory=dict)
    guessed: str = ""
    polls: int = 0
    guesses: dict[str, str] = field(default_factory=dict)
    votes: dict[str, dict[str, int]] = field(default_factory=dict)
    figure: tuple[str, str, Any] = ("", "", None)
    reading: str = ""
    asked_figure: str = ""
    added: str = ""
    sent: Any = None
    batch: Any = None
    batch_sentences: list[str] = field(default_factory=list)
    uploaders: dict[str, int] = field(default_factory=dict)
    settled: int = 0
    opening: bool = False


_sessions: WeakValueDictionary[str, Session] = WeakValueDictionary()  # by owner; entries vanish with their sessions
_lock = Lock()  # a new entry must not change the dictionary while another thread lists it


def session() -> Session:
    """Return the state of the current session."""
    found: Session = st.session_state.setdefault(STATE_KEY, Session())
    if context := get_script_run_ctx():
        found.server_id = context.session_id
        with _lock:
            _sessions[found.owner] = found
    return found


def earlier(tab: str) -> list[Session]:
    """Return the sessions of a tab that have lost their browser, the newest first."""
    with _lock:
        known = list(_sessions.values())
    return [each for each in reversed(known) if each.tab == tab and not is_connected(each.owner)]


def is_connected(owner: str) -> bool:
    """True if a browser is connected to a session."""
    try:
        runtime = st.runtime.get_instance()
    except RuntimeError:  # in tests without a server
        return True
    found = _sessions.get(owner.partition(":")[0])
    return found is not None and runtime.is_active_session(found.server_id)


def address() -> str:
    """Return the IP address of this session's browser; empty on localhost or if unknown."""
    return st.context.ip_address or ""


def rerun_page() -> None:
    """Make the next fragment run rerun the whole page; for buttons inside a fragment."""
    session().rerun = True


def rerun_if_requested() -> None:
    """Rerun the whole page if `rerun_page` was called; for the start of a fragment."""
    if session().rerun:
        session().rerun = False
        st.rerun()
