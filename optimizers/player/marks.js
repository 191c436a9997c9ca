// What stands on a picture of the race besides the paths: markers, minima, and the names.

import { placeLabels } from "./labels.js";

export const MARKER = 5.5; // radius, px

/** A racer's marker at spot {x, y, diverged, away, angle}: a disc, solid or hollow; a cross; an arrowhead off the map. */
export function drawMarker(q, { x, y, away, angle, diverged }, { color, hollow, bold }, theme) {
  const r = MARKER + (bold ? 1 : 0);
  q.beginPath();
  if (away && !diverged) {
    q.moveTo(x + Math.cos(angle) * (r + 2), y + Math.sin(angle) * (r + 2));
    q.lineTo(x + Math.cos(angle + 2.45) * (r + 1), y + Math.sin(angle + 2.45) * (r + 1));
    q.lineTo(x + Math.cos(angle - 2.45) * (r + 1), y + Math.sin(angle - 2.45) * (r + 1));
    q.closePath();
  } else if (diverged) {
    q.moveTo(x - r, y - r);
    q.lineTo(x + r, y + r);
    q.moveTo(x - r, y + r);
    q.lineTo(x + r, y - r);
  } else q.arc(x, y, r, 0, 2 * Math.PI);
  q.lineJoin = "round";
  q.lineCap = "round";
  q.lineWidth = 5.5;
  q.strokeStyle = theme.dark ? "rgba(20,22,26,.8)" : "rgba(255,255,255,.9)";
  q.stroke();
  q.lineWidth = 2.5;
  q.strokeStyle = color;
  if (!diverged) {
    q.fillStyle = hollow ? theme.paper : color;
    q.fill();
  }
  q.stroke();
}

/** The crosshair of a minimum. */
export function drawMinimum(q, { x, y }, theme) {
  q.strokeStyle = theme.ink;
  q.lineWidth = 1.3;
  q.lineCap = "butt";
  q.beginPath();
  q.arc(x, y, 5.5, 0, 2 * Math.PI);
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    q.moveTo(x + dx * 2.5, y + dy * 2.5);
    q.lineTo(x + dx * 9, y + dy * 9);
  }
  q.stroke();
}

/** What stands at a racer's marker. */
export function captionOf(racer, { away, diverged }) {
  if (diverged) return `${racer.label} diverged at step ${racer.diverged}`;
  return away ? `${racer.label}, off the map` : racer.label;
}

/** The names of a picture; they remember where they stood, so that none jumps about while the race plays. */
export function createNames() {
  const widths = new Map(); // "font|text" -> px
  let offsets = new Map(); // label key -> its offset at the last draw

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

  return {
    forget: () => widths.clear(), // the fonts may have arrived meanwhile
    /**
     * Write items [{key, text, x, y, gap, color, bold, optional}] in order of rank within frame {width, height}, off the
     * marks [{x, y, r}] and lines [x, y, …] where that can be. Returns [{key, text, x, y, width, height}].
     */
    draw(q, items, frame, marks, lines, theme) {
      const size = Math.max(12, theme.size);
      for (const item of items) {
        item.font = item.bold ? `600 ${size}px ${theme.family}` : `${size - 1}px ${theme.family}`;
        item.width = widthOf(q, item.text, item.font);
        item.height = size * 1.15;
      }
      const placed = placeLabels(items, frame, marks, lines, offsets);
      offsets = new Map();
      q.textBaseline = "middle";
      q.textAlign = "left";
      q.lineJoin = "round";
      const halo = theme.dark ? "rgba(20,22,26,.82)" : "rgba(255,255,255,.88)";
      for (const item of items) {
        const box = placed.get(item.key);
        if (!box) continue;
        offsets.set(item.key, { x: box.x - item.x, y: box.y - item.y });
        if (box.far) { // a thin line ties a name to a marker that is not beside it
          q.beginPath();
          q.moveTo(item.x, item.y);
          q.lineTo(Math.max(box.x, Math.min(item.x, box.x + box.width)), Math.max(box.y, Math.min(item.y, box.y + box.height)));
          q.lineWidth = 1;
          q.strokeStyle = item.color;
          q.globalAlpha = 0.7;
          q.stroke();
          q.globalAlpha = 1;
        }
        q.font = item.font;
        q.lineWidth = 4;
        q.strokeStyle = halo;
        q.strokeText(item.text, box.x, box.y + box.height / 2);
        q.fillStyle = item.color;
        q.fillText(item.text, box.x, box.y + box.height / 2);
      }
      return items.filter((item) => placed.has(item.key)).map(({ key, text }) => ({ key, text, ...placed.get(key) }));
    },
  };
}
