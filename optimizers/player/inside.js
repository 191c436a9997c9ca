// Why it moved so: the numbers inside one step, the formula with these numbers in it, one sentence.

import { formatNumber } from "./chart.js";
import { element, write } from "./dom.js";
import { formatSetting, hyperOf, lastStep } from "./race.js";
import { explain } from "./sentence.js";

const LINGER = 900; // ms a sentence stays while the race runs, as long as it is still true

const bracket = (z) => (z < 0 ? `(${formatNumber(z)})` : formatNumber(z));

/** Δx = … for one axis of step k, with numbers; only a form that gives this step's Δ. */
function worked(racer, k, axis) {
  const update = racer.value("update", k, axis);
  const direction = racer.value(racer.direction, k, axis);
  const lr = hyperOf(racer, "lr");
  const eps = hyperOf(racer, "eps") ?? 0;
  const outside = (hyperOf(racer, "eps_placement") ?? "outside") === "outside";
  const rooted = racer.rows.filter((row) => row.root);
  const root = rooted.length && outside ? Math.sqrt(racer.value(rooted[rooted.length - 1].slot, k, axis)) : null;
  const apart = racer.rows.some(({ slot }) => slot === "decay") ? racer.value("decay", k, axis) : 0; // a step of its own
  const agrees = (z) => Math.abs(z - update) <= 1e-3 * Math.abs(update) + 1e-30;
  const name = axis ? "Δy" : "Δx";
  if (root !== null && agrees((-lr * direction) / (root + eps))) {
    return `${name} = −${formatSetting(lr)} · ${bracket(direction)} / (${formatNumber(root)} + ${formatSetting(eps)}) = `;
  }
  const effective = racer.value("effective_lr", k, axis);
  const factor = formatSetting(Number(effective.toPrecision(4)));
  const rest = apart === 0 ? "" : ` − ${bracket(apart)}`;
  return agrees(-effective * direction - apart) ? `${name} = −${factor} · ${bracket(direction)}${rest} = ` : `${name} = `;
}

export function createInside({ clock }) {
  const heading = element("h3.split", {}, element("span"), element("span.term"));
  const table = element("table.numbers");
  const formula = element("div.formula", { role: "group", "aria-label": "The update with this step's numbers" });
  const sentence = element("p.sentence");
  const node = element("div.panel.step", {}, heading, table, formula, sentence);

  let race = null;
  let chosen = 0;
  let cells = [];
  let lines = [];
  let family = "";
  const ruler = document.createElement("canvas").getContext("2d");
  let rows = [];
  let shown = ""; // step and racer in the table
  let said = { key: null, since: 0 };

  function build() {
    const racer = race.racers[chosen];
    rows = [...racer.rows];
    if (!rows.some((row) => row.slot === "update")) rows.push({ slot: "update", label: "Δθ", note: "" });
    cells = [];
    table.replaceChildren(
      element("thead", {}, element("tr", {}, element("td"), ...["x", "y"].map((axis) => element("th", { scope: "col" }, axis)))),
      element("tbody", {}, ...rows.map((row) => {
        const pair = [element("td"), element("td")];
        cells.push(pair);
        return element(row.slot === "update" ? "tr.result" : "tr", {},
          element("th", { scope: "row" }, row.label, ...(row.note ? [" ", element("small", {}, row.note)] : [])), ...pair);
      })),
    );
    lines = [0, 1].map(() => {
      const sum = element("span");
      const result = element("b");
      return { node: element("div", {}, sum, result), sum, result };
    });
    formula.replaceChildren(...lines.map((line) => line.node));
    shown = "";
  }

  /** A line's width in ems: fonts differ too much to count its signs. */
  function ems({ sum, result }) {
    const wide = (node, weight) => {
      ruler.font = `${weight} 100px ${family}`;
      return ruler.measureText(node.textContent).width / 100;
    };
    family ||= getComputedStyle(formula).fontFamily;
    return 1.01 * (wide(sum, 400) + wide(result, 700)); // tabular figures may be a little wider
  }

  /** now: the whole step at which the racer stands. */
  function fill(now) {
    const racer = race.racers[chosen];
    const key = `${now} ${chosen}`;
    if (key === shown) return;
    shown = key;
    const gone = now > lastStep(race, racer);
    const ended = !gone && now >= race.steps; // no update leaves the race's last point: the one that led there is shown
    const k = ended ? race.steps - 1 : now;
    write(heading.firstChild, ended ? "Inside the last step" : `Inside step ${k}`);
    write(heading.lastChild, gone ? "" : `t = ${k + 1}`); // the update that leaves this step
    rows.forEach((row, r) => {
      for (const axis of [0, 1]) {
        const value = gone ? NaN : racer.value(row.slot, k, axis);
        write(cells[r][axis], formatNumber(row.root ? Math.sqrt(value) : value));
      }
    });
    const still = gone || Number.isNaN(racer.value("update", k, 0));
    lines.forEach((line, axis) => {
      write(line.sum, still ? (axis ? "Δy = " : "Δx = ") : worked(racer, k, axis));
      write(line.result, still ? "—" : formatNumber(racer.value("update", k, axis)));
    });
    formula.style.setProperty("--ems", Math.max(...lines.map(ems)));
    const time = performance.now();
    const hold = clock.playing && time - said.since < LINGER ? said.key : null;
    const told = explain(race, racer, now, hold);
    if (told.key !== said.key) said = { key: told.key, since: time };
    write(sentence, told.text);
  }

  const whole = (at) => Math.min(race.steps, Math.floor(at[chosen] + 1e-6));

  return {
    node,
    update(next) {
      ({ race, chosen } = next);
      build();
    },
    draw: (at) => fill(whole(at)),
  };
}
