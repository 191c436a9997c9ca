// The experiment: loss and accuracy of every racer, growing with the run. Training batches are faint, with their
// running mean as a thin line; test pictures are a strong line with markers. Both charts share one cursor.

import { drawLines, formatNumber } from "../adamscope.player/chart.js";
import { element, write } from "../adamscope.player/dom.js";
import { colorOf } from "../adamscope.player/race.js";
import { choice } from "./choice.js";
import { marker, titleOf } from "./runs.js";

const NAMES = 132; // px at most for a name at its line's end
const LEFT = 44; // px for the numbers on the vertical axis
const LINE = 1.15; // from one name to the next, in heights of their letters
const COLUMNS = [7, 5]; // of a row: racer, step, loss, accuracy, seed; of a training point examples and seconds, too
const WINDOW = 1 / 30; // of the points so far, to either side, in the running mean

/** The points of one run, as they come in: a line for each racer. Of several seeds it is their mean, with the least and the greatest. */
export function createRecord(racers) {
  const series = () => ({ step: [], examples: [], seconds: [], loss: [], accuracy: [], seeds: [], low: { loss: [], accuracy: [] }, high: { loss: [], accuracy: [] } });
  const train = racers.map(series);
  const test = racers.map(series);
  const counts = [0, 0];

  /** Take in a number: the first one of a step, or one of another seed. */
  function take(line, name, place, value, seeds) {
    const { [name]: mean, low: { [name]: low }, high: { [name]: high } } = line;
    if (place === mean.length || !Number.isFinite(mean[place])) {
      mean[place] = low[place] = high[place] = value;
    } else if (Number.isFinite(value)) {
      mean[place] += (value - mean[place]) / seeds;
      low[place] = Math.min(low[place], value);
      high[place] = Math.max(high[place], value);
    }
  }

  const add = (into, rows, which) => {
    for (let i = 0; i < rows.length; i += COLUMNS[which]) {
      const [racer, step, loss, accuracy, , examples, seconds] = rows.subarray(i, i + COLUMNS[which]);
      const line = into[racer];
      if (!line) continue;
      let place = line.step.length - 1;
      while (place >= 0 && line.step[place] > step) place -= 1; // one seed's rows may come after a later step of another's
      if (place < 0 || line.step[place] !== step) {
        place += 1;
        for (const list of [line.loss, line.accuracy, line.low.loss, line.low.accuracy, line.high.loss, line.high.accuracy]) list.splice(place, 0, NaN);
        line.step.splice(place, 0, step);
        line.examples.splice(place, 0, examples);
        line.seconds.splice(place, 0, seconds);
        line.seeds.splice(place, 0, 0);
      }
      if (Number.isFinite(loss)) line.seeds[place] += 1;
      take(line, "loss", place, loss, line.seeds[place]);
      take(line, "accuracy", place, 100 * accuracy, line.seeds[place]);
    }
    counts[which] += rows.length / COLUMNS[which];
  };
  return {
    train,
    test,
    /** Rows, as COLUMNS says, that follow on `before`; false where some are missing in between. */
    take(before, points, tests) {
      if (before[0] !== counts[0] || before[1] !== counts[1]) return false;
      add(train, points, 0);
      add(test, tests, 1);
      return true;
    },
    get begun() {
      return counts[0] + counts[1] > 0;
    },
    get last() {
      return Math.max(0, ...train.map(({ step }) => step.at(-1) ?? 0));
    },
  };
}

/** The mean of the values around each place; a place without a number keeps none. */
export function runningMean(values) {
  const reach = Math.floor(values.length * WINDOW);
  const sums = [0];
  const counts = [0];
  values.forEach((value, i) => {
    const known = Number.isFinite(value);
    sums.push(sums[i] + (known ? value : 0));
    counts.push(counts[i] + known);
  });
  return values.map((value, i) => {
    if (!Number.isFinite(value)) return NaN;
    const first = Math.max(0, i - reach);
    const end = Math.min(values.length, i + reach + 1);
    return (sums[end] - sums[first]) / (counts[end] - counts[first]);
  });
}

/** Index of the newest entry at or before `step`, or −1. */
export function indexAt(steps, step) {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= step) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const peak = (values) => values.reduce((most, value) => (value > most && Number.isFinite(value) ? value : most), -Infinity);

/** The end of the x axis: the run so far with room to grow, in round numbers, so that it moves seldom. */
function reach(last, total) {
  const wanted = Math.max(last * 1.02, 20);
  const unit = 10 ** Math.floor(Math.log10(wanted));
  const round = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((k) => k * unit >= wanted) * unit;
  return total > 0 && round > total * 0.85 ? total : round;
}

/** The value of `to` where `from`, ascending, has `value`; straight lines between, and from 0 to the first. */
function follow(from, to, value) {
  const at = indexAt(from, value);
  const [x0, y0] = at < 0 ? [0, 0] : [from[at], to[at]];
  if (at + 1 >= from.length) return y0;
  const share = from[at + 1] > x0 ? (value - x0) / (from[at + 1] - x0) : 0;
  return y0 + share * (to[at + 1] - y0);
}

/** onCursor(step or null) is told where the pointer or the arrow keys look; onSet("scale" or "axis", value) what an axis shows. */
export function createCurves({ onCursor, onSet }) {
  let run = null;
  let record = null;
  let theme = null;
  let scale = "linear";
  let axis = "step";
  let cursor = null;
  let beyond = "";
  let beside = []; // runs that are compared with this one: {run, record, mark}

  const scales = choice("Scale of the loss axis", ["linear", "log"], (value) => onSet("scale", value));
  const axes = choice("What the curves are drawn against", ["step", "examples", "seconds"], (value) => onSet("axis", value));
  const cut = element("span.hint");
  const charts = [
    { name: "loss", title: "Loss", aside: [cut, scales.node] },
    { name: "accuracy", title: "Accuracy, %", aside: [element("span.hint"), axes.node] },
  ].map((chart) => {
    const canvas = element("canvas", { tabindex: 0, role: "slider", "aria-label": `${chart.title}: the step looked at`, "aria-valuemin": 0 });
    const names = element("div.names", { "aria-hidden": "true" });
    const holder = element("div.chart", {}, canvas, names);
    const node = element("div.figure", {}, element("div.title", {}, element("h3", {}, chart.title), ...chart.aside), holder);
    canvas.addEventListener("pointermove", (event) => look(chart.axes && stepAt(chart.axes.toX(event.offsetX))));
    canvas.addEventListener("pointerleave", () => look(null));
    canvas.addEventListener("blur", () => look(null));
    canvas.addEventListener("keydown", move);
    return Object.assign(chart, { canvas, names, holder, node });
  });
  const legend = element("p.legend", {}, line(1.5, false), "training batches, running mean", line(2.5, true), "test pictures, after each epoch");
  const runs = element("p.legend.which", { hidden: true });
  const node = element("div.curves", {}, runs, ...charts.map((chart) => chart.node), legend);

  /** Which run is which, where several are drawn. */
  function key(its) {
    const called = its && beside.length ? [{ run: its, mark: { shape: "circle", letter: "A" } }, ...beside] : [];
    runs.hidden = !called.length;
    runs.replaceChildren(...called.map(({ run: one, mark }) => element("span.which", {}, marker(mark.shape), element("b", {}, mark.letter), ` ${titleOf(one)}`)));
  }

  function line(width, marker) {
    const holder = element("span.swatch", { "aria-hidden": "true" });
    holder.innerHTML = `<svg width="30" height="10"><path d="M1 5H29" stroke="currentColor" stroke-width="${width}"/>` +
      (marker ? '<circle cx="15" cy="5" r="3" fill="currentColor"/>' : "") + "</svg>";
    return holder;
  }

  const longest = ({ train }) => train.reduce((most, line) => (line.step.length > most.step.length ? line : most), train[0]);

  /** Where a step of a run lies on the x axis, and back for the run that is shown: all racers share their steps. */
  const along = (its, step) => (axis === "step" ? step : follow(longest(its).step, longest(its)[axis], step));
  const stepAt = (x) => (axis === "step" ? x : follow(longest(record)[axis], longest(record).step, x));

  function look(step) {
    const next = step === null || step === undefined || !record ? null : Math.max(0, Math.min(record.last, Math.round(step)));
    if (next === cursor) return;
    cursor = next;
    onCursor(cursor);
    draw();
  }

  function move(event) {
    if (!record || event.ctrlKey || event.metaKey || event.altKey) return;
    const stride = Math.max(1, Math.round(record.last / (event.shiftKey ? 10 : 100)));
    const now = cursor ?? record.last;
    const next = { ArrowLeft: now - stride, ArrowRight: now + stride, Home: 0, End: record.last, Escape: null }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    look(next);
  }

  /** Where the loss axis ends: a racer that blows up must not flatten the others; it leaves the chart, and is named. */
  function ceiling(lines) {
    const top = Math.max(...lines.map(({ y }) => peak(y)));
    const starts = [...record.test, ...record.train].map(({ loss }) => loss[0]).filter(Number.isFinite);
    const usual = 1.5 * Math.min(...starts); // before the first step all have the same
    if (!(top > usual) || !(usual > 0)) {
      beyond = "";
      return null;
    }
    const over = drawn().flatMap(({ run: its, record: { train, test }, mark }) => its.racers.filter((_, k) => Math.max(peak(train[k].loss), peak(test[k].loss)) > usual)
      .map(({ label }) => [label, mark.letter].join(" ").trim()));
    beyond = `beyond the axis: ${over.join(", ")}, up to ${formatNumber(top, 3)}`;
    const low = -peak(lines.flatMap(({ y }) => y.map((value) => -value)));
    return [low - 0.05 * (usual - low), usual];
  }

  /** What is drawn: the run, and those it is compared with, each with markers of its own shape. */
  const drawn = () => [{ run, record, mark: { shape: "circle", letter: beside.length ? "A" : "" } }, ...beside];

  function seriesOf(name) {
    const faint = [];
    const clear = [];
    for (const { run: its, record: points, mark } of drawn()) {
      its.racers.forEach((racer, k) => {
        const color = colorOf(racer, theme);
        const [train, test] = [points.train[k], points.test[k]];
        const dash = racer.dash.map((length) => (length < 1 ? length : length * 0.6));
        const [trained, tested] = [train, test].map((line) => (axis === "step" ? line.step : line.step.map((step) => along(points, step))));
        const band = ({ low, high }) => (its.seeds > 1 ? { low: low[name], high: high[name] } : null);
        if (!beside.length) faint.push({ x: trained, y: train[name], color, width: 1, alpha: 0.22, band: band(train) });
        clear.push({ x: trained, y: runningMean(train[name]), color, dash, width: 1.5, alpha: beside.length ? 0.5 : 1 });
        clear.push({ x: tested, y: test[name], color, dash: racer.dash, width: mark.shape === "circle" ? 2.5 : 1.8, marker: 3.6, hollow: racer.hollow, shape: mark.shape, band: band(test) });
      });
    }
    return [...faint, ...clear];
  }

  function draw() {
    if (!run || !record) return;
    const last = Math.max(...drawn().map((one) => along(one.record, one.record.last)));
    const share = record.last ? last / record.last : 0; // of the axis for a step
    const steps = Math.max(...drawn().map((one) => one.run.total_steps ?? 0));
    const total = axis === "seconds" || (beside.length && axis !== "step") ? 0 : Math.round(steps * (axis === "step" ? 1 : share));
    const xRange = [0, run.active || axis === "step" ? reach(last, total) : last * 1.02];
    const width = charts[0].canvas.clientWidth - LEFT;
    const named = width > 380;
    const right = named ? Math.max(12, width - ((width - NAMES) * xRange[1]) / Math.max(1, last)) : 12;
    for (const chart of charts) {
      const lines = seriesOf(chart.name);
      const yLog = chart.name === "loss" && scale === "log";
      const yRange = chart.name === "loss" && !yLog ? ceiling(lines) : null;
      if (yLog) beyond = "";
      chart.axes = drawLines(chart.canvas, {
        series: lines, xRange, yRange, yLog, cursor: cursor === null ? null : along(record, cursor), right, xLabel: axis === "seconds" ? "s" : axis, left: LEFT,
        gridColor: theme.line, textColor: theme.mute, cursorColor: theme.ink, background: theme.paper,
        font: `${(theme.size * 0.85).toFixed(1)}px ${theme.family}`,
      });
      chart.canvas.setAttribute("aria-valuemax", record.last);
      chart.canvas.setAttribute("aria-valuenow", cursor ?? record.last);
      chart.canvas.setAttribute("aria-valuetext", `step ${cursor ?? record.last}`);
      nameEnds(chart, xRange[1], named);
    }
    write(cut, beyond);
  }

  /** Each racer's name at its line's end, pushed apart where they would touch. */
  function nameEnds(chart, end, named) {
    const { axes } = chart;
    const ends = drawn().flatMap(({ run: its, record: { train, test }, mark }) => its.racers.flatMap((racer, k) => {
      const values = train[k][chart.name];
      const tests = test[k][chart.name];
      // Beside its last test, once that stands at the end of the run; until then where its running mean ends.
      const tested = test[k].step.at(-1) === train[k].step.at(-1);
      const value = tested ? tests.at(-1) : mean(values.slice(-Math.floor(values.length * WINDOW) - 1));
      if (!Number.isFinite(value)) return [];
      return [{ racer, label: [racer.label, mark.letter].join(" ").trim(), x: axes.x(Math.min(end, along({ train }, train[k].step.at(-1)))) + 8, y: axes.y(value) }];
    }));
    const { top, bottom } = axes.area;
    const line = LINE * theme.size;
    ends.sort((a, b) => a.y - b.y);
    ends.forEach((one, i) => (one.y = Math.max(one.y, i ? ends[i - 1].y + line : top + 4)));
    for (let i = ends.length - 1, floor = bottom - 4; i >= 0; i--, floor -= line) ends[i].y = Math.min(ends[i].y, floor);
    chart.names.hidden = !named;
    chart.names.replaceChildren(...ends.map(({ racer, label, x, y }) =>
      element("span", { style: `left:${x.toFixed(1)}px;top:${y.toFixed(1)}px;color:${colorOf(racer, theme)}` }, label)));
  }

  const observer = new ResizeObserver(draw);
  for (const { holder } of charts) observer.observe(holder);

  return {
    node,
    get cursor() {
      return cursor;
    },
    update({ meta, record: newRecord, theme: newTheme, shown, beside: others = [] }) {
      if (newRecord !== record) cursor = null;
      beside = others;
      key(meta.run);
      [run, record, theme, scale, axis] = [meta.run, newRecord, newTheme, meta.asked.scale, meta.asked.axis];
      scales.show(scale);
      axes.show(axis);
      if (shown) draw();
    },
    stop: () => observer.disconnect(),
  };
}
