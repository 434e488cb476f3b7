// The region, the mark and the crosshair, which all panels of a group show at the same position.

/** Draw them on a canvas that shows the group's window. */
export function drawOverlay(context, { window: seen, cursor, mark, region }) {
  const { width, height } = context.canvas;
  const ratio = window.devicePixelRatio || 1;
  const across = (share) => ((share - seen.x) / seen.size) * width;
  const down = (share) => ((share - seen.y) / seen.size) * height;
  const stroke = (path, colour) => {
    for (const [style, thickness] of [["#fff", 2.5], [colour, 1]]) {
      context.strokeStyle = style;
      context.lineWidth = thickness * ratio;
      context.stroke(path);
    }
  };
  if (region) {
    const path = new Path2D();
    const [left, top] = [across(region.x0), down(region.y0)];
    path.rect(left, top, across(region.x1) - left, down(region.y1) - top);
    stroke(path, "#000");
  }
  if (mark) stroke(cross(across(mark.x), down(mark.y), 8 * ratio, 8 * ratio), "#d6202f");
  if (cursor) {
    context.globalAlpha = 0.6;
    stroke(cross(across(cursor.x), down(cursor.y), width, height), "#000");
    context.globalAlpha = 1;
  }
}

/** A horizontal and a vertical line through a point. */
function cross(x, y, armX, armY) {
  return new Path2D(`M${x - armX} ${y}H${x + armX}M${x} ${y - armY}V${y + armY}`);
}
