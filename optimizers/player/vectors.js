// One step as arrows on the surface: the gradient, what the rule keeps of it, the step at the map's own scale.

import { formatNumber } from "./chart.js";
import { lastStep, colorOf, formatSetting, letterColorOf } from "./race.js";
import { layOut, toPixel, within } from "./paths.js";
import { before, compute, lrAt } from "./worked.js";

const LONGEST = 150; // px the longest of the gradient-like arrows may have
const SHORTEST = 45; // … and has at the map's edge
const EDGE = 18; // px kept from the edge
const LARGEST = 150; // px a side of the rectangle may have, where it has a scale of its own
const NEIGHBOURS = 2; // steps around the present one that decide on the scale, so that it does not flicker
const SMALL = 14; // px; a shorter step is shown enlarged as well
const WORTHWHILE = 1.4; // arrows that can be shown so many times as large in a corner are
const LENS = 150; // px, the height of such a picture
const WIDE = [214, 150]; // px, the width of the arrows' and of the step's
const MARGIN = 10;

const CASTS = new WeakMap();

/**
 * What a rule's quantities are, found out by trying the rule. kept: [{slot, label, corrected: {slot, label} or null}], states that add up gradients; size: the root that divides
 * {slot, label}, or null; uncorrected: the state it is the corrected of, or null.
 */
function castOf(race, racer) {
  if (!CASTS.has(racer)) CASTS.set(racer, cast(race, racer));
  return CASTS.get(racer);
}

function cast(race, racer) {
  const { program, rows } = racer;
  if (!program) return { kept: [], size: null, uncorrected: null };
  const corrections = new Map(program.stages.filter(([kind]) => kind === "correct").map(([, name, state]) => [state, name]));
  const label = (slot) => rows.find((row) => row.slot === slot)?.label ?? slot;
  // A state whose first value doubles with the gradient is in the gradient's own unit.
  const first = (g) => {
    const known = { ...settings(racer), t: 1, g, theta: 0, ...program.initial };
    return compute(program, known);
  };
  const [one, two] = [first(1e3), first(2e3)];
  const roots = rows.filter((row) => row.root);
  const states = program.stages.filter(([kind]) => kind === "grow").map(([, name]) => name);
  const kept = states.filter((name) => Math.abs(two[`${name}'`] / one[`${name}'`] - 2) < 0.01 && !roots.some(({ slot }) => slot === name))
    .filter((name) => fadeOf(race, racer, name, 0) > 0)
    .map((name) => {
      const hat = corrections.get(name);
      return { slot: name, label: label(name), corrected: hat ? { slot: hat, label: label(hat) } : null };
    });
  const size = roots.length ? { slot: roots[roots.length - 1].slot, label: label(roots[roots.length - 1].slot) } : null;
  const state = size && [...corrections].find(([, name]) => name === size.slot)?.[0];
  return { kept, size, uncorrected: state ? { slot: state, label: label(state) } : null };
}

export const settings = (racer) => Object.fromEntries(racer.hyper.map(({ name, value }) => [name, value]));

/** What step k makes of a state where all else is zero: the rule is asked. given: {state} or {g}. */
function alone(race, racer, state, k, given) {
  const { program } = racer;
  const zero = Object.fromEntries(Object.keys(program.initial).map((name) => [name, 0]));
  const known = { ...settings(racer), lr: lrAt(race, racer, k), t: k + 1, g: 0, theta: 0, ...zero, ...given };
  return compute(program, known)[`${state}'`];
}

/** By what a state is multiplied in step k before the gradient enters. */
export const fadeOf = (race, racer, state, k) => alone(race, racer, state, k, { [state]: 1 });

/** What a gradient of 1 adds to a state in step k, whatever that is; NaN where it depends on it. */
export function entering(race, racer, state, k) {
  const added = alone(race, racer, state, k, { g: 1 });
  const both = alone(race, racer, state, k, { g: 1, [state]: 1 });
  return Math.abs(both - fadeOf(race, racer, state, k) - added) <= 1e-9 ? added : NaN;
}

/** A round number, the greatest not above z. */
function roundDown(z) {
  const unit = 10 ** Math.floor(Math.log10(z));
  return [8, 6, 5, 4, 3, 2, 1.5, 1].find((round) => z >= round * unit) * unit;
}

const pair = (racer, slot, k) => [racer.value(slot, k, 0), racer.value(slot, k, 1)];
const length = ([x, y]) => Math.hypot(x, y);

/** The greatest of some lengths over the steps around k. */
function greatest(racer, k, last, slots, size) {
  let most = 0;
  for (let j = Math.max(0, k - NEIGHBOURS); j <= Math.min(last, k + NEIGHBOURS); j++) {
    for (const slot of slots) {
      const z = size(pair(racer, slot, j));
      if (z > most && Number.isFinite(z)) most = z;
    }
  }
  return most;
}

/** How many px a vector's unit may have for all vectors to stay on the map, and each still as long as it takes to see it. */
function room(vectors, [px, py], view) {
  let most = Infinity;
  for (const [x, y] of vectors) {
    const reach = Math.min(
      x > 0 ? (view.width - px - EDGE) / x : x < 0 ? (px - EDGE) / -x : Infinity,
      y > 0 ? (py - EDGE) / y : y < 0 ? (view.height - py - EDGE) / -y : Infinity,
    );
    most = Math.min(most, Math.max(reach, SHORTEST / Math.hypot(x, y)));
  }
  return most;
}

/**
 * What is drawn of step k: {step, k, origin, unit, rectangleUnit, g, kept, size, uncorrected}; vectors in the plane's
 * units; unit: units of the plane per unit of gradient. null where there is no step.
 */
export function vectorsOf(race, racer, at, view) {
  const last = Math.min(race.steps - 1, lastStep(race, racer) - 1);
  const k = Math.min(race.steps - 1, Math.floor(at + 1e-6));
  if (k > last) return null;
  const update = pair(racer, "update", k);
  if (!update.every(Number.isFinite)) return null;
  const { kept, size, uncorrected } = castOf(race, racer);
  const pixel = (view.bounds[1] - view.bounds[0]) / view.width; // units of the plane
  const slots = ["g", ...kept.flatMap(({ slot, corrected }) => (corrected ? [slot, corrected.slot] : [slot]))];
  const origin = pair(racer, "theta", k);
  const from = toPixel(view, ...origin);
  const ways = update.map((z) => (z < 0 ? -1 : 1)); // the quadrant the step goes to
  const sides = (slot) => pair(racer, slot, k).map((z) => Math.sqrt(Math.max(0, z)));
  const corner = size && sides(size.slot).map((z, axis) => ways[axis] * z);
  const most = greatest(racer, k, last, slots, length);
  const present = slots.map((slot) => pair(racer, slot, k).map((z) => -z));
  const unit = most > 0 ? roundDown(Math.min((LONGEST * pixel) / most, room(present, from, view) * pixel)) : 0;
  const side = size ? greatest(racer, k, last, [size.slot], ([x, y]) => Math.sqrt(Math.max(x, y))) : 0;
  const fits = side * unit <= LARGEST * pixel && side * unit >= 4 * pixel;
  const rectangleUnit = fits ? unit : side > 0 ? roundDown(Math.min((LARGEST * pixel) / side, room([corner], from, view) * pixel)) : 0;
  return {
    k, update, ways, unit, rectangleUnit, origin,
    g: pair(racer, "g", k),
    kept: kept.map(({ slot, label, corrected }) => {
      const now = pair(racer, slot, k);
      const fade = fadeOf(race, racer, slot, k);
      const old = [0, 1].map((axis) => fade * before(racer, slot, k, axis));
      return { label, now, old, corrected: corrected && { label: corrected.label, now: pair(racer, corrected.slot, k) } };
    }),
    size: size && { label: size.label, sides: sides(size.slot) },
    uncorrected: uncorrected && { label: uncorrected.label, sides: sides(uncorrected.slot) },
  };
}

/** An arrow; of one too short for a head, a dot. */
export function arrow(q, [ax, ay], [bx, by], { color, width = 2, dash = [], alpha = 1, halo = null, hollow = false }) {
  const long = Math.hypot(bx - ax, by - ay);
  if (!Number.isFinite(long)) return;
  q.save();
  q.globalAlpha = alpha;
  q.lineCap = "butt";
  q.lineJoin = "round";
  q.strokeStyle = q.fillStyle = color;
  if (long < 2.5) {
    q.beginPath();
    q.arc(bx, by, Math.max(1.6, width * 0.8), 0, 2 * Math.PI);
    q.fill();
    q.restore();
    return;
  }
  const head = Math.min(4 + 2.2 * width, 0.6 * long);
  const [ux, uy] = [(bx - ax) / long, (by - ay) / long];
  const [nx, ny] = [bx - ux * head * 0.85, by - uy * head * 0.85];
  const line = () => {
    q.beginPath();
    q.moveTo(ax, ay);
    q.lineTo(nx, ny);
    q.stroke();
  };
  const tip = () => {
    q.beginPath();
    q.moveTo(bx, by);
    q.lineTo(bx - ux * head - uy * head * 0.42, by - uy * head + ux * head * 0.42);
    q.lineTo(bx - ux * head + uy * head * 0.42, by - uy * head - ux * head * 0.42);
    q.closePath();
  };
  if (halo) {
    q.strokeStyle = halo;
    q.lineWidth = width + 3;
    line();
    tip();
    q.stroke();
    q.strokeStyle = color;
  }
  q.lineWidth = width;
  q.setLineDash(dash);
  line();
  q.setLineDash([]);
  tip();
  if (hollow) {
    q.lineWidth = Math.min(width, 1.5);
    q.fillStyle = halo ?? "transparent";
    q.fill();
    q.stroke();
  } else q.fill();
  q.restore();
}

/** Names whose arrows end at one place are written as one. */
function merged(labels) {
  const found = [];
  for (const label of labels) {
    const near = found.find(({ tip }) => Math.hypot(tip[0] - label.tip[0], tip[1] - label.tip[1]) < 13);
    if (near) near.text = `${label.text}, ${near.text}`;
    else found.push({ ...label });
  }
  return found;
}

/** Text with a halo, clear of the arrow that ends at a point, within a frame. */
function name(q, text, [x, y], [fx, fy], color, { bold, halo, racer, theme }, [x0, y0, x1, y1]) {
  q.font = bold;
  const long = Math.hypot(x - fx, y - fy) || 1;
  const gap = 9;
  let [tx, ty] = [x + ((x - fx) / long) * gap, y + ((y - fy) / long) * gap];
  q.textAlign = x - fx > 0.35 * long ? "left" : x - fx < -0.35 * long ? "right" : "center";
  q.textBaseline = "middle";
  const wide = widthOf(q, text) + 4;
  const [before, behind] = { left: [4, wide], right: [wide, 4], center: [wide / 2, wide / 2] }[q.textAlign];
  tx = Math.max(x0 + before, Math.min(x1 - behind, tx));
  ty = Math.max(y0 + 9, Math.min(y1 - 9, ty));
  q.lineJoin = "round";
  q.lineWidth = 3.5;
  q.strokeStyle = halo;
  q.strokeText(text, tx, ty);
  q.fillStyle = color === theme.ink ? color : letterColorOf(racer, theme);
  q.fillText(text, tx, ty);
  return { x: tx + (q.textAlign === "left" ? 8 : q.textAlign === "right" ? -8 : 0), y: ty, r: 10 };
}

/** The corner of the stage where the race has least to do, for all of it: [right?, bottom?]. */
const CORNERS = new WeakMap();

function cornerOf(race, view, width, height) {
  const key = `${view.width} ${view.height} ${view.bounds}`;
  const known = CORNERS.get(race);
  if (known?.key === key) return known.corner;
  const tracks = layOut(race, view);
  const counts = [[1, 1], [1, 0], [0, 1], [0, 0]].map(([right, bottom]) => {
    const [x0, y0] = [right ? view.width - width - 2 * MARGIN : 0, bottom ? view.height - height - 2 * MARGIN : 0];
    const [x1, y1] = [x0 + width + 2 * MARGIN, y0 + height + 2 * MARGIN];
    let count = right && bottom ? 0.5 : 0; // the pointer's readout stands there
    for (const { x, y, last } of tracks) {
      for (let k = 0; k <= last; k++) count += x[k] > x0 && x[k] < x1 && y[k] > y0 && y[k] < y1;
    }
    for (const minimum of race.surface.minima) {
      const [mx, my] = toPixel(view, ...minimum);
      count += mx > x0 && mx < x1 && my > y0 && my < y1 ? 5 : 0;
    }
    return { corner: [right, bottom], count };
  });
  const { corner } = counts.reduce((a, b) => (b.count < a.count ? b : a));
  CORNERS.set(race, { key, corner });
  return corner;
}

/**
 * Draw the step at which a racer stands. q: a context in the view's pixels; at: the racer's own fractional step.
 * Δθ and its parts are at the map's scale; the gradient-like arrows share a scale that is said; what comes out short is
 * enlarged in a corner. Returns what names should keep clear of: [{x, y, r}].
 */
export function drawVectors(q, { race, racer, at, view, theme }) {
  const drawn = vectorsOf(race, racer, at, view);
  if (!drawn) return [];
  const size = Math.max(12, theme.size);
  const paint = {
    racer, theme, size, color: colorOf(racer, theme), halo: theme.dark ? "rgba(20,22,26,.85)" : "rgba(255,255,255,.9)",
    bold: `600 ${size}px ${theme.family}`, plain: `${size - 1}px ${theme.family}`,
  };
  const from = toPixel(view, ...drawn.origin);
  const scale = view.width / (view.bounds[1] - view.bounds[0]); // px per unit of the plane
  q.save();
  const labels = gradients(q, drawn, from, scale, paint);
  const to = [from[0] + drawn.update[0] * scale, from[1] - drawn.update[1] * scale];
  const far = Math.hypot(to[0] - from[0], to[1] - from[1]);
  step(q, from, to, paint);
  if (far >= SMALL) labels.push({ text: "Δθ", tip: to, color: paint.color });
  const enlarged = [enlargement(labels, from).factor >= WORTHWHILE, far < SMALL && far > 0];
  const busy = [];
  for (const { text, tip, color } of merged(labels)) {
    if (within(view, ...tip) && !enlarged[0]) busy.push(name(q, text, tip, from, color, paint, [0, 0, view.width, view.height]));
    for (const share of [0.35, 0.7, 1]) busy.push({ x: from[0] + (tip[0] - from[0]) * share, y: from[1] + (tip[1] - from[1]) * share, r: 5 });
  }
  key(q, { race, drawn, view, scale, enlarged, labels, from, far, ...paint });
  q.restore();
  return busy;
}

/** What divides, and the gradient-like arrows, at so many px per unit of the plane; returns what to write: [{text, tip, color}]. */
function gradients(q, drawn, from, scale, { color, halo, theme }) {
  const { unit, rectangleUnit, ways } = drawn;
  const labels = [];
  if (drawn.size && rectangleUnit) { // in the quadrant the step goes to: a side per axis
    const box = ({ sides }, dash, fill) => {
      const [x, y] = [from[0] + sides[0] * ways[0] * rectangleUnit * scale, from[1] - sides[1] * ways[1] * rectangleUnit * scale];
      q.beginPath();
      q.rect(Math.min(from[0], x), Math.min(from[1], y), Math.abs(x - from[0]), Math.abs(y - from[1]));
      q.globalAlpha = 0.13;
      q.fillStyle = color;
      if (fill) q.fill();
      q.globalAlpha = 0.75;
      q.strokeStyle = color;
      q.lineWidth = 1.3;
      q.setLineDash(dash);
      q.stroke();
      q.setLineDash([]);
      q.globalAlpha = 1;
      return [x, y];
    };
    labels.push({ text: drawn.size.label, tip: box(drawn.size, [], true), color });
    if (drawn.uncorrected) box(drawn.uncorrected, [3, 3], false);
  }
  const downhill = ([x, y]) => [from[0] - x * unit * scale, from[1] + y * unit * scale];
  const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
  arrow(q, from, downhill(drawn.g), { color: theme.ink, width: 2.6, halo });
  const onG = (tip) => apart(tip, downhill(drawn.g)) < 4; // the same as g: both are seen
  for (const { label, now, old, corrected } of drawn.kept) {
    const tip = downhill(now);
    const middle = downhill(old);
    const after = corrected ? downhill(corrected.now) : tip;
    if (apart(after, tip) > 2) {
      arrow(q, from, after, onG(after) ? { color, width: 1.2 } : { color, width: 1.4, halo, hollow: true });
      labels.push({ text: `−${corrected.label}`, tip: after, color });
    }
    if (apart(middle, from) > 2) { // what was kept, and what came in, tip to tail
      arrow(q, from, middle, { color, width: 3.4, alpha: 0.42 });
      arrow(q, middle, tip, { color: theme.ink, width: 1.6, halo });
    }
    arrow(q, from, tip, onG(tip) ? { color, width: 1.2 } : { color, width: 2.2, halo });
    if (apart(tip, from) > 8) labels.push({ text: `−${label}`, tip, color });
  }
  labels.push({ text: "−g", tip: downhill(drawn.g), color: theme.ink });
  return labels;
}

/** Δx and Δy tip to tail, and what they make together. */
function step(q, from, to, { color, theme, halo }) {
  const corner = [to[0], from[1]];
  if (Math.abs(to[0] - from[0]) > 3 && Math.abs(to[1] - from[1]) > 3) {
    arrow(q, from, corner, { color: theme.mute, width: 1.5, halo });
    arrow(q, corner, to, { color: theme.mute, width: 1.5, halo });
  }
  arrow(q, from, to, { color, width: 3.4, halo });
}

/** In a free corner: which scale is which, and enlarged what is short on the map. */
function key(q, own) {
  const { race, drawn, view, theme, size, plain, enlarged } = own;
  const kept = drawn.kept.flatMap(({ label, corrected }) => (corrected ? [label, corrected.label] : [label]));
  const names = ["g", ...kept].map((one) => `−${one}`);
  const together = drawn.size && drawn.rectangleUnit === drawn.unit;
  const lines = [`${[...names, ...(together ? [drawn.size.label] : [])].join(", ")}  × ${formatSetting(drawn.unit)}`];
  if (drawn.size && !together) lines.push(`sides ${drawn.size.label}  × ${formatSetting(drawn.rectangleUnit)}`);
  if (!enlarged[1]) lines.push("Δθ at the map's scale");
  const row = size * 1.35;
  q.font = plain;
  const lenses = WIDE.reduce((sum, wide, which) => sum + (enlarged[which] ? wide : 0), 0);
  const width = Math.max(lenses, ...lines.map((line) => widthOf(q, line))) + 18;
  const height = (lenses ? LENS : 0) + lines.length * row + 12;
  const [right, bottom] = cornerOf(race, view, WIDE[0] + WIDE[1] + 18, LENS + 2 * row);
  const x = right ? view.width - width - MARGIN : MARGIN;
  const y = bottom ? view.height - height - MARGIN - (right ? 18 : 0) : MARGIN;
  q.globalAlpha = 0.92;
  q.fillStyle = theme.paper;
  q.beginPath();
  q.roundRect(x, y, width, height, 6);
  q.fill();
  q.globalAlpha = 1;
  q.textAlign = "left";
  q.textBaseline = "middle";
  q.fillStyle = theme.ink;
  lines.forEach((line, index) => q.fillText(line, x + 9, y + height - 6 - (lines.length - index - 0.5) * row));
  let left = x + 9;
  for (const [which, draw] of [gradientLens, stepLens].entries()) {
    if (!enlarged[which]) continue;
    q.save();
    q.beginPath();
    q.rect(left - 4, y + 2, WIDE[which] + 4, LENS);
    q.clip();
    const factor = draw(q, left, y + 4, own);
    q.font = plain;
    q.textAlign = "left";
    q.textBaseline = "middle";
    q.fillStyle = theme.mute;
    q.fillText(`enlarged ${formatSetting(factor)}×`, left, y + 4 + LENS - 10);
    q.restore();
    left += WIDE[which];
  }
}

/** How much the arrows can be enlarged, and where their middle is from the racer. */
function enlargement(labels, from) {
  const xs = [from[0], ...labels.map(({ tip }) => tip[0])];
  const ys = [from[1], ...labels.map(({ tip }) => tip[1])];
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const most = Math.min((WIDE[0] - 84) / (x1 - x0), (LENS - 58) / (y1 - y0));
  return { factor: Number.isFinite(most) ? roundDown(most) : 1, middle: [(x0 + x1) / 2 - from[0], (y0 + y1) / 2 - from[1]] };
}

/** The gradient-like arrows, enlarged; returns how much. */
function gradientLens(q, x, y, { drawn, scale, labels, from, ...paint }) {
  const { factor, middle } = enlargement(labels, from);
  const at = [x + WIDE[0] / 2 - middle[0] * factor, y + LENS / 2 - 7 - middle[1] * factor];
  const large = gradients(q, drawn, at, scale * factor, paint);
  dot(q, at, paint);
  const frame = [x - 2, y, x + WIDE[0] - 4, y + LENS - 18];
  for (const { text, tip, color } of merged(large)) name(q, text, tip, at, color, paint, frame);
  return factor;
}

/** The step and the path that led to it, enlarged; returns how much. */
function stepLens(q, x, y, { drawn, scale, far, ...paint }) {
  const { racer, theme, color, plain } = paint;
  const { update, k, origin } = drawn;
  const factor = roundDown((0.55 * LENS) / far);
  q.font = plain;
  const [dx, dy] = update.map((z) => formatNumber(z, 3));
  const beside = Math.max(0, Math.abs(update[0]) * scale * factor / 2 + 7 + widthOf(q, dy) - WIDE[1] / 2 + 8); // what dy lacks of room
  const [cx, cy] = [x + WIDE[1] / 2 - (update[0] < 0 ? -beside : beside), y + LENS / 2 - 7];
  const large = scale * factor;
  const place = ([px, py]) => [cx + (px - origin[0] - update[0] / 2) * large, cy - (py - origin[1] - update[1] / 2) * large];
  q.beginPath();
  for (let j = Math.max(0, k - 12); j <= k; j++) q.lineTo(...place(pair(racer, "theta", j)));
  q.strokeStyle = color;
  q.lineWidth = 2;
  q.globalAlpha = 0.35;
  q.setLineDash(racer.dash);
  q.stroke();
  q.setLineDash([]);
  q.globalAlpha = 1;
  const from = place(origin);
  const to = place([origin[0] + update[0], origin[1] + update[1]]);
  step(q, from, to, paint);
  dot(q, from, paint);
  q.font = plain;
  const written = (text, tx, ty) => {
    q.lineWidth = 3;
    q.strokeStyle = theme.paper;
    q.strokeText(text, tx, ty);
    q.fillStyle = theme.ink;
    q.fillText(text, tx, ty);
  };
  q.textBaseline = "middle";
  q.textAlign = "center";
  if (Math.abs(to[0] - from[0]) > 12) written(dx, (from[0] + to[0]) / 2, from[1] + (to[1] > from[1] ? -11 : 12));
  q.textAlign = to[0] < from[0] ? "right" : "left";
  if (Math.abs(to[1] - from[1]) > 12) written(dy, to[0] + (to[0] < from[0] ? -7 : 7), (from[1] + to[1]) / 2);
  return factor;
}

function dot(q, [x, y], { racer, theme, color }) {
  q.beginPath();
  q.arc(x, y, 4, 0, 2 * Math.PI);
  q.lineWidth = 2;
  q.fillStyle = racer.hollow ? theme.paper : color;
  q.strokeStyle = color;
  q.fill();
  q.stroke();
}

const WIDTHS = new Map();

function widthOf(q, text) {
  const key = `${q.font}|${text}`;
  if (!WIDTHS.has(key)) {
    if (WIDTHS.size > 300) WIDTHS.clear();
    WIDTHS.set(key, q.measureText(text).width);
  }
  return WIDTHS.get(key);
}
