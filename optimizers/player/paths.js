// The racers' paths in the pixels of a view: where each is, how its line runs, where it leaves the map.

import { lastStep } from "./race.js";

const EDGE = 11; // px a marker keeps from the frame when its racer is off the map
const OUTSIDE = 400; // px beyond the frame at which a line is cut before it is handed to the canvas
const SUBPIXEL = 0.4; // px; shorter moves are drawn together with the next: a racer at rest costs nothing

/** A view is {width, height, bounds: [x0, x1, y0, y1]}: CSS pixels and the part of the plane they show. */
export const within = ({ width, height }, x, y) => x >= 0 && y >= 0 && x <= width && y <= height;

/** A point of the plane in the view's pixels. */
export function toPixel({ width, height, bounds: [x0, x1, y0, y1] }, x, y) {
  return [((x - x0) / (x1 - x0)) * width, height - ((y - y0) / (y1 - y0)) * height];
}

/** A pixel as a point of the plane, with no more digits than a pixel holds. */
export function toPoint({ width, height, bounds: [x0, x1, y0, y1] }, { x, y }) {
  const unit = 10 ** Math.floor(Math.log10((x1 - x0) / width));
  const round = (v) => Number((Math.round(v / unit) * unit).toPrecision(12));
  return [round(x0 + (x / width) * (x1 - x0)), round(y1 - (y / height) * (y1 - y0))];
}

/** race, view -> one track per racer: x and y of every step, the last step it has, and when it was last on the map. */
export function layOut(race, view) {
  return race.racers.map((racer, index) => {
    const x = new Float64Array(race.steps + 1);
    const y = new Float64Array(race.steps + 1);
    const inside = new Int32Array(race.steps + 1);
    for (let k = 0; k <= race.steps; k++) {
      [x[k], y[k]] = toPixel(view, racer.value("theta", k, 0), racer.value("theta", k, 1));
      inside[k] = within(view, x[k], y[k]) ? k : k ? inside[k - 1] : -1;
    }
    const last = lastStep(race, racer);
    return { racer, index, x, y, inside, last, diverges: last < race.steps };
  });
}

/** Where a racer is at a time between two steps; one that has diverged stays at its last point. */
export function position({ x, y, last }, step) {
  const k = Math.min(last, Math.floor(step));
  const share = k < last ? step - k : 0;
  return share ? [x[k] + (x[k + 1] - x[k]) * share, y[k] + (y[k + 1] - y[k]) * share] : [x[k], y[k]];
}

/** The part of segment a–b within the frame and OUTSIDE px around it: [ax, ay, bx, by], or null. */
function cut(ax, ay, bx, by, { width, height }) {
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

/** Lay a track's line from one time to another as the canvas context's current path. */
export function trace(q, track, from, to, view) {
  const { x, y, last } = track;
  const end = Math.min(to, last);
  let [px, py] = position(track, from);
  let pen = false;
  q.beginPath();
  for (let k = Math.floor(from) + 1; k <= Math.ceil(end); k++) {
    const [nx, ny] = k <= end ? [x[k], y[k]] : position(track, end);
    if (within(view, px, py) && within(view, nx, ny)) {
      if (!pen) q.moveTo(px, py);
      pen = true;
      if (k < end && Math.abs(nx - px) + Math.abs(ny - py) < SUBPIXEL) continue; // the next one starts from here
      q.lineTo(nx, ny);
    } else {
      const piece = cut(px, py, nx, ny, view);
      if (piece) {
        if (!pen || piece[0] !== px || piece[1] !== py) q.moveTo(piece[0], piece[1]);
        q.lineTo(piece[2], piece[3]);
      }
      pen = Boolean(piece) && piece[2] === nx && piece[3] === ny;
    }
    [px, py] = [nx, ny];
  }
}

/** Points along the lines drawn so far, a few px apart where they run far in a step: [x, y, x, y, …]. */
export function pointsAlong(tracks, at, view) {
  const points = [];
  for (const { x, y, last, index } of tracks) {
    const end = Math.min(last, Math.floor(at[index]));
    const stride = Math.max(1, Math.ceil(end / 60));
    for (let k = 0; k < end; k += stride) {
      const to = Math.min(end, k + stride);
      const pieces = Math.min(24, Math.ceil(Math.hypot(x[to] - x[k], y[to] - y[k]) / 9));
      for (let piece = 0; piece < pieces; piece++) {
        const [px, py] = [x[k] + ((x[to] - x[k]) * piece) / pieces, y[k] + ((y[to] - y[k]) * piece) / pieces];
        if (within(view, px, py)) points.push(px, py);
      }
    }
  }
  return points;
}

/**
 * Where a racer's marker stands: {x, y, diverged, away}. It is on the racer's point or, off the map (away), at the frame
 * where it left, with the angle at which it went.
 */
export function markerOf(track, step, view) {
  const [x, y] = position(track, step);
  const diverged = track.diverges && step >= track.last + 1;
  if (within(view, x, y)) return { x, y, diverged, away: false };
  const from = track.inside[Math.min(track.last, Math.floor(step))];
  const [ax, ay] = from >= 0 ? [track.x[from], track.y[from]] : [view.width / 2, view.height / 2];
  const [bx, by] = from >= 0 && from < track.last ? [track.x[from + 1], track.y[from + 1]] : [x, y];
  const reach = Math.max(0, Math.min(
    1,
    bx > ax ? (view.width - ax) / (bx - ax) : bx < ax ? ax / (ax - bx) : Infinity,
    by > ay ? (view.height - ay) / (by - ay) : by < ay ? ay / (ay - by) : Infinity,
  ));
  const clamp = (v, high) => Math.max(EDGE, Math.min(high - EDGE, v));
  return {
    x: clamp(ax + (bx - ax) * reach, view.width),
    y: clamp(ay + (by - ay) * reach, view.height),
    angle: Math.atan2(by - ay, bx - ax),
    diverged,
    away: true,
  };
}
