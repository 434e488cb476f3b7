// The square crop that the network sees, shown on the whole photo: moved and resized by dragging or with keys.

const KEY_STEP = 0.05; // share of the movable range, or of the photo's shorter side, per key press
const MAX_HEIGHT = "20rem"; // height of the photo, at most
const SEND_DELAY = 400; // milliseconds after the last key press before the crop is sent
const SNAP = 0.015; // sizes that near to the usual one become it
const LABEL =
  "The crop that the network sees. Drag it or press the arrow keys to move it; drag a corner or press + and - to " +
  "resize it; press 0 to reset it.";
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SIZES = { "+": 1, "=": 1, "-": -1, "_": -1 };

const crops = new WeakMap(); // parentElement -> Crop
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function element(kind, name) {
  const made = document.createElement(kind);
  made.className = name;
  return made;
}

class Crop {
  constructor(root, send) {
    this.root = root;
    this.send = send;
    this.picture = document.createElement("img");
    this.shade = element("div", "shade");
    this.frame = element("div", "frame");
    this.square = element("button", "square");
    this.square.type = "button";
    this.square.setAttribute("aria-label", LABEL);
    this.frame.append(this.square);
    const photo = element("div", "photo");
    photo.append(this.picture, this.shade);
    root.append(photo, this.frame);
    this.photo = photo;
    this.drag(this.square, (from) => this.mover(from));
    for (const [x, y] of [[0, 0], [1, 0], [0, 1], [1, 1]]) {
      const handle = element("div", `handle ${x ? "right" : "left"} ${y ? "bottom" : "top"}`);
      this.frame.append(handle);
      this.drag(handle, (from) => this.resizer(from, x, y));
    }
    this.listen();
  }

  update(data) {
    const { photo, fit, ratio, bars = "none" } = data;
    const { left = 0, top = 0, width, height } = data;
    this.picture.src = photo;
    this.picture.alt = fit ? "The whole photo in the square" : "The whole photo; the area outside the crop is dimmed";
    this.root.style.width = `min(100%, max(1.5rem, ${MAX_HEIGHT} * ${ratio}))`;
    this.root.style.aspectRatio = ratio;
    this.photo.style.background = bars;
    const shown = fit ? [left, top, width, height] : [0, 0, 1, 1];
    ["left", "top", "width", "height"].forEach((side, i) => (this.picture.style[side] = `${100 * shown[i]}%`));
    this.shade.hidden = this.frame.hidden = fit;
    if (fit) return;
    this.own = { width, height }; // of the square of the usual size, as shares of the photo's sides
    this.usual = data.usual; // its shorter side, as a share of the photo's
    this.least = data.least;
    this.place(data.across, data.down, data.size);
  }

  /** The square's sides for a size, as shares of the photo's. */
  sides(size) {
    const { width, height } = this.own;
    const scale = Math.min((size ?? this.usual) / this.usual, 1 / width, 1 / height);
    return { width: width * scale, height: height * scale };
  }

  /** A size that can be sent: between the limits, or null near the usual one. */
  sized(size) {
    return Math.abs(size - this.usual) < SNAP ? null : clamp(size, this.least, 1);
  }

  /** Show a crop: its position as shares of the free range; its size, or null for the usual one. */
  place(across, down, size) {
    this.across = clamp(across, 0, 1);
    this.down = clamp(down, 0, 1);
    this.size = size;
    const { width, height } = this.sides(this.size);
    const places = { left: this.across * (1 - width), top: this.down * (1 - height), width, height };
    for (const [side, share] of Object.entries(places)) this.root.style.setProperty(`--${side}`, `${100 * share}%`);
  }

  done() {
    this.send({ across: this.across, down: this.down, size: this.size });
  }

  /** Call what `start` returns with the pointer's place while a part is dragged. */
  drag(part, start) {
    let move = null;
    let old = "";
    const state = () => [this.across, this.down, this.size].join();
    part.onpointerdown = (event) => {
      part.setPointerCapture(event.pointerId);
      move = start({ x: event.clientX, y: event.clientY });
      old = state();
    };
    part.onpointermove = (event) => move?.({ x: event.clientX, y: event.clientY });
    part.onpointerup = part.onpointercancel = () => {
      if (move && state() !== old) this.done();
      move = null;
    };
  }

  mover(from) {
    const { across, down } = this;
    const { width, height } = this.frame.getBoundingClientRect();
    const box = this.root.getBoundingClientRect();
    // The movable range is the photo's side minus the square's; a square that fills the side cannot move.
    const moved = (start, pixels, free) => (free > 1 ? start + pixels / free : start);
    return ({ x, y }) =>
      this.place(moved(across, x - from.x, box.width - width), moved(down, y - from.y, box.height - height), this.size);
  }

  /** Resize by one corner (0 is left or top, 1 right or bottom); the opposite one stays where it is. */
  resizer(from, right, bottom) {
    const { width, height } = this.sides(this.size);
    const [left, top] = [this.across * (1 - width), this.down * (1 - height)];
    const fixed = { x: right ? left : left + width, y: bottom ? top : top + height };
    const room = { x: right ? 1 - fixed.x : fixed.x, y: bottom ? 1 - fixed.y : fixed.y };
    const box = this.root.getBoundingClientRect();
    return ({ x, y }) => {
      const dragged = {
        x: width + ((x - from.x) / box.width) * (right ? 1 : -1),
        y: height + ((y - from.y) / box.height) * (bottom ? 1 : -1),
      };
      const wanted = Math.max(dragged.x / this.own.width, dragged.y / this.own.height);
      const largest = Math.min(room.x / this.own.width, room.y / this.own.height);
      const size = this.sized(Math.min(wanted, largest) * this.usual);
      const now = this.sides(size);
      const share = (start, free, else_) => (free > 1e-6 ? start / free : else_);
      this.place(
        share(right ? fixed.x : fixed.x - now.width, 1 - now.width, this.across),
        share(bottom ? fixed.y : fixed.y - now.height, 1 - now.height, this.down),
        size,
      );
    };
  }

  listen() {
    let timer = 0;
    this.square.ondblclick = () => {
      this.place(0.5, 0.5, null);
      this.done();
    };
    this.square.onkeydown = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own zoom
      const { across, down, size } = this;
      if (event.key in ARROWS) {
        const [x, y] = ARROWS[event.key];
        this.place(across + x * KEY_STEP, down + y * KEY_STEP, size);
      } else if (event.key in SIZES) {
        this.place(across, down, this.sized((size ?? this.usual) + SIZES[event.key] * KEY_STEP));
      } else if (event.key === "0") {
        this.place(0.5, 0.5, null);
      } else return;
      event.preventDefault();
      clearTimeout(timer);
      timer = setTimeout(() => this.done(), SEND_DELAY);
    };
  }
}

/** Called by Streamlit whenever the photo or the crop changes. */
export default function ({ data, parentElement, setTriggerValue }) {
  if (!crops.has(parentElement)) {
    const root = element("div", "crop");
    parentElement.append(root);
    crops.set(parentElement, new Crop(root, (place) => setTriggerValue("place", place)));
  }
  crops.get(parentElement).update(data);
  return () => crops.delete(parentElement);
}
