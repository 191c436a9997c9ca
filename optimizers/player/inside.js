// Why it moved so: the numbers inside one step, the formula with these numbers in it, one sentence, two charts.

import { drawLines, formatNumber } from "./chart.js";
import { element, swatch, write } from "./dom.js";
import { biasFactor, colorOf, formatSetting, hyperOf, lastStep } from "./race.js";
import { explain } from "./sentence.js";

const LINGER = 900; // ms a sentence stays while the race runs, as long as it is still true

const bracket = (z) => (z < 0 ? `(${formatNumber(z)})` : formatNumber(z));

/** Δx = … for one axis of step k, with numbers; only a form that gives this step's Δ. */
function worked(racer, k, axis) {
  const update = racer.value("update", k, axis);
  const direction = racer.value(racer.direction, k, axis);
  const lr = hyperOf(racer, "lr");
  const eps = hyperOf(racer, "eps") ?? 0;
  const outside = (hyperOf(racer, "eps_placement") ?? "outside") === "outside";
  const rooted = racer.rows.filter((row) => row.root);
  const root = rooted.length && outside ? Math.sqrt(racer.value(rooted[rooted.length - 1].slot, k, axis)) : null;
  const apart = racer.rows.some(({ slot }) => slot === "decay") ? racer.value("decay", k, axis) : 0; // a step of its own
  const agrees = (z) => Math.abs(z - update) <= 1e-3 * Math.abs(update) + 1e-30;
  const name = axis ? "Δy" : "Δx";
  if (root !== null && agrees((-lr * direction) / (root + eps))) {
    return `${name} = −${formatSetting(lr)} · ${bracket(direction)} / (${formatNumber(root)} + ${formatSetting(eps)}) = `;
  }
  const effective = racer.value("effective_lr", k, axis);
  const factor = formatSetting(Number(effective.toPrecision(4)));
  const rest = apart === 0 ? "" : ` − ${bracket(apart)}`;
  return agrees(-effective * direction - apart) ? `${name} = −${factor} · ${bracket(direction)}${rest} = ` : `${name} = `;
}

export function createInside({ clock, onChoose, onSettle, charts = true }) {
  const tabs = element("div.tabs", { role: "tablist", "aria-label": "Whose step" });
  const heading = element("h3.split", {}, element("span"), element("span.term"));
  const table = element("table.numbers");
  const formula = element("div.formula", { role: "group", "aria-label": "The update with this step's numbers" });
  const sentence = element("p.sentence");
  const panel = element("div.panel", { role: "tabpanel" }, heading, table, formula, sentence);
  const loss = createChart("Loss", clock, onSettle);
  const second = createChart("", clock, onSettle);
  const figures = charts ? [loss.node, second.node] : [];
  const node = element("section.inside", { "aria-label": "Inside the step" }, tabs, panel, ...figures);

  let race = null;
  let chosen = 0;
  let theme = null;
  let cells = [];
  let lines = [];
  let family = "";
  const ruler = document.createElement("canvas").getContext("2d");
  let rows = [];
  let shown = ""; // step and racer in the table
  let said = { key: null, since: 0 };

  function build() {
    const racer = race.racers[chosen];
    tabs.replaceChildren(...race.racers.map((other, index) => {
      const tab = element("button.tab", {
        type: "button", role: "tab", "aria-selected": String(index === chosen), tabindex: index === chosen ? 0 : -1,
        onclick: () => onChoose(index),
      }, swatch(other, colorOf(other, theme), 24), element("span", {}, other.label));
      tab.addEventListener("keydown", (event) => {
        const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!move) return;
        event.preventDefault();
        event.stopPropagation();
        onChoose((index + move + race.racers.length) % race.racers.length);
        tabs.children[chosen].focus();
      });
      return tab;
    }));
    rows = [...racer.rows];
    if (!rows.some((row) => row.slot === "update")) rows.push({ slot: "update", label: "Δθ", note: "" });
    cells = [];
    table.replaceChildren(
      element("thead", {}, element("tr", {}, element("td"), ...["x", "y"].map((axis) => element("th", { scope: "col" }, axis)))),
      element("tbody", {}, ...rows.map((row) => {
        const pair = [element("td"), element("td")];
        cells.push(pair);
        return element(row.slot === "update" ? "tr.result" : "tr", {},
          element("th", { scope: "row" }, row.label, ...(row.note ? [" ", element("small", {}, row.note)] : [])), ...pair);
      })),
    );
    lines = [0, 1].map(() => {
      const sum = element("span");
      const result = element("b");
      return { node: element("div", {}, sum, result), sum, result };
    });
    formula.replaceChildren(...lines.map((line) => line.node));
    node.style.setProperty("--hue", colorOf(racer, theme));
    shown = "";
  }

  /** A line's width in ems: fonts differ too much to count its signs. */
  function ems({ sum, result }) {
    const wide = (node, weight) => {
      ruler.font = `${weight} 100px ${family}`;
      return ruler.measureText(node.textContent).width / 100;
    };
    family ||= getComputedStyle(formula).fontFamily;
    return 1.01 * (wide(sum, 400) + wide(result, 700)); // tabular figures may be a little wider
  }

  function fill() {
    const racer = race.racers[chosen];
    const key = `${clock.whole} ${chosen}`;
    if (key === shown) return;
    shown = key;
    const gone = clock.whole > lastStep(race, racer);
    const ended = !gone && clock.whole >= race.steps; // no update leaves the race's last point: the one that led there is shown
    const k = ended ? race.steps - 1 : clock.whole;
    write(heading.firstChild, ended ? "Inside the last step" : `Inside step ${k}`);
    write(heading.lastChild, gone ? "" : `t = ${k + 1}`); // the update that leaves this step
    rows.forEach((row, r) => {
      for (const axis of [0, 1]) {
        const value = gone ? NaN : racer.value(row.slot, k, axis);
        write(cells[r][axis], formatNumber(row.root ? Math.sqrt(value) : value));
      }
    });
    const still = gone || Number.isNaN(racer.value("update", k, 0));
    lines.forEach((line, axis) => {
      write(line.sum, still ? (axis ? "Δy = " : "Δx = ") : worked(racer, k, axis));
      write(line.result, still ? "—" : formatNumber(racer.value("update", k, axis)));
    });
    formula.style.setProperty("--ems", Math.max(...lines.map(ems)));
    const now = performance.now();
    const hold = clock.playing && now - said.since < LINGER ? said.key : null;
    const told = explain(race, racer, clock.whole, hold);
    if (told.key !== said.key) said = { key: told.key, since: now };
    write(sentence, told.text);
  }

  function drawCharts() {
    if (!charts) return;
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
    update(newRace, newChosen, newTheme) {
      [race, chosen, theme] = [newRace, newChosen, newTheme];
      build();
      fill(); // before the charts: they take the room the numbers leave
      drawCharts();
    },
    draw() {
      fill();
      loss.cursor();
      second.cursor();
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

/** A chart that shares the clock's cursor: click or drag in it to go to a step. */
function createChart(name, clock, onSettle) {
  const heading = element("h3", {}, name);
  const aside = element("span.beyond");
  const canvas = element("canvas");
  const line = element("div.cursor");
  const box = element("div.chart", { "aria-hidden": "true" }, canvas, line);
  let scale = null;
  let held = false;
  const seek = (event) => {
    if (scale) clock.seek(scale.toX(event.clientX - canvas.getBoundingClientRect().left));
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
      this.cursor();
    },
    cursor() {
      if (scale) line.style.transform = `translateX(${scale.x(clock.step)}px)`;
    },
  };
}
