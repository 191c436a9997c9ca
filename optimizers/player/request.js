// What the page asks Python for: the race as a query string, one request under way at a time, two under a moving hand.

import { lookPairs } from "./look.js";
import { notationOf } from "./slider.js";

const PATIENCE = 8000; // ms after which an unanswered request is sent again, or gives way to a newer one …
const MOST_PATIENCE = 60_000; // … twice as many each time, up to here

/** A racer's or surface's notation; a learner's own formula f goes before its hyperparameters. */
export const call = ({ name, f, hyper }) => {
  const changed = hyper.filter(({ value, default: usual }) => value !== usual);
  const parts = [...(f ? [JSON.stringify(f)] : []), ...changed.map(({ name: key, value }) => `${key}=${notationOf(value)}`)];
  return parts.length ? `${name}(${parts.join(", ")})` : name;
};

/** The question as it stands in the race that arrived: what a hand may change. */
export function questionOf(race) {
  const copy = (hyper) => hyper.map((one) => ({ ...one }));
  return {
    surface: { name: race.surface.name, f: race.surface.f, hyper: copy(race.surface.hyper) },
    racers: race.racers.map((racer, k) => ({ name: racer.name, hyper: copy(racer.hyper), label: race.names?.[k] ?? "" })),
    start: [...race.start],
    steps: race.steps,
    conditions: Object.fromEntries(CONDITIONS.map((name) => [name, race.conditions[name]])),
  };
}

const CONDITIONS = ["schedule", "clip_norm", "clip_value", "noise", "batch_size", "seed"];

/** question + how it is being looked at -> "surface=…&o=…&start=…&steps=…&step=…". */
export function queryOf(question, look) {
  const pairs = [["surface", call(question.surface)]];
  for (const racer of question.racers) pairs.push(["o", call(racer)]);
  if (question.start) pairs.push(["start", question.start.join(",")]);
  pairs.push(["steps", question.steps]);
  for (const name of CONDITIONS) pairs.push([name, question.conditions[name] ?? ""]);
  pairs.push(["names", question.racers.map(({ label }) => label ?? "").join(",")], ...lookPairs(look));
  return pairs.map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&");
}

/** Two messages as one: the newer, with the file the older asks for; a link that is opened waits for no question about the race before. */
function joined(older, newer) {
  if (!older || newer.opened) return newer;
  if (older.opened) return older;
  const { make, stop } = newer.make || newer.stop ? newer : older;
  return { ...newer, ...(make ? { make } : {}), ...(stop ? { stop } : {}) };
}

/**
 * Sends queries one at a time: while one is under way only the newest waits. Under a moving hand (settled is false) a second goes
 * out before the first is answered, so that Python works while the browser draws; it answers in order. send({query, turn,
 * settled, grids, have, make, stop}) hands one over; answered(turn) tells that its race has arrived, forget() drops what
 * waits. What gets lost is sent again.
 */
export function createMessenger(send) {
  let turn = 0;
  let under = null; // the newest turn under way …
  let sent = null; // … and what it says
  let ahead = false; // it went out before the one before it was answered
  let waiting = null;
  let timer = 0;
  let patience = PATIENCE;

  function go(message) {
    turn += 1;
    under = turn;
    sent = message;
    send({ ...message, turn });
    clearTimeout(timer);
    timer = setTimeout(again, patience);
  }

  function again() {
    patience = Math.min(2 * patience, MOST_PATIENCE);
    const next = waiting ? joined(sent, waiting) : sent;
    under = waiting = null;
    ahead = false;
    if (next) go(next);
  }

  function free(answer) {
    if (under === null || answer < under - 1 || (answer < under && !ahead)) return;
    patience = PATIENCE;
    ahead = false;
    if (answer >= under) {
      under = sent = null;
      clearTimeout(timer);
    }
    if (!waiting) return;
    const next = waiting;
    waiting = null;
    ask(next);
  }

  function ask(message) {
    if (under === null) go(message);
    else if (!ahead && !waiting && message.settled === false && sent?.settled === false) {
      ahead = true;
      go(message);
    } else waiting = joined(waiting, message);
  }

  return {
    get idle() {
      return under === null;
    },
    ask,
    answered: free,
    forget: () => (waiting = sent = null),
    startAt: (last) => (turn = Math.max(turn, last)),
    stop: () => clearTimeout(timer),
  };
}
