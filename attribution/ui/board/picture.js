// The photo with its covered cells on a canvas, and the strokes of pointer and keyboard on it.

import { element } from "../../viewer/elements.js";
import { cellOf, firstCell, GRID } from "./mask.js";

const KEYS =
  "Photo to cover. Arrow keys move by a cell, with Shift by 8; Space paints; Enter twice sets the corners of a box; " +
  "Escape gives the box up.";
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const LARGEST = 28; // rem of the longer side

export class Picture {
  /** `mask` is painted with `tool` ("brush", "box" or "restore") and `width`; `onChange` is called after each change. */
  constructor(mask, onChange) {
    Object.assign(this, { mask, onChange, tool: "brush", width: 2, touch: false });
    this.canvas = element("canvas", { className: "picture", tabIndex: 0 });
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-label", KEYS);
    this.small = element("canvas"); // one pixel per pixel of the photo
    this.cursor = { x: GRID / 2, y: GRID / 2 }; // cell of the keyboard
    this.corner = null; // first corner of the keyboard's box
    this.last = null; // last place of the pointer's stroke
    this.hover = null; // place of the mouse
    this.sized = new ResizeObserver(() => this.size());
    this.sized.observe(this.canvas);
    this.listen();
  }

  get isPainting() {
    return this.last !== null;
  }

  get value() {
    return this.tool === "restore" ? 0 : 1;
  }

  update({ height, width, photo, filled }) {
    Object.assign(this, { photo, filled, rows: cellOf(height), columns: cellOf(width) });
    this.small.width = width;
    this.small.height = height;
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.canvas.style.aspectRatio = `${width} / ${height}`;
    this.canvas.style.maxWidth = `${LARGEST * Math.min(1, width / height)}rem`;
    this.size();
  }

  size() {
    const box = this.canvas.getBoundingClientRect();
    if (!box.width || !this.pixels) return;
    this.canvas.width = Math.round(box.width * devicePixelRatio);
    this.canvas.height = Math.round(box.height * devicePixelRatio);
    this.draw();
  }

  draw() {
    const { canvas, small, rows, columns, pixels, mask } = this;
    const context = canvas.getContext("2d");
    for (let y = 0, i = 0; y < rows.length; y++) {
      const row = GRID * rows[y];
      for (let x = 0; x < columns.length; x++, i++) pixels[i] = (mask.cells[row + columns[x]] ? this.filled : this.photo)[i];
    }
    small.getContext("2d").putImageData(this.image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, canvas.width, canvas.height);
    const dot = devicePixelRatio;
    if (this.isPainting || this.showsCursor) this.trace(this.gridLines(), [[dot, "rgb(128 128 128 / 35%)"]]);
    this.trace(this.outline(), [[3 * dot, "rgb(0 0 0 / 65%)"], [dot, "#fff"]]);
    const { cursor, hover, width } = this;
    if (this.showsCursor) this.frame(cursor.x, cursor.y, 1);
    else if (hover && this.tool === "box") this.frame(within(Math.floor(hover.x)), within(Math.floor(hover.y)), 1);
    else if (hover) this.frame(firstCell(hover.x, width), firstCell(hover.y, width), width);
  }

  /** The pixel on the canvas at which a column or row of cells starts. */
  edge(cell, side) {
    const pixels = (side === "width" ? this.columns : this.rows).length;
    return (Math.ceil((cell * pixels) / GRID) / pixels) * this.canvas[side];
  }

  trace(path, pens) {
    const context = this.canvas.getContext("2d");
    for (const [lineWidth, strokeStyle] of pens) {
      Object.assign(context, { lineWidth, strokeStyle, lineCap: "square" });
      context.stroke(path);
    }
  }

  /** The border of the covered region. */
  outline() {
    const path = new Path2D();
    const { cells } = this.mask;
    const at = (x, y) => (x < 0 || y < 0 || x >= GRID || y >= GRID ? 0 : cells[y * GRID + x]);
    for (let a = 0; a <= GRID; a++) {
      for (let b = 0; b < GRID; b++) {
        if (at(a - 1, b) !== at(a, b)) this.segment(path, a, b, a, b + 1);
        if (at(b, a - 1) !== at(b, a)) this.segment(path, b, a, b + 1, a);
      }
    }
    return path;
  }

  gridLines() {
    const path = new Path2D();
    for (let a = 1; a < GRID; a++) {
      this.segment(path, a, 0, a, GRID);
      this.segment(path, 0, a, GRID, a);
    }
    return path;
  }

  segment(path, x0, y0, x1, y1) {
    path.moveTo(this.edge(x0, "width"), this.edge(y0, "height"));
    path.lineTo(this.edge(x1, "width"), this.edge(y1, "height"));
  }

  /** Frame a square of cells, where the next stroke starts. */
  frame(left, top, side) {
    const [x0, y0] = [this.edge(left, "width"), this.edge(top, "height")];
    const path = new Path2D();
    path.rect(x0, y0, this.edge(left + side, "width") - x0, this.edge(top + side, "height") - y0);
    const dot = devicePixelRatio;
    this.trace(path, [[4 * dot, "#fff"], [2 * dot, "#1d4ed8"]]);
  }

  /** The place of a pointer, in cells. */
  place({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    return { x: ((clientX - box.left) / box.width) * GRID, y: ((clientY - box.top) / box.height) * GRID };
  }

  stroke(to) {
    const cell = ({ x, y }) => ({ x: within(Math.floor(x)), y: within(Math.floor(y)) });
    if (this.tool === "box") this.mask.box(cell(this.start), cell(to), 1);
    else this.mask.line(this.last, to, this.width, this.value);
    this.last = to;
  }

  listen() {
    const { canvas, mask } = this;
    canvas.onpointerdown = (event) => {
      if (event.button || this.isPainting || (event.pointerType !== "mouse" && !this.touch)) return;
      canvas.setPointerCapture(event.pointerId);
      this.giveUpBox();
      this.pointer = event.pointerId;
      this.showsCursor = false;
      mask.begin();
      this.start = this.last = this.place(event);
      this.stroke(this.last);
      this.onChange();
    };
    canvas.onpointermove = (event) => {
      if (event.pointerType === "mouse") this.hover = this.place(event);
      if (this.isPainting && event.pointerId === this.pointer) {
        const moves = event.getCoalescedEvents?.() ?? [];
        for (const move of moves.length ? moves : [event]) this.stroke(this.place(move));
      }
      this.onChange();
    };
    canvas.onpointerup = canvas.onpointercancel = canvas.onlostpointercapture = (event) => {
      if (!this.isPainting || event.pointerId !== this.pointer) return;
      this.last = null;
      mask.end();
      this.onChange();
    };
    canvas.onpointerleave = () => {
      this.hover = null;
      this.onChange();
    };
    canvas.onfocus = () => {
      this.showsCursor = canvas.matches(":focus-visible") && !this.isPainting;
      this.onChange();
    };
    canvas.onblur = () => {
      this.showsCursor = false;
      this.giveUpBox();
      this.onChange();
    };
    canvas.onkeydown = (event) => this.press(event);
  }

  giveUpBox() {
    if (this.corner) this.mask.cancel();
    this.corner = null;
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { mask, cursor } = this;
    if (this.isPainting) {
      if (event.key !== "Escape") return;
      mask.cancel();
      this.last = null;
    } else if (event.key in MOVES) {
      const [x, y] = MOVES[event.key];
      const step = event.shiftKey ? 8 : 1;
      this.cursor = { x: within(cursor.x + step * x), y: within(cursor.y + step * y) };
      if (this.corner) mask.box(this.corner, this.cursor, this.value);
    } else if (event.key === " ") {
      this.giveUpBox();
      mask.begin();
      const centre = { x: cursor.x + 0.5, y: cursor.y + 0.5 };
      if (this.tool === "box") mask.box(cursor, cursor, 1);
      else mask.line(centre, centre, this.width, this.value);
      mask.end();
    } else if (event.key === "Enter" && this.corner) {
      mask.end();
      this.corner = null;
    } else if (event.key === "Enter") {
      mask.begin();
      this.corner = cursor;
      mask.box(cursor, cursor, this.value);
    } else if (event.key === "Escape" && this.corner) this.giveUpBox();
    else return;
    this.showsCursor = true;
    event.preventDefault();
    event.stopPropagation();
    this.onChange();
  }
}

function within(cell) {
  return Math.max(0, Math.min(GRID - 1, cell));
}
