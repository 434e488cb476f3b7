// The covered cells: strokes and boxes on a grid, undo and redo, and the text in links. Without DOM.

export const GRID = 28; // cells per side, as in attribution/photo/cells.py
const STROKES = 50; // that can be undone
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** The text of cells in links: their bits in base64, without trailing zeros. */
export function textOf(cells) {
  let text = "";
  for (let i = 0; i < cells.length; i += 6) {
    let digit = 0;
    for (let j = i; j < i + 6; j++) digit = 2 * digit + (cells[j] ?? 0);
    text += DIGITS[digit];
  }
  return /^A+$/.test(text) ? "" : text;
}

/** The cells of a text, one byte each: 1 where covered. */
export function cellsOf(text) {
  const cells = new Uint8Array(GRID * GRID);
  [...text].forEach((letter, i) => {
    const digit = DIGITS.indexOf(letter);
    for (let j = 0; j < 6; j++) if ((digit >> (5 - j)) & 1) cells[6 * i + j] = 1;
  });
  return cells;
}

/** The column or row of the grid of every pixel along a side. */
export function cellOf(side) {
  return Uint8Array.from({ length: side }, (_, i) => Math.floor((i * GRID) / side));
}

/** The first cell of a square brush, along one axis; the place is in cells, from 0 to 28. */
export function firstCell(place, width) {
  return Math.round(place - width / 2);
}

/** Set a rectangle, clipped to the grid. */
function fill(cells, left, top, width, height, value) {
  const [x0, x1] = [Math.max(0, left), Math.min(GRID, left + width)];
  for (let y = Math.max(0, top); y < Math.min(GRID, top + height); y++) {
    for (let x = x0; x < x1; x++) cells[y * GRID + x] = value;
  }
}

/** Covered cells with their history. A stroke is what happens between `begin` and `end`. */
export class Mask {
  constructor(text = "") {
    this.restart(text);
  }

  /** Start anew, without a history. */
  restart(text) {
    this.cells = cellsOf(text);
    this.before = null; // cells at the start of the stroke
    this.done = []; // texts of earlier cells, the last one next
    this.undone = [];
  }

  get text() {
    return textOf(this.cells);
  }

  get count() {
    return this.cells.reduce((sum, cell) => sum + cell, 0);
  }

  begin() {
    this.end();
    this.before = this.cells.slice();
  }

  end() {
    if (!this.before) return;
    const before = textOf(this.before);
    this.before = null;
    if (before === this.text) return;
    this.done.push(before);
    if (this.done.length > STROKES) this.done.shift();
    this.undone = [];
  }

  /** Give up the stroke. */
  cancel() {
    if (this.before) this.cells = this.before;
    this.before = null;
  }

  undo() {
    this.#step(this.done, this.undone);
  }

  redo() {
    this.#step(this.undone, this.done);
  }

  #step(from, to) {
    if (this.before || !from.length) return; // during a stroke, there is nothing to go back to yet
    to.push(this.text);
    this.cells = cellsOf(from.pop());
  }

  /** Draw a line with a square brush, between two places in cells; 1 covers, 0 restores. */
  line(from, to, width, value) {
    const steps = Math.max(1, Math.ceil(2 * Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y))));
    for (let i = 0; i <= steps; i++) {
      const [x, y] = [from.x + ((to.x - from.x) * i) / steps, from.y + ((to.y - from.y) * i) / steps];
      fill(this.cells, firstCell(x, width), firstCell(y, width), width, width, value);
    }
  }

  /** Set the box between two cells; within a stroke, the only one. */
  box(a, b, value) {
    if (this.before) this.cells.set(this.before);
    const [left, top] = [Math.min(a.x, b.x), Math.min(a.y, b.y)];
    fill(this.cells, left, top, Math.abs(a.x - b.x) + 1, Math.abs(a.y - b.y) + 1, value);
  }

  clear() {
    this.cells.fill(0);
  }

  invert() {
    this.cells = this.cells.map((cell) => 1 - cell);
  }
}
