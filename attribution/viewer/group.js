// State shared by the panels of one page: settings, visible part, cursor, mark and region.

import { shared } from "./heat.js";

/* global DEFAULT_VIEW -- by view_facts() in message.py */

const SMALLEST_WINDOW = 1 / 32; // visible share of the image's side at maximum zoom
const groups = new Map(); // name -> Group

export class Group {
  constructor() {
    this.settings = { ...DEFAULT_VIEW, size: "map" };
    this.window = { x: 0, y: 0, size: 1 }; // visible part, as shares of the common sides, like all points below
    this.cursor = null; // {x, y} as shares
    this.mark = null;
    this.region = null; // {x0, y0, x1, y1} as shares
    this.corner = null; // where the keyboard started a region that is not finished
    this.drawing = false; // true if dragging draws a region even without Shift
    this.panels = new Map(); // id -> Panel
    this.toolbars = new Set();
    this.links = new Set();
    this.by = ""; // the model, if the maps are not those of the current choice
    this.waiting = false;
    this.stale = false; // true if colours must be recomputed
  }

  static named(name) {
    if (!groups.has(name)) groups.set(name, new Group());
    return groups.get(name);
  }

  /** The photo that belongs to a panel. */
  photoOf({ row }) {
    return [...this.panels.values()].find((panel) => panel.kind === "photo" && panel.row === row);
  }

  /** The panels of the page, as they follow one another on it. */
  get images() {
    const images = [...this.panels.values()].filter((panel) => !panel.staged);
    const places = new Map(images.map((panel) => [panel, panel.canvas.getBoundingClientRect()]));
    return images.sort((a, b) => places.get(a).top - places.get(b).top || places.get(a).left - places.get(b).left);
  }

  get maps() {
    return [...this.panels.values()].filter((panel) => panel.kind !== "photo");
  }

  /** Draw at the next frame; repeated requests are merged. */
  redraw(recolour = false) {
    this.stale ||= recolour;
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.stale) {
        this.stale = false;
        for (const panel of this.maps) panel.span = panel.measure();
        if (this.settings.scale === "shared") this.shareScales();
        for (const panel of this.panels.values()) panel.colour();
      }
      for (const panel of this.panels.values()) panel.draw();
      for (const toolbar of this.toolbars) toolbar.update();
      for (const link of this.links) link.later();
    });
  }

  /** Give all maps that are drawn in one view the same scale. */
  shareScales() {
    for (const view of new Set(this.maps.map((panel) => panel.view.view))) {
      const alike = this.maps.filter((panel) => panel.view.view === view && !panel.staged);
      if (alike.length === 0) continue;
      const common = shared(alike.map((panel) => panel.span));
      for (const panel of this.maps) if (panel.view.view === view && !panel.difference) panel.span = common;
    }
  }

  set(name, value) {
    this.settings[name] = value;
    this.redraw(true);
  }

  /** Apply the view of a link, once; later changes stay in the browser. */
  restore({ settings, window }) {
    if (this.restored) return;
    this.restored = true;
    Object.assign(this.settings, settings);
    const [x, y, size] = window;
    this.show(x, y, Math.max(SMALLEST_WINDOW, size));
  }

  /** The view as link parameters, without defaults. */
  get parts() {
    const { x, y, size } = this.window;
    const zoom = size < 1 ? [["zoom", [x, y, size].join()]] : [];
    const changed = Object.keys(DEFAULT_VIEW).filter((name) => this.settings[name] !== DEFAULT_VIEW[name]);
    return [...changed.map((name) => [name, String(this.settings[name])]), ...zoom];
  }

  /** Zoom by a factor around a point of the image, given as shares. */
  zoom(factor, at) {
    const size = Math.min(1, Math.max(SMALLEST_WINDOW, this.window.size / factor));
    const kept = size / this.window.size;
    this.show(at.x - (at.x - this.window.x) * kept, at.y - (at.y - this.window.y) * kept, size);
  }

  /** Show a part of the image, clamped to its edges. */
  show(x, y, size = this.window.size) {
    const round = (share) => Math.round(1e5 * share) / 1e5; // the precision of a link
    const clamp = (share) => round(Math.min(1 - size, Math.max(0, share)));
    this.window = { x: clamp(x), y: clamp(y), size: round(size) };
    this.redraw();
  }

  /** Reset the zoom, and remove the mark and the region. */
  reset() {
    clearTimeout(this.sending);
    this.unmark?.(); // if a mark was sent
    this.unmark = this.region = this.corner = this.mark = null;
    this.show(0, 0, 1);
  }
}
