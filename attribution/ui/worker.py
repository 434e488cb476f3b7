"""The jobs of this server, and the job of this session."""

import uuid

import streamlit as st

from attribution.jobs import Job, Jobs
from attribution.model import full_precision
from attribution.refusal import Refusal
from attribution.ui.analysis import Analysis, Outcome

TICK = 0.5  # seconds between two looks at a job, and so between two pictures of a map that grows


@st.cache_resource
def _jobs() -> Jobs[Outcome]:
    full_precision()
    return Jobs()


def follow(analysis: Analysis | str, automatic: bool) -> None:
    """Make sure that what was chosen is computed, unless it waits for a click.

    Args:
        analysis: What was chosen, or a sentence that says what is missing.
        automatic: Whether a change starts a job by itself. The first analysis of a session always does.
    """
    state = st.session_state
    state.sentence = analysis if isinstance(analysis, str) else ""
    if isinstance(analysis, str):
        return
    owner = state.setdefault("owner", uuid.uuid4().hex)
    job: Job[Outcome] | None = state.get("job")
    asked = state.pop("asked", False)
    state.waiting = job is not None and job.key != analysis.key and not automatic and not asked
    if job is None or asked or (job.key != analysis.key and not state.waiting):
        try:
            state.job = _jobs().submit(analysis.device, analysis.key, owner, analysis.compute)
        except Refusal as refusal:
            state.sentence = str(refusal)


def active() -> bool:
    """Whether this session waits for a job."""
    job: Job[Outcome] | None = st.session_state.get("job")
    return job is not None and job.active


def outcome() -> Outcome | None:
    """What is to be shown: of a job at work as soon as it has a map, else the last one that was finished."""
    state = st.session_state
    job: Job[Outcome] | None = state.get("job")
    if job and job.result:
        state.outcome = job.result
    last: Outcome | None = state.get("outcome")
    found = job.so_far if job and job.active else None
    return found if found and (found.results or found.growing or last is None) else last


def show_state() -> None:
    """One line about the job of this session, with what can be done about it."""
    state = st.session_state
    job: Job[Outcome] | None = state.get("job")
    if state.sentence:
        st.warning(state.sentence, icon=":material/info:")
    elif job is None:
        return
    elif state.waiting:
        _line("The choices have changed since these maps were made.", "Compute")
    elif job.active:
        ahead = _jobs().ahead(job)
        waiting = f"Waiting, {ahead} ahead" if ahead else "Waiting"
        with st.container(horizontal=True, vertical_alignment="center"):
            st.progress(job.fraction, text=waiting if job.state == "queued" else job.message)
            st.button("Cancel", on_click=_jobs().cancel, args=(state.owner,))
    elif job.state == "failed":
        st.error(job.sentence, icon=":material/error:")
        st.button("Try again", on_click=ask)
    elif job.state == "cancelled":
        _line("Cancelled. The maps below are the last that were finished.", "Compute")


def ask() -> None:
    """Have the next run of the page compute what is chosen."""
    st.session_state.asked = True


def _line(sentence: str, button: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(sentence, icon=":material/info:")
        st.button(button, on_click=ask, type="primary")
