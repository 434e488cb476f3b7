// What the board computes for the cases on standard input, as JSON.
import { readFileSync } from "node:fs";

import { forecasts, total } from "../attribution/ui/board/forecast.js";
import { cellsOf, Mask, textOf } from "../attribution/ui/board/mask.js";

const OPERATIONS = {
  line: (mask, ...line) => mask.line(...line),
  box: (mask, ...box) => mask.box(...box),
  clear: (mask) => mask.clear(),
  invert: (mask) => mask.invert(),
};

/** The texts after each stroke, then those on the way back, then those on the way forth. */
function walked(strokes) {
  const mask = new Mask();
  const texts = [mask.text];
  for (const parts of strokes) {
    mask.begin();
    for (const [name, ...rest] of parts) OPERATIONS[name](mask, ...rest);
    mask.end();
    if (mask.text !== texts.at(-1)) texts.push(mask.text);
  }
  const [back, forth] = [[], []];
  for (let i = 0; i < texts.length; i++) {
    back.push(mask.text);
    mask.undo();
  }
  for (let i = 0; i < texts.length; i++) {
    forth.push(mask.text);
    mask.redo();
  }
  return { texts, back, forth };
}

const asked = JSON.parse(readFileSync(0));
const found = {
  walks: asked.walks?.map(walked),
  texts: asked.texts?.map((text) => [textOf(cellsOf(text)), [...cellsOf(text)].flatMap((cell, i) => (cell ? [i] : []))]),
  rows: asked.rows?.map(({ facts, cells, change }) => {
    const all = new Uint8Array(784).fill(1);
    for (const map of facts.maps) map.whole = total(map.sizes, all);
    return forecasts(facts, cellsOf(cells), change);
  }),
};
console.log(JSON.stringify(found));
