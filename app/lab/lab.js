// The lab as a Streamlit component: question, experiment, explanation around one run of training.

import { element, write } from "../adamscope.player/dom.js";
import { readTheme, sameTheme } from "../adamscope.player/theme.js";
import { createClasses } from "./classes.js";
import { createCurves, createRecord } from "./curves.js";
import { hosted, watchTheme } from "./host.js";
import { createInside } from "./inside.js";
import { createLandscape } from "./landscape.js";
import { createSetup } from "./setup.js";
import { createRuns, markOf } from "./runs.js";
import { createStandings } from "./standings.js";
import { STATES } from "./states.js";
import { createViews } from "./views.js";
import { duration } from "./words.js";

const EMPTY = new Float32Array(0);
/** send(message): {query, turn, press}, for Python. */
function createLab(parent, send) {
  const root = element("div.adamscope.page.lab", { style: "visibility:hidden" }); // until the style sheet is there
  const debug = ((window.__adamscope ??= {}).lab = { mounts: (window.__adamscope.lab?.mounts ?? 0) + 1, updates: 0, resent: 0 });
  let meta = null;
  let theme = null;
  let record = null;
  let shown = null; // id of the run the record is of
  let beside = []; // runs that are compared with it: {run, record, mark}

  const setup = createSetup({ send });
  const curves = createCurves({
    onCursor: (step) => meta?.run && standings.fill(meta.run, record, theme, step),
    onSet: setup.set,
  });
  const inside = createInside({ onSet: setup.set, onLost: () => setup.press("again") });
  const classes = createClasses({ onSet: setup.set });
  const landscape = createLandscape({ set: setup.set, press: setup.press });
  const views = createViews({
    views: [
      { name: "curves", title: "Curves", ...curves },
      { name: "inside", title: "Inside", ...inside },
      { name: "classes", title: "Classes", ...classes },
      { name: "landscape", title: "Landscape", ...landscape },
    ],
    onShow: (view) => setup.set("view", view),
  });
  const runs = createRuns({ act: setup.press, onShow: (run) => setup.set("run", run), onCompare: (ids) => setup.set("compare", ids.join(",")) });
  const standings = createStandings({ onShow: (run) => setup.set("run", run), onAll: runs.open, act: setup.press, onStartFrom: (network) => setup.set("start_from", network) });

  const notice = element("p.notice", { role: "status" });
  const state = element("b.state");
  const place = element("span.place");
  const left = element("span.left");
  const presses = [
    ["pause", "Pause", "Rests after the step under way, and makes room for others", (run) => run.active],
    ["stop", "Stop", "Ends after the step under way; what was measured stays", (run) => run.active],
    ["resume", "Resume", "", (run) => run.resumable],
  ].map(([press, word, title, offered]) => {
    const button = element("button.stop", { type: "button", title, onclick: () => {
      button.disabled = true;
      setup.press(press);
    } }, word);
    return { button, press, offered };
  });
  const warning = element("p.warning", { role: "status" });
  const bar = element("progress", { max: 1, "aria-label": "How far the run is" });
  const status = element("header.status", {}, element("div.line", {}, state, place, left, ...presses.map(({ button }) => button)), warning, bar);
  const invitation = element("p");
  const empty = element("div.empty", {}, invitation,
    element("p", {}, "All racers begin from the same weights and see the same pictures in the same order: what differs is the optimizer. Their loss and accuracy grow here, side by side."));
  root.append(setup.node, element("section.experiment", { "aria-label": "The run" }, notice, status, views.node, empty), standings.node, runs.node);
  parent.append(root);

  function invite(run) {
    const words = run?.active ? ["The worker loads torch and the pictures…"] : run ? ["This run has no curves."] : ["Choose who trains on what, then press ", element("b", {}, "Start"), "."];
    invitation.replaceChildren(...words);
  }

  function head(run) {
    write(state, run.pausing ? "Pausing" : run.stopping ? "Stopping" : STATES[run.state]);
    state.dataset.state = run.state;
    const epoch = run.steps_per_epoch ? Math.min(run.epochs, Math.floor(Math.max(0, run.step - 1) / run.steps_per_epoch) + 1) : 0;
    const far = run.total_steps ? `epoch ${epoch} of ${run.epochs}, step ${run.step} of ${run.total_steps}` : "";
    const goes = run.resumable && run.kept_step ? ` Resume goes on from step ${run.kept_step}.` : "";
    write(place, run.message ? run.message + goes : far);
    const time = run.state === "running" && run.seconds_left !== null ? `${duration(run.seconds_left)} left` : run.seconds ? `took ${duration(run.seconds)}` : "";
    write(left, run.active && run.state !== "running" ? "" : time);
    for (const { button, press, offered } of presses) {
      button.hidden = !offered(run);
      button.disabled = run.stopping;
      if (press === "resume") button.title = run.kept_step ? `Goes on from step ${run.kept_step}` : "Begins at step 0: it has no checkpoint";
    }
    write(warning, run.warning);
    warning.hidden = !run.warning;
    const waits = run.state === "queued" || run.state === "starting";
    if (waits) bar.removeAttribute("value");
    else bar.value = run.total_steps ? run.step / run.total_steps : 0;
    bar.hidden = !run.active;
  }

  function render(arrays = {}) {
    const { run } = meta;
    theme = readTheme(root);
    notice.replaceChildren(...meta.notices.map((text) => element("span", {}, text)));
    const begun = Boolean(record?.begun);
    status.hidden = !run;
    views.node.hidden = !begun;
    empty.hidden = begun;
    if (!begun) invite(run);
    if (run) head(run);
    setup.update(meta, theme);
    views.update({ meta, record, theme, arrays, beside });
    standings.update(run, meta.recent, record, theme, curves.cursor, meta.file, arrays.file);
    runs.update(meta.runs, run?.id ?? null, meta.beside.map(({ id }) => id), theme);
  }

  const retheme = () => meta && !sameTheme(readTheme(root), theme) && render();
  const unwatch = watchTheme(root, retheme);

  return {
    update({ meta: next, arrays }) {
      meta = next;
      const { run, before } = meta;
      if (!run) record = null;
      else if (run.id !== shown || (before[0] === 0 && before[1] === 0)) record = createRecord(run.racers);
      shown = run?.id ?? null;
      let whole = !record || record.take(before, arrays.points ?? EMPTY, arrays.tests ?? EMPTY);
      beside = meta.beside.map((other, place) => {
        const known = other.before[0] + other.before[1] > 0 && beside.find(({ run: { id } }) => id === other.id);
        const its = known ? known.record : createRecord(other.racers);
        whole = its.take(other.before, arrays[`points ${other.id}`] ?? EMPTY, arrays[`tests ${other.id}`] ?? EMPTY) && whole;
        return { run: other, record: its, mark: markOf(place) };
      });
      render(arrays);
      if (!whole) setup.press("again");
      debug.updates += 1;
      debug.resent += !whole;
      debug.run = run && {
        id: run.id, state: run.state, step: run.step,
        points: record.train.map(({ step }) => step.length), tests: record.test.map(({ step }) => step.length),
      };
    },
    destroy() {
      unwatch();
      setup.stop();
      views.stop();
      root.remove();
    },
  };
}

export default hosted(createLab);
