// The question: what races on what. Every control here changes the question, and Python answers with a race.

import { element, icon, swatch, write } from "./dom.js";
import { openMenu } from "./menu.js";
import { colorOf } from "./race.js";
import { createChoice, createSlider } from "./slider.js";

const MOST_RACERS = 8;
const CORRECTION = "bias_correction"; // the hyperparameter behind "with / without correction"

/**
 * change(edit, final, choice): edit(question) alters it, choice is the racer to look into then; setSurface(name);
 * setLook(changes) changes how it is looked at; onChoose(index) chooses a racer. catalog: {surfaces, optimizers}, each [{name, title, …}], as far as the page offers them.
 */
export function createQuestion({ change, setSurface, setLook, onChoose, catalog }) {
  const surface = element("select", { id: "surface", "aria-label": "Surface" },
    ...catalog.surfaces.map(({ name, title }) => element("option", { value: name }, title)));
  surface.addEventListener("change", () => setSurface(surface.value));
  const knobs = element("div.knobs");
  const watch = element("p.hint");
  const racers = element("div.racers");
  const offer = () => openMenu(add, additions(), "Add a racer");
  const add = element("button.quiet", { type: "button", "aria-haspopup": "menu", onclick: offer }, "+ add a racer");
  const twin = element("button.quiet", { type: "button", onclick: withAndWithout }, "with / without correction");
  const node = element("section.question", { "aria-label": "What races on what" },
    element("h3", {}, "Surface"), surface, knobs, watch,
    element("h3", {}, "Racers"), racers, element("div.more", {}, add, twin));

  let race = null;
  let theme = null;
  let chosen = 0;
  let asides = false; // whether every setting is shown
  let controls = new Map(); // "racer index/hyperparameter" -> slider or choice
  let built = "";

  const additions = () =>
    catalog.optimizers.map(({ name, title, purpose }) => ({
      title, note: purpose,
      action: () => change((question) => question.racers.push({ name, hyper: [] }), true, race.racers.length),
    }));

  const uncorrected = (racer) => racer.hyper.some(({ name, value }) => name === CORRECTION && value === false);
  const corrected = (racer) => racer.hyper.some(({ name, value }) => name === CORRECTION && value === true);

  /** Puts the chosen racer (or the first that has a correction) beside its twin without it; pressed again, removes it. */
  function withAndWithout() {
    const subject = [race.racers[chosen], ...race.racers].find((racer) => corrected(racer)) ?? null;
    const twins = race.racers.flatMap((racer, index) => (uncorrected(racer) ? [index] : []));
    change((question) => {
      if (twins.length && subject) question.racers = question.racers.filter((_, index) => !twins.includes(index));
      else if (twins.length) question.racers[twins[0]].hyper.find(({ name }) => name === CORRECTION).value = true;
      else if (subject) {
        const index = race.racers.indexOf(subject);
        const other = structuredClone(question.racers[index]);
        other.hyper.find(({ name }) => name === CORRECTION).value = false;
        question.racers.splice(index + 1, 0, other);
      }
    }, true);
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
    const list = [];
    if (race.racers.length < MOST_RACERS) {
      const copy = (question) => question.racers.splice(index + 1, 0, structuredClone(question.racers[index]));
      list.push({ title: "Duplicate", note: "a second one, to change one thing", action: () => change(copy, true, index + 1) });
    }
    const reset = (question) => question.racers[index].hyper.forEach((one) => (one.value = one.default));
    list.push({ title: "Back to defaults", note: "as torch.optim has them", action: () => change(reset, true) });
    if (race.racers.length > 1) {
      const remove = (question) => question.racers.splice(index, 1);
      const next = Math.max(0, chosen - (index <= chosen ? 1 : 0));
      list.push({ title: "Remove", note: `take ${racer.label} out of the race`, action: () => change(remove, true, next) });
    }
    return list;
  }

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

  function build() {
    const focused = node.getRootNode().activeElement?.dataset?.focus;
    controls = new Map();
    knobs.replaceChildren(...race.surface.hyper.map((hyper) => control(hyper, race.surface.title, null)));
    racers.replaceChildren(...race.racers.map((racer, index) => {
      const on = index === chosen;
      const color = colorOf(racer, theme);
      const name = element("button.name", {
        type: "button", "aria-expanded": String(on), "data-focus": `name${index}`, title: on ? "" : "Look inside this one",
        onclick: () => onChoose(index),
      }, swatch(racer, color, 32), element("b", { title: racer.label }, racer.label));
      const more = element("button.more", {
        type: "button", "aria-haspopup": "menu", "aria-label": `More for ${racer.label}`, "data-focus": `more${index}`,
        title: "Duplicate, reset, remove", onclick: () => openMenu(more, actions(index), racer.label),
      }, icon("more"));
      const aside = (hyper) => hyper.aside && hyper.value === hyper.default && !asides;
      const shown = racer.hyper.filter((hyper, place) => (on ? !aside(hyper) : place === 0));
      const rest = on && racer.hyper.some((hyper) => hyper.aside) ? [element("button.quiet", {
        type: "button", "aria-expanded": String(asides), "data-focus": `asides${index}`, onclick: toggleAsides,
      }, asides ? "fewer settings" : "more settings")] : [];
      return element(on ? "div.racer.chosen" : "div.racer", { style: `--hue:${color}` },
        element("div.head", {}, name, more), ...shown.map((hyper) => control(hyper, racer.label, index)), ...rest);
    }));
    if (focused) node.querySelector(`[data-focus="${focused}"]`)?.focus();
  }

  return {
    node,
    update(next) {
      ({ race, chosen, theme } = next);
      surface.value = race.surface.name;
      write(watch, race.surface.watch);
      const full = race.racers.length >= MOST_RACERS;
      add.disabled = full;
      add.title = full ? `${MOST_RACERS} race at most` : "";
      twin.disabled = full && !race.racers.some(uncorrected);
      twin.hidden = !race.racers.some((racer) => racer.hyper.some(({ name }) => name === CORRECTION));
      // The controls are rebuilt only when other ones are needed, never under a hand that drags one.
      const looks = race.racers.map(({ name, label, dash, hollow }) => [name, label, dash, hollow]);
      const kept = race.racers.map((racer) => racer.hyper.map((hyper) => hyper.aside && hyper.value === hyper.default));
      const key = JSON.stringify([race.surface.name, chosen, theme.dark, looks, kept]);
      if (key !== built) build();
      built = key;
      for (const hyper of race.surface.hyper) controls.get(`surface/${hyper.name}`)?.show(hyper.value);
      race.racers.forEach((racer, index) => {
        for (const hyper of racer.hyper) controls.get(`${index}/${hyper.name}`)?.show(hyper.value, hyper.note);
      });
    },
  };
}
