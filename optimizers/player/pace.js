// What racers have in common at a moment: the same number of steps and gradients, or the same length of path.

import { lastStep, stampAt } from "./race.js";

/**
 * How the clock's position, 0 … race.steps, becomes each racer's own fractional step.
 * by "length": the clock counts path length, in parts of the longest path of those that do not diverge.
 * Returns {at(position) -> array, one step per racer, filled anew each time; positionOf(racer, step); reading(position)}.
 */
export function createPace(race, by) {
  const at = new Float64Array(race.racers.length);
  if (by !== "length") {
    return {
      at: (position) => at.fill(position),
      positionOf: (_, step) => step,
      reading: (position) => (race.measured
        ? [String(stampAt(race, position)), String(race.measured.steps.at(-1))]
        : [String(Math.floor(position + 1e-6)), null]),
    };
  }
  const lengths = race.racers.map((racer) => along(race, racer));
  const ends = race.racers.map((racer, k) => (racer.diverged === null ? lengths[k][race.steps] : 0));
  const [x0, x1, y0, y1] = race.surface.bounds;
  const whole = Math.max(...ends) || Math.hypot(x1 - x0, y1 - y0); // all diverge: across the map
  const unit = whole / race.steps;
  return {
    at(position) {
      for (let k = 0; k < at.length; k++) at[k] = stepAt(lengths[k], lastStep(race, race.racers[k]), position * unit);
      return at;
    },
    positionOf: (k, step) => Math.min(race.steps, lengths[k][Math.min(step, lastStep(race, race.racers[k]))] / unit),
    reading: (position) => [(position * unit).toPrecision(3), whole.toPrecision(3)],
  };
}

/** Path length at each step, (T + 1); after a divergence it stays. */
function along(race, racer) {
  const lengths = new Float64Array(race.steps + 1);
  const last = lastStep(race, racer);
  for (let k = 0; k < race.steps; k++) {
    lengths[k + 1] = lengths[k] + (k < last ? Math.hypot(racer.value("update", k, 0), racer.value("update", k, 1)) : 0);
  }
  return lengths;
}

/** The fractional step at which a path is so long; its last step where it never is. */
function stepAt(lengths, last, length) {
  if (length >= lengths[last]) return last;
  let [low, high] = [0, last];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (lengths[middle] <= length) low = middle;
    else high = middle;
  }
  return low + (length - lengths[low]) / (lengths[high] - lengths[low] || 1);
}
