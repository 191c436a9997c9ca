// One plain sentence that is true of this step: of the first rule whose condition the numbers meet.

import { formatNumber } from "./chart.js";
import { besidesSlope, biasFactor, formatSetting, hyperOf, isRandom } from "./race.js";

const AXES = ["x", "y"];
const both = (f) => [f(0), f(1)];
const short = (z, digits = 3) => formatSetting(Number(z.toPrecision(digits)));
const percent = (share, digits = 3) => `${short(100 * share, digits)} %`;
const near = (a, b, share = 0.01) => Math.abs(a - b) <= share * Math.abs(b);

/** A row as it is to be called: without correction m̂ is m itself. */
const called = (row, corrected) => row && (corrected === 0 ? { ...row, label: row.label.normalize("NFD").replace(/\u0302/g, "") } : row);

/** The numbers of step k of a racer that the rules look at. */
function facts(race, racer, k) {
  const at = (slot, step = k) => both((axis) => racer.value(slot, step, axis));
  const length = (v) => Math.hypot(v[0], v[1]);
  const rooted = racer.rows.filter((row) => row.root);
  const divisor = called(rooted[rooted.length - 1] ?? null, racer.bias?.correct_v); // what the direction is divided by
  const rowOf = (slot) => racer.rows.find((row) => row.slot === slot) ?? null;
  const g = at("g");
  const update = at("update");
  const lr = hyperOf(racer, "lr");
  const direction = at(racer.direction);
  const directionLabel = called(rowOf(racer.direction), racer.bias?.correct_m)?.label ?? racer.direction;
  const root = divisor ? at(divisor.slot).map(Math.sqrt) : null;
  const decay = rowOf("decay") ? at("decay") : [0, 0]; // decoupled weight decay, a step of its own
  const own = both((a) => update[a] + decay[a]); // what the rule does beside it
  return {
    race, racer, k, at, length, g, update, pure: !besidesSlope(race).length, // g is the slope of f
    divisor, lr, direction, directionLabel, root, decay, own,
    memory: rooted.length ? memoryOf(racer, rooted[0], k) : null,
    carrier: rowOf("m")?.label ?? null, // what gradients before are kept in
    seen: rowOf("decayed") ? at("decayed") : g, // the gradient as the rule sees it, with weight decay in it
    signs: directionLabel === "sign",
    usual: both((a) => near(own[a], (-lr * direction[a]) / (root ? root[a] : 1))).every(Boolean),
    downhill: -(update[0] * g[0] + update[1] * g[1]), // positive: the step starts downhill
    rises: racer.loss[k + 1] > racer.loss[k] * (racer.loss[k] > 0 ? 1.02 : 0.98),
    big: Math.abs(update[0]) >= Math.abs(update[1]) ? 0 : 1, // the axis that moves most
    uncorrected: hyperOf(racer, "bias_correction") === false,
  };
}

/** How a sum of squared gradients forgets, from its numbers: {slot, label, decay}, decay 1 where it never does; null if neither. */
function memoryOf(racer, { slot, label }, k) {
  if (k === 0) return null;
  const decays = racer.hyper.filter(({ scale }) => scale === "one_minus_log").map(({ value }) => value);
  const fits = (kept, added) => both((axis) => {
    const after = kept * racer.value(slot, k - 1, axis) + added * racer.value("g", k, axis) ** 2;
    return near(racer.value(slot, k, axis), after, 1e-5);
  }).every(Boolean);
  const decay = fits(1, 1) ? 1 : decays.find((kept) => fits(kept, 1 - kept));
  return decay === undefined ? null : { slot, label: label.replace("√", ""), decay };
}

const RULES = {
  still({ g, update, lr, pure }) {
    if (update.some((z) => z !== 0)) return null;
    if (lr === 0) return "Nothing moves: lr is 0.";
    return g.every((z) => z === 0) ? `Nothing moves: ${pure ? "the slope here" : "g"} is 0.` : "Nothing moves: the step is 0.";
  },

  first({ k, g, seen, update, lr, racer, root, direction, divisor, directionLabel, pure }) {
    if (k > 0 || g.some((z, a) => z === 0 || z !== seen[a])) return null;
    const slopes = `${formatNumber(Math.abs(g[0]), 3)} in x, ${formatNumber(Math.abs(g[1]), 3)} in y`;
    if (!root) {
      if (!both((a) => near(update[a], -lr * g[a])).every(Boolean)) return null;
      const steep = Math.abs(g[0]) > Math.abs(g[1]) ? 0 : 1;
      const ratio = Math.abs(g[steep] / g[1 - steep]);
      if (!pure) return `First step: −lr × g. g is ${short(ratio)} times as large in ${AXES[steep]} as in ${AXES[1 - steep]}, and so is the step.`;
      return `First step: −lr × g, straight downhill. ` +
        `The slope is ${short(ratio)} times as steep in ${AXES[steep]} as in ${AXES[1 - steep]}, and the step as many times as long.`;
    }
    const factor = both((a) => Math.abs(update[a]) / lr);
    if (!near(factor[0], factor[1])) return null;
    const kept = Math.abs(direction[0] / g[0]);
    const share = root[0] / Math.abs(g[0]);
    if (!near(factor[0], kept / share)) return null; // something else has a part in it
    if (near(kept, 1) && near(share, 1)) {
      const why = racer.direction === "g" ? `${divisor.label} = |g|` : `${directionLabel} = g and ${divisor.label} = |g|`;
      return `First step: ${why}, so each axis moves by lr = ${short(lr)}, whatever ${pure ? "the slope" : "|g| is"} (${slopes}).`;
    }
    const part = near(kept, 1) ? "" : `${percent(kept)} of `;
    const small = share < 0.99 ? `is only ${percent(share)} of |g|` : `is ${near(share, 1) ? "" : `${short(share)} × `}|g|`;
    const direct = racer.direction === "g" ? "" : `${directionLabel} is ${part}g, ${share < 0.99 ? "but" : "and"} `;
    return `First step: ${direct}${divisor.label} ${small}, ` +
      `so each axis moves by ${short(factor[0])} × lr.`;
  },

  growing({ racer, k, update, at, length, race }) {
    if (racer.diverged === null || k === 0 || race.surface.lowest === null) return null;
    const ratio = length(update) / length(at("update", k - 1));
    const [x, y] = at("theta");
    const [x0, x1, y0, y1] = race.surface.bounds;
    if (!(ratio > 1.2) || (x > x0 && x < x1 && y > y0 && y < y1)) return null;
    return `Off the map and going faster: this step is ${short(ratio)} × as long as the last. ` +
      `Its lr is too large for this slope.`;
  },

  uphill({ race, racer, downhill, rises, k, at, g, seen, own, decay, directionLabel, carrier, signs, pure }) {
    if (!rises || k === 0 || downhill === 0) return null;
    const present = pure ? "the present slope" : "the present g";
    const f = `f goes from ${formatNumber(racer.loss[k], 3)} to ${formatNumber(racer.loss[k + 1], 3)}`;
    if (downhill < 0) {
      const pulled = differ(seen, g);
      if (carrier && !pulled && own[0] * g[0] + own[1] * g[1] > 0) { // uphill without any decay
        return `This step goes uphill (${f}): ${signs ? carrier : directionLabel} still carries the gradients before, ` +
          `and outweighs ${present}.`;
      }
      if (!pulled && decay.every((z) => z === 0)) return null;
      return `This step goes uphill (${f}): ` +
        `${carrier ? "the gradients before and weight decay outweigh" : "weight decay outweighs"} ${present}.`;
    }
    const mixed = besidesSlope(race).filter((word) => word !== "clipping" || race.conditions.clip_value !== null); // a shorter g points the same way
    if (mixed.length) return `It sets out against g and ends higher (${f}): with ${mixed.join(" and ")} g is not the slope of f.`;
    const next = k + 1 < race.steps ? at("g", k + 1) : [NaN, NaN];
    const across = next[0] * g[0] + next[1] * g[1] < 0; // there the slope points the other way
    return `It starts downhill but ${across ? "lands higher on the other wall" : "ends higher"} (${f}): ` +
      `the step is too long for this slope.`;
  },

  arrived({ race, k, at, update, length }) {
    const [x0, x1, y0, y1] = race.surface.bounds;
    const [x, y] = at("theta");
    const away = Math.min(...race.surface.minima.map(([mx, my]) => Math.hypot(x - mx, y - my)));
    if (!(away < 0.002 * Math.hypot(x1 - x0, y1 - y0))) return null;
    return `At ${race.surface.minima.length > 1 ? "a" : "the"} minimum to within ${formatNumber(away, 2)}. This step still moves ${formatNumber(length(update), 2)}.`;
  },

  bouncing({ race, k, g, at, direction, directionLabel, carrier, signs, usual }) {
    if (k < 3) return null;
    const flips = (a) => [0, 1, 2].every((j) => at("g", k - j)[a] * at("g", k - j - 1)[a] < 0);
    const axis = both(flips).indexOf(true);
    if (axis < 0) return null;
    const bounced = `g in ${AXES[axis]} has flipped its sign at each of the last three steps`;
    if (!carrier) return isRandom(race) ? null : `${bounced}: it bounces from wall to wall.`;
    if (signs || !usual) return null;
    const kept = Math.abs(direction[axis] / g[axis]);
    return kept < 0.5 ? `${bounced}. ${directionLabel} averages that out to ${percent(kept)} of g.` : null;
  },

  uncorrected({ race, racer, k, at, uncorrected }) {
    if (!racer.bias || !uncorrected || !epsIsSmall(racer, at("v"))) return null;
    const factor = biasFactor(k + 1, racer.bias);
    if (factor < 1.25) return null;
    let peak = 1;
    while (peak <= race.steps && biasFactor(peak + 1, racer.bias) > biasFactor(peak, racer.bias)) peak += 1;
    let most = `It ${k + 1 < peak ? "peaks" : "peaked"} at ${short(biasFactor(peak, racer.bias))} × at t = ${peak}.`;
    if (k + 1 === peak) most = "Here the excess peaks.";
    if (peak > race.steps) most = "The excess still grows.";
    return `Uncorrected, √v lags behind more than m: ` +
      `this step is ${short(factor)} × what correction would make of the same m and v. ${most}`;
  },

  corrected({ racer, k, at, uncorrected }) {
    if (!racer.bias || uncorrected || hyperOf(racer, "bias_correction") !== true || k > 15) return null;
    if (!epsIsSmall(racer, at("v"))) return null;
    const t = k + 1;
    const [c1, c2] = [1 - racer.bias.beta1 ** t, 1 - racer.bias.beta2 ** t];
    const factor = c1 / Math.sqrt(c2);
    if (factor < 1.5) return null;
    return `Correction divides m by ${formatNumber(c1, 2)} and v by ${formatNumber(c2, 2)}. ` +
      `Without it the same m and v would make this step ${short(factor)} × as long.`;
  },

  remembers({ k, g, root, divisor, memory, at, big }) {
    if (!memory || k < 12) return null;
    const now = Math.abs(g[big]);
    if (!(now > 0 && root[big] > 4 * now)) return null;
    const { slot, label, decay } = memory;
    const parts = []; // what each step's g² still is of the sum
    for (let j = k, weight = decay === 1 ? 1 : 1 - decay; j >= 0; j--, weight *= decay) {
      parts[j] = (weight * at("g", j)[big] ** 2) / at(slot)[big];
    }
    if (!near(parts.reduce((a, b) => a + b), 1)) return null; // it sums up something else as well
    const most = parts.indexOf(Math.max(...parts));
    const old = parts.slice(0, k - 9).reduce((a, b) => a + b); // all that is ten steps old or older
    if (!(old > 0.8) || most > k - 10) return null;
    const was = formatNumber(Math.abs(at("g", most)[big]), 3);
    const forgets = decay === 1 ? "never forgets" : `has a half-life of ${short(Math.log(0.5) / Math.log(decay))} steps`;
    const ratio = `${divisor.label} is ${short(root[big] / now)} × the present |g|.`;
    const then = `(|g| = ${was}, now ${formatNumber(now, 3)})`;
    if (parts[most] >= 0.3) {
      return `${label}, which ${forgets}, remembers step ${most} ${then}: ` +
        `in ${AXES[big]} ${percent(parts[most], 2)} of it is from there. ${ratio}`;
    }
    return `${label}, which ${forgets}, is old: in ${AXES[big]} ${percent(old, 2)} of it is from before step ${k - 9}, ` +
      `most from step ${most} ${then}. ${ratio}`;
  },

  lengthening({ racer, k, at, update, length, direction, directionLabel, root, divisor, big }) {
    const ratio = k > 0 ? length(update) / length(at("update", k - 1)) : NaN;
    if (!(Math.abs(ratio - 1) >= 0.02) || !Number.isFinite(ratio)) return null;
    // One axis explains it only if it did most of the moving before as well.
    if (root && !near(Math.abs(update[big] / at("update", k - 1)[big]) - 1, ratio - 1, 0.2)) return null;
    const size = (v) => (root ? Math.abs(v[big]) : length(v));
    const grown = size(direction) / size(at(racer.direction, k - 1));
    const divided = root ? root[big] / Math.sqrt(at(divisor.slot, k - 1)[big]) : 1;
    if (!(Math.abs(grown / divided - ratio) <= 0.2 * Math.abs(ratio - 1))) return null; // that is not why
    const parts = [`|${directionLabel}| ${change(grown)}`];
    if (root) parts.push(`${divisor.label} ${change(divided)}`);
    const where = root ? `In ${AXES[big]} ` : "";
    const shorter = ratio < 0.1 ? `${short(1 / ratio)} times shorter` : `${percent(1 - ratio, 2)} shorter`;
    const compared = ratio > 2 ? `${short(ratio)} × as long as` : `${ratio > 1 ? `${percent(ratio - 1, 2)} longer` : shorter} than`;
    return `This step is ${compared} the last. ${where}${parts.join(" and ")}.`;
  },

  against({ k, g, seen, update, direction, directionLabel, carrier, signs, pure }) {
    if (!carrier || signs || k === 0 || differ(seen, g)) return null;
    const axis = both((a) => direction[a] * g[a] < 0 && update[a] * g[a] > 0).indexOf(true);
    if (axis < 0) return null;
    return `In ${AXES[axis]} ${pure ? "the slope (g = " : "g ("}${formatNumber(g[axis], 3)}) and ${directionLabel} (${formatNumber(direction[axis], 3)}) ` +
      `disagree: the gradients before still decide, and ${AXES[axis]} moves ${pure ? "uphill" : "against the present one"}.`;
  },

  agreeing({ root, direction, directionLabel, divisor, update, lr, big, carrier, k, at }) {
    if (!root || !carrier || k < 5) return null;
    if (![1, 2, 3, 4, 5].every((j) => at("g", k - j)[big] * at("g")[big] > 0)) return null;
    const share = Math.abs(direction[big]) / root[big];
    if (!(share > 0.9 && share < 1.1) || !near(Math.abs(update[big]), lr * share, 0.05)) return null;
    return `The last gradients in ${AXES[big]} agree, ` +
      `so |${directionLabel}| ≈ ${divisor.label} and ${AXES[big]} moves by ` +
      `${formatNumber(Math.abs(update[big]), 2)}, about the whole of lr.`;
  },

  evens({ g, update, root, divisor, pure }) {
    if (!root) return null;
    const steep = Math.abs(g[0]) > Math.abs(g[1]) ? 0 : 1;
    const slopes = Math.abs(g[steep] / g[1 - steep]);
    const steps = Math.abs(update[steep] / update[1 - steep]);
    if (!(slopes > 4 && steps < slopes / 3) || !Number.isFinite(slopes)) return null;
    if (!(root[steep] > 2 * root[1 - steep])) return null; // that is not why
    const moved = steps >= 1 ? `only ${short(steps)} times as long` : `even ${short(1 / steps)} times shorter`;
    return `${pure ? "The slope is" : "|g| is"} ${short(slopes)} times as ${pure ? "steep" : "large"} in ${AXES[steep]} as in ${AXES[1 - steep]}, ` +
      `the step there ${moved}: dividing by ${divisor.label} evens out the axes.`;
  },

  rolling({ root, direction, directionLabel, g, seen, update, lr, length, carrier, signs }) {
    if (root || !carrier || signs || differ(seen, g)) return null;
    const ratio = length(direction) / length(g);
    const along = direction[0] * g[0] + direction[1] * g[1] > 0;
    if (!along || !(ratio > 2) || !near(length(update), lr * length(direction))) return null;
    return `${directionLabel} has come to ${short(ratio)} × the present |g|: ` +
      `the step is ${short(ratio)} × what gradient descent would take here with the same lr.`;
  },

  decaying({ g, seen, update, decay, own }) {
    const coupled = differ(seen, g);
    const share = both((a) => Math.abs(coupled ? (seen[a] - g[a]) / g[a] : decay[a] / update[a]));
    const axis = share[0] >= share[1] ? 0 : 1;
    if (!(share[axis] > 0.2)) return null;
    const numbers = (...all) => all.map((z) => formatNumber(z, 3));
    if (coupled) {
      const [added, slope, sum] = numbers(seen[axis] - g[axis], g[axis], seen[axis]);
      return `Weight decay adds λθ = ${added} to g = ${slope} in ${AXES[axis]}: the rule sees ${sum}.`;
    }
    const [pull, rest] = numbers(-decay[axis], own[axis]);
    return `Weight decay moves ${AXES[axis]} by ${pull}, towards 0, and the rule itself by ${rest}.`;
  },

  signs({ signs, own, decay, g, lr, pure }) {
    if (!signs || !both((a) => near(Math.abs(own[a]), lr)).every(Boolean)) return null;
    const beside = decay.some((z) => z !== 0) ? "Weight decay aside, only signs count" : "Only signs count";
    const slopes = `|g| = ${formatNumber(Math.abs(g[0]), 3)} in x, ${formatNumber(Math.abs(g[1]), 3)} in y`;
    return `${beside}: each axis moves by lr = ${short(lr)}, whatever ${pure ? "the slope" : "|g| is"} (${slopes}).`;
  },

  plain({ root, racer, direction, directionLabel, divisor, g, update, lr, length, signs, pure }) {
    if (signs) return null;
    if (root) {
      const share = both((a) => Math.abs(update[a]) / lr);
      const same = both((a) => near(share[a], Math.abs(direction[a]) / root[a], 0.03)).every(Boolean);
      if (!same) return null;
      const of = (part, whole) => (part > 1 ? `${short(part)} × ${whole}` : `${percent(part)} of ${whole}`);
      return `|${directionLabel}| is ${of(share[0], divisor.label)} in x and ${of(share[1], divisor.label)} in y, ` +
        `so x moves by ${of(share[0], "lr")} and y by ${of(share[1], "lr")}.`;
    }
    if (racer.direction === "g") {
      return `The step is −lr × g: |g| = ${formatNumber(length(g), 3)} makes it ` +
        `${formatNumber(length(update), 3)} long${pure ? ", straight down the slope" : ""}.`;
    }
    const angle = turn(update, g.map((z) => -z));
    const where = angle < 0.1 ? `here ${pure ? "straight downhill" : "along −g"}` : `${short(angle, 2)}° away from ${pure ? "straight downhill" : "−g"}`;
    return `The step follows ${directionLabel}, ${where}; it is ${formatNumber(length(update), 3)} long.`;
  },

  factors({ racer, at, direction, directionLabel, own, decay }) {
    const factor = at("effective_lr");
    if (!both((a) => near(own[a], -factor[a] * direction[a])).every(Boolean)) return null;
    const pair = ([x, y]) => `${formatNumber(x, 3)} in x and ${formatNumber(y, 3)} in y`;
    const rest = decay.some((z) => z !== 0) ? `; weight decay adds ${pair(decay.map((z) => -z))}` : "";
    return `The effective step is ${pair(factor)}. Times −${directionLabel.includes(" ") ? `(${directionLabel})` : directionLabel} ` +
      `that makes ${pair(own)}${rest}.`;
  },

  bare({ update, length }) {
    return `This step moves ${formatNumber(length(update), 3)}.`;
  },
};

/** Does weight decay show in the gradient? */
const differ = (seen, g) => seen.some((z, a) => !near(z, g[a]));

/** Is ε a hundred times smaller than √v? Only then what is said of m and v holds for the step. */
function epsIsSmall(racer, v) {
  const eps = hyperOf(racer, "eps");
  const size = hyperOf(racer, "eps_placement") === "inside" ? Math.sqrt(eps) : eps;
  return v.every((z) => 100 * size <= Math.sqrt(z));
}

/** "grew by 5 %", "fell by 0.2 %", "stayed". */
function change(ratio) {
  if (ratio > 2) return `grew ${short(ratio)}-fold`;
  if (Math.abs(ratio - 1) < 1e-4) return "stayed";
  return `${ratio > 1 ? "grew" : "fell"} by ${percent(Math.abs(ratio - 1), 2)}`;
}

/** The angle between two steps, in degrees. */
function turn(a, b) {
  const cosine = (a[0] * b[0] + a[1] * b[1]) / (Math.hypot(...a) * Math.hypot(...b));
  return (Math.acos(Math.max(-1, Math.min(1, cosine))) * 180) / Math.PI;
}

function outside(race, racer, k) {
  if (racer.diverged !== null && k >= racer.diverged - 1) {
    return {
      key: "diverged",
      text: `It diverged at step ${racer.diverged}: it left all bounds, and nothing after it is a number.` +
        (race.surface.lowest === null && race.surface.saddles.length
          ? " This surface has no bottom: whoever leaves the saddle falls for ever." : ""),
    };
  }
  if (k < race.steps) return null;
  const [x, y] = [racer.value("theta", k, 0), racer.value("theta", k, 1)];
  const away = Math.min(...race.surface.minima.map(([mx, my]) => Math.hypot(x - mx, y - my)));
  const nearest = race.surface.minima.length > 1 ? "nearest " : "";
  const where = Number.isFinite(away) ? `, ${formatNumber(away, 2)} away from the ${nearest}minimum` : "";
  const text = `The race ends here, after ${race.steps} steps, at f = ${formatNumber(racer.loss[k], 3)}${where}.`;
  return { key: "end", text };
}

// What happens at a step goes before what holds for long; there, every so often, another has the first word.
const EVENTS = ["still", "first", "growing", "uphill", "arrived", "bouncing", "corrected"];
const STATES = [
  ["uncorrected"], ["remembers"], ["decaying", "evens"], ["signs", "rolling"], ["lengthening"], ["plain"], ["agreeing"], ["against"],
];
const TURN = 40; // steps

/** The rules' names in the order they are tried at step k. */
function orderAt(k) {
  const first = Math.floor(k / TURN) % STATES.length;
  return [...EVENTS, ...STATES.slice(first).flat(), ...STATES.slice(0, first).flat(), "factors", "bare"];
}

/**
 * {key, text} for step k of a racer. `keep` names the rule shown a moment ago: it stays while it still holds, so
 * that a running race can be read.
 */
export function explain(race, racer, k, keep = null) {
  const fixed = outside(race, racer, k);
  if (fixed) return fixed;
  const known = facts(race, racer, k);
  if (keep in RULES) {
    const text = RULES[keep](known);
    if (text) return { key: keep, text };
  }
  for (const key of orderAt(k)) {
    const text = RULES[key](known);
    if (text) return { key, text };
  }
  return { key: "none", text: "" };
}
