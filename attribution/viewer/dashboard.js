// The viewer on a page of the dashboard. Streamlit sends a component's script with each of its messages; this one, which
// is long, belongs to a message that never changes and is therefore sent once. The panels (waiting.js) wait for it.

import { mount } from "./mount.js";

/* global STYLE -- by load_viewer() in ui/panels.py */

let styleSheet = null; // shared by all panels

globalThis.linkedViewer ??= Promise.withResolvers();
globalThis.linkedViewer.resolve((asked) => {
  if (!styleSheet) {
    styleSheet = new CSSStyleSheet();
    styleSheet.replaceSync(STYLE);
  }
  asked.parentElement.getRootNode().adoptedStyleSheets = [styleSheet];
  return mount(asked);
});

export default function () {}
