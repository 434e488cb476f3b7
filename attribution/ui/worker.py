"""The jobs of this server, and the job of this session."""

import uuid

import streamlit as st

from attribution.jobs import Job, Jobs
from attribution.model import full_precision
from attribution.refusal import Refusal
from attribution.ui.analysis import Analysis, Outcome

TICK = 0.3  # seconds between two looks at a job


@st.cache_resource
def _jobs() -> Jobs[Outcome]:
    full_precision()
    return Jobs()


def follow(analysis: Analysis | str) -> Outcome | None:
    """Make sure that an analysis is computed, and show how far it is.

    Args:
        analysis: What was chosen, or a sentence that says what is missing.

    Returns:
        Its outcome, or the last one of this session until then; None before the first.
    """
    state = st.session_state
    if isinstance(analysis, str):
        st.warning(analysis, icon=":material/info:")
        return state.get("outcome")
    owner = state.setdefault("owner", uuid.uuid4().hex)
    job: Job[Outcome] | None = state.get("job")
    if job is None or job.key != analysis.key:
        try:
            job = _jobs().submit(analysis.device, analysis.key, owner, analysis.compute)
        except Refusal as refusal:
            st.error(str(refusal))
            st.button("Try again")
            return state.get("outcome")
        state.job = job
    if job.active:
        _progress(job)
    elif job.state == "failed":
        st.error(job.sentence, icon=":material/error:")
        st.button("Try again", on_click=_forget)
    elif job.state == "cancelled":
        st.info("Cancelled. The maps below are the last that were finished.", icon=":material/cancel:")
        st.button("Compute", on_click=_forget, type="primary")
    if job.result is not None:
        state.outcome = job.result
    return state.get("outcome")


@st.fragment(run_every=TICK)
def _progress(job: Job[Outcome]) -> None:
    """Look at the job until it ends; then the whole page runs again, without this fragment."""
    if not job.active:
        st.rerun()
    ahead = _jobs().ahead(job)
    waiting = f"Waiting, {ahead} ahead" if ahead else "Waiting"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(job.fraction, text=waiting if job.state == "queued" else job.message)
        st.button("Cancel", on_click=_jobs().cancel, args=(st.session_state.owner,))


def _forget() -> None:
    st.session_state.job = None
