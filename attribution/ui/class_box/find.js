// Finding classes by parts of their names. Independent of the DOM.

const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

/** What `find` searches: each label, "name (index)", without accents and capitals. */
export function searchable(labels) {
  return labels.map(plain);
}

/** True if a searchable text contains every word of what was typed, in any order. */
export function contains(key, typed) {
  return plain(typed).split(/\s+/).every((word) => key.includes(word));
}

/** The indices of the matching classes: that with the typed index first, then names that begin with the text. */
export function find(keys, typed) {
  const text = plain(typed).trim();
  if (!text) return keys.map((_, index) => index);
  const words = text.split(/\s+/);
  const ranks = [[], [], [], []];
  keys.forEach((key, index) => {
    if (!words.every((word) => key.includes(word))) return;
    if (String(index) === text) ranks[0].push(index);
    else if (key.startsWith(text)) ranks[1].push(index);
    else if (words.every((word) => ` ${key}`.includes(` ${word}`))) ranks[2].push(index); // at the beginning of words
    else ranks[3].push(index);
  });
  return ranks.flat();
}
