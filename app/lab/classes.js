// What each network makes of the test pictures: how well it knows each class, what it takes for what, its first filters, its surest mistakes.

import { element, swatch, write } from "../adamscope.player/dom.js";
import { colorOf } from "../adamscope.player/race.js";
import { choice } from "./choice.js";
import { seedsOf } from "./seeds.js";
import { count } from "./words.js";

const MEASURES = ["F1", "recall", "precision"];
const SAID = {
  F1: "2·precision·recall/(precision + recall)", recall: "of the pictures of a class, how many are named so", precision: "of the pictures named so, how many are of the class",
};

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const percent = (share) => (Number.isFinite(share) ? `${(100 * share).toFixed(0)} %` : "—");

/** [height, width, channels] of unsigned bytes as a canvas of its own size. */
function picture([height, width, channels], data, from = 0) {
  const canvas = element("canvas", { width, height });
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = data[from + i * channels + (channels === 1 ? 0 : c)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Precision, recall and F1 of each class, from the confusion matrix (rows are the truth). */
export function scores(confusion) {
  const predicted = confusion.map((_, k) => confusion.reduce((sum, row) => sum + row[k], 0));
  return confusion.map((row, k) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    const recall = total ? row[k] / total : NaN;
    const precision = predicted[k] ? row[k] / predicted[k] : 0; // as scikit-learn's zero_division=0
    return { recall, precision, F1: total + predicted[k] ? (2 * row[k]) / (total + predicted[k]) : NaN };
  });
}

/** onSet(name, value) puts a choice into the address. */
export function createClasses({ onSet }) {
  let run = null;
  let theme = null;
  let looks = []; // of each racer, its looks by epoch
  let pictures = new Map(); // position in the test set -> {shape, data}
  let of = "";
  let epoch = null; // chosen, or null: the newest
  let measure = "F1";
  let built = "";
  let nth = "1"; // of the run's seeds

  const when = element("input.time", { type: "range", min: 0, step: 1, "aria-label": "After which epoch", oninput: () => {
    epoch = Number(when.value) === Number(when.max) ? null : Number(when.value);
    draw();
  } });
  const said = element("span.hint");
  const seed = element("select", { "aria-label": "With which seed", onchange: () => onSet("nth_seed", seed.value) });
  const measures = choice("Which score", MEASURES, (value) => {
    measure = value;
    draw();
  });
  const explained = element("span.hint.word");
  const dots = element("div.dots");
  const table = element("div.looks");
  const note = element("p.hint.note");
  const reading = element("p.hint.spelled", { "aria-live": "polite" });
  const node = element("div.classes-view", {}, note, element("div.title.when", {}, seed, when, said),
    element("section", {}, element("div.title", {}, element("h3", {}, "Class by class"), measures.node, explained), dots),
    element("section", {}, element("div.title", {}, element("h3", {}, "What it takes for what"), reading), table));

  function take(meta) {
    const now = `${meta.run?.id}/${meta.within.attempt}`;
    if (now !== of || meta.within.before === 0) [looks, pictures, built] = [[], new Map(), ""]; // another seed, too
    if (now !== of) [of, epoch] = [now, null];
    for (const look of meta.within.looks ?? []) {
      const own = (looks[look.racer] ??= []);
      own.push({ ...look, filters: bytes(look.filters), scores: scores(look.confusion) });
    }
    for (const one of meta.within.pictures ?? []) pictures.set(one.position, { shape: one.shape, data: bytes(one.data) });
  }

  const last = () => Math.max(0, ...looks.flat().map((look) => look.epoch));

  /** A racer's newest look at or before the epoch looked at. */
  const current = (k) => (lost(k) ? undefined : looks[k]?.findLast((look) => look.epoch <= (epoch ?? Infinity)));

  /** Whether a racer had diverged by the epoch looked at: it has no look of then, and an older one would not be true. */
  const lost = (k) => run.diverged[k] <= at() * run.steps_per_epoch && (looks[k]?.at(-1)?.epoch ?? -1) < at();
  const at = () => epoch ?? last();

  function draw() {
    const any = looks.some((its) => its?.length);
    seedsOf(run, seed, nth);
    for (const part of [when, said, ...node.querySelectorAll("section")]) part.hidden = !any;
    seed.parentNode.hidden = !any && seed.hidden;
    const whose = run.seeds > 1 ? "of this seed" : "of this run";
    write(note, any ? "" : run.active ? "The first look at the test pictures comes before the first step." : `No look at the test pictures was kept ${whose}.`);
    note.hidden = any;
    if (!any) return;
    when.max = last();
    when.value = epoch ?? last();
    when.disabled = last() === 0;
    write(said, `${at() === 0 ? "before the first step" : `after epoch ${at()}`}${epoch === null && run.active ? ", the newest look" : ""}`);
    measures.show(measure);
    write(explained, SAID[measure]);
    const key = JSON.stringify([theme.dark, measure, nth, run.racers.map((_, k) => current(k)?.step), run.racers.map(({ label }) => label), pictures.size]);
    if (key === built) return;
    built = key;
    drawDots();
    drawLooks();
  }

  const names = () => (run.class_names.length ? run.class_names : (looks.flat()[0]?.confusion ?? []).map((_, k) => `class ${k}`));

  /** A line for each class from 0 to 100 %, with each racer's marker on it. */
  function drawDots() {
    const classes = names();
    const known = run.racers.map((_, k) => current(k)).filter((look) => look?.confusion.length);
    dots.hidden = !known.length;
    dots.replaceChildren(...classes.map((name, c) => {
      const marks = run.racers.map((racer, k) => {
        const score = current(k)?.scores[c]?.[measure];
        if (!Number.isFinite(score)) return "";
        const color = colorOf(racer, theme);
        return element("i", { style: `left:${(100 * score).toFixed(2)}%;border-color:${color};background:${racer.hollow ? "var(--paper)" : color}` });
      });
      const told = run.racers.map((racer, k) => `${racer.label} ${percent(current(k)?.scores[c]?.[measure])}`).join("; ");
      return element("div.row", { title: `${name}: ${told}`, "aria-label": `${name}: ${told}`, role: "img" }, element("span", {}, name), element("span.ruler", {}, ...marks));
    }), element("div.row.axis", { "aria-hidden": "true" }, element("span"), element("span.ruler", {}, ...[0, 25, 50, 75, 100].map((value) =>
      element("small", { style: `left:${value}%` }, value === 100 ? "100 %" : String(value))))));
  }

  function matrix(racer, look) {
    const k = look.confusion.length;
    const canvas = element("canvas.confusion", { role: "img", "aria-label": `${racer.label}: which class (row) it takes for which (column)` });
    const size = 132;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = canvas.height = Math.round(size * ratio);
    const q = canvas.getContext("2d");
    q.scale(ratio, ratio);
    q.fillStyle = colorOf(racer, theme);
    const cell = size / k;
    look.confusion.forEach((row, i) => {
      const total = row.reduce((sum, count) => sum + count, 0) || 1;
      row.forEach((count, j) => {
        q.globalAlpha = count ? 0.06 + 0.94 * (count / total) : 0;
        q.fillRect(j * cell, i * cell, Math.max(1, cell - 0.7), Math.max(1, cell - 0.7));
      });
    });
    canvas.addEventListener("pointermove", (event) => {
      const [i, j] = [event.offsetY, event.offsetX].map((px) => Math.max(0, Math.min(k - 1, Math.floor(px / cell))));
      const total = look.confusion[i].reduce((sum, count) => sum + count, 0);
      const classes = names();
      const what = i === j ? `${classes[i]} named rightly` : `${classes[i]} taken for ${classes[j]}`;
      write(reading, `${racer.label}: ${what}, ${look.confusion[i][j]} of ${total}, ${percent(look.confusion[i][j] / total)}`);
    });
    canvas.addEventListener("pointerleave", () => write(reading, ""));
    return canvas;
  }

  function filters(look) {
    const [count, height, width, channels] = look.shape;
    const unsigned = Uint8Array.from(look.filters, (byte) => (byte > 127 ? byte - 256 : byte) + 128); // int8: no weight is grey
    const each = height * width * channels;
    return Array.from({ length: count }, (_, i) => picture([height, width, channels], unsigned, i * each));
  }

  function mistakes(look) {
    const classes = names();
    return look.mistakes.slice(0, 12).map(([position, label, predicted, sure]) => {
      const known = pictures.get(position);
      const told = `${classes[label]}, taken for ${classes[predicted]}, ${percent(sure)} sure`;
      return element("figure", { title: told }, known ? picture(known.shape, known.data) : element("span.no-picture", {}, `№ ${position}`),
        element("figcaption", {}, element("s", {}, classes[predicted]), " ", classes[label]));
    });
  }

  function drawLooks() {
    table.replaceChildren(element("div.look.heads", {}, element("span", {}, "rows: the truth"), element("span", {}, "filters of the first layer"), element("span", {}, "its surest mistakes, struck out what it says")),
      ...run.racers.map((racer, k) => {
        const look = current(k);
        const name = element("span.name", {}, swatch(racer, colorOf(racer, theme), 26), racer.label);
        if (!look) return element("div.look", {}, name, element("span.hint", {}, lost(k) ? (run.seeds > 1 ? "diverged" : `diverged at step ${count(run.diverged[k])}`) : "no look yet"));
        return element("div.look", {}, name,
          look.confusion.length ? matrix(racer, look) : element("span.hint", {}, "too many classes to draw"),
          look.shape[0] ? element("div.filters", { title: `Grey is 0; the largest weight is ${look.largest.toPrecision(3)}` }, ...filters(look)) : element("span.hint", {}, "it does not begin with pictures"),
          element("div.mistakes", {}, ...mistakes(look)));
      }));
  }

  return {
    node,
    update({ meta, theme: newTheme, shown }) {
      take(meta);
      [run, theme, nth] = [meta.run, newTheme, meta.asked.nth_seed];
      if (shown && run) draw();
    },
    stop: () => {},
  };
}
