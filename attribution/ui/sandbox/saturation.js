// The sandbox of saturation: the function with its tangent, and the integrand with the rectangles of the midpoint rule.

import { element, labelled } from "../../viewer/elements.js";
import { path, saturating, slope } from "./rules.js";
import { filled, shape, shown } from "./scrub.js";

const RANGES = {
  x: { min: -1, max: 4, step: 0.1 },
  baseline: { min: -1, max: 4, step: 0.1 },
  steps: { min: 1, max: 50, step: 1 },
};
const FUNCTION = { low: -1, high: 4, bottom: -1.25, top: 1.75, across: [-1, 0, 1, 2, 3, 4], up: [-1, 0, 1] };
const INTEGRAND = { low: 0, high: 1, bottom: -5.5, top: 5.5, across: [0, 0.5, 1], up: [-5, 0, 5] };
const SIZE = { width: 350, height: 194, left: 34, right: 14, top: 10, bottom: 40 };
const SAID = 400; // milliseconds without a change before it is said

export class SaturationView {
  constructor(root, change) {
    this.change = change;
    this.controls = element("div", { className: "ranges" });
    this.charts = element("div", { className: "charts" });
    this.facts = element("ul", { className: "facts" });
    this.said = element("p", { className: "said" });
    this.said.setAttribute("role", "status");
    root.append(this.controls, this.charts, this.facts, this.said);
  }

  remove() {
    clearTimeout(this.saying);
  }

  show(message, state) {
    const isNew = message !== this.message;
    Object.assign(this, { message, state });
    if (isNew) this.build();
    this.found = path(state);
    for (const each of this.updates) each();
    this.drawFunction();
    this.drawIntegrand();
    const texts = this.texts();
    this.facts.replaceChildren(...texts.map((textContent) => element("li", { textContent })));
    clearTimeout(this.saying);
    this.saying = setTimeout(() => this.say(texts.join("; ")), isNew ? 0 : SAID);
  }

  build() {
    const { controls, words } = this.message;
    this.updates = [];
    this.controls.replaceChildren(...Object.keys(RANGES).map((name) => this.control(name, controls.includes(name), words)));
    this.function = new Plot(FUNCTION, words.function_title, "x");
    this.integrand = new Plot(INTEGRAND, words.integrand_title, words.position);
    this.charts.replaceChildren(this.function.root, this.integrand.root);
  }

  control(name, free, words) {
    if (!free) {
      const text = element("p");
      this.updates.push(() => (text.textContent = `${words[name]} = ${shown(this.state[name])}`));
      return text;
    }
    const [range, number] = ["range", "number"].map((type) => element("input", { type, ...RANGES[name] }));
    number.setAttribute("aria-label", words[name]);
    const { min, max, step } = RANGES[name];
    const set = (input) => {
      const value = Math.round(Number(input.value) / step) * step;
      if (input.value === "" || !(value >= min && value <= max)) return;
      this.change({ ...this.state, [name]: Math.round(10 * value) / 10 });
    };
    range.oninput = () => set(range);
    number.oninput = () => set(number);
    number.onblur = () => (number.value = this.state[name]);
    for (const each of [range, number]) each.onkeydown = (event) => event.stopPropagation(); // they turn pages elsewhere
    this.updates.push(() => {
      range.value = this.state[name];
      if (Number(number.value) !== this.state[name] || number.value === "") number.value = this.state[name];
    });
    const row = element("div", { className: "range" });
    row.append(labelled(words[name], range), number);
    return row;
  }

  drawFunction() {
    const { baseline, x } = this.state;
    const plot = this.function;
    const line = (points, style) => plot.line(points, style);
    const [low, high] = [FUNCTION.low, FUNCTION.high];
    const tangent = (at) => saturating(x) + slope(x) * (at - x);
    const top = slope(x) ? Math.min(high, x + (FUNCTION.top - saturating(x))) : high;
    const point = (value, style) => plot.mark(value, saturating(value), style);
    const [upper, lower] = [saturating(x) - 0.05, saturating(baseline) - 0.05];
    plot.draw(
      line([[low, tangent(low)], [top, tangent(top)]], "tangent"),
      line([[low, saturating(low)], [1, 1], [high, 1]], "curve"),
      point(baseline, "origin"),
      point(x, "point"),
      plot.note(x, upper, "x", 22),
      plot.note(baseline, lower, "b", x === baseline ? 40 : 22),
    );
  }

  drawIntegrand() {
    const { baseline, steps, x } = this.state;
    const length = x - baseline;
    const plot = this.integrand;
    const value = (at) => length * slope(baseline + at * length);
    const bend = length ? Math.min(1, Math.max(0, (1 - baseline) / length)) : 0; // where f' changes
    const [first, last] = [value(bend / 2), value((1 + bend) / 2)];
    plot.draw(
      ...this.found.integrand.map(([node, height]) => plot.bar(node, 1 / steps, height)),
      plot.line([[0, bend > 0 ? first : last], [bend, bend > 0 ? first : last], [bend, bend < 1 ? last : first], [1, bend < 1 ? last : first]], "curve"),
      ...this.found.integrand.map(([node, height]) => plot.mark(node, height, "node")),
    );
  }

  texts() {
    const { words } = this.message;
    const { gradient, sum, exact, error } = this.found;
    const facts = { gradient: shown(gradient), sum: shown(sum), exact: shown(exact), error: shown(error), steps: this.state.steps };
    return ["gradient_said", "sum_said", "exact_said", "error_said"].map((name) => filled(words[name], facts));
  }

  /** One sentence when the hand rests. */
  say(said) {
    if (said !== this.said.textContent) this.said.textContent = said;
  }
}

/** A chart with fixed axes. */
class Plot {
  constructor(axes, title, across) {
    const { width, height, left, right, top, bottom } = SIZE;
    this.across = (value) => left + ((value - axes.low) / (axes.high - axes.low)) * (width - left - right);
    this.down = (value) => top + ((axes.top - value) / (axes.top - axes.bottom)) * (height - top - bottom);
    this.inside = shape("g");
    const grid = axes.up.map((value) => this.line([[axes.low, value], [axes.high, value]], value ? "grid" : "axis"));
    const text = (x, y, words, style) => {
      const found = shape("text", { x, y, class: style });
      found.textContent = words;
      return found;
    };
    const drawing = shape(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title, class: "plot" },
      ...grid,
      ...axes.across.map((value) => text(this.across(value), height - bottom + 16, shown(value), "middle")),
      ...axes.up.map((value) => text(left - 6, this.down(value), shown(value), "end")),
      text(width - right, height - 7, across, "end"),
      this.inside,
    );
    this.root = element("figure");
    this.root.append(element("figcaption", { textContent: title }), drawing);
  }

  draw(...shapes) {
    this.inside.replaceChildren(...shapes);
  }

  line(points, style) {
    const d = points.map(([x, y], i) => `${i ? "L" : "M"}${this.across(x)} ${this.down(y)}`).join("");
    return shape("path", { d, class: style });
  }

  bar(node, width, value) {
    const [left, right] = [node - width / 2, node + width / 2].map(this.across);
    const [top, bottom] = [Math.max(0, value), Math.min(0, value)].map(this.down);
    return shape("rect", { x: left, y: top, width: right - left, height: bottom - top, class: "bar" });
  }

  /** A point; that of the start is a square. */
  mark(x, y, style) {
    const [across, down] = [this.across(x), this.down(y)];
    if (style !== "origin") return shape("circle", { cx: across, cy: down, r: style === "node" ? 2.5 : 5, class: style });
    return shape("rect", { x: across - 5, y: down - 5, width: 10, height: 10, class: style });
  }

  note(x, y, words, below) {
    const found = shape("text", { x: this.across(x), y: this.down(y) + below - 5, class: "middle strong" });
    found.textContent = words;
    return found;
  }
}
