// The square crop that the network sees, shown on the whole photo; moved by dragging or with the arrow keys.

const KEY_STEP = 0.05; // share of the movable range per key press
const MAX_HEIGHT = "20rem"; // height of the photo, at most
const SEND_DELAY = 400; // milliseconds after the last key press before the position is sent

const crops = new WeakMap(); // parentElement -> Crop

class Crop {
  constructor(root, send) {
    this.send = send;
    this.picture = document.createElement("img");
    this.picture.alt = "The whole photo; the area outside the crop is dimmed";
    this.square = document.createElement("button");
    this.square.type = "button";
    this.square.className = "square";
    this.square.setAttribute("aria-label", "The crop that the network sees. Drag it, or press the arrow keys.");
    root.append(this.picture, this.square);
    this.root = root;
    this.listen();
  }

  update({ photo, ratio, width, height, across, down }) {
    this.width = width; // of the square, as a share of the photo's width
    this.height = height;
    this.picture.src = photo;
    this.root.style.width = `min(100%, max(1.5rem, ${MAX_HEIGHT} * ${ratio}))`;
    this.root.style.aspectRatio = ratio;
    this.square.style.width = `${100 * width}%`;
    this.square.style.height = `${100 * height}%`;
    this.place(across, down);
  }

  place(across, down) {
    const clamp = (share) => Math.min(1, Math.max(0, share));
    this.across = clamp(across);
    this.down = clamp(down);
    this.square.style.left = `${100 * this.across * (1 - this.width)}%`;
    this.square.style.top = `${100 * this.down * (1 - this.height)}%`;
  }

  done() {
    this.send({ across: this.across, down: this.down });
  }

  listen() {
    let from = null;
    let timer = 0;
    this.square.onpointerdown = (event) => {
      this.square.setPointerCapture(event.pointerId);
      from = { x: event.clientX, y: event.clientY, across: this.across, down: this.down };
    };
    this.square.onpointermove = (event) => {
      if (!from) return;
      const box = this.root.getBoundingClientRect();
      // The movable range is the photo's side minus the square's; a square that fills the side cannot move.
      const moved = (start, pixels, free) => (free > 1 ? start + pixels / free : start);
      this.place(
        moved(from.across, event.clientX - from.x, box.width * (1 - this.width)),
        moved(from.down, event.clientY - from.y, box.height * (1 - this.height)),
      );
    };
    this.square.onpointerup = this.square.onpointercancel = () => {
      if (from && (from.across !== this.across || from.down !== this.down)) this.done();
      from = null;
    };
    this.square.ondblclick = () => {
      this.place(0.5, 0.5);
      this.done();
    };
    this.square.onkeydown = (event) => {
      const moves = { ArrowLeft: [-KEY_STEP, 0], ArrowRight: [KEY_STEP, 0], ArrowUp: [0, -KEY_STEP], ArrowDown: [0, KEY_STEP] };
      if (!(event.key in moves)) return;
      event.preventDefault();
      this.place(this.across + moves[event.key][0], this.down + moves[event.key][1]);
      clearTimeout(timer);
      timer = setTimeout(() => this.done(), SEND_DELAY);
    };
  }
}

/** Called by Streamlit whenever the photo or the crop changes. */
export default function ({ data, parentElement, setTriggerValue }) {
  if (!crops.has(parentElement)) {
    const root = document.createElement("div");
    root.className = "crop";
    parentElement.append(root);
    crops.set(parentElement, new Crop(root, (place) => setTriggerValue("place", place)));
  }
  crops.get(parentElement).update(data);
  return () => crops.delete(parentElement);
}
