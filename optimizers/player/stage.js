// The stage: the surface as paper, the racers as ink, and the place from which they start.

import { createBasinLayer } from "./basin.js";
import { formatNumber } from "./chart.js";
import { drawCloud } from "./cloud.js";
import { element } from "./dom.js";
import { captionOf, createNames, drawMarker, drawMinimum, MARKER } from "./marks.js";
import { drawSnapshots } from "./measured.js";
import { layOut, markerOf, pointsAlong, toPixel, toPoint, trace, within } from "./paths.js";
import { createPlacing } from "./placing.js";
import { colorOf, formatSetting, heightName, letterColorOf, startCaption } from "./race.js";
import { drawMap, valueAt } from "./surface.js";
import { sameTheme } from "./theme.js";
import { drawVectors } from "./vectors.js";
import { createZoom } from "./zoom.js";

const INK = 2.5; // width of a path, px
const HALO = 6;
const GHOST = 0.3; // opacity of what is still to come, shown while a hand moves something
const RECENT = 40; // steps of a path that stand out from its cloud

/**
 * The stage as a DOM node with draw(). onPlace(x, y, final) is called while a start is being placed, by pointer or
 * by arrow keys and Enter; without it the stage only shows. onWindow(window, final) is called while one zooms or pans, with
 * the part of the plane to look at, or null for all of it. refresh() asks for a draw at the next frame.
 */
export function createStage({ onPlace, onWindow, refresh }) {
  const map = element("canvas.map", { "aria-hidden": "true" });
  const ink = element("canvas.ink", { tabindex: onPlace ? 0 : false, role: onPlace ? "application" : "img" });
  const readout = element("div.readout", { "aria-hidden": "true" });
  const basin = createBasinLayer();
  const sheet = element("div.sheet", {}, map, basin.canvas, ink, basin.key, readout);
  const node = element("div.stage", {}, sheet);

  const view = { width: 0, height: 0, ratio: 1, bounds: [0, 1, 0, 1] };
  let race = null;
  let field = null;
  let theme = null;
  let tracks = []; // the paths in px, one per racer
  let drawn = ""; // what the map canvas shows
  let drawnTheme = null;
  const names = createNames();
  let look = null;
  let laid = ""; // the view the tracks are laid out in
  let room = { width: 0, height: 0 }; // px, of the node; measured when it changes: at every race it would cost a layout
  let seen = null; // the window they were laid out for

  /**
   * The sheet fills the node and shows the surface's bounds at one scale for both axes, so that right angles stay right;
   * the longer side shows more of the map, as far as its lattice reaches.
   */
  function fit() {
    const [x0, x1, y0, y1] = look?.window ?? race.surface.bounds;
    const reach = look?.window ? [-Infinity, Infinity, -Infinity, Infinity] : (field?.bounds ?? race.surface.bounds);
    const unit = Math.min(room.width / (x1 - x0), room.height / (y1 - y0)); // px per unit
    const widen = (low, high, from, to, pixels) => {
      const half = Math.min(pixels / unit / 2, (low + high) / 2 - from, to - (low + high) / 2);
      return [(low + high) / 2 - half, (low + high) / 2 + half];
    };
    const across = widen(x0, x1, reach[0], reach[1], room.width);
    const bounds = [...across, ...widen(y0, y1, reach[2], reach[3], room.height)];
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
    const sharpness = field.coarse || zoom.moving ? 0.5 : 1; // a hand moves the map: it is drawn at every frame
    const [width, height] = [Math.round(ink.width * sharpness), Math.round(ink.height * sharpness)];
    const key = `${field.id} ${field.nx} ${width} ${height} ${theme.dark} ${view.bounds} ${look.levels} ${look.scale}`;
    if (drawn === key) return;
    if (map.width !== width || map.height !== height) Object.assign(map, { width, height });
    const by = { bounds: look.window ? view.bounds : race.surface.bounds, lowest: race.surface.lowest };
    drawMap(map, field, { bounds: view.bounds, ratio: view.ratio * sharpness }, by, theme.dark, look);
    drawn = key;
  }

  function stroke(q, racer, bold, halo = true) {
    q.setLineDash([]);
    q.lineWidth = HALO + (bold ? 1 : 0);
    q.lineCap = "round";
    q.strokeStyle = theme.dark ? "rgba(20,22,26,.55)" : "rgba(255,255,255,.62)";
    if (halo) q.stroke();
    q.setLineDash(racer.dash);
    q.lineWidth = INK + (bold ? 0.5 : 0);
    q.lineCap = racer.dash.length && racer.dash.every((length) => length >= 1) ? "butt" : "round";
    q.strokeStyle = colorOf(racer, theme);
    q.stroke();
    q.setLineDash([]);
  }

  /** The walls a racer may not pass, where the surface has any. */
  function drawBox(q) {
    if (!race.surface.box) return;
    const [x0, x1, y0, y1] = race.surface.box;
    const [left, top] = toPixel(view, x0, y1);
    const [right, bottom] = toPixel(view, x1, y0);
    q.strokeStyle = theme.mute;
    q.lineWidth = 1.2;
    q.setLineDash([2, 4]);
    q.strokeRect(left, top, right - left, bottom - top);
    q.setLineDash([]);
  }

  /** The names at their markers, and the start's; others: {x, y, r} of what else they keep clear of. */
  function drawNames(q, markers, chosen, origin, at, others) {
    const items = markers.map(({ racer, spot, index }) => ({
      key: index, text: captionOf(racer, spot), x: spot.x, y: spot.y, gap: MARKER + 7, color: letterColorOf(racer, theme), bold: true,
    }));
    items.sort((a, b) => (b.key === chosen) - (a.key === chosen));
    if (within(view, origin.x, origin.y)) {
      items.push({ key: "start", text: startCaption(race), x: origin.x, y: origin.y, gap: 8, color: theme.ink, optional: true });
    }
    const marks = [...markers.map(({ spot }) => ({ x: spot.x, y: spot.y, r: MARKER + 3 })), ...others];
    for (const [x, y] of minima()) marks.push({ x, y, r: 8 });
    const lines = pointsAlong(tracks.filter(({ index }) => !look.off.includes(index)), at, view);
    return names.draw(q, items, view, marks, lines, theme);
  }

  const minima = () => race.surface.minima.map((minimum) => toPixel(view, ...minimum));

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
    const racers = race.racers.map((racer) => racer.label).join(", ");
    const how = onPlace ? " Arrow keys move a crosshair, Enter starts the race from it." : "";
    return `Map of the ${race.surface.title} ${race.measured ? "" : "surface "}with the paths of ${racers}.${how}`;
  }

  function read(spot) {
    if (!spot || !race) readout.textContent = "";
    else {
      const [x, y] = toPoint(view, spot);
      const f = field ? `   ${heightName(race)} ≈ ${formatNumber(valueAt(field, x, y), 3)}` : "";
      readout.textContent = `${formatSetting(x)}, ${formatSetting(y)}${f}`;
    }
  }

  function place(spot, final) {
    if (race) onPlace(...toPoint(view, spot), final);
    refresh();
  }

  function begin() {
    const [x, y] = toPixel(view, ...race.start);
    return { x, y };
  }

  let placing = { hand: null, cross: null };
  const zoom = createZoom(ink, {
    view: () => view, whole: () => race.surface.bounds, zoomed: () => Boolean(look?.window), onWindow, refresh, wheel: Boolean(onPlace),
  });
  if (onPlace) placing = createPlacing(ink, { view: () => view, begin, place, hover: read, refresh });
  else ink.addEventListener("pointermove", (event) => read({ x: event.offsetX, y: event.offsetY }));
  ink.addEventListener("pointerleave", () => read(null));

  function measure() {
    room = { width: node.clientWidth, height: node.clientHeight };
  }

  /** The tracks in the pixels of the present view. */
  function lay() {
    seen = look.window;
    if (!fit()) return;
    const key = `${view.width} ${view.height} ${view.bounds}`;
    if (key === laid) return;
    tracks = layOut(race, view);
    laid = key;
  }

  return {
    node,
    view,
    zoom,
    /** Show another race; newField is the lattice of f, or null to keep the present one. */
    update(newRace, newField, newLook) {
      [race, look] = [newRace, newLook];
      if (newField) field = newField;
      laid = "";
      if (!room.width) measure();
      lay();
      ink.setAttribute("aria-label", describe());
    },
    resize() {
      names.forget();
      measure();
      if (race) lay();
    },
    /**
     * Draw a moment: at[k] is the step at which racer k stands; `full` shows the whole paths, what is to come as a ghost;
     * look.off: racers that are not shown; over(q, view, theme) draws on top. Returns the names' boxes.
     */
    draw({ at, full, chosen, theme: now, look: newLook, work = {}, over }) {
      if (!race || !view.width) return [];
      look = newLook;
      if (look.window !== seen) lay(); // one has zoomed
      if (!drawnTheme || !sameTheme(now, drawnTheme)) drawnTheme = theme = now;
      paper();
      basin.draw({ basin: look.show.includes("basin") ? work.basin : null, race, chosen, view, theme });
      const q = ink.getContext("2d");
      q.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
      q.clearRect(0, 0, view.width, view.height);
      q.lineJoin = "round";
      drawBox(q);
      for (const [x, y] of minima()) drawMinimum(q, { x, y }, theme);
      const cloud = look.show.includes("cloud") && !look.off.includes(chosen) ? work.cloud : null;
      if (cloud?.values && cloud.racer.split("(")[0] === race.racers[chosen].name) {
        drawCloud(q, cloud, full ? race.steps : at[chosen], view, colorOf(race.racers[chosen], theme), theme.dark);
      }
      const order = tracks.map((_, k) => k).filter((k) => k !== chosen && !look.off.includes(k));
      if (chosen < tracks.length && !look.off.includes(chosen)) order.push(chosen);
      for (const k of order) {
        if (full) {
          q.globalAlpha = GHOST;
          trace(q, tracks[k], at[k], race.steps, view);
          stroke(q, tracks[k].racer, false, false);
          q.globalAlpha = 1;
        }
        const old = cloud ? Math.max(0, at[k] - RECENT) : 0; // within a cloud only the newest of a path stands out
        if (old) {
          q.globalAlpha = GHOST;
          trace(q, tracks[k], 0, old, view);
          stroke(q, tracks[k].racer, false, false);
          q.globalAlpha = 1;
        }
        trace(q, tracks[k], old, at[k], view);
        stroke(q, tracks[k].racer, k === chosen);
        if (race.measured) drawSnapshots(q, tracks[k], at[k], colorOf(tracks[k].racer, theme));
      }
      const origin = placing.hand ?? begin();
      q.beginPath();
      q.arc(origin.x, origin.y, placing.hand ? 5 : 3.2, 0, 2 * Math.PI);
      q.fillStyle = theme.ink;
      q.fill();
      const markers = order.map((k) => ({ racer: tracks[k].racer, index: k, spot: markerOf(tracks[k], at[k], view) }));
      for (const { racer, index, spot } of markers) {
        drawMarker(q, spot, { color: colorOf(racer, theme), hollow: racer.hollow, bold: index === chosen }, theme);
      }
      const arrows = look.show.includes("vectors")
        ? drawVectors(q, { race, racer: race.racers[chosen], at: at[chosen], view, theme }) : [];
      const labels = drawNames(q, markers, chosen, origin, at, arrows);
      if (placing.cross) drawCross(q, placing.cross);
      over?.(q, view, theme);
      return labels;
    },
    stop: () => zoom.stop(),
  };
}
