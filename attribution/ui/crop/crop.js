// The square that the network sees, on the whole photo: dragged by hand or moved by the arrow keys.

const STEP = 0.05; // of the way, for a press of an arrow key
const TALLEST = "20rem";
const REST = 400; // milliseconds without a press after which a place is sent

const crops = new WeakMap(); // parentElement -> Crop

class Crop {
  constructor(root, send) {
    this.send = send;
    this.picture = document.createElement("img");
    this.picture.alt = "The whole photo; what the network does not see is dimmed";
    this.square = document.createElement("button");
    this.square.type = "button";
    this.square.className = "square";
    this.square.setAttribute("aria-label", "The square that the network sees. Drag it, or press the arrow keys.");
    root.append(this.picture, this.square);
    this.root = root;
    this.listen();
  }

  update({ photo, ratio, width, height, across, down }) {
    this.width = width; // of the square, as a share of the photo
    this.height = height;
    this.picture.src = photo;
    this.root.style.width = `min(100%, max(1.5rem, ${TALLEST} * ${ratio}))`;
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
      // The way is what the square leaves free; a square as wide as the photo stays where it is.
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
      const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
      if (!(event.key in moves)) return;
      event.preventDefault();
      this.place(this.across + moves[event.key][0], this.down + moves[event.key][1]);
      clearTimeout(timer);
      timer = setTimeout(() => this.done(), REST);
    };
  }
}

/** Called by Streamlit whenever the photo or the place change. */
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
