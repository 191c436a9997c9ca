// The explanation: where each racer stands, now or at the step looked at, and what to make of it.

import { formatNumber } from "../adamscope.player/chart.js";
import { element, swatch, write } from "../adamscope.player/dom.js";
import { openMenu } from "../adamscope.player/menu.js";
import { colorOf } from "../adamscope.player/race.js";
import { indexAt } from "./curves.js";
import { described } from "./settings.js";
import { createKeep } from "./keep.js";
import { titleOf } from "./runs.js";
import { STATES } from "./states.js";
import { capital, count, percent, when, whose } from "./words.js";

const MOST_RECENT = 7; // runs; the others are in the list of all

/** Whether a run that rests is to go on. */
const goesOn = ({ state }) => state === "paused" || state === "interrupted";

/** What each racer has reached at `step`: training loss, test accuracy, best test accuracy so far. */
function standing(record, step) {
  return record.train.map((train, k) => {
    const test = record.test[k];
    const tests = test.accuracy.slice(0, indexAt(test.step, step) + 1);
    const trained = tests.filter((_, i) => test.step[i] > 0); // before the first step a network only guesses
    const at = indexAt(train.step, step);
    return { loss: at < 0 ? NaN : train.loss[at], known: at >= 0, test: tests.at(-1) ?? NaN, best: trained.length ? Math.max(...trained) : NaN };
  });
}

/** One sentence that is true of these numbers. */
function sentence(run, record) {
  const guess = run.classes ? 100 / run.classes : NaN; // %; what is not known any more is not spoken of
  const now = standing(record, Infinity);
  const lost = run.racers.filter((_, k) => String(k) in run.diverged);
  const fallen = lost.map((racer) => `${racer.label} diverged at step ${count(run.diverged[run.racers.indexOf(racer)])}`).join("; ");
  const more = fallen ? ` ${capital(fallen)}: its loss is no number any more.` : "";
  const order = now.map((one, k) => ({ ...one, label: run.racers[k].label, diverged: String(k) in run.diverged })).filter(({ test }) => Number.isFinite(test)).sort((a, b) => b.test - a.test);
  const step = Math.max(...record.test.map((test) => test.step.at(-1) ?? 0));
  if (!order.length || step === 0) {
    const alike = order.length ? `All begin from the same weights: ${percent(order[0].test)} % right${run.classes ? `, and chance is ${+guess.toFixed(1)} %` : ""}.` : "";
    const first = run.active && run.steps_per_epoch ? ` The first test of what they learn comes at step ${count(run.steps_per_epoch)}.` : "";
    return (alike + first + more).trim();
  }
  const [leader, second] = order;
  const when = `${run.active || goesOn(run) ? "After" : "In the end, after"} epoch ${+(step / run.steps_per_epoch).toFixed(1)}`;
  const gap = second ? leader.test - second.test : 0;
  const lead = !second ? "" : gap < 0.05 ? `, as many as by ${second.label}` : `, ${gap.toFixed(1)} points more than by the next, ${second.label}`;
  const chance = order.filter(({ test, diverged }) => test < 1.2 * guess && !diverged).map(({ label }) => label);
  const stuck = chance.length ? ` Still guessing, at chance: ${chance.join("; ")}.` : "";
  return `${when}: ${percent(leader.test)} % of the test pictures named rightly by ${leader.label}${lead}.${stuck}${more}`;
}

/** onShow(run id) is told which of the recent runs to look at, onAll that all are asked for; act(press, run id, text) what is pressed, onStartFrom(network) whose weights come next. */
export function createStandings({ onShow, onAll, act, onStartFrom }) {
  const heading = element("h3");
  const rows = element("tbody");
  const table = element("table.numbers.standings", {}, element("thead", {}, element("tr", {},
    element("th"), element("th", { scope: "col" }, "train loss"), element("th", { scope: "col" }, "test %"), element("th", { scope: "col" }, "best %"))), rows);
  const words = element("p.sentence", { "aria-live": "polite" });
  const facts = element("dl.facts");
  const runs = element("div.runs");
  const name = element("input.called", { type: "text", maxlength: 80, placeholder: "Name this run", "aria-label": "Name of this run", autocomplete: "off",
    onchange: () => act("name", named, name.value) });
  const notes = element("textarea.called", { rows: 1, maxlength: 2000, placeholder: "Notes", "aria-label": "Notes on this run", onchange: () => act("notes", named, notes.value) });
  let named = null; // id of the run whose name and notes they are
  const keep = createKeep({ act });
  const on = element("button.quiet", { type: "button", "aria-haspopup": "menu", title: "Start the next run from the weights of one of these", onclick: () =>
    openMenu(on, trained.map(({ title, from }) => ({ title, action: () => onStartFrom(from) })), "Train on from") }, "train on …");
  let trained = []; // networks whose weights are kept: {title, from}
  const present = element("div.present", {}, heading, table, words, element("div.runhead", {}, element("h3", {}, "This run"), on, keep.node), name, notes, facts);
  const all = element("button.quiet", { type: "button", "aria-haspopup": "dialog", onclick: onAll }, "all runs");
  const before = element("div.before", {}, element("h3", {}, "Where they stand"),
    element("p.hint", {}, "Each racer's loss and accuracy will stand here, now or at any step you point at, with a sentence on what to make of them. Every run is kept, with its name and notes, to come back to and to compare."));
  const past = element("div.past", {}, element("div.runhead", {}, element("h3", {}, "Recent runs"), all), runs);
  const node = element("section.inside", { "aria-label": "Where they stand" }, present, before, past);
  let built = "";

  function fill(run, record, theme, cursor) {
    const now = standing(record, cursor ?? Infinity);
    const epoch = run.steps_per_epoch ? `, epoch ${((cursor ?? 0) / run.steps_per_epoch).toFixed(1)}` : "";
    const when = cursor === null ? (run.active ? "Now" : goesOn(run) ? "So far" : "In the end") : `At step ${count(cursor)}${epoch}`;
    write(heading, run.seeds > 1 ? `${when}, mean of ${run.seeds} seeds` : when);
    const most = Math.max(...now.map(({ test }) => (Number.isFinite(test) ? test : -1)));
    const alone = now.filter(({ test }) => test === most).length === 1;
    rows.replaceChildren(...run.racers.map((racer, k) => {
      const one = now[k];
      const gone = String(k) in run.diverged && (cursor === null || cursor >= run.diverged[k]);
      const loss = gone ? "diverged" : one.known ? formatNumber(one.loss, 3) : "—";
      const label = element("th", { scope: "row" }, element("span.name", {}, swatch(racer, colorOf(racer, theme), 26), racer.label));
      return element(one.test === most && alone ? "tr.result" : "tr", { title: racer.notation }, label,
        ...[loss, gone ? "—" : percent(one.test), percent(one.best)].map((text) => element("td", {}, text)));
    }));
  }

  function tell(run, recent) {
    const speed = run.samples_per_second ? `${count(Math.round(run.samples_per_second))} pictures/s` : "—";
    const pairs = [
      ["Network", run.parameters ? `${run.model_title}, ${count(run.parameters)} weights` : run.model_title],
      ["Pictures", run.limit ? `${run.data_title}, the first ${count(run.limit)}` : run.data_title],
      ...(run.start_from ? [["Started from", whose(run.start_from, recent)]] : []),
      ["Batch, seed", `${run.batch_size}, ${run.seed}`],
      ...(described(run) ? [["Under", described(run)]] : []),
      ["Device", [run.device, run.computes_in].filter(Boolean).join(", ") || "—"],
      ...(run.how ? [["Trained", run.how]] : []),
      ["Memory", run.memory ? `${(run.memory / 2 ** 30).toFixed(1)} GiB` : "—"],
      ["Speed, all together", speed],
    ];
    facts.replaceChildren(...pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  }

  function list(recent, shown, theme) {
    const key = JSON.stringify([recent, shown, theme.dark]);
    if (key === built) return;
    built = key;
    const focused = node.getRootNode().activeElement?.dataset?.run;
    past.hidden = recent.length === 0;
    runs.replaceChildren(...recent.slice(0, MOST_RECENT).map((run) => {
      return element(run.id === shown ? "button.run.on" : "button.run", { type: "button", "aria-pressed": String(run.id === shown), "data-run": run.id,
        title: run.racers.map(({ label }) => label).join(", "), "aria-label": `${titleOf(run)}, ${when(run.created)}, ${run.state}`, onclick: () => onShow(run.id) },
        element("time", {}, when(run.created)), run.name ? element("span.runname", {}, run.name) : element("span.swatches", {}, ...run.racers.map((racer) => swatch(racer, colorOf(racer, theme), 18))),
        element("span", {}, STATES[run.state].toLowerCase()));
    }));
    if (focused) runs.querySelector(`[data-run="${focused}"]`)?.focus();
  }

  /** Show name and notes as they are kept, but leave alone what a hand is writing. */
  function call(run) {
    const active = node.getRootNode().activeElement;
    for (const [field, text] of [[name, run.name], [notes, run.notes]]) {
      if (field !== active || run.id !== named) field.value = text;
    }
    named = run.id;
    notes.rows = Math.min(6, Math.max(1, notes.value.split("\n").length));
  }

  return {
    node,
    fill,
    update(run, recent, record, theme, cursor, file, bytes) {
      list(recent, run?.id, theme);
      present.hidden = !run;
      before.hidden = Boolean(run);
      if (!run) return;
      call(run);
      trained = run.racers.map(({ label }, k) => ({ title: label, from: `${run.id}:${k}` })).filter((_, k) => !(String(k) in run.diverged));
      on.hidden = !run.kept_step || run.active || !trained.length;
      keep.update(run.id, file, bytes);
      fill(run, record, theme, cursor);
      write(words, sentence(run, record));
      words.hidden = !words.textContent;
      tell(run, recent);
    },
  };
}
