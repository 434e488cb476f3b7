"""The probe page: cover a part of the photo, and see what each map forecasts beside what the network then says."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from attribution.baselines.baseline import Baseline
from attribution.baselines.covered import Covered
from attribution.checks.challenges.attempt import CHALLENGES, Attempt
from attribution.checks.probe import Forecaster, with_forecasts
from attribution.export import Probed
from attribution.methods import METHODS
from attribution.photo.cells import Cells
from attribution.photo.encode import eight_bit
from attribution.refusal import Refusal
from attribution.settings import digest, write
from attribution.ui.address import parameter
from attribution.ui.board.board import Facts, pack_facts, show_board
from attribution.ui.challenges import show_challenge
from attribution.ui.error_card import error_card
from attribution.ui.events import Asked
from attribution.ui.export_dialog import offer_export
from attribution.ui.forms import ask, fill, held
from attribution.ui.heading import show_heading
from attribution.ui.polling import poll_again
from attribution.ui.probing import ask as probe
from attribution.ui.session import rerun_page, session
from attribution.ui.sidebar import add_method
from attribution.ui.watch import show
from attribution.work.analysis import Outcome, PreparedAnalysis, require_methods
from attribution.work.cache import Recent
from attribution.work.challenges import JudgeTask
from attribution.work.jobs import Job
from attribution.work.probe import Answered, ExamplesTask, ProbeTask, forecasters_of

PAGE = "probe"
EXPLORE = Path(__file__).with_name("explore.py")
POLL = 0.1  # seconds between two polls for an answer
LEAVES = "probe-explains"  # key that is set while the page is being left for Explore
_boards: Recent[tuple[str, bytes]] = Recent("boards")


def show_page(analysis: PreparedAnalysis, attempt: Attempt) -> None:
    """Show the board and what the network says of the covered photo; run again for every request of the board."""
    if st.session_state.pop(LEAVES, False):
        st.switch_page(EXPLORE)
    if session().rerun:
        session().rerun = False
        st.rerun()
    untouched = probe(ProbeTask(analysis, Cells(), attempt.fill), "photo")
    waits = untouched.active
    if untouched.result:
        forecasters = forecasters_of(analysis, attempt.fill)
        board, packed = pack(analysis, attempt, untouched.result, forecasters)
        asked: Asked | None = session().asked if session().asked and session().asked.facts == board else None
        job = probe(ProbeTask(analysis, asked.cells, attempt.fill, asked.rests), "answer") if asked else None
        waits = job is not None and job.active
        show_board(
            board,
            packed,
            attempt.cells,
            session().restorations,
            said(asked, job) if asked and job and not job.active else None,
            take,
            lambda place: recompute(forecasters, place, attempt.fill),
            explain,
        )
    elif untouched.active:
        st.skeleton(height=400)
    else:
        st.error(untouched.sentence, icon=":material/error:")
    if waits:
        session().polls += 1
        poll_again(session().polls, POLL, key="probe-polling")


def pack(
    analysis: PreparedAnalysis, attempt: Attempt, untouched: Answered, forecasters: tuple[Forecaster, ...]
) -> tuple[str, bytes]:
    """Return the board's facts; cached."""
    methods = [f"{each.result.method}{each.result.settings}" for each in forecasters]
    key = digest(analysis.subject, replace(attempt, cells=Cells()), *methods)
    if (known := _boards.get(key)) is None:
        found, x = untouched.probe, analysis.x
        facts = Facts(
            photo=eight_bit(x.numpy()),
            filled=eight_bit(attempt.fill.image(x).numpy()),
            fill=attempt.fill.title,
            forecasters=forecasters,
            axis=found.target.axis,
            before=found.before.score,
            whole=found.whole.score,
            top=found.top,
            explained=found.target.index or 0,
            has_shares=analysis.record.facts().output.has_shares,
            link=link(attempt),
            hides=attempt.challenge in CHALLENGES and CHALLENGES[attempt.challenge].hides and attempt.guess is None,
        )
        known = pack_facts(facts)
        _boards.put(key, known)
    return known


def link(attempt: Attempt) -> tuple[str, str]:
    """Return the link's parameter without cells, and with the word CELLS in their place."""
    cell = Cells.box(0, 0, 1, 1)
    bare, one = (write(replace(attempt, cells=cells)) for cells in (Cells(), cell))
    whole = parameter(PAGE, one.replace(f"cells={cell.text}", "cells=CELLS"))
    return "" if bare == PAGE else parameter(PAGE, bare), whole


def said(asked: Asked, job: Job[Answered]) -> Mapping[str, Any]:
    """Return the message of an answer."""
    answer: dict[str, Any] = {"number": asked.number, "cells": asked.cells.text, "rest": None, "failed": None}
    if job.result is None:
        return {**answer, "score": None, "top": [], "failed": job.sentence or "Cancelled; paint again."}
    found, around = job.result.probe, job.result.surroundings
    return {
        **answer,
        "score": found.after.score,
        "top": [list(each) for each in found.top],
        "rest": around and {"sentences": list(around.sentences)},
    }


def take(asked: Asked) -> None:
    """Take a request of the board."""
    session().asked = asked
    if asked.cells != st.session_state.get(f"{PAGE}.cells"):
        st.session_state[f"{PAGE}.cells"] = asked.cells
        if st.session_state.get(f"{PAGE}.guess") is not None:  # it was about other cells
            st.session_state[f"{PAGE}.guess"] = None
            rerun_page()


def recompute(forecasters: tuple[Forecaster, ...], place: int, image: Baseline) -> None:
    """Give a method the fill as its baseline."""
    if place < len(forecasters):
        key = forecasters[place].result.method
        changed = held(METHODS[key], key, st.session_state).with_baseline(image)  # type: ignore[arg-type]
        if changed:
            fill(changed, key, st.session_state)  # type: ignore[arg-type]
            rerun_page()


def explain() -> None:
    """Choose a method whose values sum to what covering the cells costs, and leave for its map."""
    attempt = held(Attempt, PAGE, st.session_state)  # type: ignore[arg-type]
    start = Covered(attempt.cells, attempt.fill)
    for key, method in METHODS.items():
        changed = held(method, key, st.session_state).with_baseline(start)  # type: ignore[arg-type]
        if method.chosen and changed:
            add_method(key)
            fill(changed, key, st.session_state)  # type: ignore[arg-type]
            st.session_state[LEAVES] = True
            return


def measured(analysis: PreparedAnalysis) -> Probed | None:
    """Return the last answered probe for an export; None if nothing is covered, or it is not answered yet."""
    attempt = held(Attempt, PAGE, st.session_state)  # type: ignore[arg-type]
    around = ProbeTask(analysis, attempt.cells, attempt.fill, around=True).remembered()
    answered = around or ProbeTask(analysis, attempt.cells, attempt.fill).remembered()
    if not (answered and attempt.cells.count):
        return None
    found = with_forecasts(answered.probe, forecasters_of(analysis, attempt.fill))
    return Probed(attempt, found, answered.surroundings, JudgeTask(analysis, attempt).remembered())


def draw(outcome: Outcome) -> None:
    """Name the methods without a map."""
    for place, refusal in outcome.results.items():
        if isinstance(refusal, Refusal):
            st.caption(f"{outcome.analysis.methods[place].title}: {refusal}")


def show_examples() -> None:
    """Show two networks that completeness does not tell apart; run again until they are computed."""
    job = probe(ExamplesTask(), "examples")
    if job.result:
        for column, each in zip(st.columns(len(job.result)), job.result, strict=True):
            with column:
                st.latex(rf"\text{{{each.title}}}:\quad {each.formula}")
                st.text(
                    f"Cover the first of two white cells with black. Forecast of integrated gradients: "
                    f"{each.forecast.value:+.2f}. What happens: {each.change:+.2f}."
                )
        st.caption(
            "Both networks return 1 for two white cells and 0 for two black ones, and the straight path gives each "
            "cell one half. In both, the sum of all values is right; no method promises the sum over one cell."
        )
    elif job.active:
        session().polls += 1
        poll_again(session().polls, POLL, key="examples-polling")
    else:
        st.error(job.sentence, icon=":material/error:")


show_heading("Cover it and see", compact=True)
st.caption(
    "A map claims that some part of the photo decided. Cover that part: each map's forecast is shown beside what the "
    "network then says."
)
with st.container(horizontal=True, key="probe-choice"):
    attempt = ask(Attempt, PAGE)
chosen = session().analysis
if isinstance(chosen, str):
    st.warning(chosen, icon=":material/info:")
else:
    st.fragment(error_card()(show_page))(chosen.alone, attempt)
    st.fragment(error_card()(show_challenge))(chosen.alone)
    with st.expander("Why a complete map can forecast wrongly: OR and AND"):
        st.fragment(error_card()(show_examples))()
    outcome = show(PAGE, require_methods(chosen.alone), draw, wait=lambda: None)
    if st.button("Export", help="The maps, with the covered photo and what was measured."):
        session().export = (session().view, session().window)
    offer_export(outcome, measured(chosen.alone) if session().export else None)
