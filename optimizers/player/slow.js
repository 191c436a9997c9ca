// One update in slow motion: its stages, one after the other, on a panel over the stage.

import { bound, element, icon, write } from "./dom.js";
import { toPixel } from "./paths.js";
import { colorOf, lastStep } from "./race.js";
import { number, stagesOf } from "./stages.js";
import { reducedMotion } from "./theme.js";
import { arrow } from "./vectors.js";
import { AXES } from "./worked.js";

const MOVES = 1200; // ms a stage moves …
const RESTS = 800; // … and then rests, to be read
const HEAD = 22; // px over the lanes, for the names

/**
 * The panel over the stage. clock: it holds still meanwhile; seekTo(step): go to a step of the chosen racer; onToggle(): it
 * has opened or closed.
 * Returns {node, button, toggle(), open, update({race, chosen, theme}), draw(q, {at, view}), stop()}; draw is called each frame, with
 * the stage's context in the view's pixels.
 */
export function createSlow({ clock, seekTo, onToggle }) {
  const button = element("button.tool", {
    type: "button", "aria-pressed": "false", title: "This step in slow motion, stage by stage (s)", onclick: () => toggle(),
  }, "slow motion");
  const canvas = element("canvas", { "aria-hidden": "true" });
  const heading = element("h3", {});
  const title = element("b");
  const caption = element("span");
  const numbers = element("p.pairs", { "aria-hidden": "true" });
  const spoken = element("p.caption", { "aria-live": "polite" }, title, " ", caption);
  const dots = element("div.dots", { role: "group", "aria-label": "Stages" });
  const hold = element("button.round", { type: "button", onclick: () => pause(!paused) });
  const round = (name, words, action) =>
    element("button.round", { type: "button", title: words, "aria-label": words, onclick: action }, icon(name));
  const goOn = element("input", { type: "checkbox", checked: true, title: "After the last stage on to the next step" });
  const node = element("section.slow", { "aria-label": "One step in slow motion", tabindex: -1, hidden: true },
    element("div.head", {}, heading, round("close", "Close (Esc)", () => toggle())),
    canvas, spoken, numbers,
    element("div.foot", {},
      round("back", "Stage before (←)", () => go(index - 1)), hold, round("forward", "Next stage (→)", () => go(index + 1)), dots,
      element("label", {}, goOn, "keep going")));

  let race = null;
  let chosen = 0;
  let theme = null;
  let open = false;
  let paused = false;
  let step = 0;
  let index = 0;
  let told = null; // {columns, stages}
  let started = 0; // when the stage began, ms
  let shift = 0; // how far a paused stage was, ms
  let shown = "";
  let view = null;

  const racer = () => race.racers[chosen];
  const last = () => Math.min(race.steps - 1, lastStep(race, racer()) - 1);
  const whole = (at) => Math.min(last(), Math.floor(at[chosen] + 1e-6));

  function toggle() {
    open = !open;
    node.hidden = !open;
    told = null;
    if (open) {
      clock.pause();
      document.addEventListener("keydown", onKey, true);
      node.focus({ preventScroll: true });
      pause(reducedMotion());
    } else document.removeEventListener("keydown", onKey, true);
    button.setAttribute("aria-pressed", String(open));
    onToggle();
    clock.refresh();
  }

  /** Arrow keys, space and Escape are the panel's while it is open, wherever the focus is, but in a field. */
  function onKey(event) {
    const target = event.composedPath()[0];
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches?.("input:not([type=checkbox]), select, textarea")) return;
    if (event.key === " " && target.matches?.("button, a, summary, input")) return;
    const action = { ArrowLeft: () => go(index - 1), ArrowRight: () => go(index + 1), " ": () => pause(!paused), Escape: toggle }[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    action();
  }

  function pause(on) {
    shift = on ? performance.now() - started : shift;
    if (!on) started = performance.now() - Math.min(shift, MOVES);
    paused = on;
    hold.replaceChildren(icon(paused ? "play" : "pause"));
    for (const name of ["title", "aria-label"]) hold.setAttribute(name, paused ? "Go on (space)" : "Hold (space)");
    clock.refresh();
  }

  /** To a stage; beyond the last one to the next step, before the first one to the step before. */
  function go(to) {
    if (!told) return;
    if (to < 0 && step === 0) return;
    if (to < 0 || to >= told.stages.length) {
      const next = step + (to < 0 ? -1 : 1);
      if (next > last()) return;
      begin(next, to < 0 ? Infinity : 0);
      seekTo(next);
    } else {
      index = to;
      started = performance.now();
      shift = reducedMotion() ? MOVES : 0;
      if (paused) shift = MOVES; // held: the stage is shown done
    }
    clock.refresh();
  }

  function begin(to, stage) {
    step = to;
    started = performance.now();
    shift = paused ? MOVES : 0;
    tellOf(stage);
    place();
  }

  /** The stages of the present step; the same one is present where the race alone is another. */
  function tellOf(stage) {
    told = stagesOf(race, racer(), step);
    index = Math.min(stage, told.stages.length - 1);
    dots.replaceChildren(...told.stages.map((stage, k) =>
      element("button", { type: "button", title: stage.title, "aria-label": `Stage ${k + 1}: ${stage.title}`, onclick: () => go(k) })));
    shown = "";
  }

  /** The panel keeps to the corner away from the racer. */
  function place() {
    if (!view) return;
    const [x, y] = toPixel(view, racer().value("theta", step, 0), racer().value("theta", step, 1));
    node.classList.toggle("left", x > view.width / 2);
    node.classList.toggle("top", y > view.height / 2);
  }

  function tell(stage) {
    const key = `${step} ${index} ${chosen}`;
    if (key === shown) return;
    shown = key;
    write(heading, `${racer().label}, step ${step}`);
    write(title, `${stage.title[0].toUpperCase()}${stage.title.slice(1)}.`);
    write(caption, bound(stage.caption));
    numbers.replaceChildren(...(stage.numbers ?? []).map((text, axis) => element("span", {}, element("i", {}, AXES[axis]), text)));
    [...dots.children].forEach((dot, k) => {
      if (k === index) dot.setAttribute("aria-current", "step");
      else dot.removeAttribute("aria-current");
    });
    Object.assign(node.dataset, { stage: stage.title, step, index });
  }

  return {
    node,
    button,
    toggle,
    get open() {
      return open;
    },
    update(context) {
      if (chosen !== context.chosen) told = null; // begun anew at the next draw
      ({ race, chosen, theme } = context);
      if (told && step > last()) told = null;
      if (told) tellOf(index);
      node.style.setProperty("--hue", colorOf(racer(), theme));
    },
    draw(q, { at, view: now }) {
      if (!open || !race) return;
      view = now;
      if (clock.playing) return toggle(); // time runs on: the step is left
      if (last() < 0) {
        write(heading, racer().label);
        write(title, "No step.");
        write(caption, "It diverged at once: there is no step to look into.");
        return;
      }
      if (!told || whole(at) !== step) begin(whole(at), 0);
      const elapsed = paused ? shift : performance.now() - started;
      if (!paused && elapsed > MOVES + RESTS) {
        const ends = index === told.stages.length - 1;
        if (ends && (!goOn.checked || step >= last())) pause(true);
        else go(index + 1);
        return this.draw(q, { at: at.map((z, k) => (k === chosen ? step : z)), view: now });
      }
      const stage = told.stages[index];
      tell(stage);
      const part = reducedMotion() ? 1 : ease(Math.min(1, elapsed / MOVES));
      paint(canvas, { racer: racer(), theme, told, index, part });
      if (stage.shape === "move") {
        const [x, y] = [racer().value("theta", step, 0), racer().value("theta", step, 1)];
        const to = toPixel(view, x + stage.to[0] * part, y + stage.to[1] * part);
        arrow(q, toPixel(view, x, y), to, { color: colorOf(racer(), theme), width: 3.4, halo: theme.paper });
      }
      if (!paused) clock.refresh();
    },
    stop: () => document.removeEventListener("keydown", onKey, true),
  };
}

const ease = (t) => t * t * (3 - 2 * t);

/** The columns: each a quantity, with a lane per axis; the present stage's is lit and moves. */
function paint(canvas, { racer, theme, told, index, part }) {
  const { columns, stages } = told;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const q = canvas.getContext("2d");
  q.setTransform(ratio, 0, 0, ratio, 0, 0);
  q.clearRect(0, 0, width, height);
  const color = colorOf(racer, theme);
  const lane = (height - HEAD) / 2;
  const left = 14; // the axes' names
  const each = (width - left) / columns.length;
  const present = stages[index];
  q.textBaseline = "middle";
  q.font = `italic ${theme.size}px ${theme.family}`;
  q.fillStyle = theme.mute;
  q.textAlign = "left";
  AXES.forEach((axis, a) => q.fillText(axis, 0, HEAD + lane * (a + 0.5)));

  columns.forEach((column, c) => {
    const x = left + c * each;
    const mine = stages.map((stage, k) => ({ ...stage, k })).filter((stage) => stage.column === column.key);
    const done = mine.filter(({ k }) => k <= index);
    const newest = done[done.length - 1];
    const lit = present.column === column.key;
    if (lit) {
      q.globalAlpha = theme.dark ? 0.16 : 0.09;
      q.fillStyle = color;
      q.beginPath();
      q.roundRect(x + 1, 0, each - 2, height, 5);
      q.fill();
      q.globalAlpha = 1;
    }
    q.font = `600 ${theme.size}px ${theme.family}`;
    q.textAlign = "center";
    q.fillStyle = lit ? theme.ink : theme.mute;
    const label = [...done].reverse().find((stage) => stage.label)?.label ?? column.label;
    q.fillText(label, x + each / 2, HEAD / 2, each - 4);
    const resting = mine[0]?.from; // before its first stage
    if (!newest && !resting) return;
    const stage = newest ?? { from: resting, to: resting };
    const moving = newest && newest.k === index ? part : 1;
    q.globalAlpha = lit ? 1 : 0.6;
    if (stage.shape === "resultant" || stage.shape === "move") {
      resultant(q, { x, y: HEAD, width: each, height: 2 * lane }, stage, moving, { color, theme });
    } else {
      for (const axis of [0, 1]) {
        const all = mine.filter(({ shape }) => shape !== "resultant" && shape !== "move")
          .flatMap(({ from, to, lr = 0 }) => [from?.[axis] ?? 0, to[axis], lr]);
        const fills = Math.max(...all.map(Math.abs)) || 1;
        const ink = column.key === "g" ? theme.ink : color;
        cell(q, { x, y: HEAD + axis * lane, width: each, height: lane, axis, fills }, column, stage, moving, { lit, color, theme, ink });
      }
    }
    q.globalAlpha = 1;
  });
}

/** One quantity along one axis. */
function cell(q, { x, y, width, height, axis, fills }, column, stage, part, { lit, color, theme, ink }) {
  const from = stage.from?.[axis] ?? 0;
  const to = stage.to[axis];
  const value = from + (to - from) * part;
  q.font = `${theme.size - 1.5}px ${theme.family}`;
  q.textAlign = "center";
  q.fillStyle = theme.ink;
  q.fillText(number(value), x + width / 2, y + height - 9, width - 4);
  const floor = y + height - 22;
  if (column.square) {
    const most = Math.min(width - 16, height - 32);
    const side = (most * Math.abs(value)) / fills;
    const old = (most * Math.abs(from)) / fills;
    const start = x + (width - most) / 2;
    q.save();
    q.strokeStyle = color;
    q.lineWidth = 1.6;
    q.fillStyle = color;
    const alpha = q.globalAlpha;
    q.globalAlpha = 0.22 * alpha;
    q.fillRect(start, floor - side, side, side);
    q.globalAlpha = alpha;
    q.strokeRect(start, floor - side, side, side);
    if (lit) { // what it was
      q.setLineDash([3, 3]);
      q.lineWidth = 1.1;
      q.strokeRect(start, floor - old, old, old);
    }
    q.restore();
    return;
  }
  const middle = x + width / 2;
  const reach = width / 2 - 9;
  const px = (z) => middle + (z / fills) * reach;
  const line = y + (height - 22) / 2 + 6;
  q.strokeStyle = theme.line;
  q.lineWidth = 1;
  q.beginPath();
  q.moveTo(x + 7, line);
  q.lineTo(x + width - 7, line);
  q.moveTo(middle, line - 4);
  q.lineTo(middle, line + 4);
  q.stroke();
  const alpha = q.globalAlpha;
  if (stage.shape === "share") { // the whole of lr, to compare with
    q.setLineDash([2, 2]);
    q.strokeStyle = theme.mute;
    const side = to < 0 ? -1 : 1;
    const all = px(side * stage.lr);
    if (Math.abs(all - middle) <= reach + 1) {
      q.beginPath();
      q.moveTo(all, line - 11);
      q.lineTo(all, line + 11);
      q.stroke();
      q.fillStyle = theme.mute;
      q.fillText("lr", all, line - 19);
    }
    q.setLineDash([]);
  }
  if (lit && stage.piece) { // what was, and what comes in, tip to tail
    arrow(q, [px(0), line + 9], [px(from), line + 9], { color: ink, width: 2.4, alpha: 0.42 * alpha });
    arrow(q, [px(from), line + 9], [px(from + stage.piece[axis] * part), line + 9], { color: theme.ink, width: 1.6, alpha });
  } else if (lit && stage.from) arrow(q, [px(0), line + 9], [px(from), line + 9], { color: ink, width: 2.4, alpha: 0.3 * alpha });
  arrow(q, [px(0), line], [px(value), line], { color: ink, width: 3, alpha });
}

/** Δx and Δy tip to tail, then what they make; a dot goes along it when θ moves. */
function resultant(q, { x, y, width, height }, stage, part, { color, theme }) {
  const [dx, dy] = stage.to;
  const own = stage.shape === "resultant" ? stage.from : stage.to;
  const rest = stage.rest ?? [0, 0];
  const room = [width - 18, height - 44];
  const most = Math.max(Math.abs(dx) / room[0], Math.abs(dy) / room[1], Math.abs(own[0]) / room[0], Math.abs(own[1]) / room[1]) || 1;
  const scale = 1 / most;
  const [cx, cy] = [x + width / 2, y + height / 2 - 8];
  const from = [cx - (dx * scale) / 2, cy + (dy * scale) / 2];
  const at = ([px, py]) => [from[0] + px * scale, from[1] - py * scale];
  const alpha = q.globalAlpha;
  const share = (low, high) => Math.max(0, Math.min(1, (part - low) / (high - low)));
  const moving = stage.shape === "move";
  const [a, b, c] = moving ? [1, 1, 1] : [share(0, 0.35), share(0.35, 0.65), share(0.65, 1)];
  arrow(q, from, at([own[0] * a, 0]), { color: theme.mute, width: 1.8, alpha });
  if (b > 0) arrow(q, at([own[0], 0]), at([own[0], own[1] * b]), { color: theme.mute, width: 1.8, alpha });
  if (b >= 1 && rest.some((z) => z !== 0)) arrow(q, at(own), at([own[0] + rest[0], own[1] + rest[1]]), { color: theme.ink, width: 1.6, alpha });
  if (c > 0) arrow(q, from, at([dx * c, dy * c]), { color, width: 3.2, alpha });
  if (moving) {
    q.beginPath();
    q.arc(...at([dx * part, dy * part]), 5, 0, 2 * Math.PI);
    q.fillStyle = color;
    q.fill();
  }
  q.font = `${theme.size - 1.5}px ${theme.family}`;
  q.textAlign = "center";
  q.fillStyle = theme.ink;
  q.fillText(`${number(dx)}, ${number(dy)}`, x + width / 2, y + height - 9, width - 4);
}
