// The sandbox of three neurons: the drawing, what each rule returns, and the choice of class and example.

import { element } from "../../viewer/elements.js";
import { Diagram } from "./diagram.js";
import { network, RULES } from "./rules.js";
import { filled, shown } from "./scrub.js";

const NARROW = 680; // pixels below which the drawing is the tall one
const SILENCE = 400; // milliseconds without a change before it is said
let views = 0; // so far, for the names of radio buttons

export class NeuronsView {
  constructor(root, change) {
    Object.assign(this, { root, change, name: `sandbox-class-${views++}`, chosen: 1 });
    this.scroll = element("div", { className: "scroll" });
    this.key = element("p", { className: "key" });
    this.table = element("table");
    this.choices = element("div", { className: "choices" });
    this.said = element("p", { className: "said" });
    this.said.setAttribute("role", "status");
    const below = element("div", { className: "below" });
    below.append(this.table, this.choices);
    root.append(this.scroll, this.key, below, this.said);
    this.sized = new ResizeObserver(() => this.resize());
    this.sized.observe(root);
  }

  remove() {
    this.sized.disconnect();
    clearTimeout(this.saying);
  }

  show(message, state) {
    const isNew = message !== this.message;
    Object.assign(this, { message, state });
    for (const [index, out] of Object.entries(OUT)) if (alike(out, state.out)) this.chosen = Number(index);
    const skips = message.controls.includes("weights") || state.skip.some(Boolean);
    if (isNew || skips !== this.skips) {
      this.skips = skips;
      if (isNew) this.surround();
      this.draw();
    }
    this.update();
    clearTimeout(this.saying);
    this.saying = setTimeout(() => this.say(), isNew ? 0 : SILENCE);
  }

  /** Everything but the drawing. */
  surround() {
    const { controls, presets, words } = this.message;
    this.updates = [];
    this.key.textContent = words.key;
    this.table.replaceChildren(...this.rows());
    this.choices.replaceChildren(this.classes(controls.includes("class"), words));
    if (controls.includes("presets")) this.choices.append(this.presets(presets, words));
  }

  rows() {
    const { focus, reveal, words } = this.message;
    const caption = element("caption", { textContent: words.table });
    const [head, row] = [element("tr"), element("tr")];
    head.append(element("td"));
    row.append(element("th", { scope: "row", textContent: "(x1, x2)" }));
    for (const rule of RULES) {
      const className = rule === focus ? "focus" : "";
      const name = element("th", { scope: "col", className });
      name.append(element("b", { className: rule, textContent: words[`${rule}_short`] }), ` ${words[rule]}`);
      const found = element("td", { className });
      this.updates.push(() => (found.textContent = reveal ? `(${this.found.maps[rule].map(shown).join(", ")})` : "?"));
      head.append(name);
      row.append(found);
    }
    return [caption, head, row];
  }

  classes(free, words) {
    const label = (index) => words[`class_${index}`];
    if (!free) {
      const text = element("p");
      this.updates.push(() => (text.textContent = this.class ? label(this.class) : words.class_own));
      return text;
    }
    const set = element("fieldset");
    set.append(element("legend", { textContent: words.class }));
    for (const index of Object.keys(OUT).map(Number)) {
      const radio = element("input", { type: "radio", name: this.name, value: index });
      radio.onchange = () => this.change({ ...this.state, out: [...OUT[index]] });
      radio.onkeydown = (event) => event.stopPropagation(); // the arrows also turn the pages of a presentation
      this.updates.push(() => (radio.checked = this.class === index));
      const part = element("label");
      part.append(radio, ` ${label(index)}`);
      set.append(part);
    }
    return set;
  }

  presets(names, words) {
    const group = element("div", { className: "presets" });
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", words.presets);
    group.append(element("span", { textContent: words.presets }));
    for (const name of names) {
      const button = element("button", { type: "button", textContent: words[`preset_${name}`] });
      button.onclick = () => this.change(this.preset(name));
      this.updates.push(() => button.setAttribute("aria-pressed", alike(this.preset(name), this.state)));
      group.append(button);
    }
    return group;
  }

  /** The state of an example; one without direct edges keeps the class. */
  preset(name) {
    const found = structuredClone(PRESETS[name]);
    return found.skip.some(Boolean) ? found : { ...found, out: [...OUT[this.chosen]] };
  }

  /** The class whose weights these are, or 0. */
  get class() {
    const found = Object.keys(OUT).find((index) => alike(OUT[index], this.state.out));
    return this.state.skip.some(Boolean) ? 0 : Number(found ?? 0);
  }

  draw() {
    const { controls, focus, reveal, words } = this.message;
    this.tall = this.root.clientWidth < NARROW;
    const options = { tall: this.tall, skips: this.skips, allowed: new Set(controls), words, focus, reveal };
    this.diagram = new Diagram(options, () => this.state, this.change);
    this.scroll.replaceChildren(this.diagram.root);
  }

  update() {
    this.found = network(this.state);
    this.diagram.update(this.found);
    for (const each of this.updates) each();
  }

  resize() {
    if (!this.message) return;
    if (this.tall !== this.root.clientWidth < NARROW) {
      this.draw();
      this.update();
    }
    const scrolls = this.scroll.scrollWidth > this.scroll.clientWidth;
    for (const [name, value] of [["tabindex", 0], ["role", "region"], ["aria-label", this.message.words.diagram]]) {
      if (scrolls) this.scroll.setAttribute(name, value);
      else this.scroll.removeAttribute(name);
    }
  }

  /** One sentence when the hand rests. */
  say() {
    const { reveal, words } = this.message;
    const maps = RULES.map((rule) => `${words[rule]} (${this.found.maps[rule].map(shown).join(", ")})`);
    const said = [filled(words.score_said, { score: shown(this.found.score) }), ...(reveal ? maps : [])].join("; ");
    if (said !== this.said.textContent) this.said.textContent = said;
  }
}

function alike(one, other) {
  const parts = (value) => JSON.stringify([value.x, value.into, value.out, value.skip]);
  return Array.isArray(one) ? one.join() === other.join() : parts(one) === parts(other);
}
