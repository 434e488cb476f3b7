// What the sandboxes compute for the cases on standard input, as JSON.
import { readFileSync } from "node:fs";

import { network, path } from "../attribution/ui/sandbox/rules.js";

const asked = JSON.parse(readFileSync(0));
console.log(JSON.stringify({ networks: asked.networks.map(network), paths: asked.paths.map(path) }));
