"""A ranking of pasted links to attempts at the chosen challenge, each of which is judged again."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

import streamlit as st

from attribution.analysis import Analysis
from attribution.checks.challenges.attempt import CHALLENGES, Attempt
from attribution.checks.ranking import MOST_ATTEMPTS, Ranked
from attribution.photo.cells import Cells
from attribution.photo.samples import SAMPLES
from attribution.refusal import Refusal
from attribution.settings import plain, read
from attribution.ui.address import MAX_PARAMETER_LENGTH
from attribution.ui.photo import SHARED_PREFIX
from attribution.ui.session import session
from attribution.ui.table import show_table
from attribution.work.analysis import PreparedAnalysis
from attribution.work.challenges import RankTask
from attribution.work.probe import ProbeTask, maps_of

# What all attempts have in common with the page, and its name.
SAME = {
    "photo": "photo",
    "crop": "crop",
    "model": "model",
    "target": "target class",
    "versus": "second class",
    "score": "score",
}
MAX_NAME_LENGTH = 40
LINKS = "probe-links"  # key of the field of the links


def read_line(line: str, here: Mapping[str, object]) -> tuple[str, Attempt]:
    """Read the name and the attempt of one line.

    Args:
        line: A link, with a name before or after it, or none.
        here: The text forms of the page's own analysis, with the explained class.

    Raises:
        Refusal: If there is no attempt, or it is about another photo, model or class.
    """
    words = line.split()
    try:
        link = next(word for word in words if f"{Attempt.key}=" in word)
        parts = dict(parse_qsl(urlsplit(link).query, keep_blank_values=True))
        text = parts[Attempt.key][:MAX_PARAMETER_LENGTH]
    except (StopIteration, KeyError, ValueError):
        raise Refusal("This is not a link to an attempt; copy the whole address of the page Probe.") from None
    usual = plain(Analysis())
    given = {part: parts.get(part) or str(usual[part]) for part in SAME}
    given["target"] = given["target"] or str(here["predicted"])
    if others := [SAME[part] for part, own in given.items() if own != str(here[part])]:
        raise Refusal(f"This attempt has another {' and another '.join(others)}.")
    name = " ".join(word for word in words if word != link)
    return name[:MAX_NAME_LENGTH], read(text, {Attempt.key: Attempt})


def ask_links(analysis: PreparedAnalysis, attempt: Attempt) -> RankTask | None:
    """Show the field of the links; return what is to be ranked if the button was pressed."""
    known = ProbeTask(analysis, Cells(), attempt.fill).remembered()
    predicted = known.probe.target.index if known and analysis.target.index is None else analysis.target.index
    here = {**plain(session().chosen), "target": predicted, "predicted": predicted}
    with st.expander("Rank your students' attempts"):
        if str(here["photo"]) not in SAMPLES and not str(here["photo"]).startswith(SHARED_PREFIX):
            st.caption("Attempts can be ranked on a sample photo or a shared one, which their links contain.")
            return None
        st.caption(
            f"One link per line, with a name if you like; at most {MOST_ATTEMPTS}. Each is judged again, with the maps "
            "of this page where forecasts count. Nothing is stored."
        )
        text = st.text_area("Links", key=LINKS, placeholder="Ada https://...")
        if not st.button("Rank"):
            return None
    attempts: list[tuple[str, Attempt]] = []
    unread: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            if len(attempts) + len(unread) >= MOST_ATTEMPTS:
                raise Refusal(f"A ranking takes at most {MOST_ATTEMPTS} links; leave some out.")
            name, each = read_line(line, here)
            attempts.append((name or f"Line {number}", each))
        except Refusal as refusal:
            unread.append((f"Line {number}", str(refusal)))
    return RankTask(analysis, attempt, maps_of(analysis), tuple(attempts), tuple(unread[:MOST_ATTEMPTS]))


def show_ranking(task: RankTask, rows: Sequence[Ranked]) -> None:
    """Show the ranking, and below it the lines without an attempt."""
    ranks = ["\u2013" if row.rank is None else str(row.rank) for row in rows]
    show_table(
        {
            "Rank": [*ranks, *("\u2013" for _ in task.unread)],
            "Name": [*(task.attempts[row.place][0] for row in rows), *(name for name, _ in task.unread)],
            "Verdict": [*(row.judged.sentence for row in rows), *(sentence for _, sentence in task.unread)],
        },
        f"Ranking of {len(rows)} attempts at the challenge {CHALLENGES[task.attempt.challenge].title}",
        wraps=True,
    )
