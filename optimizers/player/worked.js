// A step with its numbers in it: a racer's rule as program.py sends it, evaluated and written in plain text.

import { formatNumber } from "./chart.js";
import { formatSetting, hyperOf } from "./race.js";

// How tightly a text holds together: what is looser than its place asks for gets parentheses.
const [SUM, PRODUCT, POWER, ATOM] = [0, 1, 2, 3];
const SUPERSCRIPT = { "−": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹", t: "ᵗ" };
const BEFORE = "ₜ₋₁"; // a state as the step before left it
export const AXES = ["x", "y"];

const COMPUTE = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  "**": (a, b) => a ** b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  neg: (a) => -a,
  abs: Math.abs,
  sqrt: Math.sqrt,
  sign: Math.sign,
  max: (a, b) => (a < b || b !== b ? b : a),
  min: (a, b) => (b < a ? b : a),
};

/** What a term of a program is, where `known` gives each name's number. */
export function evaluate(term, known) {
  if (typeof term === "number") return term;
  if (typeof term === "string") return known[term];
  return COMPUTE[term[0]](...term.slice(1).map((inner) => evaluate(inner, known)));
}

/** The lr of step k: the racer's own times the schedule's factor. */
export const lrAt = (race, racer, k) => hyperOf(racer, "lr") * (race.factors ? race.factors[k] : 1);

/** What a state was before step k. */
export const before = (racer, state, k, axis) => (k > 0 ? racer.value(state, k - 1, axis) : racer.program.initial[state]);

/** The case of a line that holds; undefined where the step does not use it. */
const caseOf = (line, known) => line.cases.find((one) => one.if.every(([question, holds]) => evaluate(question, known) === holds));

/** Give every line's value its name in `known`: as recorded says where it has one, else as the line computes it. */
export function compute(program, known, recorded = () => undefined) {
  for (const line of program.lines) {
    const holding = caseOf(line, known);
    if (holding) known[`${line.name}'`] = recorded(line.name) ?? evaluate(holding.is, known);
  }
  return known;
}

/** Every name's number at step k along an axis. */
function numbersOf(race, racer, k, axis) {
  const known = { t: k + 1, g: racer.value("g", k, axis), theta: racer.value("theta", k, axis) };
  for (const { name, value } of racer.hyper) known[name] = value;
  known.lr = lrAt(race, racer, k);
  for (const state of Object.keys(racer.program.initial)) known[state] = before(racer, state, k, axis);
  const recorded = (name) => (name !== "update" && racer.slots.includes(name) ? racer.value(name, k, axis) : undefined);
  for (const name of Object.keys(racer.program.shown)) known[`${name}'`] = recorded(name);
  return compute(racer.program, known, recorded);
}

/** The same for x and y? Only hyperparameters, t and what is made of them are. */
function isCommon(term, racer) {
  if (typeof term === "number") return true;
  if (typeof term !== "string") return term.slice(1).every((inner) => isCommon(inner, racer));
  if (term === "t" || racer.hyper.some(({ name }) => name === term)) return true;
  return racer.program.lines.some((line) => line.common && `${line.name}'` === term);
}

const leaves = (term) => (typeof term === "string" ? [term] : typeof term === "number" ? [] : term.slice(1).flatMap(leaves));

/** How names are written: atoms for write(). */
export function symbolsOf(racer) {
  const symbols = { theta: "θ", g: "g", t: "t" };
  for (const { name, symbol } of racer.hyper) symbols[name] = symbol;
  for (const line of racer.program.lines) {
    symbols[`${line.name}'`] = line.symbol;
    if (line.name in racer.program.initial) symbols[line.name] = `${line.symbol}${/[ₐ-ₜ]$/.test(line.symbol) ? "," : ""}${BEFORE}`;
  }
  for (const { slot, label } of racer.rows) symbols[`${slot}'`] ??= label;
  return (term) => (typeof term === "string" ? [symbols[term] ?? term, /\s/.test(symbols[term]) ? SUM : ATOM] : null);
}

/** How tightly a written number holds together. */
const level = (text) => (/^[−-]/.test(text) ? SUM : text.includes("×") ? PRODUCT : /^10[⁻⁰-⁹¹²³]/.test(text) ? POWER : ATOM);

/**
 * Names as numbers. What hyperparameters alone decide is one number; where it is brief, so is what only t decides, and
 * a root of one quantity.
 */
function numberAtoms(racer, known, digits, brief) {
  const chosen = new Set(["t", ...racer.hyper.map(({ name }) => name)]);
  return (term) => {
    if (typeof term !== "string") {
      if (typeof term === "number") return null;
      const names = leaves(term);
      const folds = !names.includes("lr") && (brief || !names.includes("t")) && isCommon(term, racer);
      const rooted = brief && term[0] === "sqrt" && typeof term[1] === "string";
      if (!folds && !rooted) return null;
    }
    const own = typeof term === "string" && chosen.has(term) && !(term === "lr" && known.lr !== hyperOf(racer, "lr"));
    const text = plain(evaluate(term, known), own ? 6 : digits);
    return [text, level(text)];
  };
}

/** A number without zeros behind: 0.271, 10⁻⁸. */
export const plain = (z, digits) => (Number.isFinite(z) && z !== 0 ? formatSetting(Number(z.toPrecision(digits))) : formatNumber(z));

/** A term as text; atom(term) says [text, level] of what is written without looking into it. */
export function write(term, atom) {
  return text(term, atom)[0];
}

function text(term, atom) {
  const known = atom(term);
  if (known) return known;
  if (typeof term === "number") {
    const written = plain(term, 15);
    return [written, level(written)];
  }
  const [operation, a, b] = term;
  if (operation === "+" || operation === "-") {
    let sign = operation;
    let right = held(b, PRODUCT, atom);
    if (Array.isArray(b) && ["*", "/", "neg"].includes(b[0]) && !atom(b)) {
      const [negative, positive] = product(b, atom); // a + (−b) is a − b
      right = positive;
      if (negative) sign = sign === "+" ? "-" : "+";
    }
    return [`${text(a, atom)[0]} ${sign === "+" ? "+" : "−"} ${right}`, SUM];
  }
  if (["*", "/", "neg"].includes(operation)) {
    const [negative, positive] = product(term, atom);
    return negative ? [`−${positive}`, SUM] : [positive, PRODUCT];
  }
  if (operation === "**") return [`${held(a, ATOM, atom)}${raised(text(b, atom)[0])}`, POWER];
  if (operation === "sqrt") return [`√${held(a, ATOM, atom)}`, ATOM];
  if (operation === "abs") return [`|${text(a, atom)[0]}|`, ATOM];
  return [`${operation}(${term.slice(1).map((inner) => text(inner, atom)[0]).join(", ")})`, ATOM];
}

function raised(exponent) {
  if ([...exponent].every((sign) => sign in SUPERSCRIPT)) return [...exponent].map((sign) => SUPERSCRIPT[sign]).join("");
  return /^[\d.]+$/.test(exponent) ? `^${exponent}` : `^(${exponent})`;
}

function held(term, least, atom) {
  const [written, own] = text(term, atom);
  return own >= least ? written : `(${written})`;
}

/** Factors and divisors as one fraction: [negative, text]. */
function product(term, atom) {
  const { negative, above, below } = factors(term, atom);
  const over = joined(above, atom);
  if (!below.length) return [negative, over];
  const single = below.length === 1 ? held(below[0], POWER, atom) : `(${joined(below, atom)})`;
  return [negative, `${over} / ${single}`];
}

function factors(term, atom) {
  if (!Array.isArray(term) || atom(term) || !["*", "/", "neg"].includes(term[0])) return { negative: false, above: [term], below: [] };
  const left = factors(term[1], atom);
  if (term[0] === "neg") return { ...left, negative: !left.negative };
  if (term[0] === "/" && Array.isArray(term[2]) && term[2][0] === "/") return { ...left, below: [...left.below, term[2]] };
  let { negative, above, below } = factors(term[2], atom);
  if (term[0] === "/") [above, below] = [below, above];
  return { negative: left.negative !== negative, above: [...left.above, ...above], below: [...left.below, ...below] };
}

/** Factors side by side, equal ones as a power. */
function joined(terms, atom) {
  const counts = new Map();
  for (const term of terms) {
    const key = JSON.stringify(term);
    counts.set(key, { term, times: (counts.get(key)?.times ?? 0) + 1 });
  }
  const parts = [...counts.values()].map(({ term, times }) =>
    times === 1 ? held(term, counts.size === 1 ? PRODUCT : POWER, atom) : held(term, ATOM, atom) + raised(String(times)));
  if (!parts.length) return "1";
  return parts.reduce((before, part, index) => {
    const last = parts[index - 1];
    const dot = /^[(−|]?\d/.test(part) || /\d\)?$/.test(last) || (last.endsWith(")") && (!last.startsWith("(") || part.startsWith("(")));
    const word = /[a-z]{2}$/.test(last) || /^[a-z]{2}/.test(part);
    return before + (dot ? " · " : word ? "·" : "") + part;
  });
}

/**
 * The lines of step k: [{name, symbol, formula, axes: [{axis, left, numbers, value}]}]; one axis "" where both have the same.
 * A step that would have left the surface's box has a last line: it was put back onto it ("projected").
 */
export function linesOf(race, racer, k, { digits = 4, brief = false, only = null } = {}) {
  const known = [0, 1].map((axis) => numbersOf(race, racer, k, axis));
  const symbols = symbolsOf(racer);
  const lines = [];
  const add = (line, term) => {
    const axes = (line.common ? [""] : AXES).map((axis, index) => ({
      axis,
      left: leftOf(line, axis),
      numbers: write(term, numberAtoms(racer, known[index], digits, brief)),
      value: evaluate(term, known[index]),
    }));
    lines.push({ name: line.name, symbol: line.symbol, formula: write(term, symbols), axes });
  };
  for (const line of racer.program.lines) {
    if (only && line.name !== only) continue;
    const holding = caseOf(line, known[0]);
    if (holding) add(line, holding.is);
  }
  const { box } = race.surface; // x0, x1, y0, y1
  const moved = known.map((own) => own.theta + own["update'"]);
  if (box && moved.some((z, axis) => z < box[2 * axis] || z > box[2 * axis + 1])) {
    const axes = AXES.map((axis, index) => {
      const put = ["-", ["min", ["max", ["+", "theta", "update'"], box[2 * index]], box[2 * index + 1]], "theta"];
      return {
        axis, left: leftOf({ name: "update" }, axis),
        numbers: write(put, numberAtoms(racer, known[index], digits, false)), value: evaluate(put, known[index]),
      };
    });
    lines.push({ name: "projected", symbol: "Δθ", formula: "put back onto the edge", axes });
  }
  return lines;
}

const leftOf = ({ name, symbol }, axis) => (name === "update" ? `Δ${axis}` : axis ? `${symbol}, ${axis}` : symbol);

/** What 1 − βᵗ is at step k, for each β the rule corrects by: [{label, value}]. */
export function factorsOf(racer, k) {
  return (racer.program?.factors ?? []).map((name) => {
    const { symbol, value } = racer.hyper.find((hyper) => hyper.name === name);
    return { label: `1−${symbol}ᵗ`, value: 1 - value ** (k + 1) };
  });
}

/** Step k in plain text, six digits, to paste anywhere. */
export function textOf(race, racer, k) {
  const at = AXES.map((axis, index) => `${axis} = ${formatNumber(racer.value("theta", k, index), 6)}`).join(", ");
  const head = [
    `${racer.label} on ${race.surface.title}, step ${k} (t = ${k + 1})`, racer.notation,
    `at ${at}; g = (${AXES.map((_, index) => formatNumber(racer.value("g", k, index), 6)).join(", ")})`,
  ];
  const lines = linesOf(race, racer, k, { digits: 6 }).flatMap(({ symbol, formula, axes }) => [
    "",
    `${symbol} = ${formula}`,
    ...axes.map(({ axis, left, numbers, value }) => {
      const result = plain(value, 6);
      const name = symbol === "Δθ" ? left : axis || symbol;
      return `  ${name}${symbol !== "Δθ" && axis ? ":" : " ="} ${numbers}${numbers === result ? "" : ` = ${result}`}`;
    }),
  ]);
  return [...head, ...lines].join("\n");
}
