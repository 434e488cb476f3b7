// The browser's half of heatmap.py against the vectors that pytest reads too.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { clipped, colour, outline, percentile, rank, reduce, shared, span, unit } from "../attribution/viewer/heat.js";

const read = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url)));
const vectors = read("./heatmap_vectors.json");
const colours = read("../attribution/drawing/colours.json");

/** Equal to what 32-bit numbers hold. */
function near(found, expected, scale) {
  const tolerance = 4e-7 * scale;
  assert.equal(found.length, expected.length);
  found.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) <= tolerance, `${value} is not ${expected[i]}`));
}

for (const { name, channels, scale, expected } of vectors.maps) {
  for (const [reduction, { heat, at_clip, rank: ranks }] of Object.entries(expected)) {
    test(`${name}, ${reduction}`, () => {
      const found = reduce(Int16Array.from(channels), scale, reduction);
      const largest = Math.max(...heat.map(Math.abs), 1e-12);
      near([...found], heat, largest);
      const sorted = found.slice().sort();
      const absolutes = found.map(Math.abs).sort();
      const signed = reduction === "signed_sum";
      for (const [clip, expectedAt] of Object.entries(at_clip)) {
        const ends = span(sorted, absolutes, Number(clip), signed);
        near(ends, expectedAt.span, largest);
        near([...found].map((value) => unit(value, ends)), expectedAt.unit, 1);
        assert.ok(Math.abs(clipped(found, ends) - expectedAt.clipped) < 1e-9);
      }
      near([...found].map((value) => rank(sorted, value)), ranks, 100);
    });
  }
}

test("colours lie between their anchors", () => {
  for (const { colours: name, place, rgb } of vectors.colours) assert.deepEqual(colour(colours[name], place), rgb);
});

test("segments are outlined", () => {
  for (const { width, segments, rgb, expected } of vectors.outlines) {
    const pixels = Uint8ClampedArray.from(rgb.flatMap((each) => [...each, 255]));
    outline(pixels, Uint16Array.from(segments), width);
    assert.deepEqual([...pixels], expected.flatMap((each) => [...each, 255]));
  }
});

test("a shared span holds all spans", () => {
  for (const { spans, expected } of vectors.shared) assert.deepEqual(shared(spans), expected);
});

test("percentiles of one number are that number", () => {
  for (const q of [0, 50, 99.9, 100]) assert.equal(percentile([3], q), 3);
});
