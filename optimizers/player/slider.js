// A hyperparameter under the hand: a slider on the scale that suits it, and the number beside it.

import { element, mark, put, write } from "./dom.js";
import { formatSetting } from "./race.js";

const NOTCHES = 500; // positions of a slider

const round = (z, digits) => Number(z.toPrecision(digits));

/** Value at a position 0 … NOTCHES, rounded to what a hand can mean. */
function valueAtNotch(hyper, notch) {
  const value = numberAtNotch(hyper, notch);
  return hyper.whole && typeof value === "number" ? Math.round(value) : value;
}

function numberAtNotch({ slider: [low, high], scale, default: usual }, notch) {
  const share = notch / NOTCHES;
  if (scale === "log" && usual === 0 && notch === 0) return 0; // what is off at 0 can be switched off again
  if (typeof usual === "string" && notch === NOTCHES) return usual; // "all": beyond every number
  if (scale === "log") return round(low * (high / low) ** share, 3);
  if (scale === "one_minus_log") {
    const rest = (1 - low) * ((1 - high) / (1 - low)) ** share;
    return round(1 - round(rest, 2), 8);
  }
  const step = 10 ** Math.floor(Math.log10((high - low) / 100));
  return round(Math.round((low + (high - low) * share) / step) * step, 8);
}

/** The nearest position of a value; one outside the slider's range stands at its end. */
function notchOfValue({ slider: [low, high], scale }, value) {
  if (typeof value === "string") return NOTCHES; // "all"
  let share = (value - low) / (high - low);
  if (scale === "log") share = Math.log(Math.max(value, 1e-300) / low) / Math.log(high / low);
  if (scale === "one_minus_log") share = Math.log(Math.max(1 - value, 1e-300) / (1 - low)) / Math.log((1 - high) / (1 - low));
  return Math.round(Math.max(0, Math.min(1, share)) * NOTCHES);
}

/**
 * One row: symbol, slider, number. onInput(value, final) is called at every movement and once more at its end.
 * show(value) sets it from outside, except while a hand is on it. hyper.zero is what 0 is called ("off").
 */
export function createSlider({ hyper, owner, onInput }) {
  const name = `${hyper.name} of ${owner}`;
  const written = (z) => (z === 0 && hyper.zero ? hyper.zero : typeof z === "string" ? z : formatSetting(z));
  const range = element("input", { type: "range", min: 0, max: NOTCHES, step: 1, "aria-label": name });
  const number = element("input.value", {
    type: "text", inputmode: "decimal", "aria-label": `${name}, as a number`, spellcheck: "false", autocomplete: "off",
  });
  const symbol = element("span.symbol", { "aria-hidden": "true" }, hyper.symbol);
  const node = element("div.slider", { title: hyper.name }, symbol, range, number);
  let value = hyper.value;
  let dragging = false;

  function paint() {
    range.style.setProperty("--filled", range.value / NOTCHES);
    mark(range, "aria-valuetext", written(value));
  }

  function show(next) {
    if (dragging) return;
    value = next;
    put(range, notchOfValue(hyper, value));
    if (number.getRootNode().activeElement !== number) put(number, written(value));
    paint();
  }

  // One press of an arrow is one value on, however many notches that is.
  range.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!way || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    let notch = Number(range.value) + way;
    while (notch > 0 && notch < NOTCHES && valueAtNotch(hyper, notch) === value) notch += way;
    if (notch < 0 || notch > NOTCHES) return;
    range.value = notch;
    value = valueAtNotch(hyper, notch);
    number.value = written(value);
    paint();
    onInput(value, true);
  });
  range.addEventListener("input", () => {
    dragging = true;
    value = valueAtNotch(hyper, Number(range.value));
    put(number, written(value));
    paint();
    onInput(value, false);
  });
  range.addEventListener("change", () => {
    dragging = false;
    onInput(value, true);
  });
  number.addEventListener("focus", () => {
    number.value = String(value);
    number.select();
  });
  number.addEventListener("change", () => {
    const text = number.value.trim().replace("−", "-").replace(",", ".");
    if (text) onInput(text === hyper.zero ? 0 : text, true); // an emptied field asks for nothing: leaving it brings the value back
  });
  number.addEventListener("blur", () => (number.value = written(value)));
  number.addEventListener("keydown", (event) => {
    if (event.key === "Enter") number.blur();
    if (event.key === "Escape") {
      number.value = String(value);
      number.blur();
    }
  });
  show(value);
  return { node, show };
}

/** A choice among a few values, as a row of buttons. */
export function createChoice({ hyper, owner, onInput }) {
  const values = hyper.choices.map((choice) => choice.value);
  const buttons = hyper.choices.map(({ value, button: word }, index) => {
    const button = element("button", {
      type: "button", role: "radio", onclick: () => onInput(value, true), title: `${hyper.name}=${notationOf(value)}`,
    }, word);
    button.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!move) return;
      event.preventDefault();
      event.stopPropagation();
      const next = (index + move + buttons.length) % buttons.length;
      buttons[next].focus();
      buttons[next].click();
    });
    return button;
  });
  const group = element("div.segments", { role: "radiogroup", "aria-label": `${hyper.name} of ${owner}` }, ...buttons);
  const note = element("p.note");
  const node = element("div.choice", {}, element("span.symbol", {}, hyper.symbol), group, note);
  /** note: what goes with this choice, as a sentence. */
  function show(value, words = "") {
    write(note, words);
    buttons.forEach((button, index) => {
      const on = values[index] === value;
      mark(button, "aria-checked", on);
      mark(button, "tabindex", on ? 0 : -1);
    });
  }
  show(hyper.value, hyper.note);
  return { node, show };
}

/** A value as racer notation writes it: True, False, 0.05, first; what is typed and no word of it, in quotes. */
export function notationOf(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  const text = String(value);
  return /^[\w.+-]*$/.test(text) ? text : JSON.stringify(text);
}
