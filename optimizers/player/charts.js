// The charts beside the stage, which share its time.

import { drawLines, formatNumber } from "./chart.js";
import { element, write } from "./dom.js";
import { biasFactor, colorOf } from "./race.js";

/** seekTo(step) goes to a step of the chosen racer; onSettle tells that a hand has let go. */
export function createCharts({ seekTo, onSettle }) {
  const loss = createChart("Loss", seekTo, onSettle);
  const second = createChart("", seekTo, onSettle);
  const node = element("div.charts", { "data-part": "charts" }, loss.node, second.node);
  let race = null;
  let chosen = 0;
  let theme = null;

  function drawCharts() {
    const ink = (racer, index) => ({ color: colorOf(racer, theme), dash: racer.dash, width: index === chosen ? 2.2 : 1.6 });
    const steps = Float64Array.from({ length: race.steps + 1 }, (_, k) => k);
    const range = [0, race.steps];
    const order = [...race.racers.keys()].filter((index) => index !== chosen).concat(chosen);
    const bottom = race.surface.lowest !== null && race.surface.lowest >= 0; // else a logarithm shows nothing
    const axis = lossAxis(race, bottom);
    loss.note(axis.beyond);
    loss.draw(theme, {
      series: order.map((index) => ({ x: steps, y: race.racers[index].loss, ...ink(race.racers[index], index) })),
      xRange: range, yLog: bottom, yRange: axis.range,
    });
    const racer = race.racers[chosen];
    if (racer.bias) {
      const t = steps.subarray(1);
      const factor = Float64Array.from(t, (step) => biasFactor(step, racer.bias));
      const peak = factor.reduce((a, b) => Math.max(a, b), 1);
      const ticks = [{ value: 1, label: "1" }];
      if (peak > 1.2) ticks.push({ value: peak, label: formatNumber(peak, 3) });
      second.title("Bias factor ", "(1−β₁ᵗ)/√(1−β₂ᵗ)");
      second.note("");
      second.draw(theme, {
        series: [{ x: t.map((step) => step - 1), y: factor, color: colorOf(racer, theme), dash: [0.1, 5], width: 2.2 }],
        xRange: range, yRange: [Math.min(0, ...[factor[0] - 0.2]), peak * 1.08], yTicks: ticks,
      });
    } else {
      const sizes = race.racers.map((other) =>
        Float64Array.from(steps, (k) => Math.hypot(other.value("update", k, 0), other.value("update", k, 1))));
      const across = stepAxis(race, sizes);
      second.title("Length of the step ", "|Δθ|");
      second.note(across.beyond);
      second.draw(theme, {
        series: order.map((index) => ({ x: steps, y: sizes[index], ...ink(race.racers[index], index) })),
        xRange: range, yLog: true, yRange: across.range,
      });
    }
  }

  // A longer sentence, and the charts have less room: at any step.
  const observer = new ResizeObserver(() => race && drawCharts());
  observer.observe(loss.node);
  observer.observe(second.node);

  return {
    node,
    update(context) {
      ({ race, chosen, theme } = context);
      drawCharts();
    },
    draw(at) {
      loss.cursor(at[chosen]);
      second.cursor(at[chosen]);
    },
    stop: () => observer.disconnect(),
  };
}

/**
 * The loss axis, and who leaves it, in words: {range, beyond}. It spans the losses, but not more than 1,000 times the
 * start's and not less than 10⁻¹²: one who flies away doesn't flatten the rest.
 */
function lossAxis(race, bottom) {
  const ends = race.racers.map(({ loss }) => {
    const seen = loss.filter((f) => !Number.isNaN(f));
    return { low: seen.reduce((a, b) => Math.min(a, b)), high: seen.reduce((a, b) => Math.max(a, b)) };
  });
  const usable = race.racers.flatMap(({ loss }) => [...loss.filter((f) => Number.isFinite(f) && (!bottom || f > 0))]);
  let low = usable.reduce((a, b) => Math.min(a, b), Infinity);
  let high = usable.reduce((a, b) => Math.max(a, b), -Infinity);
  if (!(low < high)) return { range: null, beyond: "" };
  const start = Math.abs(race.racers[0].loss[0]) || 1;
  if (bottom) {
    const most = Math.min(high, Math.max(low, 1e3 * start));
    low = Math.min(Math.max(low, 1e-12), most);
    high = most;
    const pad = Math.max(high / low, 1.1) ** 0.04;
    [low, high] = [low / pad, high * pad];
  } else [low, high] = [Math.max(low, -20 * start), Math.min(high, 20 * start)];
  const above = race.racers.filter((_, k) => ends[k].high > high);
  const below = race.racers.filter((_, k) => ends[k].low < low);
  const names = (racers) => racers.map(({ label }) => label).join(", ");
  const number = (f) => (Number.isFinite(f) ? formatNumber(f, 2) : `${f < 0 ? "−" : ""}3×10³⁸ and more`); // of float32
  const parts = [];
  if (above.length) parts.push(`${names(above)}, up to ${number(Math.max(...ends.map((end) => end.high)))}`);
  if (below.length) parts.push(`${names(below)}, down to ${number(Math.min(...ends.map((end) => end.low)))}`);
  return { range: [low, high], beyond: parts.length ? `beyond the axis: ${parts.join("; ")}` : "" };
}

/** The axis of the steps' lengths, and who leaves it, in words: {range, beyond}. It ends at the map's diagonal. */
function stepAxis(race, sizes) {
  const [x0, x1, y0, y1] = race.surface.bounds;
  const high = Math.hypot(x1 - x0, y1 - y0);
  const most = sizes.map((size) => size.reduce((a, b) => (b > a ? b : a), 0));
  const over = race.racers.filter((_, k) => most[k] > high);
  const low = sizes.flatMap((size) => [...size]).reduce((a, b) => (b > 0 && b < a ? b : a), Infinity);
  if (!over.length || !(low < high)) return { range: null, beyond: "" };
  const top = Math.max(...most);
  const upTo = Number.isFinite(top) ? formatNumber(top, 2) : "3×10³⁸ and more"; // of float32
  return { range: [low / 1.5, high], beyond: `beyond the axis: ${over.map(({ label }) => label).join(", ")}, up to ${upTo}` };
}

/** A chart with a cursor: click or drag in it to go to a step. */
function createChart(name, seekTo, onSettle) {
  const heading = element("h3", {}, name);
  const aside = element("span.beyond");
  const canvas = element("canvas");
  const line = element("div.cursor");
  const box = element("div.chart", { "aria-hidden": "true" }, canvas, line);
  let scale = null;
  let held = false;
  let step = 0;
  const seek = (event) => {
    if (scale) seekTo(scale.toX(event.clientX - canvas.getBoundingClientRect().left));
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held = true;
    seek(event);
  });
  canvas.addEventListener("pointermove", (event) => held && seek(event));
  canvas.addEventListener("pointerup", () => {
    held = false;
    onSettle();
  });
  return {
    node: element("div.figure", {}, element("div.title", {}, heading, aside), box),
    title: (words, formula) => heading.replaceChildren(words, element("span.term", {}, formula)),
    note(words) {
      write(aside, words);
      aside.title = words; // where it does not fit
    },
    draw(theme, options) {
      if (!canvas.clientWidth) return; // not laid out yet
      scale = drawLines(canvas, {
        ...options, gridColor: theme.line, textColor: theme.mute, font: `${theme.size * 0.84}px ${theme.family}`,
      });
      line.style.top = `${scale.area.top}px`;
      line.style.height = `${scale.area.bottom - scale.area.top}px`;
      this.cursor(step);
    },
    cursor(at) {
      step = at;
      if (scale) line.style.transform = `translateX(${scale.x(step)}px)`;
    },
  };
}
