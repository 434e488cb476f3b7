"""Everything that the dashboard keeps for one visitor's session, except the values of widgets."""

import uuid
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from attribution.analysis import Analysis
from attribution.drawing.view import View
from attribution.viewer.message import WHOLE, Window
from attribution.work.analysis import PreparedAnalysis

KEY = "session"


@dataclass(frozen=True)
class Pixel:
    """A pixel of the maps: column and row."""

    x: int
    y: int


@dataclass(frozen=True)
class Upload:
    """The key of a decoded upload in its store; the photo is evicted with this value."""

    key: tuple[str, str]


@dataclass(eq=False)
class Session:
    """State of one session.

    Attributes:
        owner: Random name, for jobs and the log.
        server_id: Streamlit's name of the session.
        chosen: The analysis that the sidebar shows.
        analysis: The same with its photo, or a sentence that says what is missing.
        automatic: True if a change starts a job by itself.
        view: View of the panels when the page opened.
        window: The part of the photo in view at that time.
        sentences: Parts of the link that could not be served.
        restored: True once the link was read.
        keep_crop: True if the next photo keeps the crop of the link.
        mark: The pixel that was marked last.
        export: View and window of the export dialog; None while it is closed.
        rerun: True if the next run of a fragment has to run the whole page.
        watches: What each page waits for, by the page's name.
        upload: The upload in use.
    """

    owner: str = field(default_factory=lambda: uuid.uuid4().hex)
    server_id: str = ""
    chosen: Analysis = field(default_factory=Analysis)
    analysis: PreparedAnalysis | str = ""
    automatic: bool = True
    view: View = field(default_factory=View)
    window: Window = WHOLE
    sentences: list[str] = field(default_factory=list)
    restored: bool = False
    keep_crop: bool = False
    mark: Pixel | None = None
    export: tuple[View, Window] | None = None
    rerun: bool = False
    watches: dict[str, Any] = field(default_factory=dict)
    upload: Upload | None = None


_sessions: WeakValueDictionary[str, Session] = WeakValueDictionary()  # by owner; each ends with its session


def session() -> Session:
    """Return the state of the session that this run belongs to."""
    found: Session = st.session_state.setdefault(KEY, Session())
    if context := get_script_run_ctx():
        found.server_id = context.session_id
        _sessions[found.owner] = found
    return found


def is_connected(owner: str) -> bool:
    """True if a browser is connected to a session."""
    if not st.runtime.exists():  # a test without a server
        return True
    found = _sessions.get(owner)
    return found is not None and st.runtime.get_instance().is_active_session(found.server_id)


def address() -> str:
    """Return the network address of this session's browser; empty on this machine, and where none is known."""
    return st.context.ip_address or ""


def rerun_page() -> None:
    """Have the next run of a fragment run the whole page; for buttons inside what a fragment shows."""
    session().rerun = True
