// The race as it arrives (numbers packed by Python) and how to ask it for a number.

import { formatNumber } from "./chart.js";

/**
 * meta, tracks -> the race. Each racer gets value(slot, step, axis) and loss, NaN where it has diverged; the race gets
 * factors: the schedule's, on every lr, one per step.
 */
export function readRace(meta, tracks) {
  const rows = meta.steps + 1;
  let offset = 0;
  const take = (count) => tracks.subarray(offset, (offset += count));
  const racers = meta.racers.map((racer) => {
    const slots = racer.slots.length;
    const place = Object.fromEntries(racer.slots.map((name, index) => [name, index]));
    const record = take(rows * slots * 2);
    const loss = take(rows);
    const value = (slot, step, axis) => record[(step * slots + place[slot]) * 2 + axis];
    return { ...racer, loss, value };
  });
  return { ...meta, racers, factors: take(meta.steps) };
}

/** The last step at which the racer still has a point. */
export function lastStep(race, racer) {
  return racer.diverged === null || racer.diverged === undefined ? race.steps : racer.diverged - 1;
}

/**
 * A ground may be measured: `race.measured` {steps, words, recipe}. Then a step of the race is a snapshot, taken at so many
 * steps of training, and no rule moves between two of them. The step of training at a (fractional) step of the race:
 */
export function stampAt({ measured, steps }, step) {
  const k = Math.max(0, Math.min(steps, Math.floor(step + 1e-6)));
  if (!measured) return k;
  const [from, to] = [measured.steps[k], measured.steps[Math.min(steps, k + 1)]];
  return Math.round(from + (to - from) * Math.max(0, step - k));
}

/** What stands at the start. */
export const startCaption = (race) => (race.measured ? "start" : `start  ${race.start.map(formatSetting).join(", ")}`);

/** What the height of the ground is. */
export const heightName = (race) => (race.measured ? "loss" : "f");

/** The rows of data each gradient is of, where those are not all; else null. */
export function batchOf({ batch_size: size, usual_batch: usual, rows }) {
  const taken = size ?? usual;
  return taken !== null && rows !== null && taken < rows ? taken : null;
}

/** Has chance a part in each gradient? Batches taken in turn have none. */
export const isRandom = ({ conditions }) => conditions.noise > 0 || (batchOf(conditions) !== null && !conditions.cyclic);

/** What makes g another than the slope of f: ["noise of 0.1", "batches of 4", "clipping"], or none. */
export function besidesSlope({ conditions }) {
  const { noise, clip_norm: norm, clip_value: size } = conditions;
  return [noise > 0 ? `noise of ${formatSetting(noise)}` : "", batchOf(conditions) === null ? "" : `batches of ${batchOf(conditions)}`,
    norm === null && size === null ? "" : "clipping"].filter(Boolean);
}

/** A racer's colour on this page. */
export const colorOf = (racer, theme) => (theme.dark ? racer.dark : racer.light);

/** The same for letters: a hue too pale to be read on paper is deepened until it can be (4.5 to 1, WCAG AA). */
export const letterColorOf = (racer, theme) => legible(colorOf(racer, theme), theme.dark);

const legibles = new Map(); // colour -> itself or a deeper one

function legible(color, dark) {
  if (dark) return color; // each is 7 to 1 or more there
  if (!legibles.has(color)) {
    const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const luminance = (rgb) => rgb.reduce((sum, c, k) => sum + [0.2126, 0.7152, 0.0722][k] * linear(c / 255), 0);
    let rgb = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
    while (1.01 / (luminance(rgb) + 0.05) < 4.6) rgb = rgb.map((c) => Math.floor(0.97 * c)); // paper's own is 0.96
    legibles.set(color, `rgb(${rgb.join(",")})`);
  }
  return legibles.get(color);
}

/** The value of one of a racer's hyperparameters, or undefined. */
export const hyperOf = (racer, name) => racer.hyper.find((hyper) => hyper.name === name)?.value;

/** What the uncorrected rule's step is, over the corrected one's, for the same m and v, at step count t. */
export const biasFactor = (t, { beta1, beta2 }) => (1 - beta1 ** t) / Math.sqrt(1 - beta2 ** t);

/** 0.1 as "0.1", 1e-8 as "10⁻⁸", a number somebody has chosen. */
export const formatSetting = (z) => formatNumber(z, 6).replace(/(\.\d*?)0+(?=$|×)/, "$1").replace(/\.(?=$|×)/, "").replace(/^1×/, "");
