// The path player. One position on the path, alpha, sets the image, the map so far, the meter and both cursors.

import { element, number } from "../../viewer/elements.js";
import { unpack } from "../../viewer/unpack.js";

const PLAY_TIME = 4000; // milliseconds of the animation from baseline to photo
const CHART = { width: 460, height: 200, left: 56, right: 12, top: 20, bottom: 30 };
const SVG = "http://www.w3.org/2000/svg";
const players = new WeakMap(); // parentElement -> Player

class Player {
  constructor(root) {
    this.alpha = 1;
    this.image = picture("Image at this position of the path");
    this.map = picture("Map accumulated up to this position");
    this.said = element("div", { className: "said" });
    this.said.setAttribute("role", "status");
    this.meter = element("meter", { min: 0, max: 1 });
    this.meter.setAttribute("aria-label", "Share of the score difference that the map accounts for");
    this.slider = element("input", { type: "range", min: 0, max: 1, step: 0.005 });
    this.slider.setAttribute("aria-label", "Position on the path: 0 is the baseline, 1 the photo");
    this.slider.oninput = () => this.stop(Number(this.slider.value));
    this.button = element("button", { type: "button", textContent: "Play" });
    this.button.onclick = () => (this.playing ? this.stop(this.alpha) : this.play());
    const controls = element("div", { className: "controls" });
    controls.append(this.button, this.slider);
    const pictures = element("div", { className: "pictures" });
    pictures.append(framed("Image on the path", this.image), (this.frame = framed("", this.map)));
    this.charts = element("div", { className: "charts" });
    root.append(pictures, controls, this.meter, this.said, this.charts);
  }

  update(header, body) {
    Object.assign(this, header);
    const count = 3 * this.width * this.height;
    this.photo = body.subarray(0, count);
    this.start = body.subarray(count, 2 * count);
    this.maps = body.subarray(2 * count);
    for (const canvas of [this.image, this.map]) {
      canvas.width = this.width;
      canvas.height = this.height;
    }
    this.frame.lastChild.textContent = `Map from the baseline up to here (${this.gradients} gradients in all)`;
    const marked = (row) => this.evaluated[0].map((node, i) => [node, this.evaluated[row][i]]);
    const curve = (values) => this.nodes.map((node, i) => [node, values[i]]);
    this.curves = [
      new Chart(`Score along the path (${this.unit})`, curve(this.scores), marked(1), (alpha) => this.stop(alpha)),
      new Chart(`Integrand, summed over all pixels (${this.unit} per path length)`, curve(this.slopes), marked(2), (alpha) => this.stop(alpha)),
    ];
    this.charts.replaceChildren(...this.curves.map((chart) => chart.root));
    this.show(this.alpha);
  }

  play() {
    this.playing = true;
    this.button.textContent = "Pause";
    const from = this.alpha >= 1 ? 0 : this.alpha;
    const started = performance.now();
    const step = (now) => {
      if (!this.playing) return;
      const alpha = Math.min(1, from + (now - started) / PLAY_TIME);
      this.show(alpha);
      if (alpha < 1) requestAnimationFrame(step);
      else this.stop(1);
    };
    requestAnimationFrame(step);
  }

  stop(alpha) {
    this.playing = false;
    this.button.textContent = "Play";
    this.show(alpha);
  }

  show(alpha) {
    this.alpha = alpha;
    this.slider.value = alpha;
    const count = this.width * this.height;
    const place = alpha * (this.pieces - 1);
    const below = Math.min(Math.floor(place), this.pieces - 2);
    const reached = evenly(this.reached, alpha);
    const [least, most] = [below, below + 1].map((piece) => evenly(this.reached, piece / (this.pieces - 1)));
    const share = most === least ? place - below : Math.min(1, Math.max(0, (reached - least) / (most - least)));
    const at = (i) => (1 - share) * this.maps[below * count + i] + share * this.maps[(below + 1) * count + i];
    paint(this.image, (i, c) => this.start[3 * i + c] + alpha * (this.photo[3 * i + c] - this.start[3 * i + c]));
    paint(this.map, (i) => 255 - at(i));
    const difference = this.score - this.baselineScore;
    this.meter.value = difference === 0 ? 0 : Math.min(1, Math.max(0, reached / difference));
    const score = interpolate(this.nodes, this.scores, alpha);
    this.said.textContent =
      `At alpha ${alpha.toFixed(2)} the score is ${number(score)} (unit: ${this.unit}). Up to here the map sums to ` +
      `${number(reached)}; the score difference between baseline and photo is ${number(difference)}.`;
    for (const chart of this.curves) chart.mark(alpha);
  }
}

/** A line chart with marked points; moving a pointer or a finger over it reports the position. */
class Chart {
  constructor(title, points, marked, onPlace) {
    const { width, height, left, right, top, bottom } = CHART;
    const values = [...points, ...marked].map(([, value]) => value);
    let [low, high] = [-round(-Math.min(0, ...values)), round(Math.max(0, ...values))];
    if (low === high) high = low + 1;
    this.across = (alpha) => left + alpha * (width - left - right);
    this.down = (value) => top + ((high - value) / (high - low)) * (height - top - bottom);
    this.root = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
    const text = (x, y, words, anchor) => {
      const found = shape("text", { x, y, "text-anchor": anchor });
      found.textContent = words;
      return found;
    };
    const line = points.map(([node, value], i) => `${i ? "L" : "M"}${this.across(node)} ${this.down(value)}`).join("");
    this.cursor = shape("line", { class: "cursor", y1: top, y2: height - bottom });
    this.root.append(
      shape("line", { class: "axis", x1: left, x2: width - right, y1: this.down(0), y2: this.down(0) }),
      shape("path", { class: "curve", d: line }),
      ...marked.map(([node, value]) => shape("circle", { cx: this.across(node), cy: this.down(value), r: 3 })),
      this.cursor,
      text(left, 12, title, "start"),
      text(left - 6, this.down(high) + 4, number(high), "end"),
      text(left - 6, this.down(0) + 4, "0", "end"),
      ...(this.down(low) - this.down(0) > 10 ? [text(left - 6, this.down(low) + 4, number(low), "end")] : []),
      ...[0.25, 0.5, 0.75].map((alpha) => text(this.across(alpha), height - 8, `${alpha}`, "middle")),
      text(left, height - 8, "baseline", "start"),
      text(width - right, height - 8, "photo", "end"),
    );
    this.root.onpointermove = (event) => {
      const box = this.root.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * width;
      onPlace(Math.min(1, Math.max(0, (x - left) / (width - left - right))));
    };
  }

  mark(alpha) {
    this.cursor.setAttribute("x1", this.across(alpha));
    this.cursor.setAttribute("x2", this.across(alpha));
  }
}

/** Called by Streamlit whenever the study changes. */
export default function ({ data, parentElement }) {
  const { header, body } = unpack(data);
  if (!players.has(parentElement)) {
    const root = element("div", { className: "player" });
    parentElement.append(root);
    players.set(parentElement, new Player(root));
  }
  const player = players.get(parentElement);
  player.update(header, body);
  return () => {
    player.stop(player.alpha);
    players.delete(parentElement);
  };
}

/** The next of 1, 1.5, 2, 3, 5, 7 times a power of ten, so that the axes rarely change while points arrive. */
function round(value) {
  if (!(value > 0)) return 0;
  const power = 10 ** Math.floor(Math.log10(value) + 1e-9);
  return power * [1, 1.5, 2, 3, 5, 7, 10].find((each) => each * power >= value * (1 - 1e-9));
}

function shape(tag, attributes) {
  const found = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
  return found;
}

function picture(label) {
  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  return canvas;
}

function framed(caption, canvas) {
  const figure = element("figure");
  figure.append(canvas, element("figcaption", { textContent: caption }));
  return figure;
}

/** Fill a canvas from a function of pixel and channel. */
function paint(canvas, level) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  for (let i = 0; i < canvas.width * canvas.height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = level(i, c);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** The value at a position, interpolated linearly between nodes. */
function interpolate(nodes, values, place) {
  const above = nodes.findIndex((node) => node >= place);
  if (above === 0) return values[0];
  if (above < 0) return values[values.length - 1];
  const share = (place - nodes[above - 1]) / (nodes[above] - nodes[above - 1]);
  return values[above - 1] + share * (values[above] - values[above - 1]);
}

/** The value at a position in [0, 1], interpolated linearly between evenly spaced values. */
function evenly(values, place) {
  const at = place * (values.length - 1);
  const below = Math.min(Math.floor(at), values.length - 2);
  return values[below] + (at - below) * (values[below + 1] - values[below]);
}
