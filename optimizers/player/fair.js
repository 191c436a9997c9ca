// Fair or not, said aloud: what each racer was given, what it comes to, and three ways to make it even.

import { drawLines, formatNumber, logTicks } from "./chart.js";
import { axisOf, lossScale } from "./charts.js";
import { bound, element, swatch, write } from "./dom.js";
import { createReading } from "./reading.js";
import { batchOf, colorOf, formatSetting, hyperOf, isRandom, lastStep } from "./race.js";

const SAME = 0.01; // two first steps that differ by less are the same to an eye
const DIGITS = 3; // of a learning rate set here: what a slider shows

const round = (z) => Number(z.toPrecision(DIGITS));
const near = (a, b, tolerance) => Math.abs(a - b) <= tolerance * Math.max(Math.abs(a), Math.abs(b));
const same = (values, tolerance) => values.every((value) => near(value, values[0], tolerance));
const brief = (z) => formatSetting(Number(z.toPrecision(3)));

/** |Δθ₀| of a racer. */
const firstStep = (racer) => Math.hypot(racer.value("update", 0, 0), racer.value("update", 0, 1));

/** Length of each racer's path up to every step; where it has diverged, up to there. */
function pathLengths(race) {
  return race.racers.map((racer) => {
    const lengths = new Float64Array(race.steps + 1);
    for (let k = 1; k <= race.steps; k++) {
      const length = Math.hypot(racer.value("update", k - 1, 0), racer.value("update", k - 1, 1));
      lengths[k] = lengths[k - 1] + (Number.isFinite(length) && k <= lastStep(race, racer) ? length : 0);
    }
    return lengths;
  });
}

/** At how many steps the gradient stood at the clipping's limit. */
function clippedSteps(racer, steps, { clip_norm: norm, clip_value: size }) {
  let count = 0;
  for (let k = 0; k < steps; k++) {
    const [x, y] = [racer.value("g", k, 0), racer.value("g", k, 1)];
    const reach = Math.max(norm === null ? 0 : Math.hypot(x, y) / norm, size === null ? 0 : Math.max(Math.abs(x), Math.abs(y)) / size);
    if (reach > 1 - 1e-5) count += 1;
  }
  return count;
}

/** What holds for all, in one sentence. */
export function conditionsTold(race) {
  const { schedule, clip_norm: norm, clip_value: size, noise, seed, cyclic } = race.conditions;
  const rows = batchOf(race.conditions);
  const clips = [norm === null ? "" : `gradients clipped to length ${formatSetting(norm)}`,
    size === null ? "" : `${norm === null ? "each entry of a gradient clipped" : "each of their entries"} to ±${formatSetting(size)}`].filter(Boolean).join(", ");
  const noisy = [noise > 0 ? `noise of ${formatSetting(noise)} on the gradient` : "", rows === null ? "" : `batches of ${rows}${cyclic ? " in turn" : ""}`]
    .filter(Boolean).join(" and ");
  return `All: ${schedule ? `lr follows ${schedule}` : "lr constant"}, ${clips || "no clipping"}, ` +
    `${noisy || "no noise"}${isRandom(race) ? `, the same draws for all (seed ${seed})` : ""}; ` +
    `one gradient a step, so ${race.steps} each${race.racers.some(({ diverged }) => diverged !== null) ? " (fewer for who diverges)" : ""}.`;
}

/** "0.0008 (momentum) to 0.1 (Adam), 125×". */
function span(racers, values) {
  const ends = values.map((value, k) => ({ value, label: racers[k].label }));
  const low = ends.reduce((a, b) => (b.value < a.value ? b : a));
  const high = ends.reduce((a, b) => (b.value > a.value ? b : a));
  const ratio = low.value > 0 ? `, ${brief(high.value / low.value)}×` : "";
  return `${brief(low.value)} (${low.label}) to ${brief(high.value)} (${high.label})${ratio}`;
}

/** How many times lr·g a racer's step becomes while the gradient stays the same; 1 unless it adds gradients up. */
function gathering(racer) {
  const mu = hyperOf(racer, "momentum") ?? 0;
  const adds = ["m", "look_ahead"].includes(racer.direction) && hyperOf(racer, "convention") !== "ema";
  const kept = 1 - (hyperOf(racer, "dampening") ?? 0);
  return !adds || mu >= 1 ? 1 : racer.direction === "m" ? kept / (1 - mu) : 1 + (mu * kept) / (1 - mu);
}

/**
 * Is it a fair race? In plain words, by learning rate, by first step, by what each does best at (bests: its best lr, or
 * null, where a sweep has told), and by what momentum makes of them.
 */
export function verdict(racers, bests = []) {
  if (racers.length < 2) return "One racer is no race: add another to compare it with.";
  const rated = racers.filter((racer) => hyperOf(racer, "lr") !== undefined);
  const rates = rated.map((racer) => hyperOf(racer, "lr"));
  const moving = racers.filter((racer) => Number.isFinite(firstStep(racer)));
  const firsts = moving.map(firstStep);
  const byRate = same(rates, 1e-6);
  const byStep = same(firsts, SAME);
  const parts = [];
  if (byRate && byStep) parts.push(`Fair by learning rate (${formatSetting(rates[0])}) and by first step (${formatNumber(firsts[0], 3)}).`);
  else if (byRate) parts.push(`Fair by learning rate (all ${formatSetting(rates[0])}), not by first step: ${span(moving, firsts)}.`);
  else if (byStep) parts.push(`Fair by first step (all ${formatNumber(firsts[0], 3)}), not by learning rate: ${span(rated, rates)}.`);
  else parts.push(`Not fair by learning rate: ${span(rated, rates)}. Nor by first step: ${span(moving, firsts)}.`);
  const tuned = bests.length > 0 && racers.every((racer, k) => bests[k] !== null && near(hyperOf(racer, "lr") ?? NaN, bests[k], SAME));
  if (tuned) parts.push("Each has its best lr, as the sweep below found it.");
  const gatherer = racers.find((racer) => gathering(racer) > 1.5);
  if (gatherer) {
    const rooted = gatherer.rows.some(({ root }) => root);
    const plain = !rooted && rated.find((racer) => racer.direction === "g" && racer.effective_label === "lr" && near(hyperOf(racer, "lr"), hyperOf(gatherer, "lr"), 1e-6));
    const factor = `${brief(gathering(gatherer))} times`;
    parts.push(plain
      ? `On a steady slope ${gatherer.label}'s step grows to ${factor} ${plain.label}'s, at the same lr.`
      : `On a steady slope ${gatherer.label}'s step grows to ${factor} ${rooted ? "what it is without momentum" : "lr·g"}.`);
  }
  return parts.join(" ");
}

/** The three ways to make it even: each racer's new lr, null where it keeps its own. */
const EVEN = {
  lr: (race, chosen) => race.racers.map((racer) => (hyperOf(racer, "lr") === undefined ? null : hyperOf(race.racers[chosen], "lr"))),
  step(race, chosen) {
    const target = firstStep(race.racers[chosen]);
    return race.racers.map((racer, k) => {
      const lr = hyperOf(racer, "lr");
      const wanted = (lr * target) / firstStep(racer); // the first step is in proportion to lr
      return k === chosen || !(wanted > 0) || !Number.isFinite(wanted) ? null : round(wanted);
    });
  },
  best: (race, chosen, tuned) => tuned.racers.map(({ lr, best }) => (best === null ? null : round(lr[best]))),
};

/** What was done, once the race it asked for is here. */
function told({ kind, whom, target, tried, edge }, race, wanted) {
  const kept = race.racers.filter((racer, k) => wanted[k] === null && racer.label !== whom).map(({ label }) => label);
  const besides = (why) => (kept.length ? ` ${kept.join(", ")} ${why}.` : "");
  if (kind === "lr") return `All take ${whom}'s learning rate now.${besides("has none to set")}`;
  if (kind === "best") {
    const open = race.racers.filter((_, k) => edge[k]).map(({ label }) => label);
    return `Each takes the lr that ended lowest of the ${tried} tried.${besides("diverged at every one, and keeps its own")}` +
      (open.length ? ` ${open.join(", ")}: at the end of what was tried, so a better one may lie beyond.` : "");
  }
  const off = race.racers.map((racer, k) => ({ label: racer.label, by: wanted[k] === null ? 0 : Math.abs(firstStep(racer) / target - 1) }));
  const worst = off.reduce((a, b) => (b.by > a.by ? b : a));
  if (!(worst.by <= SAME)) return `Set for first steps of ${formatNumber(target, 3)}, but ${worst.label}'s is not in proportion to its lr.`;
  return `First steps are ${whom}'s now, ${formatNumber(target, 4)}: measured, to within ${formatNumber(Math.max(100 * worst.by, 0.001), 1)} %.` +
    besides("does not move at its first step, and keeps its lr");
}

/** change(edit, final) alters the question; null where a page cannot compute: then it only says how fair it was. */
export function createFair({ change }) {
  const sentence = element("p.sentence");
  const table = element("table.fairness");
  const common = element("p.hint");
  const press = (kind, words, title) => element("button.press", { type: "button", title, onclick: () => make(kind) }, words);
  const buttons = {
    lr: press("lr", "same lr", ""),
    step: press("step", "same first step", ""),
    best: press("best", "best lr of each", "From the sweep below"),
  };
  const actions = element("div.actions", { role: "group", "aria-label": "Make it even", "data-part": "hyper" }, ...Object.values(buttons));
  const done = element("p.done", { role: "status" });
  const sweep = createTuned();
  const node = element("div.fair", {}, sentence, table, common, ...(change ? [actions, done, sweep.node] : []));

  let race = null;
  let chosen = 0;
  let tuned = null;
  let paths = [];
  let cells = []; // {index, gradients, path}
  let pressed = null; // {kind, wanted, whom, target, tried, edge, said}
  let drawn = "";

  function make(kind) {
    const wanted = EVEN[kind](race, chosen, tuned);
    const { label } = race.racers[chosen];
    const swept = kind === "best" ? tuned.racers : [];
    pressed = {
      kind, wanted, whom: kind === "best" ? "" : label, target: firstStep(race.racers[chosen]),
      tried: Math.max(...swept.map(({ lr }) => lr.length)), edge: swept.map((one) => one.edge), said: false,
    };
    change((question) => question.racers.forEach((racer, k) => {
      const lr = racer.hyper.find(({ name }) => name === "lr");
      if (lr && wanted[k] !== null && wanted[k] !== undefined) lr.value = wanted[k];
    }), true);
  }

  /** Says what the button did when its race is here, and takes it back when another is. */
  function report() {
    if (!pressed) return write(done, "");
    const here = race.racers.length === pressed.wanted.length &&
      race.racers.every((racer, k) => pressed.wanted[k] === null || near(hyperOf(racer, "lr"), pressed.wanted[k], 1e-9));
    if (here) write(done, bound(told(pressed, race, pressed.wanted)));
    else if (pressed.said) {
      pressed = null;
      write(done, "");
    }
    if (pressed) pressed.said = here;
    return undefined;
  }

  function build(shown, theme) {
    const clips = race.conditions.clip_norm !== null || race.conditions.clip_value !== null;
    const heads = [["lr", "learning rate"], ["|Δθ₀|", "length of the first step"], ["grads", "gradients used so far, of all it takes"],
      ...(clips ? [["clipped", "steps whose gradient stood at the limit"]] : []), ["path", "length of the path so far"]];
    cells = [];
    table.replaceChildren(
      element("thead", {}, element("tr", {}, element("td"), ...heads.map(([word, title]) => element("th", { scope: "col", title }, word)))),
      element("tbody", {}, ...shown.map((index) => {
        const racer = race.racers[index];
        const gradients = element("td");
        const path = element("td");
        const lr = hyperOf(racer, "lr");
        cells.push({ index, gradients, path, total: Math.min(race.steps, racer.diverged ?? race.steps) });
        return element(index === chosen ? "tr.chosen" : "tr", {},
          element("th", { scope: "row", title: racer.label }, swatch(racer, colorOf(racer, theme), 28), element("span", {}, racer.label)),
          element("td", {}, lr === undefined ? "—" : formatSetting(round(lr))), element("td", {}, formatNumber(firstStep(racer), 3)),
          gradients, ...(clips ? [element("td", {}, String(clippedSteps(racer, race.steps, race.conditions)))] : []), path);
      })));
    drawn = "";
  }

  function draw(at) {
    const key = cells.map(({ index }) => Math.floor(at[index] + 1e-6)).join();
    if (key === drawn) return;
    drawn = key;
    for (const { index, gradients, path, total } of cells) {
      const step = Math.floor(at[index] + 1e-6);
      write(gradients, `${Math.min(step, total)}/${total}`);
      write(path, formatNumber(paths[index][step], 3));
    }
  }

  return {
    node,
    update({ race: newRace, chosen: newChosen, theme, look, work }) {
      if (newRace !== race) paths = pathLengths(newRace);
      [race, chosen] = [newRace, newChosen];
      const shown = [...race.racers.keys()].filter((index) => !look.off.includes(index));
      write(common, bound(conditionsTold(race)));
      build(shown, theme);
      const head = work?.tuned ?? null;
      // An older sweep may be of other racers.
      const fits = head?.racers?.length === race.racers.length && head.racers.every((one, k) => one.racer.split("(")[0] === race.racers[k].name);
      tuned = fits ? head : null;
      const bests = tuned ? EVEN.best(race, chosen, tuned) : [];
      write(sentence, bound(verdict(shown.map((index) => race.racers[index]), tuned ? shown.map((index) => bests[index]) : [])));
      if (!change) return;
      const { label } = race.racers[chosen];
      buttons.lr.title = `All take ${label}'s`;
      buttons.lr.disabled = race.racers.length < 2 || hyperOf(race.racers[chosen], "lr") === undefined;
      buttons.step.title = `Every lr scaled so that the first step is as long as ${label}'s`;
      buttons.step.disabled = race.racers.length < 2 || !(firstStep(race.racers[chosen]) > 0);
      buttons.best.disabled = tuned === null || head.pending === true;
      sweep.update({ race, chosen, theme, shown, tuned, head });
      report();
    },
    draw,
    stop: sweep.stop,
  };
}

/** The sweep behind "best lr of each": where every racer ends, by its lr. */
function createTuned() {
  const heading = element("h3", {}, "Final loss ", element("span.term"));
  const aside = element("span.beyond");
  const canvas = element("canvas");
  const reading = createReading();
  const waiting = element("p.hint");
  const box = element("div.chart", { role: "slider", tabindex: 0, "aria-label": "Final loss by learning rate", "aria-valuemin": 0, "aria-valuemax": 100 },
    canvas, reading.node, waiting);
  const node = element("div.figure.tuned", {}, element("div.title", {}, heading, aside), box);
  let given = null;
  let scale = null;
  let lines = []; // {index, racer, label, x: log10 lr, y}
  let stops = []; // every log10 lr tried, in order
  let range = [0, 1];
  let place = null; // log10 lr under the hand

  function draw() {
    if (!given || !box.clientWidth) return;
    const { race, chosen, theme, shown, tuned, head } = given;
    const running = head?.pending && head.of ? `: ${head.done} of ${head.of}` : "";
    write(waiting, tuned ? "" : head?.problem || `The learning rates are being tried${running}.`);
    write(aside, tuned && head.pending ? `anew${running}` : "");
    canvas.hidden = tuned === null;
    if (!tuned) return reading.hide();
    const { log, of, term, least, most } = lossScale(race);
    write(heading.lastChild, `${term} by lr · dot best, stroke now`);
    const order = [...shown.filter((index) => index !== chosen), ...shown.filter((index) => index === chosen)];
    lines = order.map((index) => {
      const { lr, loss } = tuned.racers[index];
      const racer = race.racers[index];
      return { index, racer, label: racer.label, x: lr.map(Math.log10), y: loss.map((f) => (f === null ? NaN : of(f))) };
    });
    stops = [...new Set(lines.flatMap(({ x }) => x))].sort((a, b) => a - b);
    range = [stops[0], stops[stops.length - 1]];
    const ink = ({ index, racer, x, y }) => ({ x, y, color: colorOf(racer, theme), dash: racer.dash, width: index === chosen ? 2.2 : 1.5 });
    const best = ({ index, racer, x, y }) => {
      const k = tuned.racers[index].best;
      return k === null ? [] : [{ x: [x[k]], y: [y[k]], color: colorOf(racer, theme), marker: 3.8, hollow: racer.hollow }];
    };
    const axis = axisOf(lines, { log, least, most: most / 100 }); // ten times the start's: a loss beyond it is as good as lost
    scale = drawLines(canvas, {
      series: [...lines.map(ink), ...lines.flatMap(best)], xRange: range, yLog: log, yRange: axis.range, xLabel: "lr", background: theme.paper,
      xTicks: logTicks(10 ** range[0], 10 ** range[1], 5).map(({ value, label }) => ({ value: Math.log10(value), label })),
      gridColor: theme.line, textColor: theme.mute, font: `${theme.size * 0.84}px ${theme.family}`,
    });
    // The lr it runs with now: a short stroke across its curve.
    const q = canvas.getContext("2d");
    for (const line of lines) {
      const lr = Math.log10(hyperOf(line.racer, "lr"));
      if (!(lr >= range[0] && lr <= range[1])) continue;
      const value = valueAt(line, lr);
      const y = Math.max(scale.area.top + 7, Math.min(scale.area.bottom - 7, Number.isNaN(value) ? scale.area.top : scale.y(value)));
      q.strokeStyle = colorOf(line.racer, theme);
      q.lineWidth = 2;
      q.beginPath();
      q.moveTo(scale.x(lr), y - 7);
      q.lineTo(scale.x(lr), y + 7);
      q.stroke();
    }
    reading.name(lines, theme);
    return show();
  }

  /** A curve's height at log10 lr: of the nearest one tried; NaN beyond them, and where it diverged. */
  function valueAt({ x, y }, lr) {
    let nearest = 0;
    for (let k = 1; k < x.length; k++) if (Math.abs(x[k] - lr) < Math.abs(x[nearest] - lr)) nearest = k;
    return Math.abs(x[nearest] - lr) < 0.6 * Math.abs(x[1] - x[0]) ? y[nearest] : NaN;
  }

  function show() {
    if (place === null || !scale || !given.tuned) return reading.hide();
    const words = `lr ${formatNumber(10 ** place, 2)}`;
    const values = lines.map((line) => {
      const height = valueAt(line, place);
      return { index: line.index, label: line.label, height, text: Number.isNaN(height) ? "diverged" : formatNumber(height, 3) };
    });
    reading.at(scale.x(place), scale, words, values);
    box.setAttribute("aria-valuenow", Math.round((100 * (place - range[0])) / (range[1] - range[0])));
    box.setAttribute("aria-valuetext", `${words}: ${values.map(({ label, text }) => `${label} ${text}`).join(", ")}`);
    return undefined;
  }

  /** Reads at the tried lr nearest to `next`, or `by` of them farther. */
  function readAt(next, by = 0) {
    if (next !== null && !stops.length) return;
    const nearest = stops.reduce((best, x, k) => (Math.abs(x - next) < Math.abs(stops[best] - next) ? k : best), 0);
    place = next === null ? null : stops[Math.max(0, Math.min(stops.length - 1, nearest + by))];
    show();
  }

  box.addEventListener("pointermove", (event) => scale && readAt(scale.toX(event.clientX - canvas.getBoundingClientRect().left)));
  box.addEventListener("pointerleave", () => readAt(null));
  box.addEventListener("focus", () => box.matches(":focus-visible") && readAt(place ?? range[0]));
  box.addEventListener("blur", () => readAt(null));
  box.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -Infinity, End: Infinity }[event.key];
    if (by === undefined) return;
    readAt(place ?? range[0], by);
    event.preventDefault();
    event.stopPropagation();
  });
  const observer = new ResizeObserver(draw);
  observer.observe(box);

  return {
    node,
    update(next) {
      given = next;
      draw();
    },
    stop: () => observer.disconnect(),
  };
}
