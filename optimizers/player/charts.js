// Charts in step with time. Each shows one quantity of every racer over the race, drawn once; what moves over it is the
// cursor, at the chosen racer's step, and the reading, where a hand is.

import { drawLines, formatNumber } from "./chart.js";
import { element, hide, mark as say, put, write } from "./dom.js";
import { createReading } from "./reading.js";
import { biasFactor, colorOf, hyperOf, lastStep } from "./race.js";

const MOST = 4;
const ROOMY = [0, 0, 92, 132, 132]; // px each of so many charts must have before the last of them joins, heading and all
const FOOT = 9; // px under a chart whose steps are written under the last one
const TIGHT = [0, 0, 80, 110, 110]; // px below which it leaves again

const steps = (race) => race.steps + 1;

const length = (x, y) => Math.sqrt(x * x + y * y); // of float32s nothing overflows, and Math.hypot takes ten times as long

/** Both axes of a slot as one length, for every racer. */
const lengths = (race, slot) => race.racers.map((racer) => {
  const y = new Float64Array(steps(race));
  for (let k = 0; k < y.length; k++) y[k] = length(racer.value(slot, k, 0), racer.value(slot, k, 1));
  return y;
});

const along = (race, slot, axis) => race.racers.map((racer) => {
  const y = new Float64Array(steps(race));
  for (let k = 0; k < y.length; k++) y[k] = racer.value(slot, k, axis);
  return y;
});

const diagonal = ({ surface: { bounds: [x0, x1, y0, y1] } }) => Math.hypot(x1 - x0, y1 - y0);

const same = (f) => f;

/**
 * How a loss is drawn: as it is, on a logarithm where the surface's lowest value is 0; as its distance from the lowest
 * where that is known to be another; else on a linear scale. {log, of, term, least, most}
 */
export function lossScale({ surface: { lowest }, racers }) {
  const start = racers[0].loss[0];
  if (lowest === null) return { log: false, of: same, term: "f", least: -20 * Math.abs(start || 1), most: 20 * Math.abs(start || 1) };
  if (lowest === 0) return { log: true, of: same, term: "f", least: 1e-12, most: 1e3 * (start || 1) };
  const floor = Math.abs(lowest) * 2 ** -23; // float32 has nothing finer than this beside f*
  return { log: true, of: (f) => Math.max(floor, f - lowest), term: "f − f*", least: floor, most: 1e3 * (start - lowest || 1) };
}

/**
 * What a chart can show: title; term, its formula; measure(race) -> {values: one array a racer or null, second: the
 * same along y, log, term, least and most: where the axis ends though the values go on; range and ticks, where it has its own}, or a sentence where there is
 * nothing to measure.
 */
const KINDS = {
  loss: {
    title: "Loss",
    measure(race) {
      const { of, ...scale } = lossScale(race);
      return { ...scale, values: race.racers.map(({ loss }) => (of === same ? loss : Float64Array.from(loss, of))) };
    },
  },
  distance: {
    title: "Distance to minimum",
    measure(race) {
      const { minima } = race.surface;
      if (!minima.length) return "This surface has no minimum to measure from.";
      const values = race.racers.map((racer) => {
        const y = new Float64Array(steps(race));
        for (let k = 0; k < y.length; k++) {
          const a = racer.value("theta", k, 0);
          const b = racer.value("theta", k, 1);
          y[k] = Infinity;
          for (const point of minima) y[k] = Math.min(y[k], length(a - point[0], b - point[1]));
        }
        return y;
      });
      return { values, term: minima.length > 1 ? "min |θ − θ*|" : "|θ − θ*|", log: true, least: 1e-12, most: 10 * diagonal(race) };
    },
  },
  gradient: {
    title: "Gradient norm",
    measure(race) {
      const values = lengths(race, "g");
      return { values, term: "|g|", log: true, least: 1e-12, most: 1e3 * (values[0][0] || 1) };
    },
  },
  effective: {
    title: "Effective step",
    measure: (race) => ({
      values: along(race, "effective_lr", 0), second: along(race, "effective_lr", 1), term: "x, thin y", log: true,
    }),
  },
  lr: {
    title: "Learning rate",
    measure(race) {
      const values = race.racers.map((racer) => {
        const lr = hyperOf(racer, "lr");
        return lr === undefined ? null : Float64Array.from(race.factors, (factor) => lr * factor);
      });
      const rates = values.filter((y) => y).map((y) => y.reduce((a, b) => Math.max(a, b), 0));
      const [low, high] = [Math.min(...rates), Math.max(...rates)];
      // Rates far apart need a logarithm; where a schedule ends at zero, it would stretch without end.
      const log = low > 0 && high > 20 * low;
      return { values, term: "lr", log, range: log ? [low / 100, high * 1.5] : [0, high * 1.08 || 1] };
    },
  },
  length: {
    title: "Length of the step",
    measure: (race) => ({ values: lengths(race, "update"), term: "|Δθ|", log: true, most: diagonal(race) }),
  },
  factor: {
    title: "Bias factor",
    marked: true, // the present step, with its value
    measure(race) {
      if (!race.racers.some(({ bias }) => bias)) return "No racer here has a bias factor. Add Adam to see one.";
      const values = race.racers.map(({ bias }) => {
        if (!bias) return null;
        const y = new Float64Array(race.steps);
        for (let k = 0; k < y.length; k++) y[k] = biasFactor(k + 1, bias); // update t leaves step t − 1
        return y;
      });
      const peak = values.reduce((most, y) => (y ? y.reduce((a, b) => Math.max(a, b), most) : most), 1);
      const ticks = [{ value: 1, label: "1" }];
      if (peak > 1.2) ticks.push({ value: peak, label: formatNumber(peak, 3) });
      return { values, term: "(1−β₁ᵗ)/√(1−β₂ᵗ)", log: false, range: [0, peak * 1.08], ticks };
    },
  },
};
const AUTO = "auto"; // what suits the chosen racer
const OFFERS = { ...Object.fromEntries(Object.entries(KINDS).map(([kind, { title }]) => [kind, title])), [AUTO]: "Bias factor or step, by racer" };
const FILL = ["loss", "length", "gradient", "distance"]; // what further places show, as far as no other does

/** Lowest and highest of the values, and of those an axis can show. */
function extent(y, log) {
  let [low, high, bottom, top] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < y.length; i++) {
    const z = y[i];
    if (z < bottom) bottom = z;
    if (z > top) top = z;
    if ((log && !(z > 0)) || z === Infinity || z === -Infinity) continue;
    if (z < low) low = z;
    if (z > high) high = z;
  }
  return { low, high, bottom, top };
}

/**
 * The axis and who leaves it, in words: {range, beyond}. It spans the values, but not more than from `least` to `most`:
 * one who flies away doesn't flatten the rest.
 */
export function axisOf(lines, { log, least, most = Infinity }) {
  const ends = lines.map(({ y }) => extent(y, log));
  let low = Math.min(...ends.map((end) => end.low));
  let high = Math.max(...ends.map((end) => end.high));
  if (!(low < high)) return { range: null, beyond: "" };
  high = Math.min(high, Math.max(low, most));
  low = Math.min(Math.max(low, least ?? (log ? 1e-30 : -Infinity)), high);
  if (log) {
    const pad = Math.max(high / low, 1.1) ** 0.04;
    [low, high] = [low / pad, high * pad];
  } else {
    const pad = (high - low || Math.abs(high) || 1) * 0.05;
    [low, high] = [low - pad, high + pad];
  }
  const number = (f) => (Number.isFinite(f) ? formatNumber(f, 2) : `${f < 0 ? "−" : ""}3×10³⁸ and more`); // of float32
  const names = (which) => [...new Set(lines.filter((_, k) => which(ends[k])).map(({ label }) => label))].join(", ");
  const above = names((end) => end.top > high);
  const below = names((end) => least !== undefined && end.bottom < Math.min(low, least));
  const parts = [];
  if (above) parts.push(`${above}, up to ${number(Math.max(...ends.map((end) => end.top)))}`);
  if (below) parts.push(`${below}, down to ${number(Math.min(...ends.map((end) => end.bottom)))}`);
  return { range: [low, high], beyond: parts.length ? `beyond the axis: ${parts.join("; ")}` : "" };
}

/** seekTo(step) goes to a step of the chosen racer; setLook({charts}) keeps what is shown; onSettle() after a drag. */
export function createCharts({ seekTo, setLook, onSettle }) {
  const node = element("div.charts", { "data-part": "charts" });
  const figures = [];
  let race = null;
  let chosen = 0;
  let theme = null;
  let look = null;
  let at = [0];
  let x = new Float64Array(0); // 0, 1, 2, …
  let measured = new Map(); // kind -> what it measures in this race
  let read = null; // {figure, step} under the hand
  let dragged = null; // the figure a hand drags in
  const sizes = new WeakMap(); // of this column and of each chart, as the browser last laid them out
  let room = 0; // px, this column's height

  const measure = (kind) => {
    if (!measured.has(kind)) measured.set(kind, KINDS[kind].measure(race));
    return measured.get(kind);
  };

  /** What stands in each place, `auto` not yet decided. */
  function wanted(count) {
    const kinds = look.charts.filter((kind) => kind in OFFERS).slice(0, count);
    const decided = new Set(kinds.map(decide));
    for (const kind of [...FILL, ...Object.keys(KINDS)]) {
      if (kinds.length < count && !decided.has(kind) && typeof measure(kind) !== "string") kinds.push(kind);
    }
    return kinds;
  }

  const decide = (kind) => (kind === AUTO ? (race.racers[chosen].bias ? "factor" : "length") : kind);

  function fit() {
    let count = Math.max(1, figures.length);
    while (count > 1 && room / count < TIGHT[count]) count -= 1;
    while (count < MOST && room / (count + 1) >= ROOMY[count + 1]) count += 1;
    while (figures.length < count) {
      const figure = createFigure(figures.length);
      figures.push(figure);
      node.append(figure.node);
      observer.observe(figure.box);
    }
    while (figures.length > count) {
      const figure = figures.pop();
      observer.unobserve(figure.box);
      figure.node.remove();
    }
  }

  function drawAll() {
    const kinds = wanted(figures.length);
    figures.forEach((figure, place) => figure.draw(kinds[place], place === figures.length - 1));
    showReading();
  }

  function showReading() {
    for (const figure of figures) figure.read(read?.step ?? null, figure === read?.figure);
  }

  function readAt(figure, step) {
    read = figure ? { figure, step: Math.max(0, Math.min(race.steps, Math.round(step))) } : null;
    showReading();
  }

  /** One place for a chart: a heading that chooses, the canvas, what moves over it. */
  function createFigure(place) {
    const words = element("span");
    const term = element("span.term");
    const choice = element("select", { "aria-label": `What chart ${place + 1} shows` },
      ...Object.entries(OFFERS).map(([kind, title]) => element("option", { value: kind }, title)));
    const heading = element("h3.which", {}, words, term, element("span.caret"), choice);
    const aside = element("span.beyond");
    const canvas = element("canvas");
    const line = element("div.cursor");
    const dot = element("span.dot");
    const value = element("span.value");
    const mark = element("div.now", { hidden: true }, dot, value);
    const empty = element("p.hint", { hidden: true });
    const reading = createReading();
    const box = element("div.chart", { role: "slider", tabindex: 0, "aria-valuemin": 0 }, canvas, line, mark, reading.node, empty);
    let kind = "";
    let measures = null;
    let scale = null;
    let marked = -1;
    let dress = ""; // the dot's
    let lines = []; // {index, racer, y}

    choice.addEventListener("change", () => {
      const charts = wanted(Math.max(figures.length, look.charts.length));
      charts[place] = choice.value;
      setLook({ charts });
    });

    const stepOf = (event) => scale.toX(event.clientX - canvas.getBoundingClientRect().left);
    const figure = {
      box,
      node: element("div.figure", {}, element("div.title", {}, heading, aside), box),
      draw(offered, last) {
        const size = sizes.get(box);
        if (!size?.width) return; // not laid out yet
        kind = decide(offered);
        measures = measure(kind);
        put(choice, offered);
        const nothing = typeof measures === "string";
        write(words, KINDS[kind].title);
        write(term, nothing ? "" : measures.term);
        hide(empty, !nothing);
        hide(line, nothing);
        const racers = nothing ? [] : race.racers.map((racer, index) => ({ index, racer, label: racer.label, y: measures.values[index] }))
          .filter(({ index, y }) => y && !look.off.includes(index));
        lines = [...racers.filter(({ index }) => index !== chosen), ...racers.filter(({ index }) => index === chosen)];
        if (nothing) write(empty, measures);
        reading.name(lines, theme);
        const series = lines.map(({ index, racer, y }) => ({
          x, y, color: colorOf(racer, theme), dash: racer.dash, width: index === chosen ? 2.2 : 1.6,
          alpha: measures.second && index !== chosen ? 0.4 : 1,
        }));
        const own = measures.second && lines.find(({ index }) => index === chosen);
        if (own) series.push({ ...series[series.length - 1], y: measures.second[chosen], width: 1 });
        const axis = nothing ? { range: [0, 1], beyond: "" } : measures.range ? { range: measures.range, beyond: "" }
          : axisOf(own ? [...lines, { ...own, y: measures.second[chosen] }] : lines, measures);
        write(aside, axis.beyond);
        aside.title = axis.beyond; // where it does not fit
        scale = drawLines(canvas, {
          size, series, xRange: [0, race.steps], yLog: !nothing && measures.log, yRange: axis.range, yTicks: nothing ? [] : measures.ticks, xTicks: nothing || !last ? [] : undefined,
          bottom: last ? undefined : FOOT,
          gridColor: theme.line, textColor: theme.mute, font: `${theme.size * 0.84}px ${theme.family}`,
        });
        line.style.top = `${scale.area.top}px`;
        line.style.height = `${scale.area.bottom - scale.area.top}px`;
        say(box, "aria-valuemax", race.steps);
        marked = -1;
        figure.cursor();
        tell();
      },
      cursor() {
        if (!scale) return;
        line.style.transform = `translateX(${scale.x(at[chosen])}px)`;
        const step = Math.min(race.steps - 1, Math.floor(at[chosen] + 1e-6));
        if (step === marked) return;
        marked = step;
        const own = KINDS[kind].marked && lines.find(({ index }) => index === chosen);
        hide(mark, !own);
        if (!own) return;
        const color = colorOf(own.racer, theme);
        const dressed = `border-color:${color};background:${own.racer.hollow ? theme.paper : color}`;
        if (dressed !== dress) dot.style.cssText = dress = dressed;
        mark.style.transform = `translate(${scale.x(step)}px,${scale.y(own.y[step])}px)`;
        mark.classList.toggle("left", scale.x(step) > scale.area.right - 60);
        mark.classList.toggle("low", scale.y(own.y[step]) < scale.area.top + 16); // else the value stands in the heading
        write(value, `${formatNumber(own.y[step], 3)}×`);
      },
      /** The line at a step, in the chart under the hand with everybody's value; null takes it away. */
      read(step, here) {
        if (step === null || !scale || !lines.length) return reading.hide();
        reading.at(scale.x(step), scale, measures.second ? `step ${step}: x and y` : `step ${step}`, here ? valuesAt(step) : null);
        if (here) tell();
        return undefined;
      },
    };

    const valuesAt = (step) => lines.map(({ index, racer, y }) => {
      const gone = step > lastStep(race, racer);
      const pick = (values) => (step < values.length ? values[step] : NaN);
      const height = gone ? NaN : pick(y);
      const second = measures.second ? `  ${formatNumber(pick(measures.second[index]), 3)}` : "";
      const least = measures.term === "f − f*" && height === measures.least ? "≤ " : "";
      return { index, label: racer.label, height, text: gone ? "diverged" : least + formatNumber(height, second ? 3 : 4) + second };
    });

    /** The reading in words, for those who hear the page. */
    function tell() {
      const step = read?.figure === figure ? read.step : Math.floor(at[chosen] + 1e-6);
      const heard = valuesAt(step).map(({ label, text }) => `${label} ${text}`).join(", ");
      say(box, "aria-label", KINDS[kind].title);
      say(box, "aria-valuenow", step);
      say(box, "aria-valuetext", heard ? `step ${step}: ${heard}` : empty.textContent);
    }

    box.addEventListener("pointerdown", (event) => {
      if (event.button || !scale) return;
      canvas.setPointerCapture(event.pointerId);
      dragged = figure;
      seekTo(stepOf(event));
    });
    box.addEventListener("pointermove", (event) => {
      if (!scale) return;
      readAt(figure, stepOf(event));
      if (dragged === figure) seekTo(stepOf(event));
    });
    for (const end of ["pointerup", "pointercancel"]) {
      box.addEventListener(end, () => {
        if (dragged) onSettle();
        dragged = null;
      });
    }
    box.addEventListener("pointerleave", () => dragged !== figure && readAt(null));
    box.addEventListener("focus", () => box.matches(":focus-visible") && readAt(figure, at[chosen]));
    box.addEventListener("blur", () => readAt(null));
    box.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const step = read?.figure === figure ? read.step : Math.floor(at[chosen] + 1e-6);
      const far = Math.max(1, Math.round(race.steps / 10));
      const stride = event.shiftKey ? Math.min(10, far) : 1;
      const to = {
        ArrowRight: step + stride, ArrowUp: step + stride, ArrowLeft: step - stride, ArrowDown: step - stride,
        PageUp: step + far, PageDown: step - far, Home: 0, End: race.steps,
      }[event.key];
      if (to !== undefined) readAt(figure, to);
      else if (event.key === "Enter") {
        seekTo(step);
        onSettle();
      } else if (event.key === "Escape" && read) readAt(null);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    return figure;
  }

  // A longer sentence above, and the charts have less room: at any step. Asked for at every race it would cost a layout each.
  const observer = new ResizeObserver((changes) => {
    for (const { target } of changes) sizes.set(target, { width: target.clientWidth, height: target.clientHeight });
    room = sizes.get(node)?.height ?? 0;
    if (!race) return;
    fit();
    drawAll();
  });
  observer.observe(node);

  return {
    node,
    update({ race: newRace, chosen: newChosen, theme: newTheme, look: newLook }) {
      if (newRace !== race) measured = new Map();
      [race, chosen, theme, look] = [newRace, newChosen, newTheme, newLook];
      if (x.length !== steps(race)) x = Float64Array.from({ length: steps(race) }, (_, k) => k);
      if (read && read.step > race.steps) read = null;
      if (!figures.length) fit();
      drawAll();
    },
    draw(newAt) {
      at = newAt;
      for (const figure of figures) figure.cursor();
    },
    stop: () => observer.disconnect(),
  };
}
