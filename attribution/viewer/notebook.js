// The linked viewer in a notebook: the photo beside the controls, the maps below.

import { element } from "./elements.js";
import { mount } from "./mount.js";

let views = 0; // so that two views of the same result are not linked

function render({ model, el }) {
  const group = `notebook-${(views += 1)}`;
  const [top, maps] = ["top", "maps"].map((className) => element("div", { className }));
  el.classList.add("attribution");
  el.append(top, maps);
  const setTriggerValue = (name, value) => {
    model.set(name, value.x === undefined ? [] : [value.x, value.y]);
    model.save_changes();
  };
  const removals = model.get("messages").map((message, place) => {
    const parentElement = element("div");
    (place < 2 ? top : maps).append(parentElement); // the photo and the controls come first
    const data = new Uint8Array(message.buffer, message.byteOffset, message.byteLength);
    return mount({ data, parentElement, setTriggerValue, group });
  });
  return () => removals.forEach((remove) => remove());
}

export default { render };
