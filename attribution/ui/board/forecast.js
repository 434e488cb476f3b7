// What the maps forecast for covered cells, computed as attribution/checks/probe.py does. Without DOM.

import { cellOf, GRID } from "./mask.js";

/** Add what is in the covered cells, one after the other in the order of the grid, as Python does. */
export function total(values, cells) {
  let sum = null;
  for (let i = 0; i < cells.length; i++) if (cells[i]) sum = sum === null ? values[i] : sum + values[i];
  return sum ?? 0;
}

/** The share of a photo's pixels in the covered cells. */
export function areaOf(cells, height, width) {
  const [down, across] = [new Uint32Array(GRID), new Uint32Array(GRID)]; // pixels of each row and column
  for (const row of cellOf(height)) down[row]++;
  for (const column of cellOf(width)) across[column]++;
  let pixels = 0;
  for (let i = 0; i < cells.length; i++) if (cells[i]) pixels += down[Math.floor(i / GRID)] * across[i % GRID];
  return pixels / (height * width);
}

/**
 * One row per map, and the control that any map must beat as the last.
 *
 * @param facts Height, width, before, whole and maps, each with `valid`, `changes` (or null), `sizes` and their `whole`.
 * @param change The measured change of the score for these cells; null if it is not known.
 */
export function forecasts(facts, cells, change) {
  const area = areaOf(cells, facts.height, facts.width);
  const rows = facts.maps.map(({ valid, changes, sizes, whole }) => ({
    value: changes && total(changes, cells),
    share: whole ? total(sizes, cells) / whole : 0,
    valid,
  }));
  rows.push({ value: area * (facts.whole - facts.before), share: area, valid: true });
  let best = rows.length - 1; // the control, if no map is better
  for (const row of rows) row.error = change === null || row.value === null || !row.valid ? null : row.value - change;
  rows.forEach(({ error }, i) => {
    if (error !== null && Math.abs(error) < Math.abs(rows[best].error)) best = i;
  });
  if (change !== null) rows[best].best = true;
  return { area, rows };
}
