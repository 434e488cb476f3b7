"""The jobs of this server, and the job of this session."""

import uuid

import streamlit as st

from attribution.jobs import Job, Jobs
from attribution.refusal import Refusal
from attribution.ui.analysis import Analysis, Outcome

TICK = 0.3  # seconds between two looks at a job; a quicker page would ask again before it has taken in what came


@st.cache_resource
def _jobs() -> Jobs[Outcome]:
    return Jobs()


def follow(analysis: Analysis | str, automatic: bool) -> None:
    """Make sure that what was chosen is computed, unless it waits for a click.

    Args:
        analysis: What was chosen, or a sentence that says what is missing.
        automatic: Whether a change starts a job by itself. The first analysis of a session always does.
    """
    state = st.session_state
    state.sentence, state.refused = analysis if isinstance(analysis, str) else "", False
    if isinstance(analysis, str):
        return
    owner = state.setdefault("owner", uuid.uuid4().hex)
    job: Job[Outcome] | None = state.get("job")
    asked = state.pop("asked", False)
    state.waiting = job is not None and job.key != analysis.key and not automatic and not asked
    if job is None or asked or (job.key != analysis.key and not state.waiting):
        state.left = None
        if remembered := analysis.remembered():
            _jobs().cancel(owner)
            state.job = Job.done(analysis.key, remembered)
            return
        try:
            state.job = _jobs().submit(analysis.device, analysis.key, owner, analysis.compute)
        except Refusal as refusal:
            state.sentence, state.refused = str(refusal), True


def active() -> bool:
    """Whether this session waits for a job."""
    state = st.session_state
    job: Job[Outcome] | None = state.get("job")
    if job is None or not job.active or state.get("left") is job:
        return False
    job.look(state.owner)
    return True


def outcome() -> Outcome | None:
    """What is to be shown: of a job at work as soon as it has a map, else the last one that was finished."""
    state = st.session_state
    job: Job[Outcome] | None = state.get("job")
    if job and job.result:
        state.outcome = job.result
    last: Outcome | None = state.get("outcome")
    found = job.so_far if job and active() else None
    return found if found and (found.results or found.growing or last is None) else last


def show_state() -> None:
    """One line about the job of this session, with what can be done about it."""
    state = st.session_state
    job: Job[Outcome] | None = state.get("job")
    if state.sentence:
        last = " The maps below are the last that were finished." if "outcome" in state else ""
        st.warning(state.sentence + last, icon=":material/info:")
        if state.refused:
            st.button("Try again", on_click=ask)
    elif job is None:
        return
    elif state.waiting:
        _line("The choices have changed since these maps were made.", "Compute")
    elif active():
        ahead = _jobs().ahead(job)
        waiting = f"Waiting for {ahead + 1} other analyses" if ahead else "Waiting for another analysis to end"
        with st.container(horizontal=True, vertical_alignment="center"):
            st.progress(job.fraction, text=waiting if job.state == "queued" else job.message)
            st.button("Cancel", on_click=_leave)
    elif job.state == "failed":
        last = " The maps below are the last that were finished." if "outcome" in state else ""
        st.error(job.sentence + last, icon=":material/error:")
        st.button("Try again", on_click=ask)
    elif job.state == "cancelled" or state.get("left") is job:
        _line("Cancelled. The maps below are the last that were finished.", "Compute")


def _leave() -> None:
    """Cancel for this session; a job that another session waits for goes on."""
    _jobs().cancel(st.session_state.owner)
    st.session_state.left = st.session_state.job
    st.session_state.whole = True


def ask() -> None:
    """Have the next run of the page compute what is chosen."""
    st.session_state.asked = st.session_state.whole = True


def _line(sentence: str, button: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(sentence, icon=":material/info:")
        st.button(button, on_click=ask, type="primary")
