// From attribution values to colours, as in drawing/heatmap.py; tests/heatmap_vectors.json tests both.
// Independent of the DOM, so that node can test it.

/** One number per pixel from three signed channels, stored one after another; all three for "channels". */
export function reduce(channels, scale, reduction) {
  const count = channels.length / 3;
  if (reduction === "channels") return Float32Array.from(channels, (value) => value * scale); // three times as long
  const heat = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const red = channels[i] * scale;
    const green = channels[count + i] * scale;
    const blue = channels[2 * count + i] * scale;
    if (reduction === "signed_sum") heat[i] = red + green + blue;
    else if (reduction === "absolute_of_sum") heat[i] = Math.abs(red + green + blue);
    else if (reduction === "maximum") heat[i] = Math.max(Math.abs(red), Math.abs(green), Math.abs(blue));
    else heat[i] = Math.abs(red) + Math.abs(green) + Math.abs(blue);
  }
  return heat;
}

/** The q-th percentile of sorted numbers, with linear interpolation. */
export function percentile(sorted, q) {
  const place = (q / 100) * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

/** The share of sorted numbers that are at most a value, in percent. */
export function rank(sorted, value) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return (100 * low) / sorted.length;
}

/** The ends of the colour scale: [minimum, clip percentile], or [-limit, limit] for signed maps. */
export function span(sorted, sortedAbsolutes, clip, signed) {
  if (signed) {
    const limit = percentile(sortedAbsolutes, clip);
    return [-limit, limit];
  }
  return [sorted[0], percentile(sorted, clip)];
}

/** The common span of several maps. */
export function shared(spans) {
  return [Math.min(...spans.map((each) => each[0])), Math.max(...spans.map((each) => each[1]))];
}

/** The percentage of pixels outside a span, which are drawn in its end colours. */
export function clipped(heat, [low, high]) {
  let count = 0;
  for (const value of heat) if (value < low || value > high) count++;
  return (100 * count) / heat.length;
}

/** The position of a value in a span, in [0, 1]; in a blank span 0, or 0.5 if it is signed. */
export function unit(value, [low, high]) {
  if (!(high > low)) return low < 0 || Object.is(low, -0) ? 0.5 : 0;
  return Math.min(1, Math.max(0, (value - low) / (high - low)));
}

/** The colour at a position in [0, 1] between equally spaced anchors, as [red, green, blue] from 0 to 255. */
export function colour(anchors, place) {
  const x = place * (anchors.length - 1);
  const below = Math.min(Math.floor(x), anchors.length - 2);
  return anchors[below].map((from, i) => Math.round(from + (x - below) * (anchors[below + 1][i] - from)));
}

const OUTLINE = 0.4; // opacity of the lines between segments

/** Draw thin lines between segments on RGBA pixels, dark on bright pixels and bright on dark ones. */
export function outline(pixels, segments, width) {
  for (let i = 0; i < segments.length; i++) {
    const besides = (i + 1) % width > 0 && segments[i] !== segments[i + 1];
    const below = i + width < segments.length && segments[i] !== segments[i + width];
    if (!besides && !below) continue;
    const end = pixels[4 * i] + pixels[4 * i + 1] + pixels[4 * i + 2] >= 384 ? 0 : 255;
    for (let c = 0; c < 3; c++) pixels[4 * i + c] += OUTLINE * (end - pixels[4 * i + c]);
  }
}
