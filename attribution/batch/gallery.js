// The gallery: what drives a class, and the photos, from the data in the page. Texts are set as text, never as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const { photos, maps, methods, classes, texts } = data;
const AT_ONCE = 60; // cards
const PATCHES = 12; // of a prototype at first
const at = (id) => document.getElementById(id);
const every = photos.number.map((_, photo) => photo);
const mapsOf = every.map(() => []); // rows with a method, by photo
const errorsOf = every.map(() => []); // places of sentences, by photo
maps.photo.forEach((photo, row) => {
  if (maps.method[row] !== null) mapsOf[photo].push(row);
  if (maps.refusal[row] !== null) errorsOf[photo].push(maps.refusal[row]);
});

// Numbers and words
const number = (value) =>
  value === null ? "–" : String(Number(value.toPrecision(3))).replace(/^-/, "−");
const percent = (value) => (value === null ? "–" : `${number(Number((100 * value).toPrecision(2)))}%`);
const correlation = (value) => value.toFixed(2).replace(/^-(?=.*[1-9])/, "−").replace(/^-/, "");
const counted = (count, word = "photo") => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
// A mean with its standard error, both rounded to the error's first digit.
function measured(value, error) {
  if (error === null || error === 0) return number(Number(value.toPrecision(2)));
  const decimals = Math.min(Math.max(-Math.floor(Math.log10(error)), 0), 12);
  return `${value.toFixed(decimals)} ± ${error.toFixed(decimals)}`;
}
const known = (values) => values.filter((value) => value !== null);
const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter(Boolean));
  return element;
}

// Files: a path is stored with the folder of photo 0
const address = (path, photo) =>
  path
    .replace("photos/000000/", `photos/${String(photos.number[photo]).padStart(6, "0")}/`)
    .split("/")
    .map(encodeURIComponent)
    .join("/");
const photoFile = (photo) => address("photos/000000/photo.jpg", photo);

// What photos are sorted by; null comes last in both directions
const ofLeading = (name) => (photo) => {
  const rows = mapsOf[photo].filter((row) => data.leading === null || maps.method[row] === data.leading);
  return known(rows.map((row) => maps[name][row]))[0] ?? null;
};
const twice = new Set(classes.map((each) => each.name).filter((name, place, names) => names.indexOf(name) !== place));
const shortNames = new Map(classes.map((each) => [each.key, twice.has(each.name) ? each.key : each.name]));
const shortName = (key) => shortNames.get(key);
const className = (photo) => (photos.class[photo] === null ? null : texts[photos.class[photo]]);
const largestDelta = (photo) => {
  const found = known(mapsOf[photo].map((row) => maps.relative_delta[row]));
  return found.length ? Math.max(...found) : null;
};
const agreement = (photo) => mean(known(mapsOf[photo].map((row) => maps.agreement[row])));
const isNumber = !photos.counts.includes(true) && photos.predicted.some((place) => place !== null);
const ORANGE = isNumber ? "orange is for a larger number, blue for a smaller one" : "orange is for the class, blue against it";
const quantity = isNumber ? "Value" : "Probability";
const SORTS = {
  batch: ["Order of the batch", (photo) => photo, 1],
  agreement: ["Methods disagree most", agreement, 1],
  probability: [`${quantity}, highest first`, (photo) => photos.probability[photo], -1],
  delta: ["Delta, largest first", largestDelta, -1],
  concentration: ["Concentration, highest first", ofLeading("concentration"), -1],
  box: ["Share in the box, lowest first", ofLeading("box_share"), 1],
  loss: ["Loss when covered, largest first", ofLeading("loss"), -1],
  class: ["Explained class", className, 1],
};

// The state is in the address
const DEFAULTS = { class: "", sort: "batch", reverse: false, of: "", text: "", min: "", max: "", errors: false, photo: "" };
const state = {};
function readState() {
  const found = new URLSearchParams(location.hash.slice(1));
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    state[name] = typeof usual === "boolean" ? found.get(name) === "1" : (found.get(name) ?? usual);
  }
  if (!Object.hasOwn(SORTS, state.sort)) state.sort = DEFAULTS.sort;
  if (!classes.some((each) => each.key === state.class)) state.class = classes[0]?.key ?? "";
  if (!classes.some((each) => each.key === state.of)) state.of = "";
}
function writeState() {
  const found = new URLSearchParams();
  for (const [name, usual] of Object.entries({ ...DEFAULTS, class: classes[0]?.key ?? "" })) {
    if (state[name] !== usual) found.set(name, state[name] === true ? "1" : state[name]);
  }
  history.replaceState(null, "", `#${found}`);
}

// Pictures
const mark = (kind, [left, top, right, bottom]) => {
  const element = make("span", { class: `mark ${kind}` });
  const sides = { left, top, width: right - left, height: bottom - top };
  for (const [name, share] of Object.entries(sides)) element.style[name] = `${100 * share}%`;
  return element;
};
const windowOf = (row) => {
  const [left, top] = [maps.window_left[row], maps.window_top[row]];
  return left === null || top === null ? null : [left, top, left + data.window, top + data.window];
};
const windowMark = (row) => {
  const cells = windowOf(row);
  return cells && mark("window", cells.map((cell) => cell / data.grid));
};
const picture = (source, alt) => make("img", { src: source, alt, loading: "lazy", decoding: "async" });

// A patch cut from its photo; a cell begins at a whole pixel, as in photo/cells.py.
function patch(row) {
  const photo = maps.photo[row];
  const cells = windowOf(row);
  const costs = maps.loss[row] === null ? "" : `, covering it costs ${number(maps.loss[row])}`;
  const label = `${photos.photo[photo]}${costs}`;
  const image = make("img", { alt: "", loading: "lazy", decoding: "async" });
  const button = make("button", { type: "button", class: "patch", "aria-label": `Open ${label}`, title: label, onclick: () => open(photo) }, image);
  const cut = (across, down) => {
    const [left, top, right, bottom] = cells.map((cell, side) => {
      const pixels = side % 2 ? down : across;
      return Math.ceil((cell * pixels) / data.grid);
    });
    image.style.width = `${(100 * across) / (right - left)}%`;
    image.style.height = `${(100 * down) / (bottom - top)}%`;
    image.style.left = `${(-100 * left) / (right - left)}%`;
    image.style.top = `${(-100 * top) / (bottom - top)}%`;
  };
  if (cells) {
    cut(data.grid, data.grid); // until the photo's size is known
    image.addEventListener("load", () => cut(image.naturalWidth, image.naturalHeight));
  }
  image.src = photoFile(photo);
  return button;
}

// What drives a class
function prototype(each, place) {
  const count = each.maps.length;
  const verb = each.loss < 0 ? "adds" : "costs";
  const average = count === 1 ? "" : " on average";
  const patches = make("div", { class: "patches" }, ...each.maps.slice(0, PATCHES).map(patch));
  const rest = each.maps.slice(PATCHES);
  const more = make("button", {
    type: "button",
    onclick: () => {
      const added = rest.splice(0, AT_ONCE).map(patch);
      patches.append(...added);
      added[0].focus();
      label();
    },
  });
  const label = () => {
    more.textContent = `Show ${Math.min(rest.length, AT_ONCE)} more`;
    more.hidden = !rest.length;
  };
  label();
  return make(
    "li",
    {},
    make("h4", {}, `${place + 1}. Covering it ${verb} ${measured(Math.abs(each.loss), each.error)} of the score${average}`),
    make("p", {}, `${counted(count)}, ${percent(each.share)}`),
    patches,
    more,
  );
}

function meanMaps(each) {
  const { title, settings, signed } = methods[each.method];
  const colours = signed ? ORANGE : "the darker, the stronger";
  const framed = (source, where, count, box) =>
    make(
      "figure",
      {},
      make("span", { class: "frame mean" }, picture(source, `Mean map of ${title} ${where}, ${counted(count)}: ${colours}`), box),
      make("figcaption", {}, `${where[0].toUpperCase()}${where.slice(1)} (${count.toLocaleString("en")})`),
    );
  return make(
    "div",
    {},
    make("h4", {}, title, settings && make("span", { class: "settings" }, settings)),
    make(
      "div",
      { class: "pair" },
      framed(each.photo, "in the photo", each.count, null),
      each.box && framed(each.box, "around the box", each.boxes, mark("box", [0.25, 0.25, 0.75, 0.75])),
    ),
  );
}

function showClass() {
  const chosen = classes.find((each) => each.key === state.class);
  at("drives").hidden = !chosen;
  if (!chosen) return;
  at("class").value = chosen.key;
  const leading = data.leading === null ? "the leading method" : methods[data.leading].title;
  at("its-photos").textContent = chosen.count === 1 ? "Show its photo" : `Show its ${counted(chosen.count)}`;
  at("prototypes-note").textContent = chosen.prototypes.length
    ? `Patches under the strongest part of the maps by ${leading}, grouped by the network's own features; the group whose covering costs most in all is first.`
    : `There are no patches of this class: ${leading} has no map of it.`;
  at("prototypes").replaceChildren(...chosen.prototypes.map(prototype));
  const means = chosen.means ?? [];
  const boxed = means.some((each) => each.box);
  const colours = [
    means.some((each) => methods[each.method].signed) && `${ORANGE[0].toUpperCase()}${ORANGE.slice(1)}.`,
    means.some((each) => !methods[each.method].signed) && "In the others, the darker, the stronger.",
  ].filter(Boolean);
  const reading = colours.length === 1 ? colours[0].replace("In the others, the", "The") : colours.join(" ");
  const missing = chosen.means ? "There are no maps of this class." : "Mean maps are drawn for the classes with the most photos only.";
  at("means-note").textContent = means.length
    ? `Each is of the photos in parentheses, which count alike. ${reading}${boxed ? " Around the box, it fills the dashed square; no photo has values where it is hatched." : ""}`
    : missing;
  at("means").className = boxed ? "" : "alone";
  at("means").replaceChildren(...means.map(meanMaps));
}

// Photos
const predicted = (photo) => {
  if (photos.predicted[photo] === null) return "";
  const name = texts[photos.predicted[photo]];
  const value = number(photos.probability[photo]);
  return photos.counts[photo] ? `${name}, probability ${value}` : `${name}: ${value}`;
};
const explained = (photo) =>
  className(photo) === null ? "" : `Explained: ${shortName(className(photo))}, score ${number(photos.score[photo])}`;
const seen = (photo) => className(photo) !== null; // otherwise it could not be read
const drawn = (photo) => mapsOf[photo].filter((row) => maps.picture[row] !== null);
const sentences = (photo) => [...new Set(errorsOf[photo])].map((place) => make("p", { class: "error" }, texts[place]));
function refused(photo) {
  const rows = mapsOf[photo].filter((row) => maps.refusal[row] !== null);
  if (rows.length < errorsOf[photo].length) return sentences(photo); // the photo itself
  return rows.length ? [make("p", { class: "error" }, `No map: ${rows.map((row) => methods[maps.method[row]].title).join(", ")}`)] : [];
}

function photoFrame(photo, opens, ...marks) {
  const box = photos.box[photo];
  const inside = [picture(photoFile(photo), opens ? "" : photos.photo[photo]), box && mark("box", box), ...marks];
  if (!opens) return make("span", { class: "frame" }, ...inside);
  const label = `Open ${photos.photo[photo]}`;
  return make("button", { type: "button", class: "frame", "aria-label": label, onclick: () => open(photo) }, ...inside);
}
const mapPicture = (row, photo) =>
  picture(address(texts[maps.picture[row]], photo), `${methods[maps.method[row]].title} map of ${photos.photo[photo]}`);

function card(photo) {
  const rows = drawn(photo);
  const values = [
    ["Delta", percent, largestDelta(photo)],
    ["Agreement", correlation, agreement(photo)],
    ["In the box", percent, SORTS.box[1](photo)],
    ["Loss", number, SORTS.loss[1](photo)],
  ].filter(([, , value]) => value !== null);
  const tiles = rows.map((row) =>
    make("figure", {}, make("span", { class: "frame" }, mapPicture(row, photo)), make("figcaption", {}, methods[maps.method[row]].title)),
  );
  const grid = seen(photo) ? make("div", { class: tiles.length === 1 ? "tiles one" : "tiles" }, photoFrame(photo, true), ...tiles) : null;
  grid?.style.setProperty("--columns", tiles.length === 2 ? 3 : 4);
  return make(
    "article",
    { class: "card", "aria-label": photos.photo[photo] },
    grid,
    make("h3", {}, photos.photo[photo]),
    predicted(photo) && make("p", {}, predicted(photo)),
    explained(photo) && make("p", {}, explained(photo)),
    values.length ? make("p", { class: "numbers" }, ...values.map(([name, shown, value]) => make("span", {}, `${name} ${shown(value)}`))) : null,
    ...refused(photo),
  );
}

let current = []; // photos that pass the filters, in their order
let shown = 0;
function choose() {
  const text = state.text.toLowerCase();
  const [min, max] = [state.min, state.max].map((each) => (each === "" ? null : Number(each)));
  const within = (value) => (min === null || (value !== null && value >= min)) && (max === null || (value !== null && value <= max));
  const passes = (photo) =>
    (!state.of || className(photo) === state.of) &&
    (!state.errors || errorsOf[photo].length > 0) &&
    within(photos.probability[photo]) &&
    photos.photo[photo].toLowerCase().includes(text);
  const [, measure, usual] = SORTS[state.sort];
  const direction = state.reverse ? -usual : usual;
  const measured = every.filter(passes).map((photo) => [photo, measure(photo)]);
  measured.sort(([one, a], [other, b]) => {
    if (a === null || b === null) return (a === null) - (b === null) || one - other;
    const order = typeof a === "string" ? a.localeCompare(b) : a - b;
    return direction * order || one - other;
  });
  current = measured.map(([photo]) => photo);
}
function showPhotos() {
  choose();
  shown = 0;
  at("cards").replaceChildren();
  showMore();
}
function showMore() {
  const added = current.slice(shown, shown + AT_ONCE).map(card);
  at("cards").append(...added);
  shown += added.length;
  const left = current.length - shown;
  at("more").hidden = !left;
  at("more").textContent = `Show ${Math.min(left, AT_ONCE)} more`;
  const all = current.length === every.length ? counted(every.length) : `${counted(current.length)} of ${every.length.toLocaleString("en")}`;
  at("status").textContent = current.length ? `${all}${left ? `, the first ${shown} shown` : ""}` : every.length ? "No photo matches; clear a filter." : "There are no photos yet.";
  return added[0];
}

function showControls() {
  for (const name of ["sort", "of", "text", "min", "max"]) at(name).value = state[name];
  for (const name of ["reverse", "errors"]) at(name).checked = state[name];
}

function listErrors() {
  const found = new Map(); // place of a sentence -> photos
  errorsOf.forEach((places, photo) => places.forEach((place) => found.set(place, (found.get(place) ?? new Set()).add(photo))));
  const failed = errorsOf.filter((places) => places.length).length;
  at("errors-field").hidden = at("sentences").hidden = !failed;
  at("sentences").firstElementChild.textContent = `Errors in ${counted(failed)}`;
  at("sentences").open = every.every((photo) => !drawn(photo).length);
  at("sentences").lastElementChild.replaceChildren(
    ...[...found].sort(([, one], [, other]) => one.size - other.size).map(([place, among]) =>
      make("li", {}, texts[place], make("span", { class: "settings" }, among.size > 1 ? ` (${counted(among.size)})` : "")),
    ),
  );
}

// One photo
function large(row, photo) {
  const method = methods[maps.method[row]];
  const facts = [
    ["Delta", percent, maps.relative_delta[row]],
    ["Agreement", correlation, maps.agreement[row]],
    ["Concentration", percent, maps.concentration[row]],
    ["In the box", percent, maps.box_share[row]],
    ["Loss", number, maps.loss[row]],
  ].filter(([, , value]) => value !== null);
  const box = photos.box[photo];
  return make(
    "figure",
    {},
    make("span", { class: "frame" }, mapPicture(row, photo), box && mark("box", box), windowMark(row)),
    make("figcaption", {}, make("b", {}, method.title), method.settings && ` ${method.settings}`),
    make("dl", {}, ...facts.flatMap(([name, shown, value]) => [make("dt", {}, name), make("dd", {}, shown(value))])),
  );
}
function open(photo) {
  state.photo = String(photos.number[photo]);
  writeState();
  showOne();
}
function showOne() {
  const dialog = at("one");
  const photo = state.photo === "" ? -1 : photos.number.indexOf(Number(state.photo));
  if (photo < 0) return dialog.close();
  const place = current.indexOf(photo);
  const step = (by, text) => {
    const to = place < 0 ? undefined : current[place + by];
    return make("button", { type: "button", disabled: to === undefined, "data-step": by, onclick: () => open(to) }, text);
  };
  const box = photos.box[photo];
  const rows = drawn(photo);
  const leading = rows.find((row) => maps.method[row] === data.leading);
  const focused = dialog.contains(document.activeElement) ? document.activeElement.dataset.step : undefined;
  const whole = make(
    "figure",
    {},
    photoFrame(photo, false, leading === undefined ? null : windowMark(leading)),
    make("figcaption", {}, make("b", {}, "Photo"), " as the network sees it"),
  );
  dialog.replaceChildren(
    make(
      "div",
      { class: "bar" },
      step(-1, "Previous"),
      step(1, "Next"),
      make("button", { type: "button", onclick: () => dialog.close() }, "Close"),
    ),
    make("h2", { id: "one-name" }, photos.photo[photo]),
    make("p", {}, predicted(photo)),
    make("p", {}, explained(photo)),
    ...sentences(photo),
    rows.length ? make("p", { class: "note" }, `Outlined: the strongest part of each map${box ? "; dashed, the box" : ""}.`) : null,
    make("div", { class: "large" }, seen(photo) ? whole : null, ...rows.map((row) => large(row, photo))),
  );
  if (!dialog.open) dialog.showModal();
  const again = focused && dialog.querySelector(`[data-step="${focused}"]:not(:disabled)`);
  (again || dialog.querySelector("button:not(:disabled)")).focus();
}

// Set up
const option = (value, text) => make("option", { value }, text);
const named = classes.map((each) => option(each.key, `${shortName(each.key)} (${each.count.toLocaleString("en")})`));
at("class").append(...named);
at("of").append(option("", "All"), ...named.map((each) => each.cloneNode(true)));
at("sort").append(
  ...Object.entries(SORTS)
    .filter(([, [, measure]]) => every.some((photo) => measure(photo) !== null))
    .map(([key, [label]]) => option(key, label)),
);
at("range").textContent = quantity;
at("filters").hidden = !every.length;
at("class-field").hidden = at("of").parentElement.hidden = classes.length < 2;
if (classes.length === 1) at("drives-heading").textContent = `What drives ${classes[0].name}`;
listErrors();

at("class").addEventListener("change", () => {
  state.class = at("class").value;
  writeState();
  showClass();
});
at("its-photos").addEventListener("click", () => {
  Object.assign(state, { of: state.class, text: "", min: "", max: "", errors: false });
  filtered();
  at("photos").scrollIntoView();
  at("of").focus({ preventScroll: true });
});
at("filters").addEventListener("input", ({ target }) => {
  state[target.id] = target.type === "checkbox" ? target.checked : target.value;
  writeState();
  showPhotos();
});
at("filters").addEventListener("submit", (event) => event.preventDefault());
at("filters").addEventListener("reset", (event) => {
  event.preventDefault();
  for (const name of ["sort", "reverse", "of", "text", "min", "max", "errors"]) state[name] = DEFAULTS[name];
  filtered();
});
at("more").addEventListener("click", () => showMore().querySelector("button")?.focus());
at("one").addEventListener("close", () => {
  state.photo = "";
  writeState();
});
at("one").addEventListener("click", (event) => {
  if (event.target === at("one")) at("one").close(); // a click beside it
});
window.addEventListener("hashchange", restore);

function filtered() {
  writeState();
  showControls();
  showPhotos();
}
function restore() {
  readState();
  showControls();
  showClass();
  showPhotos();
  showOne();
}
restore();
