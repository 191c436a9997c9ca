// The question: what races on what, under which conditions. Every control here changes the question, and Python answers
// with a race.

import { createConditions } from "./conditions.js";
import { element, icon, swatch, write } from "./dom.js";
import { createFormula } from "./formula.js";
import { toggled } from "./look.js";
import { openMenu } from "./menu.js";
import { colorOf } from "./race.js";
import { createChoice, createSlider } from "./slider.js";

const MOST_RACERS = 8;
const TIGHTER = ["tight", "tighter"]; // what gives way where the column does not fit: the other racers' sliders, then more
const LONGEST_NAME = 24; // characters of a racer's own name
const OWN = "formula"; // the surface that is a learner's own
const CORRECTION = "bias_correction";
// What a twin has of bias correction, in its button and in a sentence.
const TWINS = new Map([
  [true, ["with", "with bias correction"]],
  [false, ["without", "without bias correction"]],
  ["first", ["m only", "with m corrected only"]],
  ["second", ["v only", "with v corrected only"]],
]);

/**
 * change(edit, final, choice): edit(question) alters it, choice is the racer to look into then; setSurface(name);
 * setLook({off, show}); onChoose(index) chooses a racer. catalog: {surfaces, optimizers, schedules},
 * each [{name, title, …}], as far as the page offers them.
 */
export function createQuestion({ change, setSurface, setLook, onChoose, catalog }) {
  const groups = [...new Set(catalog.surfaces.map(({ group }) => group))];
  const surface = element("select", { id: "surface", "aria-label": "Surface" },
    ...groups.map((label) => element("optgroup", { label }, ...catalog.surfaces.filter(({ group }) => group === label)
      .map(({ name, title }) => element("option", { value: name }, title)))),
    element("option", { value: OWN }, "your own f(x, y)…"));
  surface.addEventListener("change", chooseSurface);
  const formula = createFormula({ onTry: tryFormula });
  const knobs = element("div.knobs");
  const watch = element("p.hint");
  const racers = element("div.racers");
  const offer = () => openMenu(add, additions(), "Add a racer");
  const add = element("button.quiet", { type: "button", "aria-haspopup": "menu", onclick: offer }, "+ add a racer");
  const back = element("button.quiet", { type: "button", onclick: bringBack, hidden: true });
  const conditions = createConditions({ change, setLook, onOpen: () => update({ race, chosen, theme, look }), catalog });
  const node = element("section.question", { "aria-label": "What races on what", onkeydown: onKey },
    element("div", { "data-part": "surface" }, element("h3", {}, "Surface"), surface, formula.node, knobs, watch),
    element("h3", {}, "Racers"), racers, element("div.more", { "data-part": "racers" }, add, back), conditions.node);

  let race = null;
  let look = null;
  let theme = null;
  let chosen = 0;
  let asides = false; // whether every setting is shown
  let renaming = null; // index
  let removed = null; // the racer last taken out: {racer, index where it stood, label, left: how many are left}
  let over = null; // the surface that races while a first formula is not one yet
  let claimed = null; // the notices that stand under the formula, by their count
  let controls = new Map(); // "racer index/hyperparameter" -> slider or choice
  let built = "";
  let fitted = "";

  // ---- Surface ----

  function chooseSurface() {
    if (surface.value !== OWN) {
      formula.close();
      setSurface(surface.value);
      return;
    }
    over = race.surface.name;
    const text = catalog.surfaces.find(({ name }) => name === over)?.formula ?? "";
    formula.begin(text); // it tries it at once
    update({ race, chosen, theme, look });
  }

  function tryFormula(text) {
    change((question) => {
      const before = question.surface;
      question.surface = { name: OWN, f: text, hyper: before.name === OWN ? before.hyper : windowOf(before) };
      if (before.name !== OWN && !question.surface.hyper.length) question.start = null; // the example has one of its own
    }, true);
  }

  /** What shows a formula about as far as the surface it is taken from. */
  function windowOf({ name }) {
    if (!catalog.surfaces.find((one) => one.name === name)?.formula) return [];
    const reach = Math.max(...race.surface.bounds.map(Math.abs));
    return [{ name: "reach", value: Math.ceil(10 * reach) / 10, default: null }];
  }

  // ---- Racers ----

  const additions = () =>
    catalog.optimizers.map(({ name, title, purpose }) => ({
      title, note: purpose,
      action: () => change((question) => question.racers.push({ name, hyper: [], label: "" }), true, race.racers.length),
    }));

  const held = () => [...look.hide, ...look.lock].includes("racers"); // by a teacher's link
  const full = () => race.racers.length >= MOST_RACERS;

  function insert(index, racerOf, choice = index) {
    if (look.off.some((k) => k >= index)) setLook({ off: look.off.map((k) => k + (k >= index)) });
    change((question) => question.racers.splice(index, 0, racerOf(question)), true, choice);
  }

  function remove(index) {
    if (look.off.some((k) => k >= index)) setLook({ off: look.off.filter((k) => k !== index).map((k) => k - (k > index)) });
    const { label } = race.racers[index];
    change((question) => {
      removed = { racer: question.racers[index], index, label, left: question.racers.length - 1, seen: false };
      question.racers.splice(index, 1);
    }, true, Math.max(0, chosen - (index <= chosen ? 1 : 0)));
  }

  function bringBack() {
    const { racer, index } = removed;
    removed = null;
    insert(Math.min(index, race.racers.length), () => racer);
  }

  const correctionOf = (racer) => racer.hyper.find(({ name }) => name === CORRECTION)?.value;

  /** Where the same optimizer races with such a correction: best with the same settings; -1 for nowhere. */
  function twinOf(index, value) {
    const settings = (racer) => JSON.stringify(racer.hyper.map(({ name, value: z }) => name !== CORRECTION && z));
    const kin = race.racers.flatMap((other, k) =>
      (k !== index && other.name === race.racers[index].name && correctionOf(other) === value ? [k] : []));
    return kin.find((k) => settings(race.racers[k]) === settings(race.racers[index])) ?? kin[0] ?? -1;
  }

  /** Puts a racer beside its twin with another correction; pressed again, removes that. */
  function toggleTwin(index, value) {
    const at = twinOf(index, value);
    if (at >= 0) return remove(at);
    return insert(index + 1, (question) => {
      const twin = { ...structuredClone(question.racers[index]), label: "" };
      twin.hyper.find(({ name }) => name === CORRECTION).value = value;
      return twin;
    }, chosen > index ? chosen + 1 : chosen);
  }

  /** The twins a racer can have: [{value, word, says, there}]. */
  function twinsOf(index) {
    const mine = race.racers[index].hyper.find(({ name }) => name === CORRECTION);
    return (mine?.choices ?? []).filter(({ value }) => value !== mine.value).map(({ value }) => {
      const [word, says] = TWINS.get(value);
      return { value, word, says, there: twinOf(index, value) >= 0 };
    });
  }

  function hide(index) {
    setLook({ off: toggled(look.off, index) });
  }

  function solo(index) {
    setLook({ off: alone(index) ? [] : race.racers.map((_, k) => k).filter((k) => k !== index) });
  }

  const alone = (index) => look.off.length === race.racers.length - 1 && !look.off.includes(index);

  function rename(index) {
    if (held()) return;
    renaming = index;
    build();
    const field = racers.querySelector("input.rename");
    field.focus();
    field.select();
  }

  /** A name that is emptied is the catalogue's again. */
  function named(text) {
    if (renaming === null) return;
    const index = renaming;
    renaming = null;
    const label = text?.replaceAll(",", " ").replace(/\s+/g, " ").trim(); // in a link commas stand between names
    if (label !== undefined && label !== race.racers[index].label) change((question) => (question.racers[index].label = label), true);
    build();
    node.querySelector(`[data-focus="name${index}"]`)?.focus();
  }

  function set(owner, name) {
    return (value, final) =>
      change((question) => {
        const hyper = owner === null ? question.surface.hyper : question.racers[owner].hyper;
        hyper.find((one) => one.name === name).value = value;
      }, final);
  }

  function actions(index) {
    const racer = race.racers[index];
    const list = [{ title: "Rename", note: "F2", action: () => rename(index) }];
    if (!full()) {
      const copy = (question) => ({ ...structuredClone(question.racers[index]), label: "" });
      list.push({ title: "Duplicate", note: "a second one, to change one thing", action: () => insert(index + 1, copy) });
    }
    for (const { value, says, there } of twinsOf(index)) {
      if (there || !full()) {
        list.push({ title: there ? `Take away its twin ${says}` : `Beside its twin ${says}`, action: () => toggleTwin(index, value) });
      }
    }
    list.push({ title: look.off.includes(index) ? "Show" : "Hide", note: "it races on, unseen", action: () => hide(index) });
    if (race.racers.length > 1) {
      list.push({ title: alone(index) ? "Show all" : "Show only this one", action: () => solo(index) });
    }
    const reset = (question) => question.racers[index].hyper.forEach((one) => (one.value = one.default));
    list.push({ title: "Back to defaults", note: "as torch.optim has them", action: () => change(reset, true) });
    if (race.racers.length > 1) list.push({ title: "Remove", note: "Delete", action: () => remove(index) });
    return list;
  }

  function onKey(event) {
    const target = event.composedPath()[0];
    const index = Number(target.dataset?.focus?.match(/^name(\d)$/)?.[1] ?? NaN);
    if (Number.isNaN(index) || held()) return;
    if ((event.key === "Delete" || event.key === "Backspace") && race.racers.length > 1) remove(index);
    else if (event.key === "F2") rename(index);
    else if (event.key === "z" && (event.ctrlKey || event.metaKey) && removed) bringBack();
    else return;
    event.preventDefault();
  }

  // ---- Building ----

  function control(hyper, owner, index) {
    const make = hyper.choices.length ? createChoice : createSlider;
    const made = make({ hyper, owner, onInput: set(index, hyper.name) });
    controls.set(`${index ?? "surface"}/${hyper.name}`, made);
    return made.node;
  }

  function toggleAsides() {
    asides = !asides;
    build();
  }

  function head(racer, index) {
    const on = index === chosen;
    const hidden = look.off.includes(index);
    const sample = swatch(racer, colorOf(racer, theme), 32);
    if (renaming === index) {
      const field = element("input.rename", {
        type: "text", maxlength: LONGEST_NAME, value: racer.label, "aria-label": `Name of ${racer.label}`, spellcheck: "false",
        onblur: () => named(field.value),
        onkeydown: (event) => {
          if (event.key === "Enter") named(field.value);
          else if (event.key === "Escape") named();
        },
      });
      return element("div.head", {}, sample, field);
    }
    const name = element("button.name", {
      type: "button", "aria-expanded": String(on), "data-focus": `name${index}`, title: on ? "" : "Look inside this one",
      onclick: () => {
        conditions.close();
        onChoose(index);
      },
      ondblclick: () => rename(index),
    }, sample, element("b", { title: racer.label }, racer.label));
    const eye = element("button.eye", {
      type: "button", "aria-pressed": String(hidden), "aria-label": `Hide ${racer.label}`, "data-focus": `eye${index}`,
      title: hidden ? "Show (with Shift: only this one)" : "Hide (with Shift: only this one)",
      onclick: (event) => (event.shiftKey ? solo(index) : hide(index)),
    }, icon(hidden ? "unseen" : "seen"));
    const more = element("button.more", {
      type: "button", "aria-haspopup": "menu", "aria-label": `More for ${racer.label}`, "data-focus": `more${index}`,
      title: "Rename, duplicate, reset, remove", onclick: () => openMenu(more, actions(index), racer.label),
    }, icon("more"));
    return element("div.head", {}, name, element("span.acts", { "data-part": "racers" }, eye, more));
  }

  function twins(index) {
    const list = twinsOf(index);
    if (!list.length) return [];
    const other = correctionOf(race.racers[index]) === false ? true : false;
    const buttons = list.map(({ value, word, says, there }) => element("button", {
      type: "button", "aria-pressed": String(there), disabled: full() && !there, "data-focus": `twin${word}`,
      "aria-label": value === other ? "with / without correction" : word,
      title: there ? `Take away its twin ${says}` : `Beside its twin ${says}`, onclick: () => toggleTwin(index, value),
    }, word));
    return [element("div.choice", { "data-part": "racers" }, element("span.symbol", {}, "its twin"),
      element("div.segments", { role: "group", "aria-label": `${race.racers[index].label} beside its twin` }, ...buttons))];
  }

  function build() {
    const focused = node.getRootNode().activeElement?.dataset?.focus;
    controls = new Map();
    knobs.replaceChildren(...race.surface.hyper.map((hyper) => control(hyper, race.surface.title, null)));
    racers.replaceChildren(...race.racers.map((racer, index) => {
      const on = index === chosen && !conditions.open;
      const aside = (hyper) => hyper.aside && hyper.value === hyper.default && !asides;
      const shown = racer.hyper.filter((hyper, place) => (on ? !aside(hyper) : !conditions.open && place === 0));
      const rest = on && racer.hyper.some((hyper) => hyper.aside) ? [element("button.quiet", {
        type: "button", "aria-expanded": String(asides), "data-focus": `asides${index}`, "data-part": "hyper", onclick: toggleAsides,
      }, asides ? "fewer settings" : "more settings")] : [];
      const classes = [on && "chosen", look.off.includes(index) && "unseen"].filter(Boolean);
      return element(["div", "racer", ...classes].join("."), { style: `--hue:${colorOf(racer, theme)}` }, head(racer, index),
        ...(shown.length ? [element("div", { "data-part": "hyper" }, ...shown.map((hyper) => control(hyper, racer.label, index)))] : []),
        ...(on ? twins(index) : []), ...rest);
    }));
    fit();
    if (focused) (node.querySelector(`[data-focus="${focused}"]`) ?? racers.querySelector(".racer:last-child .name"))?.focus();
  }

  /** Where everything fits the window, everything is shown. */
  function fit() {
    node.classList.remove(...TIGHTER);
    for (const name of TIGHTER) if (node.scrollHeight > node.clientHeight) node.classList.add(name);
  }

  function update(next) {
    const moved = next.race !== race && next.race.moved; // another link was opened
    ({ race, chosen, theme, look } = next);
    if (race.surface.name === OWN) formula.show(race.surface.f);
    if (race.surface.name === OWN || moved) over = null;
    if (race.surface.name !== OWN && race.surface.name !== over) formula.close();
    surface.value = formula.open ? OWN : race.surface.name;
    knobs.hidden = formula.open && race.surface.name !== OWN;
    write(watch, race.surface.watch);
    watch.hidden = knobs.hidden;
    add.disabled = full();
    add.title = full() ? `${MOST_RACERS} race at most` : "";
    if (removed && race.racers.length === removed.left) removed.seen = true;
    else if (removed?.seen) removed = null; // others have come or gone since
    back.hidden = !removed || full();
    write(back, removed ? `bring back ${removed.label}` : "");
    node.classList.toggle("under", conditions.open);
    // The controls are rebuilt only when other ones are needed, never under a hand that drags one.
    const looks = race.racers.map(({ name, label, dash, hollow }) => [name, label, dash, hollow]);
    const kept = race.racers.map((racer) => [correctionOf(racer), ...racer.hyper.map((hyper) => hyper.aside && hyper.value === hyper.default)]);
    const key = JSON.stringify([race.surface.name, chosen, theme.dark, looks, kept, look.off, conditions.open]);
    if (key !== built) build();
    built = key;
    for (const hyper of race.surface.hyper) controls.get(`surface/${hyper.name}`)?.show(hyper.value);
    race.racers.forEach((racer, index) => {
      for (const hyper of racer.hyper) controls.get(`${index}/${hyper.name}`)?.show(hyper.value, hyper.note);
    });
    conditions.update(race, look);
    const height = [watch.textContent, formula.said, conditions.shape].join();
    if (height !== fitted) fit(); // measuring costs a layout: not at every race of a drag
    fitted = height;
  }

  new ResizeObserver(fit).observe(node);

  return {
    node,
    update,
    /** at: the step at which each racer stands. */
    draw: (at) => conditions.draw(at[chosen] ?? 0),
    /**
     * Takes the notices that answer what was typed as a formula, and says them under its field; returns the others.
     * idle: nothing newer is under way.
     */
    hear({ notices = [], told, moved, surface: { f } }, idle) {
      if (formula.waiting && idle && !moved) {
        formula.answered(notices[0] ?? "", f);
        claimed = notices.length ? told : null;
      }
      return claimed !== null && claimed === told ? [] : notices;
    },
  };
}
