// What a racer's path comes to: where it ends and since when, how near it came, how often it swung past. Numbers, no words.

import { lastStep } from "./race.js";
import { valueAt } from "./surface.js";

const REACH = 0.01; // of the map's diagonal: as near counts as there, and two points as far apart as different
const CLOSE = 1e-6; // of the diagonal: nearer than that the closest approach is no closer
const AROUND = 0.2; // of the diagonal: who is farther away at times does not circle the minimum
const LEFT = 0.05; // of the diagonal: who never was as far from the start has hardly left it, and as near a saddle is at it
const TAIL = 4; // a racer's last quarter shows whether it circles
const RESTED = 0.9; // who stays in place from before this share of the race on has come to rest
const LOW = 1e-6; // of how far f can fall: as near the lowest is no minimum that is local only
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
 * The steps at which a path {x, y, last} turns round beyond a place: overshoots.
 *
 * A turning point is a corner of the path that it reaches going away from the place and leaves coming nearer. It is an
 * overshoot if it lies on the other side of the place than the path did when it last was as far away, and on the other
 * side than the overshoot before. So bouncing from wall to wall of a ravine on the way is none, swinging through the
 * place is, and one swing counts once however much it wobbles. It must be farther out than `reach`, to be seen.
 */
function overshootsOf({ x, y, last }, [px, py], reach) {
  const steps = [];
  const ahead = new Int32Array(last + 1); // corners so far, ever nearer: the last one as far away as this one is among them
  let count = 0;
  const square = (k) => (x[k] - px) ** 2 + (y[k] - py) ** 2;
  const dot = (i, j) => (x[i] - px) * (x[j] - px) + (y[i] - py) * (y[j] - py);
  let side = -1; // the overshoot before
  for (let k = 0; k <= last; k++) {
    const far = square(k);
    while (count && square(ahead[count - 1]) < far) count -= 1;
    if (far > reach * reach && k > 0 && k < last && far > dot(k, k - 1) && dot(k, k + 1) < far) {
      const entry = count ? ahead[count - 1] : 0;
      if (dot(entry, k) < 0 && (side < 0 || dot(side, k) < 0)) {
        steps.push(k);
        side = k;
      }
    }
    ahead[count++] = k;
  }
  return steps;
}

/** The step at which a racer that is off the map at its last step left it for good; null if it is on it. */
function leftAt({ x, y, last }, [x0, x1, y0, y1]) {
  let k = last;
  while (k >= 0 && !(x[k] >= x0 && x[k] <= x1 && y[k] >= y0 && y[k] <= y1)) k -= 1;
  return k < last ? k + 1 : null;
}

/** The first step from which on a racer stays within `reach` of its last point. */
function restsFrom({ x, y, last }, reach) {
  let step = last;
  while (step > 0 && (x[step - 1] - x[last]) ** 2 + (y[step - 1] - y[last]) ** 2 <= reach * reach) step -= 1;
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

/** Is f there as low as it can be, to a millionth of how far it could fall? */
function isLowest({ surface: { lowest } }, { loss }, step) {
  return lowest !== null && loss[step] - lowest <= LOW * (Math.abs(loss[0] - lowest) + Math.abs(lowest));
}

/** How long a path is from one step to its last. */
function lengthFrom({ x, y, last }, from) {
  let length = 0;
  for (let k = from; k < last; k++) length += Math.sqrt((x[k + 1] - x[k]) ** 2 + (y[k + 1] - y[k]) ** 2);
  return length;
}

/** The distance at which a racer keeps going round a minimum in its last quarter, or null. */
function circlesAt(path, distance, diagonal) {
  if (path.last < FEWEST) return null;
  const from = path.last - Math.floor(path.last / TAIL);
  const tail = distance.slice(from);
  const half = tail.length >> 1;
  const [early, late] = [most(tail.subarray(0, half)), most(tail.subarray(half))];
  const size = Math.max(early, late);
  if (!(late >= 0.6 * early && size < AROUND * diagonal)) return null; // it still comes nearer
  if (!(lengthFrom(path, from) > 4 * size)) return null; // it hardly moves, or passes by
  return tail.sort()[half];
}

function most(values) {
  let high = -Infinity;
  for (const value of values) if (value > high) high = value;
  return high;
}

/** The middle of the place about which a racer keeps moving in its last quarter without getting anywhere, or null. */
function hoversAbout(path, diagonal) {
  const { x, y, last } = path;
  if (last < FEWEST) return null;
  const from = last - Math.floor(last / TAIL);
  const mean = (values) => values.subarray(from, last).reduce((a, b) => a + b) / (last - from);
  const [mx, my] = [mean(x), mean(y)];
  let square = 0;
  for (let k = from; k < last; k++) square = Math.max(square, (x[k] - mx) ** 2 + (y[k] - my) ** 2);
  const radius = Math.sqrt(square);
  return radius < LEFT * diagonal && lengthFrom(path, from) > 8 * radius ? [mx, my] : null;
}

/** The distance to the nearest of some places at every step. */
function distancesTo(places, { x, y, last }) {
  const squares = new Float64Array(last + 1).fill(Infinity);
  for (const [px, py] of places) {
    for (let k = 0; k <= last; k++) {
      const square = (x[k] - px) ** 2 + (y[k] - py) ** 2;
      if (square < squares[k]) squares[k] = square;
    }
  }
  return squares.map(Math.sqrt);
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
  const known = courses.get(racer);
  if (known && known.field === field) return known.course;
  const course = follow(race, racer, field);
  courses.set(racer, { field, course });
  return course;
}

const courses = new WeakMap(); // racer -> its course: a race arrives with racers of its own

function follow(race, racer, field) {
  const diagonal = diagonalOf(race);
  const reach = reachOf(race);
  const last = lastStep(race, racer);
  const path = { x: new Float64Array(last + 1), y: new Float64Array(last + 1), last };
  for (let k = 0; k <= last; k++) {
    path.x[k] = racer.value("theta", k, 0);
    path.y[k] = racer.value("theta", k, 1);
  }
  const end = pointAt(racer, last);
  const { minima, saddles, bounds } = race.surface;
  const index = nearest(minima, end);
  const target = index < 0 ? null : minima[index];
  const diverged = racer.diverged ?? null;
  const arrived = racer.arrived ?? null;

  let closest = null;
  let floor = null;
  if (target) {
    const distance = distancesTo(minima, path);
    let least = Infinity;
    for (const away of distance) if (away < least) least = away;
    const step = distance.findIndex((away) => away <= least + CLOSE * diagonal);
    closest = { step, distance: distance[step] };
    if (diverged === null) floor = circlesAt(path, distance, diagonal);
  }
  const off = leftAt(path, bounds) ?? diverged;
  const rests = restsFrom(path, reach);
  const still = last >= FEWEST && rests <= RESTED * last && lengthAt(racer, last - 1) < reach;
  const middle = diverged === null ? hoversAbout(path, diagonal) : null;

  const fate = () => {
    if (diverged !== null) return race.surface.lowest === null ? "off" : "diverged"; // without a bottom one falls for ever
    if (arrived !== null) return "arrived";
    if (floor !== null) return "circling";
    if (off !== null) return "off";
    if (!still) return middle ? "hovering" : "moving";
    const slope = Math.hypot(racer.value("g", last - 1, 0), racer.value("g", last - 1, 1));
    const { clip_norm: norm, clip_value: size } = race.conditions;
    const cut = slope > 0.9 * Math.min(norm ?? Infinity, size ?? Infinity); // f may be steeper
    if (field && !cut && !isLowest(race, racer, last) && inBowl(field, end, slope, reach)) return "local";
    if (saddles.some(([x, y]) => Math.hypot(end[0] - x, end[1] - y) < LEFT * diagonal)) return "saddle";
    return most(distancesTo([pointAt(racer, 0)], path)) > LEFT * diagonal ? "creeping" : "start";
  };
  const ending = fate();
  const centre = ending === "local" ? end : target;
  const overshoots = centre && ending !== "off" ? overshootsOf(path, centre, reach) : [];
  return { last, end, arrived, diverged, target, closest, overshoots, off, floor, rests, middle, fate: ending };
}
