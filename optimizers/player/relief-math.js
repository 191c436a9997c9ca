// The relief's geometry: f as heights over a plan of the map, the eye that looks at it, and what stands before what.
// World units: the plan's longer side is 1, its middle the origin, z points up.

import { formatSetting } from "./race.js";

export const HEIGHT = 0.32; // of the relief, where the plan's longer side is 1
export const PLAN = 1000; // "pixels" along the plan's longer side: paths are laid out on the plan as on a flat map
const COLUMNS = 129; // of the mesh
const ROWS = 97;
const DISTANCE = 3.4; // of the eye from the middle: far enough that parallels stay nearly so
const DEPTH = 1.6; // half the depth that is drawn, around the middle
/**
 * How a path is made of straight pieces: rest, px of the plan: shorter moves join the next, so a racer at rest costs nothing;
 * beside: how far the path may lie from the piece drawn for it; longest such piece; held: the most points left out of one.
 */
export const FINE = { rest: 3, beside: 0.0015, longest: 0.12, held: 24 };
export const ROUGH = { rest: 8, beside: 0.004, longest: 0.3, held: 48 }; // within a pixel of half the size
const MOST_PIECES = 4000; // of one path, beyond its own steps

/** Numbers of one point of a path: x, y, z, length so far, step, and whether the line goes on from here (1 or 0). */
export const RECORD = 6;

const SLOPE = 16; // times gentler than on the map where f passes through zero
const LIMITS = [-0.04, 1.12]; // heights beyond the scale's own 0 … 1: the last half percent of f is cut, not drawn as spires

/** The plan of a surface's map, as paths.js takes a view. */
export function planOf([x0, x1, y0, y1]) {
  const unit = PLAN / Math.max(x1 - x0, y1 - y0);
  return { width: (x1 - x0) * unit, height: (y1 - y0) * unit, bounds: [x0, x1, y0, y1] };
}

/** The height of f on a map's scale (surface.js), 0 at its foot and 1 at its top. */
const heightOf = ({ base, soft, bottom, bands, perBand }, f) => (Math.asinh((f - base) / soft) - bottom) / (bands * perBand);

/**
 * The scale a relief stands up by. Where f has both signs the map's own would make a cliff of its zero line, too steep for
 * the mesh: there the middle is drawn out. Contour lines stay level either way.
 */
export function reliefScale(scale) {
  if (scale.bottom === 0) return scale;
  const soft = SLOPE * scale.soft;
  const top = Math.asinh((Math.sinh(-scale.bottom) * scale.soft) / soft);
  return { base: scale.base, soft, bottom: -top, bands: 1, perBand: 2 * top };
}

/** About `most` values of f, as round as their places allow, up the scale: [{height, label}]. */
export function heightTicks(scale, most) {
  const { base, soft, bottom, bands, perBand } = scale;
  const ticks = [];
  for (let k = 0; k <= most; k++) {
    const f = base + soft * Math.sinh(bottom + (k / most) * bands * perBand);
    let round = f;
    for (let digits = 6; digits > 0; digits--) {
      const rounder = Number(f.toPrecision(digits));
      if (!(Math.abs(heightOf(scale, rounder) - k / most) < 0.25 / most)) break;
      round = rounder;
    }
    ticks.push({ height: heightOf(scale, round), label: formatSetting(round) });
  }
  return ticks;
}

/**
 * f on a mesh over the plan. field is the map's lattice.
 * Returns {columns, rows, across, deep (half the plan's sides), heights (NaN where f is undefined)}.
 */
export function meshOf({ values, nx, ny, bounds: [fx0, fx1, fy0, fy1] }, plan, scale) {
  const [x0, x1, y0, y1] = plan.bounds;
  const heights = new Float32Array(COLUMNS * ROWS);
  const held = (z) => Math.max(LIMITS[0], Math.min(LIMITS[1], z)) * HEIGHT;
  for (let j = 0; j < ROWS; j++) {
    const v = Math.max(0, Math.min(ny - 1, ((y0 + (j / (ROWS - 1)) * (y1 - y0) - fy0) / (fy1 - fy0)) * (ny - 1)));
    const row = Math.min(ny - 2, Math.floor(v));
    for (let i = 0; i < COLUMNS; i++) {
      const u = Math.max(0, Math.min(nx - 1, ((x0 + (i / (COLUMNS - 1)) * (x1 - x0) - fx0) / (fx1 - fx0)) * (nx - 1)));
      const column = Math.min(nx - 2, Math.floor(u));
      const k = row * nx + column;
      const [s, t] = [u - column, v - row];
      // Between lattice points heights are mixed, not values of f: those may span many powers of ten.
      const low = heightOf(scale, values[k]) * (1 - s) + heightOf(scale, values[k + 1]) * s;
      const high = heightOf(scale, values[k + nx]) * (1 - s) + heightOf(scale, values[k + nx + 1]) * s;
      heights[j * COLUMNS + i] = held(low * (1 - t) + high * t);
    }
  }
  return { columns: COLUMNS, rows: ROWS, across: plan.width / PLAN / 2, deep: plan.height / PLAN / 2, heights };
}

/** The mesh's own height at a point of the world, exactly as its triangles are drawn; 0 where f is undefined. */
export function heightAt({ columns, rows, across, deep, heights }, x, y) {
  const u = Math.max(0, Math.min(columns - 1, ((x + across) / (2 * across)) * (columns - 1)));
  const v = Math.max(0, Math.min(rows - 1, ((y + deep) / (2 * deep)) * (rows - 1)));
  const i = Math.min(columns - 2, Math.floor(u));
  const j = Math.min(rows - 2, Math.floor(v));
  const [s, t] = [u - i, v - j];
  const k = j * columns + i;
  const z =
    s + t <= 1
      ? heights[k] + s * (heights[k + 1] - heights[k]) + t * (heights[k + columns] - heights[k])
      : heights[k + columns + 1] +
        (1 - s) * (heights[k + columns] - heights[k + columns + 1]) +
        (1 - t) * (heights[k + 1] - heights[k + columns + 1]);
  return z || 0;
}

/**
 * What the graphics card draws of a mesh: points (x, y, z and the normal), and by their numbers [triangles, walls down to the
 * base, rim]: `fine`, and `rough`, of every fourth point each way.
 */
export function solidOf({ columns, rows, across, deep, heights }) {
  const count = columns * rows;
  const border = [];
  for (let i = 0; i < columns - 1; i++) border.push(i);
  for (let j = 0; j < rows - 1; j++) border.push(j * columns + columns - 1);
  for (let i = columns - 1; i > 0; i--) border.push((rows - 1) * columns + i);
  for (let j = rows - 1; j > 0; j--) border.push(j * columns);
  const around = border.length;

  const points = new Float32Array(6 * (count + 2 * around));
  const set = (k, x, y, z, nx, ny, nz) => points.set([x, y, z, nx, ny, nz], 6 * k);
  const z = (i, j) => heights[Math.max(0, Math.min(rows - 1, j)) * columns + Math.max(0, Math.min(columns - 1, i))] || 0;
  const [dx, dy] = [(2 * across) / (columns - 1), (2 * deep) / (rows - 1)];
  for (let j = 0; j < rows; j++) {
    for (let i = 0; i < columns; i++) {
      const gx = (z(i + 1, j) - z(i - 1, j)) / (2 * dx);
      const gy = (z(i, j + 1) - z(i, j - 1)) / (2 * dy);
      const size = Math.hypot(gx, gy, 1);
      set(j * columns + i, i * dx - across, j * dy - deep, z(i, j), -gx / size, -gy / size, 1 / size);
    }
  }
  const known = (k) => !Number.isNaN(heights[k]);
  const tiles = (wide) => { // two triangles over every `wide` quads each way, where all of f is known
    const corners = [];
    for (let j = 0; j < rows - 1; j += wide) {
      for (let i = 0; i < columns - 1; i += wide) {
        const k = j * columns + i;
        const [right, over] = [k + wide, k + wide * columns];
        if (!known(right) || !known(over)) continue;
        if (known(k)) corners.push(k, right, over);
        if (known(over + wide)) corners.push(right, over + wide, over);
      }
    }
    return Uint32Array.from(corners);
  };
  border.forEach((k, n) => { // a wall's points have normals of their own
    const [x, y] = [points[6 * k], points[6 * k + 1]];
    const side = n < columns - 1 ? [0, -1] : n < columns + rows - 2 ? [1, 0] : n < 2 * columns + rows - 3 ? [0, 1] : [-1, 0];
    set(count + 2 * n, x, y, points[6 * k + 2], ...side, 0);
    set(count + 2 * n + 1, x, y, 0, ...side, 0);
  });
  const order = (wide) => {
    const walls = [];
    const rim = [];
    for (let n = 0; n < around; n += wide) {
      const k = border[n];
      const next = (n + wide) % around;
      if (!known(k) || !known(border[next])) continue;
      const top = count + 2 * n;
      const beside = count + 2 * next;
      walls.push(top, top + 1, beside, beside, top + 1, beside + 1);
      rim.push(top, beside, top + 1, beside + 1);
      if (k === 0 || k === columns - 1 || k === count - 1 || k === count - columns) rim.push(top, top + 1);
    }
    return [tiles(wide), Uint32Array.from(walls), Uint32Array.from(rim)];
  };
  return { points, fine: order(1), rough: order(4) };
}

/** An eye, to be aimed before every picture; made once, so that a frame allocates nothing. */
export function createEye() {
  return { right: [1, 0, 0], up: [0, 0, 1], forward: [0, 1, 0], focus: 1, x: 0, y: 0, scale: 1, matrix: new Float32Array(16) };
}

/**
 * Aim `eye` at a mesh in a frame {width, height, margin: [top, sides, bottom]} px: camera [azimuth, elevation] in degrees.
 * The relief keeps its size while it turns about the vertical: what is fitted into the frame is all its azimuths.
 */
export function aim(eye, { width, height, margin: [top, sides, bottom] }, camera, zoom, { across, deep }) {
  const [azimuth, elevation] = camera.map((angle) => (angle * Math.PI) / 180);
  const [ca, sa, ce, se] = [Math.cos(azimuth), Math.sin(azimuth), Math.cos(elevation), Math.sin(elevation)];
  eye.right[0] = ca;
  eye.right[1] = sa;
  eye.forward[0] = -sa * ce;
  eye.forward[1] = ca * ce;
  eye.forward[2] = -se;
  eye.up[0] = -sa * se;
  eye.up[1] = ca * se;
  eye.up[2] = ce;

  let [wide, low, high] = [0, Infinity, -Infinity];
  for (let turn = 0; turn < Math.PI; turn += Math.PI / 12) {
    for (let corner = 0; corner < 8; corner++) {
      const [x, y, z] = [corner & 1 ? across : -across, corner & 2 ? deep : -deep, (corner & 4 ? 0.5 : -0.5) * HEIGHT];
      const back = -x * Math.sin(turn) + y * Math.cos(turn);
      const w = DISTANCE + back * ce - z * se;
      wide = Math.max(wide, Math.abs(x * Math.cos(turn) + y * Math.sin(turn)) / w);
      low = Math.min(low, (back * se + z * ce) / w);
      high = Math.max(high, (back * se + z * ce) / w);
    }
  }
  const fitted = Math.min((width - 2 * sides) / (2 * wide), (height - top - bottom) / (high - low));
  eye.focus = fitted * zoom;
  eye.scale = eye.focus / DISTANCE; // px per unit, in the middle
  eye.x = width / 2;
  eye.y = (height + top - bottom) / 2 + (eye.focus * (high + low)) / 2;

  // Clip coordinates are linear in the point, so one matrix holds all of it; the middle of the box is at HEIGHT/2.
  const m = eye.matrix;
  const { right, up, forward } = eye;
  const [fx, fy] = [(2 * eye.focus) / width, (2 * eye.focus) / height];
  const [ox, oy] = [(2 * eye.x) / width - 1, 1 - (2 * eye.y) / height];
  const [near, far] = [DISTANCE - DEPTH, DISTANCE + DEPTH];
  const [da, db] = [(far + near) / (far - near), (-2 * far * near) / (far - near)];
  for (let k = 0; k < 3; k++) {
    m[4 * k] = fx * right[k] + ox * forward[k];
    m[4 * k + 1] = fy * up[k] + oy * forward[k];
    m[4 * k + 2] = da * forward[k];
    m[4 * k + 3] = forward[k];
  }
  const lift = -HEIGHT / 2;
  m[12] = m[8] * lift + ox * DISTANCE;
  m[13] = m[9] * lift + oy * DISTANCE;
  m[14] = m[10] * lift + da * DISTANCE + db;
  m[15] = m[11] * lift + DISTANCE;
  return eye;
}

/** A point of the world in the frame's px, written to spot.x and spot.y. */
export function project({ right, up, forward, focus, x, y }, px, py, pz, spot) {
  const z = pz - HEIGHT / 2;
  const w = DISTANCE + px * forward[0] + py * forward[1] + z * forward[2];
  spot.x = x + (focus * (px * right[0] + py * right[1])) / w;
  spot.y = y - (focus * (px * up[0] + py * up[1] + z * up[2])) / w;
  return spot;
}

/** Does the relief stand between the eye and a point on it? */
export function behind(mesh, { forward }, x, y, z) {
  const [dx, dy, dz] = [-DISTANCE * forward[0] - x, -DISTANCE * forward[1] - y, HEIGHT / 2 - DISTANCE * forward[2] - z];
  const far = Math.hypot(dx, dy, dz);
  for (let way = 0.02; way < 2; way += 0.008) {
    const px = x + (dx / far) * way;
    const py = y + (dy / far) * way;
    const pz = z + (dz / far) * way;
    if (pz > HEIGHT * LIMITS[1] || Math.abs(px) > mesh.across || Math.abs(py) > mesh.deep) return false;
    if (heightAt(mesh, px, py) > pz + 0.004) return true;
  }
  return false;
}

/** Room for the records of many paths, which grows as needed and is kept from race to race. */
export function createRecords() {
  return { data: new Float32Array(RECORD * 4096), count: 0 };
}

function put(records, x, y, z, length, step) {
  const at = RECORD * records.count;
  if (at + RECORD > records.data.length) {
    const larger = new Float32Array(2 * records.data.length);
    larger.set(records.data);
    records.data = larger;
  }
  const { data } = records;
  data[at] = x;
  data[at + 1] = y;
  data[at + 2] = z;
  data[at + 3] = length;
  data[at + 4] = step;
  data[at + 5] = 1;
  records.count += 1;
}

/**
 * Append a track's path (paths.js, laid out on the plan) as it lies on the mesh: points that a straight piece passes by, as
 * `detail` (FINE or ROUGH) says how near, are left out, and so is what leaves the plan. Returns {first, count} of its records.
 */
export function layOn(mesh, plan, { x, y, last }, records, detail) {
  const first = records.count;
  const [halfX, halfY] = [plan.width / 2, plan.height / 2];
  let whole = 0;
  for (let k = 0; k < last; k++) whole += Math.min(2 * PLAN, Math.hypot(x[k + 1] - x[k], y[k + 1] - y[k]));
  const cell = Math.min(plan.width / (mesh.columns - 1), plan.height / (mesh.rows - 1));
  const fine = Math.max(cell, whole / MOST_PIECES);

  const held = []; // points since the last record: [x, y, z, step]
  let kept = null; // the last record's point
  let length = 0;

  function keep(point) {
    if (kept) length += Math.hypot(point[0] - kept[0], point[1] - kept[1], point[2] - kept[2]);
    put(records, point[0], point[1], point[2], length, point[3]);
    kept = point;
  }
  function add(px, py, step) {
    const [wx, wy] = [(px - halfX) / PLAN, (halfY - py) / PLAN];
    const point = [wx, wy, heightAt(mesh, wx, wy), step];
    if (!kept) return keep(point);
    if (held.length && !straight(kept, held, point, detail)) {
      keep(held[held.length - 1]);
      held.length = 0;
    }
    held.push(point);
    return undefined;
  }
  function lift() {
    if (!kept) return;
    if (held.length) keep(held[held.length - 1]);
    held.length = 0;
    records.data[RECORD * records.count - 1] = 0;
    kept = null;
  }

  let [px, py, ps] = [0, 0, 0]; // where the line has come to on the plan, and at which step
  for (let k = 0; k < last; k++) {
    const part = inside(x[k], y[k], x[k + 1], y[k + 1], plan);
    if (!part) {
      lift();
      continue;
    }
    const [from, to] = part;
    if (!kept || from > 0) {
      lift();
      [px, py, ps] = [x[k] + (x[k + 1] - x[k]) * from, y[k] + (y[k + 1] - y[k]) * from, k + from];
      add(px, py, ps);
    }
    const [ex, ey, es] = [x[k] + (x[k + 1] - x[k]) * to, y[k] + (y[k + 1] - y[k]) * to, k + to];
    const far = Math.hypot(ex - px, ey - py);
    if (far >= detail.rest || to < 1 || k === last - 1) {
      const pieces = Math.max(1, Math.ceil(far / fine));
      for (let n = 1; n <= pieces; n++) {
        const share = n / pieces;
        add(px + (ex - px) * share, py + (ey - py) * share, ps + (es - ps) * share);
      }
      [px, py, ps] = [ex, ey, es];
    }
    if (to < 1) lift();
  }
  lift();
  return { first, count: records.count - first };
}

/** Does the straight piece from a to b pass by the points between, one after the other? */
function straight(a, between, b, { beside, longest, held }) {
  const [dx, dy, dz] = [b[0] - a[0], b[1] - a[1], b[2] - a[2]];
  const size = Math.hypot(dx, dy, dz);
  if (between.length >= held || size > longest || !size) return false;
  let before = 0;
  for (const point of between) {
    const [px, py, pz] = [point[0] - a[0], point[1] - a[1], point[2] - a[2]];
    const along = (px * dx + py * dy + pz * dz) / size;
    if (along < before || along > size) return false; // it turns back
    if (Math.hypot(px, py, pz) ** 2 - along ** 2 > beside ** 2) return false;
    before = along;
  }
  return true;
}

/** The shares [from, to] of segment a–b that lie on the plan, or null. */
function inside(ax, ay, bx, by, { width, height }) {
  let from = 0;
  let to = 1;
  const [dx, dy] = [bx - ax, by - ay];
  for (const [p, q] of [[-dx, ax], [dx, width - ax], [-dy, ay], [dy, height - ay]]) {
    if (p === 0) {
      if (q < 0) return null;
    } else if (p < 0) from = Math.max(from, q / p);
    else to = Math.min(to, q / p);
  }
  return from < to ? [from, to] : null;
}

/** The record, within a path {first, count}, from which the line goes on at a step. */
export function recordAt({ data }, { first, count }, step) {
  let [low, high] = [0, Math.max(0, count - 1)];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (data[RECORD * (first + middle) + 4] <= step) low = middle;
    else high = middle - 1;
  }
  return first + low;
}

/** The point nearest to `point` on the piece that begins at a record: what grows bit by bit is the piece itself. */
export function onPiece({ data }, record, point) {
  const at = RECORD * record;
  if (!data[at + 5]) return point;
  const way = [0, 1, 2].map((k) => data[at + RECORD + k] - data[at + k]);
  const size = way[0] ** 2 + way[1] ** 2 + way[2] ** 2;
  const along = way.reduce((sum, part, k) => sum + part * (point[k] - data[at + k]), 0);
  const share = size ? Math.max(0, Math.min(1, along / size)) : 0;
  return way.map((part, k) => data[at + k] + part * share);
}
