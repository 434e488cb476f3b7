// The linked map viewer: one component instance per panel, toolbar or link; the instances of a group are linked.
// A panel receives its data once; zoom, colours, thresholds and readouts are handled in the browser alone.

import { element } from "./elements.js";
import { Link } from "./link.js";
import { Panel } from "./panel.js";
import { Toolbar } from "./toolbar.js";
import { unpack } from "./unpack.js";

const shown = new WeakMap(); // parentElement -> Panel, Toolbar or Link
const makers = {
  toolbar: (root, trigger) => new Toolbar(root, trigger && ((view) => trigger("export", view))),
  link: (root) => new Link(root),
  panel: (root, trigger) => new Panel(root, (pixel) => trigger?.("pixel", pixel)),
};

/** Show a message in an element. Called by Streamlit when its data or the theme changes; by a report, once. */
export default function mount({ data, parentElement, setTriggerValue }) {
  const { header, body } = unpack(data);
  if (!shown.has(parentElement)) {
    const root = element("div", { className: ["map", "partial"].includes(header.kind) ? "panel" : `panel ${header.kind}` });
    parentElement.append(root);
    shown.set(parentElement, (makers[header.kind] ?? makers.panel)(root, setTriggerValue));
  }
  const instance = shown.get(parentElement);
  instance.update(header, body);
  return () => {
    instance.remove();
    shown.delete(parentElement);
  };
}
