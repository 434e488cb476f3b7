"""Polling of a job, paced by the browser: the next poll starts once the last one has been drawn.

A fixed timer would poll regardless of the connection. Streamlit 1.67 queues at most 500 messages per browser and
silently drops the session when the queue overflows; the page would then never update again.
"""

import streamlit as st

_SCRIPT = """
const RETRY_DELAY = 10000; // milliseconds before a lost poll is repeated
const PATIENCE = 50; // milliseconds until another look at a page that is running
const timers = new WeakMap(); // parentElement -> timer

export default function ({ data, parentElement, setTriggerValue }) {
  const poll = () => {
    // A poll carries the values of all widgets. During a run it would bring those back that the run has just changed.
    const state = document.querySelector("[data-test-script-state]")?.dataset.testScriptState;
    if (state && state !== "notRunning") return timers.set(parentElement, setTimeout(poll, PATIENCE));
    setTriggerValue("poll", data.number);
    timers.set(parentElement, setTimeout(poll, RETRY_DELAY));
  };
  clearTimeout(timers.get(parentElement));
  timers.set(parentElement, setTimeout(poll, data.after));
  return () => clearTimeout(timers.get(parentElement));
}
"""

_mount = st.components.v2.component("polling", js=_SCRIPT)


def poll_again(number: int, after: float, key: str = "polling") -> None:
    """Rerun the surrounding fragment after a delay.

    Args:
        number: Number of this poll; must differ from the last one.
        after: Delay in seconds, from when the browser has drawn this run.
        key: Unique on the page. Default: for a page's only poll.
    """
    _mount(data={"number": number, "after": round(1000 * after)}, key=key, on_poll_change=lambda: None)
