// The sandboxes. The hand's values are the browser's; the server sets them when it says so, and hears of them later.

import { element } from "../../viewer/elements.js";
import { unpack } from "../../viewer/unpack.js";
import { SaturationView } from "./saturation.js";
import { NeuronsView } from "./three_neurons.js";

const VIEWS = { neurons: NeuronsView, saturation: SaturationView };
const REST = 400; // milliseconds after the last change until the hand rests
const sandboxes = new WeakMap(); // parentElement -> Sandbox

class Sandbox {
  constructor(root, kind, send) {
    this.send = send;
    this.view = new VIEWS[kind](root, (state) => this.change(state));
  }

  update({ state, restored, ...message }) {
    if (restored !== this.restored) {
      clearTimeout(this.timer);
      this.state = state;
      this.restored = restored;
    }
    const text = JSON.stringify(message);
    if (text !== this.text) Object.assign(this, { message, text }); // else nothing is built anew under the hand
    this.view.show(this.message, this.state);
  }

  change(state) {
    this.state = state;
    this.view.show(this.message, state);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send("changed", { ...this.state, restored: this.restored }), REST);
  }

  remove() {
    clearTimeout(this.timer);
    this.view.remove?.();
  }
}

globalThis.lessonSandbox ??= Promise.withResolvers();
globalThis.lessonSandbox.resolve(({ data, parentElement, setTriggerValue }) => {
  const message = unpack(data).header;
  if (!sandboxes.has(parentElement)) {
    const root = element("div", { className: "sandbox" });
    parentElement.append(root);
    sandboxes.set(parentElement, new Sandbox(root, message.kind, setTriggerValue));
  }
  sandboxes.get(parentElement).update(message);
  return () => {
    sandboxes.get(parentElement)?.remove();
    sandboxes.delete(parentElement);
  };
});

/** Called by Streamlit, only to bring the script. */
export default function () {}
