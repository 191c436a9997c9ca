// What a step does inside the networks: small charts over the steps, of one layer's quantities, or of one quantity in every layer.

import { drawLines, formatNumber } from "../adamscope.player/chart.js";
import { element, swatch, write } from "../adamscope.player/dom.js";
import { colorOf } from "../adamscope.player/race.js";
import { choice } from "./choice.js";
import { indexAt } from "./curves.js";
import { createStrip } from "./strip.js";
import { count } from "./words.js";

const COLUMNS = 12; // of a row of Inside: racer, seed, step, layer, then the numbers below
const SHARP_COLUMNS = 6; // racer, seed, step, raw, preconditioned, bound
const OVERALL = -1;
const MOST_DECADES = 1e6; // from the largest value down to where a logarithmic axis ends
const LEFT = 46; // px for the numbers on the vertical axis
const RIGHT = { plain: 10, named: 40 }; // px beside a chart; with room for the bounds' names
const NAMED = 1.1; // from one of these names to the next, in heights of their letters

// Of each: where it stands in a row, how its axis runs, what it says. `band` are the places of its 5 and 95 % quantiles.
const QUANTITIES = [
  { name: "effective", title: "Effective step, |Δθ|/lr", short: "effective step", at: 5, band: [4, 6], log: true, hint: "How far a weight moves, in units of lr: |m̂|/(√v̂+ε) for Adam, |g| for gradient descent. The median, and from 5 to 95 % of the weights" },
  { name: "ratio", title: "Update to weight, ‖Δθ‖/‖θ‖", short: "update to weight", at: 7, log: true, hint: "How large a step is beside the weights it changes; about 10⁻³ is usual" },
  { name: "gradient", title: "Gradient norm, ‖g‖", short: "gradient norm", at: 8, log: true, hint: "Length of the gradient that the step used, clipping and weight decay in it" },
  { name: "cosine", title: "Cosine of step and −gradient", short: "cosine", at: 9, range: [-1, 1], hint: "1: straight down this batch's gradient; 0: across it; below 0: against it" },
  { name: "under_eps", title: "Weights with √v̂ < ε, %", short: "% under ε", at: 10, factor: 100, range: [0, 100], hint: "Where ε, not the gradient's size, divides: there the rule steps as momentum does. Rules without an ε have none" },
  { name: "distance", title: "Distance from the start, ‖θ−θ₀‖", short: "distance", at: 11, hint: "How far the weights are from where all racers began" },
];
const SHARP = [
  { name: "sharpness", title: "Sharpness, λ₁ of the Hessian", short: "sharpness", at: 3, log: true, sharp: true, hint: "Largest eigenvalue of the Hessian of the training loss on 200 pictures. Thin lines: up to where the rule is stable, 2/lr for gradient descent, (2+2μ)/lr for momentum" },
  { name: "preconditioned", title: "Preconditioned sharpness", short: "preconditioned", at: 4, log: true, sharp: true, hint: "The same as an adaptive rule sees it, each axis scaled by its factor. Thin lines: up to where the rule is stable, 2/lr, or (2+2β₁)/((1−β₁)lr) = 38/lr" },
];
const ALL = [...QUANTITIES, ...SHARP];

/** onSet(name, value) puts a choice into the address; onLost() asks for everything again. */
export function createInside({ onSet, onLost }) {
  let run = null;
  let theme = null;
  let asked = null;
  let lines = new Map(); // "layer/racer" -> rows by seed; "sharp/racer" too
  let rows = 0;
  let of = ""; // the run and attempt they are of
  let cursor = null;
  let charts = [];
  let built = "";
  let pointed = "ratio"; // the quantity whose chart was last looked at, where all are shown

  const quantity = element("select", { "aria-label": "What to look at inside", onchange: () => onSet("quantity", quantity.value) },
    element("option", { value: "all" }, "all quantities"), ...ALL.map(({ name, short }) => element("option", { value: name }, short)));
  const layer = element("select", { "aria-label": "Layer", onchange: () => onSet("layer", layer.value) });
  const scale = choice("Scale of the steps", ["linear", "log"], (value) => onSet("steps", value));
  const when = element("span.hint");
  const grid = element("div.multiples");
  const note = element("p.hint.note");
  const key = element("div.spelled");
  const strip = createStrip({ onLayer: (place) => onSet("layer", place) });
  const node = element("div.inside-view", {}, element("div.title", {}, quantity, layer, element("span.hint.word", {}, "steps"), scale.node, when), note, grid, strip.node, key);

  function take(meta, arrays) {
    const { within } = meta;
    const now = `${meta.run?.id}/${within.attempt}`;
    if (now !== of || within.before === 0) {
      lines = new Map();
      rows = 0;
      of = now;
      cursor = null;
    }
    if (within.before !== rows) return false;
    const add = (table, columns, keyOf) => {
      for (let i = 0; i < table.length; i += columns) {
        const row = table.subarray(i, i + columns);
        const name = keyOf(row);
        if (!lines.has(name)) lines.set(name, new Map());
        const seeds = lines.get(name);
        if (!seeds.has(row[1])) seeds.set(row[1], []);
        seeds.get(row[1]).push(row);
      }
      rows += table.length / columns;
    };
    if (arrays.insides) add(arrays.insides, COLUMNS, (row) => `${row[3]}/${row[0]}`);
    if (arrays.sharpnesses) add(arrays.sharpnesses, SHARP_COLUMNS, (row) => `sharp/${row[0]}`);
    rows += (within.looks?.length ?? 0) + (within.pictures?.length ?? 0);
    return true;
  }

  /** A racer's line of a quantity: the mean over the seeds where there are several, and a band around it. */
  function series(racer, where, what) {
    const seeds = [...(lines.get(`${what.sharp ? "sharp" : where}/${racer}`)?.values() ?? [])];
    if (!seeds.length) return null;
    const factor = what.factor ?? 1;
    const read = (at) => {
      const places = seeds.map(() => 0);
      return seeds[0].map((row) => {
        const values = seeds.map((its, s) => {
          while (places[s] < its.length && its[places[s]][2] < row[2]) places[s] += 1;
          return places[s] < its.length && its[places[s]][2] === row[2] ? factor * its[places[s]][at] : NaN;
        }).filter(Number.isFinite);
        return values.length ? { mean: values.reduce((sum, value) => sum + value, 0) / values.length, low: Math.min(...values), high: Math.max(...values) } : { mean: NaN, low: NaN, high: NaN };
      });
    };
    const found = read(what.at);
    const band = what.band ? what.band.map((at) => read(at).map(({ mean }) => mean)) : seeds.length > 1 ? [found.map(({ low }) => low), found.map(({ high }) => high)] : null;
    return {
      step: seeds[0].map((row) => row[2]),
      y: found.map(({ mean }) => mean),
      band: band && { low: band[0], high: band[1] },
      bound: what.sharp ? seeds[0].map((row) => (Number.isFinite(row[4]) === (what.name === "preconditioned") ? row[5] : NaN)) : null,
    };
  }

  /** The charts asked for: {what, where, title}. */
  function wanted() {
    const some = (what) => run.racers.some((_, k) => series(k, OVERALL, what)?.y.some(Number.isFinite));
    const one = ALL.find(({ name }) => name === asked.quantity);
    if (!one) return [...QUANTITIES, ...SHARP.filter(some)].map((what) => ({ what, where: place(), title: what.title }));
    if (asked.layer !== "each" || one.sharp) return [{ what: one, where: place(), title: one.title }];
    return [OVERALL, ...run.layers.keys()].map((where) => ({ what: one, where, title: where === OVERALL ? "all layers" : run.layers[where] }));
  }

  const place = () => (asked.layer === "" || asked.layer === "each" || Number(asked.layer) >= run.layers.length ? OVERALL : Number(asked.layer));

  function build() {
    const list = wanted();
    const now = JSON.stringify([list.map(({ what, where }) => [what.name, where]), run.layers]);
    if (now === built) return;
    built = now;
    charts = list.map(({ what, where, title }) => {
      const canvas = element("canvas", { tabindex: 0, role: "slider", "aria-label": `${title}: the step looked at`, "aria-valuemin": 0 });
      canvas.addEventListener("pointermove", (event) => {
        point(what);
        look(fromX(event.currentTarget.axes?.toX(event.offsetX)));
      });
      canvas.addEventListener("focus", () => {
        point(what);
        read();
      });
      canvas.addEventListener("pointerleave", () => look(null));
      canvas.addEventListener("blur", () => look(null));
      canvas.addEventListener("keydown", move);
      const holder = element("div.chart", {}, canvas, element("p.absent", { hidden: true }, "none of these racers has it"));
      return { what, where, canvas, holder, node: element("div.figure", { title: what.hint }, element("div.title", {}, element("h3", {}, title)), holder) };
    });
    grid.replaceChildren(...charts.map((chart) => chart.node));
    grid.dataset.count = charts.length;
    observer.disconnect();
    for (const { holder } of charts) observer.observe(holder);
  }

  const logarithmic = () => asked.steps === "log";
  const toX = (step) => (logarithmic() ? Math.log10(step) : step);
  const fromX = (x) => (x === undefined || x === null ? null : logarithmic() ? 10 ** x : x);
  const last = () => Math.max(1, ...[...lines.values()].flatMap((seeds) => [...seeds.values()].map((its) => its.at(-1)?.[2] ?? 1)));

  function look(step) {
    const next = step === null ? null : Math.max(1, Math.min(last(), Math.round(step)));
    if (next === cursor) return;
    cursor = next;
    draw();
  }

  const point = (what) => (pointed = what.sharp ? pointed : what.name);

  function move(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const stride = Math.max(1, Math.round(last() / (event.shiftKey ? 10 : 100)));
    const now = cursor ?? last();
    const next = { ArrowLeft: now - stride, ArrowRight: now + stride, Home: 1, End: last(), Escape: null }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    look(next);
  }

  /** Powers of ten among the steps, at their places on a logarithmic axis. */
  function logSteps(end) {
    const ticks = [];
    for (let power = 0; 10 ** power <= end; power++) ticks.push({ value: power, label: (10 ** power).toLocaleString("en").replaceAll(",", "\u202f") });
    return ticks;
  }

  const lost = (k) => String(k) in run.diverged;

  /** What sets an axis: a racer that diverged would flatten the others, so it leaves the chart, unless all of them did. */
  const setting = (drawn) => {
    const sound = drawn.filter(({ diverged }) => !diverged);
    return sound.some(({ y }) => y.some(Number.isFinite)) ? sound : drawn;
  };

  /** The range of a straight axis, where one that diverged would set it. */
  function straight(drawn) {
    const sound = setting(drawn);
    if (sound.length === drawn.length) return null;
    const values = sound.flatMap(({ y }) => y).filter(Number.isFinite);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const room = 0.05 * (high - low || 1);
    return [low - room, high + room];
  }

  /** The range of a logarithmic axis: what has all but died out leaves the chart, or it would flatten the others. */
  function decades(drawn) {
    const values = drawn.flatMap(({ y, band }) => [...y, ...(band?.low ?? []), ...(band?.high ?? [])]).filter((value) => value > 0 && Number.isFinite(value));
    if (!values.length) return null;
    const top = values.reduce((most, value) => Math.max(most, value), 0);
    const low = values.reduce((least, value) => Math.min(least, value), Infinity);
    return [Math.max(low, top / MOST_DECADES) / 1.3, 1.3 * top];
  }

  function draw() {
    if (!run || !theme) return;
    const end = last();
    const measured = lines.size > 0;
    grid.hidden = key.hidden = !measured;
    for (const chart of charts) {
      const { what, where, canvas } = chart;
      const drawn = [];
      const bounds = [];
      for (const [k, racer] of run.racers.entries()) {
        const line = series(k, where, what);
        if (!line) continue;
        const color = colorOf(racer, theme);
        const x = line.step.map(toX);
        const few = x.filter((_, i) => Number.isFinite(line.y[i])).length < 15;
        if (line.bound?.some(Number.isFinite)) {
          drawn.push({ x, y: line.bound, color, dash: [2, 3], width: 1, alpha: 0.8 });
          bounds.push({ y: line.bound.findLast(Number.isFinite), color, text: `${Number(run.stability[k].toPrecision(3))}/lr` });
        }
        drawn.push({ x, y: line.y, color, dash: racer.dash, width: 2, band: line.band, marker: few ? 2.6 : 0, hollow: racer.hollow, diverged: lost(k) });
      }
      const known = drawn.some(({ y }) => y.some(Number.isFinite));
      const yRange = what.range ?? (what.log ? decades(setting(drawn)) : straight(drawn));
      // A band whose lower edge is 0, as of units that are silent, goes down to the end of a logarithmic axis.
      if (what.log && yRange) for (const { band } of drawn) if (band) band.low = band.low.map((value) => Math.max(value, yRange[0] / 10));
      chart.holder.querySelector(".absent").hidden = known;
      canvas.axes = drawLines(canvas, {
        series: drawn, xRange: [0, Math.max(logarithmic() ? 0.5 : 2, toX(end))], xTicks: logarithmic() ? logSteps(end) : undefined,
        yRange, yLog: Boolean(what.log) && known, cursor: cursor === null ? null : toX(cursor), left: LEFT, right: bounds.length ? RIGHT.named : RIGHT.plain, xLabel: "step",
        gridColor: theme.line, textColor: theme.mute, cursorColor: theme.ink, background: theme.paper,
        font: `${(theme.size * 0.85).toFixed(1)}px ${theme.family}`,
      });
      nameBounds(canvas, bounds);
      canvas.setAttribute("aria-valuemax", end);
      canvas.setAttribute("aria-valuenow", cursor ?? end);
      canvas.setAttribute("aria-valuetext", `step ${cursor ?? end}`);
    }
    read();
  }

  /** Each bound's rule at its line's end, in its racer's colour; pushed apart where they would touch. */
  function nameBounds(canvas, bounds) {
    const { y, area } = canvas.axes;
    const q = canvas.getContext("2d");
    const letters = theme.size * 0.85;
    const alike = new Map(); // racers of one rule and one lr have one line
    for (const bound of bounds) alike.set(`${bound.text} ${bound.y}`, { ...bound, at: Math.max(area.top, Math.min(area.bottom, y(bound.y))) });
    const names = [...alike.values()].sort((a, b) => a.at - b.at);
    names.forEach((one, k) => (one.at = Math.max(one.at, k ? names[k - 1].at + NAMED * letters : 0)));
    q.font = `${letters.toFixed(1)}px ${theme.family}`;
    q.textAlign = "left";
    q.textBaseline = "middle";
    for (const { text, color, at } of names) {
      q.fillStyle = color;
      q.fillText(text, area.right + 4, at);
    }
  }

  /** A racer's number at a step in one layer: the newest at or before it, the mean over the seeds. */
  function valueAt(racer, where, what, at) {
    const found = [...(lines.get(`${where}/${racer}`)?.values() ?? [])].map((rows) => {
      let [low, high] = [0, rows.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (rows[middle][2] <= at) low = middle + 1;
        else high = middle;
      }
      return low ? (what.factor ?? 1) * rows[low - 1][what.at] : NaN;
    }).filter(Number.isFinite);
    return found.length ? found.reduce((sum, value) => sum + value, 0) / found.length : NaN;
  }

  const gone = (k, at) => lost(k) && at >= run.diverged[k];

  /** Every layer of every racer at the cursor, of the quantity that is chosen or was last pointed at. */
  function glance(at, said) {
    const what = ALL.find(({ name }) => name === (asked.quantity === "all" ? pointed : asked.quantity));
    strip.node.hidden = Boolean(what.sharp) || !lines.size || !run.layers.length;
    if (strip.node.hidden) return;
    const columns = [{ place: "", name: "all" }, ...run.layers.map((name, place) => ({ place: String(place), name }))];
    const rows = run.racers.map((_, k) => (gone(k, at) ? null : columns.map(({ place }) => valueAt(k, place === "" ? OVERALL : Number(place), what, at))));
    strip.update({ run, theme, title: what.title, log: Boolean(what.log), at: said, columns, chosen: asked.layer, rows });
  }

  /** What the charts show at the cursor, in numbers: a row for each racer, a column for each chart. */
  function read() {
    const at = cursor ?? last();
    write(when, cursor === null ? `${run.active ? "now" : "last"}, at step ${count(at)}` : `at step ${count(at)}`);
    glance(at, `at step ${count(at)}`);
    const layered = asked.layer === "each" && asked.quantity !== "all" && !strip.node.hidden;
    key.hidden = layered || !lines.size; // the strip has these numbers
    if (layered) return;
    const head = element("tr", {}, element("th"), ...charts.map(({ what }) =>
      element("th", { scope: "col" }, what.short)));
    const body = run.racers.map((racer, k) => {
      const cells = charts.map(({ what, where }) => {
        const line = series(k, where, what);
        const place = line ? indexAt(line.step, at) : -1;
        if (gone(k, at)) return element("td", {}, "—");
        const value = place < 0 ? NaN : line.y[place];
        const band = what.band && place >= 0 && charts.length === 1 ? ` (${formatNumber(line.band.low[place], 3)} to ${formatNumber(line.band.high[place], 3)})` : "";
        const bound = charts.length === 1 && Number.isFinite(line?.bound?.[place]) ? `, stable up to ${formatNumber(line.bound[place], 3)}` : "";
        return element("td", {}, formatNumber(value, 3) + band + bound);
      });
      return element("tr", {}, element("th", { scope: "row" }, element("span.name", {}, swatch(racer, colorOf(racer, theme), 26), racer.label,
        gone(k, at) ? element("span.hint", {}, "diverged") : "")), ...cells);
    });
    key.replaceChildren(element("table.numbers.standings", {}, element("thead", {}, head), element("tbody", {}, ...body)));
  }

  const observer = new ResizeObserver(() => draw());

  return {
    node,
    update({ meta, arrays, theme: newTheme, shown }) {
      const whole = take(meta, arrays);
      [run, theme, asked] = [meta.run, newTheme, meta.asked];
      if (!whole) onLost();
      if (!shown || !run) return;
      quantity.value = asked.quantity;
      const each = asked.quantity === "all" ? [] : [["each", "each layer"]];
      const options = [["", "all layers together"], ...each, ...run.layers.map((name, k) => [String(k), name])];
      if (JSON.stringify(options) !== layer.dataset.options) {
        layer.dataset.options = JSON.stringify(options);
        layer.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
      }
      layer.value = options.some(([value]) => value === asked.layer) ? asked.layer : "";
      layer.disabled = ALL.find(({ name }) => name === asked.quantity)?.sharp ?? false;
      scale.show(asked.steps);
      const one = ALL.find(({ name }) => name === asked.quantity);
      write(note, lines.size ? (one ? `${one.hint}.` : `${run.seeds > 1 ? `Lines: the mean of ${run.seeds} seeds. ` : ""}Bands: from 5 to 95 % of the weights. Point at a chart: every number, and the layers beneath, are of that step.`) :
        run.telemetry === 0 ? "This run was told not to look inside its networks. Start one with telemetry to see steps, gradients and distances layer by layer." :
        run.active ? "The first measurement comes with the first steps." : "Nothing was measured inside this run.");
      build();
      draw();
    },
    stop() {
      observer.disconnect();
      strip.stop();
    },
  };
}
