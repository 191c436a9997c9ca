// All runs that are kept: to look at, to compare, to delete.

import { element, icon, swatch, write } from "../adamscope.player/dom.js";
import { colorOf } from "../adamscope.player/race.js";
import { STATES } from "./states.js";
import { percent, when } from "./words.js";

export const MOST_COMPARED = 3; // runs beside the one that is shown
const SHAPES = ["square", "triangle", "diamond"]; // their markers; the shown run's are circles

/** What tells compared runs apart without colour: the shape of their markers, and a letter. */
export const markOf = (place) => ({ shape: SHAPES[place], letter: "BCD"[place] });

/** What people call a run. */
export const titleOf = (run) => run.name || run.racers.map(({ label }) => label).join(", ");

/** A marker of one of the shapes, in the text's colour. */
export function marker(shape) {
  const holder = element("span.shape", { "aria-hidden": "true" });
  const path = { circle: "M6 2.4a3.6 3.6 0 1 0 .01 0z", square: "M2.8 2.8h6.4v6.4H2.8z", triangle: "M6 1.8 10.4 9.4H1.6z", diamond: "M6 1.2 10.6 6 6 10.8 1.4 6z" }[shape];
  holder.innerHTML = `<svg width="12" height="12" viewBox="0 0 12 12"><path d="${path}" fill="currentColor"/></svg>`;
  return holder;
}

/**
 * A sheet over the page. act(press, run id, text) is told of what is pressed, onShow(id) which run to look at, onCompare([ids]) which
 * ones beside it.
 */
export function createRuns({ act, onShow, onCompare }) {
  const close = element("button.close", { type: "button", "aria-label": "Close", onclick: () => node.close() }, icon("close"));
  const rows = element("tbody");
  const count = element("p.hint");
  const table = element("table.runlist", {}, element("thead", {}, element("tr", {},
    ...["Compare", "Run", "Racers", "Begun", "State", "Best test %", ""].map((text) => element("th", { scope: "col" }, text)))), rows);
  const node = element("dialog.runsheet", { "aria-labelledby": "runs-title" },
    element("div.runhead", {}, element("h2", { id: "runs-title" }, "All runs"), count, close), element("div.scroller", {}, table));
  let sure = null; // id of the run whose deletion waits for a second press
  let news = null;
  let built = "";

  node.addEventListener("close", () => {
    sure = null;
    act("unlist");
  });
  node.addEventListener("click", (event) => event.target === node && node.close());
  node.addEventListener("keydown", (event) => event.stopPropagation());

  function row(run) {
    const { shown, compared, theme } = news;
    const [here, beside] = [run.id === shown, compared.indexOf(run.id)];
    const title = titleOf(run);
    const tick = element("input", { type: "checkbox", "aria-label": `Compare ${title}`, "data-focus": `compare ${run.id}`, disabled: here || !shown || (beside < 0 && compared.length >= MOST_COMPARED),
      title: here ? "This is the run that is shown" : shown ? "Draw its curves beside those of the run that is shown" : "Show a run first",
      onchange: () => onCompare(beside < 0 ? [...compared, run.id] : compared.filter((id) => id !== run.id)) });
    tick.checked = here || beside >= 0;
    const mark = here && compared.length ? [marker("circle"), "A"] : beside >= 0 ? [marker(markOf(beside).shape), markOf(beside).letter] : [];
    const show = element("button.runname", { type: "button", title: "Look at this run", "data-focus": `show ${run.id}`, onclick: () => {
      onShow(run.id);
      node.close();
    } }, title);
    const about = [run.data_title, run.model_title, `${run.epochs} epochs`].filter(Boolean).join(" · ");
    const name = element("th", { scope: "row" }, show, element("span", {}, about), ...(run.notes ? [element("span.notes", {}, run.notes)] : []));
    const racers = element("span.swatches", {}, ...run.racers.map((racer) => swatch(racer, colorOf(racer, theme), 18)));
    const far = run.total_steps && run.step < run.total_steps ? `, ${Math.floor((100 * run.step) / run.total_steps)} %` : "";
    return element(here ? "tr.on" : "tr", {},
      element("td", {}, element("label.tick", {}, tick, ...mark)), name, element("td", { title: run.racers.map(({ label }) => label).join(", ") }, racers),
      element("td", {}, when(run.created)), element("td", {}, STATES[run.state] + far),
      element("td.number", {}, run.best === null ? "—" : percent(100 * run.best)), element("td", {}, bin(run, title)));
  }

  function bin(run, title) {
    if (sure !== run.id) {
      return element("button.quiet", { type: "button", disabled: run.active, title: run.active ? "Stop it first" : "Delete this run", "aria-label": `Delete ${title}`,
        "data-focus": `delete ${run.id}`, onclick: () => ask(run.id) }, "delete");
    }
    return element("span.sure", { role: "group", "aria-label": `Delete ${title}, its points and its files?` },
      element("button.do", { type: "button", "data-focus": `sure ${run.id}`, onclick: () => {
        sure = null;
        act("delete", run.id);
      }, title: "Its points, its notes and its files" }, "Delete for good"),
      element("button.quiet", { type: "button", onclick: () => ask(null, run.id) }, "keep"));
  }

  function ask(id, from = id) {
    sure = id;
    build();
    rows.querySelector(`[data-focus="${id ? "sure" : "delete"} ${from}"]`)?.focus();
  }

  function build() {
    const focused = node.getRootNode().activeElement?.dataset?.focus;
    rows.replaceChildren(...news.runs.map(row));
    if (focused) rows.querySelector(`[data-focus="${focused}"]`)?.focus();
    write(count, news.runs.length ? "Press a run to look at it; tick up to three to draw beside it." : "No run yet: choose who trains on what, then press Start.");
  }

  return {
    node,
    open() {
      act("list");
      node.showModal();
      close.focus();
    },
    /** runs: the list as it last arrived, or undefined while it is closed. */
    update(runs, shown, compared, theme) {
      if (!runs || !node.open) return;
      const key = JSON.stringify([runs, shown, compared, theme.dark]);
      if (key === built) return;
      built = key;
      news = { runs, shown, compared, theme };
      build();
    },
  };
}
