// Sweeps as a Streamlit component: question, map and curves, and what came of it.

import { element, write } from "../adamscope.player/dom.js";
import { readTheme, sameTheme } from "../adamscope.player/theme.js";
import { hosted, watchTheme } from "../adamscope.lab/host.js";
import { duration } from "../adamscope.lab/words.js";
import { createMap } from "./map.js";
import { createFindings } from "./findings.js";
import { createQuestion } from "./question.js";
import { createSensitivity } from "./sensitivity.js";

const COLUMNS = 6; // numbers of a cell: state, epoch, accuracy, lowest, highest, loss
const STATES = { queued: "Queued", running: "Training", finished: "Finished", stopped: "Stopped", failed: "Failed", interrupted: "Interrupted" };

/** The cells as Python packed them -> [{state, epoch, accuracy, lowest, highest, loss}]. */
function cellsOf(numbers) {
  return Array.from({ length: numbers.length / COLUMNS }, (_, k) => {
    const [state, epoch, accuracy, lowest, highest, loss] = numbers.subarray(COLUMNS * k, COLUMNS * (k + 1));
    return { state: NAMES[state], epoch, accuracy, lowest, highest, loss };
  });
}
const NAMES = ["waiting", "training", "finished", "diverged", "dropped", "stopped", "failed"];

/** send(message): {query, turn, press}, for Python. */
function createPage(parent, send) {
  const root = element("div.adamscope.page.lab.sweeps", { style: "visibility:hidden" }); // until the style sheet is there
  const debug = ((window.__adamscope ??= {}).sweeps = { mounts: (window.__adamscope.sweeps?.mounts ?? 0) + 1, updates: 0 });
  let meta = null;
  let theme = null;
  let still = null; // sides and trials of the sweep that is shown …
  let of = null; // … and its id
  let cells = [];

  const question = createQuestion({ send });
  const map = createMap({ onLook: look, onSide: (name, value) => question.set(name, value), onMeasure: (measure) => question.set("measure", measure) });
  const sensitivity = createSensitivity({ onLook: look });
  const findings = createFindings({ onShow: (sweep) => question.set("sweep", sweep) });

  const notice = element("p.notice", { role: "status" });
  const state = element("b.state");
  const place = element("span.place");
  const left = element("span.left");
  const stop = element("button.stop", { type: "button", title: "Ends after the steps under way; what was found stays, and nothing is tested", onclick: () => {
    stop.disabled = true;
    question.press("stop");
  } }, "Stop");
  const bar = element("progress", { max: 1, "aria-label": "How far the sweep is" });
  const status = element("header.status", {}, element("div.line", {}, state, place, left, stop), bar);
  const invitation = element("p");
  const empty = element("div.empty", {}, invitation,
    element("p", {}, "Every network of a sweep is judged by training pictures that are held out. The best one alone then meets the test pictures."));
  const views = element("div.views", {}, map.node, sensitivity.node);
  root.append(question.node, element("section.experiment", { "aria-label": "The sweep" }, notice, status, views, empty), findings.node);
  parent.append(root);

  /** A trial under the pointer or the focus, in the map or in the curves. */
  function look(trial) {
    map.mark(trial);
    sensitivity.mark(trial);
    findings.look(trial);
  }

  function head(sweep) {
    write(state, sweep.stopping ? "Stopping" : (STATES[sweep.state] ?? sweep.state));
    state.dataset.state = sweep.state;
    const done = cells.filter((cell) => ["finished", "dropped", "diverged", "failed"].includes(cell.state)).length;
    const testing = sweep.active && done === cells.length && sweep.best !== null;
    const last = sweep.active ? sweep.said.at(-1) : "";
    write(place, sweep.message || [testing ? "the best is tested" : `${done} of ${cells.length} trials`, last].filter(Boolean).join(" · "));
    const time = sweep.state === "running" ? (sweep.seconds_left === null ? "waits for a worker" : `${duration(sweep.seconds_left)} left`) : sweep.seconds ? `took ${duration(sweep.seconds)}` : "";
    write(left, sweep.state === "queued" ? "" : time);
    stop.hidden = !sweep.active;
    stop.disabled = sweep.stopping;
    if (sweep.state === "queued") bar.removeAttribute("value");
    else bar.value = sweep.share;
    bar.hidden = !sweep.active;
  }

  function render() {
    const { sweep } = meta;
    theme = readTheme(root);
    notice.replaceChildren(...meta.notices.map((text) => element("span", {}, text)));
    const whole = Boolean(sweep && still);
    status.hidden = !sweep;
    views.hidden = !whole;
    empty.hidden = whole;
    invitation.replaceChildren(...(sweep ? ["This sweep can't be shown."] : ["Choose what changes, then press ", element("b", {}, "Start"), "."]));
    question.update(meta, theme);
    if (whole) {
      head(sweep);
      const picture = { sweep, still, cells, measure: meta.asked.measure, tones: meta.tones[theme.dark ? "dark" : "light"], theme };
      map.update(picture);
      sensitivity.update(picture);
    }
    findings.update({ sweep: whole ? sweep : null, still, cells, recent: meta.recent, theme });
  }

  const retheme = () => meta && !sameTheme(readTheme(root), theme) && render();
  const unwatch = watchTheme(root, retheme);

  return {
    update({ meta: next, arrays }) {
      meta = next;
      const id = meta.sweep?.id ?? null;
      if (meta.still) [still, of] = [meta.still, id];
      else if (of !== id) [still, of] = [null, null];
      cells = arrays.cells ? cellsOf(arrays.cells) : [];
      render();
      if (id && !still) question.press("again");
      debug.updates += 1;
      debug.sweep = meta.sweep && {
        id, state: meta.sweep.state, share: meta.sweep.share, best: meta.sweep.best, test: meta.sweep.test,
        known: cells.filter(({ accuracy }) => Number.isFinite(accuracy)).length, trials: cells.length,
      };
    },
    destroy() {
      unwatch();
      question.stop();
      map.stop();
      sensitivity.stop();
      root.remove();
    },
  };
}

export default hosted(createPage);
