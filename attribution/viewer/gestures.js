// Mouse, touch and keyboard input on a panel: moves its group's window, cursor, mark and region.

const CLICK_MOVE = 4; // largest movement of a click, in pixels
const SCROLL_PAUSE = 400; // milliseconds after page scrolling during which the wheel does not zoom

let scrolled = 0; // time of the last page scroll, in milliseconds
window.addEventListener("scroll", () => (scrolled = performance.now()), { capture: true, passive: true });

/** Handle input on a panel's canvas. */
export function listen(panel) {
  const { canvas } = panel;
  const pointers = new Map(); // pointer id -> start point in the image, current position and distance moved
  canvas.addEventListener("wheel", (event) => {
    const whole = panel.group.window.size === 1;
    if (whole && (event.deltaY > 0 || performance.now() - scrolled < SCROLL_PAUSE)) return; // the page scrolls
    event.preventDefault();
    panel.group.zoom(Math.exp(-event.deltaY / 400), panel.at(event));
  }, { passive: false });
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { start: panel.at(event), x: event.clientX, y: event.clientY, moved: 0 });
  };
  canvas.onpointermove = (event) => {
    const pointer = pointers.get(event.pointerId);
    panel.group.cursor = panel.at(event);
    if (pointer) drag(panel, [...pointers.values()], pointer, event);
    panel.group.redraw();
  };
  canvas.onpointerup = canvas.onpointercancel = (event) => {
    const pointer = pointers.get(event.pointerId);
    pointers.delete(event.pointerId);
    if (event.type === "pointerup" && pointer && pointer.moved <= CLICK_MOVE) panel.mark(panel.at(event));
  };
  canvas.onpointerleave = () => {
    panel.group.cursor = null;
    panel.group.redraw();
  };
  canvas.onblur = canvas.onpointerleave; // the crosshair of the keyboard
  canvas.ondblclick = () => panel.group.reset();
  canvas.onkeydown = (event) => press(panel, event);
}

/** Pan, pinch-zoom, or draw a region. */
function drag(panel, fingers, pointer, event) {
  const { group } = panel;
  const distance = () => Math.hypot(fingers[0].x - fingers[1].x, fingers[0].y - fingers[1].y);
  const before = fingers.length === 2 ? distance() : 0;
  const [dx, dy] = [event.clientX - pointer.x, event.clientY - pointer.y];
  pointer.moved += Math.hypot(dx, dy);
  pointer.x = event.clientX;
  pointer.y = event.clientY;
  if (before > 0) {
    const [clientX, clientY] = [(fingers[0].x + fingers[1].x) / 2, (fingers[0].y + fingers[1].y) / 2];
    group.zoom(distance() / before, panel.at({ clientX, clientY }));
  } else if (event.shiftKey || group.drawing) {
    group.region = between(pointer.start, group.cursor);
  } else {
    const box = panel.canvas.getBoundingClientRect();
    const { x, y, size } = group.window;
    group.show(x - (size * dx) / box.width, y - (size * dy) / box.height);
  }
}

/** The region between two opposite corners. */
function between(a, b) {
  return { x0: Math.min(a.x, b.x), y0: Math.min(a.y, b.y), x1: Math.max(a.x, b.x), y1: Math.max(a.y, b.y) };
}

/** Start a region at a point, from which the arrow keys draw it, or end it there. */
function corner(group, cursor) {
  group.cursor = cursor;
  group.corner = group.corner ? null : cursor;
  if (group.corner) group.region = between(cursor, cursor);
  group.redraw();
}

/** Arrow keys move the crosshair and scroll along, + and - zoom, Enter marks, r sets the corners of a region, 0 or Escape resets. */
function press(panel, event) {
  const { group } = panel;
  const { window: seen } = group;
  const cursor = group.cursor ?? { x: seen.x + seen.size / 2, y: seen.y + seen.size / 2 };
  const { frame } = panel;
  const pixel = { x: frame.width / panel.width, y: frame.height / panel.height }; // common shares
  const step = event.shiftKey ? 10 : 1;
  const [across, down] = [step * pixel.x, step * pixel.y];
  const moves = { ArrowLeft: [-across, 0], ArrowRight: [across, 0], ArrowUp: [0, -down], ArrowDown: [0, down] };
  if (event.key in moves) {
    const inside = (share, start, side, half) => Math.min(start + side - half, Math.max(start + half, share));
    const x = inside(cursor.x + moves[event.key][0], frame.left, frame.width, pixel.x / 2);
    const y = inside(cursor.y + moves[event.key][1], frame.top, frame.height, pixel.y / 2);
    group.cursor = { x, y };
    if (group.corner) group.region = between(group.corner, group.cursor);
    const follow = (start, point) => Math.min(Math.max(start, point - seen.size), point);
    group.show(follow(seen.x, x), follow(seen.y, y));
  } else if (event.key === "+" || event.key === "=") group.zoom(1.25, cursor);
  else if (event.key === "-") group.zoom(0.8, cursor);
  else if (event.key === "Enter") panel.mark(cursor);
  else if (event.key === "r") corner(group, cursor);
  else if (event.key === "0" || event.key === "Escape") group.reset();
  else return;
  event.preventDefault();
}
