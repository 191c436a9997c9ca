// A race in words: who reaches what, when and how. Every number is read off the race.

import { formatNumber } from "./chart.js";
import { courseOf, diagonalOf } from "./course.js";
import { besidesSlope, formatSetting } from "./race.js";

const BRIEF = 4; // with more racers the sentences tell less of each
const SEEN = 0.002; // of the map's diagonal: an arrived racer that keeps circling farther out is said to
const SAME = 1e-6; // of how far f can fall: who ends as close to the lowest is as low
const NUMBERS = ["no", "once", "twice", "three times", "four times", "five times", "six times", "seven times", "eight times", "nine times"];
const ORDER = ["circling", "local", "hovering", "moving", "creeping", "saddle", "start", "off", "diverged"];

export const times = (count) => NUMBERS[count] ?? `${count} times`;
export const rounded = (z, digits = 3) => formatSetting(Number(z.toPrecision(digits)));
/** "(1, −0.5)"; what would show as a power of ten is 0. */
export const placeName = (point) => `(${point.map((z) => (Math.abs(z) < 1e-4 ? "0" : rounded(z))).join(", ")})`;

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** "a", "a and b", "a, b and c". */
export function listed(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

/** "Adam, uncorrected" among others: "Adam (uncorrected)". */
export const nameOf = ({ label }) => label.replace(/, (.*)$/, " ($1)");

/** ", 0.9 from the minimum"; where there is none, ", at (1, 2)". */
function whereabouts(race, courses) {
  if (!courses[0].target) return `, at ${listed(courses.map(({ end }) => placeName(end)))}`;
  const distances = courses.map(({ end, target }) => rounded(Math.hypot(end[0] - target[0], end[1] - target[1]), 2));
  return `, ${listed(distances)} from the ${race.surface.minima.length > 1 ? "nearest " : ""}minimum`;
}

/** What racers must share to be told of in one clause: where that is `brief`, no more than the clause says. */
function kindOf({ racer, course: { fate, arrived, target, overshoots, floor, last } }, brief) {
  if (brief) return fate;
  if (fate === "arrived") return `${fate} ${arrived} ${target} ${overshoots.length} ${floor}`;
  if (fate === "local") return `${fate} ${formatNumber(racer.loss[last], 3)}`;
  return fate === "moving" || fate === "creeping" ? `${fate} ${overshoots.length}` : fate;
}

/**
 * What becomes of racers of one kind, without their names. Who arrives `first` names the minimum, the others say "it";
 * `brief` leaves out where those are who are nowhere.
 */
function fateOf(race, entries, { first, brief }) {
  const courses = entries.map(({ course }) => course);
  const [{ fate, arrived, overshoots, target, floor, last }] = courses;
  const [{ racer }] = entries;
  const many = entries.length > 1;
  const verb = (one, more) => (many ? more : one);
  const passes = times(overshoots.length);
  const after = `after ${race.steps} steps`;
  if (fate === "arrived") {
    const own = race.surface.minima.length > 1 ? `the minimum at ${placeName(target)}` : first ? "the minimum" : null;
    if (arrived === 0) return `${verb("starts at", "start at")} ${own ?? "it"} and ${verb("stays", "stay")}`;
    const circling = floor !== null && floor > SEEN * diagonalOf(race);
    const then = circling ? `, then ${verb("circles", "circle")} it at a distance of about ${rounded(floor, 2)}` : "";
    const [reaches, arrives] = [verb("reaches", "reach"), verb("arrives", "arrive")];
    if (!overshoots.length) return `${own ? `${reaches} ${own}` : arrives} at step ${arrived}${then}`;
    return `${verb("overshoots", "overshoot")} ${own ?? "it"} ${passes} and ${own ? `${reaches} it` : arrives} at step ${arrived}${then}`;
  }
  const steps = (key) => `at step${many ? "s" : ""} ${listed(courses.map((course) => course[key]))}`;
  if (fate === "diverged") return `${verb("diverges", "diverge")} ${steps("diverged")}`;
  if (fate === "off") return `${verb("leaves", "leave")} the map ${steps("off")}`;
  if (fate === "circling") {
    return `${verb("circles", "circle")} ${race.surface.minima.length > 1 ? "a" : "the"} minimum at a distance of about ${listed(courses.map((course) => rounded(course.floor, 2)))}`;
  }
  if (fate === "local") {
    if (brief) return many ? "rest in local minima" : "rests in a local minimum";
    const where = `, at f = ${formatNumber(racer.loss[last], 3)}, from ${steps("rests").replace("at ", "")} on`;
    return `${verb("rests", "rest")} in a local minimum${where}`;
  }
  if (fate === "hovering") {
    const where = brief ? "" : ` and ${verb("keeps", "keep")} moving about ${listed(courses.map(({ middle }) => placeName(middle)))}`;
    return `${verb("does", "do")} not settle${where}`;
  }
  if (fate === "saddle") return `${verb("is", "are")} still at the saddle ${after}`;
  if (fate === "start") {
    const slope = Math.hypot(racer.value("g", last - 1, 0), racer.value("g", last - 1, 1));
    return `hardly ${verb("leaves", "leave")} the start${brief || many || besidesSlope(race).length ? "" : `, where the slope is ${formatNumber(slope, 2)}`}`;
  }
  const where = brief ? "" : whereabouts(race, courses);
  const swings = overshoots.length && !brief ? `${verb("swings", "swing")} past the ${race.surface.minima.length > 1 ? "nearest " : ""}minimum ${passes} and ` : "";
  if (fate === "creeping") return `${swings}hardly ${verb("moves", "move")} any more${where}`;
  if (swings) return `${swings}${verb("has", "have")} not settled ${after}${where}`;
  return `${verb("is still on its way", "are still on their way")} ${after}${where}`;
}

/** One clause for every kind: [{racer, course}] in order -> ["Adam and Lion diverge at steps 7 and 9", …]. */
function clauses(race, entries, { first, brief }) {
  const kinds = new Map();
  for (const entry of entries) {
    const kind = kindOf(entry, brief);
    kinds.set(kind, [...(kinds.get(kind) ?? []), entry]);
  }
  return [...kinds.values()].map((alike, k) => {
    return `${listed(alike.map(({ racer }) => nameOf(racer)))} ${fateOf(race, alike, { first: first && k === 0, brief })}`;
  });
}

/** "Adam reaches the minimum at step 212, then momentum at 301 (2 overshoots) and gd at 400". */
function arrivals(race, entries) {
  const [{ course: { arrived } }] = entries;
  const winners = entries.filter(({ course }) => course.arrived === arrived);
  const several = race.surface.minima.length > 1;
  const names = listed(winners.map(({ racer }) => nameOf(racer)));
  const reach = `${names} ${winners.length > 1 ? "reach" : "reaches"} ${several ? "a minimum" : "the minimum"} at step ${arrived}`;
  const rest = entries.slice(winners.length).map(({ racer, course }) => {
    const count = course.overshoots.length;
    return `${nameOf(racer)} at ${course.arrived}${count ? ` (${count} ${count > 1 ? "overshoots" : "overshoot"})` : ""}`;
  });
  return rest.length ? `${reach}, then ${listed(rest)}` : reach;
}

/** Who is lowest at the end; "" where that says nothing. */
function lowest(race, entries) {
  const ended = entries.filter(({ course, racer }) => course.diverged === null && Number.isFinite(racer.loss[course.last]));
  const { lowest: bottom } = race.surface;
  if (entries.length < 2 || !ended.length || bottom === null) return "";
  const lossOf = ({ racer, course }) => racer.loss[course.last];
  const least = Math.min(...ended.map(lossOf));
  const low = ended.filter((entry) => formatNumber(lossOf(entry), 3) === formatNumber(least, 3) ||
    lossOf(entry) - least <= SAME * (Math.abs(entry.racer.loss[0] - bottom) + Math.abs(bottom)));
  if (low.length === 1) return `${nameOf(low[0].racer)} is lowest at the end, at f = ${formatNumber(least, 3)}`;
  const apart = Math.max(...low.map(lossOf)) - least;
  const unit = 10 ** Math.floor(Math.log10(apart));
  const within = apart > 0 ? `, to within ${formatNumber(unit * Math.ceil(apart / unit), 1)}` : "";
  return `${low.length === entries.length ? "All" : listed(low.map(({ racer }) => nameOf(racer)))} end equally low${within}`;
}

/**
 * A race in at most three sentences: who arrives (first the first), what becomes of the others, who is lowest at the end.
 * off: indices of hidden racers, who are left out; field: the lattice of f, without which no minimum is called local.
 */
export function summarize(race, { off = [], field = null } = {}) {
  const entries = race.racers
    .map((racer, index) => ({ racer, index }))
    .filter(({ index }) => !off.includes(index))
    .map(({ racer }) => ({ racer, course: courseOf(race, racer, field) }));
  const arrived = entries.filter(({ course }) => course.fate === "arrived").sort((a, b) => a.course.arrived - b.course.arrived);
  const rank = ({ course }) => ORDER.indexOf(course.fate);
  const when = ({ course }) => course.off ?? course.diverged ?? 0;
  const others = entries.filter((entry) => !arrived.includes(entry)).sort((a, b) => rank(a) - rank(b) || when(a) - when(b));
  const brief = entries.length > BRIEF;
  const sentences = [
    !arrived.length ? "" : brief ? arrivals(race, arrived) : clauses(race, arrived, { first: true, brief }).join("; "),
    clauses(race, others, { first: false, brief }).join("; "),
    lowest(race, entries),
  ];
  return sentences.filter(Boolean).map((text) => `${capital(text)}.`).join(" ");
}
