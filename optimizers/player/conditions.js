// What every racer walks under: schedule, clipping, noise, batches. One line says it; opened, it can be changed.

import { element, icon, write } from "./dom.js";
import { toggled } from "./look.js";
import { formatSetting } from "./race.js";
import { call } from "./request.js";
import { createChoice, createSlider } from "./slider.js";

const MOST_PARTS = 3; // of a schedule
const CURVE = [200, 40]; // the schedule's curve: its view box
const SEEDS = 10_000; // "another seed" is one below
const OFF = { scale: "log", default: 0, value: 0, zero: "off", choices: [] };
const CLIP_NORM = { ...OFF, name: "clip_norm", symbol: "clip |g|", slider: [0.01, 1000] };
const CLIP_VALUE = { ...OFF, name: "clip_value", symbol: "clip each", slider: [0.01, 1000] };
const NOISE = { ...OFF, name: "noise", symbol: "noise σ", slider: [0.001, 100], zero: "none" };
const RACE = "the race"; // whose settings these are, to a screen reader

/**
 * change(edit, final) alters the question, setLook({show}) how it is looked at; onOpen() is called when it opens or closes.
 * catalog.schedules: [{name, title, purpose, hyper, length}].
 */
export function createConditions({ change, setLook, onOpen, catalog }) {
  const kinds = new Map(catalog.schedules.map((entry) => [entry.name, entry]));
  const summary = element("span");
  const button = element("button.summary.quiet", { type: "button", "aria-expanded": "false", onclick: toggle }, icon("forward"), summary);
  const schedule = element("div.schedule");
  const curve = element("div.curve", { "aria-hidden": "true" });
  const cursor = element("i");
  const factor = element("p.lr-factor");
  const rest = element("div");
  const body = element("div.body", { hidden: true }, schedule, element("div.drawn", {}, curve, cursor), factor, rest);
  const node = element("section.conditions", { "data-part": "conditions", "aria-label": "Conditions" }, button, body);

  let race = null;
  let look = null;
  let parts = []; // of the schedule as the hand wants it: [{name, hyper}]
  let built = "";
  let now = 0; // step
  let controls = []; // [{show}, what it shows]

  function toggle() {
    open(body.hidden);
    onOpen();
  }

  function open(on) {
    body.hidden = !on;
    button.setAttribute("aria-expanded", String(on));
  }

  const part = (name) => ({ name, hyper: kinds.get(name).hyper.map((hyper) => ({ ...hyper, value: hyper.default })) });

  function setSchedule(final) {
    const plain = parts.length === 1 && parts[0].name === "constant";
    change((question) => (question.conditions.schedule = plain ? "" : parts.map(call).join("+")), final);
  }

  /** The part at `place` becomes `name`, "" for none; what came after it stays where it can. */
  function choose(place, name) {
    const next = name ? [part(name)] : [];
    const after = follows(next[0]) ? parts.slice(place + 1) : [];
    parts = [...parts.slice(0, place), ...next, ...after];
    setSchedule(true);
  }

  /** Can another follow? Where it takes a number of steps, not all there are. */
  const follows = (one) => {
    const length = one && kinds.get(one.name).length;
    return Boolean(length) && one.hyper.find(({ name }) => name === length).value !== "all";
  };

  const set = (name) => (value, final) => change((question) => (question.conditions[name] = value), final);
  const limit = (name) => (value, final) => set(name)(value === 0 ? null : value, final);

  function add(made, shown) {
    controls.push([made, shown]);
    return made.node;
  }

  function scheduleRow(place) {
    const select = element("select", {
      "aria-label": place ? "then" : "Schedule of the learning rate", "data-focus": `part${place}`,
      onchange: () => choose(place, select.value),
    },
      ...(place ? [element("option", { value: "" }, "nothing more")] : []),
      ...catalog.schedules.map(({ name, title, purpose }) => element("option", { value: name, title: purpose }, title)));
    const name = parts[place]?.name ?? "";
    select.value = name;
    select.title = kinds.get(name)?.purpose ?? "";
    return element("div.row", {}, element("span.symbol", { "aria-hidden": "true" }, place ? "then" : "lr"), select);
  }

  function buildSchedule() {
    const rows = parts.flatMap(({ hyper, name }, place) => [
      scheduleRow(place),
      ...hyper.map((one, k) => {
        const onInput = (value, final) => {
          parts[place].hyper[k].value = value;
          setSchedule(final);
        };
        const make = one.choices.length ? createChoice : createSlider;
        return add(make({ hyper: one, owner: kinds.get(name).title, onInput }), () => parts[place]?.hyper[k].value);
      }),
    ]);
    if (parts.length < MOST_PARTS && follows(parts.at(-1))) rows.push(scheduleRow(parts.length));
    schedule.replaceChildren(...rows);
  }

  function buildRest() {
    const under = () => race.conditions;
    const slider = (hyper, onInput, shown) => add(createSlider({ hyper, owner: RACE, onInput }), shown);
    const rows = [
      slider(CLIP_NORM, limit("clip_norm"), () => under().clip_norm ?? 0),
      slider(CLIP_VALUE, limit("clip_value"), () => under().clip_value ?? 0),
      slider(NOISE, set("noise"), () => under().noise),
    ];
    if (under().rows) {
      const batch = { ...OFF, zero: "", name: "batch_size", symbol: "batch", scale: "linear", whole: true, slider: [1, under().rows] };
      rows.push(slider(batch, set("batch_size"), () => batchOf(under())));
    }
    if (random()) {
      const seed = element("input.value", {
        type: "text", inputmode: "numeric", "aria-label": "Seed of noise and batches", autocomplete: "off",
        onchange: () => set("seed")(seed.value.trim(), true),
      });
      const another = element("button.quiet", { type: "button", "data-focus": "seed", onclick: anotherSeed }, "another seed");
      rows.push(element("div.row.seed", {}, element("span.symbol", { "aria-hidden": "true" }, "seed"), another, seed));
      controls.push([{ show: (value) => (seed.value = value) }, () => under().seed]);
      const cloud = element("button.toggle", {
        type: "button", "data-focus": "cloud", title: "The chosen racer's path with 50 seeds, at once",
        onclick: () => setLook({ show: toggled(look.show, "cloud") }),
      }, "50 noisy paths");
      rows.push(cloud);
      controls.push([{ show: (on) => cloud.setAttribute("aria-pressed", String(on)) }, () => look.show.includes("cloud")]);
    }
    rest.replaceChildren(...rows);
  }

  function anotherSeed() {
    const { seed } = race.conditions;
    const other = Math.floor(Math.random() * (SEEDS - 1));
    set("seed")(other < seed ? other : other + 1, true); // never the same
  }

  const batchOf = ({ batch_size: size, usual_batch: usual, rows }) => size ?? usual ?? rows;
  const random = () => race.conditions.noise > 0 || batchOf(race.conditions) < race.conditions.rows;

  function sayWhatIsInForce() {
    const { clip_norm: norm, clip_value: each, noise, rows } = race.conditions;
    const clips = [...(norm ? [`|g| ≤ ${formatSetting(norm)}`] : []), ...(each ? [`each ≤ ${formatSetting(each)}`] : [])];
    const words = [`lr ${parts.map(({ name }) => kinds.get(name).title).join(", then ")}`, clips.join(", ") || "no clipping"];
    if (rows && batchOf(race.conditions) < rows) words.push(`batches of ${batchOf(race.conditions)}`);
    if (noise || words.length < 3) words.push(noise ? `noise ${formatSetting(noise)}` : "no noise");
    write(summary, body.hidden ? words.join(" · ") : "Conditions");
    button.title = "Schedule, clipping, noise: the same for every racer";
  }

  function drawCurve() {
    const [width, height] = CURVE;
    const { factors } = race;
    const top = factors.reduce((most, z) => (z > most ? z : most), 1e-12);
    const stride = Math.max(1, Math.floor(factors.length / (2 * width)));
    const x = (k) => (width * k) / Math.max(1, factors.length - 1);
    let line = "";
    for (let k = 0; k < factors.length; k += stride) {
      line += `${line ? "L" : "M"}${x(k).toFixed(1)} ${(height - 2 - (height - 4) * (factors[k] / top)).toFixed(1)}`;
    }
    curve.innerHTML =
      `<svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none"><path class="floor" d="M0 ${height - 2}H${width}"/>` +
      `<path class="line" d="${line}"/></svg>`;
  }

  /** step: where the race stands. */
  function draw(step) {
    now = step;
    if (body.hidden) return;
    const last = race.factors.length - 1;
    const k = Math.min(last, Math.floor(step + 1e-6));
    cursor.style.left = `${(100 * Math.min(step, last)) / Math.max(1, last)}%`;
    write(factor, `step ${k}: lr × ${formatSetting(Number(race.factors[k].toPrecision(4)))}`);
  }

  return {
    node,
    get open() { return !body.hidden; },
    /** Changes with the rows that are shown. */
    get shape() { return body.hidden ? "" : built; },
    close: () => open(false),
    update(newRace, newLook) {
      [race, look] = [newRace, newLook];
      parts = race.conditions.parts.length ? structuredClone(race.conditions.parts) : [part("constant")];
      sayWhatIsInForce();
      if (body.hidden) return;
      const key = JSON.stringify([parts.map((one) => [one.name, follows(one)]), race.conditions.rows, random()]);
      if (key !== built) {
        built = key;
        const focused = node.getRootNode().activeElement?.dataset?.focus;
        controls = [];
        buildSchedule();
        buildRest();
        if (focused) node.querySelector(`[data-focus="${focused}"]`)?.focus();
      }
      for (const [made, shown] of controls) made.show(shown());
      drawCurve();
      draw(now);
    },
    draw,
  };
}
