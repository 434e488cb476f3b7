"""A ranking of pasted links to attempts at the chosen challenge, each of which is judged again."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

import streamlit as st

from attribution.analysis import Analysis
from attribution.checks.challenges.attempt import CHALLENGES, Attempt
from attribution.checks.ranking import MOST_ATTEMPTS, Ranked
from attribution.photo.samples import SAMPLES
from attribution.refusal import Refusal
from attribution.settings import plain, read
from attribution.ui.address import MAX_PARAMETER_LENGTH
from attribution.ui.photo import SHARED_PREFIX
from attribution.ui.session import session
from attribution.ui.table import show_table
from attribution.work.analysis import PreparedAnalysis
from attribution.work.challenges import RankTask

SAME = ("photo", "crop", "model", "target", "versus", "score")  # what all attempts have in common with the page
MAX_NAME_LENGTH = 40
LINKS = "probe-links"  # key of the field of the links


def read_line(line: str, here: Mapping[str, object]) -> tuple[str, Attempt]:
    """Read the name and the attempt of one line.

    Args:
        line: A link, perhaps with a name in front.
        here: The text forms of the page's own analysis.

    Raises:
        Refusal: If there is no attempt, or it is about another photo, model or class.
    """
    name, _, link = line.strip().rpartition(" ")
    parts = dict(parse_qsl(urlsplit(link).query, keep_blank_values=True))
    usual = plain(Analysis())
    if Attempt.key not in parts or len(parts[Attempt.key]) > MAX_PARAMETER_LENGTH:
        raise Refusal("This is no link to an attempt; copy the whole address of the page Probe.")
    if others := [part for part in SAME if parts.get(part, str(usual[part])) != str(here[part])]:
        raise Refusal(f"This attempt has another {' and another '.join(others)}.")
    return name.strip()[:MAX_NAME_LENGTH], read(parts[Attempt.key], {Attempt.key: Attempt})


def ask_links(analysis: PreparedAnalysis, attempt: Attempt) -> RankTask | None:
    """Show the field of the links; return what is to be ranked if the button was pressed."""
    here = plain(session().chosen)
    with st.expander("Rank the attempts of a class"):
        if str(here["photo"]) not in SAMPLES and not str(here["photo"]).startswith(SHARED_PREFIX):
            st.caption("Attempts can be ranked on a sample photo or a shared one, which their links contain.")
            return None
        hint = f"One link a line, with a name in front if you like; at most {MOST_ATTEMPTS}. Nothing is stored."
        text = st.text_area("Links", key=LINKS, help=hint, placeholder="Ada https://...")
        if not st.button("Rank"):
            return None
    attempts, unread = [], []
    for number, line in enumerate(filter(str.strip, text.splitlines()), 1):
        try:
            if number > MOST_ATTEMPTS:
                raise Refusal(f"A ranking takes at most {MOST_ATTEMPTS} links; leave some out.")
            name, each = read_line(line, here)
            attempts.append((name or f"Line {number}", each))
        except Refusal as refusal:
            unread.append((f"Line {number}", str(refusal)))
    return RankTask(analysis, attempt, tuple(attempts), tuple(unread[:MOST_ATTEMPTS]))


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
    )
