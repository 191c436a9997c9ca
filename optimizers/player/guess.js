// What the answers to a learner's guesses are made of: where.js and first.js say how good a guess was, and what about
// the race answers the thought behind it.
//
// Each answer is a rule: a condition on the guess and the race's numbers, and a sentence with these numbers in it. The
// first rule whose condition holds is said. The most particular stand first; the last of them hold for every race.

import { formatNumber } from "./chart.js";
import { lengthAt, pointAt } from "./course.js";
import { besidesSlope, hyperOf } from "./race.js";
import { rounded } from "./summary.js";

export const minus = (a, b) => [a[0] - b[0], a[1] - b[1]];
export const dot = (a, b) => a[0] * b[0] + a[1] * b[1];
export const length = (v) => Math.hypot(v[0], v[1]);
export const between = (a, b) => length(minus(a, b));
export const slopeAt = (racer, k) => [racer.value("g", k, 0), racer.value("g", k, 1)];
export const stepAt = (racer, k) => [racer.value("update", k, 0), racer.value("update", k, 1)];
export const percent = (share) => `${rounded(100 * share, 2)} %`;
/** A share of a whole, where 100 % would be too much said. */
export const part = (share) => (share > 0.995 && share < 1 ? "more than 99.5 %" : share > 0 && share < 0.001 ? "less than 0.1 %" : percent(share));
/** Would two numbers look alike? */
export const alike = (a, b, digits = 2) => rounded(a, digits) === rounded(b, digits);

/** The angle between two directions, in degrees; NaN where one of them is none. */
export function angle(a, b) {
  const cosine = dot(a, b) / (length(a) * length(b));
  return (Math.acos(Math.max(-1, Math.min(1, cosine))) * 180) / Math.PI;
}

/** Does it keep gradients before in something (m) that moves it? */
export const carries = (racer) => racer.rows.some(({ slot }) => slot === "m");
/** Is its step lr times the gradient (and weight decay)? */
export const isPlain = (racer) => ["g", "decayed"].includes(racer.direction) && racer.effective_label === "lr";
/** Is its direction divided by the size of the gradients? */
export const divides = (racer) => racer.rows.some(({ root }) => root);
export const decays = (racer) => hyperOf(racer, "weight_decay") > 0;
/** Is the schedule none? */
export const constant = ({ factors }) => !factors || factors.every((factor) => factor === factors[0]);
/** "the minimum", or "a minimum" where there are several. */
export const theMinimum = ({ surface: { minima } }) => `${minima.length > 1 ? "a" : "the"} minimum`;

/** How long a racer's path is up to a step. */
export function pathTo(racer, step) {
  let sum = 0;
  for (let k = 0; k < step; k++) sum += lengthAt(racer, k);
  return sum;
}

/** How many steps more to a place, at the pace of the last one and where no chance is in it: a sentence more. */
export function moreSteps(race, racer, { last, end }, place) {
  const more = Math.ceil(between(place, end) / lengthAt(racer, last - 1));
  if (!(more >= 1 && more < 1e7) || besidesSlope(race).length) return "";
  return ` At that pace, and straight there, it is ${more === 1 ? "one more step" : `another ${rounded(more, 2)} steps`}.`;
}

/** Why a racer diverges, with its numbers: a sentence more, or none. */
export function whyDiverged(race, racer, { last }) {
  const lr = hyperOf(racer, "lr");
  const [a, b] = [last - 2, last - 1]; // the last two steps that were taken
  if (b < 1) return "";
  const moved = lengthAt(racer, a);
  const curvature = between(slopeAt(racer, b), slopeAt(racer, a)) / moved;
  const quiet = !besidesSlope(race).length && constant(race);
  if (isPlain(racer) && quiet && Number.isFinite(curvature) && lr > 2 / curvature) {
    return ` Along its last steps the curvature is ${rounded(curvature)}: there gradient descent needs an lr below ` +
      `2/${rounded(curvature)} = ${rounded(2 / curvature)}, and it has ${rounded(lr)}.`;
  }
  const growth = lengthAt(racer, b) / moved;
  return growth > 1 && Number.isFinite(growth) ? ` Its last step was ${rounded(growth)} × as long as the one before.` : "";
}

/** How long a racer's path is, how much of it came early, and how long the last step: true of every race. */
export function covered(racer, { last }) {
  const whole = pathTo(racer, last);
  const final = formatNumber(lengthAt(racer, last - 1), 2);
  if (last === 1) return `Its only step is ${final} long.`;
  if (whole === 0) return `It never moves: each of its ${last} steps is 0 long.`;
  if (last < 10) return `Its path of ${last} steps is ${rounded(whole)} long, the last of them ${final}.`;
  const early = Math.round(last / 10);
  return `Of its path, ${rounded(whole)} long, ${part(pathTo(racer, early) / whole)} lies in the first ${early} of its ${last} steps; the last is ${final} long.`;
}

/**
 * What the rule makes of the slope it ends on: a sentence more, where the numbers show it. The slope is known only where g
 * is nothing else; and a schedule or weight decay would have a part in the step.
 */
export function byItsRule(race, racer, { last }) {
  if (last < 2 || besidesSlope(race).length || !constant(race) || decays(racer) || race.surface.box) return "";
  const [steep, flat] = [0, last - 1].map((k) => length(slopeAt(racer, k)));
  const [early, late] = [0, last - 1].map((k) => lengthAt(racer, k));
  const lr = hyperOf(racer, "lr") * (race.factors?.[0] ?? 1);
  if (![steep, flat, early, late].every((z) => z > 0 && Number.isFinite(z))) return "";
  if (isPlain(racer)) {
    if (!(Math.abs(lr * flat - late) < 0.01 * late)) return "";
    return ` A step is lr times the slope: here ${rounded(lr)} × ${formatNumber(flat, 2)} ≈ ${formatNumber(late, 2)}.`;
  }
  if (divides(racer) && flat < steep / 2 && late / early > (2 * flat) / steep) {
    const kept = late < early ? `the step only from ${formatNumber(early, 2)} to ${formatNumber(late, 2)}` : `the step has not: ${formatNumber(early, 2)} then, ${formatNumber(late, 2)} now`;
    return ` From start to end the slope has fallen from ${formatNumber(steep, 2)} to ${formatNumber(flat, 2)}, ${kept}, for it is divided by the size of the gradients.`;
  }
  if (["m", "look_ahead"].includes(racer.direction) && racer.effective_label === "lr" && late > 1.5 * lr * flat) {
    return ` The last step is ${rounded(late / (lr * flat), 2)} × as long as lr times the slope there, for m holds the gradients before it too.`;
  }
  return "";
}

/** The step at which a path is nearest to a place, and how near: {step, distance}. */
export function passing(racer, last, place) {
  let best = { step: 0, distance: Infinity };
  for (let k = 0; k <= last; k++) {
    const distance = between(pointAt(racer, k), place);
    if (distance < best.distance) best = { step: k, distance };
  }
  return best;
}

/** The first of some rules that has something to say: {key, text}. */
export function firstOf(rules, facts) {
  for (const [key, rule] of Object.entries(rules)) {
    const text = rule(facts);
    if (text) return { key, text };
  }
  throw new Error("The last of the rules must hold for every race.");
}

/** A start at random within the map, at least a fifth of its diagonal from every minimum and saddle where there is room. */
export function anotherStart({ surface: { bounds: [x0, x1, y0, y1], minima, saddles } }, seed) {
  const random = mulberry(seed);
  const far = 0.2 * Math.hypot(x1 - x0, y1 - y0);
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.min(x1 - x0, y1 - y0))));
  let best = null;
  for (let turn = 0; turn < 40; turn++) {
    const point = [x0 + (0.06 + 0.88 * random()) * (x1 - x0), y0 + (0.06 + 0.88 * random()) * (y1 - y0)].map((z) => Number(z.toFixed(digits)));
    const room = Math.min(far, ...[...minima, ...saddles].map((place) => between(place, point)));
    if (!best || room > best.room) best = { point, room };
    if (room >= far) break;
  }
  return best.point;
}

/** Random numbers in [0, 1) that a seed repeats (Mulberry32). */
function mulberry(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
