// The stage: the surface as paper, the racers as ink, and the place from which they start.

import { element } from "./dom.js";
import { formatNumber } from "./chart.js";
import { placeLabels } from "./labels.js";
import { colorOf, formatSetting, lastStep } from "./race.js";
import { sameTheme } from "./theme.js";
import { drawMap, valueAt } from "./surface.js";

const INK = 2.5; // width of a path, px
const HALO = 6;
const MARKER = 5.5; // radius
const EDGE = 11; // px a marker keeps from the frame when its racer is off the map
const GHOST = 0.3; // opacity of what is still to come, shown while a hand moves something
const SUBPIXEL = 0.4; // px; shorter moves are drawn together with the next: a racer at rest costs nothing
const OUTSIDE = 400; // px beyond the frame at which a path is cut before it is handed to the canvas

/** The part of segment a–b within the frame and OUTSIDE px around it: [ax, ay, bx, by], or null. */
function cut(ax, ay, bx, by, width, height) {
  let from = 0;
  let to = 1;
  const dx = bx - ax;
  const dy = by - ay;
  for (const [p, q] of [[-dx, ax + OUTSIDE], [dx, width + OUTSIDE - ax], [-dy, ay + OUTSIDE], [dy, height + OUTSIDE - ay]]) {
    if (p === 0) {
      if (q < 0) return null;
    } else if (p < 0) from = Math.max(from, q / p);
    else to = Math.min(to, q / p);
  }
  return from < to ? [ax + from * dx, ay + from * dy, ax + to * dx, ay + to * dy] : null;
}

/**
 * The stage as a DOM node with draw(). onPlace(x, y, final) is called while a start is being placed, by pointer or
 * by arrow keys and Enter; without it the stage only shows. refresh() asks for a draw at the next frame.
 */
export function createStage({ onPlace, refresh }) {
  const map = element("canvas.map", { "aria-hidden": "true" });
  const ink = element("canvas.ink", { tabindex: onPlace ? 0 : false, role: onPlace ? "application" : "img" });
  const readout = element("div.readout", { "aria-hidden": "true" });
  const sheet = element("div.sheet", {}, map, ink, readout);
  const node = element("div.stage", {}, sheet);

  const view = { width: 0, height: 0, ratio: 1, bounds: [0, 1, 0, 1] };
  let race = null;
  let field = null;
  let theme = null;
  let tracks = []; // per racer: x, y in px and the last step at which it was on the map
  let drawn = ""; // what the map canvas shows
  let drawnTheme = null;
  let hand = null; // {x, y} in px while the pointer places a start
  let cross = null; // {x, y} in px: the keyboard's crosshair
  const widths = new Map(); // "font|text" -> px
  let offsets = new Map(); // label key -> its offset at the last draw

  const toPx = (x) => ((x - view.bounds[0]) / (view.bounds[1] - view.bounds[0])) * view.width;
  const toPy = (y) => view.height - ((y - view.bounds[2]) / (view.bounds[3] - view.bounds[2])) * view.height;
  const within = (x, y) => x >= 0 && y >= 0 && x <= view.width && y <= view.height;

  function toPoint({ x, y }) {
    const [x0, x1, y0, y1] = view.bounds;
    const unit = 10 ** Math.floor(Math.log10((x1 - x0) / view.width)); // no more digits than the pixel holds
    const round = (v) => Number((Math.round(v / unit) * unit).toPrecision(12));
    return [round(x0 + (x / view.width) * (x1 - x0)), round(y1 - (y / view.height) * (y1 - y0))];
  }

  /**
   * The sheet fills the node and shows the surface's bounds at one scale for both axes, so that right angles stay right;
   * the longer side shows more of the map, as far as its lattice reaches.
   */
  function fit() {
    const [x0, x1, y0, y1] = race.surface.bounds;
    const reach = field?.bounds ?? race.surface.bounds;
    const unit = Math.min(node.clientWidth / (x1 - x0), node.clientHeight / (y1 - y0)); // px per unit
    const widen = (low, high, from, to, pixels) => {
      const half = Math.min(pixels / unit / 2, (low + high) / 2 - from, to - (low + high) / 2);
      return [(low + high) / 2 - half, (low + high) / 2 + half];
    };
    const bounds = [...widen(x0, x1, reach[0], reach[1], node.clientWidth), ...widen(y0, y1, reach[2], reach[3], node.clientHeight)];
    const width = Math.floor(unit * (bounds[1] - bounds[0]));
    const height = Math.floor(unit * (bounds[3] - bounds[2]));
    const ratio = window.devicePixelRatio || 1;
    if (!(width > 0 && height > 0)) return false;
    Object.assign(view, { width, height, ratio, bounds });
    sheet.style.width = `${width}px`;
    sheet.style.height = `${height}px`;
    if (ink.width !== Math.round(width * ratio) || ink.height !== Math.round(height * ratio)) {
      ink.width = Math.round(width * ratio);
      ink.height = Math.round(height * ratio);
    }
    return true;
  }

  function paper() {
    if (!field) return;
    const sharpness = field.coarse ? 0.5 : 1;
    const [width, height] = [Math.round(ink.width * sharpness), Math.round(ink.height * sharpness)];
    const key = `${race.surface.grid} ${width} ${height} ${theme.dark}`;
    if (drawn === key) return;
    if (map.width !== width || map.height !== height) Object.assign(map, { width, height });
    drawMap(map, field, { bounds: view.bounds, ratio: view.ratio * sharpness }, race.surface, theme.dark);
    drawn = key;
  }

  function measure() {
    tracks = race.racers.map((racer) => {
      const x = new Float64Array(race.steps + 1);
      const y = new Float64Array(race.steps + 1);
      const inside = new Int32Array(race.steps + 1);
      for (let k = 0; k <= race.steps; k++) {
        x[k] = toPx(racer.value("theta", k, 0));
        y[k] = toPy(racer.value("theta", k, 1));
        inside[k] = within(x[k], y[k]) ? k : k ? inside[k - 1] : -1;
      }
      return { racer, x, y, inside, last: lastStep(race, racer) };
    });
  }

  /** Where a racer is at a time between two steps, in px. */
  function position({ x, y, last }, step) {
    const k = Math.min(last, Math.floor(step));
    const share = k < last ? step - k : 0;
    return share ? [x[k] + (x[k + 1] - x[k]) * share, y[k] + (y[k + 1] - y[k]) * share] : [x[k], y[k]];
  }

  function trace(q, track, from, to) {
    const { x, y, last } = track;
    const end = Math.min(to, last);
    let [px, py] = position(track, from);
    let pen = false;
    q.beginPath();
    for (let k = Math.floor(from) + 1; k <= Math.ceil(end); k++) {
      const [nx, ny] = k <= end ? [x[k], y[k]] : position(track, end);
      if (within(px, py) && within(nx, ny)) {
        if (!pen) q.moveTo(px, py);
        pen = true;
        if (k < end && Math.abs(nx - px) + Math.abs(ny - py) < SUBPIXEL) continue; // not seen; the next one starts from here
        q.lineTo(nx, ny);
      } else {
        const piece = cut(px, py, nx, ny, view.width, view.height);
        if (piece) {
          if (!pen || piece[0] !== px || piece[1] !== py) q.moveTo(piece[0], piece[1]);
          q.lineTo(piece[2], piece[3]);
        }
        pen = Boolean(piece) && piece[2] === nx && piece[3] === ny;
      }
      [px, py] = [nx, ny];
    }
  }

  function stroke(q, racer, bold) {
    q.setLineDash([]);
    q.lineWidth = HALO + (bold ? 1 : 0);
    q.lineCap = "round";
    q.strokeStyle = theme.dark ? "rgba(20,22,26,.55)" : "rgba(255,255,255,.62)";
    q.stroke();
    q.setLineDash(racer.dash);
    q.lineWidth = INK + (bold ? 0.5 : 0);
    q.lineCap = racer.dash.length && racer.dash.every((length) => length >= 1) ? "butt" : "round";
    q.strokeStyle = colorOf(racer, theme);
    q.stroke();
    q.setLineDash([]);
  }

  /** Where the racer's marker stands: on its point or, off the map, at the frame where it left. */
  function marker(track, step) {
    const [x, y] = position(track, step);
    const diverged = track.last < race.steps && step >= track.last + 1;
    if (within(x, y)) return { x, y, diverged, away: false };
    const clamp = (v, high) => Math.max(EDGE, Math.min(high - EDGE, v));
    const from = track.inside[Math.min(track.last, Math.floor(step))];
    let [ax, ay] = from >= 0 ? [track.x[from], track.y[from]] : [view.width / 2, view.height / 2];
    const [bx, by] = from >= 0 && from < track.last ? [track.x[from + 1], track.y[from + 1]] : [x, y];
    const share = Math.min(
      bx > ax ? (view.width - ax) / (bx - ax) : bx < ax ? ax / (ax - bx) : Infinity,
      by > ay ? (view.height - ay) / (by - ay) : by < ay ? ay / (ay - by) : Infinity,
    );
    const reach = Math.min(1, Math.max(0, share));
    return {
      x: clamp(ax + (bx - ax) * reach, view.width),
      y: clamp(ay + (by - ay) * reach, view.height),
      angle: Math.atan2(by - ay, bx - ax),
      diverged,
      away: true,
    };
  }

  function drawMarker(q, racer, { x, y, away, angle, diverged }, bold) {
    const color = colorOf(racer, theme);
    const r = MARKER + (bold ? 1 : 0);
    q.beginPath();
    if (away && !diverged) {
      q.moveTo(x + Math.cos(angle) * (r + 2), y + Math.sin(angle) * (r + 2));
      for (const turn of [2.45, -2.45]) q.lineTo(x + Math.cos(angle + turn) * (r + 1), y + Math.sin(angle + turn) * (r + 1));
      q.closePath();
    } else if (diverged) {
      for (const s of [1, -1]) {
        q.moveTo(x - r, y - s * r);
        q.lineTo(x + r, y + s * r);
      }
    } else q.arc(x, y, r, 0, 2 * Math.PI);
    q.lineJoin = "round";
    q.lineCap = "round";
    q.lineWidth = 5.5;
    q.strokeStyle = theme.dark ? "rgba(20,22,26,.8)" : "rgba(255,255,255,.9)";
    q.stroke();
    q.lineWidth = 2.5;
    q.strokeStyle = color;
    if (!diverged) {
      q.fillStyle = racer.hollow ? theme.paper : color;
      q.fill();
    }
    q.stroke();
  }

  function drawMinima(q) {
    q.strokeStyle = theme.ink;
    q.lineWidth = 1.3;
    q.lineCap = "butt";
    for (const [mx, my] of race.surface.minima) {
      const [x, y] = [toPx(mx), toPy(my)];
      q.beginPath();
      q.arc(x, y, 5.5, 0, 2 * Math.PI);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        q.moveTo(x + dx * 2.5, y + dy * 2.5);
        q.lineTo(x + dx * 9, y + dy * 9);
      }
      q.stroke();
    }
  }

  function caption(racer, { away, diverged }) {
    if (diverged) return `${racer.label} diverged at step ${racer.diverged}`;
    return away ? `${racer.label}, off the map` : racer.label;
  }

  /** Measuring text is what costs most in a frame, and the same few names come again and again. */
  function widthOf(q, text, font) {
    const key = `${font}|${text}`;
    if (!widths.has(key)) {
      if (widths.size > 500) widths.clear();
      q.font = font;
      widths.set(key, q.measureText(text).width);
    }
    return widths.get(key);
  }

  /** Points along the paths drawn so far, a few px apart where they run far in a step: [x, y, x, y, …]. */
  function pathPoints(step) {
    const points = [];
    for (const { x, y, last } of tracks) {
      const end = Math.min(last, Math.floor(step));
      const stride = Math.max(1, Math.ceil(end / 60));
      for (let k = 0; k < end; k += stride) {
        const to = Math.min(end, k + stride);
        const pieces = Math.min(24, Math.ceil(Math.hypot(x[to] - x[k], y[to] - y[k]) / 9));
        for (let piece = 0; piece < pieces; piece++) {
          const [px, py] = [x[k] + ((x[to] - x[k]) * piece) / pieces, y[k] + ((y[to] - y[k]) * piece) / pieces];
          if (within(px, py)) points.push(px, py);
        }
      }
    }
    return points;
  }

  function drawLabels(q, markers, chosen, origin, step) {
    const size = Math.max(12, theme.size);
    const bold = `600 ${size}px ${theme.family}`;
    const plain = `${size - 1}px ${theme.family}`;
    const item = (key, text, font, x, y, gap, rest) =>
      ({ key, text, font, x, y, gap, width: widthOf(q, text, font), height: size * 1.15, ...rest });
    const names = markers.map(({ racer, spot }, k) =>
      item(k, caption(racer, spot), bold, spot.x, spot.y, MARKER + 7, { color: colorOf(racer, theme), rank: k === chosen ? 0 : 1 }));
    const [sx, sy] = race.start;
    const text = `start  ${formatSetting(sx)}, ${formatSetting(sy)}`;
    const items = [...names].sort((a, b) => a.rank - b.rank);
    if (within(origin.x, origin.y)) items.push(item("start", text, plain, origin.x, origin.y, 8, { color: theme.ink, optional: true }));

    const marks = markers.map(({ spot }) => ({ x: spot.x, y: spot.y, r: MARKER + 3 }));
    for (const [mx, my] of race.surface.minima) marks.push({ x: toPx(mx), y: toPy(my), r: 8 });
    const placed = placeLabels(items, view, marks, pathPoints(step), offsets);
    offsets = new Map();
    q.textBaseline = "middle";
    q.textAlign = "left";
    q.lineJoin = "round";
    const halo = theme.dark ? "rgba(20,22,26,.82)" : "rgba(255,255,255,.88)";
    for (const label of items) {
      const box = placed.get(label.key);
      if (!box) continue;
      offsets.set(label.key, { x: box.x - label.x, y: box.y - label.y });
      if (box.far) { // a thin line ties a name to a marker that is not beside it
        const nx = Math.max(box.x, Math.min(label.x, box.x + box.width));
        const ny = Math.max(box.y, Math.min(label.y, box.y + box.height));
        q.beginPath();
        q.moveTo(label.x, label.y);
        q.lineTo(nx, ny);
        q.lineWidth = 1;
        q.strokeStyle = label.color;
        q.globalAlpha = 0.7;
        q.stroke();
        q.globalAlpha = 1;
      }
      q.font = label.font;
      q.lineWidth = 4;
      q.strokeStyle = halo;
      q.strokeText(label.text, box.x, box.y + box.height / 2);
      q.fillStyle = label.color;
      q.fillText(label.text, box.x, box.y + box.height / 2);
    }
    return items.filter((label) => placed.has(label.key)).map(({ key, text }) => ({ key, text, ...placed.get(key) }));
  }

  function drawCross(q, { x, y }) {
    q.strokeStyle = theme.accent;
    q.lineWidth = 1;
    q.setLineDash([4, 3]);
    q.beginPath();
    q.moveTo(x, 0);
    q.lineTo(x, view.height);
    q.moveTo(0, y);
    q.lineTo(view.width, y);
    q.stroke();
    q.setLineDash([]);
  }

  function describe() {
    const names = race.racers.map((racer) => racer.label).join(", ");
    const how = onPlace ? " Arrow keys move a crosshair, Enter starts the race from it." : "";
    return `Map of the ${race.surface.title} surface with the paths of ${names}.${how}`;
  }

  function read(spot) {
    if (!spot || !race) readout.textContent = "";
    else {
      const [x, y] = toPoint(spot);
      const f = field ? `   f ≈ ${formatNumber(valueAt(field, x, y), 3)}` : "";
      readout.textContent = `${formatSetting(x)}, ${formatSetting(y)}${f}`;
    }
  }

  if (onPlace) {
    const spotOf = (event) => {
      const box = ink.getBoundingClientRect();
      const clamp = (v, high) => Math.max(0, Math.min(high, v));
      return { x: clamp(event.clientX - box.left, view.width), y: clamp(event.clientY - box.top, view.height) };
    };
    const place = (spot, final) => {
      onPlace(...toPoint(spot), final);
      refresh();
    };
    ink.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !race) return;
      ink.setPointerCapture(event.pointerId);
      cross = null;
      hand = spotOf(event);
      place(hand, false);
    });
    ink.addEventListener("pointermove", (event) => {
      if (!race) return;
      read(spotOf(event));
      if (!hand) return;
      hand = spotOf(event);
      place(hand, false);
    });
    const release = (event) => {
      if (!hand) return;
      const spot = event.type === "pointerup" ? spotOf(event) : hand;
      hand = null;
      place(spot, true);
    };
    ink.addEventListener("pointerup", release);
    ink.addEventListener("pointercancel", release);
    ink.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (move && !event.altKey && !event.ctrlKey && !event.metaKey) {
        const stride = event.shiftKey ? 25 : 5;
        cross ??= { x: toPx(race.start[0]), y: toPy(race.start[1]) };
        cross.x = Math.max(0, Math.min(view.width, cross.x + move[0] * stride));
        cross.y = Math.max(0, Math.min(view.height, cross.y + move[1] * stride));
        read(cross);
      } else if (event.key === "Enter" && cross) {
        const spot = cross;
        cross = null;
        place(spot, true);
      } else if (event.key === "Escape" && cross) {
        cross = null;
        read(null);
      } else return;
      event.preventDefault();
      event.stopPropagation();
      refresh();
    });
    ink.addEventListener("blur", () => {
      cross = null;
      refresh();
    });
  } else {
    ink.addEventListener("pointermove", (event) => read({ x: event.offsetX, y: event.offsetY }));
  }
  ink.addEventListener("pointerleave", () => read(null));

  return {
    node,
    view,
    /** Show another race; newField is the lattice of f, or null to keep the present one. */
    update(newRace, newField) {
      race = newRace;
      if (newField) field = newField;
      if (fit()) measure();
      ink.setAttribute("aria-label", describe());
    },
    resize() {
      widths.clear(); // the fonts may have arrived meanwhile
      if (race && fit()) measure();
    },
    /** Draw the moment `step`; `full` shows the whole paths, what is to come as a ghost. Returns the names' boxes. */
    draw({ step, full, chosen, theme: now }) {
      if (!race || !view.width) return [];
      if (!drawnTheme || !sameTheme(now, drawnTheme)) drawnTheme = theme = now;
      paper();
      const q = ink.getContext("2d");
      q.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
      q.clearRect(0, 0, view.width, view.height);
      q.lineJoin = "round";
      drawMinima(q);
      const order = tracks.map((_, k) => k).filter((k) => k !== chosen).concat(chosen < tracks.length ? [chosen] : []);
      for (const k of order) {
        if (full) {
          q.globalAlpha = GHOST;
          trace(q, tracks[k], step, race.steps);
          stroke(q, tracks[k].racer, false);
          q.globalAlpha = 1;
        }
        trace(q, tracks[k], 0, step);
        stroke(q, tracks[k].racer, k === chosen);
      }
      const origin = hand ?? { x: toPx(race.start[0]), y: toPy(race.start[1]) };
      q.beginPath();
      q.arc(origin.x, origin.y, hand ? 5 : 3.2, 0, 2 * Math.PI);
      q.fillStyle = theme.ink;
      q.fill();
      const markers = tracks.map((track) => ({ racer: track.racer, spot: marker(track, step) }));
      for (const k of order) drawMarker(q, markers[k].racer, markers[k].spot, k === chosen);
      const labels = drawLabels(q, markers, chosen, origin, step);
      if (cross) drawCross(q, cross);
      return labels;
    },
  };
}
