// One update taken apart into the stages its rule's program has, each with this step's numbers and a sentence.

import { formatNumber } from "./chart.js";
import { besidesSlope, biasFactor, formatSetting, hyperOf } from "./race.js";
import { entering, fadeOf } from "./vectors.js";
import { before, factorsOf, lrAt, symbolsOf, write as written } from "./worked.js";

const short = (z, digits = 3) => formatSetting(Number(z.toPrecision(digits)));
const percent = (share) => `${short(100 * share)} %`;
export const number = (z) => formatNumber(z, 3);
/** Two numbers in as many digits as tell them apart. */
const apart = (a, b) => {
  const digits = [3, 4, 5, 6].find((count) => a === b || formatNumber(a, count) !== formatNumber(b, count)) ?? 6;
  return [formatNumber(a, digits), formatNumber(b, digits)];
};
const changed = (a, b) => apart(a, b).join(" → ");
/** 0.316 as "31.6 % of lr", 3.16 as "3.16 × lr". */
const ofLr = (share) => (share > 1.0005 ? `${short(share)} × lr` : near(share, 1) ? "the whole of lr" : `${percent(share)} of lr`);
const bare = (text) => text.replace(/ₜ₋₁|[\s()√·]/g, "");
const both = (f) => [f(0), f(1)];
const near = (a, b) => Math.abs(a - b) <= 1e-4 * Math.max(Math.abs(a), Math.abs(b));
const same = ([a, b]) => (Number.isFinite(a) && near(a, b) ? a : null);
const size = (row, v) => (row.root ? v.map((z) => Math.sqrt(Math.max(0, z))) : v);

/**
 * Step k of a racer in stages: {columns: [{key, label, square}], stages: [{title, caption, numbers, column, label, from, to,
 * piece, shape}]}. A column is a quantity; a stage changes one: from -> to, per axis, what is drawn (of a square its side).
 * piece: what comes in, tip to tail. shape: how the last column shows it ("share", "arrow", "resultant", "move").
 */
export function stagesOf(race, racer, k) {
  const program = racer.program ?? { stages: [["show", "g"]], apart: "", shown: {}, lines: [] };
  const at = (slot, step = k) => both((axis) => racer.value(slot, step, axis));
  const rowOf = (slot) => racer.rows.find((row) => row.slot === slot) ?? { slot, label: slot };
  const plainLabel = (row) => row.label.replace(/^√/, "");
  const columns = [];
  const stages = [];
  const now = {}; // what each column shows by then
  const column = (key, row, square = false) => {
    if (!columns.some((one) => one.key === key)) columns.push({ key, label: row.label, square });
  };
  const add = (key, from, to, rest) => {
    now[key] = to;
    stages.push({ column: key, from, to, numbers: both((axis) => (from ? changed(from[axis], to[axis]) : number(to[axis]))), ...rest });
  };
  const g = at("g");
  const besides = besidesSlope(race);
  let seen = g; // as the rule sees it
  let seenLabel = "g";
  const faded = {};
  column("g", { label: "g" });
  for (const [kind, name] of program.stages) if (kind === "decay") column(name, rowOf(name), Boolean(rowOf(name).root));

  for (const [kind, name, state] of program.stages) {
    const row = rowOf(name);
    const label = plainLabel(row);
    if (kind === "decay") {
      const old = both((axis) => before(racer, name, k, axis));
      const factor = fadeOf(race, racer, name, k);
      faded[name] = Number.isFinite(factor) ? old.map((z) => z * factor) : old;
      now[name] = size(row, old);
      if (!Number.isFinite(factor) || Math.abs(factor - 1) < 1e-12) continue; // it forgets nothing
      const hyper = racer.hyper.find((one) => typeof one.value === "number" && near(one.value, factor) && one.scale === "one_minus_log");
      const why = `${hyper ? `${hyper.symbol} = ` : ""}${short(factor, 6)}`;
      const caption = old.every((z) => z === 0) ? `${label} starts at zero: there is nothing to fade yet (× ${why}).`
        : factor === 0 ? `${label} forgets all it was.`
        : `${label} fades: it keeps ${percent(factor)} of what it was (× ${why})${row.root ? `. ${row.label} is the side of the square` : ""}.`;
      add(name, size(row, old), size(row, faded[name]), { title: `decay ${label}`, caption });
    } else if (kind === "show" && name === "g") {
      add("g", null, g, { title: "show g", caption: besides.length ? `The gradient as the rule is given it: with ${besides.join(" and ")} it is not the surface's slope.` : "The gradient: how steep the surface is here, along x and along y." });
    } else if (kind === "replace") {
      [seen, seenLabel] = [at(name), row.label];
      add("g", g, seen, {
        title: `show ${label}`, label: row.label, piece: both((axis) => seen[axis] - g[axis]),
        caption: `Weight decay joins in: ${label} takes the gradient's place.`,
      });
    } else if (kind === "grow") {
      const to = at(name);
      const piece = both((axis) => to[axis] - faded[name][axis]);
      const added = entering(race, racer, name, k);
      const fits = both((axis) => {
        const wanted = added * seen[axis] ** (row.root ? 2 : 1);
        return Math.abs(piece[axis] - wanted) <= 1e-3 * Math.abs(wanted) + 2e-6 * Math.abs(to[axis]); // float32 holds no more
      });
      const share = fits.every(Boolean) ? added : null;
      const what = row.root ? `${seenLabel.includes(" ") ? `(${seenLabel})` : seenLabel}²` : seenLabel;
      let caption = `${label} becomes ${formulaOf(program, racer, name)}.`;
      if (piece.every((z) => z === 0)) caption = `${label} stays as it is.`;
      else if (share !== null && share > 0) caption = `${label} takes in ${near(share, 1) ? "the whole" : percent(share)} of ${what}.`;
      if (row.root) caption += ` The square's side, ${row.label}, follows.`;
      const drawn = row.root ? null : piece;
      add(name, size(row, faded[name]), size(row, to), { title: `grow ${label}`, caption, piece: drawn });
    } else if (kind === "correct") {
      const to = size(row, at(name));
      const from = now[state];
      const divisor = same(both((axis) => racer.value(state, k, axis) / racer.value(name, k, axis)));
      const by = divisor === null ? "" : factorsOf(racer, k).find(({ value }) => near(value, divisor))?.label;
      const how = divisor === null ? "" : ` = ${plainLabel(rowOf(state))} ÷ ${by ? `(${by}), that is ÷ ` : ""}${short(divisor, 4)}`;
      const caption = `${label}${how}: undoes the start at zero${divisor > 0.99 ? ", by now almost nothing" : ""}.`;
      add(state, from, to, { title: `correct ${plainLabel(rowOf(state))}`, label: row.label, caption });
    } else { // what the rule makes of it
      const value = at(name);
      const formula = formulaOf(program, racer, name);
      const title = `show ${label}`;
      if (value[0] === value[1] && !row.root && name !== racer.direction) {
        stages.push({ title, caption: `${label} = ${short(value[0], 4)}, from t alone: the same for x and y.`, column: null, numbers: null });
        continue;
      }
      column(name, row, Boolean(row.root));
      const said = bare(formula) === bare(label); // its name says how it is made
      const made = said ? row.label : `${row.label} is ${row.root ? `√(${formula})` : formula}`;
      const role = name === racer.direction ? ": the step will follow it" : row.root ? ": the size that divides" : "";
      const old = formula.includes("ₜ₋₁") ? ", with what the step before left" : "";
      add(name, null, size(row, value), { title, caption: `${made}${role}${old}.` });
    }
  }
  finish(race, racer, k, { at, plainLabel, column, add, program });
  return { columns, stages };
}

/** How a quantity is made, in symbols. */
function formulaOf(program, racer, name) {
  const term = program.shown[name] ?? program.lines.find((line) => line.name === name).cases[0].is;
  return written(term, symbolsOf(racer));
}

/** The row of a quantity; of one that is no more than a state (m̂ without correction), the state's. */
function plainRow(racer, slot, k) {
  const row = racer.rows.find((one) => one.slot === slot);
  const stages = racer.program?.stages ?? [];
  if (!row || stages.some(([, name]) => name === slot)) return row;
  const equal = (name) => both((axis) => racer.value(name, k, axis) === racer.value(slot, k, axis)).every(Boolean);
  const state = stages.find(([kind, name]) => kind === "grow" && equal(name));
  return state ? racer.rows.find((one) => one.slot === state[1]) : row;
}

/** What every rule ends with: the direction is scaled, Δx and Δy make one step, θ moves. */
function finish(race, racer, k, { at, plainLabel, column, add, program }) {
  const [direction, effective, update] = [at(racer.direction), at("effective_lr"), at("update")];
  const lr = lrAt(race, racer, k);
  const named = plainRow(racer, racer.direction, k);
  const label = named ? plainLabel(named) : "g";
  column("update", { label: "Δθ" });
  const own = both((axis) => -effective[axis] * direction[axis]);
  if (near(effective[0], effective[1]) || lr === 0) {
    const factor = near(effective[0], lr) ? `lr = ${short(lr)}` : `${racer.effective_label} = ${short(effective[0])}`;
    const caption = `${label} times ${factor}, and turned round${label === "g" && !besidesSlope(race).length ? ": downhill" : ""}.`;
    add("update", null, own, { title: "scale", shape: "arrow", caption });
  } else {
    const roots = racer.rows.filter((row) => row.root);
    const root = roots.length ? plainRow(racer, roots[roots.length - 1].slot, k) : null;
    const sizes = both((axis) => lr / effective[axis]);
    const square = root && both((axis) => Math.abs(Math.sqrt(racer.value(root.slot, k, axis)) / sizes[axis] - 1) < 0.01).every(Boolean);
    const share = both((axis) => direction[axis] / sizes[axis]);
    const [x, y] = share.map((z) => ofLr(Math.abs(z)));
    const moved = x === y ? `${x} in x and in y` : `${x} in x, ${y} in y`;
    add("update", null, own, {
      title: "divide", shape: "share", lr,
      numbers: both((axis) => `${number(direction[axis])} ÷ ${number(sizes[axis])} = ${number(share[axis])}`),
      caption: (square ? `On each axis ${label} is divided by the side of its square, ${root.label}: ${moved}.`
        : `On each axis ${label} has a factor of its own, ${racer.effective_label}: ${moved}.`) + biased(racer, k),
    });
  }
  const rest = program.apart ? at(program.apart) : [0, 0];
  const pulled = rest.some((z) => z !== 0);
  add("update", own, update, {
    title: "resultant", shape: "resultant", rest: rest.map((z) => -z),
    numbers: both((axis) => number(update[axis])),
    caption: `Δx and Δy, tip to tail, make the step${pulled ? "; weight decay's own pull, −lr·λθ, is in it" : ""}.`,
  });
  const there = both((axis) => racer.value("theta", k, axis) + update[axis]);
  const [f, after] = [racer.loss[k], racer.loss[k + 1]];
  const how = !Number.isFinite(after) ? "there the race is lost" : `${after > f ? "uphill, " : ""}f from ${apart(f, after).join(" to ")}`;
  add("update", update, update, {
    title: "move", shape: "move", numbers: both((axis) => changed(racer.value("theta", k, axis), there[axis])),
    caption: `θ moves to ${short(there[0], 4)}, ${short(there[1], 4)}: ${how}.`,
  });
}

/** What the start at zero does to this step's length, where it shows. */
function biased(racer, k) {
  if (!racer.bias || !racer.rows.some(({ slot }) => slot === "v")) return "";
  const roots = both((axis) => Math.sqrt(racer.value("v", k, axis)));
  const factor = biasFactor(k + 1, racer.bias);
  const eps = hyperOf(racer, "eps_placement") === "inside" ? Infinity : (hyperOf(racer, "eps") ?? 0);
  if (factor < 1.25 || roots.some((root) => root < 100 * eps)) return ""; // ε has a part in it
  const { correct_m: m, correct_v: v } = racer.bias;
  if (!m && !v) return ` Uncorrected, m is too small but √v smaller still: the step is ${short(factor)} × what correction would make.`;
  return m && v && factor >= 1.5 ? ` Without correction the same m and v would make it ${short(factor)} × as long.` : "";
}
