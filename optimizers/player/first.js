// Who arrives first? Whether a guess was right, and what about the race answers the thought behind it.

import { formatNumber } from "./chart.js";
import { courseOf, lengthAt, nearest, pointAt, reachOf } from "./course.js";
import { alike, between, carries, divides, firstOf, isPlain, moreSteps, pathTo, theMinimum, whyDiverged } from "./guess.js";
import { factorPeak } from "./landmarks.js";
import { hyperOf } from "./race.js";
import { capital, listed, nameOf, rounded, times } from "./summary.js";

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
export function scoreFirst(race, pick, off = [], field = null) {
  const { winners } = firstOfRace(race, off, field);
  const right = pick === null ? winners.length === 0 : winners.includes(pick);
  return { points: right ? 100 : 0, right };
}

/** The score in a sentence. */
export function verdictFirst(race, pick, score, off = [], field = null) {
  const { winners, step } = firstOfRace(race, off, field);
  const names = listed(winners.map((index) => nameOf(race.racers[index])));
  const goal = race.surface.minima.length ? "arrives" : "leaves the map";
  const said = winners.length ? `${names} ${winners.length > 1 ? "are" : "is"} first, ${at(step)}` : `nobody ${goal} within ${race.steps} steps`;
  return `${score.right ? `Right: ${said}` : capital(said)}. ${score.points} points.`;
}

const corrected = ({ bias }) => bias && bias.correct_m !== 0 && bias.correct_v !== 0;
const uncorrected = ({ bias }) => bias && bias.correct_m === 0 && bias.correct_v === 0;
/** Of one kind, and given the same but for one hyperparameter? */
const sameBut = (a, b, name) => a.name === b.name && a.hyper.every((hyper) => hyper.name === name || hyper.value === hyperOf(b, hyper.name));
const at = (step) => (step ? `at step ${step}` : "from the start on");
const verb = (race) => (race.surface.minima.length ? "arrives" : "is off the map");

const FIRST = {
  diverges({ race, racer, course, others }) {
    if (!course || course.fate !== "diverged") return null;
    const lr = hyperOf(racer, "lr");
    const kin = others.filter((other) => other.name === racer.name);
    const largest = lr !== undefined && (kin.length ? kin : others).every((other) => !(hyperOf(other, "lr") >= lr));
    const opening = largest && others.length
      ? `The largest lr${kin.length ? " of its kind" : ""}, ${rounded(lr)}, is not the fastest: with it ${nameOf(racer)} diverges at step ${course.diverged}.`
      : `${capital(nameOf(racer))} diverges at step ${course.diverged}.`;
    return opening + whyDiverged(race, racer, course);
  },

  nobody({ race, racer, winners, courses, shown }) {
    return racer && !winners.length ? nobody(race, shown, courses) : null;
  },

  somebody({ race, racer, winner, winners, courses, step }) {
    if (racer) return null;
    const path = pathThere(race, winner, courses[winners[0]], step);
    return step ? `${capital(nameOf(winner))} needs ${step} of the ${race.steps} steps.${path}` : fromTheStart(race, winners);
  },

  start({ race, course, winners, step }) {
    if (step !== 0) return null;
    const finish = finishOf(race, course);
    const back = race.surface.minima.length ? "Yours leaves, and is back to stay at step" : "Yours is off it for good at step";
    return fromTheStart(race, winners) + (finish === null ? yours(race, course) : ` ${back} ${finish}.`);
  },

  // "Without correction the early steps are too small."
  small({ race, racer, course, winner, step }) {
    if (!corrected(racer) || !uncorrected(winner) || !sameBut(racer, winner, "bias_correction")) return null;
    const ratio = lengthAt(winner, 0) / lengthAt(racer, 0);
    const peak = factorPeak(winner, race.steps);
    if (!(ratio > 1 && Number.isFinite(ratio)) || !peak) return null;
    return `Without correction early steps are not too small but too large: m is too small, √v even smaller. Its first step here is ${rounded(ratio)} × ` +
      `that with correction (${rounded(lengthAt(winner, 0))} against ${rounded(lengthAt(racer, 0))}), and for the same m and v it would be ` +
      `${rounded(peak.factor)} × at t = ${peak.t}. Here that brings it there at step ${step}.${yours(race, course)}`;
  },

  large({ race, racer, course, winner, courses, winners, step }) {
    if (!uncorrected(racer) || !corrected(winner) || !sameBut(racer, winner, "bias_correction")) return null;
    const ratio = lengthAt(racer, 0) / lengthAt(winner, 0);
    if (!(ratio > 1 && Number.isFinite(ratio))) return null;
    const [mine, its] = [course.overshoots.length, courses[winners[0]].overshoots.length];
    const swings = mine > its ? ` It overshoots ${times(mine)}${its ? `, with correction ${times(its)}` : ""}.` : "";
    return `Without correction the first step is ${rounded(ratio)} × as long, but long steps are not yet progress.${swings} ` +
      `With correction it is there at step ${step}.${yours(race, course)}`;
  },

  // "The larger lr is the faster."
  larger({ racer, winner, course, courses, winners, race }) {
    if (!sameBut(racer, winner, "lr")) return null;
    const [mine, its] = [hyperOf(racer, "lr"), hyperOf(winner, "lr")];
    const [swings, less] = [course.overshoots.length, courses[winners[0]].overshoots.length];
    if (!(mine > its) || !(swings > less)) return null;
    return `The larger lr is not the faster here: with ${rounded(mine)} it overshoots ${times(swings)}, with ${rounded(its)} ` +
      `${less ? times(less) : "never"}.${yours(race, course)}`;
  },

  // Momentum against gradient descent at one lr.
  sameLr({ racer, winner, race, course, step }) {
    if (!isPlain(racer) || !carries(winner) || divides(winner)) return null;
    const lr = hyperOf(racer, "lr");
    const mu = hyperOf(winner, "momentum");
    const pace = pathTo(winner, step) / pathTo(racer, step);
    const sums = winner.direction !== "direction" && hyperOf(winner, "convention") !== "ema" && !hyperOf(winner, "dampening"); // and is no average
    if (lr !== hyperOf(winner, "lr") || !(mu > 0 && mu < 1) || !sums || !(pace > 1 && Number.isFinite(pace))) return null;
    return `The same lr, ${rounded(lr)}, is not the same step: ${nameOf(winner)} adds up past gradients, where they agree to 1/(1−${rounded(mu)}) = ${rounded(1 / (1 - mu))} × ` +
      `the present one. Over the first ${step} steps it went ${rounded(pace)} × as far as ${nameOf(racer)}, so at one lr this is no fair race.${yours(race, course)}`;
  },

  // "Adam is always first."
  adam({ race, racer, winner, course, courses, winners, step }) {
    if (!racer.bias || winner.bias) return null;
    return `${racer.title} is not always ahead. ${pace(race, racer, winners[0], course, courses[winners[0]], step)}`;
  },

  pace: ({ race, racer, course, courses, winners, step }) => pace(race, racer, winners[0], course, courses[winners[0]], step),
};

// What is said of a guess that is right: what it hangs on.
const RIGHT = {
  nobody: ({ race, racer, shown, courses }) => (racer ? null : nobody(race, shown, courses)),

  start: ({ race, winners, step }) => (step === 0 ? fromTheStart(race, winners) : null),

  alone({ race, racer, course, shown, step }) {
    if (shown.length > 1) return null;
    return `It is the only one that races, and ${race.surface.minima.length ? "arrives" : "leaves the map"} at step ${step} of ${race.steps}.${pathThere(race, racer, course, step)}`;
  },

  tie({ race, winners, courses, step }) {
    if (winners.length < 2) return null;
    let most = { apart: 0, k: 0 };
    for (const one of winners) {
      for (const other of winners) {
        for (let k = 0; k <= Math.min(courses[one].last, courses[other].last); k++) {
          const apart = between(pointAt(race.racers[one], k), pointAt(race.racers[other], k));
          if (apart > most.apart) most = { apart, k };
        }
      }
    }
    const paths = most.apart > 0 ? `though their paths part: by ${formatNumber(most.apart, 2)} at step ${most.k}, where it is most` : "and their paths are the same";
    const where = race.surface.minima.length ? "arrive" : "are off the map";
    return `${capital(listed(winners.map((index) => nameOf(race.racers[index]))))} ${where} at the same step, ${step}, ${paths}.`;
  },

  here({ race, racer, course, shown, courses, step }) {
    const others = shown.filter((index) => race.racers[index] !== racer);
    const [next] = others.filter((index) => finishOf(race, courses[index]) !== null)
      .sort((a, b) => finishOf(race, courses[a]) - finishOf(race, courses[b]));
    const reverse = "That holds here: another start or a tuned lr may reverse it.";
    if (next === undefined) return `${capital(unfinished(race, others, courses))} ${reverse}`;
    const other = race.racers[next];
    const finish = finishOf(race, courses[next]);
    const [[mine, steps], [its, taken]] = [pathUntil(racer, course, step), pathUntil(other, courses[next], finish)];
    const compared = its > mine * 1.02 ? ` The path of ${nameOf(racer)} is shorter: ${rounded(mine)} against ${rounded(its)}.`
      : mine / steps > its / taken && !alike(mine / steps, its / taken)
        ? ` The steps of ${nameOf(racer)} are longer: ${rounded(mine / steps, 2)} on average against ${rounded(its / taken, 2)}.` : "";
    return `The next is ${nameOf(other)}, at step ${finish}, ${finish - step} later.${compared} ${reverse}`;
  },
};

/** How long a path is up to a step, and of how many steps it is: the step at which one diverges is none of them. */
function pathUntil(racer, { last }, step) {
  const steps = Math.min(step, last);
  return [pathTo(racer, steps), steps];
}

/** How long the way there was, against the straight one: a sentence more. */
function pathThere(race, racer, course, step) {
  const [path, steps] = pathUntil(racer, course, step);
  const straight = between(pointAt(racer, 0), pointAt(racer, steps));
  return straight > 0 ? ` Its path until then is ${rounded(path)} long, ${rounded(path / straight)} × the straight way.` : "";
}

/** All start together, some of them where they need not go. */
function fromTheStart(race, winners) {
  const names = listed(winners.map((index) => nameOf(race.racers[index])));
  const many = winners.length > 1;
  return race.surface.minima.length
    ? `All start within ${rounded(reachOf(race), 2)} of ${theMinimum(race)}, 1 % of the map's diagonal: ${names} ${many ? "stay" : "stays"} there.`
    : `All start off the map: ${names} ${many ? "are" : "is"} never on it.`;
}

/** Nobody arrives, or leaves: who comes nearest to it. */
function nobody(race, shown, courses) {
  if (!shown.length) return "All racers are hidden, so nobody races.";
  const moving = shown.filter((index) => courses[index].diverged === null);
  const final = (index) => lengthAt(race.racers[index], courses[index].last - 1);
  if (!race.surface.minima.length) {
    const away = (index) => between(courses[index].end, pointAt(race.racers[index], 0));
    const [far] = moving.sort((a, b) => away(b) - away(a));
    return `Within ${race.steps} steps none of them leaves the map. At the end ${nameOf(race.racers[far])} is farthest from the start, ${rounded(away(far), 2)} away, ` +
      `and its last step is ${formatNumber(final(far), 2)} long.`;
  }
  const away = (index) => between(courses[index].end, courses[index].target);
  const [best] = moving.sort((a, b) => away(a) - away(b));
  const reach = `Arriving means to stay within ${rounded(reachOf(race), 2)} of a minimum, 1 % of the map's diagonal`;
  if (best === undefined) return `${reach}; ${shown.length > 1 ? "all of them diverge" : "it diverges"}.`;
  const racer = race.racers[best];
  const nearer = `${reach}. At the end ${nameOf(racer)} is ${moving.length > 1 ? "nearest, " : ""}${rounded(away(best), 2)} away`;
  if (away(best) <= reachOf(race) && final(best) > reachOf(race)) return `${nearer}, but its last step is longer than that, ${rounded(final(best), 2)}: it is passing by.`;
  const slow = courses[best].fate === "moving" && !courses[best].overshoots.length;
  return `${nearer}, and its last step is ${formatNumber(final(best), 2)} long.${slow ? moreSteps(race, racer, courses[best], courses[best].target) : ""}`;
}

/** None of some others is there in time: who of them is nearest. */
function unfinished(race, others, courses) {
  const name = (index) => nameOf(race.racers[index]);
  if (!race.surface.minima.length) {
    return `${others.length > 1 ? "none of the others leaves" : `${name(others[0])} does not leave`} the map within ${race.steps} steps.`;
  }
  const moving = others.filter((index) => courses[index].diverged === null);
  const away = (index) => between(courses[index].end, courses[index].target);
  const [best] = moving.sort((a, b) => away(a) - away(b));
  if (best === undefined) return others.length > 1 ? "all others diverge." : `${name(others[0])} diverges at step ${courses[others[0]].diverged}.`;
  const ends = `ends ${rounded(away(best), 2)} from ${theMinimum(race)}`;
  return others.length > 1 ? `none of the others arrives within ${race.steps} steps: ${name(best)}, the nearest of them, ${ends}.`
    : `${name(best)} does not arrive within ${race.steps} steps: it ${ends}.`;
}

/** What becomes of the racer one has picked, as a sentence more. */
function yours(race, course) {
  const finish = finishOf(race, course);
  if (finish !== null) return ` Yours ${verb(race)} at step ${finish}.`;
  return course.fate === "diverged" ? ` Yours diverges at step ${course.diverged}.` : ` Yours does not within ${race.steps} steps.`;
}

/** Two racers compared: whose steps are longer, and whose path. */
function pace(race, racer, winner, course, winning, step) {
  const finish = finishOf(race, course);
  const [first, second] = [nameOf(race.racers[winner]), nameOf(racer)];
  const [its, steps] = pathUntil(race.racers[winner], winning, step);
  if (finish === null) {
    const how = course.target ? `is ${rounded(between(course.end, course.target), 2)} from ${theMinimum(race)} at the end` : "is still on the map at the end";
    return `${capital(first)} ${verb(race)} at step ${step}; ${second} ${how}. In the first ${steps} steps it covered ${rounded(pathTo(racer, steps), 2)}, ${first} ${rounded(its, 2)}.`;
  }
  const [whole, taken] = pathUntil(racer, course, finish);
  const longer = whole > its * 1.02 ? ` Its path is longer: ${rounded(whole)} against ${rounded(its)}.`
    : whole / taken < its / steps && !alike(whole / taken, its / steps)
      ? ` Its steps are shorter: ${rounded(whole / taken, 2)} on average against ${rounded(its / steps, 2)}.` : "";
  const swings = course.overshoots.length ? ` It overshoots ${times(course.overshoots.length)}.` : "";
  return `${capital(second)} ${verb(race)} at step ${finish}, ${finish - step} after ${first}.${longer}${swings}`;
}

/** What in this race answers the guess who is first: {key, text}. */
export function whyFirst(race, pick, off = [], field = null) {
  const { winners, step, courses } = firstOfRace(race, off, field);
  const shown = [...race.racers.keys()].filter((index) => !off.includes(index));
  const right = pick === null ? !winners.length : winners.includes(pick);
  return firstOf(right ? RIGHT : FIRST, {
    race, winners, step, courses, shown,
    racer: pick === null ? null : race.racers[pick],
    course: pick === null ? null : courses[pick],
    winner: winners.length ? race.racers[winners[0]] : null,
    others: shown.filter((index) => index !== pick).map((index) => race.racers[index]),
  });
}
