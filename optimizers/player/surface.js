// The surface as paper: bands of tone and thin contour lines, computed from the values of f on a lattice.

const MOST_BANDS = 20; // contour lines over the map's range …
const FEWEST_BANDS = 6;
const APART = 19; // … but on average no closer than this, in parts of 600 of the map's width: paper stays quiet
const LINE = 1; // their width, CSS px
const CROWDED = [0.3, 0.65]; // bands per pixel between which crowded lines fade away, so that none form a moiré

const LOOK = {
  light: { low: [184, 204, 219], middle: [225, 231, 233], high: [248, 245, 238], line: [58, 80, 104], ink: 0.34 },
  dark: { low: [25, 44, 62], middle: [28, 33, 41], high: [36, 36, 40], line: [190, 208, 226], ink: 0.24 },
};

/**
 * How f becomes a height on the map: asinh((f − base)/soft), which is a logarithm that passes through zero. The
 * base is the lowest value of f, and zero where it has none (a saddle: both signs). Taken from the values on the map.
 * levels: how many contour lines, 0 for as many as suit; scale "linear": as far apart in f everywhere.
 */
function levelScale({ values, nx }, lowest, { levels = 0, scale = "log" } = {}) {
  const base = lowest ?? 0;
  const sizes = values.filter(Number.isFinite).map((f) => Math.abs(f - base)).sort(); // undefined in places
  const quantile = (share) => sizes[Math.floor(share * (sizes.length - 1))] ?? 1;
  // Far above soft asinh is a logarithm, far below it a straight line.
  const soft = scale === "linear" ? Math.max(100 * quantile(0.995), 1e-30) : Math.max(quantile(0.03), quantile(0.995) * 1e-6, 1e-30);
  const top = Math.asinh(quantile(0.995) / soft);
  const bottom = lowest === null ? -top : 0;

  // How far the height climbs on average from one lattice point to the next says how close the lines would lie.
  let climb = 0;
  for (let k = nx; k < values.length; k++) {
    const here = Math.asinh((values[k] - base) / soft);
    const step = Math.hypot(here - Math.asinh((values[k - 1] - base) / soft), here - Math.asinh((values[k - nx] - base) / soft));
    if (Number.isFinite(step)) climb += step;
  }
  const whole = (climb / (values.length - nx)) * nx; // over the map's width
  const fitting = (600 / APART) * ((top - bottom) / whole);
  const bands = levels || Math.round(Math.max(FEWEST_BANDS, Math.min(MOST_BANDS, fitting)));
  return { base, soft, bottom, bands, perBand: (top - bottom) / bands };
}

/**
 * Weights of four neighbours for a smooth curve through lattice values (Catmull–Rom), for each output pixel: the pixels
 * run from `low` to `high` on an axis whose `nodes` run from `from` to `to`.
 */
function cubic(pixels, [low, high], nodes, [from, to]) {
  const first = new Int32Array(pixels);
  const weights = new Float64Array(4 * pixels);
  for (let i = 0; i < pixels; i++) {
    const at = ((low + ((i + 0.5) / pixels) * (high - low) - from) / (to - from)) * (nodes - 1);
    const cell = Math.max(0, Math.min(nodes - 2, Math.floor(at)));
    const t = at >= -1 && at <= nodes ? at - cell : NaN; // nothing is known farther out: bare paper
    first[i] = cell; // in the padded lattice this is the neighbour before
    weights[4 * i] = t * (-0.5 + t * (1 - 0.5 * t));
    weights[4 * i + 1] = 1 + t * t * (-2.5 + 1.5 * t);
    weights[4 * i + 2] = t * (0.5 + t * (2 - 1.5 * t));
    weights[4 * i + 3] = t * t * (-0.5 + 0.5 * t);
  }
  return { first, weights };
}

/** The lattice with one more row and column on each side, continued by its own curvature; what is infinite, as large. */
function pad({ values, nx, ny }) {
  const width = nx + 2;
  const out = new Float64Array(width * (ny + 2));
  const beyond = (a, b, c) => 3 * a - 3 * b + c;
  for (let j = 0; j < ny; j++) {
    const row = (j + 1) * width;
    for (let i = 0; i < nx; i++) out[row + i + 1] = Math.max(-1e38, Math.min(1e38, values[j * nx + i]));
    out[row] = beyond(out[row + 1], out[row + 2], out[row + 3]);
    out[row + nx + 1] = beyond(out[row + nx], out[row + nx - 1], out[row + nx - 2]);
  }
  for (let i = 0; i < width; i++) {
    out[i] = beyond(out[width + i], out[2 * width + i], out[3 * width + i]);
    const end = (ny + 1) * width + i;
    out[end] = beyond(out[end - width], out[end - 2 * width], out[end - 3 * width]);
  }
  return { padded: out, width };
}

function bandColors({ low, middle, high }, bands) {
  return Array.from({ length: bands + 1 }, (_, band) => {
    const t = (2 * band) / bands;
    const [from, to, share] = t < 1 ? [low, middle, t] : [middle, high, t - 1];
    return from.map((c, k) => c + (to[k] - c) * share);
  });
}

/** The part of a field within bounds: what the choice of contour lines goes by. */
function partWithin({ values, nx, ny, bounds: [x0, x1, y0, y1] }, [low, high, bottom, top]) {
  const column = (x) => ((x - x0) / (x1 - x0)) * (nx - 1);
  const row = (y) => ((y - y0) / (y1 - y0)) * (ny - 1);
  const within = (v, most) => Math.max(0, Math.min(most, v));
  const [i0, i1] = [within(Math.floor(column(low)), nx - 2), within(Math.ceil(column(high)) + 1, nx)];
  const [j0, j1] = [within(Math.floor(row(bottom)), ny - 2), within(Math.ceil(row(top)) + 1, ny)];
  const part = new Float32Array((i1 - i0) * (j1 - j0));
  for (let j = j0; j < j1; j++) part.set(values.subarray(j * nx + i0, j * nx + i1), (j - j0) * (i1 - i0));
  return { values: part, nx: i1 - i0, ny: j1 - j0 };
}

/** The heights of a map: surface {bounds, lowest} is what they are chosen by, how {levels, scale}. */
export const mapScale = (field, surface, how) => levelScale(partWithin(field, surface.bounds), surface.lowest, how);

/**
 * Draw f over the whole canvas. field {values, nx, ny, bounds}, row 0 at the bottom; view {bounds, ratio}: what the
 * canvas shows, in device pixels; surface {bounds, lowest}: what the levels are chosen by; how: {levels, scale}.
 */
export function drawMap(canvas, field, view, surface, dark, how) {
  const { width, height } = canvas;
  const { ratio } = view;
  const hasMinimum = surface.lowest !== null;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = image.data;
  const look = dark ? LOOK.dark : LOOK.light;
  const { base, soft, bottom, bands, perBand } = mapScale(field, surface, how);
  const colors = bandColors(look, bands);
  const { padded, width: stride } = pad(field);
  const columns = cubic(width, view.bounds.slice(0, 2), field.nx, field.bounds.slice(0, 2));
  const rows = cubic(height, view.bounds.slice(2), field.ny, field.bounds.slice(2));
  const across = new Float64Array(stride);

  // One row of the map's height w, counted in bands; row 0 is the top of the picture.
  const levelRow = (row, out) => {
    const from = Math.max(0, Math.min(height - 1, height - 1 - row));
    const at = rows.first[from] * stride;
    const [a, b, c, d] = rows.weights.subarray(4 * from, 4 * from + 4);
    for (let i = 0; i < stride; i++) {
      across[i] = a * padded[at + i] + b * padded[at + stride + i] + c * padded[at + 2 * stride + i] + d * padded[at + 3 * stride + i];
    }
    const { first, weights } = columns;
    for (let i = 0, k = 0; i < width; i++, k += 4) {
      const p = first[i];
      const f = weights[k] * across[p] + weights[k + 1] * across[p + 1] + weights[k + 2] * across[p + 2] + weights[k + 3] * across[p + 3];
      out[i] = (Math.asinh((f - base) / soft) - bottom) / perBand;
    }
    return out;
  };

  let above = levelRow(-1, new Float64Array(width));
  let here = levelRow(0, new Float64Array(width));
  let below = new Float64Array(width);
  const reach = (LINE * ratio) / 2 + 0.5;
  for (let j = 0; j < height; j++) {
    levelRow(j + 1, below);
    for (let i = 0, p = 4 * j * width; i < width; i++, p += 4) {
      const w = here[i];
      if (Number.isNaN(w)) continue; // f is undefined here: bare paper
      const dx = (here[Math.min(width - 1, i + 1)] - here[Math.max(0, i - 1)]) / 2;
      const dy = (below[i] - above[i]) / 2;
      const slope = (Math.sqrt(dx * dx + dy * dy) || 0) + 1e-12; // bands per pixel; 0 beside what is undefined
      const nearest = Math.round(w);
      const away = Math.abs(w - nearest) / slope; // pixels to the nearest contour line
      const calm = Math.max(0, Math.min(1, (CROWDED[1] - slope) / (CROWDED[1] - CROWDED[0])));
      const drawn = nearest > 0 || !hasMinimum ? calm * look.ink : 0; // the lowest point itself is no line
      const ink = Math.max(0, Math.min(1, reach - away)) * drawn;
      // Across the line the tone passes smoothly from one band to the next.
      const blend = Math.max(0, Math.min(1, 0.5 + (w - nearest) / slope));
      const lower = colors[Math.max(0, Math.min(bands, nearest - 1))];
      const upper = colors[Math.max(0, Math.min(bands, nearest))];
      for (let k = 0; k < 3; k++) {
        const tone = lower[k] + (upper[k] - lower[k]) * blend;
        pixels[p + k] = tone + (look.line[k] - tone) * ink;
      }
      pixels[p + 3] = 255;
    }
    [above, here, below] = [here, below, above];
  }
  context.putImageData(image, 0, 0);
}

/** f at a point of the map, between the lattice's points (for reading the map, not for computing). */
export function valueAt({ values, nx, ny, bounds: [x0, x1, y0, y1] }, x, y) {
  const u = Math.max(0, Math.min(nx - 1.000001, ((x - x0) / (x1 - x0)) * (nx - 1)));
  const v = Math.max(0, Math.min(ny - 1.000001, ((y - y0) / (y1 - y0)) * (ny - 1)));
  const [i, j] = [Math.floor(u), Math.floor(v)];
  const at = (di, dj) => values[(j + dj) * nx + i + di];
  const [s, t] = [u - i, v - j];
  return (at(0, 0) * (1 - s) + at(1, 0) * s) * (1 - t) + (at(0, 1) * (1 - s) + at(1, 1) * s) * t;
}
