// Sensitivity: how each kind of racer fares along the learning rate, what else is swept at its best; seeds as bands.

import { drawLines } from "../adamscope.player/chart.js";
import { element, swatch, write } from "../adamscope.player/dom.js";
import { colorOf } from "../adamscope.player/race.js";

const LEFT = 44; // px for the numbers on the vertical axis
const NEAR = 30; // px around a point in which the pointer finds it

const bend = { log: Math.log10, one_minus_log: (z) => -Math.log10(1 - z), linear: (z) => z, choice: (z) => z };

/** onLook(trial or null) is told which point the pointer or the arrow keys look at. */
export function createSensitivity({ onLook }) {
  let picture = null;
  let axes = null;
  let marked = null;
  let spots = []; // {trial, x, y} in px

  const heading = element("h3");
  const hint = element("span.hint");
  const canvas = element("canvas", { tabindex: 0, role: "slider", "aria-valuemin": 0 });
  const legend = element("div.names-row");
  const node = element("section.sensitivity", { "aria-label": "Sensitivity" },
    element("div.title", {}, heading, hint), element("div.chart", {}, canvas), legend);

  canvas.addEventListener("pointermove", ({ offsetX, offsetY }) => {
    const near = spots.map((spot) => ({ ...spot, far: Math.hypot(spot.x - offsetX, spot.y - offsetY) })).sort((a, b) => a.far - b.far)[0];
    onLook(near && near.far < NEAR ? near.trial : null);
  });
  canvas.addEventListener("pointerleave", () => onLook(null));
  canvas.addEventListener("blur", () => onLook(null));
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!way || !spots.length) return;
    event.preventDefault();
    const at = spots.findIndex(({ trial }) => trial === marked);
    onLook(spots[at < 0 ? 0 : (at + way + spots.length) % spots.length].trial);
  });

  const valueOf = (cell) => (picture.measure === "loss" ? cell.loss : 100 * cell.accuracy);

  function draw() {
    if (!picture || !canvas.clientWidth) return;
    const { sweep, still, cells, theme, measure } = picture;
    const to = bend[sweep.across.scale] ?? bend.linear;
    const side = still.sides.find(({ name }) => name === sweep.across.name);
    const yLog = measure === "loss";
    const series = [];
    spots = [];
    for (const curve of sweep.curves) {
      const color = colorOf(curve, theme);
      const x = curve.points.map(([value]) => to(value));
      const y = curve.points.map(([, trial]) => valueOf(cells[trial]));
      series.push({ x, y, color, dash: curve.dash, width: curve.joined ? 2.5 : 0.001, marker: 3.8, hollow: curve.hollow, trials: curve.points.map(([, trial]) => trial), joined: curve.joined });
    }
    const places = side.ordered ? side.labels.map((label, k) => ({ label, value: to(valueAt(k)) })) : side.labels.map((label, value) => ({ label, value }));
    function valueAt(k) {
      return sweep.across.values[k];
    }
    const ends = [Math.min(...places.map(({ value }) => value)), Math.max(...places.map(({ value }) => value))];
    const pad = 0.04 * (ends[1] - ends[0] || 1);
    const thin = Math.ceil(places.length / 8);
    axes = drawLines(canvas, {
      series, xRange: [ends[0] - pad, ends[1] + pad], yRange: range(series, yLog), yLog, xLabel: "", left: LEFT, right: 12,
      xTicks: places.filter((_, k) => k % thin === 0), gridColor: theme.line, textColor: theme.mute, background: theme.paper,
      font: `${(theme.size * 0.85).toFixed(1)}px ${theme.family}`,
    });
    for (const line of series) line.trials.forEach((trial, k) => Number.isFinite(line.y[k]) && spots.push({ trial, x: axes.x(line.x[k]), y: axes.y(line.y[k]) }));
    spots.sort((a, b) => a.x - b.x);
    if (still.seeds > 1 && measure === "accuracy") bands(series);
    ring();
    const spot = spots.findIndex(({ trial }) => trial === marked);
    canvas.setAttribute("aria-valuemax", Math.max(0, spots.length - 1));
    canvas.setAttribute("aria-valuenow", Math.max(0, spot));
    canvas.setAttribute("aria-valuetext", spot < 0 ? "no trial" : still.trials[marked].racer + still.trials[marked].more);
    canvas.setAttribute("aria-label", `Trials along ${sweep.across.name}`);
  }

  /** Room for the bands, too; one that blows up does not flatten the others. */
  function range(series, yLog) {
    const { cells, still, measure } = picture;
    const values = series.flatMap(({ trials }) => trials.flatMap((trial) => {
      const cell = cells[trial];
      return still.seeds > 1 && measure === "accuracy" ? [100 * cell.lowest, 100 * cell.highest] : [valueOf(cell)];
    })).filter(Number.isFinite);
    if (!values.length) return yLog ? [0.1, 10] : [0, 100];
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (yLog) return [low / 1.15, Math.min(high, 20 * low) * 1.15];
    if (high - low < 1) [low, high] = [low - 0.5, high + 0.5];
    return [Math.max(0, low - 0.06 * (high - low)), Math.min(100, high + 0.06 * (high - low))];
  }

  /** From the lowest seed to the highest, beneath the lines. */
  function bands(series) {
    const q = canvas.getContext("2d");
    q.save();
    q.globalCompositeOperation = "destination-over";
    q.globalAlpha = picture.theme.dark ? 0.22 : 0.15;
    for (const { x, trials, color, joined } of series) {
      const cells = trials.map((trial) => picture.cells[trial]);
      if (!joined || cells.some(({ lowest }) => !Number.isFinite(lowest))) continue;
      q.beginPath();
      cells.forEach(({ highest }, k) => q.lineTo(axes.x(x[k]), axes.y(100 * highest)));
      for (let k = cells.length - 1; k >= 0; k--) q.lineTo(axes.x(x[k]), axes.y(100 * cells[k].lowest));
      q.fillStyle = color;
      q.fill();
    }
    q.restore();
  }

  function ring() {
    const spot = spots.find(({ trial }) => trial === marked) ?? spots.find(({ trial }) => trial === picture.sweep.best);
    if (!spot) return;
    const q = canvas.getContext("2d");
    q.beginPath();
    q.arc(spot.x, spot.y, 8, 0, 2 * Math.PI);
    q.lineWidth = 2;
    q.strokeStyle = spot.trial === marked ? picture.theme.ink : picture.theme.accent;
    q.stroke();
  }

  const observer = new ResizeObserver(draw);
  observer.observe(canvas);

  return {
    node,
    mark(trial) {
      if (trial === marked) return;
      marked = trial;
      draw();
    },
    update(next) {
      picture = next;
      const { sweep, still, theme, measure } = picture;
      write(heading, `Held-out ${measure === "loss" ? "loss" : "accuracy, %,"} along ${sweep.across.symbol}`);
      const more = still.sides.filter(({ name }) => name !== sweep.across.name && name !== "optimizer" && name !== "bias_correction").length;
      write(hint, [more ? "what else changes at its best" : "", still.seeds > 1 && measure === "accuracy" ? `bands: lowest to highest of ${still.seeds} seeds` : ""].filter(Boolean).join("; "));
      legend.replaceChildren(...sweep.curves.map((curve) => element("span", {}, swatch(curve, colorOf(curve, theme), 30), curve.label)));
      draw();
    },
    stop: () => observer.disconnect(),
  };
}
