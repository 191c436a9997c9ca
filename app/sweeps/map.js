// The map: a cell for each trial, filled as its networks learn; what is on neither side makes small maps of its own.

import { formatNumber } from "../adamscope.player/chart.js";
import { element, write } from "../adamscope.player/dom.js";

const NUMBERED = 36; // px that a cell needs for a number in it
const FAR = 20; // times the least loss, beyond which all are of one tone
const LOST = ["diverged", "failed"];
const STATES = { waiting: "waits", training: "trains", diverged: "diverged", failed: "given up", stopped: "stopped" };

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** The tone at a share from 0 (worst) to 1 (best). */
export function toneAt(tones, share) {
  const at = Math.max(0, Math.min(1, share)) * (tones.length - 1);
  const k = Math.min(tones.length - 2, Math.floor(at));
  const [a, b] = [rgb(tones[k]), rgb(tones[k + 1])];
  return `rgb(${a.map((c, i) => Math.round(c + (b[i] - c) * (at - k))).join(" ")})`;
}

export const percent = (value) => (Number.isFinite(value) ? (100 * value).toFixed(1) : "—");

/** What a trial has come to, in words. */
export function told(cell, seeds) {
  if (!Number.isFinite(cell.accuracy)) return STATES[cell.state] ?? cell.state;
  const spread = seeds > 1 ? ` (${percent(cell.lowest)} to ${percent(cell.highest)} over ${seeds} seeds)` : "";
  const end = { training: ", so far", dropped: ", left at a rung", stopped: ", stopped" }[cell.state] ?? "";
  return `${percent(cell.accuracy)} %${spread}, loss ${formatNumber(cell.loss, 3)} after epoch ${cell.epoch}${end}`;
}

/** Every combination of these lists. */
const product = (lists) => lists.reduce((rows, list) => rows.flatMap((row) => list.map((one) => [...row, one])), [[]]);

/** onLook(trial or null); onSide("x" or "y", name); onMeasure("accuracy" or "loss"). */
export function createMap({ onLook, onSide, onMeasure }) {
  let picture = null;
  let built = "";
  let buttons = []; // of the trials, by index
  let areas = []; // {node, columns}

  const select = (side, label) => element("select", { "aria-label": label, onchange: ({ target }) => onSide(side, target.value) });
  const [up, across] = [select("y", "What goes up the map"), select("x", "What goes across the map")];
  const axes = element("span.sides", {}, up, element("span", { "aria-hidden": "true" }, "against"), across);
  const measures = ["accuracy", "loss"].map((name) => element("button", { type: "button", role: "radio", onclick: () => onMeasure(name), onkeydown: turn }, name));
  const segments = element("div.segments", { role: "radiogroup", "aria-label": "What the map and the curves show" }, ...measures);
  const [least, most] = [element("span"), element("span")];
  const ramp = element("i.ramp");
  const gone = [element("i.lost"), element("span", {}, "diverged")];
  const legend = element("span.legend", { "aria-hidden": "true" }, least, ramp, most, ...gone, element("i.ring"), "best");
  const maps = element("div.maps");
  const node = element("section.map", { "aria-label": "Map of the trials" },
    element("div.title", {}, element("h3", {}, "Held-out"), segments, axes, legend), maps);

  function turn(event) {
    if (!["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].includes(event.key)) return;
    event.preventDefault();
    const other = measures[picture.measure === "loss" ? 0 : 1];
    other.focus();
    other.click();
  }

  /** The nearest trial of the same small map in the direction of an arrow key. */
  function move(event) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    const here = event.target;
    if (!way || !here.matches?.(".trial")) return;
    event.preventDefault();
    const [x, y] = [Number(here.dataset.x), Number(here.dataset.y)];
    let best = null;
    for (const other of here.parentNode.querySelectorAll(".trial")) {
      const [dx, dy] = [Number(other.dataset.x) - x, Number(other.dataset.y) - y];
      const along = dx * way[0] + dy * way[1];
      const aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
      if (along > 1e-6 && (!best || along + 3 * aside < best.far)) best = { other, far: along + 3 * aside };
    }
    best?.other.focus();
  }
  maps.addEventListener("keydown", move);
  maps.addEventListener("pointerover", ({ target }) => target.dataset?.trial && onLook(Number(target.dataset.trial)));
  maps.addEventListener("pointerleave", () => onLook(null));
  maps.addEventListener("focusin", ({ target }) => {
    if (!target.dataset?.trial) return;
    for (const one of target.parentNode.querySelectorAll(".trial")) one.tabIndex = one === target ? 0 : -1; // one stop for Tab in each small map
    onLook(Number(target.dataset.trial));
  });
  maps.addEventListener("focusout", () => onLook(null));

  const observer = new ResizeObserver(() => number());

  function number() {
    for (const { node: area, columns } of areas) area.classList.toggle("numbered", area.clientWidth / columns >= NUMBERED);
  }

  function build() {
    const { sweep, still } = picture;
    const names = still.sides.map(({ name }) => name);
    const [x, y] = [names.indexOf(sweep.x), names.indexOf(sweep.y)];
    const side = { x: still.sides[x], y: still.sides[y] ?? { labels: [""], symbol: "", drawn: false } };
    const others = still.sides.map((one, place) => ({ ...one, place })).filter(({ place, drawn }) => place !== x && place !== y && !drawn);
    const parts = product(others.map(({ labels }) => labels.map((_, index) => index)));
    const [columns, rows] = [side.x.labels.length, side.y.labels.length];
    const drawn = side.x.drawn || side.y.drawn;
    buttons = [];
    areas = [];
    const wide = others.length ? Math.min(others.at(-1).labels.length, 4) : 1;
    maps.style.setProperty("--wide", wide);
    maps.replaceChildren(...parts.map((part) => {
      const title = part.map((index, k) => (others[k].name === "optimizer" ? others[k].labels[index] : `${others[k].symbol} ${others[k].labels[index]}`)).join(", ");
      const area = element(drawn ? "div.area.scatter" : "div.area", { role: "group", "aria-label": title || "trials" });
      area.style.setProperty("--columns", columns);
      area.style.setProperty("--rows", rows);
      still.trials.forEach((trial, index) => {
        if (!others.every(({ place }, k) => Math.round(trial.place[place]) === part[k])) return;
        const [px, py] = [trial.place[x], y < 0 ? 0 : trial.place[y]];
        const button = element("button.trial", { type: "button", tabindex: buttons.length && area.childElementCount ? -1 : 0, "data-trial": index, "data-x": px, "data-y": py,
          onclick: () => button.focus() });
        button.style.left = `${(100 * (px + 0.5)) / columns}%`;
        button.style.bottom = `${(100 * (py + 0.5)) / rows}%`;
        buttons[index] = button;
        area.append(button);
      });
      areas.push({ node: area, columns });
      const thin = Math.ceil((columns * wide) / 12);
      return element("figure.part", {}, element("figcaption", {}, title),
        element("div.plot", {},
          element("div.up", { "aria-hidden": "true" }, ...side.y.labels.map((label) => element("span", {}, label)).reverse()),
          area,
          element("div.across", { "aria-hidden": "true" }, ...side.x.labels.map((label, k) => element("span", {}, k % thin ? "" : label)))));
    }));
    observer.disconnect();
    for (const { node: area } of areas) observer.observe(area);
    for (const [box, chosen, free] of [[up, sweep.y, sweep.x], [across, sweep.x, sweep.y]]) {
      box.replaceChildren(...still.sides.filter(({ name }) => name !== free || name === chosen).map(({ name, symbol }) => element("option", { value: name }, symbol)));
      box.value = chosen;
    }
    axes.hidden = still.sides.length < 2;
    number();
  }

  function fill() {
    const { sweep, still, cells, measure, tones, theme } = picture;
    const numbers = cells.map((cell) => cell[measure]).filter(Number.isFinite);
    const low = Math.min(...numbers);
    const top = Math.max(...numbers);
    const high = measure === "loss" ? Math.min(top, FAR * low) : top; // one that blows up must not flatten the others
    const height = measure === "loss" ? (z) => Math.log(Math.max(z, 1e-12)) : (z) => z; // losses lie orders of magnitude apart
    const share = (z) => {
      const at = height(high) > height(low) ? (height(z) - height(low)) / (height(high) - height(low)) : 1;
      return measure === "loss" ? 1 - at : at;
    };
    const known = numbers.length > 0;
    const worst = measure === "loss" ? high : low;
    const text = (z) => (measure === "loss" ? formatNumber(z, 3) : `${percent(z)} %`);
    write(least, known ? (top > high ? "≥ " : "") + text(worst) : "");
    write(most, known ? text(measure === "loss" ? low : high) : "");
    ramp.hidden = !known;
    for (const part of gone) part.hidden = !cells.some(({ state }) => LOST.includes(state));
    ramp.style.background = `linear-gradient(to right, ${tones.join(",")})`;
    cells.forEach((cell, index) => {
      const button = buttons[index];
      if (!button) return;
      const value = cell[measure];
      const sure = Number.isFinite(value);
      const best = index === sweep.best;
      button.className = ["trial", cell.state, LOST.includes(cell.state) ? "lost" : "", best ? "best" : "", sure ? "known" : ""].filter(Boolean).join(" ");
      button.style.background = sure ? toneAt(tones, share(value)) : "";
      button.style.color = sure ? (share(value) > 0.5 ? theme.paper : theme.ink) : "";
      write(button, sure ? (measure === "loss" ? formatNumber(value, 2) : percent(value)) : "");
      const trial = still.trials[index];
      button.setAttribute("aria-label", `${trial.racer}${trial.more}: ${told(cell, still.seeds)}${best ? ", the best" : ""}`);
    });
    measures.forEach((button, index) => {
      const on = ["accuracy", "loss"][index] === measure;
      button.setAttribute("aria-checked", String(on));
      button.tabIndex = on ? 0 : -1;
    });
  }

  return {
    node,
    mark(trial) {
      buttons.forEach((button, index) => button?.classList.toggle("looked", index === trial));
    },
    update(next) {
      picture = next;
      const { sweep } = picture;
      const key = JSON.stringify([sweep.id, sweep.x, sweep.y]);
      if (key !== built || !buttons.length) build();
      built = key;
      fill();
    },
    stop: () => observer.disconnect(),
  };
}
