// Predict first: a question about the race, a guess, and only then the race, with a score and an answer to the thought behind it.

import { element, icon, swatch, write } from "./dom.js";
import { anotherStart, firstOfRace, scoreFirst, scoreWhere, verdictFirst, verdictWhere, whyFirst, whyWhere } from "./guess.js";
import { toPixel, within } from "./paths.js";
import { colorOf, formatSetting } from "./race.js";
import { nameOf, summarize } from "./summary.js";

const KINDS = [["where", "Where does it end?"], ["first", "Who is first?"]];

/** What a guess belongs to: another start, racer or condition, and it is another race. */
const identity = ({ surface, start, steps, racers, conditions }) =>
  JSON.stringify([surface.notation, start, steps, racers.map(({ notation }) => notation), conditions]);

/**
 * The panel that asks. setLook({predict: ""}) leaves it; change(edit, final) alters the question; rest() sets time to the
 * start and stops it, run() lets it run from there, skip() goes to its end; refresh() asks for a draw; fieldOf() gives the
 * lattice of f or null.
 *
 * While `veiled` nothing after the start may be shown: neither paths nor numbers nor landmarks nor maps of where one ends.
 * While `placing` a place on the map is a guess: place(x, y, final). over(q, view, theme) draws the guess on the stage.
 */
export function createPredict({ setLook, change, rest, run, skip, refresh, fieldOf }) {
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
    element("div.head", {}, kinds, leave), question, answers, go, told, score);

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
    rest();
    build();
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
      const goal = race.surface.minima.length ? "arrives first at a minimum" : "leaves the map first";
      question.replaceChildren(`Who ${goal}?`);
      const shown = [...race.racers.keys()].filter((index) => !look.off.includes(index));
      answers.replaceChildren(element("div.choices", { role: "radiogroup", "aria-label": question.textContent },
        ...shown.map((index) => choice(nameOf(race.racers[index]), index, "", swatch(race.racers[index], colorOf(race.racers[index], theme), 24))),
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

  function choice(word, value, title = "", mark = "") {
    return element("button.choice", {
      type: "button", role: "radio", title: title || false, "aria-checked": String(guess === value), disabled: phase !== "asked",
      onclick: () => take(value),
    }, mark, element("span", {}, word));
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
    build();
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
      ...(why ? [element("p.sentence", { "data-why": why.key }, why.text)] : []),
      element("p.hint", {}, summarize(race, { off: look.off, field })),
      element("div.more", {},
        element("button.quiet", { type: "button", onclick: another }, "another start"),
        element("button.quiet", { type: "button", onclick: ask }, "ask again")));
    build();
    refresh();
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
    get veiled() {
      return kind !== "" && phase === "asked";
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
      if (again) racer = chosen;
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
      if (kind && phase === "running" && at.every((step, index) => context.look.off.includes(index) || step >= context.race.steps)) tell();
    },
    over(q, view, theme) {
      if (kind !== "where" || !guess) return;
      const [x, y] = toPixel(view, ...guess);
      if (!within(view, x, y)) return;
      q.beginPath();
      for (const [dx, dy] of [[1, 1], [-1, 1]]) {
        q.moveTo(x - 6 * dx, y - 6 * dy);
        q.lineTo(x + 6 * dx, y + 6 * dy);
      }
      q.arc(x, y, 11, 0, 2 * Math.PI);
      q.lineCap = "round";
      for (const [width, color] of [[5, theme.dark ? "rgba(20,22,26,.8)" : "rgba(255,255,255,.9)"], [2, colorOf(context.race.racers[racer], theme)]]) {
        q.lineWidth = width;
        q.strokeStyle = color;
        q.setLineDash(width === 2 ? [4, 3] : []);
        q.stroke();
      }
      q.setLineDash([]);
    },
  };
}
