// The row over the stage: what is drawn on it, and how much of the plane.

import { element, hide, mark, put } from "./dom.js";

const LEVELS = [0, 6, 10, 16, 24, 40]; // contour lines on offer; 0: as many as suit

/**
 * setLook(changes); layer(name) draws something more on the map, or no longer; zoom {in, out, reset}; works: whether Python
 * can be asked for maps and clouds; extras: buttons of other modules, behind the rest. update({look, race}) shows what is on.
 */
export function createToolbar({ setLook, layer: press, zoom, works, extras = [] }) {
  let look = null;
  const toggle = (name, word, title, action) => element("button.tool", { type: "button", "data-tool": name, title, onclick: action }, word);
  const layer = (name, word, title) => toggle(name, word, title, () => press(name));
  const relief = toggle("relief", "3-D", "The surface as a relief (d)", () => setLook({ stage: look.stage === "relief" ? "flat" : "relief" }));
  const vectors = layer("vectors", "vectors", "Gradient, averages and step as arrows (v)");
  const basin = layer("basin", "basin map", "Where the chosen racer ends from every start (b)");
  const cloud = layer("cloud", "cloud", "50 noisy paths of the chosen racer (c)");
  const layers = works ? [vectors, basin, cloud] : [vectors];
  const levels = element("select.tool", { "aria-label": "Contour lines", title: "Contour lines" });
  for (const scale of ["log", "linear"]) {
    for (const count of LEVELS) {
      const words = count ? `${count} contours` : "contours";
      levels.append(element("option", { value: `${scale} ${count}` }, scale === "log" ? `${words}, log` : `${words}, linear`));
    }
  }
  levels.addEventListener("change", () => {
    const [scale, count] = levels.value.split(" ");
    setLook({ scale, levels: Number(count) });
  });
  const round = (word, title, action) => element("button.tool.zoom", { type: "button", title, "aria-label": title, onclick: action }, word);
  const back = round("whole map", "The whole map again (0)", zoom.reset);
  const node = element("div.toolbar", { role: "toolbar", "aria-label": "What the stage shows", "data-part": "stage" },
    relief, ...layers, levels, ...extras, element("span.gap"), back,
    round("−", "Zoom out (−)", zoom.out), round("+", "Zoom in (+)", zoom.in));

  return {
    node,
    update(next) {
      ({ look } = next);
      const { race } = next;
      mark(relief, "aria-pressed", look.stage === "relief");
      for (const button of layers) mark(button, "aria-pressed", look.stage === "flat" && look.show.includes(button.dataset.tool));
      const noisy = race.conditions.noise > 0 || (race.conditions.rows !== null && (race.conditions.batch_size ?? race.conditions.usual_batch ?? race.conditions.rows) < race.conditions.rows);
      hide(cloud, !noisy);
      hide(vectors, Boolean(race.measured));
      const key = `${look.scale} ${look.levels}`;
      if (![...levels.options].some(({ value }) => value === key)) levels.append(element("option", { value: key }, `${look.levels} contours, ${look.scale}`));
      put(levels, key);
      hide(back, !look.window);
    },
  };
}
