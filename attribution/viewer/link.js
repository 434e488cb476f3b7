// The address bar, which always contains the whole analysis, and the button that shares it.

import { element } from "./elements.js";
import { Group } from "./group.js";

const TAB = "attribution-tab"; // key of the tab's random number, by which a reload finds an upload again

export class Link {
  constructor(root, send) {
    this.send = send;
    const button = element("button", { type: "button", textContent: "Share" });
    button.onclick = () => send?.("share", Object.fromEntries(this.group.parts));
    root.append(button);
    this.moved = () => (this.restoring = true);
    window.addEventListener("popstate", this.moved);
  }

  update(header) {
    const old = this.header;
    const late = this.restoring && old && header.restored === old.restored; // of a run from before Back or Forward
    this.header = header;
    this.group = Group.named(header.group);
    this.group.restore(header);
    this.group.links.add(this);
    if (header.asksTab) this.send?.("tab", { number: tabNumber() });
    if (late) return;
    const changed = old && !this.restoring && header.query !== old.query && header.page === old.page;
    this.restoring = false;
    this.write(changed); // Streamlit itself adds an entry for a new page
  }

  /** Update the address bar after a delay, since browsers limit the rate of changes. */
  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.write(), 250);
  }

  /** Update the address bar, in a new entry of the browser's history if `adds`. */
  write(adds = false) {
    if (this.restoring) return; // the address bar is ahead of the server
    const view = this.group.parts.map(([name, value]) => `${name}=${value}`);
    const query = [this.header.query, ...view].filter(Boolean).join("&");
    const { pathname, search, hash } = window.location;
    const wanted = query ? `?${query}` : "";
    if (search + hash === wanted) return;
    if (adds) window.history.pushState({}, "", pathname + wanted);
    else window.history.replaceState(window.history.state, "", pathname + wanted);
  }

  remove() {
    clearTimeout(this.timer);
    window.removeEventListener("popstate", this.moved);
    this.group.links.delete(this);
  }
}

/** A random number of 128 bits that this tab keeps over a reload, in hexadecimal. */
function tabNumber() {
  const fresh = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  try {
    const known = sessionStorage.getItem(TAB) ?? fresh;
    sessionStorage.setItem(TAB, known);
    return known;
  } catch {
    return fresh; // the browser stores nothing
  }
}
