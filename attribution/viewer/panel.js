// An image with its readout and, for a map, its colour bar.

import { element, number } from "./elements.js";
import { listen } from "./gestures.js";
import { Group } from "./group.js";
import { clipped, outline, rank, reduce, span } from "./heat.js";
import { drawOverlay } from "./overlay.js";
import { colourTable, paintMap, paintPhoto, paintRamp } from "./paint.js";
import { viewOf } from "./view.js";

/* global VIEW_CONTROLS -- by view_facts() in message.py */

const FAINT = 0.05; // mean value, as a share of the end of the scale, below which a map looks empty
const CLEAR = 0.1; // the same of a map that can be seen
const DOUBLE_CLICK = 300; // milliseconds before a mark is sent, so that a double-click sends none

export class Panel {
  constructor(root, send) {
    this.send = send;
    this.canvas = element("canvas", { tabIndex: 0, className: "picture" });
    this.canvas.setAttribute("role", "img");
    this.above = element("div", { className: "above" });
    this.readout = element("div", { className: "readout" });
    this.bar = element("div", { className: "bar" });
    this.low = element("span");
    this.strip = element("canvas", { width: 128, height: 1, className: "strip" });
    this.sides = [element("span"), element("span")]; // what the ends of a signed scale mean, such as "against", "for"
    const scale = element("div", { className: "scale" });
    scale.append(this.strip, ...this.sides);
    this.high = element("span");
    this.bar.append(this.low, scale, this.high);
    this.note = element("div", { className: "note" });
    this.save = element("button", { type: "button", className: "save", textContent: "Save PNG" });
    this.save.onclick = () => this.download();
    this.clearer = element("button", { type: "button", className: "clearer", hidden: true });
    this.clearer.onclick = () => this.group.set("clip", this.clearer.clip);
    const image = element("div", { className: "image" });
    image.append(this.canvas, this.readout, this.save, this.clearer);
    this.under = element("div", { className: "under" });
    root.append(this.above, image, this.bar, this.note, this.under);
    this.offscreen = element("canvas"); // the whole image at the map's resolution
    listen(this);
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.canvas);
  }

  /** Replace the data; the window, the cursor and the settings are kept. */
  update(header, body) {
    if (this.group && this.id !== header.id) this.group.panels.delete(this.id);
    Object.assign(this, { ...header, header, group: Group.named(header.group) });
    this.group.panels.set(this.id, this);
    const count = this.width * this.height;
    this.channels = this.kind === "map" ? new Int16Array(body.buffer, 0, 3 * count) : null;
    this.errors = header.errors ?? null; // standard errors, if the map has segments
    this.segments = this.errors && new Uint16Array(body.buffer, 6 * count); // label of every pixel
    this.sums = this.segments && this.summed();
    this.body = body; // pixels of the photo, or levels of a partial map
    this.heats = new Map(); // reduction -> {heat, sorted, absolutes}
    this.offscreen.width = this.width;
    this.offscreen.height = this.height;
    this.canvas.style.aspectRatio = this.frame.aspect || this.width / this.height;
    this.canvas.parentElement.style.setProperty("--aspect", this.canvas.style.aspectRatio);
    this.canvas.setAttribute("aria-label", this.label);
    this.bar.hidden = this.kind === "photo";
    this.save.hidden = this.kind === "pending";
    for (const part of [this.canvas, this.bar]) part.classList.toggle("pending", this.kind === "pending");
    this.under.textContent = header.below ?? "";
    this.above.hidden = !header.title;
    this.under.hidden = !header.below;
    this.fit();
    this.group.redraw(true);
  }

  remove() {
    this.observer.disconnect();
    if (this.group.panels.get(this.id) === this) this.group.panels.delete(this.id);
    this.group.redraw(true);
  }

  fit() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [width, height].map((side) => Math.max(1, Math.round(side * ratio)));
    if (this.canvas.width !== wide || this.canvas.height !== high) Object.assign(this.canvas, { width: wide, height: high });
    this.group?.redraw();
  }

  /** The drawing of this map under the group's settings. */
  get view() {
    return viewOf(this.group.settings, this.signed, this.difference);
  }

  /** One number per pixel, for readouts and regions. */
  get heat() {
    const { reduction } = this.view;
    return this.reduced(reduction === "channels" ? "sum_of_absolutes" : reduction);
  }

  /** The map under a reduction, with sorted values for percentiles; cached per reduction. */
  reduced(reduction) {
    if (!this.heats.has(reduction)) {
      const heat = this.channels ? reduce(this.channels, this.scale, reduction) : this.partial(reduction);
      const sorted = heat.slice().sort();
      const absolutes = sorted[0] < 0 ? heat.map(Math.abs).sort() : sorted;
      this.heats.set(reduction, { heat, sorted, absolutes });
    }
    return this.heats.get(reduction);
  }

  /** A partial map, whose channels are already summed. */
  partial(reduction) {
    const heat = Float32Array.from(new Int8Array(this.body.buffer), (level) => level * this.scale);
    if (reduction === "channels") return Float32Array.from({ length: 3 * heat.length }, (_, i) => heat[i % heat.length] / 3);
    return reduction === "signed_sum" ? heat : heat.map(Math.abs);
  }

  measure() {
    const { reduction, centred } = this.view;
    const { sorted, absolutes } = this.reduced(reduction);
    return span(sorted, absolutes, this.group.settings.clip, centred);
  }

  /** Paint the whole image off screen, unless nothing that it depends on has changed. */
  colour() {
    if (this.kind === "pending") return; // the image stays transparent
    const photo = this.group.photoOf(this);
    const below = photo?.width === this.width && photo.height === this.height ? photo.body : null;
    const depends = [this.header, below, JSON.stringify([this.group.settings, this.span])];
    if (depends.every((each, i) => each === this.painted?.[i])) return;
    this.painted = depends;
    const context = this.offscreen.getContext("2d");
    const image = context.createImageData(this.width, this.height);
    if (this.kind === "photo") {
      paintPhoto(image.data, this.body);
    } else {
      const { palette, view, reduction } = this.view;
      const table = colourTable(palette);
      paintMap(image.data, this.reduced(reduction), this.span, table, below, { ...this.group.settings, view });
      if (this.segments && this.group.settings.outlines === "shown") outline(image.data, this.segments, this.width);
      this.legend(table);
    }
    context.putImageData(image, 0, 0);
  }

  /** Show the colour bar, the unit and the share of clipped pixels. */
  legend(table) {
    const context = this.strip.getContext("2d");
    const image = context.createImageData(this.strip.width, 1);
    paintRamp(image.data, table);
    context.putImageData(image, 0, 0);
    const { view, centred, reduction } = this.view;
    this.low.textContent = number(this.span[0], centred);
    this.high.textContent = number(this.span[1], centred);
    this.sides.forEach((side, i) => (side.textContent = centred && view !== "rgb" ? this.meanings?.[i] ?? "" : ""));
    this.bar.hidden = view === "important";
    this.offerContrast();
    const outside = clipped(this.reduced(reduction).heat, this.span);
    if (!(this.span[1] > this.span[0])) this.state = this.kind === "pending" ? "Not computed yet." : "The map is constant: nothing to draw.";
    else {
      const parts = [view === "rgb" && "Per channel: grey 0, dark negative, bright positive", this.unit && `Unit: ${this.unit}`, !this.bar.hidden && outside > 0 && `${outside.toFixed(1)}% clipped`];
      this.state = parts.filter(Boolean).join("; ");
    }
  }

  /** Offer to end the scale earlier, for all maps, if most of this one is too pale to be seen. */
  offerContrast() {
    this.clearer.hidden = true;
    if (this.kind !== "map" || this.bar.hidden) return;
    const { centred, reduction } = this.view;
    const { sorted, absolutes } = this.reduced(reduction);
    const mean = absolutes.reduce((sum, value) => sum + Math.abs(value), 0) / absolutes.length;
    const limit = (clip) => {
      const [low, high] = span(sorted, absolutes, clip, centred);
      return high > low ? Math.max(-low, high) : Infinity; // a constant map is not offered
    };
    const { clip } = this.group.settings;
    if (!(mean < FAINT * limit(clip))) return;
    const [lowest] = VIEW_CONTROLS.clip;
    let better = Math.ceil(clip) - 1;
    while (better > lowest && mean < CLEAR * limit(better)) better -= 1;
    this.clearer.hidden = !(mean >= CLEAR * limit(better));
    this.clearer.clip = better;
    this.clearer.textContent = `Faint: clip at ${better}`;
  }

  /** Draw the visible part, the crosshair, the mark and the region. */
  draw() {
    const { window: seen, drawing, cursor, mark } = this.group;
    const context = this.canvas.getContext("2d");
    // A finger scrolls the page unless it pans the image or draws a region.
    this.canvas.style.touchAction = seen.size < 1 || drawing ? "none" : "pan-y";
    const by = this.group.by && !this.row && this.kind !== "photo" ? ` (${this.group.by}, earlier choice)` : "";
    this.above.textContent = this.above.title = `${this.title ?? ""}${by}`;
    this.copyWindow(context);
    drawOverlay(context, this.group);
    this.readout.textContent = this.describe(cursor ?? mark);
    this.note.textContent = this.note.title = this.describeRegion() || this.state || "";
  }

  /** Draw the visible part on a whole canvas, without smoothing; what is outside the image stays empty. */
  copyWindow(context) {
    const { x, y, size } = this.group.window;
    const { width, height } = context.canvas;
    const [left, right] = [x, x + size].map((share) => this.inside(share, "left", "width"));
    const [top, bottom] = [y, y + size].map((share) => this.inside(share, "top", "height"));
    context.clearRect(0, 0, width, height);
    if (!(right > left && bottom > top)) return;
    const across = (share) => ((this.frame.left + share * this.frame.width - x) / size) * width;
    const down = (share) => ((this.frame.top + share * this.frame.height - y) / size) * height;
    const part = [left * this.width, top * this.height, (right - left) * this.width, (bottom - top) * this.height];
    context.imageSmoothingEnabled = false;
    context.drawImage(this.offscreen, ...part, across(left), down(top), across(right) - across(left), down(bottom) - down(top));
  }

  /** A common share as a share of the image's own side, clamped to its edges. */
  inside(share, start, side) {
    return Math.min(1, Math.max(0, (share - this.frame[start]) / this.frame[side]));
  }

  /** The value at a point, as text. */
  describe(point) {
    if (!point) return "";
    if (!this.covers(point)) return "Outside this network's crop";
    const { x, y } = this.pixel(point);
    const i = y * this.width + x;
    if (this.kind === "photo") {
      return `x ${x}, y ${y}: RGB ${this.body[3 * i]}, ${this.body[3 * i + 1]}, ${this.body[3 * i + 2]}`;
    }
    const label = this.segments?.[i];
    if (label !== undefined) return `Segment: ${number(this.sums[label], true)} \u00b1 ${number(this.errors[label])}`;
    const { heat, absolutes } = this.heat;
    return `${number(this.value(i), true)}, larger than ${rank(absolutes, Math.abs(heat[i])).toFixed(1)}% of the pixels`;
  }

  /** The value of every segment: the sum of its pixels. */
  summed() {
    const sums = new Float64Array(this.errors.length);
    this.segments.forEach((label, i) => (sums[label] += this.value(i)));
    return sums;
  }

  /** The signed attribution of a pixel, summed over channels. Partial maps have no signs. */
  value(i) {
    if (!this.channels) return this.heat.heat[i];
    const count = this.width * this.height;
    return (this.channels[i] + this.channels[count + i] + this.channels[2 * count + i]) * this.scale;
  }

  /** The region's share of the map, and its share of the area. */
  describeRegion() {
    const region = this.group.region;
    if (!region || this.kind === "photo") return "";
    const { heat } = this.heat;
    const [x0, x1] = [region.x0, region.x1].map((share) => this.inside(share, "left", "width") * this.width);
    const [y0, y1] = [region.y0, region.y1].map((share) => this.inside(share, "top", "height") * this.height);
    const [left, right, top, bottom] = [Math.floor(x0), Math.ceil(x1), Math.floor(y0), Math.ceil(y1)];
    let inside = 0;
    let all = 0;
    for (let i = 0; i < heat.length; i++) {
      const size = Math.abs(heat[i]);
      const column = i % this.width;
      const row = Math.floor(i / this.width);
      all += size;
      if (column >= left && column < right && row >= top && row < bottom) inside += size;
    }
    const percent = (share) => `${(100 * share).toFixed(1)}%`;
    const area = ((right - left) * (bottom - top)) / (this.width * this.height);
    return all > 0 ? `Region: ${percent(inside / all)} of the map, ${percent(area)} of the area.` : "";
  }

  /** The point under an event, as common shares. */
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const { x, y, size } = this.group.window;
    const clamp = (share) => Math.min(1, Math.max(0, share));
    return {
      x: clamp(x + (size * (event.clientX - box.left)) / box.width),
      y: clamp(y + (size * (event.clientY - box.top)) / box.height),
    };
  }

  /** True if the image covers a point. */
  covers({ x, y }) {
    const { left, top, width, height } = this.frame;
    return x >= left && x <= left + width && y >= top && y <= top + height;
  }

  /** The pixel at a point, as column x and row y. */
  pixel(point) {
    return {
      x: Math.min(this.width - 1, Math.floor(this.inside(point.x, "left", "width") * this.width)),
      y: Math.min(this.height - 1, Math.floor(this.inside(point.y, "top", "height") * this.height)),
    };
  }

  /** Mark a point in all panels, and send its pixel of the first row unless a second click follows. */
  mark(point) {
    const { group } = this;
    group.mark = point;
    group.redraw();
    clearTimeout(group.sending);
    const first = this.row ? [...group.panels.values()].find((panel) => !panel.row) ?? this : this;
    group.sending = setTimeout(() => {
      first.send(first.covers(point) ? first.pixel(point) : {});
      group.unmark = () => first.send({});
    }, DOUBLE_CLICK);
  }

  /** Save the visible part at the resolution of the map or the photo. */
  download() {
    const large = this.group.settings.size === "photo";
    const sides = large ? [this.fullWidth, this.fullHeight] : [this.width, this.height];
    const [width, height] = [sides[0] / this.frame.width, sides[1] / this.frame.height].map(Math.round);
    const copy = element("canvas", { width, height });
    this.copyWindow(copy.getContext("2d"));
    copy.toBlob((blob) => {
      const link = element("a", { href: URL.createObjectURL(blob), download: `${this.file}.png` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    });
  }
}
