// The difference of two maps as they are drawn, as the message of a third map.

const LARGEST = 32767; // largest signed 16-bit number

/** Header and body of left minus right, or null if the maps cannot be subtracted pixel by pixel. */
export function difference(left, right) {
  if (![left, right].every((panel) => panel.kind === "map") || !samePlace(left, right)) return null;
  const raw = left.unit === right.unit; // otherwise relative to the ends of their scales
  const [a, b] = [left, right].map((panel) => [panel.heat.heat, raw ? 1 : Math.max(...panel.span.map(Math.abs)) || 1]);
  const values = a[0].map((value, i) => value / a[1] - b[0][i] / b[1]);
  const scale = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / LARGEST || 1;
  const channel = Int16Array.from(values, (value) => Math.round(value / scale));
  const channels = new Int16Array(3 * channel.length);
  channels.set(channel); // the other two stay 0, so that their sum is the difference
  const header = {
    ...left.header,
    scale,
    unit: raw ? left.unit : "share of each map's scale",
    title: `${left.title} \u2212 ${right.title}`,
    label: `Difference of two maps: ${left.label}; ${right.label}`,
    file: `${left.file}-minus-${right.file}`,
    difference: true,
    errors: null, // of segments, which the difference does not have
    meanings: ["less", "more"],
  };
  return { header, body: new Uint8Array(channels.buffer) };
}

/** True if two maps have the same pixels at the same places of the photo. */
function samePlace(left, right) {
  if (left.width !== right.width || left.height !== right.height) return false;
  const pixel = { left: left.width, top: left.height, width: left.width, height: left.height }; // in half pixels
  return Object.entries(pixel).every(([side, count]) => 2 * count * Math.abs(left.frame[side] - right.frame[side]) < 1);
}
