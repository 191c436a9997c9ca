// A measured ground: how far each racer stands off the plane that is shown, and how far to trust the picture.

import { drawLines, formatNumber } from "./chart.js";
import { bound, element, swatch, write } from "./dom.js";
import { colorOf, lastStep, stampAt } from "./race.js";
import { valueAt } from "./surface.js";

const DOT = 2.1; // px, the radius of a snapshot on a path

/** A dot on the path at each snapshot a track has passed: what was measured; the line between is only drawn. */
export function drawSnapshots(q, { x, y, last }, step, color, on = ([a, b]) => [a, b]) {
  q.fillStyle = color;
  for (let k = 0; k <= Math.min(last, step); k++) {
    const [a, b] = on([x[k], y[k]]);
    q.beginPath();
    q.arc(a, b, DOT, 0, 2 * Math.PI);
    q.fill();
  }
}

/** fieldOf() is the lattice of the loss, or null. */
export function createMeasured({ fieldOf }) {
  const where = element("span");
  const body = element("tbody");
  const table = element("table.numbers.measured", {},
    element("thead", {}, element("tr", {}, element("td"),
      element("th", { scope: "col", title: "Of the racer's own weights, over the same pictures" }, "loss"),
      element("th", { scope: "col", title: "Of the map, at the racer's shadow on the plane" }, "map's"),
      element("th", { scope: "col", title: "Distance of the racer's weights from the plane" }, "off plane"))), body);
  const canvas = element("canvas", { role: "img" });
  const chart = element("div.plot", {}, canvas);
  const recipe = element("p.hint");
  const node = element("div.panel.measured", {},
    element("div.heading", {}, element("h3", {}, where)), table,
    element("h3.off", {}, "Distance off the plane"), chart, recipe);

  let race = null;
  let theme = null;
  let look = null;
  let chosen = 0;
  let at = [0];
  let rows = [];
  let lines = [];
  let shown = "";

  function build() {
    rows = race.racers.map((racer) => [0, 1, 2].map(() => element("td")));
    body.replaceChildren(...race.racers.map((racer, k) => element(k === chosen ? "tr.result" : "tr", { hidden: look.off.includes(k) },
      element("th", { scope: "row", title: racer.notation }, swatch(racer, colorOf(racer, theme), 24), " ", racer.label), ...rows[k])));
    write(recipe, bound(race.measured.recipe));
    lines = race.racers.flatMap((racer, k) => {
      if (look.off.includes(k)) return [];
      const count = lastStep(race, racer) + 1;
      return [{
        x: race.measured.steps.slice(0, count), y: Array.from({ length: count }, (_, step) => racer.value("off", step, 0)),
        color: colorOf(racer, theme), dash: racer.dash.map((length) => (length < 1 ? length : length * 0.6)), width: k === chosen ? 2.5 : 1.8,
      }];
    });
    const last = race.racers.map((racer) => `${racer.label} ${formatNumber(racer.value("off", lastStep(race, racer), 0), 3)}`);
    canvas.setAttribute("aria-label", `Distance off the plane against the step; at the end: ${last.join(", ")}.`);
    shown = "";
  }

  function draw() {
    if (!race || !canvas.clientHeight) return;
    const high = Math.max(...lines.flatMap(({ y }) => y), 1e-9);
    drawLines(canvas, {
      series: lines, xRange: [race.measured.steps[0], race.measured.steps.at(-1)], yRange: [0, 1.08 * high], cursor: stampAt(race, at[chosen]),
      xLabel: "step", gridColor: theme.line, textColor: theme.mute, cursorColor: theme.ink, background: theme.paper,
      font: `${(theme.size * 0.85).toFixed(1)}px ${theme.family}`,
    });
  }

  function fill() {
    const now = at.map((step) => Math.floor(step + 1e-6));
    const key = now.join();
    if (key !== shown) {
      shown = key;
      write(where, `At step ${stampAt(race, now[chosen])}`);
      const field = fieldOf();
      race.racers.forEach((racer, k) => {
        const gone = now[k] > lastStep(race, racer);
        const spot = [0, 1].map((axis) => racer.value("theta", Math.min(now[k], race.steps), axis));
        const values = gone ? [NaN, NaN, NaN] : [racer.loss[now[k]], field ? valueAt(field, ...spot) : NaN, racer.value("off", now[k], 0)];
        values.forEach((value, column) => write(rows[k][column], formatNumber(value, 3)));
      });
    }
    draw();
  }

  const observer = new ResizeObserver(draw);
  observer.observe(chart);

  return {
    node,
    update(next) {
      ({ race, theme, look, chosen } = next);
      build();
    },
    draw(newAt) {
      at = [...newAt];
      fill();
    },
    stop: () => observer.disconnect(),
  };
}
