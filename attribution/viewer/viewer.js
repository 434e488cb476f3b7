// The linked map viewer: one component instance per panel, toolbar or link; the instances of a group are linked.
// A panel receives its data once; zoom, colours, thresholds and readouts are handled in the browser alone.

import { mount } from "./mount.js";

/** Called by Streamlit when the data or the theme changes; by a report, once. */
export default mount;
