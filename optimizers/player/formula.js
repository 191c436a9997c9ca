// The field for one's own f(x, y). Python is the parser: what is typed is tried once the hand rests.

import { element, write } from "./dom.js";

const REST = 250; // ms without a key before a formula is tried
const LONGEST = 280; // characters; of those beyond its own limit Python says so kindly
const EXAMPLE = "x^2/2 + 5*y^2 + sin(3*x)";

/** onTry(text) hands over what was typed; answered(sentence, f) is what became of it. */
export function createFormula({ onTry }) {
  const field = element("textarea", {
    rows: 1, maxlength: LONGEST, spellcheck: "false", autocomplete: "off", autocapitalize: "off",
    "aria-label": "Your own f(x, y)", "aria-describedby": "formula-said", placeholder: EXAMPLE,
  });
  const said = element("p.said", { id: "formula-said", role: "status" });
  const node = element("div.formula-field", { hidden: true },
    element("label", {}, element("span.symbol", { "aria-hidden": "true" }, "f ="), field), said);
  let timer = 0;
  let tried = ""; // the text that was handed over last
  let running = ""; // the formula that races, as Python writes it
  let waiting = false; // for what becomes of it

  function attempt() {
    clearTimeout(timer);
    timer = 0;
    if (node.hidden) return; // closing it takes the focus from it, which ends an entry
    const text = field.value.replace(/\s+/g, " ").trim() || " "; // of none Python says that it is empty
    if (text === tried) return;
    tried = text;
    waiting = true;
    onTry(text);
  }

  function say(sentence) {
    write(said, sentence);
    field.setAttribute("aria-invalid", String(sentence !== ""));
  }

  /** As high as its text. */
  function fit() {
    field.style.height = "0";
    field.style.height = `${field.scrollHeight + 2}px`; // and its border
  }

  field.addEventListener("input", () => {
    fit();
    clearTimeout(timer);
    timer = setTimeout(attempt, REST);
  });
  field.addEventListener("change", attempt);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    attempt();
  });

  return {
    node,
    get open() { return !node.hidden; },
    get said() { return said.textContent; },
    get waiting() { return waiting; },
    /** Opens with a first formula (an example where there is none) and tries it. */
    begin(text) {
      node.hidden = false;
      field.value = text || EXAMPLE;
      tried = "";
      say("");
      fit();
      field.focus();
      attempt();
    },
    close() {
      clearTimeout(timer);
      timer = 0;
      waiting = false;
      node.hidden = true;
      tried = running = "";
      say("");
    },
    /** sentence: what is wrong with it; "" where f, as Python writes it, races now. The text stays as it was typed. */
    answered(sentence, f) {
      waiting = false;
      if (!timer) say(sentence);
      if (!sentence) running = f;
    },
    /** Another formula than the field's races: it came by a link. */
    show(f) {
      if (f === running) return;
      node.hidden = false;
      running = f;
      tried = field.value = f;
      say("");
      fit();
    },
  };
}
