// The linked map viewer: one component instance a panel, all instances of a group share their state here.
// A panel gets its data once; zoom, colours, thresholds and the value under the cursor never leave the browser.

import { clipped, colour, percentile, rank, reduce, shared, span, unit } from "./heat.js";

const STEPS = 1024; // colours in a look-up table
const CLICK = 4; // pixels that a pointer may move and still click
const SMALLEST = 1 / 32; // of the image's side, at the highest zoom
const DOUBLE = 300; // milliseconds within which a second click is a double-click, and no mark is sent
const SCROLL = 400; // milliseconds after which the page no longer moves by the wheel
const VIEWS = {
  grey: "White to black",
  heat: "Heat on the photo",
  signed: "Signed",
  important: "Important pixels",
};
const REDUCTIONS = {
  sum_of_absolutes: "Sum of absolutes",
  absolute_of_sum: "Absolute of sum",
  maximum: "Maximum",
  signed_sum: "Signed sum",
};

const groups = new Map(); // name -> Group
let scrolled = 0; // when the page was scrolled last
window.addEventListener("scroll", () => (scrolled = performance.now()), { capture: true, passive: true });
const panels = new WeakMap(); // parentElement -> Panel, Toolbar or Link

/** What the panels of one page share. */
class Group {
  constructor() {
    this.settings = { ...VIEW, size: "map" };
    this.window = { x: 0, y: 0, size: 1 }; // the part in view, as shares of the image's sides
    this.cursor = null; // {x, y} as shares
    this.mark = null;
    this.region = null; // {x0, y0, x1, y1} as shares
    this.drawing = false; // whether a drag draws a region, as it does with Shift
    this.panels = new Map(); // id -> Panel
    this.toolbars = new Set();
    this.links = new Set();
    this.waiting = false;
    this.stale = false; // whether the colours, not only the window, have changed
  }

  static named(name) {
    if (!groups.has(name)) groups.set(name, new Group());
    return groups.get(name);
  }

  get signed() {
    return this.settings.view === "signed" || this.settings.reduction === "signed_sum";
  }

  get reduction() {
    return this.settings.view === "signed" ? "signed_sum" : this.settings.reduction;
  }

  get photo() {
    return [...this.panels.values()].find((panel) => panel.kind === "photo");
  }

  get maps() {
    return [...this.panels.values()].filter((panel) => panel.kind !== "photo");
  }

  /** Draw at the next frame, once however often it is requested. */
  redraw(recolour = false) {
    this.stale ||= recolour;
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.stale) {
        this.stale = false;
        const spans = this.maps.map((panel) => panel.measure());
        const common = spans.length > 0 && this.settings.scale === "shared" ? shared(spans) : null;
        this.maps.forEach((panel, i) => (panel.span = common ?? spans[i]));
        for (const panel of this.panels.values()) panel.colour();
      }
      for (const panel of this.panels.values()) panel.draw();
      for (const toolbar of this.toolbars) toolbar.update();
      for (const link of this.links) link.later();
    });
  }

  set(name, value) {
    this.settings[name] = value;
    this.redraw(true);
  }

  /** Take over the view that a link brought, once; from then on the browser knows better. */
  restore({ settings, window }) {
    if (this.restored) return;
    this.restored = true;
    Object.assign(this.settings, settings);
    const [x, y, size] = window;
    this.show(x, y, Math.max(SMALLEST, size));
  }

  /** The view as parts of a link: what differs from the defaults. */
  get parts() {
    const { x, y, size } = this.window;
    const zoom = size < 1 ? [["zoom", [x, y, size].join()]] : [];
    const changed = Object.keys(VIEW).filter((name) => this.settings[name] !== VIEW[name]);
    return [...changed.map((name) => [name, String(this.settings[name])]), ...zoom];
  }

  /** Zoom by a factor around a point of the image, given as shares. */
  zoom(factor, at) {
    const size = Math.min(1, Math.max(SMALLEST, this.window.size / factor));
    const kept = size / this.window.size;
    this.show(at.x - (at.x - this.window.x) * kept, at.y - (at.y - this.window.y) * kept, size);
  }

  /** Put a part of the image in view, as far as the image goes. */
  show(x, y, size = this.window.size) {
    const round = (share) => Math.round(1e5 * share) / 1e5; // as far as a link holds it
    const clamp = (share) => round(Math.min(1 - size, Math.max(0, share)));
    this.window = { x: clamp(x), y: clamp(y), size: round(size) };
    this.redraw();
  }

  /** Show all of the image, without a mark or a region. */
  reset() {
    clearTimeout(this.sending);
    this.unmark?.(); // where a mark was sent
    this.unmark = this.region = this.mark = null;
    this.show(0, 0, 1);
  }
}

/** A picture with its readout and, for a map, its colour bar. */
class Panel {
  constructor(root, send) {
    this.send = send;
    this.canvas = element("canvas", { tabIndex: 0, className: "picture" });
    this.canvas.setAttribute("role", "img");
    this.above = element("div", { className: "above" });
    this.readout = element("div", { className: "readout", textContent: "\u00a0" });
    this.bar = element("div", { className: "bar" });
    this.low = element("span");
    this.strip = element("canvas", { width: 128, height: 1, className: "strip" });
    this.high = element("span");
    this.bar.append(this.low, this.strip, this.high);
    this.note = element("div", { className: "note" });
    this.save = element("button", { type: "button", className: "save", textContent: "Save PNG" });
    this.save.onclick = () => this.download();
    const last = element("div", { className: "last" });
    last.append(this.note, this.save);
    this.under = element("div", { className: "under" });
    root.append(this.above, this.canvas, this.readout, this.bar, last, this.under);
    this.offscreen = document.createElement("canvas");
    this.listen();
    this.observer = new ResizeObserver(() => this.fit());
    this.observer.observe(this.canvas);
  }

  /** Take new data; the window, the cursor and the settings stay. */
  update(header, body) {
    if (this.group && this.id !== header.id) this.group.panels.delete(this.id);
    Object.assign(this, { ...header, group: Group.named(header.group) });
    this.group.panels.set(this.id, this);
    this.channels = this.kind === "map" ? new Int16Array(body.buffer) : null;
    this.body = body; // the photo's pixels, or the levels of a map that still grows
    this.heats = new Map(); // reduction -> {heat, sorted, absolutes}
    this.offscreen.width = this.width;
    this.offscreen.height = this.height;
    this.canvas.style.aspectRatio = `${this.width} / ${this.height}`;
    this.canvas.setAttribute("aria-label", this.label);
    this.bar.hidden = this.kind === "photo";
    this.above.textContent = header.title ?? "";
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
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.max(1, Math.round(height * ratio));
    this.group?.redraw();
  }

  /** The map under the group's reduction, with what its percentiles need; computed once a reduction. */
  get heat() {
    const reduction = this.group.reduction;
    if (!this.heats.has(reduction)) {
      const heat = this.channels
        ? reduce(this.channels, this.scale, reduction)
        : Float32Array.from(this.body, (level) => level * this.scale);
      const sorted = heat.slice().sort();
      const absolutes = reduction === "signed_sum" ? heat.map(Math.abs).sort() : sorted;
      this.heats.set(reduction, { heat, sorted, absolutes });
    }
    return this.heats.get(reduction);
  }

  measure() {
    return span(this.heat.sorted, this.heat.absolutes, this.group.settings.clip, this.group.signed);
  }

  /** Paint every pixel of the panel into its offscreen picture. */
  colour() {
    const context = this.offscreen.getContext("2d");
    const image = context.createImageData(this.width, this.height);
    const pixels = image.data;
    const count = this.width * this.height;
    if (this.kind === "photo") {
      for (let i = 0; i < count; i++) {
        for (let c = 0; c < 3; c++) pixels[4 * i + c] = this.body[3 * i + c];
        pixels[4 * i + 3] = 255;
      }
    } else {
      const { view, blend, top } = this.group.settings;
      const { heat, sorted } = this.heat;
      const photo = this.group.photo;
      const under = photo && photo.width === this.width && photo.height === this.height ? photo.body : null;
      const table = colourTable(this.palette());
      const threshold = percentile(sorted, 100 - top);
      const flat = !(this.span[1] > this.span[0]);
      for (let i = 0; i < count; i++) {
        const place = 3 * Math.round(unit(heat[i], this.span) * (STEPS - 1));
        for (let c = 0; c < 3; c++) {
          let value = table[place + c];
          if (view === "heat" && under) value = (1 - blend) * under[3 * i + c] + blend * value;
          if (view === "important") value = !flat && heat[i] >= threshold ? (under ? under[3 * i + c] : 0) : 235;
          pixels[4 * i + c] = value;
        }
        pixels[4 * i + 3] = 255;
      }
      this.legend(table, flat, heat);
    }
    context.putImageData(image, 0, 0);
  }

  palette() {
    const { view, colours } = this.group.settings;
    if (this.group.signed) return COLOURS.blue_orange;
    return view === "heat" ? COLOURS[colours] : COLOURS.grey;
  }

  legend(table, flat, heat) {
    const context = this.strip.getContext("2d");
    const image = context.createImageData(this.strip.width, 1);
    for (let i = 0; i < this.strip.width; i++) {
      const place = 3 * Math.round((i / (this.strip.width - 1)) * (STEPS - 1));
      image.data.set([table[place], table[place + 1], table[place + 2], 255], 4 * i);
    }
    context.putImageData(image, 0, 0);
    this.low.textContent = number(this.span[0], this.group.signed);
    this.high.textContent = number(this.span[1], this.group.signed);
    const outside = clipped(heat, this.span);
    this.bar.hidden = this.group.settings.view === "important";
    this.state = flat
      ? "The map is the same everywhere: nothing to draw."
      : this.bar.hidden
        ? ""
        : [this.unit && `Unit: ${this.unit}`, outside > 0 && `${outside.toFixed(1)} % clipped`].filter(Boolean).join("; ");
  }

  /** Show the part in view, the crosshair, the mark and the region. */
  draw() {
    const context = this.canvas.getContext("2d");
    const { x, y, size } = this.group.window;
    const { width, height } = this.canvas;
    // A finger scrolls the page unless it moves the view or draws.
    this.canvas.style.touchAction = size < 1 || this.group.drawing ? "none" : "pan-y";
    context.imageSmoothingEnabled = false;
    context.drawImage(
      this.offscreen,
      x * this.width, y * this.height, size * this.width, size * this.height,
      0, 0, width, height,
    );
    const across = (share) => ((share - x) / size) * width;
    const down = (share) => ((share - y) / size) * height;
    const line = (points, stroke) => {
      for (const [style, thick] of [["#fff", 2.5], [stroke, 1]]) {
        context.strokeStyle = style;
        context.lineWidth = thick * (window.devicePixelRatio || 1);
        context.beginPath();
        points.forEach(([left, top], i) => (i % 2 ? context.lineTo(left, top) : context.moveTo(left, top)));
        context.stroke();
      }
    };
    const { cursor, mark, region } = this.group;
    if (region) {
      const [left, right] = [across(region.x0), across(region.x1)];
      const [top, bottom] = [down(region.y0), down(region.y1)];
      line([[left, top], [right, top], [right, top], [right, bottom], [right, bottom], [left, bottom], [left, bottom], [left, top]], "#000");
    }
    if (mark) {
      const [left, top, arm] = [across(mark.x), down(mark.y), 8 * (window.devicePixelRatio || 1)];
      line([[left - arm, top], [left + arm, top], [left, top - arm], [left, top + arm]], "#d6202f");
    }
    if (cursor) {
      const [left, top] = [across(cursor.x), down(cursor.y)];
      context.globalAlpha = 0.6;
      line([[left, 0], [left, height], [0, top], [width, top]], "#000");
      context.globalAlpha = 1;
    }
    this.readout.textContent = this.describe(cursor ?? mark);
    this.note.textContent = this.describeRegion() || this.state || "";
  }

  /** The value at a point, in words. */
  describe(point) {
    if (!point) return "\u00a0";
    const column = Math.min(this.width - 1, Math.floor(point.x * this.width));
    const row = Math.min(this.height - 1, Math.floor(point.y * this.height));
    const i = row * this.width + column;
    if (this.kind === "photo") {
      return `x ${column}, y ${row}: RGB ${this.body[3 * i]}, ${this.body[3 * i + 1]}, ${this.body[3 * i + 2]}`;
    }
    const { heat, absolutes } = this.heat;
    return `${number(this.value(i), true)}, larger than ${rank(absolutes, Math.abs(heat[i])).toFixed(1)} % of the pixels`;
  }

  /** The signed attribution of a pixel: the sum of its channels. A map that still grows has no signs yet. */
  value(i) {
    if (!this.channels) return this.heat.heat[i];
    const count = this.width * this.height;
    return (this.channels[i] + this.channels[count + i] + this.channels[2 * count + i]) * this.scale;
  }

  /** The share of a map inside the region, beside the region's share of the area. */
  describeRegion() {
    const region = this.group.region;
    if (!region || this.kind === "photo") return "";
    const { heat } = this.heat;
    const [left, right] = [Math.floor(region.x0 * this.width), Math.ceil(region.x1 * this.width)];
    const [top, bottom] = [Math.floor(region.y0 * this.height), Math.ceil(region.y1 * this.height)];
    let inside = 0;
    let all = 0;
    for (let i = 0; i < heat.length; i++) {
      const size = Math.abs(heat[i]);
      const column = i % this.width;
      const row = Math.floor(i / this.width);
      all += size;
      if (column >= left && column < right && row >= top && row < bottom) inside += size;
    }
    const percent = (share) => `${(100 * share).toFixed(1)} %`;
    const area = ((right - left) * (bottom - top)) / (this.width * this.height);
    return all > 0 ? `${percent(inside / all)} of the map in ${percent(area)} of the area.` : "";
  }

  /** The point of the image under an event, as shares. */
  at(event) {
    const box = this.canvas.getBoundingClientRect();
    const { x, y, size } = this.group.window;
    const clamp = (share) => Math.min(1, Math.max(0, share));
    return {
      x: clamp(x + (size * (event.clientX - box.left)) / box.width),
      y: clamp(y + (size * (event.clientY - box.top)) / box.height),
    };
  }

  listen() {
    const canvas = this.canvas;
    const down = new Map(); // pointer -> where it went down and where it is
    canvas.addEventListener("wheel", (event) => {
      const whole = this.group.window.size === 1;
      if (whole && (event.deltaY > 0 || performance.now() - scrolled < SCROLL)) return; // the page scrolls
      event.preventDefault();
      this.group.zoom(Math.exp(-event.deltaY / 400), this.at(event));
    }, { passive: false });
    canvas.onpointerdown = (event) => {
      canvas.setPointerCapture(event.pointerId);
      down.set(event.pointerId, { start: this.at(event), x: event.clientX, y: event.clientY, moved: 0 });
    };
    canvas.onpointermove = (event) => {
      const pointer = down.get(event.pointerId);
      this.group.cursor = this.at(event);
      if (pointer) {
        const [dx, dy] = [event.clientX - pointer.x, event.clientY - pointer.y];
        const fingers = [...down.values()];
        const spread = () => Math.hypot(fingers[0].x - fingers[1].x, fingers[0].y - fingers[1].y);
        const wide = fingers.length === 2 ? spread() : 0;
        pointer.moved += Math.hypot(dx, dy);
        pointer.x = event.clientX;
        pointer.y = event.clientY;
        const box = canvas.getBoundingClientRect();
        const { x, y, size } = this.group.window;
        if (wide > 0) {
          const [x, y] = [(fingers[0].x + fingers[1].x) / 2, (fingers[0].y + fingers[1].y) / 2];
          this.group.zoom(spread() / wide, this.at({ clientX: x, clientY: y }));
        } else if (event.shiftKey || this.group.drawing) this.group.region = rectangle(pointer.start, this.group.cursor);
        else this.group.show(x - (size * dx) / box.width, y - (size * dy) / box.height);
      }
      this.group.redraw();
    };
    canvas.onpointerup = canvas.onpointercancel = (event) => {
      const pointer = down.get(event.pointerId);
      down.delete(event.pointerId);
      if (event.type === "pointerup" && pointer && pointer.moved <= CLICK) this.markAt(this.at(event));
    };
    canvas.onpointerleave = () => {
      this.group.cursor = null;
      this.group.redraw();
    };
    canvas.ondblclick = () => this.group.reset();
    canvas.onkeydown = (event) => this.press(event);
  }

  markAt(point) {
    this.group.mark = point;
    this.group.redraw();
    const column = Math.min(this.width - 1, Math.floor(point.x * this.width));
    const row = Math.min(this.height - 1, Math.floor(point.y * this.height));
    clearTimeout(this.group.sending);
    this.group.sending = setTimeout(() => {
      this.send({ x: column, y: row });
      this.group.unmark = () => this.send({});
    }, DOUBLE);
  }

  /** Arrows move the crosshair and the window with it, + and - zoom, Enter marks, 0 or Escape resets. */
  press(event) {
    const { window: seen } = this.group;
    const cursor = this.group.cursor ?? { x: seen.x + seen.size / 2, y: seen.y + seen.size / 2 };
    const far = (event.shiftKey ? 10 : 1) / this.width;
    const moves = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] };
    if (event.key in moves) {
      const inside = (share) => Math.min(1 - 0.5 / this.width, Math.max(0.5 / this.width, share));
      this.group.cursor = { x: inside(cursor.x + moves[event.key][0]), y: inside(cursor.y + moves[event.key][1]) };
      const { x, y } = this.group.cursor;
      const follow = (start, point) => Math.min(Math.max(start, point - seen.size), point);
      this.group.show(follow(seen.x, x), follow(seen.y, y));
    } else if (event.key === "+" || event.key === "=") this.group.zoom(1.25, cursor);
    else if (event.key === "-") this.group.zoom(0.8, cursor);
    else if (event.key === "Enter") this.markAt(cursor);
    else if (event.key === "0" || event.key === "Escape") this.group.reset();
    else return;
    event.preventDefault();
  }

  /** Save what is drawn, at the map's own or the photo's resolution. */
  download() {
    const large = this.group.settings.size === "photo";
    const copy = document.createElement("canvas");
    copy.width = large ? this.fullWidth : this.width;
    copy.height = large ? this.fullHeight : this.height;
    const context = copy.getContext("2d");
    context.imageSmoothingEnabled = false;
    const { x, y, size } = this.group.window;
    context.drawImage(
      this.offscreen, x * this.width, y * this.height, size * this.width, size * this.height, 0, 0, copy.width, copy.height,
    );
    copy.toBlob((blob) => {
      const link = element("a", { href: URL.createObjectURL(blob), download: `${this.file}.png` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    });
  }
}

/** The controls of a group. */
class Toolbar {
  constructor(root, send) {
    this.root = root;
    this.send = send;
    this.controls = {};
  }

  update(header) {
    if (header && !this.group) {
      this.group = Group.named(header.group);
      this.group.restore(header);
      this.group.toolbars.add(this);
      this.build(header.take);
      this.group.redraw(true);
    }
    if (!this.group) return;
    const { view } = this.group.settings;
    this.controls.reduction.parentElement.hidden = view === "signed";
    this.controls.colours.parentElement.hidden = view !== "heat" || this.group.signed;
    this.controls.blend.parentElement.hidden = view !== "heat";
    this.controls.top.parentElement.hidden = view !== "important";
    this.controls.clip.parentElement.hidden = view === "important";
    this.controls.scale.parentElement.hidden = view === "important";
    this.controls.size.parentElement.hidden = ![...this.group.panels.values()].some((each) => each.fullWidth > each.width);
    for (const [name, control] of Object.entries(this.controls)) control.value = this.group.settings[name];
    this.clipText.textContent = `${this.group.settings.clip} %`;
    this.topText.textContent = `${this.group.settings.top} %`;
    this.blendText.textContent = `${Math.round(100 * this.group.settings.blend)} % heat`;
    this.region.setAttribute("aria-pressed", String(this.group.drawing));
  }

  build(takes) {
    this.clipText = element("span");
    this.topText = element("span");
    this.blendText = element("span");
    this.root.append(
      this.select("view", "View", VIEWS),
      this.select("reduction", "Channels", REDUCTIONS),
      this.select("colours", "Colours", { magma: "Magma", viridis: "Viridis", cividis: "Cividis" }),
      this.slider("blend", "Blend", 0, 1, 0.05, this.blendText),
      this.slider("top", "Top pixels", 1, 50, 1, this.topText),
      this.slider("clip", "Clip at percentile", 90, 100, 0.5, this.clipText),
      this.select("scale", "Scale", { own: "Own for each map", shared: "One for all" }),
      this.select("size", "PNG size", { map: "As the map", photo: "Enlarged to the photo" }),
    );
    this.region = element("button", { type: "button", textContent: "Draw a region" });
    this.region.onclick = () => {
      this.group.drawing = !this.group.drawing;
      this.group.redraw();
    };
    const reset = element("button", { type: "button", textContent: "Reset view" });
    reset.title = "Show all of the photo, without a mark or a region";
    reset.onclick = () => this.group.reset();
    this.root.append(this.region, reset);
    if (this.send && takes) {
      const take = element("button", { type: "button", textContent: "Take away" });
      take.onclick = () => this.send(Object.fromEntries(this.group.parts));
      this.root.append(take);
    }
  }

  select(name, label, options) {
    const control = element("select");
    for (const [value, text] of Object.entries(options)) control.append(element("option", { value, textContent: text }));
    control.onchange = () => this.group.set(name, control.value);
    this.controls[name] = control;
    return labelled(label, control);
  }

  slider(name, label, min, max, step, output = null) {
    const control = element("input", { type: "range", min, max, step });
    control.oninput = () => this.group.set(name, Number(control.value));
    this.controls[name] = control;
    return labelled(label, control, output);
  }

  remove() {
    this.group.toolbars.delete(this);
  }
}

/** The address bar, which always holds the whole analysis, and the button that copies it. */
class Link {
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

  /** Browsers allow few changes of the address a second. */
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
    let said = "The link is copied.";
    try {
      await navigator.clipboard.writeText(window.location.href);
    } catch {
      said = "This browser does not let a page copy; copy the address bar instead.";
    }
    this.note.textContent = `${said} ${this.header.note}`;
  }

  remove() {
    clearTimeout(this.timer);
    this.group.links.delete(this);
  }
}

/** Show a message in an element. Streamlit calls it whenever the data or the theme of an instance change, a report once. */
export default function mount({ data, parentElement, setTriggerValue }) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const body = bytes.slice(4 + length); // a copy, aligned for 16-bit numbers
  if (!panels.has(parentElement)) {
    const root = element("div", { className: ["map", "partial"].includes(header.kind) ? "panel" : `panel ${header.kind}` });
    parentElement.append(root);
    const make = {
      toolbar: () => new Toolbar(root, setTriggerValue && ((view) => setTriggerValue("take", view))),
      link: () => new Link(root),
    }[header.kind];
    panels.set(parentElement, make ? make() : new Panel(root, (pixel) => setTriggerValue?.("pixel", pixel)));
  }
  const panel = panels.get(parentElement);
  panel.update(header, body);
  return () => {
    panel.remove();
    panels.delete(parentElement);
  };
}

function element(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

function labelled(text, control, output = null) {
  const label = element("label");
  const caption = element("span", { textContent: text });
  if (output) caption.append(" ", output);
  label.append(caption, control);
  return label;
}

function rectangle(from, to) {
  return {
    x0: Math.min(from.x, to.x), y0: Math.min(from.y, to.y), x1: Math.max(from.x, to.x), y1: Math.max(from.y, to.y),
  };
}

/** STEPS colours, three bytes each. */
function colourTable(anchors) {
  const table = new Uint8ClampedArray(3 * STEPS);
  for (let i = 0; i < STEPS; i++) table.set(colour(anchors, i / (STEPS - 1)), 3 * i);
  return table;
}

/** Three digits; with a plus where the sign is the point. */
function number(value, signed) {
  if (value === 0) return "0";
  const sign = value < 0 ? "\u2212" : signed ? "+" : "";
  const size = Math.abs(value);
  return sign + (size < 1e-3 ? size.toExponential(2) : size.toPrecision(3));
}
