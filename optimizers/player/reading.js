// Reading a chart: a line where the hand is, and every racer's value there, listed beside it.

import { element, hide, swatch, write } from "./dom.js";
import { colorOf } from "./race.js";

const GAP = 9; // px between the line and the list

/**
 * The overlay of one chart; its node goes into the chart's box, over the canvas. name(racers, theme) says whom it lists,
 * [{racer, index}]; at(…) puts the line somewhere, and the list where rows are given.
 */
export function createReading() {
  const line = element("div.hair");
  const head = element("div.head");
  const list = element("div.list", {}, head);
  const node = element("div.reading", { hidden: true, "aria-hidden": "true" }, line, list);
  const rows = new Map(); // racer's index -> its row
  let key = "";
  let side = "";

  return {
    node,
    name(racers, theme) {
      const next = JSON.stringify([racers.map(({ racer, index }) => [index, racer.label, racer.dash, racer.hollow]), theme.dark]);
      if (next === key) return;
      key = next;
      rows.clear();
      for (const { racer, index } of racers) {
        const value = element("span.value");
        const row = element("div.row", {}, swatch(racer, colorOf(racer, theme), 28), element("span.who", {}, racer.label), value);
        rows.set(index, { row, value });
      }
      list.replaceChildren(head, ...[...rows.values()].map(({ row }) => row));
    },
    /** x in px; area and width of the chart; words over the list; values [{index, text, height}], the highest on top; null: no list. */
    at(x, { area, width }, words, values) {
      hide(node, false);
      line.style.cssText = `transform:translateX(${x}px);top:${area.top}px;height:${area.bottom - area.top}px`;
      hide(list, values === null);
      if (values === null) return;
      write(head, words);
      const rank = [...values].sort((a, b) => (Number.isNaN(a.height) ? 1 : Number.isNaN(b.height) ? -1 : b.height - a.height));
      rank.forEach(({ index, text }, place) => {
        const { row, value } = rows.get(index);
        if (row.style.order !== String(place)) row.style.order = place;
        write(value, text);
      });
      // On the side with more room, so that it never lies on what is read; it changes sides only past the middle.
      const middle = (area.left + area.right) / 2;
      if (!side || Math.abs(x - middle) > GAP) side = x > middle ? "left" : "right";
      list.style.cssText = side === "left" ? `right:${width - x + GAP}px;max-width:${x - GAP}px` : `left:${x + GAP}px;max-width:${width - x - GAP}px`;
    },
    hide() {
      hide(node, true);
      side = "";
    },
  };
}
