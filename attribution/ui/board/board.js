// The board: parts of the photo are covered by hand, and every map's forecast is set beside what the network then says.
// What depends on photo, model and maps arrives in a message of its own, once; the answers then refer to it.

import { element, labelled, number } from "../../viewer/elements.js";
import { unpack } from "../../viewer/unpack.js";
import { Asker } from "./asker.js";
import { forecasts, total } from "./forecast.js";
import { GRID, Mask } from "./mask.js";
import { Picture } from "./picture.js";

const KEPT = 3; // photos with their maps, the last ones
const CLOCK = { now: () => Date.now(), later: (call, wait) => setTimeout(call, wait), cancel: (timer) => clearTimeout(timer) };
const CONTROL = { title: "Area alone", kind: "sum", valid: true, note: "area \u00d7 change when all is covered" };

const known = new Map(); // identifier -> facts
const boards = new Map(); // parentElement -> Board

class Board {
  constructor(root, send) {
    this.root = root;
    this.send = send;
    this.mask = new Mask();
    this.picture = new Picture(this.mask, () => this.changed());
    this.asker = new Asker((asked) => send("ask", { ...asked, facts: this.facts.id }), () => this.rested(), CLOCK);
    this.build();
    this.moved = () => (this.restoring = true);
    addEventListener("popstate", this.moved);
  }

  build() {
    this.status = element("p", { className: "status" });
    this.status.setAttribute("role", "status");
    this.failed = element("p", { className: "failed" });
    this.failed.setAttribute("role", "alert");
    this.bars = element("ol", { className: "bars" });
    this.bars.setAttribute("aria-label", "Most probable classes");
    this.measured = element("p", { className: "measured" });
    this.table = element("table");
    this.rest = element("div", { className: "rest" });
    this.explain = button("Explain my change", () => this.send("explain", { cells: this.mask.text }));
    const [left, right] = [element("div"), element("div", { className: "right" })];
    const keys = element("small", { textContent: "Keys: arrows move, Space covers, Enter twice makes a box." });
    keys.className = "keys";
    left.append(this.tools(), this.picture.canvas, this.status, this.numbers(), keys);
    const legend = element("small", { textContent: "The tick on each bar marks the number before." });
    right.append(this.failed, this.bars, legend, this.measured, this.table, this.rest, this.explain);
    this.root.append(left, right);
    this.root.onkeydown = (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey || event.target.type === "number") return;
      const key = event.key.toLowerCase();
      if (key === "z" && !event.shiftKey) this.act(() => this.mask.undo());
      else if (key === "z" || key === "y") this.act(() => this.mask.redo());
      else return;
      event.preventDefault();
      event.stopPropagation();
    };
  }

  tools() {
    const bar = element("div", { className: "tools" });
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "Tools");
    const choose = (name) => {
      this.picture.tool = name;
      for (const each of tools) each.setAttribute("aria-pressed", each.name === name);
    };
    const tools = [
      ["brush", "Brush", "Cover with a brush"],
      ["box", "Box", "Cover a box"],
      ["restore", "Restore", "Uncover with a brush"],
    ].map(([name, text, title]) => Object.assign(button(text, () => choose(name), title), { name }));
    choose("brush");
    const width = element("select", { title: "Width of the brush, in cells" });
    for (let cells = 1; cells <= 5; cells++) width.append(element("option", { value: cells, textContent: cells }));
    width.value = this.picture.width;
    width.onchange = () => (this.picture.width = Number(width.value));
    const touch = button("Paint", () => paint(!this.picture.touch), "Paint with a finger; off, the page scrolls");
    const paint = (on) => {
      this.picture.touch = on;
      this.picture.canvas.classList.toggle("painting", on);
      touch.setAttribute("aria-checked", on);
    };
    touch.classList.add("touch");
    touch.setAttribute("role", "switch");
    paint(!matchMedia("(pointer: coarse)").matches);
    this.undo = button("Undo", () => this.act(() => this.mask.undo()), "Undo (Ctrl+Z)");
    this.redo = button("Redo", () => this.act(() => this.mask.redo()), "Redo (Ctrl+Shift+Z)");
    this.clear = button("Clear", () => this.stroke(() => this.mask.clear()), "Uncover everything");
    const invert = button("Invert", () => this.stroke(() => this.mask.invert()), "Cover everything else");
    bar.append(touch, ...tools, labelled("Size", width), this.undo, this.redo, this.clear, invert);
    return bar;
  }

  numbers() {
    const form = element("form", { className: "numbers" });
    form.setAttribute("aria-label", "Box by numbers, in cells");
    const fields = [["Left", 0, 10], ["Top", 0, 10], ["Width", 1, 8], ["Height", 1, 8]].map(([name, min, value]) => {
      const field = element("input", { type: "number", min, max: GRID - 1 + min, step: 1, required: true, value });
      form.append(labelled(name, field));
      return field;
    });
    form.append(element("button", { type: "submit", textContent: "Add box", title: "In cells; the photo is 28 by 28" }));
    form.onsubmit = (event) => {
      event.preventDefault();
      const [x, y, width, height] = fields.map((field) => field.valueAsNumber);
      this.stroke(() => this.mask.box({ x, y }, { x: x + width - 1, y: y + height - 1 }, 1));
    };
    return form;
  }

  /** Do something to the mask. */
  act(change) {
    this.picture.giveUpBox();
    change();
    this.changed();
  }

  /** Do something to the mask that can be undone. */
  stroke(change) {
    this.act(() => {
      this.mask.begin();
      change();
      this.mask.end();
    });
  }

  update(message) {
    const old = this.message;
    this.message = message;
    const facts = known.get(message.facts);
    if (!facts) return; // they follow
    const moved = !this.facts || message.restored !== this.restored;
    if (moved) {
      this.restored = message.restored;
      this.restoring = false;
      this.picture.last = this.picture.corner = null;
      this.mask.restart(message.cells);
    }
    const others = facts !== this.facts;
    if (others) {
      this.facts = facts;
      this.picture.update(facts);
      this.buildRows();
    }
    const { answer } = message;
    if (moved || others) {
      const cells = this.mask.text;
      const fits = moved && answer?.cells === cells;
      this.answer = fits ? answer : null;
      this.asker.restart(cells, fits || !cells, fits ? Boolean(answer.rest) : !cells);
    } else if (answer && answer !== old.answer && this.asker.answered(answer)) this.answer = answer;
    this.draw();
  }

  /** The mask or what is drawn over it may have changed: draw it in the next frame. */
  changed() {
    if (!this.facts || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      const cells = this.mask.text;
      if (cells !== this.asker.cells) this.restoring = false;
      this.asker.change(cells, this.picture.isPainting);
      this.draw();
    });
  }

  rested() {
    this.write();
    this.draw();
  }

  /** Replace the mask in the address bar. */
  write() {
    if (this.restoring) return; // the address bar is ahead of the server
    const [without, template] = this.facts.link;
    const cells = this.mask.text;
    const { pathname, search, hash } = window.location;
    const others = search.slice(1).split("&").filter((each) => each && !each.startsWith("probe="));
    const query = [...others, cells ? template.replace("CELLS", cells) : without].filter(Boolean).join("&");
    const wanted = query ? `?${query}` : "";
    if (wanted !== search) window.history.replaceState(window.history.state, "", pathname + wanted + hash);
  }

  /** Build the rows of the table, which stay until the maps change. */
  buildRows() {
    const caption = element("caption", { textContent: "Forecast beside fact" });
    const head = element("tr");
    head.append(...["Map", "Forecast", "Error"].map((text) => element("th", { scope: "col", textContent: text })));
    this.rows = [...this.facts.maps, CONTROL].map((map, place) => this.buildRow(map, place));
    const [top, body] = [element("thead"), element("tbody")];
    top.append(head);
    body.append(...this.rows.map((row) => row.root));
    this.table.replaceChildren(caption, top, body);
  }

  buildRow({ title, kind, valid, note }, place) {
    const root = element("tr");
    const head = element("th", { scope: "row" });
    const best = element("span", { className: "closest", textContent: "closest" });
    const below = element("small"); // share of the map beside share of the area
    const shown = element(valid ? "span" : "s");
    const [value, error] = [element("td"), element("td")];
    value.append(shown);
    head.append(element("span", { textContent: title }), " ", best);
    if (!valid || note) head.append(element("small", { textContent: valid ? note : "this map was computed for another baseline" }));
    head.append(below);
    if (!valid && kind === "sum") {
      head.append(button("Recompute with this fill", () => this.send("recompute", { place, facts: this.facts.id })));
    }
    root.append(head, value, error);
    return { root, below, shown, error, best };
  }

  draw() {
    const { facts, mask, rows } = this;
    if (!facts) return;
    this.picture.draw();
    const { count } = mask;
    const fits = this.answer?.cells === mask.text;
    const hidden = facts.hides && count > 0;
    const measured = fits && !this.answer.failed && !hidden ? this.answer : null;
    const now = count ? measured : { score: facts.before, top: facts.top };
    const found = forecasts(facts, mask.cells, count && now ? now.score - facts.before : null);
    found.rows.forEach(({ value, share, error, best }, place) => {
      const row = rows[place];
      const control = place === rows.length - 1;
      row.below.textContent = count && !control ? `${percent(share)} of the map in ${percent(found.area)} of the area` : "";
      row.shown.textContent = count && value !== null ? number(value, true) : "";
      row.error.textContent = error === null ? "" : number(error, true);
      row.best.hidden = !best;
      row.root.classList.toggle("best", Boolean(best));
    });
    this.undo.disabled = !mask.done.length;
    this.redo.disabled = !mask.undone.length;
    this.clear.disabled = !count;
    this.explain.disabled = !count || hidden;
    this.failed.textContent = (fits && this.answer.failed) || "";
    this.drawBars(now, hidden);
    this.drawRest(hidden, count);
    this.say(now, hidden, count, found.area);
  }

  /** The bars and what was measured, which stay as old ones until the new answer comes. */
  drawBars(now, hidden) {
    const { facts } = this;
    this.bars.hidden = hidden;
    if (now && this.drawn !== now.top) {
      this.drawn = now.top;
      this.bars.replaceChildren(...this.barsOf(now.top));
    }
    age(this.bars, !now);
    age(this.measured, !now && !hidden);
    const before = `${facts.axis} ${number(facts.before)}`;
    if (hidden) this.measured.textContent = `Before: ${before}. The change is hidden until you guess.`;
    else if (now && !this.mask.count) this.measured.textContent = `Nothing covered: ${before}`;
    else if (now) {
      const change = number(now.score - facts.before, true);
      this.measured.textContent = `Measured ${facts.axis}: ${number(facts.before)} to ${number(now.score)}, ${change}`;
    }
  }

  barsOf(top) {
    const { hasShares, explained } = this.facts;
    const values = top.flatMap(([, , before, after]) => [before, after]);
    const [low, high] = hasShares ? [0, 1] : [Math.min(0, ...values), Math.max(0, ...values)];
    const at = (value) => (high > low ? (100 * (value - low)) / (high - low) : 0);
    const shown = (value) => (hasShares ? percent(value) : number(value));
    return top.map(([index, name, before, after]) => {
      const change = after - before;
      const row = element("li", { className: index === explained ? "explained" : "" });
      const [bar, part, tick] = ["bar", "part", "tick"].map((className) => element("span", { className }));
      part.style.left = `${at(Math.min(0, after))}%`;
      part.style.width = `${Math.abs(at(after) - at(0))}%`;
      tick.style.left = `${at(before)}%`;
      bar.title = `Before: ${shown(before)}`;
      bar.append(part, tick);
      const seen = hasShares ? Math.abs(change) >= 0.0005 : change !== 0;
      const arrow = !seen ? "" : change > 0 ? "\u25b2 " : "\u25bc ";
      const size = hasShares ? `${signed(100 * change)} points` : number(change, true);
      row.append(
        element("span", { className: "name", textContent: name, title: index === explained ? `${name} (explained)` : name }),
        element("span", { className: "after", textContent: shown(after) }),
        element("span", { className: "change", textContent: arrow && arrow + size }),
        bar,
      );
      return row;
    });
  }

  /** What was measured while the hand rested. */
  drawRest(hidden, count) {
    const { answer, rest } = this;
    if (answer?.rest && answer.rest !== this.told) {
      this.told = answer.rest;
      rest.replaceChildren(...answer.rest.sentences.map((textContent) => element("p", { textContent })));
    }
    rest.hidden = !count || hidden || !rest.childElementCount;
    age(rest, !answer?.rest || answer.cells !== this.mask.text);
  }

  /** One sentence when the hand rests. */
  say(now, hidden, count, area) {
    if (!this.asker.rests || (!now && !hidden)) return;
    const { before, top, explained } = this.facts;
    const name = top.find(([index]) => index === explained)?.[1] ?? "score";
    const change = hidden ? "" : `; ${name} ${number(before)} to ${number(now.score)}`;
    const cells = `${count} ${count === 1 ? "cell" : "cells"}, ${percent(area)}${change}`;
    const asked = this.picture.touch ? "Paint on the photo." : "Switch Paint on to cover parts of the photo.";
    const said = count ? cells : `Nothing covered. ${asked}`;
    if (said !== this.status.textContent) this.status.textContent = said;
  }

  remove() {
    this.asker.stop();
    cancelAnimationFrame(this.frame);
    this.picture.sized.disconnect();
    removeEventListener("popstate", this.moved);
  }
}

/** Mark what is old, while its successor is awaited. */
function age(each, old) {
  each.classList.toggle("old", old);
  each.setAttribute("aria-busy", old);
}

function button(text, onclick, title = "") {
  return element("button", { type: "button", textContent: text, onclick, title });
}

function percent(share) {
  return `${(100 * share).toFixed(1)}%`;
}

function signed(value) {
  return (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(1);
}

/** Read facts: two arrays of sums per map, then the photo and the filled photo, 8 bits each. */
function remember({ header, body }) {
  if (!known.has(header.id)) {
    const cells = GRID * GRID;
    const all = new Uint8Array(cells).fill(1);
    const maps = header.maps.map((map, i) => {
      const [changes, sizes] = [0, 1].map((part) => new Float64Array(body.buffer, 8 * cells * (2 * i + part), cells));
      return { ...map, changes: map.kind === "share" ? null : changes, sizes, whole: total(sizes, all) };
    });
    const count = header.height * header.width;
    const [photo, filled] = [0, 1].map((part) => opaque(body.subarray(16 * cells * maps.length + 3 * count * part), count));
    known.set(header.id, { ...header, maps, photo, filled });
    if (known.size > KEPT) known.delete(known.keys().next().value);
  }
  for (const board of boards.values()) if (board.message.facts === header.id) board.update(board.message);
}

/** Pixels as a canvas keeps them, 32 bits each. */
function opaque(rgb, count) {
  const bytes = new Uint8Array(4 * count).fill(255);
  for (let i = 0; i < count; i++) for (let c = 0; c < 3; c++) bytes[4 * i + c] = rgb[3 * i + c];
  return new Uint32Array(bytes.buffer);
}

globalThis.probeBoard ??= Promise.withResolvers();
globalThis.probeBoard.resolve(({ data, parentElement, setTriggerValue }) => {
  if (!boards.has(parentElement)) {
    const root = element("div", { className: "board" });
    const around = element("div", { className: "around" });
    around.append(root);
    parentElement.append(around);
    boards.set(parentElement, new Board(root, setTriggerValue));
  }
  boards.get(parentElement).update(unpack(data).header);
  return () => {
    boards.get(parentElement)?.remove();
    boards.delete(parentElement);
  };
});

/** Called by Streamlit with the facts. */
export default function ({ data }) {
  remember(unpack(data));
}
