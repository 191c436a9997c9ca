// Predict first: a question about the race, a guess, and only then the race, with a score and an answer to the thought behind it.

import { bound, element, icon, swatch, write } from "./dom.js";
import { anotherStart, scoreFirst, scoreWhere, verdictFirst, verdictWhere, whyFirst, whyWhere } from "./guess.js";
import { toPixel, within } from "./paths.js";
import { colorOf, formatSetting, lastStep } from "./race.js";
import { nameOf } from "./summary.js";

const KINDS = [["where", "Where does it end?"], ["first", "Who is first?"]];

/** What a guess belongs to: another start, racer or condition, and it is another race. */
const identity = ({ surface, start, steps, racers, conditions }) =>
  JSON.stringify([surface.notation, start, steps, racers.map(({ notation }) => notation), conditions]);

/**
 * The panel that asks. setLook({predict: ""}) leaves it; change(edit, final) alters the question; rest() sets time to the
 * start and stops it, run() lets it run from there, skip() goes to its end; refresh() asks for a draw, unveil() is called
 * when more, or less, may be shown; fieldOf() gives the lattice of f or null.
 *
 * While `waiting` for a guess time stands at the start. While `veiled`, until the race is run to its end, nothing may be
 * shown that tells how it goes on: neither charts nor landmarks nor maps of where one ends. While `placing` a place on the
 * map is a guess: place(x, y, final). over(q, view, theme) draws the guess on the stage.
 */
export function createPredict({ setLook, change, rest, run, skip, refresh, unveil, fieldOf }) {
  const button = element("button.tool", {
    type: "button", title: "Guess before the race is shown (p)", "data-part": "predict",
    onclick: () => setLook({ predict: context.look.predict ? "" : "where" }),
  }, "predict first");
  const kinds = element("div.segments", { role: "radiogroup", "aria-label": "What to predict" }, ...KINDS.map(([kind, word]) =>
    element("button", { type: "button", role: "radio", "data-kind": kind, onclick: () => setLook({ predict: kind }) }, word)));
  const leave = element("button.leave", {
    type: "button", title: "Leave predicting", "aria-label": "Leave predicting", onclick: () => setLook({ predict: "" }),
  }, icon("close"));
  const question = element("p.ask");
  const answers = element("div.answers");
  const go = element("button.go", { type: "button", onclick: start }, "Run the race");
  const told = element("div.verdict", { role: "status" });
  const score = element("span.tally", { title: "Right: within 5 % of the map's diagonal, or the right racer" });
  const node = element("div.panel.predict", { "data-part": "predict" },
    element("div.head", {}, kinds, score, leave), question, answers, go, told);

  let context = null;
  let kind = ""; // what is asked: where, first, or nothing
  let phase = "asked"; // asked, running, told
  let about = ""; // the race that is asked about
  let racer = 0; // whose end is asked for
  let guess; // undefined while there is none: where [x, y] or null for off the map; first an index or null for nobody
  const tally = { asked: 0, right: 0 };

  function ask() {
    phase = "asked";
    guess = undefined;
    racer = context.chosen;
    rest();
    build();
  }

  function askAgain() {
    ask();
    unveil();
  }

  function build() {
    const { race, theme, look } = context;
    for (const one of kinds.children) {
      one.setAttribute("aria-checked", String(one.dataset.kind === kind));
      one.tabIndex = one.dataset.kind === kind ? 0 : -1;
    }
    const asked = phase === "asked";
    if (kind === "where") {
      const subject = race.racers[racer];
      question.replaceChildren("Where will ", swatch(subject, colorOf(subject, theme), 24), " ", element("b", {}, nameOf(subject)),
        ` be after ${race.steps} steps?`);
      const off = choice("off the map", null, "It leaves the map, or diverges");
      answers.replaceChildren(element("p.hint", {}, place()), ...(asked ? [off] : []));
    } else {
      const { length } = race.surface.minima;
      const goal = length ? `arrives first at ${length > 1 ? "a" : "the"} minimum` : "leaves the map first";
      question.replaceChildren(`Who ${goal}?`);
      const shown = [...race.racers.keys()].filter((index) => !look.off.includes(index));
      answers.replaceChildren(element("div.choices", { role: "radiogroup", "aria-label": question.textContent },
        ...shown.map((index) => choice(nameOf(race.racers[index]), index, "", colorOf(race.racers[index], theme))),
        choice(`nobody within ${race.steps} steps`, null)));
    }
    go.hidden = phase === "told";
    go.disabled = guess === undefined;
    go.textContent = asked ? "Run the race" : "Show the end";
    told.hidden = phase !== "told";
    write(score, tally.asked ? `${tally.right} of ${tally.asked} right` : "");
  }

  function place() {
    if (guess === undefined) return "Click the map where you think it ends; or arrow keys on the map, then Enter.";
    return guess === null ? "Your guess: off the map." : `Your guess: ${guess.map(formatSetting).join(", ")}.`;
  }

  /** An answer one may choose; a racer's wears its colour. */
  function choice(word, value, title = "", color = null) {
    return element("button.answer", {
      type: "button", role: "radio", title: title || false, "aria-checked": String(guess === value), disabled: phase !== "asked",
      style: color && `--hue:${color}`, onclick: () => take(value),
    }, color ? swatch(context.race.racers[value], color, 24) : "", element("span", {}, word));
  }

  function take(value) {
    const held = answers.contains(node.getRootNode().activeElement);
    guess = value;
    build();
    if (held) answers.querySelector("[aria-checked=true]")?.focus();
    refresh();
  }

  /** Run the race; while it runs, go to its end. */
  function start() {
    if (guess === undefined) return;
    if (phase === "running") return void skip();
    phase = "running";
    unveil();
    run();
  }

  function tell() {
    phase = "told";
    const { race, look } = context;
    const field = fieldOf();
    const result = kind === "where" ? scoreWhere(race, racer, guess, field) : scoreFirst(race, guess, look.off);
    const verdict = kind === "where" ? verdictWhere(race, racer, guess, result, field) : verdictFirst(race, guess, result, look.off);
    const why = kind === "where" ? whyWhere(race, racer, guess, field) : whyFirst(race, guess, look.off, field);
    tally.asked += 1;
    tally.right += result.right ? 1 : 0;
    told.replaceChildren(
      element("p.score", {}, verdict),
      ...(why ? [element("p.sentence", { "data-why": why.key }, bound(why.text))] : []),
      element("div.more", {},
        element("button.quiet", { type: "button", onclick: another }, "another start"),
        element("button.quiet", { type: "button", onclick: askAgain }, "ask again")));
    unveil();
  }

  function another() {
    const { race } = context;
    const place = anotherStart(race, tally.asked);
    change((wanted) => (wanted.start = place), true);
  }

  kinds.addEventListener("keydown", walk);
  answers.addEventListener("keydown", walk);

  /** Arrow keys go from one answer to the next, as among radio buttons. */
  function walk(event) {
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!move) return;
    const all = [...event.currentTarget.querySelectorAll("[role=radio]:not(:disabled)")];
    const next = all[(all.indexOf(event.target.closest("[role=radio]")) + move + all.length) % all.length];
    event.preventDefault();
    event.stopPropagation();
    next?.click();
    event.currentTarget.querySelector("[aria-checked=true]")?.focus();
  }

  return {
    node,
    button,
    get waiting() {
      return kind !== "" && phase === "asked";
    },
    get veiled() {
      return kind !== "" && phase !== "told";
    },
    get placing() {
      return kind === "where" && phase === "asked";
    },
    update(next) {
      context = next;
      const { race, chosen, look } = next;
      button.setAttribute("aria-pressed", String(look.predict !== ""));
      const now = identity(race);
      const again = look.predict !== kind || now !== about || (kind === "where" && phase === "asked" && racer !== chosen);
      [kind, about] = [look.predict, now];
      if (!kind) return;
      if (again) ask();
      else build();
    },
    place(x, y, final) {
      guess = [x, y];
      if (final) build();
      refresh();
    },
    run: start,
    draw(at) {
      if (kind && phase === "running" && at.every((step, index) => context.look.off.includes(index) || step >= lastStep(context.race, context.race.racers[index]))) tell();
    },
    over(q, view, theme) {
      if (kind !== "where" || !guess) return;
      const [x, y] = toPixel(view, ...guess);
      if (!within(view, x, y)) return;
      const { race } = context;
      const color = colorOf(race.racers[racer], theme);
      const halo = theme.dark ? "rgba(20,22,26,.82)" : "rgba(255,255,255,.88)";
      if (phase === "told") { // how far the end is
        const last = lastStep(race, race.racers[racer]);
        q.beginPath();
        q.moveTo(x, y);
        q.lineTo(...toPixel(view, race.racers[racer].value("theta", last, 0), race.racers[racer].value("theta", last, 1)));
        q.setLineDash([2, 4]);
        q.lineWidth = 1.2;
        q.strokeStyle = theme.ink;
        q.stroke();
        q.setLineDash([]);
      }
      for (const [width, ink] of [[5, halo], [2, color]]) {
        q.beginPath();
        q.arc(x, y, 10, 0, 2 * Math.PI);
        q.lineWidth = width;
        q.strokeStyle = ink;
        q.stroke();
      }
      q.beginPath();
      q.arc(x, y, 2.5, 0, 2 * Math.PI);
      q.fillStyle = color;
      q.fill();
      q.font = `${theme.size - 1}px ${theme.family}`;
      q.textBaseline = "middle";
      const left = x > view.width - 90;
      q.textAlign = left ? "right" : "left";
      q.lineWidth = 4;
      q.strokeStyle = halo;
      q.strokeText("your guess", x + (left ? -16 : 16), y);
      q.fillStyle = theme.ink;
      q.fillText("your guess", x + (left ? -16 : 16), y);
      q.textAlign = "left";
    },
  };
}
