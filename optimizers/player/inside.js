// Why it moved so: the numbers inside one step, the formula with these numbers in it, one sentence.

import { formatNumber } from "./chart.js";
import { bound, element, write } from "./dom.js";
import { lastStep } from "./race.js";
import { explain } from "./sentence.js";
import { factorsOf, linesOf, plain, textOf } from "./worked.js";

const LINGER = 900; // ms a sentence stays while the race runs, as long as it is still true
const SAID = 1500; // ms "copied" stays

export function createInside({ clock }) {
  const where = element("span");
  const time = element("span.term");
  const more = element("button.quiet", {
    type: "button", "aria-expanded": "false", title: "Every line of the rule, with this step's numbers", onclick: () => open(!isOpen),
  }, "all lines");
  const copied = element("button.quiet", { type: "button", title: "Copy these lines as plain text, six digits", onclick: copy }, "copy");
  const heading = element("div.heading", {}, element("h3", {}, where, " ", time), element("span.tools", {}, more, copied));
  const table = element("table.numbers");
  const formula = element("div.formula", { role: "group", "aria-label": "The update with this step's numbers" });
  const sentence = element("p.sentence");
  const room = element("div.room", {}, sentence); // for three lines: what stands below keeps its place
  const sheet = element("div.lines", { role: "region", "aria-label": "Every line of the rule, with this step's numbers", tabindex: 0, hidden: true });
  const node = element("div.panel.step", {}, heading, table, formula, room, sheet);
  sheet.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    open(false);
    more.focus();
  });

  let race = null;
  let chosen = 0;
  let isOpen = false;
  let step = null; // the one shown; null after a divergence
  let rows = []; // {slot, root, cells} or {factors}
  let lines = [];
  let family = "";
  let wide = ""; // the formula's width in ems
  let shown = ""; // step and racer in the table
  let built = ""; // which rows it has
  let said = { key: null, since: 0 };
  const ruler = document.createElement("canvas").getContext("2d");

  function open(on) {
    isOpen = on;
    sheet.hidden = !on;
    more.setAttribute("aria-expanded", String(on));
    if (on) sheet.style.top = `${heading.offsetTop + heading.offsetHeight + 2}px`;
    fillSheet();
  }

  async function copy() {
    if (step === null) return;
    const done = await toClipboard(textOf(race, race.racers[chosen], step), node);
    write(copied, done ? "copied" : "press Ctrl+C");
    setTimeout(() => write(copied, "copy"), SAID);
  }

  function build() {
    const racer = race.racers[chosen];
    shown = "";
    const factors = factorsOf(racer, 0);
    const key = JSON.stringify([racer.rows, factors.map(({ label }) => label), racer.program]);
    if (key === built) return;
    built = key;
    const uses = (slot) => JSON.stringify(racer.program?.lines.find((line) => line.name === slot)?.cases ?? "").includes('["**"');
    const found = racer.rows.findIndex(({ slot }) => uses(slot)); // the factors stand before what is divided by them
    const place = found < 0 ? racer.rows.findIndex(({ slot }) => slot === "effective_lr") : found;
    rows = [];
    const body = racer.rows.flatMap((row, index) => {
      const cells = [element("td"), element("td")];
      const line = element(row.slot === "update" ? "tr.result" : "tr", {},
        element("th", { scope: "row" }, row.label, ...(row.note ? [" ", element("small", {}, row.note)] : [])), ...cells);
      if (index !== place || !factors.length) {
        rows.push({ ...row, cells });
        return [line];
      }
      const values = factors.map(() => element("span"));
      rows.push({ factors: values }, { ...row, cells });
      const both = factors.map(({ label }, k) => element("span.factor", {}, label, " ", values[k]));
      return [element("tr.both", {}, element("td", { colspan: 3 }, element("div", {}, ...both))), line];
    });
    table.replaceChildren(
      element("thead", {}, element("tr", {}, element("td"), ...["x", "y"].map((axis) => element("th", { scope: "col" }, axis)))),
      element("tbody", {}, ...body),
    );
    lines = [0, 1].map(() => {
      const sum = element("span");
      const result = element("b");
      return { node: element("div", {}, sum, result), sum, result };
    });
    formula.replaceChildren(...lines.map((line) => line.node));
    more.hidden = copied.hidden = !racer.program;
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
    const still = gone || Number.isNaN(racer.value("update", k, 0));
    step = still ? null : k;
    write(where, ended ? "Inside the last step" : `Inside step ${k}`);
    write(time, gone ? "" : `t = ${k + 1}`); // the update that leaves this step
    for (const row of rows) {
      if (row.factors) factorsOf(racer, k).forEach(({ value }, index) => write(row.factors[index], gone ? "—" : formatNumber(value)));
      else {
        for (const axis of [0, 1]) {
          const value = gone ? NaN : racer.value(row.slot, k, axis);
          write(row.cells[axis], formatNumber(row.root ? Math.sqrt(value) : value));
        }
      }
    }
    const [moved, put] = still || !racer.program ? [] : linesOf(race, racer, k, { brief: true, only: "update" });
    lines.forEach((line, axis) => {
      const name = axis ? "Δy" : "Δx";
      const sum = moved ? `${moved.axes[axis].numbers} = ` : "";
      write(line.sum, `${name} = ${sum}${put ? `${plain(moved.axes[axis].value, 4)}, at the edge ` : ""}`);
      write(line.result, still ? "—" : formatNumber(racer.value("update", k, axis)));
    });
    const width = Math.max(...lines.map(ems)).toFixed(2);
    if (width !== wide) formula.style.setProperty("--ems", (wide = width)); // a new one costs a layout
    fillSheet();
    const clocked = performance.now();
    const hold = clock.playing && clocked - said.since < LINGER ? said.key : null;
    const told = explain(race, racer, now, hold);
    if (told.key !== said.key) said = { key: told.key, since: clocked };
    write(sentence, bound(told.text));
  }

  function fillSheet() {
    if (!isOpen) return;
    const racer = race.racers[chosen];
    if (step === null || !racer.program) sheet.replaceChildren(element("p", {}, "It has diverged: there is no step here. Go back to see one."));
    else {
      sheet.replaceChildren(...linesOf(race, racer, step).map(({ symbol, formula: right, axes }) => element("div.line", {},
        element("p.rule", {}, `${symbol} = ${right}`),
        ...axes.map(({ axis, numbers, value }) => {
          const result = formatNumber(value);
          const same = numbers === plain(value, 4) || numbers === result;
          return element("p", {}, element("i", {}, axis || " "), element("span", {}, same ? "" : `${numbers} = `, element("b", {}, result)));
        }))));
    }
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

/** Copy text; where the page may not (plain http on a classroom's network), by way of a selection. */
async function toClipboard(text, node) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const holder = element("textarea", { style: "position:fixed;opacity:0" });
    holder.value = text;
    const focused = node.getRootNode().activeElement;
    node.append(holder);
    holder.select();
    const done = document.execCommand("copy");
    holder.remove();
    focused?.focus();
    return done;
  }
}
