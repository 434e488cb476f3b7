// The stage: one image, a wipe between two or the difference of two maps, as large as the screen; for presentations.

import { difference } from "./difference.js";
import { element, labelled } from "./elements.js";
import { Panel } from "./panel.js";

const MODES = { one: "One", wipe: "Wipe", difference: "Difference" };
const KEYS = { o: "one", w: "wipe", d: "difference" };

export class Stage {
  constructor(root, group) {
    this.group = group;
    this.dialog = element("dialog", { className: "stage", tabIndex: -1 });
    this.dialog.setAttribute("aria-label", "Presentation");
    this.left = element("select");
    this.mode = element("select");
    this.right = element("select");
    for (const [value, textContent] of Object.entries(MODES)) this.mode.append(element("option", { value, textContent }));
    for (const control of [this.left, this.mode, this.right]) control.onchange = () => this.show();
    this.rightLabel = labelled("With", this.right);
    const full = element("button", { type: "button", textContent: "Full screen", title: "Key: f" });
    full.onclick = () => this.fill();
    const close = element("button", { type: "button", textContent: "Close", title: "Key: Escape" });
    close.onclick = () => this.dialog.close();
    const hint = element("span", { className: "hint", textContent: "Page up/down: other image; o, w, d: one, wipe, difference; f: full screen" });
    const controls = element("div", { className: "panel toolbar open" });
    controls.append(labelled("Image", this.left), labelled("Show", this.mode), this.rightLabel, full, close, hint);
    this.pair = element("div", { className: "pair" });
    this.slider = element("input", { type: "range", min: 0, max: 100, value: 50 });
    this.slider.setAttribute("aria-label", "Position of the wipe");
    this.slider.oninput = () => this.pair.style.setProperty("--wipe", `${this.slider.value}%`);
    this.empty = element("p", { className: "empty" });
    this.dialog.append(controls, this.pair, this.empty);
    this.dialog.addEventListener("keydown", (event) => this.press(event), { capture: true });
    this.dialog.onclose = () => {
      this.clear();
      this.group.cursor = null;
      this.group.redraw();
    };
    root.append(this.dialog);
    this.panels = [];
  }

  open() {
    this.dialog.showModal();
    this.list();
    this.left.value = this.group.images.find((panel) => panel.kind !== "photo")?.id ?? this.group.images[0]?.id;
    this.right.value = this.group.images.find((panel) => panel.kind === "photo")?.id ?? "";
    this.turn(0);
    this.panels[0]?.canvas.focus();
  }

  /** Offer the images that the page has now; the chosen ones stay chosen. */
  list() {
    for (const select of [this.left, this.right]) {
      const chosen = select.value;
      const options = this.group.images.map(({ id, title, label }) => element("option", { value: id, textContent: title || label }));
      select.replaceChildren(...options);
      if (this.group.images.some((panel) => panel.id === chosen)) select.value = chosen;
    }
  }

  /** Draw the chosen images again if the page has replaced them, or the way in which they are drawn has changed. */
  update() {
    if (!this.dialog.open) return;
    const { view, reduction, clip } = this.group.settings;
    const state = [view, reduction, clip, ...this.group.images.map((panel) => panel.body)];
    if (state.length === this.state?.length && state.every((each, i) => each === this.state[i])) return;
    const first = !this.state;
    this.state = state;
    if (first) return;
    this.list();
    this.show();
  }

  show() {
    this.clear();
    const [left, right] = [this.left, this.right].map((select) => this.group.panels.get(select.value));
    const mode = this.mode.value;
    this.rightLabel.hidden = mode === "one";
    const subtracted = left && right && mode === "difference" ? difference(left, right) : null;
    this.empty.textContent = mode === "difference" && !subtracted ? "Choose two finished maps of the same part of the photo to see their difference." : "";
    const shown = { one: [left], wipe: [left, right], difference: [subtracted && { ...subtracted, send: left.send }] }[mode];
    shown.filter(Boolean).forEach(({ header, body, send }, place) => this.place(header, body, send, place));
    this.pair.classList.toggle("wipe", mode === "wipe");
    if (mode === "wipe") this.pair.append(this.slider);
    if (!this.dialog.contains(this.focused)) (this.panels[0]?.canvas ?? this.dialog).focus(); // for the next key
  }

  /** The element of the dialog's tree that has the focus; none if it was removed. */
  get focused() {
    return this.dialog.getRootNode().activeElement;
  }

  place(header, body, send, place) {
    const root = element("div", { className: "panel" });
    this.pair.append(root);
    const panel = new Panel(root, send);
    panel.staged = true;
    panel.update({ ...header, id: `stage-${place}` }, body);
    this.panels.push(panel);
  }

  clear() {
    for (const panel of this.panels) panel.remove();
    this.panels = [];
    this.pair.replaceChildren();
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { PageDown: 1, PageUp: -1 }[event.key];
    if (event.key === "Escape") this.dialog.close();
    else if (event.key === "f") this.fill();
    else if (step) this.turn(step);
    else if (event.key in KEYS) this.turn(0, KEYS[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Go to another image, or to another mode. */
  turn(step, mode = this.mode.value) {
    const count = this.left.options.length;
    this.mode.value = mode;
    this.left.selectedIndex = (this.left.selectedIndex + step + count) % count;
    if (mode === "difference" && this.group.panels.get(this.right.value)?.kind !== "map") this.chooseOther();
    this.show();
  }

  /** Choose another map to compare with. */
  chooseOther() {
    const other = this.group.images.find((panel) => panel.kind === "map" && panel.id !== this.left.value);
    if (other) this.right.value = other.id;
  }

  fill() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.dialog.requestFullscreen?.();
  }

  remove() {
    this.clear();
    this.dialog.remove();
  }
}
