// The most probable classes as buttons, each over a bar of its probability; a click explains the class.

import { element } from "./elements.js";

export class Classes {
  constructor(root, send) {
    this.root = root;
    this.send = send;
  }

  update({ entries }) {
    const buttons = entries.map(({ name, text, share, explained }, place) => {
      const button = element("button", { type: "button", title: "Explain this class" });
      button.append(element("span", { textContent: name }), element("span", { className: "share", textContent: text }));
      button.style.setProperty("--share", `${Math.round(100 * share)}%`);
      button.setAttribute("aria-pressed", String(explained));
      button.onclick = () => this.send({ place });
      return button;
    });
    this.root.replaceChildren(...buttons);
  }

  remove() {}
}
