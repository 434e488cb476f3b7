"""The jobs of this server, and how a page follows one: it asks, looks, shows what there is, and can cancel."""

import atexit
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from attribution.refusal import Refusal
from attribution.ui.error_card import error_card
from attribution.ui.next_look import ask_again
from attribution.work.jobs import Job, Jobs

R = TypeVar("R")
TICK = 0.3  # seconds from the end of one look at a job to the next
LEFT = 3.0  # seconds from which on the rest of a job is told
LONGEST = 5.0  # seconds between two looks of a session that waits in the line
PATIENCE = 5.0  # seconds that a server which is told to stop waits for its jobs; Docker kills it after 10
UNKNOWN = 3.0  # seconds that are taken for a wait that cannot be told
LAST = "What stands below is the last that was finished."


class Task(Protocol[R]):
    """Something to compute, chosen by a person."""

    @property
    def key(self) -> str:
        """Changes whenever the result would."""

    @property
    def device(self) -> str:
        """Whose worker does it."""

    @property
    def model(self) -> str:
        """Key of the model, for the log."""

    def compute(self, job: Job[R]) -> R:
        """Do it; called on a worker's thread."""

    def remembered(self) -> R | None:
        """The result, if it is known already."""


_sessions: dict[str, str] = {}  # Streamlit's name of each session, by ours


@st.cache_resource
def _jobs() -> Jobs[Any]:
    jobs: Jobs[Any] = Jobs(alive=_alive)
    atexit.register(jobs.close, PATIENCE)
    return jobs


def _alive(owner: str) -> bool:
    """Whether a browser is connected to a session."""
    if not st.runtime.exists():  # a test without a server
        return True
    return st.runtime.get_instance().is_active_session(_sessions.get(owner, ""))


@dataclass
class Watch(Generic[R]):
    """What one page of one session waits for.

    Attributes:
        job: The job that was asked for last.
        outcome: The last result that was finished.
        sentence: Why nothing could be asked for, for people.
        refused: Whether asking again could help.
        asked: Whether a button asked for the next run to compute.
        waiting: Whether the choices have changed and wait for a button.
        left: Whether this session has left its job.
        looks: How often the page has looked.
    """

    job: Job[R] | None = None
    outcome: R | None = None
    sentence: str = ""
    refused: bool = False
    asked: bool = False
    waiting: bool = False
    left: bool = False
    looks: int = 0

    def follow(self, task: Task[R] | str, automatic: bool) -> None:
        """Make sure that what was chosen is computed, unless it waits for a click.

        Args:
            task: What was chosen, or a sentence that says what is missing.
            automatic: Whether a change starts a job by itself. The first task of a page always does.
        """
        self.sentence, self.refused = task if isinstance(task, str) else "", False
        if isinstance(task, str):
            return
        changed = self.job is not None and self.job.key != task.key
        asked, self.asked = self.asked, False
        self.waiting = changed and not automatic and not asked
        gone = self.job is not None and (self.job.state == "cancelled" or (self.job.active and not self.active()))
        left = gone and not self.left  # for another page
        if self.waiting or not (self.job is None or changed or asked or left):
            return
        self.left = False
        if remembered := task.remembered():
            _jobs().cancel(_owner())
            self.job = Job.done(task.key, remembered)
            return
        about = {"session": _owner(), "task": type(task).__name__, "model": task.model}
        try:
            self.job = _jobs().submit(task.device, task.key, _owner(), task.compute, about)
        except Refusal as refusal:
            self.sentence, self.refused = str(refusal), True

    def active(self) -> bool:
        """Whether this session waits for the job."""
        return self.job is not None and self.job.active and not self.left and self.job.look(_owner())

    def found(self, worth: Callable[[R], bool]) -> R | None:
        """What is to be shown.

        Args:
            worth: Whether the outcome of a job at work shows more than the last one that was finished.
        """
        if self.job and self.job.result is not None:
            self.outcome = self.job.result
        so_far = self.job.so_far if self.job and self.active() else None
        return so_far if so_far is not None and (self.outcome is None or worth(so_far)) else self.outcome

    def patience(self, tick: float) -> float:
        """Seconds until the next look: longer while others are served, so that a crowd does not slow them down."""
        if self.job is None or self.job.state != "queued":
            return tick
        wait = _jobs().wait(self.job)
        return max(tick, min(LONGEST, (UNKNOWN if wait is None else wait) / 2))

    def show_state(self) -> None:
        """One line about the job, with what can be done about it."""
        last = f" {LAST}" if self.outcome is not None else ""
        if self.sentence:
            st.warning(self.sentence + last, icon=":material/info:")
            if self.refused:
                st.button("Try again", on_click=self.ask)
        elif self.job is None:
            return
        elif self.waiting:
            self._line("The choices have changed since this was computed.", "Compute")
        elif self.active():
            with st.container(horizontal=True, vertical_alignment="center"):
                st.progress(self.job.fraction, text=_state(self.job) + (last and f".{last}"))
                st.button("Cancel", on_click=self._leave)
        elif self.job.state == "failed":
            st.error(self.job.sentence + last, icon=":material/error:")
            st.button("Try again", on_click=self.ask)
        elif self.job.state == "cancelled" or self.left:
            self._line(f"Cancelled.{last}", "Compute")

    def ask(self) -> None:
        """Have the next run of the page compute what is chosen."""
        self.asked = True
        rerun_all()

    def _leave(self) -> None:
        """Cancel for this session; a job that another session waits for goes on."""
        _jobs().cancel(_owner())
        self.left = True
        rerun_all()

    def _line(self, sentence: str, button: str) -> None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(sentence, icon=":material/info:")
            st.button(button, on_click=self.ask, type="primary")


def rerun_all() -> None:
    """Have the whole page run again; called by buttons inside what a page shows, which run that part only."""
    st.session_state.whole = True


def show(
    page: str,
    task: Task[R] | str,
    automatic: bool,
    draw: Callable[[R], None],
    worth: Callable[[R], bool] = lambda so_far: True,
    tick: float = TICK,
) -> R | None:
    """Follow a task and show what comes, without the sidebar, until all of it is there.

    Args:
        page: Where its watch is kept in the session.
        task: What was chosen, or a sentence that says what is missing.
        automatic: As for `Watch.follow`.
        draw: Shows a result, also one that is not finished.
        worth: As for `Watch.found`.
        tick: Seconds from the end of one look to the next.

    Returns:
        What is shown.
    """
    watch: Watch[R] = st.session_state.setdefault(f"watch-{page}", Watch())

    @error_card()
    def look(looking: bool) -> None:
        if st.session_state.pop("whole", False):
            st.rerun()
        active = watch.active()  # asked once: a job that ends while the page is drawn is seen by the next look
        with st.container(key="state"):  # always there, so that what stands below keeps its place in the tree
            watch.show_state()
        found = watch.found(worth)
        if found is None:
            st.skeleton(height=300)
        else:
            draw(found)
        if looking and not active:  # what came is there already; the page stops looking
            st.rerun()
        if active:  # at the end, so that the browser has all of it before it asks again
            watch.looks += 1
            ask_again(watch.looks, watch.patience(tick))

    watch.follow(task, automatic)
    st.fragment(look)(watch.active())
    return watch.found(worth)


def _owner() -> str:
    """This session, for the jobs."""
    owner: str = st.session_state.setdefault("owner", uuid.uuid4().hex)
    if context := get_script_run_ctx():
        _sessions[owner] = context.session_id
    return owner


def _state(job: Job[Any]) -> str:
    """What is being done and how long it takes, or how long the line is."""
    if job.state != "queued":
        left, behind = job.left or 0.0, _jobs().behind(job)
        time = f", about {left:.0f} s left" if left >= LEFT else ""
        return job.message + time + (f"; {behind} {'waits' if behind == 1 else 'wait'} behind it" if behind else "")
    ahead, seconds = _jobs().ahead(job), _jobs().wait(job)
    others = f"Waiting for {ahead + 1} other analyses" if ahead else "Waiting for another analysis to end"
    return others if seconds is None else f"{others}, about {max(1, round(seconds))} s"
