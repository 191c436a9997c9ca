// A learner's guess about a race: how good it was, and what about the race answers the thought behind it.
//
// Each answer is a rule: a condition on the guess and the race's numbers, and a sentence with these numbers in it. The
// first rule whose condition holds is said; where none does, nothing is.

import { formatNumber } from "./chart.js";
import { courseOf, diagonalOf, lengthAt, nearest, pointAt, reachOf } from "./course.js";
import { factorPeak } from "./landmarks.js";
import { besidesSlope, hyperOf } from "./race.js";
import { capital, listed, nameOf, placeName, rounded, times } from "./summary.js";
import { valueAt } from "./surface.js";

const COST = 4; // points for each percent of the map's diagonal between guess and end
const RIGHT = 0.05; // of the diagonal: a guess as near counts as right
const AT = 0.08; // of the diagonal: a guess as near a minimum or a saddle means it
const BY = 0.06; // of the diagonal: a path as near has come by

const minus = (a, b) => [a[0] - b[0], a[1] - b[1]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1];
const length = (v) => Math.hypot(v[0], v[1]);
const between = (a, b) => length(minus(a, b));
const slopeAt = (racer, k) => [racer.value("g", k, 0), racer.value("g", k, 1)];
const stepAt = (racer, k) => [racer.value("update", k, 0), racer.value("update", k, 1)];
const percent = (share) => `${rounded(100 * share, 2)} %`;

/** The angle between two directions, in degrees. */
function angle(a, b) {
  const cosine = dot(a, b) / (length(a) * length(b));
  return (Math.acos(Math.max(-1, Math.min(1, cosine))) * 180) / Math.PI;
}

/** Does it keep gradients before in something (m) that moves it? */
const carries = (racer) => racer.rows.some(({ slot }) => slot === "m");
/** Is its step lr times the gradient (and weight decay)? */
const isPlain = (racer) => ["g", "decayed"].includes(racer.direction) && racer.effective_label === "lr";
/** Is its direction divided by the size of the gradients? */
const divides = (racer) => racer.rows.some(({ root }) => root);

// ---- Where will it end?

/**
 * The score of a guess where racer `index` will end: point [x, y], or null for "off the map".
 * {points 0 … 100, right, gone: it left the map or diverged, distance and share of the diagonal or null, minimum: whether it
 * is the right one of several, or null}
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
  const minimum = course.fate === "arrived" && minima.length > 1 ? nearest(minima, point) === nearest(minima, course.end) : null;
  const points = Math.max(0, Math.round(100 - 100 * COST * share));
  return { points, right: share <= RIGHT, gone, distance, share, minimum };
}

/** The score in a sentence. */
export function verdictWhere(race, index, point, score, field = null) {
  const racer = race.racers[index];
  const course = courseOf(race, racer, field);
  const name = nameOf(racer);
  if (score.gone) {
    const how = course.fate === "diverged" ? `diverges at step ${course.diverged}` : `leaves the map at step ${course.off}`;
    return point ? `${capital(name)} ${how}: ${score.points} points.` : `Right: ${name} ${how}. ${score.points} points.`;
  }
  const ends = `${capital(name)} ends at ${placeName(course.end)}`;
  if (!point) return `${ends}, on the map: ${score.points} points.`;
  const which = score.minimum === null ? "" : score.minimum ? " It is the minimum you meant." : " It is another minimum than yours.";
  return `${ends}, ${percent(score.share)} of the map's diagonal from your guess: ${score.points} of 100 points (each percent costs ${COST}).${which}`;
}

/** Why a racer diverges, with its numbers. */
function whyDiverged(race, racer, course) {
  const lr = hyperOf(racer, "lr");
  const [a, b] = [course.last - 2, course.last - 1]; // the last two steps that were taken
  if (b < 1) return "";
  const moved = length(stepAt(racer, a));
  const curvature = between(slopeAt(racer, b), slopeAt(racer, a)) / moved;
  const quiet = !besidesSlope(race).length && constant(race);
  if (isPlain(racer) && quiet && Number.isFinite(curvature) && lr > 2 / curvature) {
    return ` Along its last steps the curvature is ${rounded(curvature)}: there gradient descent needs an lr below ` +
      `2/${rounded(curvature)} = ${rounded(2 / curvature)}, and it has ${rounded(lr)}.`;
  }
  const growth = lengthAt(racer, b) / moved;
  return growth > 1 && Number.isFinite(growth) ? ` Its last step was ${rounded(growth)} × as long as the one before.` : "";
}

const constant = ({ factors }) => !factors || factors.every((factor) => factor === factors[0]);

/** The step at which a path is nearest to a place, and how near: {step, distance}. */
function passing(racer, last, place) {
  let best = { step: 0, distance: Infinity };
  for (let k = 0; k <= last; k++) {
    const distance = between(pointAt(racer, k), place);
    if (distance < best.distance) best = { step: k, distance };
  }
  return best;
}

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
    if (!(size(later) >= 3 * size(near.step))) return null;
    return `A saddle holds only who hits it exactly. At step ${near.step} ${nameOf(racer)} is ${rounded(near.distance, 2)} from it and the slope is still ` +
      `${formatNumber(size(near.step), 2)}; on the way down it grows, to ${formatNumber(size(later), 2)} at step ${later}.`;
  },

  diverges({ race, racer, course, point }) {
    if (!point || course.fate !== "diverged") return null;
    return `A downhill direction is not enough: the step must suit the slope.${whyDiverged(race, racer, course)}`;
  },

  falls({ race, racer, course, point }) {
    if (!point || course.fate !== "off" || race.surface.lowest !== null || !race.surface.saddles.length) return null;
    const speed = lengthAt(racer, Math.min(course.off, course.last - 1));
    return `This surface has no bottom: who has left the saddle falls for ever. ${capital(nameOf(racer))} left the map at ${rounded(speed, 2)} a step.`;
  },

  stays({ race, racer, course, point, gone }) {
    if (point || gone) return null;
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

  waits({ racer, course, point, pure }) {
    if (!point || !pure || course.fate !== "saddle") return null;
    return `It is still by the saddle, where the slope vanishes: at the end it is ${formatNumber(length(slopeAt(racer, course.last - 1)), 2)}, ` +
      `and the last step ${formatNumber(lengthAt(racer, course.last - 1), 2)} long.`;
  },

  // The minimum meant is the one nearest to the start, or at least not the one it reaches.
  minimum({ race, racer, course, point, diagonal, start }) {
    const { minima } = race.surface;
    if (!point || course.fate !== "arrived" || minima.length < 2) return null;
    const meant = nearest(minima, point);
    const reached = nearest(minima, course.end);
    if (meant === reached || between(minima[meant], point) > AT * diagonal) return null;
    const [near, far] = [between(start, minima[meant]), between(start, minima[reached])];
    const opening = nearest(minima, start) === meant && near < far
      ? `The minimum you meant is nearest to the start, ${rounded(near, 2)} away against ${rounded(far, 2)}; but an optimizer sees no distance, only the slope under it.`
      : "An optimizer sees no minimum, only the slope under it.";
    const pass = passing(racer, course.last, minima[meant]);
    const uphill = [pass.step, pass.step + 1].some((k) => k < course.last && dot(stepAt(racer, k), slopeAt(racer, k)) > 0);
    if (pass.distance < BY * diagonal && carries(racer) && uphill) {
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
    const meant = point ? nearest(race.surface.minima, point) : -1;
    if (course.fate !== "local" || meant < 0 || between(race.surface.minima[meant], point) > AT * diagonal) return null;
    return `The minimum there is lower, f = ${formatNumber(race.surface.lowest, 3)}, but nothing tells it so: at ${placeName(course.end)}, ` +
      `f = ${formatNumber(racer.loss[course.last], 3)}, it is in a local minimum. The slope is gone there and f rises all around, and it stays from step ${course.rests} on.`;
  },

  // It comes by the guess, and goes on.
  carries({ racer, course, point, diagonal, gone, pure }) {
    if (!point || gone || !pure) return null;
    const pass = passing(racer, course.last, point);
    if (pass.step === 0 || pass.step >= course.last || pass.distance > BY * diagonal || between(point, course.end) < 0.1 * diagonal) return null;
    const speed = lengthAt(racer, pass.step);
    const slope = slopeAt(racer, pass.step);
    const came = `It did come by your guess, at step ${pass.step}, moving ${rounded(speed, 2)} a step`;
    if (carries(racer) && dot(stepAt(racer, pass.step), slope) > 0) {
      return `${came}. The slope there pointed it back already; the gradients before carried it on, uphill.`;
    }
    return `${came}. The slope there is still ${formatNumber(length(slope), 2)}, so it went on.`;
  },

  // A straight line downhill from the start.
  signs({ racer, course, point, diagonal, start, gone, pure }) {
    const slope = slopeAt(racer, 0);
    const step = stepAt(racer, 0);
    const along = downhillOff(point, start, slope, diagonal);
    if (along === null || gone || !pure || !divides(racer) || hyperOf(racer, "weight_decay") > 0) return null;
    const downhill = slope.map((z) => -z);
    const [off, ending] = [angle(step, downhill), angle(minus(course.end, start), downhill)];
    if (!(off > 15 && ending > 20) || slope.includes(0)) return null;
    const [big, small] = Math.abs(slope[0]) > Math.abs(slope[1]) ? [0, 1] : [1, 0];
    const axes = ["x", "y"];
    const steps = Math.abs(step[big] / step[small]);
    return `Your guess lies straight downhill, along −g. ${nameOf(racer)} does not go there: the slope is ${rounded(Math.abs(slope[big] / slope[small]))} times ` +
      `as steep in ${axes[big]} as in ${axes[small]}, but its first step is ${Math.abs(steps - 1) < 0.01 ? "as long in both" : `only ${rounded(steps)} times as long`}, for it divides each axis by the size of its gradients. ` +
      `So it sets out ${rounded(off, 2)}° away from −g.`;
  },

  across({ racer, course, point, diagonal, start, gone, pure }) {
    const slope = slopeAt(racer, 0);
    const along = downhillOff(point, start, slope, diagonal);
    if (along === null || gone || !pure || angle(stepAt(racer, 0), slope.map((z) => -z)) > 1) return null; // it does set out along −g
    const ending = angle(minus(course.end, start), slope.map((z) => -z));
    if (!(ending > 20 && angle(slopeAt(racer, course.last - 1), slope) > 5)) return null;
    return `Your guess lies straight downhill, along −g at the start. That is the steepest way, not the way to the end: ` +
      `it ends ${rounded(ending, 2)}° beside that line, for −g turns on the way.`;
  },

  circles({ race, racer, course, point, diagonal }) {
    if (!point || course.fate !== "circling" || between(point, course.target) > AT * diagonal) return null;
    const mixed = besidesSlope(race).filter((word) => word !== "clipping");
    const why = mixed.length ? ` With ${mixed.join(" and ")} the gradient does not vanish at the minimum.` : "";
    return `It does not come to rest there: it circles at a distance of about ${rounded(course.floor, 2)}, ` +
      `and its last step is ${rounded(lengthAt(racer, course.last - 1), 2)} long.${why}`;
  },

  slow({ race, racer, course, point }) {
    if (!point || !course.target || !["moving", "creeping", "start"].includes(course.fate) || course.overshoots.length) return null;
    const left = between(course.end, course.target);
    if (!(between(point, course.target) < 0.7 * left)) return null;
    const pace = lengthAt(racer, course.last - 1);
    const more = pace > 0 && left / pace < 1e7 ? ` At that pace, and straight there, it is another ${rounded(Math.ceil(left / pace), 2)} steps.` : "";
    return `It is not there in time: after ${race.steps} steps it is still ${rounded(left, 2)} from ${race.surface.minima.length > 1 ? "a" : "the"} minimum, ` +
      `and its last step is ${formatNumber(pace, 2)} long.${more}`;
  },

  rests({ racer, course, point, field, diagonal, pure }) {
    if (!point || !field || !pure || (course.fate !== "arrived" && course.fate !== "local")) return null;
    const h = 0.003 * diagonal;
    const slope = Math.hypot(
      valueAt(field, point[0] + h, point[1]) - valueAt(field, point[0] - h, point[1]),
      valueAt(field, point[0], point[1] + h) - valueAt(field, point[0], point[1] - h),
    ) / (2 * h);
    const rest = length(slopeAt(racer, course.last - 1));
    if (!(slope > 10 * rest)) return null;
    return `${capital(nameOf(racer))} comes to rest where the slope vanishes: at its end it is ${formatNumber(rest, 2)}. ` +
      `At your guess the slope is about ${rounded(slope, 2)}, so it would have gone on.`;
  },

  high({ racer, course, point, field, gone }) {
    if (!point || !field || gone) return null;
    const height = valueAt(field, ...point);
    const unit = 10 ** Math.floor(Math.log10(0.01 * Math.abs(height - racer.loss[course.last]) || 1)); // finer the lattice is not
    const f = Number((Math.round(height / unit) * unit).toPrecision(6));
    let from = course.last;
    while (from > 0 && racer.loss[from - 1] < f) from -= 1;
    if (!(racer.loss[course.last] < f) || from > course.last / 2) return null;
    return `Your guess lies higher, at f ≈ ${formatNumber(f, 2)}: ${from ? `from step ${from} on` : "from its start on"} ${nameOf(racer)} is below that, ` +
      `and it ends at f = ${formatNumber(racer.loss[course.last], 2)}.`;
  },
};

/** Does the lattice of f reach to a point? */
const covers = ({ bounds: [x0, x1, y0, y1] }, [x, y]) => x >= x0 && x <= x1 && y >= y0 && y <= y1;

/** The angle by which a guess lies off the way straight downhill, or null if it is not meant so. */
function downhillOff(point, start, slope, diagonal) {
  if (!point || between(point, start) < AT * diagonal || length(slope) === 0) return null;
  const off = angle(minus(point, start), slope.map((z) => -z));
  return off < 15 ? off : null;
}

/** What in this race answers the guess where racer `index` ends: {key, text}, or null. */
export function whyWhere(race, index, point, field = null) {
  const racer = race.racers[index];
  const score = scoreWhere(race, index, point, field);
  const facts = {
    race, racer, point, gone: score.gone, pure: !besidesSlope(race).length, course: courseOf(race, racer, field),
    field: field && point && covers(field, point) ? field : null, diagonal: diagonalOf(race), start: pointAt(racer, 0),
  };
  return firstOf(score.right ? { circles: WHERE.circles } : WHERE, facts);
}

function firstOf(rules, facts) {
  for (const [key, rule] of Object.entries(rules)) {
    const text = rule(facts);
    if (text) return { key, text };
  }
  return null;
}

// ---- Who arrives first?

/** The step at which a racer is through: it arrives or, where there is no minimum, leaves the map; null if never. */
const finishOf = (race, course) => (race.surface.minima.length ? course.arrived : course.off);

/** Who is first of those that race (off: indices of hidden ones): {winners: [index], step or null, courses}. */
function firstOfRace(race, off = [], field = null) {
  const courses = race.racers.map((racer) => courseOf(race, racer, field));
  const racing = [...courses.keys()].filter((index) => !off.includes(index) && finishOf(race, courses[index]) !== null);
  const step = racing.length ? Math.min(...racing.map((index) => finishOf(race, courses[index]))) : null;
  return { winners: racing.filter((index) => finishOf(race, courses[index]) === step), step, courses };
}

/** The score of a guess who is first: a racer's index, or null for nobody. {points, right} */
export function scoreFirst(race, pick, off = []) {
  const { winners } = firstOfRace(race, off);
  const right = pick === null ? winners.length === 0 : winners.includes(pick);
  return { points: right ? 100 : 0, right };
}

export function verdictFirst(race, pick, score, off = []) {
  const { winners, step } = firstOfRace(race, off);
  const names = listed(winners.map((index) => nameOf(race.racers[index])));
  const goal = race.surface.minima.length ? "arrives" : "leaves the map";
  const said = winners.length ? `${names} ${winners.length > 1 ? "are" : "is"} first, at step ${step}` : `nobody ${goal} within ${race.steps} steps`;
  return `${score.right ? `Right: ${said}` : capital(said)}. ${score.points} points.`;
}

/** How long a racer's path is up to a step. */
function pathTo(racer, step) {
  let sum = 0;
  for (let k = 0; k < step; k++) sum += lengthAt(racer, k);
  return sum;
}

const corrected = ({ bias }) => bias && bias.correct_m !== 0 && bias.correct_v !== 0;
const uncorrected = ({ bias }) => bias && bias.correct_m === 0 && bias.correct_v === 0;
/** Of one kind, and given the same but for one hyperparameter? */
const sameBut = (a, b, name) => a.name === b.name && a.hyper.every((hyper) => hyper.name === name || hyper.value === hyperOf(b, hyper.name));
const verb = (race) => (race.surface.minima.length ? "arrives" : "is off the map");

const FIRST = {
  diverges({ race, racer, course, others }) {
    if (!course || course.fate !== "diverged") return null;
    const lr = hyperOf(racer, "lr");
    const alike = others.filter((other) => other.name === racer.name);
    const largest = lr !== undefined && (alike.length ? alike : others).every((other) => !(hyperOf(other, "lr") >= lr));
    const opening = largest && others.length
      ? `The largest lr${alike.length ? " of its kind" : ""}, ${rounded(lr)}, is not the fastest: with it ${nameOf(racer)} diverges at step ${course.diverged}.`
      : `${capital(nameOf(racer))} diverges at step ${course.diverged}.`;
    return opening + whyDiverged(race, racer, course);
  },

  nobody({ race, racer, winners, courses, shown }) {
    if (!racer || winners.length) return null;
    if (!race.surface.minima.length) return `Within ${race.steps} steps none of them leaves the map.`;
    const best = shown.filter((index) => courses[index].diverged === null)
      .sort((a, b) => between(courses[a].end, courses[a].target) - between(courses[b].end, courses[b].target))[0];
    const reach = `Arriving means to stay within ${rounded(reachOf(race), 2)} of a minimum, 1 % of the map's diagonal`;
    if (best === undefined) return `${reach}; all of them diverge.`;
    const distance = between(courses[best].end, courses[best].target);
    return `${reach}. At the end ${nameOf(race.racers[best])} is nearest, ${rounded(distance, 2)} away.`;
  },

  somebody({ race, racer, winners, step }) {
    if (racer || !winners.length) return null;
    return `${capital(nameOf(race.racers[winners[0]]))} needs ${step} of the ${race.steps} steps.`;
  },

  // "Without correction the early steps are too small."
  small({ race, racer, course, winner, step }) {
    if (!racer || !winner || !corrected(racer) || !uncorrected(winner) || !sameBut(racer, winner, "bias_correction")) return null;
    const ratio = lengthAt(winner, 0) / lengthAt(racer, 0);
    const peak = factorPeak(winner, race.steps);
    if (!(ratio > 1) || !peak) return null;
    return `Without correction early steps are not too small but too large: m is too small, √v even smaller. Its first step here is ${rounded(ratio)} × ` +
      `that with correction (${rounded(lengthAt(winner, 0))} against ${rounded(lengthAt(racer, 0))}), and for the same m and v it would be ` +
      `${rounded(peak.factor)} × at t = ${peak.t}. Here that brings it there at step ${step}.${yours(race, course)}`;
  },

  large({ race, racer, course, winner, courses, winners, step }) {
    if (!racer || !winner || !uncorrected(racer) || !corrected(winner) || !sameBut(racer, winner, "bias_correction")) return null;
    const ratio = lengthAt(racer, 0) / lengthAt(winner, 0);
    if (!(ratio > 1)) return null;
    const [mine, its] = [course.overshoots.length, courses[winners[0]].overshoots.length];
    const swings = mine > its ? ` It overshoots ${times(mine)}${its ? `, with correction ${times(its)}` : ""}.` : "";
    return `Without correction the first step is ${rounded(ratio)} × as long, but long steps are not yet progress.${swings} ` +
      `With correction it is there at step ${step}.${yours(race, course)}`;
  },

  // "The larger lr is the faster."
  larger({ racer, winner, course, courses, winners, race }) {
    if (!racer || !winner || !sameBut(racer, winner, "lr")) return null;
    const [mine, its] = [hyperOf(racer, "lr"), hyperOf(winner, "lr")];
    const [swings, less] = [course.overshoots.length, courses[winners[0]].overshoots.length];
    if (!(mine > its) || !(swings > less)) return null;
    return `The larger lr is not the faster here: with ${rounded(mine)} it overshoots ${times(swings)}, with ${rounded(its)} ` +
      `${less ? times(less) : "never"}.${yours(race, course)}`;
  },

  // Momentum against gradient descent at one lr.
  sameLr({ racer, winner, race, course, step }) {
    if (!racer || !winner || !isPlain(racer) || !carries(winner) || divides(winner)) return null;
    const lr = hyperOf(racer, "lr");
    const mu = hyperOf(winner, "momentum");
    const pace = pathTo(winner, step) / step / (pathTo(racer, step) / step);
    const sums = winner.direction !== "direction" && hyperOf(winner, "convention") !== "ema" && !hyperOf(winner, "dampening"); // and is no average
    if (lr !== hyperOf(winner, "lr") || !(mu > 0 && mu < 1) || !sums || !(pace > 1)) return null;
    return `The same lr, ${rounded(lr)}, is not the same step: ${nameOf(winner)} adds up past gradients, where they agree to 1/(1−${rounded(mu)}) = ${rounded(1 / (1 - mu))} × ` +
      `the present one. Over the first ${step} steps it went ${rounded(pace)} × as far as ${nameOf(racer)}, so at one lr this is no fair race.${yours(race, course)}`;
  },

  // "Adam is always first."
  adam({ race, racer, winner, course, step }) {
    if (!racer || !winner || !racer.bias || winner.bias) return null;
    return `${racer.title} is not always ahead. ${pace(race, racer, winner, course, step)}`;
  },

  pace({ race, racer, winner, course, step }) {
    return racer && winner ? pace(race, racer, winner, course, step) : null;
  },
};

/** What becomes of the racer one has picked, as a sentence more. */
function yours(race, course) {
  const finish = finishOf(race, course);
  if (finish !== null) return ` Yours ${verb(race)} at step ${finish}.`;
  return course.fate === "diverged" ? ` Yours diverges at step ${course.diverged}.` : ` Yours does not within ${race.steps} steps.`;
}

/** Two racers compared: whose steps are longer, and whose path. */
function pace(race, racer, winner, course, step) {
  const finish = finishOf(race, course);
  const [mine, its] = [pathTo(racer, step), pathTo(winner, step)];
  if (finish === null) {
    const how = course.target ? `is ${rounded(between(course.end, course.target), 2)} from ${race.surface.minima.length > 1 ? "a" : "the"} minimum at the end` : "is still on the map at the end";
    return `${capital(nameOf(winner))} ${verb(race)} at step ${step}; ${nameOf(racer)} ${how}. In those ${step} steps it covered ${rounded(mine, 2)}, ${nameOf(winner)} ${rounded(its, 2)}.`;
  }
  const whole = pathTo(racer, finish);
  const longer = whole > its * 1.02
    ? `Its path is longer: ${rounded(whole)} against ${rounded(its)}.`
    : whole / finish > its / step ? "" : `Its steps are shorter: ${rounded(whole / finish, 2)} on average against ${rounded(its / step, 2)}.`;
  const swings = course.overshoots.length ? ` It overshoots ${times(course.overshoots.length)}.` : "";
  return `${capital(nameOf(racer))} ${verb(race)} at step ${finish}, ${finish - step} after ${nameOf(winner)}.${longer && " "}${longer}${swings}`;
}

/** What in this race answers the guess who is first: {key, text}, or null. */
export function whyFirst(race, pick, off = [], field = null) {
  const first = firstOfRace(race, off, field);
  const { winners, step, courses } = first;
  const shown = [...race.racers.keys()].filter((index) => !off.includes(index));
  if (pick === null ? !winners.length : winners.includes(pick)) {
    if (pick === null || shown.length < 2) return null;
    return { key: "here", text: "On this surface, from this start, at these learning rates. Another start or a tuned lr may reverse it." };
  }
  return firstOf(FIRST, {
    race, winners, step, courses, shown,
    racer: pick === null ? null : race.racers[pick],
    course: pick === null ? null : courses[pick],
    winner: winners.length ? race.racers[winners[0]] : null,
    others: shown.filter((index) => index !== pick).map((index) => race.racers[index]),
  });
}

// ---- Another start

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
