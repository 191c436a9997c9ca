// Predict first: a question about the race, a guess, and only then the race, with a score and an answer to the thought behind it.

import { bound, element, icon, swatch, write } from "./dom.js";
import { scoreFirst, verdictFirst, whyFirst } from "./first.js";
import { anotherStart } from "./guess.js";
import { toPixel, within } from "./paths.js";
import { colorOf, formatSetting, lastStep } from "./race.js";
import { nameOf } from "./summary.js";
import { scoreWhere, verdictWhere, whyWhere } from "./where.js";

const KINDS = [["where", "Where it ends"], ["first", "Who is first"], ["both", "Both"]];
const MANY = 4; // more racers than that stand in two columns

/** What a guess belongs to: another start, racer or condition, and it is another race. */
const identity = ({ surface, start, steps, racers, conditions }) =>
  JSON.stringify([surface.notation, start, steps, racers.map(({ notation }) => notation), conditions]);

/** Both can be asked where two or more race and there is a minimum to arrive at; elsewhere the first of them is. */
const asksBoth = ({ race, look }) => race.racers.length - look.off.length > 1 && race.surface.minima.length > 0;

/**
 * The panel that asks. setLook({predict: ""}) leaves it; change(edit, final) alters the question; standing() says where
 * time stands, {step, playing, loop}, and resume(standing) puts it back there; rest() sets time to the start and stops it,
 * run() lets it run from there, skip() goes to its end; refresh() asks for a draw, unveil() is called when more, or less,
 * may be shown; fieldOf() gives the lattice of f or null.
 *
 * While `waiting` for a guess time stands at the start. While `veiled`, until the race is run to its end, nothing may be
 * shown that tells how it goes on: neither charts nor landmarks nor maps of where one ends. While `placing` a place on the
 * map is a guess: place(x, y, final). over(q, view, theme) draws the guess on the stage.
 */
export function createPredict({ setLook, change, standing, resume, rest, run, skip, refresh, unveil, fieldOf }) {
  const button = element("button.tool", {
    type: "button", title: "Guess before the race is shown (p)", "data-part": "predict",
    onclick: () => setLook({ predict: context.look.predict ? "" : "both" }),
  }, "predict first");
  const kinds = element("div.segments", { role: "radiogroup", "aria-label": "What to predict" }, ...KINDS.map(([kind, word]) =>
    element("button", { type: "button", role: "radio", "data-kind": kind, onclick: () => setLook({ predict: kind }) }, word)));
  const leave = element("button.leave", {
    type: "button", title: "Leave predicting", "aria-label": "Leave predicting", onclick: () => setLook({ predict: "" }),
  }, icon("close"));
  const parts = { where: element("div.one"), first: element("div.one") };
  const go = element("button.go", { type: "button", onclick: start }, "Run the race");
  const told = element("div.verdict", { role: "status" });
  const score = element("span.tally", { title: "Right: within 5 % of the map's diagonal, or the right racer" });
  const node = element("div.panel.predict", { "data-part": "predict" },
    element("div.head", {}, kinds, score, leave), parts.where, parts.first, go, told);

  let context = null;
  let kind = ""; // what is asked: where, first, both, or nothing
  let phase = "asked"; // asked, running, told
  let about = ""; // the race that is asked about
  let racer = 0; // whose end is asked for
  let guesses = {}; // undefined while there is none: where [x, y] or null for off the map; first an index or null for nobody
  const tally = { asked: 0, right: 0 };

  const asks = (part) => kind === part || kind === "both";
  const asked = () => Object.keys(parts).filter(asks);

  function ask() {
    phase = "asked";
    guesses = {};
    racer = context.chosen;
    rest();
    build();
  }

  function askAgain() {
    ask();
    unveil();
  }

  function build() {
    const { race } = context;
    for (const one of kinds.children) {
      one.setAttribute("aria-checked", String(one.dataset.kind === kind));
      one.tabIndex = one.dataset.kind === kind ? 0 : -1;
      one.hidden = one.dataset.kind === "both" && !asksBoth(context);
    }
    for (const part of Object.keys(parts)) parts[part].hidden = !asks(part);
    if (asks("where")) parts.where.replaceChildren(...askWhere(race));
    if (asks("first")) parts.first.replaceChildren(...askFirst(race));
    go.hidden = phase === "told";
    go.disabled = asked().some((part) => guesses[part] === undefined);
    go.textContent = phase === "asked" ? "Run the race" : "Show the end";
    told.hidden = phase !== "told";
    write(score, tally.asked ? `${tally.right} of ${tally.asked} right` : "");
  }

  function askWhere(race) {
    const subject = race.racers[racer];
    return [
      element("p.ask", {}, "Where will ", swatch(subject, colorOf(subject, context.theme), 24), " ", element("b", {}, nameOf(subject)), ` be after ${race.steps} steps?`),
      element("p.hint", {}, place()),
      ...(phase === "asked" ? [choice("where", "off the map", null, "It leaves the map, or diverges")] : []),
    ];
  }

  function askFirst(race) {
    const { look, theme } = context;
    const { length } = race.surface.minima;
    const text = `Who ${length ? `arrives first at ${length > 1 ? "a" : "the"} minimum` : "leaves the map first"}?`;
    const question = element("p.ask", {}, text);
    const nobody = `nobody within ${race.steps} steps`;
    if (phase === "told") return [question, element("p.hint", {}, `Your guess: ${guesses.first === null ? nobody : nameOf(race.racers[guesses.first])}.`)];
    const shown = [...race.racers.keys()].filter((index) => !look.off.includes(index));
    return [question, element(shown.length > MANY ? "div.choices.many" : "div.choices", { role: "radiogroup", "aria-label": text },
      ...shown.map((index) => choice("first", nameOf(race.racers[index]), index, "", colorOf(race.racers[index], theme))),
      choice("first", nobody, null))];
  }

  function place() {
    const guess = guesses.where;
    if (guess === undefined) return "Click the map where you think it ends; or arrow keys on the map, then Enter.";
    return guess === null ? "Your guess: off the map." : `Your guess: ${guess.map(formatSetting).join(", ")}.`;
  }

  /** An answer one may choose; a racer's wears its colour. */
  function choice(part, word, value, title = "", color = null) {
    return element("button.answer", {
      type: "button", role: "radio", title: title || false, "aria-checked": String(guesses[part] === value), disabled: phase !== "asked",
      style: color && `--hue:${color}`, onclick: () => take(part, value),
    }, color ? swatch(context.race.racers[value], color, 24) : "", element("span", {}, word));
  }

  function take(part, value) {
    const held = parts[part].contains(node.getRootNode().activeElement);
    guesses[part] = value;
    build();
    if (held) parts[part].querySelector("[aria-checked=true]")?.focus();
    refresh();
  }

  /** Run the race; while it runs, go to its end. */
  function start() {
    if (go.disabled) return;
    if (phase === "running") return void skip();
    phase = "running";
    unveil();
    run();
  }

  function tell() {
    phase = "told";
    const answers = asked().map((part) => (part === "where" ? answerWhere() : answerFirst()));
    const points = answers.reduce((sum, { result }) => sum + result.points, 0);
    tally.asked += answers.length;
    tally.right += answers.filter(({ result }) => result.right).length;
    told.replaceChildren(
      ...(answers.length > 1 ? [element("p.total", {}, `Together ${points} of ${100 * answers.length} points.`)] : []),
      ...answers.flatMap(({ verdict, why }) => [
        element("p.score", {}, verdict), element("p.sentence", { "data-why": why.key }, bound(why.text)),
      ]),
      element("div.more", {},
        element("button.quiet", { type: "button", onclick: another }, "another start"),
        element("button.quiet", { type: "button", onclick: askAgain }, "ask again")));
    unveil();
  }

  function answerWhere() {
    const { race } = context;
    const field = fieldOf();
    const result = scoreWhere(race, racer, guesses.where, field);
    return { result, verdict: verdictWhere(race, racer, guesses.where, result, field), why: whyWhere(race, racer, guesses.where, field) };
  }

  function answerFirst() {
    const { race, look: { off } } = context;
    const field = fieldOf();
    const result = scoreFirst(race, guesses.first, off, field);
    return { result, verdict: verdictFirst(race, guesses.first, result, off, field), why: whyFirst(race, guesses.first, off, field) };
  }

  function another() {
    const { race } = context;
    const place = anotherStart(race, tally.asked);
    change((wanted) => (wanted.start = place), true);
  }

  kinds.addEventListener("keydown", walk);
  parts.first.addEventListener("keydown", walk);

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

  const panel = {
    node,
    button,
    get waiting() {
      return kind !== "" && phase === "asked";
    },
    get veiled() {
      return kind !== "" && phase !== "told";
    },
    get placing() {
      return asks("where") && phase === "asked";
    },
    kept: null, // where time stood before anything was asked, and will again once one leaves
    update(next) {
      context = next;
      const { race, chosen, look } = next;
      button.setAttribute("aria-pressed", String(look.predict !== ""));
      const [before, then, now] = [kind, about, identity(race)];
      kind = look.predict === "both" && !asksBoth(next) ? "where" : look.predict;
      about = now;
      if (!kind) {
        const back = panel.kept;
        panel.kept = null;
        if (back) resume(back);
        return;
      }
      panel.kept ??= standing();
      if (kind !== before || now !== then) return void ask();
      if (phase === "asked" && racer !== chosen) {
        racer = chosen;
        delete guesses.where;
      }
      build();
    },
    place(x, y, final) {
      guesses.where = [x, y];
      if (final) build();
      refresh();
    },
    run: start,
    draw(at) {
      if (kind && phase === "running" && at.every((step, index) => context.look.off.includes(index) || step >= lastStep(context.race, context.race.racers[index]))) tell();
    },
    over(q, view, theme) {
      if (!asks("where") || !guesses.where) return;
      const [x, y] = toPixel(view, ...guesses.where);
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
  return panel;
}
