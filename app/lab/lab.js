// The lab as a Streamlit component: question, experiment, explanation around one run of training.

import { writeAddress } from "../adamscope.player/address.js";
import { element, write } from "../adamscope.player/dom.js";
import { unpack } from "../adamscope.player/packet.js";
import { readTheme, sameTheme } from "../adamscope.player/theme.js";
import { createCurves, createRecord } from "./curves.js";
import { createSetup } from "./setup.js";
import { createStandings, duration } from "./standings.js";
import { createViews } from "./views.js";

const EMPTY = new Float32Array(0);
const STATES = {
  queued: "Queued", starting: "Starting", running: "Training", finished: "Finished", stopped: "Stopped", failed: "Failed", interrupted: "Interrupted",
};

/** send(message): {query, turn, press}, for Python. */
function createLab(parent, send) {
  const root = element("div.adamscope.page.lab", { style: "visibility:hidden" }); // until the style sheet is there
  const debug = ((window.__adamscope ??= {}).lab = { mounts: (window.__adamscope.lab?.mounts ?? 0) + 1, updates: 0, resent: 0 });
  let meta = null;
  let theme = null;
  let record = null;
  let shown = null; // id of the run the record is of

  const setup = createSetup({ send });
  const curves = createCurves({
    onCursor: (step) => meta?.run && standings.fill(meta.run, record, theme, step),
    onScale: (scale) => setup.set("scale", scale),
  });
  const views = createViews({ views: [{ name: "curves", title: "Curves", ...curves }], onShow: (view) => setup.set("view", view) });
  const standings = createStandings({ onShow: (run) => setup.set("run", run) });

  const notice = element("p.notice", { role: "status" });
  const state = element("b.state");
  const place = element("span.place");
  const left = element("span.left");
  const stop = element("button.stop", { type: "button", title: "Ends after the step under way; what was measured stays", onclick: () => {
    stop.disabled = true;
    setup.press("stop");
  } }, "Stop");
  const bar = element("progress", { max: 1, "aria-label": "How far the run is" });
  const status = element("header.status", {}, element("div.line", {}, state, place, left, stop), bar);
  const invitation = element("p");
  const empty = element("div.empty", {}, invitation,
    element("p", {}, "All racers begin from the same weights and see the same pictures in the same order: what differs is the optimizer. Their loss and accuracy grow here, side by side."));
  root.append(setup.node, element("section.experiment", { "aria-label": "The run" }, notice, status, views.node, empty), standings.node);
  parent.append(root);

  function invite(run) {
    const words = run?.active ? ["The worker loads torch and the pictures…"] : run ? ["This run has no curves."] : ["Choose who trains on what, then press ", element("b", {}, "Start"), "."];
    invitation.replaceChildren(...words);
  }

  function head(run) {
    write(state, run.stopping ? "Stopping" : STATES[run.state]);
    state.dataset.state = run.state;
    const epoch = run.steps_per_epoch ? Math.min(run.epochs, Math.floor(Math.max(0, run.step - 1) / run.steps_per_epoch) + 1) : 0;
    const far = run.total_steps ? `epoch ${epoch} of ${run.epochs}, step ${run.step} of ${run.total_steps}` : "";
    write(place, run.message || far);
    const time = run.state === "running" && run.seconds_left !== null ? `${duration(run.seconds_left)} left` : run.seconds ? `took ${duration(run.seconds)}` : "";
    write(left, run.active && run.state !== "running" ? "" : time);
    stop.hidden = !run.active;
    stop.disabled = run.stopping;
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
    views.update({ meta, record, theme, arrays });
    standings.update(run, meta.recent, record, theme, curves.cursor);
  }

  const retheme = () => meta && !sameTheme(readTheme(root), theme) && render();
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  const rethemeSoon = () => setTimeout(retheme, 100); // the host page changes its colours first
  scheme.addEventListener("change", rethemeSoon);
  root.addEventListener("pointerenter", retheme);

  return {
    update({ meta: next, arrays }) {
      meta = next;
      const { run, before } = meta;
      if (!run) record = null;
      else if (run.id !== shown || (before[0] === 0 && before[1] === 0)) record = createRecord(run.racers);
      shown = run?.id ?? null;
      const whole = !record || record.take(before, arrays.points ?? EMPTY, arrays.tests ?? EMPTY);
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
      scheme.removeEventListener("change", rethemeSoon);
      setup.stop();
      views.stop();
      root.remove();
    },
  };
}

const labs = new WeakMap(); // Streamlit calls again with the same parent at every update

export default function ({ data, parentElement, setStateValue }) {
  let made = labs.get(parentElement);
  if (!made) {
    made = { setStateValue };
    made.lab = createLab(parentElement, (message) => made.setStateValue("asked", message));
    labs.set(parentElement, made);
  }
  made.setStateValue = setStateValue;
  const news = unpack(data);
  made.lab.update(news);
  writeAddress(news.meta.address);
  // Streamlit may run this while the component still stands (an update that another overtook).
  return () =>
    setTimeout(() => {
      if (parentElement.isConnected) return;
      labs.get(parentElement)?.lab.destroy();
      labs.delete(parentElement);
    });
}
