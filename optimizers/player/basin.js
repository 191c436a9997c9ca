// Where the chosen racer ends from every start, as tints between the map and the ink.

import { element } from "./dom.js";
import { formatSetting, letterColorOf } from "./race.js";

// One a minimum, as in the pictures of optimizers.figures: told apart by lightness too, for every eye.
const HUES = ["#3568c0", "#e6b432", "#6e3562", "#74cdbb", "#576534", "#d98f5f", "#a6b2f0", "#b9d35b"];
const QUICK = 0.38; // opacity where it arrives at once …
const SLOW = 0.08; // … and where it does at the last step
const LOST = 255; // the byte of a start from which it diverges; 0 is nowhere, and stays bare paper
const HATCH = 7; // px between the lines over such starts

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const percent = (share) => (share > 0 && share < 0.01 ? "<1\u00a0%" : share < 1 && share > 0.99 ? ">99\u00a0%" : `${Math.round(100 * share)}\u00a0%`);

/**
 * A canvas for the stage's sheet and a key beside it. draw({basin, race, chosen, view, theme}) shows work.basin, or
 * nothing where it is null or another racer's.
 */
export function createBasinLayer() {
  const canvas = element("canvas.basin", { "aria-hidden": "true" });
  const key = element("div.basin-key");
  const tint = document.createElement("canvas"); // a pixel a cell
  const lost = document.createElement("canvas");
  let painted = null; // the bytes the two hold
  let drawn = "";
  let told = "";

  function paint({ values, size, lost: some }) {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, 2 * size * size);
    const images = [tint, lost].map((one) => {
      Object.assign(one, { width: size, height: size });
      return one.getContext("2d").createImageData(size, size);
    });
    const hues = HUES.map(rgb);
    for (let row = 0, cell = 0; row < size; row++) {
      let p = 4 * size * (size - 1 - row); // row 0 is the bottom
      for (let column = 0; column < size; column++, cell++, p += 4) {
        const which = bytes[cell];
        if (which === LOST) images[1].data[p + 3] = 255;
        else if (which) {
          const hue = hues[(which - 1) % hues.length];
          const late = (bytes[size * size + cell] - 1) / 254;
          for (let k = 0; k < 3; k++) images[0].data[p + k] = hue[k];
          images[0].data[p + 3] = 255 * (QUICK + (SLOW - QUICK) * late * late); // late is logarithmic
        }
      }
    }
    tint.getContext("2d").putImageData(images[0], 0, 0);
    if (some) lost.getContext("2d").putImageData(images[1], 0, 0);
    painted = values;
  }

  /** Lines over what diverges, in the pixels of the canvas. */
  function hatch(q, place, view, theme) {
    const sheet = document.createElement("canvas");
    Object.assign(sheet, { width: canvas.width, height: canvas.height });
    const s = sheet.getContext("2d");
    s.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
    s.strokeStyle = theme.mute;
    s.globalAlpha = 0.42;
    s.lineWidth = 1;
    s.beginPath();
    for (let x = -view.height; x < view.width; x += HATCH) {
      s.moveTo(x, view.height);
      s.lineTo(x + view.height, 0);
    }
    s.stroke();
    s.globalAlpha = 1;
    s.globalCompositeOperation = "destination-in";
    s.drawImage(lost, ...place);
    q.setTransform(1, 0, 0, 1, 0, 0);
    q.drawImage(sheet, 0, 0);
  }

  function render(basin, view, theme) {
    const [width, height] = [Math.round(view.width * view.ratio), Math.round(view.height * view.ratio)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const q = canvas.getContext("2d");
    q.setTransform(1, 0, 0, 1, 0, 0);
    q.clearRect(0, 0, width, height);
    if (!basin) return;
    if (painted !== basin.values) paint(basin);
    const [x0, x1, y0, y1] = basin.bounds;
    const [left, right, bottom, top] = view.bounds;
    const [ux, uy] = [view.width / (right - left), view.height / (top - bottom)]; // px per unit
    // The lattice has points at both ends, and a cell reaches half a step beyond its point.
    const [sx, sy] = [(x1 - x0) / (basin.size - 1), (y1 - y0) / (basin.size - 1)];
    const place = [(x0 - sx / 2 - left) * ux, (top - y1 - sy / 2) * uy, (x1 - x0 + sx) * ux, (y1 - y0 + sy) * uy];
    q.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
    q.imageSmoothingEnabled = true;
    q.drawImage(tint, ...place);
    if (basin.lost) hatch(q, place, view, theme);
  }

  /** What the tints mean: how much of the map ends at which minimum. */
  function say(basin, racer, race, theme) {
    const text = basin ? `${basin.id} ${basin.pending} ${basin.problem} ${racer.label} ${theme.dark}` : "";
    if (text === told) return;
    told = text;
    if (!basin) return key.replaceChildren();
    if (basin.problem) return key.replaceChildren(element("span", {}, basin.problem));
    if (!basin.values) return key.replaceChildren(element("span", {}, `The basin map of ${racer.label} is being drawn …`));
    const all = basin.size * basin.size;
    const item = (kind, color, words) =>
      element("span.item", {}, element(`i.${kind}`, color ? { style: `background:${color}` } : {}), words);
    const ends = basin.counts
      .map((count, index) => ({ count, index }))
      .filter(({ count }) => count)
      .sort((a, b) => b.count - a.count);
    const few = ends.slice(0, 4).map(({ count, index }) =>
      item("tint", HUES[index % HUES.length], `(${race.surface.minima[index]?.map((z) => formatSetting(Number(z.toPrecision(3)))).join(", ")}) ${percent(count / all)}`));
    if (ends.length > 4) few.push(element("span.item", {}, `${ends.length - 4} more`));
    const name = element("b", { style: `color:${letterColorOf(racer, theme)}` }, racer.label);
    return key.replaceChildren(
      element("span.item", { title: "Tinted by the minimum it reaches from each start; paler is later." }, name, basin.coarse ? " ends, coarsely:" : " ends:"),
      ...few,
      ...(basin.nowhere ? [item("bare", null, `not there yet ${percent(basin.nowhere / all)}`)] : []),
      ...(basin.lost ? [item("lost", null, `diverges ${percent(basin.lost / all)}`)] : []),
    );
  }

  return {
    canvas,
    key,
    draw({ basin, race, chosen, view, theme }) {
      const racer = race.racers[chosen];
      const mine = basin && (!basin.racer || basin.racer.split("(")[0] === racer.name) ? basin : null;
      say(mine, racer, race, theme);
      const full = mine?.values ? mine : null;
      const now = full ? `${full.id} ${view.bounds} ${view.width} ${view.height} ${view.ratio} ${theme.dark}` : "";
      if (now === drawn) return;
      render(full, view, theme);
      drawn = now;
    },
  };
}
