"""The probe page: cover a part of the photo, and see what each map forecasts beside what the network then says."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from attribution.baselines.baseline import Baseline
from attribution.baselines.covered import Covered
from attribution.checks.challenges.attempt import CHALLENGES, Attempt
from attribution.checks.probe import forecaster, with_forecasts
from attribution.export import Probed
from attribution.methods import METHODS
from attribution.photo.cells import Cells
from attribution.photo.encode import eight_bit
from attribution.refusal import Refusal
from attribution.result import Attribution
from attribution.settings import digest, write
from attribution.ui.address import parameter
from attribution.ui.board.board import Facts, pack_facts, show_board
from attribution.ui.challenges import show_challenge
from attribution.ui.error_card import error_card
from attribution.ui.events import Asked
from attribution.ui.export_dialog import offer_export
from attribution.ui.forms import ask, fill, held
from attribution.ui.heading import show_heading
from attribution.ui.probing import ask as probe
from attribution.ui.probing import forget_failure, poll
from attribution.ui.session import rerun_if_requested, rerun_page, session
from attribution.ui.sidebar import add_method
from attribution.ui.watch import show
from attribution.work.analysis import Outcome, PreparedAnalysis, require_methods
from attribution.work.cache import Recent
from attribution.work.challenges import JudgeTask
from attribution.work.jobs import Job
from attribution.work.probe import Answered, ExamplesTask, ProbeTask, maps_of, named

PAGE = "probe"
EXPLORE = Path(__file__).with_name("explore.py")
POLL = 0.1  # seconds between two polls for an answer
LEAVES = "probe-explains"  # key that is set while the page is being left for Explore
_boards: Recent[tuple[str, bytes]] = Recent("boards")


def show_page(analysis: PreparedAnalysis, attempt: Attempt) -> None:
    """Show the board and what the network says of the covered photo; run again for every request of the board."""
    if st.session_state.pop(LEAVES, False):
        st.switch_page(EXPLORE)
    rerun_if_requested()
    task = ProbeTask(analysis, Cells(), attempt.fill)
    if session().watches[PAGE].status == "outdated" and task.remembered() is None:
        st.info("The settings have changed; press Compute below.", icon=":material/info:")
        return
    untouched = probe(task, "photo")
    waits = untouched.active
    if untouched.result:
        words = untouched.result.probe.target.words(analysis.record.facts().classes)
        st.text(f"{analysis.heading} Explaining: {words}.")
        maps = maps_of(analysis)
        board, packed = pack(analysis, attempt, untouched.result, maps)
        asked: Asked | None = session().asked if session().asked and session().asked.facts == board else None
        job = probe(ProbeTask(analysis, asked.cells, attempt.fill, asked.rests), "answer") if asked else None
        waits = job is not None and job.active
        show_board(
            board,
            packed,
            attempt.cells,
            session().restorations,
            said(asked, job, hides(attempt)) if asked and job and not job.active else None,
            take,
            lambda place: recompute(maps, place, attempt.fill),
            explain,
        )
    elif untouched.active:
        st.skeleton(height=400)
    else:
        st.error(untouched.sentence or "Cancelled.", icon=":material/error:")
        st.button("Try again", on_click=forget_failure, args=("photo",))
    if waits:
        poll("probe", POLL)


def hides(attempt: Attempt) -> bool:
    """True if the answer of the network stays hidden until there is a guess."""
    return attempt.challenge in CHALLENGES and CHALLENGES[attempt.challenge].hides and attempt.guess is None


def pack(
    analysis: PreparedAnalysis, attempt: Attempt, untouched: Answered, maps: Sequence[Attribution]
) -> tuple[str, bytes]:
    """Return the board's facts; cached."""
    key = digest(analysis.subject, replace(attempt, cells=Cells()), *map(named, maps))
    if (known := _boards.get(key)) is None:
        found, x = untouched.probe, analysis.x
        facts = Facts(
            photo=eight_bit(x.numpy()),
            filled=eight_bit(attempt.fill.image(x).numpy()),
            fill=attempt.fill.title,
            forecasters=tuple(forecaster(each, attempt.fill) for each in maps),
            axis=found.target.axis,
            before=found.before,
            whole=found.whole,
            top=found.top,
            explained=found.target.index or 0,
            has_shares=analysis.record.facts().output.has_shares,
            link=link(attempt),
            hides=hides(attempt),
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


def said(asked: Asked, job: Job[Answered], hidden: bool) -> Mapping[str, Any]:
    """Return the message of an answer, without what is hidden."""
    answer: dict[str, Any] = {"number": asked.number, "cells": asked.cells.text, "rest": None, "failed": None}
    if job.result is None:
        return {**answer, "score": None, "top": [], "failed": job.sentence or "Cancelled; paint again."}
    if hidden:
        return {**answer, "score": None, "top": []}
    found, sentences = job.result.probe, job.result.sentences
    rest = {"sentences": sentences} if sentences else None
    return {**answer, "score": found.after, "top": [list(each) for each in found.top], "rest": rest}


def take(asked: Asked) -> None:
    """Take a request of the board."""
    session().asked = asked
    forget_failure("answer")
    cover(asked.cells)


def cover(cells: Cells) -> None:
    """Store the cells of the board; a verdict or a guess was about other ones."""
    if cells != st.session_state.get(f"{PAGE}.cells"):
        st.session_state[f"{PAGE}.cells"] = cells
        if session().challenged.pop("judge", None) or st.session_state.get(f"{PAGE}.guess") is not None:
            rerun_page()


def recompute(maps: Sequence[Attribution], place: int, image: Baseline) -> None:
    """Make the fill the baseline of the method of a map."""
    if place < len(maps):
        key = maps[place].method
        changed = held(METHODS[key], key, st.session_state).with_baseline(image)  # type: ignore[arg-type]
        if changed:
            fill(changed, key, st.session_state)  # type: ignore[arg-type]
            rerun_page()


def explain(cells: Cells) -> None:
    """Choose a method whose values sum to what covering the cells costs, and leave for its map."""
    cover(cells)
    attempt = held(Attempt, PAGE, st.session_state)  # type: ignore[arg-type]
    start = Covered(attempt.cells, attempt.fill)
    for key, method in METHODS.items():
        changed = held(method, key, st.session_state).with_baseline(start)  # type: ignore[arg-type]
        if changed and changed.complete:
            add_method(key)
            fill(changed, key, st.session_state)  # type: ignore[arg-type]
            st.session_state[LEAVES] = True
            return


def measured(analysis: PreparedAnalysis) -> Probed | None:
    """Return the last answered probe for an export; None if nothing is covered, or it is not answered yet."""
    attempt = held(Attempt, PAGE, st.session_state)  # type: ignore[arg-type]
    around = ProbeTask(analysis, attempt.cells, attempt.fill, around=True).remembered()
    answered = around or ProbeTask(analysis, attempt.cells, attempt.fill).remembered()
    if not (answered and attempt.cells.count) or hides(attempt):
        return None
    maps = maps_of(analysis)
    found = with_forecasts(answered.probe, [forecaster(each, attempt.fill) for each in maps])
    return Probed(attempt, found, answered.surroundings, JudgeTask(analysis, attempt, maps).remembered())


def with_guess(attempt: Attempt, analysis: PreparedAnalysis | str) -> Attempt:
    """Drop the guess if it was about something else."""
    about = digest(analysis if isinstance(analysis, str) else analysis.subject, replace(attempt, guess=None))
    if attempt.guess is not None and session().guessed not in ("", about):
        st.session_state[f"{PAGE}.guess"] = None
        attempt = replace(attempt, guess=None)
    session().guessed = "" if attempt.guess is None else about
    return attempt


def draw(outcome: Outcome) -> None:
    """Name the methods without a map."""
    for place, refusal in outcome.results.items():
        if isinstance(refusal, Refusal):
            st.caption(f"{outcome.analysis.methods[place].title}: {refusal}")


def show_examples() -> None:
    """Show two networks that differ although completeness treats them alike; run again until they are computed."""
    job = probe(ExamplesTask(), "examples", 0.0)
    if job.result:
        for column, each in zip(st.columns(len(job.result)), job.result, strict=True):
            with column:
                st.latex(rf"\text{{{each.title}}}:\quad {each.formula}")
                st.text(
                    f"Cover the first of two white cells with black. Forecast of integrated gradients: "
                    f"{signed(each.forecast.value or 0.0)}. What happens: {signed(each.change)}."
                )
        st.caption(
            "Both networks return 1 for two white cells and 0 for two black ones, and the straight path gives each "
            "cell one half. In both, the sum of all values is right; no method promises the sum over one cell."
        )
    elif job.active:
        poll("examples", POLL)
    else:
        st.error(job.sentence, icon=":material/error:")


def signed(value: float) -> str:
    """Format a number with its sign; zero has none."""
    return f"{value:+.2f}".replace("-", "\u2212") if round(value, 2) else "0"


show_heading("Cover it and see", compact=True)
st.caption(
    "A map claims that some part of the photo decided. Cover that part: each map's forecast is shown beside what the "
    "network then says."
)
with st.container(horizontal=True, key="probe-choice"):
    attempt = ask(Attempt, PAGE)
attempt = with_guess(attempt, session().analysis)
chosen = session().analysis
if isinstance(chosen, str):
    st.session_state[LEAVES] = False
    st.warning(chosen, icon=":material/info:")
else:
    board = st.container()
    outcome = show(PAGE, require_methods(chosen.alone), draw, wait=lambda: None)
    with board:
        st.fragment(error_card()(show_page))(chosen.alone, attempt)
        st.fragment(error_card()(show_challenge))(chosen.alone)
        with st.expander("Why a complete map can forecast wrongly: OR and AND"):
            st.fragment(error_card()(show_examples))()
    if st.button("Export", help="The maps, with the covered photo and what was measured."):
        session().export = (session().view, session().window)
    offer_export(outcome, measured(chosen.alone) if session().export else None)
