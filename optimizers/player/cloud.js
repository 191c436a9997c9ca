// The same racer with fifty seeds: faint paths that grow in step with time.

import { toPixel } from "./paths.js";

const FAINT = { light: 0.4, dark: 0.5 };
const CELL = 12; // px; as many px of line as a cell is wide are one layer
const LAYERS = 2; // in the mean of the cells touched; with more the ink is thinned, so that the racers' own paths stand out
const THINNEST = 0.35;
const APART = 1.2; // px; shorter moves are drawn together with the next
const laid = new WeakMap(); // the numbers of a cloud -> their pixels in a view

/** How much of its ink a cloud is drawn with: the less, the more its lines cover one another. */
function thinned(points, count, { width, height }) {
  const across = Math.ceil(width / CELL);
  const touched = new Uint8Array(across * Math.ceil(height / CELL));
  let ink = 0;
  let cells = 0;
  for (let k = 2; k < points.length; k += 2) {
    const [x, y] = [points[k], points[k + 1]];
    if (k % (2 * count) === 0 || !(x >= 0 && y >= 0 && x < width && y < height)) continue;
    const cell = Math.floor(y / CELL) * across + Math.floor(x / CELL);
    if (!touched[cell]) cells += 1;
    touched[cell] = 1;
    ink += Math.min(width, Math.abs(x - points[k - 2]) + Math.abs(y - points[k - 1]));
  }
  return Math.max(THINNEST, Math.min(1, (LAYERS * cells * CELL) / (ink || 1)));
}

/** {points, thin}: the points of all paths in the view's pixels, [x, y, x, y, …], path after path. */
function layOut(cloud, view) {
  const key = `${view.width} ${view.height} ${view.bounds}`;
  let found = laid.get(cloud.values);
  if (found?.key !== key) {
    const points = new Float32Array(cloud.values.length);
    for (let k = 0; k < points.length; k += 2) [points[k], points[k + 1]] = toPixel(view, cloud.values[k], cloud.values[k + 1]);
    found = { key, points, thin: thinned(points, cloud.at.length, view) };
    laid.set(cloud.values, found);
  }
  return found;
}

/** Draw work.cloud up to the fractional step `at`, with a dot at the end of each path. */
export function drawCloud(q, cloud, at, view, color, dark) {
  const { points, thin } = layOut(cloud, view);
  const count = cloud.at.length;
  let whole = 0; // points that lie behind
  while (whole < count && cloud.at[whole] <= at) whole += 1;
  const share = whole && whole < count ? (at - cloud.at[whole - 1]) / (cloud.at[whole] - cloud.at[whole - 1]) : 0;
  q.save();
  q.setLineDash([]);
  q.lineWidth = 1;
  q.lineJoin = "bevel";
  q.strokeStyle = q.fillStyle = color;
  q.globalAlpha = thin * (dark ? FAINT.dark : FAINT.light);
  const ends = [];
  q.beginPath();
  for (let path = 0; path < cloud.paths; path++) {
    const first = 2 * path * count;
    let [px, py] = [points[first], points[first + 1]];
    q.moveTo(px, py);
    let [x, y] = [px, py];
    for (let k = 1; k < whole; k++) {
      const [nx, ny] = [points[first + 2 * k], points[first + 2 * k + 1]];
      if (!(Math.abs(nx) < 1e5 && Math.abs(ny) < 1e5)) break; // it has diverged, or is far off the map
      [x, y] = [nx, ny];
      if (Math.abs(x - px) + Math.abs(y - py) < APART && k < whole - 1) continue;
      q.lineTo(x, y);
      [px, py] = [x, y];
    }
    if (share) {
      const [nx, ny] = [points[first + 2 * whole], points[first + 2 * whole + 1]];
      if (Math.abs(nx) < 1e5 && Math.abs(ny) < 1e5) {
        [x, y] = [x + (nx - x) * share, y + (ny - y) * share];
        q.lineTo(x, y);
      }
    }
    ends.push(x, y);
  }
  q.stroke();
  q.globalAlpha = 0.75;
  q.beginPath();
  for (let k = 0; k < ends.length; k += 2) {
    q.moveTo(ends[k] + 1.6, ends[k + 1]);
    q.arc(ends[k], ends[k + 1], 1.6, 0, 2 * Math.PI);
  }
  q.fill();
  q.restore();
}
