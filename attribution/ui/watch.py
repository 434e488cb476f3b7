"""A page's connection to its job: submit a task, show its progress and results, cancel it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import streamlit as st

from attribution.network.scorer import IMAGE_MEMORY_SHARE
from attribution.refusal import Refusal
from attribution.system.memory import has_room
from attribution.ui.error_card import error_card
from attribution.ui.polling import poll_again
from attribution.ui.session import address, is_connected, rerun_if_requested, rerun_page, session
from attribution.work.jobs import Job, Jobs

R = TypeVar("R")
POLL_INTERVAL = 0.3  # seconds from the end of one poll to the next
MIN_SHOWN_ESTIMATE = 3.0  # seconds; a shorter remaining time is not shown
MIN_POLL_INTERVAL = 0.05
MAX_POLL_INTERVAL = 5.0  # seconds between two polls of a job that shares its device, at most
POLLS_PER_AGE = 5.0  # polls in the time since such a job was submitted
STARTING = "Starting"  # until the job says what it does
LAST_RESULT_NOTE = "Showing the last finished result."


class Task(Protocol[R]):
    """A computation that a user has requested."""

    @property
    def key(self) -> str:
        """Cache key; must change whenever the result would."""

    @property
    def device(self) -> str:
        """The device that the task needs."""

    @property
    def model(self) -> str:
        """The model's key, for the log."""

    def compute(self, job: Job[R]) -> R:
        """Return the result; called in the job's thread."""

    def remembered(self) -> R | None:
        """Return the cached result, or None."""


# Per process; not in a Streamlit cache, which any browser can clear.
JOBS: Jobs[Any] = Jobs(alive=is_connected, room=lambda: has_room(IMAGE_MEMORY_SHARE))


@dataclass
class Watch(Generic[R]):
    """The job of one page in one session.

    Attributes:
        job: The last submitted job.
        outcome: The last finished result.
        status: "following": the job is shown; "requested": a button was pressed; "outdated": the choices have changed
            since; "refused": no job could be queued, but retrying may help;
            "missing": something must be chosen first.
        sentence: The reason for "refused" and "missing".
        left: True if this session has cancelled the job.
        polls: Number of polls so far.
    """

    job: Job[R] | None = None
    outcome: R | None = None
    status: Literal["following", "requested", "outdated", "refused", "missing"] = "following"
    sentence: str = ""
    left: bool = False
    polls: int = 0

    def follow(self, task: Task[R] | str, automatic: bool) -> None:
        """Submit the task, unless it is already submitted or must wait for a click.

        Args:
            task: The chosen task, or a message naming what is missing.
            automatic: True if a change starts a job without a click. The first task of a page always does.
        """
        if isinstance(task, str):
            self.status, self.sentence = "missing", task
            return
        requested = self.status == "requested"
        changed = self.job is not None and self.job.key != task.key
        ended = self.job is not None and (self.job.state == "cancelled" or (self.job.active and not self.active()))
        if changed and not automatic and not requested:
            self.status = "outdated"
        else:
            self.status = "following"
            if self.job is None or changed or requested or (ended and not self.left):
                self._submit(task)

    def _submit(self, task: Task[R]) -> None:
        self.left = False
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
        """True if this session is waiting for the job."""
        return self.job is not None and self.job.active and self.job.look(session().owner)

    def found(self, worth: Callable[[R], bool]) -> R | None:
        """Return the result to show.

        Args:
            worth: Returns True if an unfinished result, also of a cancelled job, should replace the last finished one.
        """
        if self.job and self.job.result is not None:
            self.outcome = self.job.result
        so_far = self.job.so_far if self.job else None
        return so_far if so_far is not None and (self.outcome is None or worth(so_far)) else self.outcome

    def pause(self, tick: float) -> float:
        """Return the seconds until the next poll.

        Fewer than `tick` at the beginning and near the expected end of a job, so that its result is seen at once; more
        while it shares its device with others, to limit the load of many sessions.
        """
        if self.job is None:
            return tick
        expected = MAX_POLL_INTERVAL if self.job.left is None else self.job.left
        if JOBS.others(self.job):
            return max(tick, min(MAX_POLL_INTERVAL, self.job.age / POLLS_PER_AGE, expected))
        return max(MIN_POLL_INTERVAL, min(tick, self.job.seconds / 2, expected))

    def show_state(self, shown: R | None) -> None:
        """Show the job's status line and its buttons, above a result."""
        last = f" {LAST_RESULT_NOTE}" if shown is not None and shown is self.outcome else ""
        if self.status in ("missing", "refused"):
            st.warning(self.sentence + last, icon=":material/info:")
            if self.status == "refused":
                st.button("Try again", on_click=self.request)
        elif self.job is None:
            return
        elif self.status == "outdated":
            self._line("The settings have changed since the last computation.", "Compute")
        elif self.active():
            with st.container(horizontal=True, vertical_alignment="center", key="status"):
                st.progress(self.job.fraction, text=_state(self.job) + (last and f".{last}"))
                st.button("Cancel", on_click=self._leave)
        elif self.job.state == "failed":
            st.error(self.job.sentence + last, icon=":material/error:")
            st.button("Try again", on_click=self.request)
        elif self.job.state == "cancelled" or self.left:
            self._line(f"Cancelled.{last}", "Compute")

    def request(self) -> None:
        """Submit the current task on the next run of the page."""
        self.status = "requested"
        rerun_page()

    def _leave(self) -> None:
        """Cancel for this session; the job continues if another session is waiting for it."""
        JOBS.cancel(session().owner)
        self.left = True
        rerun_page()

    def _line(self, sentence: str, button: str) -> None:
        with st.container(horizontal=True, vertical_alignment="center", key="status"):
            st.info(sentence, icon=":material/info:")
            st.button(button, on_click=self.request, type="primary")


def show(
    page: str,
    task: Task[R] | str,
    draw: Callable[[R], None],
    worth: Callable[[R], bool] = lambda so_far: True,
    tick: float = POLL_INTERVAL,
    wait: Callable[[], object] | None = None,
) -> R | None:
    """Follow a task and show its results, in a fragment, until it has finished.

    Args:
        page: Name of the page; the session stores its watch under it.
        task: The chosen task, or a message naming what is missing.
        draw: Shows a result, finished or not.
        worth: As for `Watch.found`.
        tick: Seconds from the end of one poll to the next.
        wait: Shows what takes the place of a result until there is one. Default: a skeleton, unless something must be
            chosen first.

    Returns:
        The result shown on the page.
    """
    watch: Watch[R] = session().watches.setdefault(page, Watch())

    @error_card()
    def poll(polling: bool) -> None:
        rerun_if_requested()
        active = watch.active()  # read once: a job that ends while the page is drawn is seen by the next poll
        if polling and not active:  # the whole page shows the result, once; it does not poll
            st.rerun()
        found = watch.found(worth)
        with st.container(key="state"):  # always present, so that later elements keep their position
            watch.show_state(found)
        if found is not None:
            draw(found)
        elif wait:
            wait()
        elif watch.status != "missing":
            st.skeleton(height=300)
        if active:  # last, so that the browser has drawn everything before it polls again
            watch.polls += 1
            poll_again(watch.polls, watch.pause(tick))

    watch.follow(task, session().automatic)
    st.fragment(poll)(watch.active())
    return watch.found(worth)


def is_computing(page: str) -> bool:
    """True if this session is waiting for the job of a page."""
    watch = session().watches.get(page)
    return watch is not None and watch.active()


def _state(job: Job[Any]) -> str:
    """Return the current activity with the estimated time left and the number of other people's analyses."""
    if job.state == "queued":
        ahead = JOBS.ahead(job)
        return f"Queued behind {_analyses(ahead)}" if ahead else STARTING
    left, others = job.left or 0.0, JOBS.others(job)
    time = f", about {left:.0f} s left" if left >= MIN_SHOWN_ESTIMATE else ""
    return (
        (job.message or STARTING)
        + time
        + (f"; sharing the processor with {_analyses(others, 'other ')}" if others else "")
    )


def _analyses(count: int, kind: str = "") -> str:
    return f"1 {kind}analysis" if count == 1 else f"{count} {kind}analyses"
