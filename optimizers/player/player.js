// The player: question, experiment, explanation around one clock. Knows no framework: it is given a race as numbers
// and, where a page can compute, a way to ask for another.

import { createClock, SPEEDS } from "./clock.js";
import { element, icon } from "./dom.js";
import { createInside } from "./inside.js";
import { createQuestion } from "./question.js";
import { readRace } from "./race.js";
import { createMessenger, queryOf, questionOf } from "./request.js";
import { createStage } from "./stage.js";
import { readTheme, reducedMotion, sameTheme } from "./theme.js";
import { createTimeline } from "./timeline.js";

const MOST_GRIDS = 4;
const REST = 250; // ms a pause or a scrub must rest before it is told to Python
const NARROW = 720; // px of the player's own width below which stage and numbers stand one above the other

/**
 * Show a race inside `parent`.
 *
 * data: {meta, tracks: Float32Array, grid: Float32Array}; grid (with its head meta.grid) may be left out when the player
 * already has the surface's. meta may also say how to look at it: step (paused there), racer, speed, loop; and what a page
 * that asks adds: catalog {surfaces, optimizers}, notices [sentence] and told, turn, moved (go to the step it says).
 * options: layout "page" (three columns), "wide" (stage and inside) or "compact" (a lesson's); height, as CSS takes it;
 * send(message), which makes it a page that asks: {query, turn, settled, grids}.
 * Returns {update(data), destroy()}.
 */
export function mount(parent, data, { layout = "wide", height = "100%", send = null } = {}) {
  // Hidden until the style sheet, which shows it, has arrived.
  const root = element(`div.adamscope.${layout}`, { style: `visibility:hidden;--height:${height}` });
  const messenger = send ? createMessenger(send) : null;
  const grids = new Map(); // id -> {values, nx, ny, bounds}: the last few surfaces looked at
  const debug = (window.__adamscope ??= {}); // what tests and benchmarks read
  const counts = { updates: 0, draws: 0, shown: 0 }; // shown: when the newest race was first on the screen, ms

  let race = null;
  let question = null; // what the hand wants; ahead of the race while a request is under way
  let chosen = 0;
  let theme = readTheme(root);
  let full = false;
  let labels = [];
  let settling = 0; // timer
  let told = null; // the notices on the screen, by meta.told: those one has dismissed do not come back
  let fresh = false; // a race has arrived and is not drawn yet

  const clock = createClock({ draw, changed });
  const stage = createStage({ onPlace: send ? place : null, refresh: clock.refresh });
  const timeline = createTimeline({ clock, onSteps: send ? setSteps : null, onSettle: settle });
  const inside = createInside({ clock, onChoose: choose, onSettle: settle, charts: layout !== "compact" });
  const panel = send ? createQuestion({ change, setSurface, onChoose: choose, catalog: data.meta.catalog }) : null;
  const notice = element("p.notice", { role: "status" });
  const spoken = element("p.told", { "aria-live": "polite" });
  root.append(
    ...(panel ? [panel.node] : []),
    element("section.experiment", { "aria-label": "The race" }, notice, stage.node, timeline.node, spoken),
    inside.node,
  );

  function draw() {
    counts.draws += 1;
    timeline.draw();
    inside.draw();
    labels = stage.draw({ step: clock.step, full, chosen, theme });
    if (fresh) counts.shown = performance.now();
    fresh = false;
  }

  function changed() {
    timeline.changed();
    if (!race) return;
    if (!clock.playing || race.step !== null) settle(); // a race that runs has no step in the address
    if (!clock.playing) {
      spoken.textContent = `Paused at step ${clock.whole} of ${clock.length}.`;
    }
  }

  function show(next) {
    const { meta } = next;
    if (next.grid?.length) {
      grids.delete(meta.grid.id);
      grids.set(meta.grid.id, { ...meta.grid, values: next.grid }); // coarse while a hand turns the surface
      if (grids.size > MOST_GRIDS) grids.delete(grids.keys().next().value);
    }
    const opening = race === null || meta.moved; // the first race, or another link on the same page
    race = readRace(meta, next.tracks);
    clock.resize(race.steps);
    chosen = Math.max(0, Math.min(race.racers.length - 1, opening ? (meta.racer ?? favourite(race)) : chosen));
    const notices = meta.notices ?? [];
    if (told !== meta.told || !notices.length) notice.replaceChildren(...notices.map(line));
    told = meta.told;
    theme = readTheme(root);
    const known = grids.get(meta.surface.grid) ?? null;
    stage.update(race, known);
    timeline.update(race, theme);
    inside.update(race, chosen, theme);
    counts.updates += 1;
    fresh = true;
    if (messenger) {
      messenger.startAt(meta.turn ?? 0);
      if (meta.moved) drop();
      messenger.answered(meta.turn ?? 0);
      // While newer wishes are under way the controls stay as the hand left them, until another link is opened.
      if (messenger.idle || question === null || meta.moved) {
        question = questionOf(race);
        panel.update(race, chosen, theme);
      }
      if (!known) ask(true); // the map was lost (a new page on an old session): ask for it once more
    }
    if (opening) begin(meta);
    else if (clock.playing && race.step !== null) settle(); // it was started again before its pause was answered
    clock.refresh();
  }

  function line(text) {
    const close = (event) => event.currentTarget.remove();
    return element("button", { type: "button", title: "Dismiss", onclick: close }, text, icon("close"));
  }

  /** The first picture: a race already running, the moment a link names, or the whole of it where motion is unwelcome. */
  function begin(meta) {
    if (SPEEDS.includes(meta.speed)) clock.speed = meta.speed;
    clock.loop = meta.loop === true;
    const given = meta.step !== null && meta.step !== undefined;
    const still = given || reducedMotion();
    clock.playing = false; // another link may arrive while a race runs
    clock.step = given ? Math.min(meta.step, clock.length) : still ? clock.length : 0;
    timeline.changed();
    if (!still) whenSeen(clock.play);
  }

  /** In a lesson a race waits until one has scrolled to it. */
  function whenSeen(action) {
    if (layout === "page") return action();
    const eyes = new IntersectionObserver(([sight]) => {
      if (!sight.isIntersecting) return;
      eyes.disconnect();
      action();
    }, { threshold: 0.4 });
    eyes.observe(stage.node);
    return undefined;
  }

  function ask(settled) {
    clearTimeout(settling);
    settling = 0;
    // A moment at which the race rests belongs to the state, its end too; one that runs by does not.
    // What is looked at must exist in the race that is wanted: it may be shorter, or have fewer racers, than this one.
    const steps = Number(question.steps);
    const step = Number.isInteger(steps) && steps > 0 ? Math.min(steps, clock.whole) : clock.whole;
    const racer = Math.min(chosen, question.racers.length - 1);
    const look = { racer, speed: clock.speed, step: clock.playing ? "" : step, loop: Number(clock.loop) };
    const whole = [...grids.values()].filter((field) => !field.coarse);
    messenger.ask({ query: queryOf(question, look), settled, grids: whole.map((field) => field.id) });
  }

  /** The way it is looked at has changed (a pause, a scrub, another racer): once it rests, the address should say so. */
  function settle() {
    if (!messenger || !question) return;
    clearTimeout(settling);
    settling = setTimeout(() => {
      settling = 0;
      if (!clock.held) ask(true);
    }, REST);
  }

  /** Another link is opened: what is not told yet belonged to the state before. */
  function drop() {
    clearTimeout(settling);
    settling = 0;
    messenger?.forget();
  }

  /** A hand changes the question; until it lets go, time waits and the paths show their full length. */
  function change(edit, final, choice = chosen) {
    edit(question);
    if (final) chosen = choice;
    hold(!final);
    ask(final);
  }

  function hold(on) {
    full = clock.held = on;
    clock.refresh();
  }

  function place(x, y, final) {
    // A race that runs, or has run, starts again from the new place; a moment one has stopped at is kept.
    if (final && (clock.playing || clock.step >= clock.length || clock.step === 0)) again();
    change((wanted) => (wanted.start = [x, y]), final);
  }

  function again() {
    clock.step = 0;
    if (!clock.playing && !reducedMotion()) clock.play();
  }

  function setSurface(name) {
    again();
    change((wanted) => {
      wanted.surface = { name, hyper: [] };
      wanted.start = null; // the new surface has a good start of its own
    }, true);
  }

  function setSteps(text) {
    change((wanted) => (wanted.steps = text.trim()), true);
  }

  function choose(index) {
    chosen = index;
    inside.update(race, chosen, theme);
    panel?.update(race, chosen, theme);
    clock.refresh();
    settle();
  }

  function resize() {
    if (!race) return;
    root.classList.toggle("narrow", root.clientWidth < NARROW);
    const now = readTheme(root);
    if (!sameTheme(now, theme)) {
      theme = now;
      timeline.update(race, theme);
      inside.update(race, chosen, theme);
      panel?.update(race, chosen, theme);
    }
    stage.resize();
    timeline.resize();
    clock.refresh();
  }

  function onKey(event) {
    const target = event.composedPath()[0];
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = target.matches?.("input:not([type=range]), select, textarea");
    if (root.contains(target)) event.stopPropagation(); // the host page has shortcuts of its own on plain letters
    if (typing) return;
    const steps = target === document.body || target.matches?.(".timeline button"); // elsewhere the arrows have work of their own
    if (event.key === " " && !target.matches?.("button, a, summary, [role=menuitem]")) clock.toggle();
    else if (event.key === "," || event.key === "<" || (steps && event.key === "ArrowLeft")) clock.seek(clock.whole - 1);
    else if (event.key === "." || event.key === ">" || (steps && event.key === "ArrowRight")) clock.seek(clock.whole + 1);
    else if (event.key === "Home" && target === document.body) clock.seek(0);
    else if (event.key === "End" && target === document.body) clock.seek(clock.length);
    else return;
    event.preventDefault();
  }
  // On a page of its own the keys work wherever the focus is; among other things only inside the player.
  const onPageKey = (event) => event.composedPath()[0] === document.body && onKey(event);
  root.addEventListener("keydown", onKey);
  if (layout === "page") document.addEventListener("keydown", onPageKey);
  window.addEventListener("popstate", drop);

  parent.append(root);
  const observer = new ResizeObserver(resize);
  observer.observe(root);
  observer.observe(stage.node);
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", resize);
  document.fonts?.ready.then(resize);

  debug.mounts = (debug.mounts ?? 0) + 1;
  debug.player = {
    counts,
    get frames() { return clock.frames; },
    get step() { return clock.step; },
    get length() { return clock.length; },
    get playing() { return clock.playing; },
    get race() { return race; },
    get labels() { return labels; },
    get view() { return stage.view; },
    get idle() { return !messenger || (messenger.idle && !settling); },
    get notices() { return race?.notices ?? []; },
  };
  show(data);

  return {
    root,
    update: show,
    retheme: resize,
    destroy() {
      clock.stop();
      messenger?.stop();
      clearTimeout(settling);
      observer.disconnect();
      inside.stop();
      scheme.removeEventListener("change", resize);
      document.removeEventListener("keydown", onPageKey);
      window.removeEventListener("popstate", drop);
      root.remove();
    },
  };
}

/** Whom to look into first: the one with most to show (Adam, where it races). */
function favourite(race) {
  const most = Math.max(...race.racers.map((racer) => racer.rows.length));
  return race.racers.findIndex((racer) => racer.rows.length === most);
}
