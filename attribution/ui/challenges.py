"""Challenges below the board: the task, the verdict on the current mask, par values, and a ranking of links."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from attribution.checks.challenges.attempt import CHALLENGES, LARGEST_GUESS, Attempt
from attribution.checks.challenges.challenge import Challenge, Par
from attribution.ui.forms import held
from attribution.ui.probing import ask, forget_failure, poll
from attribution.ui.ranking import ask_links, show_ranking
from attribution.ui.session import rerun_if_requested, rerun_page, session
from attribution.ui.table import show_table
from attribution.ui.watch import STARTING
from attribution.work.analysis import PreparedAnalysis
from attribution.work.challenges import JudgeTask, ParTask
from attribution.work.probe import maps_of

POLL = 0.3  # seconds between two polls
GUESS = "probe-guess"  # key of the field of the guess


def show_challenge(analysis: PreparedAnalysis) -> None:
    """Show the chosen challenge; run again until what was asked for is measured."""
    rerun_if_requested()
    attempt = held(Attempt, Attempt.key, st.session_state)  # type: ignore[arg-type]
    if attempt.challenge not in CHALLENGES:
        return
    kind = CHALLENGES[attempt.challenge]
    st.header(kind.title)
    st.text(kind.task)
    if kind.hides and attempt.guess is None:
        ask_guess(analysis)
    with st.container(horizontal=True):
        judges = st.button("Judge my attempt", type="primary", disabled=kind.hides and attempt.guess is None)
        measures = st.button("Show par values", help="What each map achieves, and chance or the area alone.")
    if judges:
        forget_failure("judge")
        session().challenged["judge"] = JudgeTask(analysis, attempt, maps_of(analysis))
    if measures:
        forget_failure("par")
        session().challenged["par"] = ParTask(analysis, attempt, maps_of(analysis))
    with st.container(key="challenge-results"):  # always present, so that the next element keeps its position
        if judged := found("judge", analysis, attempt):
            with st.container(border=True, key="verdict"):
                st.text(f"{'Valid' if judged.valid else 'Not valid'}: {judged.sentence}")
        if pars := found("par", analysis, attempt):
            show_pars(kind, pars)
    if ranks := ask_links(analysis, attempt):
        forget_failure("ranking")
        session().challenged["ranking"] = ranks
    if ranked := found("ranking", analysis, attempt):
        show_ranking(session().challenged["ranking"], ranked)
    if any(session().probes[purpose].active for purpose in session().challenged if purpose in session().probes):
        poll("challenge", POLL)


def found(purpose: str, analysis: PreparedAnalysis, attempt: Attempt) -> Any:
    """Return the result of what was asked for, if it is about this analysis and challenge, or show its state."""
    task = session().challenged.get(purpose)
    if task is None or task.analysis.own_key != analysis.own_key:
        return None
    if (task.attempt.challenge, task.attempt.fill) != (attempt.challenge, attempt.fill):
        return None
    job = ask(task, purpose, 0.0)
    if job.active:
        st.progress(job.fraction, text=job.message or STARTING)
    elif job.result is None:
        st.error(job.sentence or "Cancelled.", icon=":material/error:")
    return job.result


def ask_guess(analysis: PreparedAnalysis) -> None:
    """Show the field of the guess."""
    name = analysis.target.kind.title.lower()

    def reveal() -> None:
        if st.session_state.get(GUESS) is not None:
            st.session_state[f"{Attempt.key}.guess"] = float(st.session_state[GUESS])
            rerun_page()

    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = f"Your guess: {name} after covering"
        st.number_input(label, -LARGEST_GUESS, LARGEST_GUESS, None, 0.01, "%g", GUESS, placeholder="such as 0.4")
        st.button("Reveal", on_click=reveal)


def show_pars(kind: type[Challenge], pars: Sequence[Par]) -> None:
    """Show the par values, the best first."""
    order = sorted(pars, key=lambda par: (par.value is None, (par.value or 0.0) * (1 if kind.better == "less" else -1)))
    show_table(
        {
            "By": [par.title for par in order],
            "Par": ["\u2013" if par.value is None else worded(kind, par.value) for par in order],
        },
        f"Par values of {kind.title}, the best first",
    )


def worded(kind: type[Challenge], value: float) -> str:
    """Return a value with its unit."""
    return f"{value:.1%} of the area" if kind.unit == "area" else f"{value:.3g}"
