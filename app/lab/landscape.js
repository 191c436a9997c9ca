// The landscape of a run: a plane through its weights as the ground of the player, or a line between two ends.

import { drawLines, formatNumber } from "../adamscope.player/chart.js";
import { bound, element, write } from "../adamscope.player/dom.js";
import { mount } from "../adamscope.player/player.js";
import { colorOf } from "../adamscope.player/race.js";
import { options } from "./choice.js";
import { seedsOf } from "./seeds.js";
import { capital, count, duration } from "./words.js";

const PLANES = [
  ["pca", "Plane of the paths"],
  ["random", "Random plane"],
  ["line", "Between two ends"],
];
const AGAIN = 3000; // ms between two askings for what the browser lacks
const SAYS = {
  pca: "The two directions along which the racers' weights spread most, by principal components of their snapshots; the loss is measured all over it, and the paths are drawn on it.",
  random: "Two random directions about one racer's end, each filter as long as the network's own (Li et al. 2018).",
  line: "Straight from one racer's end to another's, and a little beyond: a wall between two ends shows as a hump.",
};

/**
 * set(name, value) changes what is asked for; press("measure" or "halt"). The view's update takes {meta, arrays, theme, shown}:
 * meta.landscape {status, kept, details, shown, problem, player or line}, arrays tracks, grid, line.
 */
export function createLandscape({ set, press }) {
  const choose = (name, label, options) => {
    const select = element("select", { "aria-label": label, onchange: () => set(name, select.value) }, ...options);
    return select;
  };
  const plane = choose("plane", "Which plane", PLANES.map(([value, title]) => element("option", { value }, title)));
  const detail = choose("detail", "How fine", []);
  const [from, to] = ["From whose end", "To whose end"].map((label) => element("select.end", { "aria-label": label, onchange: setEnds }));
  const seed = choose("nth_seed", "With which seed", []);
  const arrow = element("span", { "aria-hidden": "true" }, "→");
  const measure = element("button.measure", { type: "button", onclick: () => press("measure") }, "Measure");
  const halt = element("button.stop", { type: "button", onclick: () => press("halt") }, "Stop");
  const bar = element("progress", { max: 1, "aria-label": "How far the landscape is" });
  const far = element("span.left");
  const said = element("p.hint", { role: "status" });
  const controls = element("div.landscape-controls", {}, plane, from, arrow, to, seed, detail, measure, bar, far, halt);
  const empty = element("p.landscape-empty");
  const holder = element("div.landscape-stage");
  const line = createLine();
  const node = element("div.landscape", {}, controls, said, empty, holder, line.node);

  let player = null;
  let kept = ""; // id of what is shown
  let waiting = null; // a landscape that came while the tab was not seen
  let built = "";
  let lost = -Infinity; // when it was asked for again, ms

  function setEnds(event) {
    let [a, b] = [from.value, to.value];
    if (a === b) [a, b] = event.currentTarget === from ? [a, ends[0]] : [ends[1], b]; // they change places
    set("ends", `${a}-${b}`);
  }
  let ends = ["1", "2"];

  function build({ run, asked }, { details, sound }) {
    const line = asked.plane === "line";
    const key = JSON.stringify([run.id, run.racers.map(({ label }) => label), details, line]);
    for (const select of [from, to]) options(select, sound.map((k) => ({ name: String(k + 1), title: run.racers[k].label })), select.value);
    if (key === built) return;
    built = key;
    detail.replaceChildren(...Object.entries(details).map(([value, { size, pictures }]) =>
      element("option", { value }, `${line ? `${size} points` : `${size} × ${size}`}, ${count(pictures)} pictures`)));
    detail.value = asked.detail;
  }

  function clear() {
    player?.destroy();
    player = null;
    holder.hidden = line.node.hidden = true;
    kept = "";
  }

  function show(landscape, arrays, context) {
    if (!landscape.shown) clear();
    if (landscape.player && arrays.grid) {
      line.node.hidden = true;
      holder.hidden = false;
      const data = { meta: landscape.player, tracks: arrays.tracks, grid: arrays.grid };
      const [x0, x1, y0, y1] = landscape.player.surface.bounds;
      holder.style.setProperty("--aspect", (x1 - x0) / (y1 - y0));
      player?.destroy(); // another plane has other racers, and the player keeps what it was mounted with
      player = mount(holder, data, { layout: "wide" });
      kept = landscape.shown;
    } else if (landscape.line && arrays.line) {
      clear();
      line.node.hidden = false;
      line.take(landscape.line, arrays.line);
      kept = landscape.shown;
    }
    if (!line.node.hidden) line.draw(context);
  }

  /** Why this plane can't be measured, or who has no part in it. */
  function partOf({ run, asked }, { sound }) {
    const lost = run.racers.filter((_, k) => !sound.includes(k)).map(({ label }) => label);
    const why = lost.length ? capital(`${lost.join(" and ")} diverged and ${lost.length > 1 ? "have" : "has"} no ${asked.plane === "pca" ? "part in this plane" : "end to look from"}.`) : "";
    if (asked.plane === "line" && run.racers.length < 2) return [true, "A line takes two racers, and this run has one."];
    if (asked.plane === "line" && sound.length < 2) return [true, `A line takes two racers that did not diverge. ${why}`];
    if (!sound.length) return [true, why];
    return [false, why];
  }

  function tell(meta, landscape) {
    const { asked } = meta;
    const { status, kept: keeps, shown, problem } = landscape;
    const under = status && (status.state === "queued" || status.state === "measuring");
    const [unable, why] = partOf(meta, landscape);
    measure.hidden = under;
    measure.disabled = !keeps || unable;
    halt.hidden = bar.hidden = !under;
    if (under && status.of) bar.value = status.done / status.of;
    else bar.removeAttribute("value");
    const left = status?.left ?? null;
    write(far, !under ? "" : status.state === "queued" ? "waits for the worker" : left === null ? "" : `${duration(left)} left`);
    const failed = status?.state === "failed" ? status.message : "";
    write(said, problem || failed || why);
    said.hidden = !said.textContent;
    empty.hidden = Boolean(shown);
    write(empty, !keeps
      ? "This run kept no snapshots of its weights, so there is nothing to cut a plane through. Runs started on this page keep them; on the command line, --snapshots 24 does."
      : SAYS[asked.plane]);
  }

  return {
    node,
    update({ meta, arrays, theme, shown }) {
      const { landscape, run, asked } = meta;
      if (landscape?.player || landscape?.line) waiting = { landscape, arrays };
      if (!shown || !landscape || !run) return;
      build(meta, landscape);
      ends = landscape.ends.map((k) => String(k + 1));
      [plane.value, detail.value, from.value, to.value] = [asked.plane, asked.detail, ...ends];
      from.hidden = asked.plane === "pca";
      to.hidden = arrow.hidden = asked.plane !== "line";
      seedsOf(run, seed, asked.nth_seed);
      tell(meta, landscape);
      const fresh = waiting?.landscape.shown === landscape.shown ? waiting : { landscape, arrays: {} };
      waiting = null;
      show({ ...fresh.landscape, shown: landscape.shown }, fresh.arrays, { run, theme });
      const now = performance.now();
      if (landscape.shown && landscape.shown !== kept && now - lost > AGAIN) { // an update that another overtook had it
        lost = now;
        press("again");
      }
      (window.__adamscope ??= {}).landscape = { shown: kept, state: landscape.status?.state ?? null, plane: asked.plane };
      player?.retheme();
    },
    stop() {
      clear();
      line.stop();
    },
  };
}

/** Loss and accuracy along a line, training pictures strong, test pictures faint. */
function createLine() {
  const charts = ["Loss", "Accuracy, %"].map((title, k) => {
    const canvas = element("canvas", { role: "img" });
    const holder = element("div.chart", {}, canvas);
    return { title, k, canvas, holder, node: element("div.figure", {}, element("div.title", {}, element("h3", {}, title)), holder) };
  });
  const words = element("p.hint");
  const node = element("div.landscape-line", { hidden: true }, ...charts.map((chart) => chart.node), words);
  let head = null;
  let values = null; // five arrays: x, loss, accuracy, and these on the test pictures
  let context = null;

  function draw() {
    if (!values || !context || !node.clientHeight) return;
    const { run, theme } = context;
    const [one, other] = head.racers.map((k) => run.racers[k]);
    const [x, ...measured] = values;
    const near = (at) => x.reduce((best, z, k) => (Math.abs(z - at) < Math.abs(x[best] - at) ? k : best), 0);
    for (const { k, canvas, title } of charts) {
      const scaled = [k, k + 2].map((which) => (k ? Array.from(measured[which], (share) => 100 * share) : [...measured[which]]));
      const ends = [[one, 0], [other, 1]].map(([racer, at]) =>
        ({ x: [x[near(at)]], y: [scaled[0][near(at)]], color: colorOf(racer, theme), width: 2, marker: 4.5, hollow: racer.hollow }));
      drawLines(canvas, {
        series: [{ x, y: scaled[1], color: theme.mute, width: 1.5, dash: [5, 4] }, { x, y: scaled[0], color: theme.ink, width: 2 }, ...ends],
        xRange: [x[0], x.at(-1)], yRange: null, yLog: !k && Math.max(...scaled[0]) > 10 * Math.min(...scaled[0]), xTicks: [{ value: 0, label: one.label }, { value: 1, label: other.label }],
        gridColor: theme.line, textColor: theme.mute, background: theme.paper, left: 44, right: 60,
        font: `${(theme.size * 0.85).toFixed(1)}px ${theme.family}`,
      });
      const middle = scaled[0][near(0.5)];
      canvas.setAttribute("aria-label", `${title} from ${one.label} to ${other.label}: ${formatNumber(scaled[0][near(0)], 3)}, half way ${formatNumber(middle, 3)}, ${formatNumber(scaled[0][near(1)], 3)}.`);
    }
  }

  const observer = new ResizeObserver(draw);
  for (const { holder } of charts) observer.observe(holder);
  return {
    node,
    take(newHead, flat) {
      head = newHead;
      const points = flat.length / 5;
      values = Array.from({ length: 5 }, (_, k) => flat.slice(k * points, (k + 1) * points));
      write(words, bound(`Full line: training pictures; broken: test pictures. ${head.words} ${head.recipe}`));
    },
    draw(newContext) {
      context = newContext;
      draw();
    },
    stop: () => observer.disconnect(),
  };
}
