// Where will it end? How good a guess was, and what about the race answers the thought behind it.

import { formatNumber } from "./chart.js";
import { courseOf, diagonalOf, lengthAt, nearest, pointAt, reachOf } from "./course.js";
import {
  alike, angle, between, byItsRule, carries, covered, decays, divides, dot, firstOf, length, minus, moreSteps, part, passing,
  pathTo, percent, slopeAt, stepAt, theMinimum, whyDiverged,
} from "./guess.js";
import { besidesSlope } from "./race.js";
import { capital, nameOf, placeName, rounded } from "./summary.js";
import { valueAt } from "./surface.js";

const COST = 4; // points for each percent of the map's diagonal between guess and end
const RIGHT = 0.05; // of the diagonal: a guess as near counts as right
const AT = 0.08; // of the diagonal: a guess as near a minimum or a saddle means it
const BY = 0.06; // of the diagonal: a path as near has come by
const STILL = 0.001; // of the diagonal: whose last step is as short has come to rest

/**
 * The score of a guess where racer `index` will end: point [x, y], or null for "off the map".
 * {points 0 … 100, right, gone: it left the map or diverged, distance and share of the diagonal or null, minimum: whether it
 * is the right one of several, or null where the guess is near none}
 */
export function scoreWhere(race, index, point, field = null) {
  const racer = race.racers[index];
  const course = courseOf(race, racer, field);
  const gone = course.fate === "diverged" || course.off !== null;
  if (gone || !point) {
    const right = gone && !point;
    return { points: right ? 100 : 0, right, gone, distance: null, share: null, minimum: null };
  }
  const distance = between(point, course.end);
  const share = distance / diagonalOf(race);
  const { minima } = race.surface;
  const [meant, reached] = [point, course.end].map((place) => nearest(minima, place));
  const means = course.fate === "arrived" && minima.length > 1 && between(minima[meant], point) <= 2 * AT * diagonalOf(race);
  const minimum = means ? meant === reached : null;
  const points = Math.max(0, Math.round(100 - 100 * COST * share));
  return { points, right: share <= RIGHT, gone, distance, share, minimum };
}

/** The score in a sentence. */
export function verdictWhere(race, index, point, score, field = null) {
  const racer = race.racers[index];
  const course = courseOf(race, racer, field);
  const name = nameOf(racer);
  if (score.gone) {
    const how = course.fate === "diverged" ? `diverges at step ${course.diverged}` : leaves(course);
    return point ? `${capital(name)} ${how}: ${score.points} points.` : `Right: ${name} ${how}. ${score.points} points.`;
  }
  const ends = `${capital(name)} ends at ${placeName(course.end)}`;
  if (!point) return `${ends}, on the map: ${score.points} points.`;
  const which = score.minimum === null ? "" : score.minimum ? " It is the minimum you meant." : " It is another minimum than yours.";
  return `${ends}, ${percent(score.share)} of the map's diagonal from your guess: ${score.points} of 100 points (each percent costs ${COST}).${which}`;
}

/** Does the map, or the lattice of f, reach to a point? */
const covers = ({ bounds: [x0, x1, y0, y1] }, [x, y]) => x >= x0 && x <= x1 && y >= y0 && y <= y1;

/**
 * What the lattice says of a point: {f, error: how far that may be off, slope: how steep f is, or null where that changes
 * too much from one lattice point to the next}; null near its edge.
 */
function around(field, [x, y]) {
  const { bounds: [x0, x1, y0, y1], nx, ny } = field;
  const [dx, dy] = [(x1 - x0) / (nx - 1), (y1 - y0) / (ny - 1)];
  if (!covers(field, [x - dx, y - dy]) || !covers(field, [x + dx, y + dy])) return null;
  const f = valueAt(field, x, y);
  const at = (i, j) => valueAt(field, x + i * dx, y + j * dy);
  const bends = [at(1, 0) + at(-1, 0) - 2 * f, at(0, 1) + at(0, -1) - 2 * f].map(Math.abs);
  const slope = Math.hypot((at(1, 0) - at(-1, 0)) / (2 * dx), (at(0, 1) - at(0, -1)) / (2 * dy));
  const turns = Math.hypot(bends[0] / (2 * dx), bends[1] / (2 * dy)); // of the slope, over half a cell
  return { f, error: (bends[0] + bends[1]) / 8, slope: turns < 0.2 * slope && Number.isFinite(slope) ? slope : null };
}

/** Since when it is off the map, as a clause. */
const leaves = ({ off }) => (off ? `leaves the map at step ${off}` : "is off the map from the start on");

/** It keeps circling a minimum: how far out, and what of the conditions keeps it there. */
function circling({ race, racer, course }) {
  const mixed = besidesSlope(race).filter((word) => word !== "clipping");
  const why = mixed.length ? ` With ${mixed.join(" and ")} the gradient does not vanish at the minimum.` : "";
  return `It does not come to rest there: it circles at a distance of about ${rounded(course.floor, 2)}, ` +
    `and its last step is ${rounded(lengthAt(racer, course.last - 1), 2)} long.${why}`;
}

/** How it went over the edge of the map, and how far. */
function goes({ race, racer, course, pure }) {
  const { off, last, end, fate, target } = course;
  const [x0, x1, y0, y1] = race.surface.bounds;
  if (fate === "arrived" && !covers(race.surface, target)) return `The minimum it arrives at, ${placeName(target)}, is not on the map.`;
  const beyond = Math.hypot(Math.max(x0 - end[0], 0, end[0] - x1), Math.max(y0 - end[1], 0, end[1] - y1));
  const far = off <= last ? ` At the end it is ${rounded(beyond, 2)} beyond the edge.` : "";
  if (!off) return `It starts off the map and is never on it.${far}`;
  const k = off - 1; // the step over the edge
  if (off > last) return last ? afterLast(racer, course) : beyondAll;
  const over = rounded(lengthAt(racer, k), 2);
  const along = dot(stepAt(racer, k), slopeAt(racer, k));
  if (pure && carries(racer) && !decays(racer) && along > 0) {
    return `Over the edge it moves uphill, ${over} a step: the slope there points it back already, and the gradients before carry it on.${far}`;
  }
  const before = k > 0 ? lengthAt(racer, k - 1) : 0;
  if (before > 0 && lengthAt(racer, k) > 1.1 * before) {
    return `The step over the edge is ${over} long, ${rounded(lengthAt(racer, k) / before, 2)} × as long as the one before.${far}`;
  }
  const slope = pure && along < 0 ? ` It is downhill there still, at a slope of ${formatNumber(length(slopeAt(racer, k)), 2)}.` : "";
  return `The step over the edge is ${over} long.${slope}${far}`;
}

const beyondAll = "Its first step already leads beyond 10⁹, or to where f is no finite number.";
/** The last step that was taken, and what the next one leads to. */
const afterLast = (racer, { last, end }) =>
  `Its last step, to ${placeName(end)}, was ${rounded(lengthAt(racer, last - 1), 2)} long; the next leads beyond 10⁹, or to where f is no finite number.`;

/** How far it is from the minimum where it has not arrived, or "". */
function unfinished({ race, course }) {
  if (!course.target) return "";
  return `After ${race.steps} steps it is still ${rounded(between(course.end, course.target), 2)} from ${theMinimum(race)}. `;
}

// What is said of a guess that is right: not only that it is.
const HELD = {
  gone(facts) {
    const { race, racer, course, gone } = facts;
    if (!gone) return null;
    if (course.fate !== "diverged") return goes(facts);
    const why = whyDiverged(race, racer, course);
    if (why) return why.trim();
    return course.last ? afterLast(racer, course) : beyondAll;
  },

  circles: (facts) => (facts.course.fate === "circling" ? circling(facts) : null),

  holds({ race, racer, course, start, pure }) {
    if (course.fate !== "arrived") return null;
    const { minima } = race.surface;
    const { arrived, last } = course;
    const near = `within ${rounded(reachOf(race), 2)} of ${theMinimum(race)}`;
    const final = formatNumber(lengthAt(racer, last - 1), 2);
    if (arrived === 0) return `It starts ${near}, 1 % of the map's diagonal, and stays; its last step is ${final} long.`;
    const closest = nearest(minima, start);
    const reached = nearest(minima, course.end);
    const [least, away] = [between(start, minima[closest]), between(start, minima[reached])];
    const which = minima.length < 2 || (closest !== reached && alike(least, away)) ? ""
      : closest === reached ? `Of the ${minima.length} minima it reaches the one nearest to the start, ${rounded(away, 2)} away. `
        : `Of the ${minima.length} minima it reaches one ${rounded(away, 2)} from the start, while another is only ${rounded(least, 2)} away. `;
    const [steep, flat] = [0, last - 1].map((k) => length(slopeAt(racer, k)));
    const vanishes = pure && flat < steep / 10 ? `: the slope, ${formatNumber(steep, 2)} at the start, is down to ${formatNumber(flat, 2)}, and the last step is ${final} long.`
      : `, and its last step is ${final} long.`;
    return `${which}From step ${arrived} on it stays ${near}, 1 % of the map's diagonal${vanishes}`;
  },

  bowl({ race, racer, course }) {
    if (course.fate !== "local") return null;
    const { lowest } = race.surface;
    const lower = lowest === null ? "" : `, not f = ${formatNumber(lowest, 3)} as at the lowest`;
    return `It is in a local minimum: f = ${formatNumber(racer.loss[course.last], 3)}${lower}. The slope is gone there and f rises all around, and it stays from step ${course.rests} on.`;
  },

  waits: (facts) => WHERE.waits(facts),

  start({ race, racer, course, diagonal, start }) {
    if (course.fate !== "start") return null;
    let far = 0;
    for (let k = 0; k <= course.last; k++) far = Math.max(far, between(pointAt(racer, k), start));
    return `It hardly leaves the start: it is never farther from it than ${formatNumber(far, 2)}, ${percent(far / diagonal)} of the map's diagonal.${byItsRule(race, racer, course)}`;
  },

  hovers({ racer, course }) {
    if (course.fate !== "hovering") return null;
    return `It does not settle: in the last quarter of the race it keeps moving about ${placeName(course.middle)}, and its last step is ${formatNumber(lengthAt(racer, course.last - 1), 2)} long.`;
  },

  way: (facts) => `${unfinished(facts)}${covered(facts.racer, facts.course)}${byItsRule(facts.race, facts.racer, facts.course)}`,
};

const WHERE = {
  saddle({ race, racer, course, point, diagonal, pure }) {
    if (!pure) return null;
    const { saddles, minima } = race.surface;
    const index = point ? nearest(saddles, point) : -1;
    if (index < 0 || course.fate === "saddle" || course.fate === "local") return null;
    const distance = between(saddles[index], point);
    if (distance > AT * diagonal || minima.some((minimum) => between(minimum, point) < distance)) return null;
    const near = passing(racer, course.last, saddles[index]);
    if (near.distance > 2 * AT * diagonal) return null;
    const size = (k) => length(slopeAt(racer, k));
    let later = near.step;
    while (later < course.last - 1 && size(later) < 3 * size(near.step)) later += 1;
    if (!(size(later) >= 3 * size(near.step) && racer.loss[later] < racer.loss[near.step])) return null;
    return `A saddle holds only who hits it exactly. At step ${near.step} ${nameOf(racer)} is ${rounded(near.distance, 2)} from it and the slope is still ` +
      `${formatNumber(size(near.step), 2)}; on the way down it grows, to ${formatNumber(size(later), 2)} at step ${later}.`;
  },

  diverges({ race, racer, course, point }) {
    if (!point || course.fate !== "diverged") return null;
    return `A downhill direction is not enough: the step must suit the slope.${whyDiverged(race, racer, course)}`;
  },

  falls({ race, racer, course, point }) {
    if (!point || course.fate !== "off" || race.surface.lowest !== null || !race.surface.saddles.length) return null;
    if (!course.off || course.off > course.last || decays(racer)) return null;
    const speed = lengthAt(racer, course.off - 1);
    return `This surface has no bottom: who has left the saddle falls for ever. ${capital(nameOf(racer))} left the map at ${rounded(speed, 2)} a step.`;
  },

  leaves: (facts) => (facts.gone ? goes(facts) : null),

  stays({ race, racer, course, point, gone }) {
    if (point) return null;
    const [x0, x1, y0, y1] = race.surface.bounds;
    let back = course.last + 1; // since when it is on the map
    for (; back > 0; back--) {
      const [x, y] = pointAt(racer, back - 1);
      if (!(x >= x0 && x <= x1 && y >= y0 && y <= y1)) break;
    }
    if (back) return `It was off the map, but from step ${back} on it is back on it.`;
    let most = 0;
    for (let k = 0; k < course.last; k++) if (lengthAt(racer, k) > lengthAt(racer, most)) most = k;
    return `It never comes off the map: its longest step, ${rounded(lengthAt(racer, most), 2)}, was step ${most}, ` +
      `and its last is ${formatNumber(lengthAt(racer, course.last - 1), 2)}.`;
  },

  // From here on the guess is a place, and the race ends on the map.
  waits({ racer, course, pure }) {
    if (!pure || course.fate !== "saddle") return null;
    return `It is still by the saddle, where the slope vanishes: it is ${formatNumber(length(slopeAt(racer, course.last - 1)), 2)}, ` +
      `and the last step is ${formatNumber(lengthAt(racer, course.last - 1), 2)} long.`;
  },

  // The minimum meant is the one nearest to the start, or at least not the one it reaches.
  minimum({ race, racer, course, point, diagonal, start }) {
    const { minima } = race.surface;
    if (course.fate !== "arrived" || minima.length < 2) return null;
    const meant = nearest(minima, point);
    const reached = nearest(minima, course.end);
    if (meant === reached || between(minima[meant], point) > AT * diagonal) return null;
    const [near, far] = [between(start, minima[meant]), between(start, minima[reached])];
    const opening = nearest(minima, start) === meant && near < far
      ? `The minimum you meant is nearest to the start, ${rounded(near, 2)} away against ${rounded(far, 2)}; but an optimizer sees no distance, only the slope under it.`
      : "An optimizer sees no minimum, only the slope under it.";
    const pass = passing(racer, course.last, minima[meant]);
    const uphill = [pass.step, pass.step + 1].some((k) => k < course.last && dot(stepAt(racer, k), slopeAt(racer, k)) > 0);
    if (pass.distance < BY * diagonal && carries(racer) && !decays(racer) && uphill) {
      return `${opening} It came by yours at step ${pass.step}, ${rounded(pass.distance, 2)} away, with a step of ` +
        `${rounded(lengthAt(racer, pass.step), 2)}: the gradients before carried it on.`;
    }
    const first = stepAt(racer, 0);
    const [yours, its] = [angle(first, minus(minima[meant], start)), angle(first, minus(minima[reached], start))];
    if (its < yours - 5) {
      return `${opening} Its first step points ${rounded(yours, 2)}° away from yours and ${rounded(its, 2)}° from the one it reached.`;
    }
    return `${opening} It came no nearer to yours than ${rounded(pass.distance, 2)}, at step ${pass.step}.`;
  },

  local({ race, racer, course, point, diagonal }) {
    const meant = nearest(race.surface.minima, point);
    if (course.fate !== "local" || meant < 0 || between(race.surface.minima[meant], point) > AT * diagonal) return null;
    return `The minimum there is lower, f = ${formatNumber(race.surface.lowest, 3)}, but nothing tells it so: at ${placeName(course.end)}, ` +
      `f = ${formatNumber(racer.loss[course.last], 3)}, it is in a local minimum. The slope is gone there and f rises all around, and it stays from step ${course.rests} on.`;
  },

  // It comes by the guess, and goes on.
  carries({ racer, course, point, diagonal, pure }) {
    if (!pure) return null;
    const pass = passing(racer, course.last, point);
    if (pass.step === 0 || pass.step >= course.last || pass.distance > BY * diagonal || between(point, course.end) < 0.1 * diagonal) return null;
    const speed = lengthAt(racer, pass.step);
    const slope = slopeAt(racer, pass.step);
    const came = `It did come by your guess, at step ${pass.step}, moving ${rounded(speed, 2)} a step`;
    if (carries(racer) && !decays(racer) && dot(stepAt(racer, pass.step), slope) > 0) {
      return `${came}. The slope there pointed it back already; the gradients before carried it on, uphill.`;
    }
    return length(slope) > 0 ? `${came}. The slope there is still ${formatNumber(length(slope), 2)}, so it went on.` : null;
  },

  // A straight line downhill from the start.
  signs({ racer, course, point, diagonal, start, pure }) {
    const slope = slopeAt(racer, 0);
    const step = stepAt(racer, 0);
    const along = downhillOff(point, start, slope, diagonal);
    if (along === null || !pure || !divides(racer) || decays(racer)) return null;
    const downhill = slope.map((z) => -z);
    const [off, ending] = [angle(step, downhill), angle(minus(course.end, start), downhill)];
    if (!(off > 15 && ending > 20) || slope.includes(0)) return null;
    const [big, small] = Math.abs(slope[0]) > Math.abs(slope[1]) ? [0, 1] : [1, 0];
    const axes = ["x", "y"];
    const steps = Math.abs(step[big] / step[small]);
    if (!(steps < 0.99 * Math.abs(slope[big] / slope[small]))) return null;
    return `Your guess lies straight downhill, along −g. ${capital(nameOf(racer))} does not go there: the slope is ${rounded(Math.abs(slope[big] / slope[small]))} times ` +
      `as steep in ${axes[big]} as in ${axes[small]}, but its first step is ${Math.abs(steps - 1) < 0.01 ? "as long in both" : `only ${rounded(steps)} times as long in ${axes[big]}`}, for it divides each axis by the size of its gradients. ` +
      `So it sets out ${rounded(off, 2)}° away from −g.`;
  },

  across({ racer, course, point, diagonal, start, pure }) {
    const slope = slopeAt(racer, 0);
    const along = downhillOff(point, start, slope, diagonal);
    if (along === null || !pure || angle(stepAt(racer, 0), slope.map((z) => -z)) > 1) return null; // it does set out along −g
    const ending = angle(minus(course.end, start), slope.map((z) => -z));
    if (!(ending > 20 && angle(slopeAt(racer, course.last - 1), slope) > 5)) return null;
    return `Your guess lies straight downhill, along −g at the start. That is the steepest way, not the way to the end: ` +
      `it ends ${rounded(ending, 2)}° beside that line, for −g turns on the way.`;
  },

  circles(facts) {
    const { course, point, diagonal } = facts;
    return course.fate === "circling" && between(point, course.target) <= AT * diagonal ? circling(facts) : null;
  },

  slow({ race, racer, course, point }) {
    if (!course.target || !["moving", "creeping", "start"].includes(course.fate) || course.overshoots.length) return null;
    const left = between(course.end, course.target);
    if (!(between(point, course.target) < 0.7 * left)) return null;
    const pace = lengthAt(racer, course.last - 1);
    return `It is not there in time: after ${race.steps} steps it is still ${rounded(left, 2)} from ${theMinimum(race)}, ` +
      `and its last step is ${formatNumber(pace, 2)} long.${byItsRule(race, racer, course)}${moreSteps(race, racer, course, course.target)}`;
  },

  // Another of several minima, though none was meant exactly.
  another({ race, racer, course, point, diagonal, start }) {
    const { minima } = race.surface;
    if (course.fate !== "arrived" || minima.length < 2) return null;
    const [meant, reached] = [point, course.end].map((place) => minima[nearest(minima, place)]);
    if (meant === reached || between(meant, point) > 2 * AT * diagonal) return null;
    const pass = passing(racer, course.last, meant);
    const closest = pass.step ? `It came no nearer to yours than ${rounded(pass.distance, 2)}, at step ${pass.step}` : "It never came nearer to yours than at the start";
    return `Of the ${minima.length} minima your guess is nearest to the one at ${placeName(meant)}; it came to the one at ${placeName(reached)}. ` +
      `${closest}; from the start they are ${rounded(between(start, meant), 2)} and ${rounded(between(start, reached), 2)} away.`;
  },

  // It comes by, close to the guess or a little beside it, and there is more of the path to come.
  passes({ racer, course, point, diagonal, pure }) {
    const pass = passing(racer, course.last, point);
    if (pass.step === 0 || pass.step >= course.last || pass.distance > BY * diagonal) return null;
    if (!(pass.distance < between(point, course.end) / 2)) return null;
    const whole = pathTo(racer, course.last);
    const [there, end] = [pass.step, course.last - 1].map((k) => length(slopeAt(racer, k)));
    const slope = pure && there > end && !alike(there, end) ? ` The slope there was still ${formatNumber(there, 2)}; at the end it is ${formatNumber(end, 2)}.` : "";
    return `It did come by your guess, ${rounded(pass.distance, 2)} away, at step ${pass.step}, moving ${formatNumber(lengthAt(racer, pass.step), 2)} a step, and went on: ` +
      `${part((whole - pathTo(racer, pass.step)) / whole)} of its path was still to come.${slope}`;
  },

  rests({ racer, course, seen, diagonal, pure }) {
    if (!seen?.slope || !pure || decays(racer) || (course.fate !== "arrived" && course.fate !== "local")) return null;
    const rest = length(slopeAt(racer, course.last - 1));
    if (!(seen.slope > 10 * rest && lengthAt(racer, course.last - 1) < STILL * diagonal)) return null;
    return `${capital(nameOf(racer))} comes to rest where the slope vanishes: in its last step it is ${formatNumber(rest, 2)}. ` +
      `At your guess the slope is about ${rounded(seen.slope, 2)}, so it would have gone on.`;
  },

  high({ racer, course, seen }) {
    if (!seen) return null;
    const low = racer.loss[course.last];
    const sure = seen.f - 2 * seen.error; // it is at least as high
    if (!(low < sure && seen.error < 0.02 * (seen.f - low)) || alike(low, seen.f)) return null;
    let from = course.last;
    while (from > 0 && racer.loss[from - 1] < sure) from -= 1;
    if (from > course.last / 2) return null;
    return `Your guess lies higher, at f ≈ ${formatNumber(seen.f, 2)}: ${from ? `from step ${from} on` : "from its start on"} ${nameOf(racer)} is below that, ` +
      `and it ends at f = ${formatNumber(low, 2)}.`;
  },

  // What is left holds for every path: where on it the guess was nearest.
  ahead({ race, racer, course, point }) {
    const pass = passing(racer, course.last, point);
    if (pass.step !== course.last || pass.distance === 0) return null;
    const pace = lengthAt(racer, course.last - 1);
    const off = angle(stepAt(racer, course.last - 1), minus(point, course.end));
    const heads = off < 1 ? "straight for it" : `${rounded(off, 2)}° beside it`;
    const more = off < 45 && course.fate !== "arrived"
      ? `Its last step, ${formatNumber(pace, 2)} long, heads ${heads}.${moreSteps(race, racer, course, point)}` : covered(racer, course);
    return `It never was nearer to your guess than at the end, ${rounded(pass.distance, 2)} away. ${more}${byItsRule(race, racer, course)}`;
  },

  behind({ racer, course, point, start }) {
    const pass = passing(racer, course.last, point);
    if (pass.step !== 0) return null;
    const off = angle(stepAt(racer, 0), minus(point, start));
    const out = off > 90 ? ` Its first step sets out ${rounded(off, 3)}° away from the way there.` : "";
    return `It never was nearer to your guess than at the start, ${rounded(pass.distance, 2)} away.${out} ${covered(racer, course)}`;
  },

  beside({ racer, course, point }) {
    const pass = passing(racer, course.last, point);
    return `It came no nearer to your guess than ${rounded(pass.distance, 2)}, at step ${pass.step} of ${course.last}. ${covered(racer, course)}`;
  },
};

/** The angle by which a guess lies off the way straight downhill, or null if it is not meant so. */
function downhillOff(point, start, slope, diagonal) {
  if (between(point, start) < AT * diagonal || length(slope) === 0) return null;
  const off = angle(minus(point, start), slope.map((z) => -z));
  return off < 15 ? off : null;
}

/** What in this race answers the guess where racer `index` ends: {key, text}. */
export function whyWhere(race, index, point, field = null) {
  const racer = race.racers[index];
  const score = scoreWhere(race, index, point, field);
  const facts = {
    race, racer, point, gone: score.gone, pure: !besidesSlope(race).length, course: courseOf(race, racer, field),
    seen: field && point ? around(field, point) : null, diagonal: diagonalOf(race), start: pointAt(racer, 0),
  };
  return firstOf(score.right ? HELD : WHERE, facts);
}
