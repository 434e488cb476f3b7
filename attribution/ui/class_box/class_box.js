// Boxes in which classes are found by typing: comboboxes whose list is filtered, drawn and chosen from in the browser.
// The names of a model arrive in a message of their own, once; the boxes then refer to them.

import { contains, find, searchable } from "./find.js";

const UNSET = -1; // option of a box without a class
const KEPT = 4; // lists of names, those of the last models
const PAGE = 8; // options that Page Up and Page Down skip
const SPARE = 4; // options drawn above and below the visible ones
const ROW = globalThis.matchMedia?.("(pointer: coarse)").matches ? 44 : 32; // pixels; the same for all options

const models = new Map(); // id -> labels and keys
const forms = new Map(); // parentElement -> Form
let boxCount = 0;

function element(kind, properties = {}, attributes = {}) {
  const made = Object.assign(document.createElement(kind), properties);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** One box with its list. */
class Box {
  constructor(root, send) {
    this.root = root;
    this.send = send;
    this.id = `class-box-${boxCount++}`;
    this.caption = element("label", { htmlFor: this.id });
    this.chips = element("div", { className: "chips" });
    this.input = element(
      "input",
      { id: this.id, type: "text", autocomplete: "off", spellcheck: false },
      { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": `${this.id}-list` },
    );
    this.field = element("div", { className: "field" });
    this.field.append(this.chips, this.input);
    this.count = element("div", { className: "count" }, { role: "status" });
    this.rows = element("div", { className: "rows" }, { role: "presentation" });
    this.list = element("div", { className: "list", id: `${this.id}-list` }, { role: "listbox", tabindex: "-1" });
    this.list.append(this.rows);
    this.hint = element("div", { className: "hint" }, { "aria-hidden": "true" });
    this.popup = element("div", { className: "popup" }, { popover: "manual" });
    this.popup.append(this.list, this.hint);
    root.append(this.caption, this.field, this.count, this.popup);
    this.matches = [];
    this.active = 0;
    this.listen();
  }

  update(facts, model) {
    this.facts = facts;
    this.model = model;
    this.chosen = facts.chosen;
    this.caption.textContent = facts.label;
    this.list.setAttribute("aria-label", facts.label);
    this.input.title = facts.hint;
    this.showChosen();
    if (this.isOpen) this.search(); // what is being typed stays
    else this.input.value = this.text;
  }

  get isOpen() {
    return this.popup.matches(":popover-open");
  }

  get isSingle() {
    return this.facts.most === 1;
  }

  get isFull() {
    return !this.isSingle && this.chosen.length >= this.facts.most;
  }

  /** What the closed box reads. */
  get text() {
    return this.isSingle ? this.label(this.chosen[0] ?? UNSET) : "";
  }

  label(index) {
    return index === UNSET ? this.facts.unset : this.model.labels[index];
  }

  showChosen() {
    const chips = this.isSingle ? [] : this.chosen.map((index) => this.chip(index));
    this.chips.replaceChildren(...chips);
    this.input.placeholder = this.isSingle ? "" : this.isFull ? `At most ${this.facts.most}` : this.facts.unset;
  }

  chip(index) {
    const label = this.label(index);
    const button = element("button", { type: "button", className: "chip" }, { "aria-label": `Remove ${label}` });
    button.append(element("span", { textContent: label }), element("span", { textContent: "\u00d7" }));
    button.onclick = () => this.remove(index);
    return button;
  }

  open() {
    if (this.isOpen || this.isFull) return;
    this.typed = "";
    this.input.select();
    this.input.setAttribute("aria-expanded", "true");
    this.popup.showPopover();
    this.search();
    this.place();
  }

  close() {
    if (!this.isOpen) return;
    this.popup.hidePopover();
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
    this.count.textContent = "";
    this.input.value = this.text;
  }

  /** Place the list below the box, or above where there is more room. */
  place() {
    const box = this.field.getBoundingClientRect();
    const height = visualViewport?.height ?? innerHeight;
    const [above, below] = [box.top - 8, height - box.bottom - 8];
    const up = below < 6 * ROW && above > below;
    Object.assign(this.popup.style, {
      maxHeight: `${Math.max(3 * ROW, Math.min(11 * ROW, up ? above : below))}px`,
      left: `${box.left}px`,
      width: `${box.width}px`,
      top: up ? "auto" : `${box.bottom + 4}px`,
      bottom: up ? `${innerHeight - box.top + 4}px` : "auto",
    });
    this.drawRows();
  }

  /** Find what matches the typed text; the chosen class is active before anything is typed, then the best match. */
  search() {
    const taken = new Set(this.isSingle ? [] : [...this.chosen, ...this.facts.without]);
    this.matches = find(this.model.keys, this.typed).filter((index) => !taken.has(index));
    if (this.isSingle && contains(this.facts.unset.toLowerCase(), this.typed)) this.matches.unshift(UNSET);
    const count = this.matches.length;
    const said = count ? `${count.toLocaleString("en")} ${count === 1 ? "match" : "matches"}` : "No class matches.";
    this.count.textContent = said;
    this.hint.textContent = this.typed ? said : this.facts.hint;
    this.rows.style.height = `${count * ROW}px`;
    this.list.scrollTop = 0;
    this.activate(this.typed ? 0 : Math.max(0, this.matches.indexOf(this.chosen[0] ?? UNSET)));
  }

  activate(place) {
    this.active = Math.max(0, Math.min(this.matches.length - 1, place));
    const top = this.active * ROW;
    const { scrollTop, clientHeight } = this.list;
    if (top < scrollTop) this.list.scrollTop = top;
    else if (top + ROW > scrollTop + clientHeight) this.list.scrollTop = top + ROW - clientHeight;
    this.drawRows();
    if (this.matches.length) this.input.setAttribute("aria-activedescendant", `${this.id}-${this.active}`);
    else this.input.removeAttribute("aria-activedescendant");
  }

  /** Draw the options that can be seen, and the active one. */
  drawRows() {
    const first = Math.max(0, Math.floor(this.list.scrollTop / ROW) - SPARE);
    const last = Math.min(this.matches.length, first + Math.ceil(this.list.clientHeight / ROW) + 2 * SPARE);
    const places = Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
    if (this.matches.length && !places.includes(this.active)) places.push(this.active);
    this.rows.replaceChildren(...places.map((place) => this.row(place)));
  }

  row(place) {
    const index = this.matches[place];
    const selected = this.isSingle && index === (this.chosen[0] ?? UNSET);
    const row = element(
      "div",
      { id: `${this.id}-${place}`, textContent: this.label(index), title: this.label(index) },
      { role: "option", "aria-selected": selected, "aria-posinset": place + 1, "aria-setsize": this.matches.length },
    );
    row.className = place === this.active ? "option active" : "option";
    row.style.cssText = `top: ${place * ROW}px; height: ${ROW}px; line-height: ${ROW}px`;
    row.onclick = () => this.choose(index);
    return row;
  }

  choose(index) {
    if (this.isSingle) {
      this.chosen = index === UNSET ? [] : [index];
      this.close();
    } else {
      this.chosen = [...this.chosen, index];
      this.input.value = this.typed = "";
      if (this.isFull) this.close();
      else this.search();
    }
    this.done();
  }

  remove(index) {
    this.chosen = this.chosen.filter((each) => each !== index);
    this.done();
    this.input.focus();
  }

  done() {
    this.showChosen();
    if (this.isOpen) this.place();
    this.send({ box: this.facts.name, model: this.model.id, chosen: this.chosen });
  }

  listen() {
    const { input, list } = this;
    const moved = () => this.isOpen && this.place();
    this.popup.onmousedown = (event) => event.preventDefault(); // the box keeps the focus
    list.onscroll = () => this.drawRows();
    input.onclick = () => this.open();
    input.onblur = () => this.close();
    input.oninput = () => {
      const typed = input.value;
      this.open();
      this.typed = input.value = typed;
      if (this.isOpen) this.search();
    };
    input.onkeydown = (event) => {
      if (event.isComposing || event.ctrlKey || event.metaKey || event.shiftKey) return;
      const steps = {
        ArrowDown: this.active + 1,
        ArrowUp: this.active - 1,
        PageDown: this.active + PAGE,
        PageUp: this.active - PAGE,
        Home: 0,
        End: this.matches.length - 1,
      };
      if (!this.isOpen) {
        if (event.key === "Backspace" && !input.value && this.chosen.length) this.remove(this.chosen.at(-1));
        else if (["ArrowDown", "ArrowUp", "Enter"].includes(event.key)) this.open();
        else return;
      } else if (event.key in steps) this.activate(steps[event.key]);
      else if (event.key === "Enter") {
        if (this.matches.length) this.choose(this.matches[this.active]);
      } else if (event.key === "Escape") {
        event.stopPropagation(); // closes the list only, not what surrounds the box
        this.close();
      } else if (event.key === "Backspace" && !input.value && !this.isSingle && this.chosen.length) {
        this.remove(this.chosen.at(-1));
        this.search();
      } else return;
      event.preventDefault();
    };
    addEventListener("scroll", moved, true);
    addEventListener("resize", moved);
    this.unlisten = () => {
      removeEventListener("scroll", moved, true);
      removeEventListener("resize", moved);
    };
  }
}

/** The boxes of one mount. */
class Form {
  constructor(root, send) {
    this.root = root;
    this.send = send;
    this.boxes = new Map(); // name -> Box
  }

  update(data) {
    this.data = data;
    const model = models.get(data.model);
    if (!model) return; // its names follow
    for (const [name, box] of this.boxes) if (!data.boxes.some((facts) => facts.name === name)) this.drop(name, box);
    for (const facts of data.boxes) {
      if (!this.boxes.has(facts.name)) this.boxes.set(facts.name, new Box(element("div", { className: "box" }), this.send));
      const box = this.boxes.get(facts.name);
      if (!box.root.isConnected) this.root.append(box.root);
      box.update(facts, model);
    }
  }

  drop(name, box) {
    box.unlisten();
    box.root.remove();
    this.boxes.delete(name);
  }

  remove() {
    for (const [name, box] of this.boxes) this.drop(name, box);
  }
}

function remember({ model, names }) {
  if (models.has(model)) return;
  const labels = names.map((name, index) => `${name} (${index})`);
  models.set(model, { id: model, labels, keys: searchable(labels) });
  if (models.size > KEPT) models.delete(models.keys().next().value);
  for (const form of forms.values()) if (form.data.model === model) form.update(form.data);
}

/** Called by Streamlit with the names of a model, or with the boxes and what is chosen in them. */
export default function ({ data, parentElement, setTriggerValue }) {
  const message = JSON.parse(new TextDecoder().decode(data));
  if (message.names) return remember(message);
  if (!forms.has(parentElement)) {
    const root = element("div", { className: "boxes" });
    parentElement.append(root);
    forms.set(parentElement, new Form(root, (choice) => setTriggerValue("choice", choice)));
  }
  forms.get(parentElement).update(message);
  return () => {
    forms.get(parentElement)?.remove();
    forms.delete(parentElement);
  };
}
