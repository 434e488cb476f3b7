// Shows a message in an element: a panel, the toolbar, the classes or a link.

import { Classes } from "./classes.js";
import { Copy } from "./copy.js";
import { element } from "./elements.js";
import { Link } from "./link.js";
import { Panel } from "./panel.js";
import { Toolbar } from "./toolbar.js";
import { unpack } from "./unpack.js";

const shown = new WeakMap(); // parentElement -> Panel, Toolbar or Link
const makers = {
  toolbar: (root, trigger) => new Toolbar(root, trigger && ((view) => trigger("export", view))),
  link: (root, trigger) => new Link(root, trigger),
  copy: (root) => new Copy(root),
  classes: (root, trigger) => new Classes(root, (choice) => trigger?.("choice", choice)),
  panel: (root, trigger) => new Panel(root, (pixel) => trigger?.("pixel", pixel)),
};

/** Show a message in an element, or replace the one that it shows; `group` overrides the message's. */
export function mount({ data, parentElement, setTriggerValue, group }) {
  const { header, body } = unpack(data);
  if (group) header.group = group;
  if (!shown.has(parentElement)) {
    const root = element("div", { className: ["map", "partial", "pending"].includes(header.kind) ? "panel" : `panel ${header.kind}` });
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
