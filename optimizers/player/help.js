// The help sheet: what the stage, the timeline and the maps do, and every key.

import { element, icon } from "./dom.js";
import { KEYS } from "./keys.js";

const HOW = [
  ["Stage", "Press or drag on the map to start there. Turn the wheel to look closer, drag with Shift to move the map; +, − and 0 do it by key."],
  ["Time", "Drag along the line below the map, or take one step at a time, backwards too. Marks show where something happened."],
  ["Racers", "Drag a slider and the paths follow; press a number to type one. Press a name to look inside that one's step."],
  ["Maps", "The basin map colours each start by where the racer ends; in the sweep map press a cell to play that pair of values."],
];

/** A modal sheet: {node, open()}. Esc or a press beside it closes it, and the focus goes back. */
export function createHelp() {
  const close = element("button.close", { type: "button", "aria-label": "Close", onclick: () => node.close() }, icon("close"));
  const rows = KEYS.map(({ key, says }) => element("tr", {},
    element("th", { scope: "row" }, ...key.split(" ").map((one) => element("kbd", {}, one))), element("td", {}, says)));
  const half = Math.ceil(rows.length / 2);
  const table = (part) => element("table", {}, element("tbody", {}, ...part));
  const sheet = element("div.text", {},
    element("div.head", {}, element("h2", { id: "help-title" }, "How to use it"), close),
    element("dl", {}, ...HOW.flatMap(([what, says]) => [element("dt", {}, what), element("dd", {}, says)])),
    element("h3", {}, "Keys"),
    element("div.keys", {}, table(rows.slice(0, half)), table(rows.slice(half))));
  const node = element("dialog.help", { "aria-labelledby": "help-title" });
  node.addEventListener("close", () => sheet.remove());
  node.addEventListener("click", (event) => event.target === node && node.close());
  // What is pressed here is for the sheet: the player and its host have keys of their own.
  node.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "?") node.close();
  });

  function open() {
    if (node.open) return;
    node.append(sheet);
    node.showModal();
  }

  return { node, open };
}
