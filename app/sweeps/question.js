// The question: which racers, what changes, how many are tried. Every change is told to Python, which answers with
// the number of networks and the time they take.

import { element, icon, swatch, write } from "../adamscope.player/dom.js";
import { openMenu } from "../adamscope.player/menu.js";
import { colorOf } from "../adamscope.player/race.js";
import { createMessenger } from "../adamscope.player/request.js";
import { options } from "../adamscope.lab/choice.js";

const MOST_RACERS = 8;
const BASE = [
  { name: "epochs", label: "Epochs", hint: "Passes over the training pictures" },
  { name: "batch_size", label: "Batch", hint: "Pictures a step" },
  { name: "limit", label: "Pictures", hint: "Train on so many pictures; empty for all", empty: "all" },
  { name: "validation", label: "Held out", hint: "Training pictures that judge, and are not trained on" },
];
const PLAN = {
  grid: [],
  random: [{ name: "trials", label: "Draws", hint: "How many trials are drawn" }],
  halving: [
    { name: "trials", label: "Draws", hint: "How many trials are drawn; empty for every combination", empty: "grid" },
    { name: "min_epochs", label: "Rung", hint: "Epochs that all trials train for" },
    { name: "factor", label: "1 in", hint: "The best one in so many goes on, and trains so many times as long" },
  ],
};
const SEEDS = [
  { name: "seeds", label: "Seeds", hint: "Networks of each trial: other weights, batches and held-out pictures" },
  { name: "seed", label: "From", hint: "The first seed" },
];
const METHODS = [
  { name: "grid", title: "Grid: every combination" },
  { name: "random", title: "Random search" },
  { name: "halving", title: "Successive halving" },
];
const SENT = ["data", "model", "epochs", "batch_size", "seed", "limit", "validation", "method", "trials", "factor", "min_epochs", "seeds", "x", "y", "measure"];

/** send(message) hands a change to Python. Returns {node, update, set(name, value), press(button)}. */
export function createQuestion({ send }) {
  let pressed = null; // a button, until its message is on its way
  const messenger = createMessenger((message) => {
    send({ ...message, press: pressed });
    pressed = null;
  });
  let asked = null; // what Python last answered
  let wanted = null; // what the hand wants; ahead of it while an answer is under way
  let offer = null;
  let theme = null;
  let built = "";

  const racers = element("div.racers");
  const add = element("button.quiet", { type: "button", "aria-haspopup": "menu", onclick: () => openMenu(add, racersToAdd(), "Add a racer") }, "+ add a racer");
  const axes = element("div.axes-asked");
  const addAxis = element("button.quiet", { type: "button", "aria-haspopup": "menu", onclick: () => openMenu(addAxis, axesToAdd(), "Change something else") }, "+ change something else");
  const method = element("select", { "aria-label": "How trials are chosen", onchange: () => set("method", method.value) },
    ...METHODS.map(({ name, title }) => element("option", { value: name }, title)));
  const plan = element("div.settings");
  const data = element("select", { "aria-label": "Pictures to train on", onchange: () => set("data", data.value) });
  const about = element("p.hint");
  const model = element("select", { onchange: () => set("model", model.value) });
  const base = element("div.settings", {}, ...BASE.map(field));
  const size = element("p.size", { "aria-live": "polite" });
  const time = element("p.hint.time");
  const begin = element("button.start", { type: "button", onclick: () => start("start") }, "Start");
  const cost = element("small");
  const figure4 = element("button.quiet.figure4", { type: "button", onclick: () => start("figure4"),
    title: "β₁ × β₂ × lr, with and without bias correction, on these pictures (Kingma and Ba 2015, §6.4)" }, "Figure 4 of the Adam paper", cost);
  const node = element("section.question", { "aria-label": "What is tried" },
    element("h3", {}, "Racers"), racers, element("div.more", {}, add),
    element("h3", {}, "What changes"), axes, element("div.more", {}, addAxis),
    method, plan,
    element("h3", {}, "On what"), data, about, element("label.choices", {}, element("span", {}, "Network"), model), base,
    element("div.begin", {}, size, time, begin, figure4),
  );

  function field({ name, label, hint, empty = "" }) {
    const input = element("input.value", { type: "text", inputmode: "numeric", placeholder: empty, autocomplete: "off", "data-name": name,
      onchange: () => set(name, input.value.trim()) });
    return element("label.setting", { title: hint }, element("span", {}, label), input);
  }

  const query = () => {
    const pairs = [...wanted.racers.map((racer) => ["o", racer.text ?? racer.notation]), ...wanted.axes.map((axis) => ["axis", axis.text])];
    for (const name of SENT) pairs.push([name, wanted[name] ?? ""]);
    if (wanted.sweep) pairs.push(["sweep", wanted.sweep]);
    return pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  };

  function change(edit) {
    edit(wanted);
    messenger.ask({ query: query() });
  }

  const set = (name, value) => change((question) => (question[name] = value));

  function press(button) {
    pressed = button;
    messenger.ask({ query: query() });
  }

  function start(button) {
    begin.disabled = figure4.disabled = true; // until the new sweep is there, or why there is none
    press(button);
  }

  const racersToAdd = () =>
    offer.optimizers.map(({ name, title, purpose }) => ({
      title, note: purpose, action: () => change((question) => question.racers.push({ text: name })),
    }));

  const axesToAdd = () =>
    offer.axes.filter(({ name }) => !asked.axes.some((axis) => axis.name === name)).map(({ name, symbol, text }) => ({
      title: symbol === name ? name : `${symbol} (${name})`, note: text, action: () => change((question) => question.axes.push({ text })),
    }));

  function racerRow(racer, place) {
    const text = element("input.notation", { type: "text", spellcheck: "false", autocomplete: "off", value: racer.notation, "data-focus": `racer${place}`,
      "aria-label": `${racer.label} in racer notation`, onchange: () => change((question) => (question.racers[place].text = text.value)) });
    const remove = element("button.remove", { type: "button", "aria-label": `Leave out ${racer.label}`, title: "Leave out", "data-focus": `remove${place}`,
      onclick: () => change((question) => question.racers.splice(place, 1)) }, icon("close"));
    remove.hidden = asked.racers.length === 1;
    return element("div.one", {}, swatch(racer, colorOf(racer, theme), 32), text, remove);
  }

  function axisRow(axis, place) {
    const told = (text) => change((question) => (question.axes[place].text = text));
    const part = (label, value) => element("input.value", { type: "text", autocomplete: "off", value, "aria-label": `${axis.name}: ${label}`, title: label,
      "data-focus": `${label}${place}`, onchange: tell });
    let parts = [];
    function tell() {
      const [first, ...rest] = parts.map(({ value }) => value.trim().replace("−", "-"));
      told(axis.kind === "range" ? [axis.name, first, ...rest].join(",") : `${axis.name}=${first}`);
    }
    if (axis.kind === "range") parts = [part("from", axis.from), part("to", axis.to), part("how many", axis.count)];
    else parts = [part("values", axis.values)];
    const remove = element("button.remove", { type: "button", "aria-label": `Leave ${axis.name} as it is`, title: "Leave as it is", "data-focus": `leave${place}`,
      onclick: () => change((question) => question.axes.splice(place, 1)) }, icon("close"));
    remove.hidden = asked.axes.length === 1 && asked.racers.length === 1;
    return element(`div.axis.of-${axis.kind}`, {}, element("span.symbol", { title: axis.name }, axis.symbol), ...parts, remove);
  }

  function build() {
    const focused = node.getRootNode().activeElement?.dataset?.focus;
    racers.replaceChildren(...asked.racers.map(racerRow));
    axes.replaceChildren(...asked.axes.map(axisRow));
    plan.replaceChildren(...[...PLAN[asked.method], ...SEEDS].map(field));
    if (focused) node.querySelector(`[data-focus="${focused}"]`)?.focus();
  }

  const edited = new WeakSet(); // inputs with a text that is not told yet
  node.addEventListener("input", ({ target }) => edited.add(target));
  node.addEventListener("change", ({ target }) => edited.delete(target));

  return {
    node,
    set,
    press,
    update(meta, newTheme) {
      messenger.startAt(meta.turn);
      messenger.answered(meta.turn);
      if (!messenger.idle) return;
      [asked, offer, theme] = [meta.asked, meta.offer, newTheme];
      wanted = structuredClone(asked);
      options(data, offer.data, asked.data);
      options(model, offer.models, asked.model);
      method.value = asked.method;
      const { note, command } = offer.data.find(({ name }) => name === asked.data);
      data.title = note;
      about.hidden = asked.ready;
      about.replaceChildren(note, ...(command ? [" ", element("code", {}, command)] : []));
      add.disabled = asked.racers.length >= MOST_RACERS;
      begin.disabled = figure4.disabled = false; // their message is answered, by a sweep or by a notice
      write(size, asked.size);
      write(time, asked.time);
      write(cost, asked.figure4[0].split(":")[0] + (asked.figure4[1].startsWith("About") ? `, ${asked.figure4[1].split(",")[0].toLowerCase()}` : ""));
      // Rows are rebuilt only when other ones are needed, never under a hand that types; after a notice, to put back what was.
      const key = JSON.stringify([theme.dark, asked.racers, asked.axes, asked.method, meta.notices]);
      if (key !== built) build();
      built = key;
      for (const input of node.querySelectorAll("[data-name]")) {
        if (!edited.has(input)) input.value = asked[input.dataset.name] ?? "";
        input.disabled = asked.axes.some(({ name }) => name === input.dataset.name); // it is swept
      }
    },
    stop: messenger.stop,
  };
}
