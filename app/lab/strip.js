// Every layer of every racer at one step, in a glance: a table whose cells are toned from the least number to the greatest.

import { formatNumber } from "../adamscope.player/chart.js";
import { element, swatch, write } from "../adamscope.player/dom.js";
import { colorOf } from "../adamscope.player/race.js";

const NUMBERED = 44; // px that a cell needs for the number in it
// One hue, and even steps of lightness for even shares: (lightness, chroma) in OKLCH of the least and of the greatest.
const HUE = 245;
const RAMP = { light: [[0.965, 0.012], [0.42, 0.11]], dark: [[0.27, 0.025], [0.87, 0.09]] };

/** The tone of a share from 0 to 1. */
function toneOf(share, theme) {
  const [least, most] = RAMP[theme.dark ? "dark" : "light"];
  const [lightness, chroma] = least.map((from, k) => from + share * (most[k] - from));
  return `oklch(${lightness.toFixed(4)} ${chroma.toFixed(4)} ${HUE})`;
}

/** onLayer(place, or "" for all of them) is told which layer is pressed. */
export function createStrip({ onLayer }) {
  const heading = element("h3");
  const [least, most, ramp] = [element("span"), element("span"), element("i.ramp")];
  const legend = element("span.toned", { "aria-hidden": "true" }, least, ramp, most);
  const [heads, body] = [element("tr"), element("tbody")];
  const table = element("table.numbers", {}, element("thead", {}, heads), body);
  const said = element("p.hint");
  const node = element("section.strip", { "aria-label": "Every layer at a glance" }, element("div.title", {}, heading, legend), table, said);

  const observer = new ResizeObserver(() => {
    const cells = table.querySelectorAll("tbody tr:first-child td");
    node.classList.toggle("numbered", cells.length > 0 && table.clientWidth > 0 && cells[0].clientWidth >= NUMBERED);
  });
  observer.observe(table);
  let built = "";
  let named = "";

  /** The columns' names are pressed and have the focus: they are built only for other columns. */
  function name(columns, chosen) {
    const key = JSON.stringify(columns);
    if (key !== named) {
      heads.replaceChildren(element("th"), ...columns.map(({ place, name: called }) => element("th", { scope: "col" },
        element("button.quiet", { type: "button", title: `Show ${place === "" ? "all layers together" : called} in the charts`, onclick: () => onLayer(place) }, called))));
    }
    named = key;
    heads.querySelectorAll("button").forEach((button, k) => button.setAttribute("aria-pressed", String(columns[k].place === chosen)));
  }

  return {
    node,
    /**
     * title and log: of the quantity; at: the step, in words; columns: [{place, name}], all together first; chosen: the place that the
     * charts show; rows: of each racer its numbers, or null where it diverged.
     */
    update({ run, theme, title, log, at, columns, chosen, rows }) {
      const key = JSON.stringify([run.id, run.racers.map(({ label }) => label), theme.dark, title, at, columns, chosen, rows]);
      if (key === built) return;
      built = key;
      const scale = log ? (value) => (value > 0 ? Math.log10(value) : NaN) : (value) => value;
      const known = rows.flatMap((row, racer) => (row ?? []).map((value, place) => ({ value, racer, place, height: scale(value) }))).filter(({ height }) => Number.isFinite(height));
      const heights = known.map(({ height }) => height);
      const [low, high] = [Math.min(...heights), Math.max(...heights)];
      const shareOf = (value) => (Number.isFinite(scale(value)) ? (high > low ? (scale(value) - low) / (high - low) : 0.5) : log && value === 0 ? 0 : NaN);
      write(heading, `${title}, layer by layer, ${at}`);
      legend.hidden = !known.length;
      [least, most].forEach((end, k) => write(end, known.length ? formatNumber(log ? 10 ** [low, high][k] : [low, high][k], 3) : ""));
      ramp.style.background = `linear-gradient(to right in oklch, ${toneOf(0, theme)}, ${toneOf(1, theme)})`;

      name(columns, chosen);
      body.replaceChildren(...run.racers.map((racer, k) => {
        const label = element("th", { scope: "row" }, element("span.name", {}, swatch(racer, colorOf(racer, theme), 26), racer.label));
        if (!rows[k]) return element("tr", {}, label, element("td.lost", { colspan: columns.length }, "diverged"));
        return element("tr", {}, label, ...rows[k].map((value, place) => {
          const share = shareOf(value);
          const tone = Number.isFinite(share) ? `background:${toneOf(share, theme)};color:${share > 0.5 ? "var(--paper)" : "var(--ink)"}` : "";
          return element("td", { style: tone, title: `${racer.label}, ${columns[place].name}: ${formatNumber(value, 4)}` }, element("span", {}, formatNumber(value, 2)));
        }));
      }));

      const layers = known.filter(({ place }) => columns[place].place !== "");
      const end = (sign) => layers.reduce((best, one) => (!best || sign * one.height > sign * best.height ? one : best), null);
      const spell = (one) => `${columns[one.place].name} of ${run.racers[one.racer].label}, ${formatNumber(one.value, 3)}`;
      write(said, layers.length > 1 ? `Largest in ${spell(end(1))}; smallest in ${spell(end(-1))}. Press a layer to see it in the charts.` : "");
    },
    stop: () => observer.disconnect(),
  };
}
