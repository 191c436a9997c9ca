// What else a run is trained under, behind one quiet line that says what is set: schedule, clipping, weight decay,
// dropout, label smoothing, augmentation, seeds, precision.

import { element, icon, write } from "../adamscope.player/dom.js";

const FIELDS = [
  { name: "clip_norm", label: "Clip |g|", hint: "Greatest norm of the gradient over all weights", empty: () => "off", says: (value) => `|g| ≤ ${value}` },
  { name: "clip_value", label: "Clip each", hint: "Greatest size of each entry of the gradient", empty: () => "off", says: (value) => `each ≤ ${value}` },
  { name: "weight_decay", label: "Decay λ", hint: "Of the penalty λ/2·‖w‖² on kernels and matrices; empty for the network's own", empty: ({ weight_decay }) => String(weight_decay), says: (value) => `λ ${value}` },
  { name: "dropout", label: "Dropout", hint: "Share of its inputs that a dropout layer sets to zero, the same for all racers; empty for the network's own", empty: ({ dropout }) => dropout, says: (value) => `dropout ${value}` },
  { name: "label_smoothing", label: "Smoothing", hint: "Share of each right answer that is spread over all classes", empty: () => "0", says: (value) => `smoothing ${value}` },
  { name: "seeds", label: "Seeds", hint: "Train with so many at once, from the seed upwards; they are drawn as bands", empty: () => "1", says: (value) => `${value} seeds` },
  { name: "telemetry", label: "Telemetry", hint: "Look inside the networks every so many steps; 0 is never, empty 25 times an epoch", empty: () => "auto", says: (value) => (value === 0 ? "no telemetry" : `telemetry every ${value}`) },
  { name: "sharpness", label: "Sharpness", hint: "Measure the sharpness every so many steps, which takes as long as some hundred of them; 0 is never", empty: () => "0", says: (value) => `sharpness every ${value}` },
];
const DEFAULTS = { label_smoothing: 0, seeds: 1, sharpness: 0 };
const PRECISIONS = {
  auto: "bf16 where the processor or GPU computes in it, else fp32", fp32: "Single precision throughout, by IEEE 754",
  tf32: "Single precision, whose convolutions and products round what they multiply to 10 bits: GPUs only",
  bf16: "Networks compute in bfloat16, 8 bits of precision; weights and optimizers stay in fp32",
};
const AUGMENTATIONS = {
  crop: "Move by up to 2 pixels of 32", flip: "Mirror every other picture", jitter: "Change saturation, contrast and brightness",
  shear: "Slant by up to 0.2", zoom: "Stretch or shrink by up to 0.2",
};

/** What of a run's settings is not at its default, in words. */
export function described(settings) {
  const precision = settings.precision === "auto" ? "" : settings.precision;
  const said = [settings.schedule, settings.augment && settings.augment.replaceAll("+", " + "), precision];
  for (const { name, says } of FIELDS) if (isSet(name, settings[name])) said.push(says(settings[name]));
  return said.filter(Boolean).join(", ");
}

const isSet = (name, value) => value !== null && value !== undefined && value !== DEFAULTS[name];

/** set(name, value) tells a change. Returns {node, names, update(asked, offer)}. */
export function createSettings({ set }) {
  const summary = element("span");
  const button = element("button.summary.quiet", { type: "button", "aria-expanded": "false", onclick: toggle }, icon("forward"), summary);
  const list = element("datalist", { id: "adamscope-schedules" });
  const schedule = element("input.value", { type: "text", list: list.id, placeholder: "constant", spellcheck: "false", autocomplete: "off",
    onchange: () => set("schedule", schedule.value.trim()) });
  const inputs = FIELDS.map(({ name, label, hint, empty }) => {
    const input = element("input.value", { type: "text", inputmode: "decimal", autocomplete: "off", onchange: () => set(name, input.value.trim()) });
    return { name, empty, input, node: element("label.setting", { title: hint }, element("span", {}, label), input) };
  });
  const changes = element("div.changes", { role: "group", "aria-label": "Change training pictures at random" });
  const rows = element("div.augment", {}, element("span", {}, "Augment"), changes);
  const precisions = element("div.changes", { role: "group", "aria-label": "Precision" });
  const body = element("div.body", { hidden: true },
    element("label.choices", { title: "Of the learning rate, over all steps of the run; parts follow one another with +" }, element("span", {}, "Schedule"), schedule), list,
    rows, element("div.augment", {}, element("span", {}, "Precision"), precisions), element("div.settings", {}, ...inputs.map((one) => one.node)));
  const node = element("section.more-settings", { "aria-label": "More settings" }, button, body);

  let words = ""; // what is not at its default

  function toggle() {
    body.hidden = !body.hidden;
    button.setAttribute("aria-expanded", String(!body.hidden));
    tell();
    if (!body.hidden) body.scrollIntoView({ block: "nearest" });
  }

  /** Closed, the line says what is set. */
  function tell() {
    write(summary, words && body.hidden ? `More settings: ${words}` : "More settings");
    button.title = body.hidden ? words : "";
  }

  /** Offer these names as buttons in a row; press(name) is called for one. */
  function build(row, names, titles, press) {
    if (row.children.length === names.length) return;
    row.replaceChildren(...names.map((name) => element("button", { type: "button", "data-name": name, title: titles[name], onclick: () => press(name) }, name)));
  }

  const mark = (row, chosen) => {
    for (const one of row.children) one.setAttribute("aria-pressed", String(chosen.includes(one.dataset.name)));
  };

  const edited = new WeakSet(); // inputs with a text that is not told yet
  body.addEventListener("input", ({ target }) => edited.add(target));
  body.addEventListener("change", ({ target }) => edited.delete(target));

  return {
    node,
    names: ["schedule", "augment", "precision", ...FIELDS.map(({ name }) => name)],
    update(asked, offer) {
      const model = offer.models.find(({ name }) => name === asked.model);
      const texts = offer.data.find(({ name }) => name === asked.data)?.kind === "texts";
      if (list.children.length !== offer.schedules.length) list.replaceChildren(...offer.schedules.map((value) => element("option", { value })));
      if (!edited.has(schedule)) schedule.value = asked.schedule ?? "";
      rows.hidden = texts;
      const chosen = asked.augment ? asked.augment.split("+") : [];
      build(changes, offer.augmentations, AUGMENTATIONS, (name) => {
        const pressed = (other) => changes.querySelector(`[data-name="${other}"]`).getAttribute("aria-pressed") === "true";
        set("augment", offer.augmentations.filter((other) => (other === name) !== pressed(other)).join("+"));
      });
      mark(changes, chosen);
      build(precisions, offer.precisions, PRECISIONS, (name) => set("precision", name));
      mark(precisions, [asked.precision]);
      for (const { name, input, empty } of inputs) {
        input.placeholder = empty(model);
        if (!edited.has(input)) input.value = isSet(name, asked[name]) ? asked[name] : "";
      }
      schedule.title = asked.schedule ?? "";
      words = described(asked);
      tell();
    },
  };
}
