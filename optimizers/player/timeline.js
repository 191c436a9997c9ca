// Time as something one can hold: play, pause, one step on and back, scrub, speed, landmarks.

import { element, hide, icon, mark, put, write } from "./dom.js";
import { SPEEDS } from "./clock.js";
import { openMenu } from "./menu.js";
import { colorOf } from "./race.js";

const BY = [
  ["step", "step", "the same number of steps"],
  ["gradients", "gradients", "the same number of gradients: each racer here takes one a step"],
  ["length", "path length", "the same length of path behind them"],
];
const GAP = 10; // px kept between two landmarks' words; one that finds no room shows only its tick

/**
 * The row under the stage. onSteps(n) is called when another length is asked for; without it the length is fixed.
 * onBy(by) asks for another thing the racers should have in common; onJump() for the list of moments to go to, as a menu's
 * items. update(race, theme, pace, by): pace turns a racer's step into the clock's.
 */
export function createTimeline({ clock, onSteps, onBy, onJump, onSettle }) {
  const button = (name, title, action, extra = "") =>
    element(`button.round${extra}`, { type: "button", title, "aria-label": title, onclick: action }, icon(name));
  const toggle = button("play", "Play (space)", () => clock.toggle(), ".play");
  const loop = button("loop", "Play again at the end", () => {
    clock.loop = !clock.loop;
    loop.setAttribute("aria-pressed", clock.loop);
    onSettle();
  });
  const jump = button("flag", "Go to a moment ([ and ])", () => openMenu(jump, onJump(), "Go to a moment"));
  jump.setAttribute("aria-haspopup", "menu");
  const buttons = element("div.buttons", { "data-part": "timeline" },
    button("first", "Back to the start (Home)", () => clock.seek(0)),
    button("back", "One step back (←)", () => clock.seek(clock.whole - 1)),
    toggle,
    button("forward", "One step on (→)", () => clock.seek(clock.whole + 1)), jump);

  const range = element("input.scrub", { type: "range", min: 0, max: 1, step: 1, value: 0, "aria-label": "Step" });
  range.addEventListener("input", () => clock.seek(Number(range.value)));
  range.addEventListener("change", onSettle);
  const marks = element("div.marks");
  const track = element("div.track", { "data-part": "timeline" }, marks, range);

  const now = element("b");
  const length = onSteps
    ? element("input.steps", {
        type: "text", inputmode: "numeric", "aria-label": "Length of the race in steps", title: "Length of the race",
      })
    : element("span");
  if (onSteps) {
    length.addEventListener("change", () => {
      if (length.value.trim()) onSteps(length.value);
      else length.value = clock.length;
    });
    length.addEventListener("keydown", (event) => event.key === "Enter" && length.blur());
  }
  const speed = element("select.speed", { "aria-label": "Speed", title: "Speed" },
    ...SPEEDS.map((x) => element("option", { value: x }, `${String(x).replace("0.", ".")}×`)));
  speed.addEventListener("change", () => {
    clock.speed = Number(speed.value);
    onSettle();
  });
  const common = element("select.by", { "aria-label": "What all racers have in common at a moment", title: "At each moment all racers have the same …" },
    ...BY.map(([value, word, title]) => element("option", { value, title }, word)));
  common.addEventListener("change", () => onBy(common.value));
  const total = element("span");
  const place = element("div.place", { "data-part": "timeline" }, common, element("span", {}, now, " / "), total,
    element("span", { "data-part": "steps" }, length), speed, loop);
  const node = element("div.timeline", {}, buttons, track, place);

  let landmarks = [];
  let shown = "";
  let pace = null;
  let wide = 0; // px of the track, and of the words beside it: measured when they are new, for each time costs a layout
  const widths = new Map();

  function placeMarks() {
    const width = wide - 15; // the thumb's centre runs from 7.5 px in to 7.5 px before the end
    if (width <= 0) return;
    const key = JSON.stringify([landmarks, width, clock.length]);
    if (key === shown) return;
    shown = key;
    marks.replaceChildren(...landmarks.map(({ at, step, text, note, color }) =>
      element("button.mark", {
        type: "button",
        style: `left:${7.5 + (at / clock.length) * width}px;--tick:${color}`,
        title: `${text}: step ${step}${note ? `\n${note}` : ""}`,
        "aria-label": `Go to step ${step}: ${text}`,
        onclick: () => clock.seek(at),
      }, element("span", {}, text))));
    // Words near an end are pushed inside the track; of two that would touch, the first keeps its words.
    let taken = -Infinity;
    for (const mark of marks.children) {
      const word = mark.firstChild;
      const half = widthOf(word) / 2;
      const x = parseFloat(mark.style.left);
      const middle = Math.max(half, Math.min(wide - half, x));
      word.style.transform = `translateX(${middle - x}px)`;
      const room = middle - half >= taken + GAP;
      mark.classList.toggle("bare", !room);
      if (room) taken = middle + half;
    }
  }

  new ResizeObserver(() => {
    wide = range.clientWidth;
    placeMarks();
  }).observe(range);

  function widthOf(word) {
    const text = word.textContent;
    if (widths.size > 500) widths.clear();
    if (!widths.has(text)) widths.set(text, word.offsetWidth);
    return widths.get(text);
  }

  return {
    node,
    /** The fonts may have come, or another size of type. */
    resize() {
      widths.clear();
      shown = "";
      placeMarks();
    },
    update(race, theme, newPace, by) {
      pace = newPace;
      put(common, by);
      hide(common, Boolean(race.measured)); // a snapshot is of one step of training, the same for all
      const color = ({ racer }) => (race.racers[racer] ? colorOf(race.racers[racer], theme) : theme.mute);
      landmarks = race.landmarks.filter(({ quiet }) => !quiet).map((mark) => ({ ...mark, at: pace.positionOf(mark.racer, mark.step), color: color(mark) }));
      mark(range, "max", clock.length);
      if (onSteps) {
        if (length.getRootNode().activeElement !== length) put(length, clock.length);
      } else write(length, String(clock.length));
      placeMarks();
    },
    draw() {
      const step = clock.whole;
      put(range, step);
      range.style.setProperty("--filled", clock.length ? clock.step / clock.length : 0);
      const [reading, of] = pace.reading(clock.step);
      range.setAttribute("aria-valuetext", `step ${common.hidden ? reading : step} of ${common.hidden ? of : clock.length}`);
      write(now, reading);
      write(total, of ?? "");
      hide(length, of !== null); // a path's length is no number of steps
    },
    changed() {
      const name = clock.playing ? "pause" : clock.step >= clock.length ? "again" : "play";
      const title = clock.playing ? "Pause (space)" : name === "again" ? "Play again (space)" : "Play (space)";
      toggle.replaceChildren(icon(name));
      toggle.title = title;
      toggle.setAttribute("aria-label", title);
      put(speed, clock.speed);
      loop.setAttribute("aria-pressed", clock.loop);
    },
  };
}
