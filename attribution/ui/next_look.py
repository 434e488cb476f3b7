"""Have the browser ask for the next look at a job once it has taken in the last one.

A timer asks again and again, however slow the line. Streamlit 1.67 keeps 500 messages for a browser and drops the
session silently when they are not read in time: the page then never changes again.
"""

import streamlit as st

_ASK = """
const PATIENCE = 10000; // milliseconds after which a lost look is requested again
const timers = new WeakMap(); // parentElement -> timer

export default function ({ data, parentElement, setTriggerValue }) {
  const ask = () => {
    setTriggerValue("look", data.number);
    timers.set(parentElement, setTimeout(ask, PATIENCE));
  };
  clearTimeout(timers.get(parentElement));
  timers.set(parentElement, setTimeout(ask, data.after));
  return () => clearTimeout(timers.get(parentElement));
}
"""

_mount = st.components.v2.component("next_look", js=_ASK)


def ask_again(number: int, after: float) -> None:
    """Run the surrounding fragment once more.

    Args:
        number: Of this look; another one than that of the last.
        after: Seconds from the moment at which the browser has drawn this.
    """
    _mount(data={"number": number, "after": round(1000 * after)}, key="next-look", on_look_change=lambda: None)
