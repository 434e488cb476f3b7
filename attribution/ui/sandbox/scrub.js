// A number in a drawing: dragged left and right, changed by the arrow keys, or by a button on either side.

const SVG = "http://www.w3.org/2000/svg";
const TRAVEL = 4; // pixels of a drag for one step, at least
const WHOLE = 300; // pixels of a drag through the whole range

export function shape(tag, attributes = {}, ...children) {
  const found = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) found.setAttribute(name, value);
  found.append(...children);
  return found;
}

/** A number as the lesson shows it: two decimals at most. */
export function shown(value) {
  return `${Math.round(100 * value) / 100 || 0}`.replace("-", "\u2212");
}

/** A text of the lesson with its placeholders filled in. */
export function filled(text, facts) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => facts[name] ?? whole);
}

/**
 * Make the control.
 * @param box Of the number: x, y, width, height.
 * @param range low, high, step.
 * @param names label, less, more.
 * @param places Left upper corners of the two buttons, (2, 2).
 * @param side Of a button.
 * @param get Returns the number.
 * @param set Called with a new one.
 * @returns The elements, and `update`, which shows the number with a text.
 */
export function scrub({ box, range, names, places, side, get, set }) {
  const { low, high, step } = range;
  const text = shape("text", { x: box.x + box.width / 2, y: box.y + box.height / 2, class: "middle" });
  const slider = shape(
    "g",
    {
      class: "scrub",
      role: "slider",
      tabindex: 0,
      "aria-label": names.label,
      "aria-valuemin": low,
      "aria-valuemax": high,
    },
    shape("rect", { ...box, rx: 5 }),
    text,
  );
  const move = (value) => {
    const next = Math.min(high, Math.max(low, Math.round(value / step) * step));
    if (Math.abs(next - get()) > step / 2) set(Math.round(next * 10) / 10);
  };
  const travel = Math.max(TRAVEL, (WHOLE * step) / (high - low));
  let held = null;
  slider.onpointerdown = (event) => {
    if (event.button) return;
    slider.setPointerCapture(event.pointerId);
    slider.focus({ preventScroll: true });
    held = { x: event.clientX, value: get() };
    event.preventDefault();
  };
  slider.onpointermove = (event) => held && move(held.value + Math.round((event.clientX - held.x) / travel) * step);
  slider.onpointerup = slider.onpointercancel = slider.onlostpointercapture = () => (held = null);
  slider.onkeydown = (event) => {
    const ways = { ArrowRight: step, ArrowUp: step, ArrowLeft: -step, ArrowDown: -step, Home: -Infinity, End: Infinity };
    if (!(event.key in ways) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // the arrows also turn the pages of a presentation
    move(get() + ways[event.key]);
  };
  const buttons = [-1, 1].map((way, i) => {
    const [x, y] = places[i];
    const name = way < 0 ? names.less : names.more;
    const button = shape(
      "g",
      { class: "step", role: "button", "aria-label": name },
      shape("rect", { x, y, width: side, height: side, rx: 5 }),
      shape("path", { d: `M${x + 8} ${y + side / 2}h${side - 16}` + (way > 0 ? `m${8 - side / 2} ${8 - side / 2}v${side - 16}` : "") }),
    );
    button.onclick = () => move(get() + way * step);
    button.onpointerdown = (event) => event.preventDefault(); // a double tap selects no text
    return button;
  });
  const update = (words) => {
    text.textContent = words;
    slider.setAttribute("aria-valuenow", get());
    slider.setAttribute("aria-valuetext", shown(get()));
    buttons[0].setAttribute("aria-disabled", get() <= low);
    buttons[1].setAttribute("aria-disabled", get() >= high);
  };
  return { elements: [slider, ...buttons], update };
}
