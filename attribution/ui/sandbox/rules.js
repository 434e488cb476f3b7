// The arithmetic of the sandboxes. Without DOM.

export const RULES = ["gradient", "guided", "zeiler_fergus"];
const LET_THROUGH = {
  gradient: (before, arriving) => (before > 0 ? arriving : 0),
  guided: (before, arriving) => (before > 0 ? Math.max(0, arriving) : 0),
  zeiler_fergus: (before, arriving) => Math.max(0, arriving),
};
const DIGITS = 1e9; // of a sum of tenths, which rounding must not lift over a rectifier's edge

/**
 * Run three neurons forwards and backwards.
 * @param x The inputs, (2).
 * @param into Weights from both inputs, of each neuron, (3, 2).
 * @param out Weights from each neuron to the score, (3); also the signal that arrives at each neuron by every rule.
 * @param skip Weights of the direct edges, (2).
 */
export function network({ x, into, out, skip }) {
  const before = into.map((weights) => tidy(dot(weights, x)));
  const after = before.map((value) => Math.max(0, value));
  const through = {};
  const sent = {}; // by rule, along each edge from a neuron to an input, (3, 2)
  const maps = {};
  for (const rule of RULES) {
    through[rule] = before.map((value, i) => LET_THROUGH[rule](value, out[i]));
    sent[rule] = into.map((weights, i) => weights.map((weight) => tidy(weight * through[rule][i])));
    maps[rule] = x.map((_, j) => tidy(skip[j] + sent[rule].reduce((sum, each) => sum + each[j], 0)));
  }
  return {
    before,
    after,
    score: tidy(dot(out, after) + dot(skip, x)),
    forward: into.map((weights) => weights.map((weight, j) => tidy(weight * x[j]))),
    onward: after.map((value, i) => tidy(value * out[i])),
    direct: skip.map((weight, j) => tidy(weight * x[j])),
    through,
    sent,
    maps,
  };
}

export function saturating(value) {
  return 1 - Math.max(0, tidy(1 - value));
}

export function slope(value) {
  return tidy(1 - value) > 0 ? 1 : 0;
}

/** Integrated gradients of `saturating` by the midpoint rule. */
export function path({ x, baseline, steps }) {
  const length = tidy(x - baseline);
  const nodes = Array.from({ length: steps }, (_, i) => (i + 0.5) / steps);
  const integrand = nodes.map((node) => [node, length * slope(baseline + node * length)]);
  const sum = tidy(integrand.reduce((all, [, value]) => all + value, 0) / steps);
  const exact = tidy(saturating(x) - saturating(baseline));
  return { gradient: slope(x), integrand, sum, exact, error: tidy(sum - exact) };
}

function dot(weights, values) {
  return weights.reduce((sum, weight, i) => sum + weight * values[i], 0);
}

export function tidy(value) {
  return Math.round(value * DIGITS) / DIGITS;
}
