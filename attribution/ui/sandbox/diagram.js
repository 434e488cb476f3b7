// The drawing of three neurons. Signals go down from the inputs to the score; what each rule sends back goes up.

import { RULES } from "./rules.js";
import { filled, scrub, shape, shown } from "./scrub.js";

const NAMES = ["A", "B", "C"];
const INPUTS = ["x1", "x2"];
const RANGE = { low: -5, high: 5 };
const X_STEP = 0.1;
const WEIGHT_STEP = 0.5;
// Units: width of the drawing, size of the font, height of a line, room beside and between the columns and between the
// two boxes of a column, height of the fan of edges, width of an input and of the score, and a button's side, which is
// 24 pixels where the drawing is smallest.
const WIDE = { width: 760, font: 15, line: 19, margin: 12, gap: 12, inner: 6, fan: 30, input: 220, score: 150, side: 27 };
const TALL = { width: 358, font: 13, line: 18, margin: 8, gap: 6, inner: 4, fan: 40, input: 168, score: 84, side: 25 };
const PAD = 5;
const APART = 11; // between the rows of boxes
const NARROW_DIGIT = 0.4; // width of a narrow character, by the size of the font

export class Diagram {
  /**
   * @param options tall, skips, allowed, words, focus, reveal.
   * @param read Returns the state.
   * @param write Called with a changed one.
   */
  constructor(options, read, write) {
    Object.assign(this, options, { read, write, size: options.tall ? TALL : WIDE });
    this.updates = [];
    this.links = shape("g", { class: "links" });
    this.root = shape("svg", { role: "group", "aria-label": this.words.diagram }, this.links);
    this.root.classList.add(this.tall ? "tall" : "wide");
    const { fan, gap, margin, side, width } = this.size;
    this.column = (width - 2 * margin - 2 * gap) / 3;
    this.inputs = INPUTS.map((_, j) => this.input(j));
    const top = PAD + side + 2 + fan;
    const cards = top + this.into(top) + APART;
    const out = cards + this.cards(cards) + APART;
    const score = out + this.out(out) + 2 * APART;
    this.root.setAttribute("viewBox", `0 0 ${width} ${score + this.end(score, score - 2 * APART) + PAD}`);
  }

  update(found) {
    this.found = found;
    for (const each of this.updates) each();
  }

  left(i) {
    return this.size.margin + i * (this.column + this.size.gap);
  }

  /** An input, and its horizontal middle. */
  input(j) {
    const { input, side, width } = this.size;
    const middle = (width * (j ? 3 : 1)) / 4;
    const [x, y] = [middle - input / 2, PAD];
    const written = () => `${INPUTS[j]} = ${shown(this.read().x[j])}`;
    if (this.allowed.has("x")) {
      const name = filled(this.words.input, { name: INPUTS[j] });
      const box = { x: x + side + 4, y, width: input - 2 * side - 8, height: side };
      this.scrub({ box, step: X_STEP, name, places: [[x, y], [x + input - side, y]], path: ["x", j], written });
    } else {
      const group = this.group(x, y, input, side, "node", written);
      this.text(group, middle, y + side / 2, "middle strong", written);
    }
    return middle;
  }

  /** The edges from the inputs to the neurons; returns their height. */
  into(y) {
    const { column, tall } = this;
    const { inner, line, side } = this.size;
    const width = (column - inner) / 2;
    const free = this.allowed.has("weights");
    const height = tall ? 2 * PAD + (free ? 2 * side + 4 : line) + 4 * line : 2 * PAD + (free ? side + 2 * line : 2 * line);
    for (const [i, name] of NAMES.entries()) {
      for (const [j, start] of INPUTS.entries()) {
        const x = this.left(i) + j * (width + inner);
        const forward = () => `\u2192 ${shown(this.found.forward[i][j])}`;
        const sent = (rule) => this.found.sent[rule][i][j];
        const [path, weight] = [["into", i, j], () => this.read().into[i][j]];
        const said = () => this.saidOfEdge(start, name, weight(), this.found.forward[i][j], sent);
        const group = this.group(x, y, width, height, "edge", said);
        let below = y + PAD;
        if (free) {
          const step = { step: WEIGHT_STEP, name: filled(this.words.weight, { start, end: name }), path };
          const wide = { x: x + side + 6, y: below, width: width - 2 * side - 12, height: side };
          const high = { x: x + 3, y: below, width: width - 6, height: side };
          const row = tall ? below + side + 2 : below;
          const inset = tall ? 1 : 3;
          const places = [[x + inset, row], [x + width - inset - side, row]];
          this.scrub({ ...step, box: tall ? high : wide, places, written: () => shown(weight()) });
          below += tall ? 2 * side + 4 : side;
        } else {
          this.text(group, x + PAD, below + line / 2, "", () => `\u00d7 ${shown(weight())}`, width / (tall ? 1 : 2) - PAD);
          if (tall) below += line;
        }
        this.text(group, x + width - PAD, below + line / 2, "end", forward, free || tall ? width - 2 * PAD : width / 2 - PAD);
        below += line;
        const part = tall ? width - 2 * PAD : (width - 2 * PAD) / 3;
        for (const [k, rule] of RULES.entries()) {
          const [across, down] = tall ? [x + PAD, below + k * line] : [x + PAD + k * part, below];
          this.sent(group, across, down + line / 2, rule, () => sent(rule), part);
        }
        this.link([this.inputs[j] + (i - 1) * 20, PAD + side], [x + width / 2, y]);
        this.link([x + width / 2, y + height], [x + width / 2, y + height + APART]);
      }
    }
    return height;
  }

  /** The neurons; returns their height. */
  cards(y) {
    const { column, tall, words } = this;
    const { line } = this.size;
    const height = 2 * PAD + 5 * line + 4;
    for (const [i, name] of NAMES.entries()) {
      const x = this.left(i);
      const values = () => [this.found.before[i], this.found.after[i]].map(shown);
      const through = (rule) => this.found.through[rule][i];
      const arriving = () => this.hidden(this.read().out[i]);
      const said = () =>
        filled(words.neuron_said, {
          name,
          before: values()[0],
          after: values()[1],
          arriving: this.reveal ? arriving() : words.hidden,
          back: this.back(through),
        });
      const group = this.group(x, y, column, height, "node", said);
      const row = (k) => y + PAD + (k + 0.5) * line;
      const right = x + column - PAD;
      this.text(group, x + PAD, row(0), "strong", () => name);
      const arrow = tall ? " \u2192 " : ` \u2192 ${words.relu} \u2192 `;
      this.text(group, right, row(0), "end strong", () => values().join(arrow), column - 2 * PAD - 15);
      for (const [k, rule] of RULES.entries()) {
        if (rule === this.focus) {
          const mark = { x: x + 2, y: row(k + 1) - line / 2, width: column - 4, height: line, class: "mark" };
          group.append(shape("rect", mark));
        }
        const heavy = rule === this.focus ? "strong" : "";
        const named = tall ? words[`${rule}_short`] : words[rule];
        this.text(group, x + PAD, row(k + 1), `${rule} ${heavy}`, () => named, column * 0.55);
        const blocks = () => this.reveal && this.read().out[i] !== 0 && through(rule) === 0;
        this.text(group, right - 20, row(k + 1), "end", () => (blocks() ? words.blocked : ""), column * (tall ? 0.6 : 0.3));
        const stop = shape("path", { class: "stop", d: `M${right - 14} ${row(k + 1) - 5}v10` });
        group.append(stop);
        this.updates.push(() => (stop.style.display = blocks() ? "" : "none"));
        this.text(group, right, row(k + 1), `end ${rule} ${heavy}`, () => this.hidden(through(rule)));
      }
      const top = row(4) + 4;
      group.append(shape("path", { class: "line", d: `M${x} ${top - line / 2 - 1}h${column}` }));
      this.text(group, x + PAD, top, "", () => (tall ? "R" : words.arriving), column * 0.75);
      this.text(group, right, top, "end strong", arriving);
    }
    return height;
  }

  /** The edges from the neurons to the score; returns their height. */
  out(y) {
    const heights = NAMES.map((name, i) => {
      const x = this.left(i);
      this.link([x + this.column / 2, y - APART], [x + this.column / 2, y]);
      return this.onward(x, y, this.column, name, ["out", i], () => this.found.onward[i]);
    });
    return heights[0];
  }

  /** The score, and the direct edges beside it; returns their height. */
  end(y, above) {
    const { column, skips, tall, words } = this;
    const { input, line, margin, score, side, width } = this.size;
    const room = tall ? (width - score) / 2 - margin - 8 : column - 10;
    const height = skips ? this.heightOnward : Math.max(side, line + 2 * PAD);
    const x = (width - score) / 2;
    const said = () => filled(words.score_said, { score: shown(this.found.score) });
    const group = this.group(x, y, score, height, "node", said);
    this.text(group, width / 2, y + height / 2, "middle strong", () => `S = ${shown(this.found.score)}`, score - 2 * PAD);
    for (const i of NAMES.keys()) this.link([this.left(i) + column / 2, above], [width / 2 + (i - 1) * 20, y]);
    if (!skips) return height;
    for (const [j, start] of INPUTS.entries()) {
      const left = j ? width - margin - room : margin;
      this.onward(left, y, room, start, ["skip", j], () => this.found.direct[j]);
      const [outer, edge, side_] = j ? [input / 2, width - 3, width - margin] : [-input / 2, 3, margin];
      this.bend(`M${this.inputs[j] + outer} ${PAD + side / 2}H${edge}V${y + height / 2}H${side_}`);
      this.link([j ? left : left + room, y + height / 2], [j ? x + score : x, y + height / 2]);
    }
    return height;
  }

  get heightOnward() {
    const { line, side } = this.size;
    const first = this.allowed.has("weights") ? side : line;
    return 2 * PAD + first + (this.tall ? line : 0);
  }

  /** An edge to the score, along which every rule sends the weight back; returns its height. */
  onward(x, y, width, start, path, forward) {
    const { allowed, heightOnward, tall, words } = this;
    const { line, side } = this.size;
    const weight = () => this.read()[path[0]][path[1]];
    const said = () => this.saidOfEdge(start, "S", weight(), forward(), weight);
    const group = this.group(x, y, width, heightOnward, "edge", said);
    const ahead = () => `\u2192 ${shown(forward())}`;
    const back = () => `\u2190 ${this.hidden(weight())}`;
    const inside = width - 2 * PAD;
    if (allowed.has("weights")) {
      const step = { step: WEIGHT_STEP, name: filled(words.weight, { start, end: "S" }), path };
      const room = tall ? width : 112;
      const box = { x: x + side + 6, y: y + PAD, width: room - 2 * side - 12, height: side };
      const places = [[x + 3, y + PAD], [x + room - 3 - side, y + PAD]];
      this.scrub({ ...step, box, places, written: () => shown(weight()) });
      const [from, row] = tall ? [x + PAD, y + PAD + side + line / 2] : [x + room + PAD, y + PAD + side / 2];
      const half = (x + width - PAD - from) / 2;
      this.text(group, from, row, "", ahead, half);
      this.text(group, x + width - PAD, row, "end", back, half);
    } else {
      const row = y + PAD + line / 2;
      const part = tall ? inside / 2 : inside / 3;
      this.text(group, x + PAD, row, "", () => `\u00d7 ${shown(weight())}`, part);
      this.text(group, tall ? x + width - PAD : x + width / 2, row, tall ? "end" : "middle", ahead, part);
      this.text(group, x + width - PAD, row + (tall ? line : 0), "end", back, part);
    }
    return heightOnward;
  }

  /** What one rule sends back along an edge. */
  sent(group, x, y, rule, value, room) {
    const style = rule === this.focus ? `${rule} strong` : rule;
    this.text(group, x, y, style, () => `${this.words[`${rule}_short`]} ${this.hidden(value())}`, room - 3);
  }

  saidOfEdge(start, end, weight, forward, sent) {
    const facts = { start, end, weight: shown(weight), forward: shown(forward), back: this.back(sent) };
    return filled(this.words.edge_said, facts);
  }

  /** A value of each rule, for a screen reader. */
  back(value) {
    if (!this.reveal) return this.words.hidden;
    return RULES.map((rule) => `${this.words[rule]} ${shown(value(rule))}`).join(", ");
  }

  hidden(value) {
    return this.reveal ? shown(value) : "?";
  }

  /** A box that a screen reader reads as one sentence. */
  group(x, y, width, height, style, said) {
    const group = shape("g", { class: style, role: "img" }, shape("rect", { x, y, width, height, rx: 6, class: "box" }));
    this.updates.push(() => group.setAttribute("aria-label", said()));
    this.root.append(group);
    return group;
  }

  /** A text, made narrower if it is longer than its room. */
  text(group, x, y, style, words, room = Infinity) {
    const text = shape("text", { x, y, class: style, lengthAdjust: "spacingAndGlyphs" });
    group.append(text);
    this.updates.push(() => {
      text.textContent = words();
      text.removeAttribute("textLength");
      const fits = NARROW_DIGIT * this.size.font * text.textContent.length < room; // seldom needs to be measured
      if (!fits && text.getComputedTextLength() > room) text.setAttribute("textLength", room);
    });
  }

  scrub({ box, step, name, places, path, written }) {
    const { words, size } = this;
    const [last, parents] = [path.at(-1), path.slice(0, -1)];
    const holder = (state) => parents.reduce((part, each) => part[each], state);
    const control = scrub({
      box,
      places,
      side: size.side,
      range: { ...RANGE, step },
      names: { label: name, less: filled(words.less, { name }), more: filled(words.more, { name }) },
      get: () => holder(this.read())[last],
      set: (value) => {
        const state = structuredClone(this.read());
        holder(state)[last] = value;
        this.write(state);
      },
    });
    this.root.append(...control.elements);
    this.updates.push(() => control.update(written()));
  }

  link([x1, y1], [x2, y2]) {
    this.links.append(shape("line", { x1, y1, x2, y2 }));
  }

  bend(d) {
    this.links.append(shape("path", { d }));
  }
}
