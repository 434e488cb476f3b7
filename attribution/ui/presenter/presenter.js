// Keys of a clicker and a keyboard. They act only while this is on the page, and never inside inputs.

const MOVES = { PageDown: 1, ArrowRight: 1, PageUp: -1, ArrowLeft: -1 };
const LETTERS = ["a", "b", "c"];
const listeners = new WeakMap(); // parentElement -> Listener

class Listener {
  constructor(send) {
    this.send = send;
    this.pressed = (event) => this.press(event);
    this.screen = document.createElement("div");
    this.screen.setAttribute("role", "status");
    this.screen.style.cssText =
      "position: fixed; inset: 0; z-index: 1000000; background: #000; color: #767676; display: none; " +
      "place-content: end center; padding: 2rem; font: 1rem sans-serif;";
    this.screen.onclick = () => this.blank(false);
    document.body.append(this.screen);
    document.addEventListener("keydown", this.pressed);
  }

  press(event) {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || typed(event)) return;
    if (event.key === "." || event.key === "\u3002") this.blank(this.screen.style.display === "none");
    else if (event.key === "Escape" && this.blanked) this.blank(false);
    else if (event.key === "Escape") this.send("leave", true);
    else if (event.key in MOVES) this.send("move", { by: MOVES[event.key] });
    else if (LETTERS.includes(event.key.toLowerCase())) this.send("vote", { letter: event.key.toLowerCase() });
    else return;
    event.preventDefault();
  }

  get blanked() {
    return this.screen.style.display !== "none";
  }

  blank(on) {
    this.screen.style.display = on ? "grid" : "none";
    this.screen.textContent = on ? this.words : "";
  }

  remove() {
    document.removeEventListener("keydown", this.pressed);
    this.screen.remove();
  }
}

/** True if a key press belongs to an input, also one inside a component, or to a slider of its own. */
function typed(event) {
  return event.composedPath().some((each) => each.matches?.("input, textarea, select, [contenteditable=true], [role=slider], [role=dialog], canvas"));
}

export default function ({ data, parentElement, setTriggerValue }) {
  if (!listeners.has(parentElement)) listeners.set(parentElement, new Listener(setTriggerValue));
  const listener = listeners.get(parentElement);
  listener.words = data.blank;
  return () => {
    listener.remove();
    listeners.delete(parentElement);
  };
}
