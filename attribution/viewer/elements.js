// DOM elements, and numbers as text.

export function element(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties);
}

/** A control below its caption, with an optional element that shows its value. */
export function labelled(text, control, output = null) {
  const label = element("label");
  const caption = element("span", { textContent: text });
  if (output) caption.append(" ", output);
  label.append(caption, control);
  return label;
}

/** A number with three digits; with a plus sign if `signed`. */
export function number(value, signed = false) {
  if (value === 0) return "0";
  const sign = value < 0 ? "\u2212" : signed ? "+" : "";
  const size = Math.abs(value);
  return sign + (size < 1e-3 || size >= 1e6 ? size.toExponential(2) : Number(size.toPrecision(3)));
}
