// The question: which optimizers train what, on which pictures. Every change is told to Python, which answers with
// names, colours and notation.

import { element, icon, swatch, write } from "../adamscope.player/dom.js";
import { openMenu } from "../adamscope.player/menu.js";
import { colorOf } from "../adamscope.player/race.js";
import { createMessenger } from "../adamscope.player/request.js";
import { createChoice, createSlider, notationOf } from "../adamscope.player/slider.js";
import { options } from "./choice.js";
import { createSettings } from "./settings.js";
import { whose } from "./words.js";

const MOST_RACERS = 8;
const LOOKS = ["scale", "view", "axis", "quantity", "steps", "layer", "plane", "ends", "detail", "nth_seed"]; // how a run is looked at
const NUMBERS = [
  { name: "epochs", label: "Epochs", hint: "Passes over the training pictures" },
  { name: "batch_size", label: "Batch", hint: "Pictures a step" },
  { name: "seed", label: "Seed", hint: "Of the first weights and of the order of the pictures" },
  { name: "limit", label: "Pictures", hint: "Train on the first so many; empty for all", empty: "all" },
];

const notation = ({ name, hyper }) => `${name}(${hyper.map((one) => `${one.name}=${notationOf(one.value)}`).join(", ")})`;

/** send(message) hands a change to Python. Returns {node, update, set(name, value), press(button, run id, text)}. */
export function createSetup({ send }) {
  const pressed = []; // buttons, until each one's message is on its way
  const messenger = createMessenger((message) => send({ ...message, ...(pressed.shift() ?? { press: null }) }));
  let asked = null; // what Python last answered
  let wanted = null; // what the hand wants; ahead of it while an answer is under way
  let offer = null;
  let theme = null;
  let open = new Set(); // places of the racers that show all their hyperparameters
  let controls = new Map(); // "place/hyperparameter" -> slider or choice
  let notations = [];
  let built = "";

  const racers = element("div.racers");
  const add = element("button.quiet", { type: "button", "aria-haspopup": "menu", onclick: () => openMenu(add, additions(), "Add a racer") }, "+ add a racer");
  const data = element("select", { "aria-label": "Pictures or texts to train on", onchange: () => choose(data.value) });
  const about = element("p.hint");
  const model = element("select", { onchange: () => set("model", model.value) });
  const numbers = NUMBERS.map(({ name, label, hint, empty = "" }) => {
    const input = element("input.value", { type: "text", inputmode: "numeric", placeholder: empty, autocomplete: "off", onchange: () => set(name, input.value.trim()) });
    return { name, input, node: element("label.setting", { title: hint }, element("span", {}, label), input) };
  });
  const more = createSettings({ set: (name, value) => set(name, value) });
  const origin = element("b");
  const from = element("p.from", {}, element("span", {}, "Weights"), origin,
    element("button.quiet", { type: "button", "aria-label": "Start from scratch", title: "Start from scratch: draw the first weights from the seed", onclick: () => set("start_from", "") }, icon("close")));
  const begin = element("button.start", { type: "button", onclick: start }, "Start");
  const node = element("section.question", { "aria-label": "What trains on what" },
    element("h3", {}, "Racers"), racers, element("div.more", {}, add),
    data, about,
    element("label.choices", {}, element("span", {}, "Network"), model),
    element("div.settings", {}, ...numbers.map((one) => one.node)),
    more.node,
    from,
    element("div.begin", {}, begin),
  );

  const query = () => {
    const pairs = wanted.racers.map((racer) => ["o", racer.text ?? notation(racer)]);
    for (const name of ["data", "model", ...LOOKS, ...NUMBERS.map((number) => number.name), ...more.names]) pairs.push([name, wanted[name] ?? ""]);
    if (wanted.run) pairs.push(["run", wanted.run]);
    pairs.push(["compare", wanted.compare], ["start_from", wanted.start_from ?? ""]);
    return pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  };

  function change(edit) {
    edit(wanted);
    messenger.ask({ query: query() });
  }

  const set = (name, value) => change((question) => (question[name] = value));

  /** Other data: where the network does not take them, the first that does. */
  const choose = (name) => change((question) => {
    const { kind, models } = offer.data.find((one) => one.name === name);
    question.data = name;
    if (!models.includes(question.model)) question.model = models[0];
    if (kind === "texts") question.augment = "";
  });

  function press(button, on = null, text = "") {
    pressed.push({ press: button, on, text });
    messenger.ask({ query: query() });
  }

  function start() {
    begin.disabled = true; // until the new run is there, or why there is none
    press("start");
  }

  const additions = () =>
    offer.optimizers.map(({ name, title, purpose }) => ({
      title, note: purpose, action: () => change((question) => question.racers.push({ name, hyper: [], text: name })),
    }));

  function actions(place) {
    const racer = asked.racers[place];
    const list = [];
    if (asked.racers.length < MOST_RACERS) {
      list.push({ title: "Duplicate", note: "a second one, to change one thing", action: () =>
        change((question) => question.racers.splice(place + 1, 0, structuredClone(question.racers[place]))) });
    }
    list.push({ title: "Back to defaults", note: "as torch.optim has them", action: () =>
      change((question) => question.racers[place].hyper.forEach((one) => (one.value = one.default))) });
    if (asked.racers.length > 1) {
      list.push({ title: "Remove", note: `${racer.label} does not train`, action: () => {
        open = new Set([...open].filter((other) => other !== place).map((other) => (other > place ? other - 1 : other)));
        change((question) => question.racers.splice(place, 1));
      } });
    }
    return list;
  }

  function control(hyper, racer, place) {
    const make = hyper.choices.length ? createChoice : createSlider;
    const made = make({ hyper, owner: racer.label, onInput: (value) =>
      change((question) => (question.racers[place].hyper.find((one) => one.name === hyper.name).value = value)) });
    controls.set(`${place}/${hyper.name}`, made);
    return made.node;
  }

  function card(racer, place) {
    const color = colorOf(racer, theme);
    const all = open.has(place);
    const name = element("button.name", { type: "button", "aria-expanded": String(all), "data-focus": `name${place}`,
      title: all ? "Show the learning rate alone" : "Show every hyperparameter", onclick: () => {
        open.has(place) ? open.delete(place) : open.add(place);
        build();
      } }, swatch(racer, color, 32), element("b", {}, racer.label));
    const more = element("button.more", { type: "button", "aria-label": `More for ${racer.label}`, title: "Duplicate, reset, remove",
      "aria-haspopup": "menu", "data-focus": `more${place}`, onclick: () => openMenu(more, actions(place), racer.label) }, icon("more"));
    const text = element("input.notation", { type: "text", spellcheck: "false", autocomplete: "off", "data-focus": `text${place}`,
      "aria-label": `${racer.label} in racer notation`, onchange: () => change((question) => (question.racers[place].text = text.value)) });
    notations.push(text);
    return element(all ? "div.racer.chosen" : "div.racer", { style: `--hue:${color}` }, element("div.head", {}, name, more),
      ...racer.hyper.filter((_, index) => all || index === 0).map((hyper) => control(hyper, racer, place)), text);
  }

  function build() {
    const focused = node.getRootNode().activeElement?.dataset?.focus;
    controls = new Map();
    notations = [];
    racers.replaceChildren(...asked.racers.map(card));
    if (focused) node.querySelector(`[data-focus="${focused}"]`)?.focus();
    fill();
  }

  const edited = new WeakSet(); // inputs with a text that is not told yet
  node.addEventListener("input", ({ target }) => edited.add(target));
  node.addEventListener("change", ({ target }) => edited.delete(target));

  function fill() {
    asked.racers.forEach((racer, place) => {
      for (const hyper of racer.hyper) controls.get(`${place}/${hyper.name}`)?.show(hyper.value, hyper.note);
      if (!edited.has(notations[place])) notations[place].value = racer.notation;
    });
    for (const { name, input } of numbers) if (!edited.has(input)) input.value = asked[name] ?? "";
  }

  return {
    node,
    set,
    press,
    update(meta, newTheme) {
      messenger.startAt(meta.turn);
      messenger.answered(meta.turn);
      if (messenger.idle && pressed.length) messenger.ask({ query: query() });
      if (!messenger.idle) return;
      [asked, offer, theme] = [meta.asked, meta.offer, newTheme];
      wanted = structuredClone(asked);
      options(data, offer.data, asked.data);
      const chosen = offer.data.find(({ name }) => name === asked.data);
      options(model, offer.models.filter(({ name }) => !chosen || chosen.models.includes(name)), asked.model);
      model.title = offer.models.find(({ name }) => name === asked.model).citation;
      more.update(asked, offer);
      const { note, command } = chosen ?? { note: "This folder is not there any more." };
      about.replaceChildren(note, ...(command ? [" ", element("code", {}, command)] : []));
      add.disabled = asked.racers.length >= MOST_RACERS;
      from.hidden = !asked.start_from;
      write(origin, asked.start_from ? whose(asked.start_from, meta.recent, true) : "");
      from.title = asked.start_from ? `All start from the weights of ${whose(asked.start_from, meta.recent)}` : "";
      begin.disabled = false; // its message is answered, by a run or by a notice
      // Cards are rebuilt only when other ones are needed, never under a hand that drags a slider.
      const key = JSON.stringify([theme.dark, asked.racers.map(({ name, label, dash, hollow }) => [name, label, dash, hollow])]);
      key === built ? fill() : build();
      built = key;
    },
    stop: messenger.stop,
  };
}
