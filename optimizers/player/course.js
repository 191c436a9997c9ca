// What a racer's path comes to: where it ends and since when, how near it came, how often it swung past. Numbers, no words.

import { lastStep } from "./race.js";
import { valueAt } from "./surface.js";

const REACH = 0.01; // of the map's diagonal: as near counts as there, and two points as far apart as different
const CLOSE = 1e-6; // of the diagonal: nearer than that the closest approach is no closer
const AROUND = 0.2; // of the diagonal: who is farther away at times does not circle the minimum
const LEFT = 0.05; // of the diagonal: who never was as far from the start has hardly left it, and as near a saddle is at it
const TAIL = 4; // a racer's last quarter shows whether it circles
const RESTED = 0.9; // who stays in place from before this share of the race on has come to rest
const FEWEST = 20; // steps; in fewer nothing circles or rests

export function diagonalOf({ surface: { bounds: [x0, x1, y0, y1] } }) {
  return Math.hypot(x1 - x0, y1 - y0);
}

/** How near to a minimum counts as there, as in trajectory.py. */
export const reachOf = (race) => REACH * diagonalOf(race);

export const pointAt = (racer, step) => [racer.value("theta", step, 0), racer.value("theta", step, 1)];

/** The length of the step that leaves step k. */
export const lengthAt = (racer, k) => Math.hypot(racer.value("update", k, 0), racer.value("update", k, 1));

/** The index of the place nearest to (x, y), −1 if there is none. */
export function nearest(places, [x, y]) {
  let best = -1;
  let least = Infinity;
  places.forEach(([px, py], index) => {
    const distance = Math.hypot(px - x, py - y);
    if (distance < least) [best, least] = [index, distance];
  });
  return best;
}

/**
 * The steps at which a path turns round beyond a place (x, y): overshoots.
 *
 * A turning point is a corner of the path that it reaches going away from the place and leaves coming nearer. It is an
 * overshoot if it lies on the other side of the place than the path did when it last was as far away, and on the other
 * side than the overshoot before. So bouncing from wall to wall of a ravine on the way is none, swinging through the
 * place is, and one swing counts once however much it wobbles. It must be farther out than `reach`, to be seen.
 */
export function overshootsOf(racer, last, [x, y], reach) {
  const steps = [];
  const ahead = []; // corners so far, ever nearer: the last one as far away as this one is among them
  const distances = new Float64Array(last + 1);
  const from = (k) => [racer.value("theta", k, 0) - x, racer.value("theta", k, 1) - y];
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1];
  let before = null;
  let here = from(0);
  let side = null; // of the overshoot before
  for (let k = 0; k <= last; k++) {
    const next = k < last ? from(k + 1) : null;
    const distance = (distances[k] = Math.hypot(here[0], here[1]));
    while (ahead.length && distances[ahead[ahead.length - 1]] < distance) ahead.pop();
    const leaving = before && dot(here, here) > dot(here, before);
    const returning = next && dot(here, next) < dot(here, here);
    if (distance > reach && leaving && returning) {
      const entry = from(ahead.length ? ahead[ahead.length - 1] : 0);
      if (dot(entry, here) < 0 && (!side || dot(side, here) < 0)) {
        steps.push(k);
        side = here;
      }
    }
    ahead.push(k);
    [before, here] = [here, next];
  }
  return steps;
}

/** The step at which a racer that is off the map at its last step left it for good; null if it is on it. */
function leftAt({ surface: { bounds: [x0, x1, y0, y1] } }, racer, last) {
  let step = null;
  for (let k = last; k >= 0; k--) {
    const [x, y] = pointAt(racer, k);
    if (x >= x0 && x <= x1 && y >= y0 && y <= y1) return step;
    step = k;
  }
  return step;
}

/** The first step from which on a racer stays within `reach` of its last point. */
function restsFrom(racer, last, reach) {
  const [x, y] = pointAt(racer, last);
  let step = last;
  while (step > 0 && Math.hypot(racer.value("theta", step - 1, 0) - x, racer.value("theta", step - 1, 1) - y) <= reach) step -= 1;
  return step;
}

/**
 * Whether f has a local minimum where a racer rests: it curves upward in every direction (seen on the lattice) and the
 * slope g has gone, so that the minimum of that bowl is at most a twentieth of `reach` away.
 */
function inBowl(field, [x, y], slope, reach) {
  const { bounds: [x0, x1, y0, y1], nx, ny } = field;
  const radius = 3 * Math.max((x1 - x0) / (nx - 1), (y1 - y0) / (ny - 1));
  const middle = valueAt(field, x, y);
  const count = 8;
  let [mean, cosine, sine] = [0, 0, 0];
  for (let k = 0; k < count; k++) {
    const [dx, dy] = [radius * Math.cos((Math.PI * k) / count), radius * Math.sin((Math.PI * k) / count)];
    const curvature = (valueAt(field, x + dx, y + dy) + valueAt(field, x - dx, y - dy) - 2 * middle) / radius ** 2;
    if (!(curvature > 0)) return false;
    mean += curvature / count;
    cosine += (2 * curvature * Math.cos((2 * Math.PI * k) / count)) / count;
    sine += (2 * curvature * Math.sin((2 * Math.PI * k) / count)) / count;
  }
  const least = mean - Math.hypot(cosine, sine); // the smaller eigenvalue of the Hessian
  return least > 0 && slope / least < 0.05 * reach;
}

/** The distance at which a racer keeps going round a minimum in its last quarter, or null: `distance` of each step. */
function circlesAt(racer, distance, last, diagonal) {
  if (last < FEWEST) return null;
  const from = last - Math.floor(last / TAIL);
  const tail = distance.slice(from);
  const half = Math.floor(tail.length / 2);
  const most = (part) => part.reduce((a, b) => Math.max(a, b), 0);
  const [early, late] = [most(tail.subarray(0, half)), most(tail.subarray(half))];
  if (!(late >= 0.6 * early && Math.max(early, late) < AROUND * diagonal)) return null; // it still comes nearer
  let length = 0;
  for (let k = from; k < last; k++) length += lengthAt(racer, k);
  if (!(length > 4 * Math.max(early, late))) return null; // it hardly moves, or passes by
  return tail.sort()[half];
}

/** The middle of the place about which a racer keeps moving in its last quarter without getting anywhere, or null. */
function hoversAbout(racer, last, diagonal) {
  if (last < FEWEST) return null;
  const from = last - Math.floor(last / TAIL);
  const middle = [0, 0];
  let length = 0;
  for (let k = from; k < last; k++) {
    pointAt(racer, k).forEach((z, axis) => (middle[axis] += z / (last - from)));
    length += lengthAt(racer, k);
  }
  let radius = 0;
  for (let k = from; k < last; k++) {
    radius = Math.max(radius, Math.hypot(racer.value("theta", k, 0) - middle[0], racer.value("theta", k, 1) - middle[1]));
  }
  return radius < LEFT * diagonal && length > 8 * radius ? middle : null;
}

/**
 * What one racer's path comes to. `field`, the lattice of f, tells a local minimum from a plateau; without it neither is said.
 *
 * {last, end, arrived, diverged, target: the minimum nearest to its end or null, closest: {step, distance} or null,
 * overshoots: [step] of the place it ends at, off: the step at which it left the map for good or null, floor: the distance at which it circles or null,
 * rests: the step since which it stays in place, middle: the place about which it keeps moving or null,
 * fate: "diverged" | "arrived" | "circling" | "off" | "local" | "hovering" | "saddle" | "start" | "creeping" | "moving"}
 */
export function courseOf(race, racer, field = null) {
  const diagonal = diagonalOf(race);
  const reach = reachOf(race);
  const last = lastStep(race, racer);
  const end = pointAt(racer, last);
  const { minima, saddles } = race.surface;
  const index = nearest(minima, end);
  const target = index < 0 ? null : minima[index];
  const diverged = racer.diverged ?? null;
  const arrived = racer.arrived ?? null;

  let closest = null;
  let floor = null;
  if (target) {
    const distance = new Float64Array(last + 1).fill(Infinity);
    for (const [x, y] of minima) {
      for (let k = 0; k <= last; k++) {
        const away = Math.hypot(racer.value("theta", k, 0) - x, racer.value("theta", k, 1) - y);
        if (away < distance[k]) distance[k] = away;
      }
    }
    const least = distance.reduce((a, b) => Math.min(a, b));
    const step = distance.findIndex((away) => away <= least + CLOSE * diagonal);
    closest = { step, distance: distance[step] };
    if (diverged === null) floor = circlesAt(racer, distance, last, diagonal);
  }
  const off = leftAt(race, racer, last) ?? diverged;
  const rests = restsFrom(racer, last, reach);
  const still = last >= FEWEST && rests <= RESTED * last && lengthAt(racer, last - 1) < reach;

  const middle = diverged === null ? hoversAbout(racer, last, diagonal) : null;

  const fate = () => {
    if (diverged !== null) return race.surface.lowest === null ? "off" : "diverged"; // without a bottom one falls for ever
    if (arrived !== null) return "arrived";
    if (floor !== null) return "circling";
    if (off !== null) return "off";
    if (!still) return middle ? "hovering" : "moving";
    const slope = Math.hypot(racer.value("g", last - 1, 0), racer.value("g", last - 1, 1));
    if (field && inBowl(field, end, slope, reach)) return "local";
    if (saddles.some(([x, y]) => Math.hypot(end[0] - x, end[1] - y) < LEFT * diagonal)) return "saddle";
    const [x, y] = pointAt(racer, 0);
    for (let k = 1; k <= last; k++) {
      if (Math.hypot(racer.value("theta", k, 0) - x, racer.value("theta", k, 1) - y) > LEFT * diagonal) return "creeping";
    }
    return "start";
  };
  const ending = fate();
  const centre = ending === "local" ? end : target;
  const overshoots = centre && ending !== "off" ? overshootsOf(racer, last, centre, reach) : [];
  return { last, end, arrived, diverged, target, closest, overshoots, off, floor, rests, middle, fate: ending };
}
