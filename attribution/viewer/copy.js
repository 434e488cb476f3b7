// A link with a button that copies it.

import { element } from "./elements.js";

export class Copy {
  constructor(root) {
    this.field = element("input", { type: "text", readOnly: true });
    this.field.setAttribute("aria-label", "Link");
    this.field.onfocus = () => this.field.select();
    const button = element("button", { type: "button", textContent: "Copy" });
    button.onclick = () => this.copy();
    this.note = element("div", { className: "note" });
    this.note.setAttribute("role", "status");
    root.append(this.field, button, this.note);
  }

  update({ link }) {
    this.field.value = link;
    this.note.textContent = "";
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.field.value);
      this.note.textContent = "Link copied.";
    } catch {
      this.field.select();
      this.note.textContent = "The browser blocked copying; the link is selected, press Ctrl+C.";
    }
  }

  remove() {}
}
