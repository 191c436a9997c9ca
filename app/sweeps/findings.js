// What came of it: the best trials, each a press away from the lab, the one looked at, and earlier sweeps.

import { element, swatch, write } from "../adamscope.player/dom.js";
import { colorOf } from "../adamscope.player/race.js";
import { percent, told } from "./map.js";

const count = (n) => n.toLocaleString("en").replaceAll(",", "\u202f");
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** One or two sentences that are true of these numbers. */
function sentence({ sweep, still, cells }) {
  const lost = cells.filter(({ state }) => state === "diverged").length;
  const fallen = lost ? ` ${lost === 1 ? "One trial" : `${count(lost)} trials`} of ${count(cells.length)} diverged.` : "";
  const known = cells.filter(({ accuracy }) => Number.isFinite(accuracy)).length;
  if (!known) return (sweep.active ? "The first numbers come after the first epoch." : "No trial came to a number.") + fallen;
  if (sweep.best === null) return (sweep.active ? "The best is named once a trial has trained for all of its epochs." : "No trial trained for all of its epochs, so none is called the best.") + fallen;
  const best = cells[sweep.best];
  const alike = cells.filter(({ accuracy, epoch }) => accuracy === best.accuracy && epoch === best.epoch).length - 1;
  const tied = alike ? `, as ${alike === 1 ? "one other does" : `${count(alike)} others do`}, at no smaller a loss` : "";
  const chance = still.classes ? 1 / still.classes : NaN;
  const guess = best.accuracy < 1.2 * chance ? ` That is hardly more than chance, ${percent(chance)} %.` : "";
  const tests = sweep.test.filter(Number.isFinite);
  const tested = tests.length
    ? ` Trained anew on all training pictures, it names ${percent(mean(tests))} % of the test pictures rightly${tests.length > 1 ? `, the mean of ${tests.length} seeds` : ""}: the one number here of pictures that had no part in the choice.`
    : sweep.active ? " It meets the test pictures at the end." : " It was not tested.";
  return `The best, ${still.trials[sweep.best].racer}, names ${percent(best.accuracy)} % of its held-out pictures rightly${tied}.${guess}${tested}${fallen}`;
}

/** onShow(sweep id) is told which of the recent sweeps to look at. */
export function createFindings({ onShow }) {
  const heading = element("h3", {}, "Best");
  const rows = element("div.ranks");
  const words = element("p.sentence", { "aria-live": "polite" });
  const looked = element("div.looked-at");
  const facts = element("dl.facts");
  const said = element("div.said");
  const sweeps = element("div.runs");
  const present = element("div.present", {}, heading, rows, words, element("h3", {}, "Looked at"), looked, element("h3", {}, "This sweep"), facts, said);
  const before = element("div.before", {}, element("h3", {}, "What came of it"),
    element("p.hint", {}, "The best trials will stand here, each a press away from the lab, with a sentence on how good the best one is on pictures that had no part in the choice. Every sweep is kept."));
  const past = element("div.past", {}, element("h3", {}, "Recent sweeps"), sweeps);
  const node = element("section.inside", { "aria-label": "What came of it" }, present, before, past);
  let picture = null;
  let trial = null;
  let ranked = "";
  let built = "";

  const link = (one, ...children) => element("a", { href: one.lab, target: "_self", title: "Open in the lab" }, ...children);

  function rank() {
    const { sweep, still, cells, theme } = picture;
    const key = JSON.stringify([sweep.id, sweep.active, sweep.order, sweep.best, theme.dark, sweep.order.map((one) => cells[one.trial]?.accuracy)]);
    if (key === ranked) return;
    ranked = key;
    const focused = node.getRootNode().activeElement?.dataset?.trial;
    const rungs = new Set(sweep.order.map(({ epochs }) => epochs)).size > 1;
    rows.replaceChildren(...sweep.order.map(({ trial: index, epochs, spread }) => {
      const one = still.trials[index];
      const sd = spread === null ? "" : ` ± ${(100 * spread).toFixed(1)}`;
      const row = link(one, swatch(one.look, colorOf(one.look, theme), 26), element("span.racer-text", {}, one.racer + one.more), element("b", {}, `${percent(cells[index].accuracy)} %${sd}`, rungs ? element("small", {}, ` ep. ${epochs}`) : ""));
      row.dataset.trial = index;
      row.classList.toggle("on", index === sweep.best);
      row.title = `After ${epochs} epoch${epochs > 1 ? "s" : ""}. Open in the lab.`;
      return row;
    }));
    if (!sweep.order.length) rows.replaceChildren(element("p.hint", {}, sweep.active ? "No trial is done yet." : "No trial is whole."));
    if (focused) rows.querySelector(`[data-trial="${focused}"]`)?.focus();
  }

  function tell() {
    if (!picture?.sweep) return;
    const { sweep, still, cells } = picture;
    const index = trial ?? sweep.best;
    if (index === null || !cells[index]) {
      looked.replaceChildren(element("p.hint", {}, "Point at a trial, or reach it by Tab and the arrow keys."));
      return;
    }
    const one = still.trials[index];
    looked.replaceChildren(
      element("p.which", {}, swatch(one.look, colorOf(one.look, picture.theme), 26), link(one, one.racer + one.more)),
      element("p", {}, told(cells[index], still.seeds) + (index === sweep.best ? "; the best" : "") + "."));
  }

  function list(recent, shown, theme) {
    const key = JSON.stringify([recent, shown, theme.dark]);
    if (key === built) return;
    built = key;
    const focused = node.getRootNode().activeElement?.dataset?.run;
    past.hidden = recent.length === 0;
    sweeps.replaceChildren(...recent.map((sweep) => {
      const day = new Date(sweep.created * 1000);
      const today = day.toDateString() === new Date().toDateString();
      const when = today ? day.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false }) : day.toLocaleDateString([], { month: "short", day: "numeric" });
      return element(sweep.id === shown ? "button.run.on" : "button.run", { type: "button", "aria-pressed": String(sweep.id === shown), "data-run": sweep.id,
        title: `${sweep.racers.map(({ label }) => label).join(", ")} on ${sweep.data_title}`, onclick: () => onShow(sweep.id) },
        element("time", {}, when), element("span.what", {}, ...sweep.racers.slice(0, 3).map((racer) => swatch(racer, colorOf(racer, theme), 18)), element("span", {}, sweep.axes.join(" × "))),
        element("span", {}, sweep.state));
    }));
    if (focused) sweeps.querySelector(`[data-run="${focused}"]`)?.focus();
  }

  return {
    node,
    look(next) {
      trial = next;
      tell();
    },
    update(next) {
      picture = next;
      const { sweep, still, recent, theme } = picture;
      list(recent, sweep?.id, theme);
      present.hidden = !sweep;
      before.hidden = Boolean(sweep);
      if (!sweep) return;
      write(heading, sweep.active ? "Best so far, by held-out pictures" : "Best, by held-out pictures");
      rank();
      tell();
      write(words, sentence(picture));
      const speed = sweep.pace ? [["Speed, all together", `${count(Math.round(sweep.pace))} pictures/s`]] : [];
      facts.replaceChildren(...[...still.facts, ...speed].flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
      said.replaceChildren(...sweep.said.map((text) => element("p.hint", {}, text)));
    },
  };
}
