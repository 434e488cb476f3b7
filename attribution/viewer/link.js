// The address bar, which always contains the whole analysis, and the button that copies it.

import { element } from "./elements.js";
import { Group } from "./group.js";

export class Link {
  constructor(root) {
    this.button = element("button", { type: "button", textContent: "Copy link" });
    this.button.onclick = () => this.copy();
    this.note = element("div", { className: "note" });
    this.note.setAttribute("role", "status");
    root.append(this.button, this.note);
  }

  update(header) {
    this.header = header;
    this.group = Group.named(header.group);
    this.group.restore(header);
    this.group.links.add(this);
    this.note.textContent = header.note;
    this.write();
  }

  /** Update the address bar after a delay, since browsers limit the rate of changes. */
  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.write(), 250);
  }

  write() {
    const view = this.group.parts.map(([name, value]) => `${name}=${value}`);
    const query = [this.header.query, ...view].filter(Boolean).join("&");
    const { pathname, search, hash } = window.location;
    const wanted = query ? `?${query}` : "";
    if (search + hash !== wanted) window.history.replaceState(window.history.state, "", pathname + wanted);
  }

  async copy() {
    this.write();
    let said = "Link copied.";
    try {
      await navigator.clipboard.writeText(window.location.href);
    } catch {
      said = "The browser blocked copying; copy the link from the address bar instead.";
    }
    this.note.textContent = `${said} ${this.header.note}`;
  }

  remove() {
    clearTimeout(this.timer);
    this.group.links.delete(this);
  }
}
