"""The watch of a page on its job: it submits a task, shows what has been found so far, and can cancel."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import streamlit as st

from attribution.refusal import Refusal
from attribution.ui.error_card import error_card
from attribution.ui.next_look import ask_again
from attribution.ui.session import address, is_connected, rerun_page, session
from attribution.work.jobs import Job, Jobs

R = TypeVar("R")
TICK = 0.3  # seconds from the end of one look at a job to the next
SHORTEST_ESTIMATE = 3.0  # seconds; a shorter time left is not shown
MAX_WAIT = 5.0  # seconds between two looks of a queued session, at most
UNKNOWN_WAIT = 3.0  # seconds that an unknown time in the queue counts as
LAST_RESULT = "Showing the last finished result."


class Task(Protocol[R]):
    """Something to compute, chosen by a person."""

    @property
    def key(self) -> str:
        """Text that changes whenever the result would."""

    @property
    def device(self) -> str:
        """The device whose worker computes it."""

    @property
    def model(self) -> str:
        """Key of the model, for the log."""

    def compute(self, job: Job[R]) -> R:
        """Return the result; called on a worker's thread."""

    def remembered(self) -> R | None:
        """Return the result if it is in the cache."""


JOBS: Jobs[Any] = Jobs(alive=is_connected)  # of this process; any browser can empty Streamlit's own caches


@dataclass
class Watch(Generic[R]):
    """The job of one page of one session.

    Attributes:
        job: The job that was submitted last.
        outcome: The last finished result.
        status: "following" the job; "requested" by a button; "outdated", when the choices have changed since; "left",
            when this session has cancelled; "refused", with a sentence, when another try could help; "missing", with a
            sentence, when something has to be chosen first.
        sentence: The reason for "refused" and "missing".
        looks: Number of looks at the job so far.
    """

    job: Job[R] | None = None
    outcome: R | None = None
    status: Literal["following", "requested", "outdated", "left", "refused", "missing"] = "following"
    sentence: str = ""
    looks: int = 0

    def follow(self, task: Task[R] | str, automatic: bool) -> None:
        """Submit what was chosen, unless it is submitted already or has to wait for a click.

        Args:
            task: What was chosen, or a sentence that says what is missing.
            automatic: True if a change starts a job by itself. The first task of a page always does.
        """
        if isinstance(task, str):
            self.status, self.sentence = "missing", task
            return
        requested, left = self.status == "requested", self.status == "left"
        changed = self.job is not None and self.job.key != task.key
        ended = self.job is not None and (self.job.state == "cancelled" or (self.job.active and not self.active()))
        if changed and not automatic and not requested:
            self.status = "outdated"
        elif self.job is None or changed or requested or (ended and not left):
            self.status = "following"
            self._submit(task)
        elif not left:
            self.status = "following"

    def _submit(self, task: Task[R]) -> None:
        owner = session().owner
        if remembered := task.remembered():
            JOBS.cancel(owner)
            self.job = Job.done(task.key, remembered)
            return
        about = {"session": owner, "task": type(task).__name__, "model": task.model}
        try:
            self.job = JOBS.submit(task.device, task.key, owner, task.compute, about, address())
        except Refusal as refusal:
            self.status, self.sentence = "refused", str(refusal)

    def active(self) -> bool:
        """True if this session waits for the job."""
        return self.job is not None and self.job.active and self.job.look(session().owner)

    def found(self, worth: Callable[[R], bool]) -> R | None:
        """Return the result to show.

        Args:
            worth: True if the unfinished result of the job shows more than the last finished one.
        """
        if self.job and self.job.result is not None:
            self.outcome = self.job.result
        so_far = self.job.so_far if self.job and self.active() else None
        return so_far if so_far is not None and (self.outcome is None or worth(so_far)) else self.outcome

    def pause(self, tick: float) -> float:
        """Return the seconds until the next look: more while the job is queued, so that a crowd slows nobody down."""
        if self.job is None or self.job.state != "queued":
            return tick
        wait = JOBS.wait(self.job)
        return max(tick, min(MAX_WAIT, (UNKNOWN_WAIT if wait is None else wait) / 2))

    def show_state(self) -> None:
        """Show one line about the job, and the buttons that go with it."""
        last = f" {LAST_RESULT}" if self.outcome is not None else ""
        if self.status in ("missing", "refused"):
            st.warning(self.sentence + last, icon=":material/info:")
            if self.status == "refused":
                st.button("Try again", on_click=self.request)
        elif self.job is None:
            return
        elif self.status == "outdated":
            self._line("The choices have changed since this was computed.", "Compute")
        elif self.active():
            with st.container(horizontal=True, vertical_alignment="center"):
                st.progress(self.job.fraction, text=_state(self.job) + (last and f".{last}"))
                st.button("Cancel", on_click=self._leave)
        elif self.job.state == "failed":
            st.error(self.job.sentence + last, icon=":material/error:")
            st.button("Try again", on_click=self.request)
        elif self.job.state == "cancelled" or self.status == "left":
            self._line(f"Cancelled.{last}", "Compute")

    def request(self) -> None:
        """Have the next run of the page compute what is chosen."""
        self.status = "requested"
        rerun_page()

    def _leave(self) -> None:
        """Cancel for this session; a job that another session waits for goes on."""
        JOBS.cancel(session().owner)
        self.status = "left"
        rerun_page()

    def _line(self, sentence: str, button: str) -> None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(sentence, icon=":material/info:")
            st.button(button, on_click=self.request, type="primary")


def show(
    page: str,
    task: Task[R] | str,
    draw: Callable[[R], None],
    worth: Callable[[R], bool] = lambda so_far: True,
    tick: float = TICK,
) -> R | None:
    """Follow a task and show its results, without the sidebar, until it has finished.

    Args:
        page: Name of the page, under which the session keeps its watch.
        task: What was chosen, or a sentence that says what is missing.
        draw: Shows a result, also an unfinished one.
        worth: As for `Watch.found`.
        tick: Seconds from the end of one look to the next.

    Returns:
        The result on the page.
    """
    watch: Watch[R] = session().watches.setdefault(page, Watch())

    @error_card()
    def look(looking: bool) -> None:
        if session().rerun:
            session().rerun = False
            st.rerun()
        active = watch.active()  # once: the next look sees a job that ends while the page is drawn
        with st.container(key="state"):  # always, so that what follows keeps its place in the tree
            watch.show_state()
        found = watch.found(worth)
        if found is None:
            st.skeleton(height=300)
        else:
            draw(found)
        if looking and not active:  # all results are on the page; it stops looking
            st.rerun()
        if active:  # at the end, so that the browser has everything before it asks again
            watch.looks += 1
            ask_again(watch.looks, watch.pause(tick))

    watch.follow(task, session().automatic)
    st.fragment(look)(watch.active())
    return watch.found(worth)


def _state(job: Job[Any]) -> str:
    """Return what is being done and the estimated time left, or the position in the queue."""
    if job.state != "queued":
        left, behind = job.left or 0.0, JOBS.behind(job)
        time = f", about {left:.0f} s left" if left >= SHORTEST_ESTIMATE else ""
        return job.message + time + (f"; {_analyses(behind)} queued behind this one" if behind else "")
    ahead, seconds = JOBS.ahead(job), JOBS.wait(job)
    queued = f"Queued behind {_analyses(ahead + 1)}"
    return queued if seconds is None else f"{queued}, about {max(1, round(seconds))} s"


def _analyses(count: int) -> str:
    return "1 analysis" if count == 1 else f"{count} analyses"
