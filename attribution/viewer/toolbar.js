// The controls of a group; their labels, options and ranges come from View in drawing/view.py.

import { element, labelled } from "./elements.js";
import { Group } from "./group.js";
import { Stage } from "./stage.js";

/* global VIEW_CONTROLS -- by view_facts() in message.py */

export class Toolbar {
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
      this.build(header.canExport);
      this.group.redraw(true);
    }
    if (header && this.group.by !== header.by) {
      this.group.by = header.by;
      this.group.redraw();
    }
    if (!this.group) return;
    const { view, reduction } = this.group.settings;
    const { maps } = this.group;
    const hidden = {
      reduction: maps.length > 0 && maps.every((panel) => ["signed", "rgb"].includes(panel.view.view)),
      colours: view !== "heat" || reduction === "signed_sum",
      blend: view !== "heat",
      top: view !== "important",
      clip: view === "important",
      scale: view === "important",
      outlines: !maps.some((panel) => panel.segments),
      size: ![...this.group.panels.values()].some((panel) => panel.fullWidth > panel.width),
    };
    for (const [name, state] of Object.entries(hidden)) this.controls[name].parentElement.hidden = state;
    for (const [name, control] of Object.entries(this.controls)) control.value = this.group.settings[name];
    this.clipText.textContent = `${this.group.settings.clip}`;
    this.topText.textContent = `${this.group.settings.top}%`;
    this.blendText.textContent = `${Math.round(100 * this.group.settings.blend)}%`;
    this.region.setAttribute("aria-pressed", String(this.group.drawing));
    this.stage.update();
  }

  build(canExport) {
    this.clipText = element("span");
    this.topText = element("span");
    this.blendText = element("span");
    const skip = element("button", { type: "button", className: "skip", textContent: "Go to the maps" }); // seen while focused
    skip.onclick = () => this.group.images.find((panel) => panel.kind !== "photo")?.canvas.focus();
    this.root.append(
      skip,
      this.select("view", "View"),
      this.select("reduction", "Channels"),
      this.select("colours", "Colours"),
      this.slider("blend", "Opacity", 0.05, this.blendText),
      this.slider("top", "Top pixels", 1, this.topText),
      this.slider("clip", "Clip at percentile", 0.5, this.clipText),
      this.select("scale", "Colour scale"),
      this.select("outlines", "Segment outlines"),
      this.select("size", "PNG size", { map: "Map", photo: "Photo" }),
    );
    const more = element("button", { type: "button", className: "more", textContent: "More" }); // on a phone
    more.onclick = () => {
      const open = this.root.classList.toggle("open");
      more.textContent = open ? "Less" : "More";
      more.setAttribute("aria-expanded", String(open));
    };
    more.setAttribute("aria-expanded", "false");
    this.root.append(more);
    this.region = element("button", { type: "button", textContent: "Draw a region" });
    this.region.onclick = () => {
      this.group.drawing = !this.group.drawing;
      this.group.redraw();
    };
    const reset = element("button", { type: "button", textContent: "Reset view" });
    reset.title = "Reset the zoom, and remove the mark and the region";
    reset.onclick = () => this.group.reset();
    this.stage = new Stage(this.root.parentNode, this.group);
    const present = element("button", { type: "button", textContent: "Present" });
    present.title = "One map, a wipe or a difference of two, as large as the screen";
    present.onclick = () => this.stage.open();
    this.root.append(this.region, reset, present);
    if (this.send && canExport) {
      const button = element("button", { type: "button", textContent: "Export" });
      button.onclick = () => this.send(Object.fromEntries(this.group.parts));
      this.root.append(button);
    }
  }

  select(name, label, options = VIEW_CONTROLS[name]) {
    const control = element("select");
    for (const [value, textContent] of Object.entries(options)) control.append(element("option", { value, textContent }));
    control.onchange = () => this.group.set(name, control.value);
    this.controls[name] = control;
    return labelled(label, control);
  }

  slider(name, label, step, output) {
    const [min, max] = VIEW_CONTROLS[name];
    const control = element("input", { type: "range", min, max, step });
    control.oninput = () => this.group.set(name, Number(control.value));
    this.controls[name] = control;
    return labelled(label, control, output);
  }

  remove() {
    this.stage?.remove();
    this.group.toolbars.delete(this);
  }
}
