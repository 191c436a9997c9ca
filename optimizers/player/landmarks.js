// Where in a race something happened: the marks on the timeline, and what one can jump to.

import { courseOf, reachOf } from "./course.js";
import { biasFactor, lastStep } from "./race.js";
import { nameOf, rounded } from "./summary.js";

/**
 * The step from which on one sees a racer apart from another: the first at which they are more than 1 % of the map's
 * diagonal apart, about the size of a marker; null if they never are. One that has diverged is apart.
 */
function partsAt(race, one, other) {
  const reach = reachOf(race);
  for (let k = 1; k <= race.steps; k++) {
    const square = [0, 1].reduce((sum, axis) => sum + (one.value("theta", k, axis) - other.value("theta", k, axis)) ** 2, 0);
    if (square <= reach * reach) continue;
    return lastStep(race, one) < k && lastStep(race, other) < k ? null : k; // both have diverged
  }
  return null;
}

/** Whom to compare the chosen racer with: its kin (they share the hue), or else all others; indices. */
function comparedWith(race, chosen, off) {
  const others = [...race.racers.keys()].filter((index) => index !== chosen && !off.includes(index));
  const kin = others.filter((index) => race.racers[index].light === race.racers[chosen].light);
  return kin.length ? kin : others;
}

function firstDifference(race, chosen, off) {
  let first = null;
  for (const index of comparedWith(race, chosen, off)) {
    const step = partsAt(race, race.racers[chosen], race.racers[index]);
    if (step !== null && (first === null || step < first.step)) first = { step, index };
  }
  if (!first) return [];
  const [one, other] = [race.racers[chosen], race.racers[first.index]];
  const note = `${nameOf(one)} and ${nameOf(other)} are for the first time more than 1 % of the map's diagonal apart, ` +
    "about the size of a marker";
  return [{ step: first.step, text: "first difference", note, racer: chosen, kind: "difference", quiet: false }];
}

/** Where (1−β₁ᵗ)/√(1−β₂ᵗ) is greatest for a racer without bias correction: {t, factor, grows: at the end it still does}, or null. */
export function factorPeak(racer, steps) {
  if (!racer.bias || racer.bias.correct_m !== 0 || racer.bias.correct_v !== 0) return null;
  let peak = { t: 1, factor: biasFactor(1, racer.bias) };
  for (let t = 2; t <= steps; t++) {
    const factor = biasFactor(t, racer.bias);
    if (factor > peak.factor) peak = { t, factor };
  }
  const grows = biasFactor(steps + 1, racer.bias) > peak.factor;
  return peak.factor > 1 ? { ...peak, grows } : null;
}

function marksOf(race, racer, index, field) {
  const found = [];
  const add = (kind, step, text, note = "", quiet = false) => found.push({ step, text, note, racer: index, kind, quiet });
  const peak = factorPeak(racer, race.steps);
  if (peak && !peak.grows && peak.t <= lastStep(race, racer)) add("factor", peak.t - 1, `${racer.label}: factor peaks, ${peak.factor.toFixed(2)}×`, "(1−β₁ᵗ)/√(1−β₂ᵗ)"); // update t leaves step t − 1
  const { diverged, arrived, closest, overshoots, last, fate } = courseOf(race, racer, field);
  if (diverged !== null) add("diverged", diverged, `${racer.label} diverges`);
  else if (arrived !== null) add("arrived", arrived, `${racer.label} arrives`);
  if (overshoots.length && diverged === null) {
    const goal = fate === "local" ? "the local minimum it ends in" : race.surface.minima.length > 1 ? "the minimum nearest to its end" : "the minimum";
    const more = overshoots.length > 1 ? `the first of ${overshoots.length} turns beyond ${goal}` : `it turns beyond ${goal}`;
    add("overshoot", overshoots[0], `${racer.label} overshoots`, more);
  }
  if (closest && closest.step > 0) {
    // One that still comes nearer, or has arrived, is closest at no moment of its own.
    const quiet = arrived !== null || closest.step === last;
    add("closest", closest.step, `${racer.label} closest`, `${rounded(closest.distance, 2)} from ${race.surface.minima.length > 1 ? "a" : "the"} minimum`, quiet);
  }
  return found;
}

/**
 * The landmarks of a race with one racer chosen, in order of time: {step, text, note, racer, kind, quiet}.
 *
 * kind: "difference" (the chosen racer and its nearest kin, those of its hue, or else any other, are for the first time
 * more than 1 % of the map's diagonal apart), "closest" (a racer's closest approach to a minimum), "diverged", "arrived",
 * "overshoot" (the first), "factor" (peak of the bias factor). `note` is for the tooltip. A quiet one is to jump to, and no mark.
 * off: indices of hidden racers; field: the lattice of f or null.
 */
export function landmarks(race, chosen, { off = [], field = null } = {}) {
  const shown = [...race.racers.keys()].filter((index) => !off.includes(index));
  const all = shown.flatMap((index) => marksOf(race, race.racers[index], index, field));
  return [...(off.includes(chosen) ? [] : firstDifference(race, chosen, off)), ...all].sort((a, b) => a.step - b.step);
}
