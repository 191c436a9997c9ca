// The keys, and what each is for.

/** {key, says, action}: `action` is the name of what a player can do; "1–8" stands for the digits. */
export const KEYS = [
  { key: "space", says: "play or pause", action: "play", codes: [" "] },
  { key: "← ,", says: "one step back", action: "back", codes: [",", "ArrowLeft"] },
  { key: "→ .", says: "one step on", action: "forward", codes: [".", "ArrowRight"] },
  { key: "Home", says: "to the start", action: "first", codes: ["Home"] },
  { key: "End", says: "to the end", action: "last", codes: ["End"] },
  { key: "[", says: "to the moment before", action: "previous", codes: ["["] },
  { key: "]", says: "to the next moment: arrival, divergence, peak", action: "next", codes: ["]"] },
  { key: "<", says: "slower", action: "slower", codes: ["<"] },
  { key: ">", says: "faster", action: "faster", codes: [">"] },
  { key: "l", says: "play again at the end", action: "loop", codes: ["l"] },
  { key: "1–8", says: "look inside this racer", action: "racer", codes: [..."12345678"] },
  { key: "h", says: "hide or show the racer", action: "hide", codes: ["h"] },
  { key: "v", says: "vectors", action: "vectors", codes: ["v"] },
  { key: "s", says: "the step in slow motion", action: "slow", codes: ["s"] },
  { key: "b", says: "basin map", action: "basin", codes: ["b"] },
  { key: "c", says: "cloud of noisy paths", action: "cloud", codes: ["c"] },
  { key: "d", says: "3-D", action: "relief", codes: ["d"] },
  { key: "f", says: "panel: is it fair?", action: "fair", codes: ["f"] },
  { key: "w", says: "panel: sweep map", action: "sweep", codes: ["w"] },
  { key: "i", says: "panel: inside the step", action: "step", codes: ["i"] },
  { key: "p", says: "predict first", action: "predict", codes: ["p"] },
  { key: "+", says: "zoom in", action: "zoomIn", codes: ["+", "="] },
  { key: "−", says: "zoom out", action: "zoomOut", codes: ["-", "−"] },
  { key: "0", says: "the whole map", action: "zoomReset", codes: ["0"] },
  { key: "?", says: "this sheet", action: "help", codes: ["?"] },
];
const ACTIONS = new Map(KEYS.flatMap(({ action, codes }) => codes.map((code) => [code, action])));

/** actions: name -> function(number for "racer"); returns the listener for keydown within `root` or on the page. */
export function createKeys(actions, root) {
  return (event) => {
    const target = event.composedPath()[0];
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (root.contains(target)) event.stopPropagation(); // the host page has shortcuts of its own on plain letters
    if (target.matches?.("input:not([type=range]), select, textarea")) return;
    const page = target === document.body;
    // Where arrows, Home and End have work of their own, they keep it; so does the space bar on a button.
    if (event.key.startsWith("Arrow") && !page && !target.matches?.(".timeline button")) return;
    if ((event.key === "Home" || event.key === "End") && !page) return;
    if (event.key === " " && target.matches?.("button, a, summary, [role=menuitem]")) return;
    const action = ACTIONS.get(event.key);
    if (!actions[action]) return;
    actions[action](Number(event.key));
    event.preventDefault();
  };
}
