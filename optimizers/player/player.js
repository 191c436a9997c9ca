// The player: question, experiment, explanation around one clock. Knows no framework: it is given a race as numbers
// and, where a page can compute, a way to ask for another.

import { createBar } from "./bar.js";
import { createCharts } from "./charts.js";
import { createClock, SPEEDS } from "./clock.js";
import { bound, element, icon } from "./dom.js";
import { createExplanation } from "./explanation.js";
import { createFair } from "./fair.js";
import { createHeld } from "./held.js";
import { createInside } from "./inside.js";
import { createSave } from "./keep.js";
import { createKeys } from "./keys.js";
import { landmarks } from "./landmarks.js";
import { createLocks } from "./locks.js";
import { readLook, toggled } from "./look.js";
import { createMeasured } from "./measured.js";
import { createPace } from "./pace.js";
import { createPredict } from "./predict.js";
import { createQuestion } from "./question.js";
import { readRace } from "./race.js";
import { createRelief } from "./relief.js";
import { createMessenger, queryOf, questionOf } from "./request.js";
import { createCaption } from "./scenes.js";
import { createSlow } from "./slow.js";
import { createStage } from "./stage.js";
import { summarize } from "./summary.js";
import { createSweep } from "./sweep.js";
import { readTheme, reducedMotion, sameTheme } from "./theme.js";
import { createTimeline } from "./timeline.js";
import { createToolbar } from "./toolbar.js";

const REST = 250; // ms a pause or a scrub must rest before it is told to Python
const STAND = 400; // ms for which a race that starts again waits at most for its numbers
const TURNING = 3; // pictures of a relief under a hand for one of the numbers, on a slow graphics card
const MOVING = 90; // ms between two pictures of the charts and the timeline's marks while a hand moves the race
const NARROW = 720; // px of the player's own width below which stage and numbers stand one above the other
const WORKED_FOR = ["show", "panel", "sweep", "window"]; // what in a look Python must work for

/**
 * Show a race inside `parent`.
 *
 * data: {meta, tracks: Float32Array, grid: Float32Array, …}; grid (with its head meta.grid) may be left out when the player
 * already has the surface's. meta may also say how to look at it (look, see look.js); and what a page that asks adds:
 * catalog {surfaces, optimizers, schedules}, names [the learner's own], notices [sentence] and told, turn, moved (take the
 * look it says), work (what was worked out beside the race: {kind: head}, with an array of that name).
 * options: layout "page" (three columns), "wide" (stage and inside) or "compact" (a lesson's); height, as CSS takes it;
 * send(message), which makes it a page that asks: {query, turn, settled, grids, have, make, stop, opened}.
 * Returns {update(data), destroy()}.
 */
export function mount(parent, data, { layout = "wide", height = "100%", send = null } = {}) {
  // Hidden until the style sheet, which shows it, has arrived.
  const root = element(`div.adamscope.${layout}`, { style: `visibility:hidden;--height:${height}` });
  const messenger = send ? createMessenger(send) : null;
  const held = createHeld();
  const debug = (window.__adamscope ??= {}); // what tests and benchmarks read
  const counts = { updates: 0, draws: 0, shown: 0, maps: 0 }; // shown: when the newest race was first on the screen, ms

  let relief = null; // stands in the stage's place while the look says so
  let race = null;
  let question = null; // what the hand wants; ahead of the race while a request is under way
  let look = readLook(data.meta.look);
  let address = ""; // the query that says all of it
  let pace = null;
  let chosen = 0;
  let theme = readTheme(root);
  let full = false;
  let labels = [];
  let settling = 0; // timer
  let starting = 0; // timer: time stands until the race that was asked for is there
  let again = 0; // timer
  let told = null; // the notices on the screen, by meta.told: those one has dismissed do not come back
  let marked = 0; // when charts and marks were drawn, ms
  let charting = false; // the charts are to be drawn with the next picture: after what is written, so that all of it is one layout
  let eyes = null; // they wait until one has scrolled to the race
  let fresh = false; // a race has arrived and is not drawn yet

  const clock = createClock({ draw, changed });
  const slow = createSlow({ clock, seekTo, onToggle: () => race && setStage() });
  const stage = createStage({ onPlace: send ? place : null, onWindow: setWindow, refresh: clock.refresh });
  const predict = send ? createPredict({
    setLook, change, standing, resume, rest: () => clock.seek(0), run: runPrediction, skip: () => clock.seek(clock.length), refresh: clock.refresh,
    unveil: refreshPanels, fieldOf: () => held.lattice(race),
  }) : null;
  const zoom = {
    in: () => (relief ?? stage).zoom.in(),
    out: () => (relief ?? stage).zoom.out(),
    reset: () => (relief ?? stage).zoom.reset(),
  };
  const save = send ? [] : [createSave({ race: () => race, canvases: () => [...(relief ?? stage).node.querySelectorAll(".sheet canvas")] })];
  const measured = Boolean(data.meta.measured); // no rule moves on a measured ground: nothing explains a step
  const extras = [...(measured ? [] : [slow.button]), ...(predict ? [predict.button] : []), ...save];
  const toolbar = layout === "compact" ? null : createToolbar({ setLook, layer, zoom, works: Boolean(send), extras });
  const timeline = createTimeline({
    clock, onSteps: send ? setSteps : null, onBy: (by) => setLook({ by }), onJump: moments, onSettle: settle,
  });
  const explanation = createExplanation({
    panels: measured ? {
      measured: { title: "Plane", panel: createMeasured({ fieldOf: () => held.lattice(race) }) },
    } : {
      step: { title: "Step", panel: createInside({ clock }) },
      ...(layout === "compact" ? {} : { fair: { title: "Fair?", panel: createFair({ change: send ? change : null }) } }),
      ...(send ? { sweep: { title: "Sweep", panel: createSweep({ change, setLook, onCell: restart }) } } : {}),
    },
    charts: layout === "compact" || measured ? null : createCharts({ seekTo, setLook, onSettle: settle }),
    predict, onChoose: choose, setLook,
  });
  const panel = send ? createQuestion({ change, setSurface, setLook, onChoose: choose, catalog: data.meta.catalog }) : null;
  const bar = panel && layout === "page" ? createBar({
    scenes: data.meta.catalog.scenes, open,
    make: (format) => ask(true, { make: { format, dark: theme.dark } }), stop: () => ask(true, { stop: true }),
  }) : null;
  const caption = bar ? createCaption({ scenes: data.meta.catalog.scenes, onDismiss: resize }) : null;
  const locks = createLocks(root);
  const notice = element("p.notice", { role: "status" });
  const spoken = element("p.told", { "aria-live": "polite" });
  const words = element("p.words");
  root.append(
    ...(panel ? [panel.node] : []),
    element("section.experiment", { "aria-label": "The race" },
      ...(caption ? [caption.node] : []), ...(toolbar ? [toolbar.node] : []), notice, stage.node, timeline.node, words, spoken),
    explanation.node,
    ...(bar ? [bar.node] : []),
  );

  const context = () => ({ race, chosen, theme, look, work: held.work });

  function draw() {
    counts.draws += 1;
    const at = pace.at(predict?.waiting ? 0 : clock.step);
    timeline.draw();
    if (!relief?.strained || counts.draws % TURNING === 0) explanation.draw(at);
    const shown = predict?.veiled ? { ...look, show: [] } : look;
    const over = (q, view, colours) => {
      slow.draw(q, { at, view });
      predict?.over?.(q, view, colours);
    };
    labels = (relief ?? stage).draw({ at, full: full && !predict?.veiled, chosen, theme, look: shown, work: held.work, over });
    panel?.draw?.(at);
    if (charting) explanation.charts(context());
    charting = false;
    if (fresh) counts.shown = performance.now();
    fresh = false;
  }

  function changed() {
    timeline.changed();
    if (!race) return;
    if (!clock.playing || look.step !== null) settle(); // a race that runs has no step in the address
    if (!clock.playing) {
      const [step, of] = measured ? pace.reading(clock.whole) : [clock.whole, clock.length];
      const paused = `Paused at step ${step} of ${of}.`;
      spoken.textContent = clock.whole === clock.length ? words.textContent || paused : paused;
    }
  }

  function show(next) {
    const { meta } = next;
    const wait = held.take(next);
    counts.maps = held.replaced;
    clearTimeout(again);
    const opening = race === null || meta.moved; // the first race, or another link on the same page
    race = { ...readRace(meta, next.tracks), landmarks: race?.landmarks ?? [] };
    if (opening) look = readLook(meta.look);
    else look.step = meta.look?.step ?? null;
    clock.resize(race.steps);
    pace = createPace(race, look.by);
    chosen = Math.max(0, Math.min(race.racers.length - 1, opening ? (look.racer ?? favourite(race)) : chosen));
    look.off = look.off.filter((index) => index < race.racers.length);
    if (messenger) {
      messenger.startAt(meta.turn ?? 0);
      if (meta.moved) drop();
      messenger.answered(meta.turn ?? 0);
      if (starting && messenger.idle) release();
    }
    const notices = panel ? panel.hear(meta, messenger.idle) : (meta.notices ?? []);
    if (told !== meta.told || !notices.length) notice.replaceChildren(...notices.map(line));
    told = meta.told;
    theme = readTheme(root);
    address = meta.address || address;
    const known = held.lattice(race);
    stage.update(race, held.drawnFrom(race, look), look);
    relief?.update(race, known);
    setStage();
    const widened = opening && widen();
    refreshPanels();
    counts.updates += 1;
    fresh = true;
    if (messenger) {
      // While newer wishes are under way the controls stay as the hand left them, until another link is opened.
      if (messenger.idle || question === null || meta.moved) {
        question = questionOf(race);
        panel.update(context());
      }
      if (!known) ask(true); // the map was lost (a new page on an old session): ask for it once more
      else if (wait && messenger.idle) again = setTimeout(() => ask(!full), wait);
    }
    if (widened) settle(); // Python is asked for the rest of the map
    if (opening) begin();
    else if (clock.playing && look.step !== null && !predict?.kept) settle(); // it was started again before its pause was answered
    clock.refresh();
  }

  /** Flat or as a relief: the one that is looked at stands on the page, the other holds nothing of the graphics card. */
  function setStage() {
    const wanted = look.stage === "relief" && !look.predict && !slow.open; // a guess and arrows belong to the map
    if (wanted === Boolean(relief)) return;
    if (relief) {
      observer.unobserve(relief.node);
      relief.node.replaceWith(stage.node);
      relief.stop();
      relief = null;
      stage.resize();
      return;
    }
    relief = createRelief({ onTurn: (camera, final) => setLook({ camera }, final), wheel: Boolean(send), refresh: clock.refresh });
    stage.node.replaceWith(relief.node);
    relief.update(race, held.lattice(race));
    observer.observe(relief.node);
  }

  /** Everything but the stage, as the race and the look are now. */
  function refreshPanels() {
    if (!full) {
      toolbar?.update(context());
      bar?.update(context(), address);
      caption?.update(look);
      locks.apply(look);
    }
    slow.update(context());
    explanation.update(context()); // a question to predict on may be opened here, which veils the rest
    const veiled = predict?.veiled === true;
    root.classList.toggle("veiled", veiled);
    timeline.node.inert = predict?.waiting === true;
    const field = held.lattice(race);
    const now = performance.now();
    const rests = !full || now - marked > MOVING; // under a hand the stage goes before what stands around it
    if (rests) {
      marked = now;
      race.landmarks = veiled || measured ? [] : landmarks(race, chosen, { off: look.off, field });
      timeline.update(race, theme, pace, look.by);
    }
    if (!full) tell(veiled ? "" : (race.measured?.words ?? summarize(race, { off: look.off, field })));
    explanation.draw(pace.at(clock.step));
    charting ||= rests;
    clock.refresh();
  }

  /** The run in words, once nothing moves the question any more. */
  function tell(text) {
    words.textContent = bound(text);
    words.title = words.textContent; // where it does not fit
  }

  /** It is looked at in another way. */
  function setLook(changes, final = true) {
    Object.assign(look, changes);
    if ("by" in changes) pace = createPace(race, look.by);
    if ("window" in changes) stage.update(race, held.drawnFrom(race, look), look);
    setStage();
    if (Object.keys(changes).some((key) => key !== "window" && key !== "camera")) {
      refreshPanels();
      panel?.update(context());
    } else if ("window" in changes) toolbar?.update(context());
    if (final && messenger && WORKED_FOR.some((key) => key in changes)) ask(true);
    else if (final) settle();
    clock.refresh();
  }

  /** Something more is drawn on the map, or no longer; a relief gives way to it. */
  function layer(name) {
    setLook({ show: relief && look.show.includes(name) ? look.show : toggled(look.show, name), stage: "flat" });
  }

  /** A link's window may come from a stage of another shape: all that this one shows of the plane is looked at. */
  function widen() {
    if (!look.window || !messenger || relief) return false;
    const [[x0, x1, y0, y1], [a0, a1, b0, b1]] = [stage.view.bounds, look.window];
    if ((x1 - x0) * (y1 - y0) < 1.05 * (a1 - a0) * (b1 - b0)) return false;
    look.window = [x0, x1, y0, y1].map((z) => Number(z.toPrecision(7)));
    return true;
  }

  function setWindow(bounds, final) {
    setLook({ window: bounds }, final);
  }

  function line(text) {
    const close = (event) => event.currentTarget.remove();
    return element("button", { type: "button", title: "Dismiss", onclick: close }, text, icon("close"));
  }

  function standing() {
    return { step: clock.playing ? clock.step : clock.whole, playing: clock.playing, loop: clock.loop };
  }

  function resume({ step, playing, loop }) {
    clock.loop = loop;
    clock.seek(step);
    if (playing) clock.play();
  }

  /** A guess is made: the race runs once, from its start. */
  function runPrediction() {
    clock.loop = false;
    clock.step = 0;
    if (reducedMotion()) clock.seek(clock.length);
    else clock.play();
  }

  /** The first picture: a race already running, the moment a link names, or the whole of it where motion is unwelcome. */
  function begin() {
    if (SPEEDS.includes(look.speed)) clock.speed = look.speed;
    const given = look.step !== null && look.step !== undefined;
    const still = given || reducedMotion();
    const step = given ? Math.min(look.step, clock.length) : still ? clock.length : 0;
    const loop = look.loop === true;
    if (predict?.waiting) return void (predict.kept = { step, playing: !still, loop });
    clock.loop = loop;
    clock.playing = false; // another link may arrive while a race runs
    clock.step = step;
    timeline.changed();
    if (!still) whenSeen(clock.play);
  }

  /** In a lesson a race waits until one has scrolled to it. */
  function whenSeen(action) {
    if (layout === "page") return action();
    eyes?.disconnect();
    eyes = new IntersectionObserver(([sight]) => {
      if (!sight.isIntersecting) return;
      eyes.disconnect();
      action();
    }, { threshold: 0.4 });
    eyes.observe(stage.node);
    return undefined;
  }

  /** extra: what goes with this message alone: {make} an export, {stop} it. */
  function ask(settled, extra = {}) {
    clearTimeout(settling);
    settling = 0;
    // A moment at which the race rests belongs to the state, its end too; one that runs by does not.
    // What is looked at must exist in the race that is wanted: it may be shorter, or have fewer racers, than this one.
    const steps = Number(question.steps);
    const { step: at, playing, loop } = predict?.kept ?? standing(); // while one predicts, where time was before
    const step = Number.isInteger(steps) && steps > 0 ? Math.min(steps, at) : at;
    const racer = Math.min(chosen, question.racers.length - 1);
    const off = look.off.filter((index) => index < question.racers.length);
    const now = { ...look, racer, off, speed: clock.speed, step: playing ? null : step, loop };
    messenger.ask({ query: queryOf(question, now), settled, ...held.list(), ...extra });
  }

  /** Another question altogether, as a link has it. */
  function open(query) {
    drop();
    messenger.ask({ query, settled: true, opened: true, ...held.list() });
  }

  /** The way it is looked at has changed (a pause, a scrub, another racer): once it rests, the address should say so. */
  function settle() {
    if (!messenger || !question) return;
    clearTimeout(settling);
    settling = setTimeout(() => {
      settling = 0;
      if (!full) ask(true);
    }, REST);
  }

  /** Another link is opened: what is not told yet belonged to the state before. */
  function drop() {
    clearTimeout(settling);
    clearTimeout(again);
    settling = 0;
    messenger?.forget();
  }

  /** A hand changes the question; until it lets go, time waits and the paths show their full length. */
  function change(edit, final, choice = chosen) {
    const before = kind();
    edit(question);
    if (kind() !== before) look.scene = ""; // its sentence is about another race
    if (final) chosen = choice;
    hold(!final);
    ask(final);
  }

  const kind = () => JSON.stringify([question.surface.name, question.racers.map(({ name }) => name)]);

  function hold(on) {
    if (full !== on) clock.refresh();
    full = on;
    clock.held = full || starting !== 0;
  }

  /** The new race is there, or is a long time coming. */
  function release() {
    clearTimeout(starting);
    starting = 0;
    clock.held = full;
    clock.refresh();
  }

  function place(x, y, final) {
    if (predict?.placing) return predict.place(x, y, final);
    if (!locks.open("start")) return undefined;
    // A race that runs, or has run, starts again from the new place; a moment one has stopped at is kept.
    if (final && (clock.playing || clock.step >= clock.length || clock.step === 0)) restart();
    return change((wanted) => (wanted.start = [x, y]), final);
  }

  function restart() {
    clock.step = 0;
    if (!clock.playing && !reducedMotion()) clock.play();
    if (!clock.playing) return;
    clearTimeout(starting);
    starting = setTimeout(release, STAND); // the old one does not set out once more meanwhile
    clock.held = true;
  }

  function setSurface(name) {
    restart();
    look.window = null;
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
    refreshPanels();
    panel?.update(context());
    clock.refresh();
    if (messenger && (look.show.length || look.panel !== "step")) ask(true);
    else settle();
  }

  /** Go to a step of the chosen racer. */
  function seekTo(step) {
    clock.seek(pace.positionOf(chosen, Math.max(0, Math.min(race.steps, step))));
  }

  /** The moments one may go to, as a menu's items. */
  function moments() {
    return [
      { title: "The start", action: () => clock.seek(0) },
      ...race.landmarks.map(({ step, text, racer }) =>
        ({ title: text, note: `step ${step}`, action: () => clock.seek(pace.positionOf(racer, step)) })),
      { title: "The end", action: () => clock.seek(clock.length) },
    ];
  }

  /** To the next moment, or the one before. */
  function leap(direction) {
    const places = [0, ...race.landmarks.map(({ step, racer }) => Math.round(pace.positionOf(racer, step))), clock.length];
    const next = places.filter((place) => (place - clock.whole) * direction > 0).sort((a, b) => (a - b) * direction)[0];
    if (next !== undefined) clock.seek(next);
  }

  function hurry(direction) {
    const next = SPEEDS[SPEEDS.indexOf(clock.speed) + direction];
    if (next === undefined) return;
    clock.speed = next;
    timeline.changed();
    settle();
  }

  const inTime = (action) => () => !predict?.waiting && action(); // it stands until a guess is made
  const onKey = createKeys({
    play: () => (predict?.waiting ? predict.run() : clock.toggle()),
    back: inTime(() => clock.seek(clock.whole - 1)),
    forward: inTime(() => clock.seek(clock.whole + 1)),
    first: inTime(() => clock.seek(0)),
    last: inTime(() => clock.seek(clock.length)),
    previous: inTime(() => leap(-1)),
    next: inTime(() => leap(1)),
    slower: () => hurry(-1),
    faster: () => hurry(1),
    loop() {
      clock.loop = !clock.loop;
      timeline.changed();
      settle();
    },
    racer: (number) => number <= race.racers.length && choose(number - 1),
    ...(bar ? { help: bar.help } : {}),
    hide: () => setLook({ off: toggled(look.off, chosen) }),
    ...(measured ? {} : { slow: slow.toggle }),
    ...(toolbar && !measured ? {
      vectors: () => layer("vectors"),
      step: () => setLook({ panel: "step" }),
      fair: () => setLook({ panel: "fair" }),
    } : {}),
    ...(toolbar ? {
      relief: () => setLook({ stage: relief ? "flat" : "relief" }),
      zoomIn: zoom.in,
      zoomOut: zoom.out,
      zoomReset: zoom.reset,
    } : {}),
    ...(send ? {
      predict: () => setLook({ predict: look.predict ? "" : "both" }),
      basin: () => layer("basin"),
      cloud: () => layer("cloud"),
      sweep: () => setLook({ panel: "sweep" }),
    } : {}),
  }, (action) => locks.allows(action) && !bar?.modal, root);

  function resize() {
    if (!race) return;
    root.classList.toggle("narrow", root.clientWidth < NARROW);
    const now = readTheme(root);
    if (!sameTheme(now, theme)) {
      theme = now;
      refreshPanels();
      panel?.update(context());
    }
    (relief ?? stage).resize();
    timeline.resize();
    clock.refresh();
  }

  // On a page of its own the keys work wherever the focus is; among other things only inside the player.
  const onPageKey = (event) => event.composedPath()[0] === document.body && onKey(event);
  root.addEventListener("keydown", onKey);
  if (layout === "page") document.addEventListener("keydown", onPageKey);
  window.addEventListener("popstate", drop);

  stage.node.append(slow.node);
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
    get look() { return look; },
    get work() { return held.work; },
    get at() { return [...pace.at(clock.step)]; },
    get labels() { return labels; },
    get words() { return words.textContent; },
    get view() { return (relief ?? stage).view; },
    get idle() { return !messenger || (messenger.idle && !settling && !stage.zoom.moving); },
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
      eyes?.disconnect();
      clearTimeout(settling);
      clearTimeout(again);
      clearTimeout(starting);
      observer.disconnect();
      stage.stop();
      slow.stop();
      relief?.stop();
      explanation.stop();
      locks.stop();
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
