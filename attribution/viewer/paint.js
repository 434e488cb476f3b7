// RGBA pixels of the photo, of a map under the current view, and of its colour bar.

import { colour, percentile, unit } from "./heat.js";

const COLOUR_STEPS = 1024; // entries of a lookup table
const UNIMPORTANT_GREY = 235; // as in drawing/view.py

/** A lookup table of colours, three bytes each. */
export function colourTable(anchors) {
  const table = new Uint8ClampedArray(3 * COLOUR_STEPS);
  for (let i = 0; i < COLOUR_STEPS; i++) table.set(colour(anchors, i / (COLOUR_STEPS - 1)), 3 * i);
  return table;
}

export function paintPhoto(pixels, rgb) {
  for (let i = 0; 4 * i < pixels.length; i++) {
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = rgb[3 * i + c];
    pixels[4 * i + 3] = 255;
  }
}

/** Paint a map; `photo` is null if the page shows no photo of the same size. */
export function paintMap(pixels, { heat, sorted }, span, table, photo, { view, blend, top }) {
  if (view === "rgb") return paintChannels(pixels, heat, span, table);
  const threshold = percentile(sorted, 100 - top);
  const flat = !(span[1] > span[0]);
  for (let i = 0; i < heat.length; i++) {
    const entry = tableIndex(unit(heat[i], span));
    for (let c = 0; c < 3; c++) {
      let value = table[entry + c];
      if (view === "heat" && photo) value = (1 - blend) * photo[3 * i + c] + blend * value;
      if (view === "important") value = !flat && heat[i] >= threshold ? (photo ? photo[3 * i + c] : 0) : UNIMPORTANT_GREY;
      pixels[4 * i + c] = value;
    }
    pixels[4 * i + 3] = 255;
  }
}

/** Paint three channels, stored one after another, as red, green and blue. */
function paintChannels(pixels, channels, span, table) {
  const count = channels.length / 3;
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = table[tableIndex(unit(channels[c * count + i], span))];
    pixels[4 * i + 3] = 255;
  }
}

/** Paint one row with all colours of a lookup table. */
export function paintRamp(pixels, table) {
  const count = pixels.length / 4;
  for (let i = 0; i < count; i++) {
    const entry = tableIndex(i / (count - 1));
    pixels.set([table[entry], table[entry + 1], table[entry + 2], 255], 4 * i);
  }
}

function tableIndex(share) {
  return 3 * Math.round(share * (COLOUR_STEPS - 1));
}
