// The drawing of one map under the group's settings, as View in drawing/view.py.

/* global COLOUR_MAPS -- by view_facts() in message.py */

/**
 * The view, reduction and palette of a map; the scale is centred at zero if `centred`. `signed` is its method's own, and
 * a `difference` is signed in every view.
 */
export function viewOf(settings, signed, difference) {
  const { view: chosenView, reduction: chosen, colours } = settings;
  const asked = difference ? "signed" : chosenView;
  const view = asked !== "method" ? asked : signed ? "signed" : "grey";
  const centred = view === "signed" || view === "rgb" || chosen === "signed_sum";
  const reduction = { signed: "signed_sum", rgb: "channels" }[view] ?? chosen;
  let palette = view === "heat" ? COLOUR_MAPS[colours] : COLOUR_MAPS.grey;
  if (view === "rgb") palette = [...COLOUR_MAPS.grey].reverse();
  else if (centred) palette = COLOUR_MAPS.blue_orange;
  return { view, centred, reduction, palette };
}
