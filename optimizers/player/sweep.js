// The sweep map: how the chosen racer fares with every pair of values of two hyperparameters; press one, and it races.

import { formatNumber, linearTicks } from "./chart.js";
import { bound, element, write } from "./dom.js";
import { colorOf, formatSetting } from "./race.js";
import { notationOf } from "./slider.js";

// From the least loss to the most, as in the pictures of optimizers.figures.
const TONES = {
  light: ["#173a5e", "#3f7cac", "#95bcd0", "#d8e0d8", "#f6ead2"],
  dark: ["#d9f0ff", "#7fc0ea", "#3f7cac", "#24425c", "#1b2027"],
};
const MARGIN = { left: 44, right: 10, top: 6, bottom: 34 }; // px around the cells
const HATCH = 6; // px between the lines over what diverges
const FAR = 4; // cells the best of one side must move to be worth a sentence
const STRIDE = 5; // cells an arrow key goes with Shift

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const toneAt = (tones, share) => {
  const at = Math.max(0, Math.min(1, share)) * (tones.length - 1);
  const k = Math.min(tones.length - 2, Math.floor(at));
  return tones[k].map((c, i) => c + (tones[k + 1][i] - c) * (at - k));
};
const clamp = (z, low, high) => Math.max(low, Math.min(high, z));
const wordOf = (value) => (typeof value === "number" ? formatSetting(Number(value.toPrecision(6))) : notationOf(value));

/** How a value lies along its axis, for the places between two cells. */
const bend = { log: (z) => Math.log(Math.max(z, 1e-300)), one_minus_log: (z) => -Math.log(Math.max(1 - z, 1e-300)), linear: (z) => z };

/** Place of a value along an axis in cells, its first value at 0; beyond its ends it stands at them. */
function placeOf({ values, scale }, value) {
  if (scale === "choice" || typeof value !== "number") return Math.max(0, values.indexOf(value));
  const to = bend[scale] ?? bend.linear;
  const [first, last] = [to(values[0]), to(values[values.length - 1])];
  return clamp((to(value) - first) / (last - first || 1), 0, 1) * (values.length - 1);
}

/** Marks of an axis: {value, label}. */
function ticksOf({ values, scale }) {
  const [low, high] = [values[0], values[values.length - 1]];
  if (scale === "choice" || typeof low !== "number") return values.map((value) => ({ value, label: notationOf(value) }));
  if (scale === "one_minus_log") {
    return [0, 0.9, 0.99, 0.999, 0.9999].filter((z) => z >= low && z <= high).map((value) => ({ value, label: String(value) }));
  }
  if (scale !== "log") return linearTicks(low, high, 5);
  const [from, to] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const stride = Math.ceil((to - from + 1) / 6);
  const ticks = [];
  for (let e = to; e >= from; e -= stride) ticks.unshift({ value: 10 ** e, label: formatSetting(10 ** e) });
  return ticks;
}

/** What each cell's loss is on the map: 0 the least, 1 the most, NaN where it diverges. */
function shadesOf({ values, x, y, lowest }) {
  const losses = values.subarray(0, x.values.length * y.values.length);
  const sound = [...losses].filter((z) => !Number.isNaN(z));
  const height = lowest === null ? (z) => z : (z) => Math.log10(Math.max(z - lowest, 1e-16 * Math.max(1, Math.abs(lowest))));
  const heights = sound.map(height).filter(Number.isFinite).sort((a, b) => a - b);
  const quantile = (share) => heights[Math.round(share * (heights.length - 1))] ?? 0;
  const [low, high] = [quantile(0.01), quantile(0.97)];
  const span = Math.max(high - low, lowest === null ? 1e-12 : 0.3);
  return { losses, shades: Float64Array.from(losses, (z) => (height(z) - low) / span), low, high, logs: lowest !== null };
}

/** What to look at on this map, in a sentence or two that its numbers say. */
export function sweepSentence(sweep) {
  const { x, y, values, best, steps } = sweep;
  const [columns, rows] = [x.values.length, y.values.length];
  const all = columns * rows;
  const loss = (row, column) => values[row * columns + column];
  let lost = 0;
  let arrived = 0;
  for (let k = 0; k < all; k++) {
    lost += Number.isNaN(values[k]);
    arrived += values[all + k] >= 0;
  }
  if (lost === all) return "From this start every pair diverges.";
  const said = [];
  // From which column on does every row diverge, and up to which does none?
  const lostIn = (column) => Array.from({ length: rows }, (_, row) => Number.isNaN(loss(row, column))).filter(Boolean).length;
  if (lost) {
    let first = 0;
    while (first < columns && !lostIn(first)) first += 1;
    const share = `${lost.toLocaleString("en")} of ${all.toLocaleString("en")} pairs diverge`;
    said.push(x.scale !== "choice" && first > 0 ? `${share}, none with ${x.symbol} below ${wordOf(x.values[first])}.` : `${share}.`);
  } else {
    const share = arrived ? `${arrived.toLocaleString("en")} of ${all.toLocaleString("en")} arrive within ${steps} steps` : `none arrives within ${steps} steps`;
    said.push(`No pair diverges, ${share}.`);
  }
  // Where the best of each row lies, low rows against high ones.
  if (x.scale !== "choice" && y.scale !== "choice" && rows >= 12) {
    const places = Array.from({ length: rows }, (_, row) => {
      let place = -1;
      for (let column = 0; column < columns; column++) if (loss(row, column) < (place < 0 ? Infinity : loss(row, place))) place = column;
      return place;
    }).map((place, row) => ({ place, row })).filter(({ place }) => place >= 0);
    const middle = (part) => part.map(({ place }) => place).sort((a, b) => a - b)[part.length >> 1];
    const third = Math.floor(places.length / 3);
    if (third >= 3) {
      const [below, between, above] = [middle(places.slice(0, third)), middle(places.slice(third, -third)), middle(places.slice(-third))];
      const steady = (between - below) * (above - between) >= 0; // one way, and not there and back
      const close = [below, between, above].every((place) => Math.abs(place - best[1]) < FAR);
      const [from, to] = [wordOf(x.values[below]), wordOf(x.values[above])];
      if (Math.abs(above - below) >= FAR && steady) said.push(`The larger ${y.symbol}, the ${above < below ? "smaller" : "larger"} the best ${x.symbol}: from ${from} to ${to}.`);
      else if (close) said.push(`The best ${x.symbol} is near ${wordOf(x.values[best[1]])} whatever ${y.symbol} is.`);
    }
  }
  return said.join(" ");
}

/**
 * The panel. change(edit, final) edits the question, as for a slider; setLook({sweep}) takes other axes; onCell() is
 * called when a cell has been chosen, so that its race plays.
 */
export function createSweep({ change, setLook, onCell }) {
  const sentence = element("p.sentence", { "aria-live": "polite" });
  const across = element("select", { "aria-label": "Across: the hyperparameter from left to right" });
  const up = element("select", { "aria-label": "Up: the hyperparameter from bottom to top" });
  const axes = element("div.axes", {}, up, element("span", { "aria-hidden": "true" }, "against"), across);
  const canvas = element("canvas.cells", { tabindex: 0, role: "application" });
  const readout = element("p.cell", { "aria-live": "polite" });
  const ramp = element("i.ramp");
  const [least, most] = [element("span"), element("span")];
  const legend = element("div.legend", { "aria-hidden": "true" },
    element("span.item", {}, least, ramp, most),
    element("span.item.diverged", {}, element("i.lost"), "diverges"),
    element("span.item", {}, element("i.ring"), "best"),
    element("span.item", {}, element("i.present"), "now"));
  const node = element("div.panel.sweep", {}, axes, canvas, readout, legend, sentence);

  let context = null;
  let sweep = null; // the map shown; null while there is none
  let shades = null;
  let picture = null; // a pixel a cell
  let painted = "";
  let offered = "";
  let hand = null; // {row, column} under a pressed pointer
  let hover = null;
  let moving = 0; // timer of an arrow key's rest

  const racer = () => context.race.racers[context.chosen];
  const ground = () => (context.race.surface.f ? [] : context.race.surface.hyper);
  const valueOf = ({ name, of }) => (of === "racer" ? racer().hyper : ground()).find((hyper) => hyper.name === name)?.value;

  /** Where the cells lie on the canvas, px. */
  function area() {
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    return { left: MARGIN.left, top: MARGIN.top, width: Math.max(1, width - MARGIN.left - MARGIN.right), height: Math.max(1, height - MARGIN.top - MARGIN.bottom) };
  }

  /** The middle of a place in cells, px. */
  function spot(row, column) {
    const { left, top, width, height } = area();
    return [left + ((column + 0.5) / sweep.x.values.length) * width, top + height - ((row + 0.5) / sweep.y.values.length) * height];
  }

  function cellAt(event) {
    const box = canvas.getBoundingClientRect();
    const { left, top, width, height } = area();
    const [columns, rows] = [sweep.x.values.length, sweep.y.values.length];
    const column = Math.floor(((event.clientX - box.left - left) / width) * columns);
    const row = Math.floor((1 - (event.clientY - box.top - top) / height) * rows);
    return { row: clamp(row, 0, rows - 1), column: clamp(column, 0, columns - 1), inside: column >= 0 && row >= 0 && column < columns && row < rows };
  }

  const present = () => ({ row: placeOf(sweep.y, valueOf(sweep.y)), column: placeOf(sweep.x, valueOf(sweep.x)) });

  /** Put a cell's values into the question. */
  function choose({ row, column }, final) {
    const { x, y } = sweep;
    const chosen = context.chosen;
    change((question) => {
      for (const [axis, at] of [[x, column], [y, row]]) {
        const owner = axis.of === "racer" ? question.racers[chosen] : question.surface;
        const hyper = owner?.hyper.find(({ name }) => name === axis.name);
        if (hyper) hyper.value = axis.values[at];
      }
    }, final);
  }

  function paint() {
    const { x, y } = sweep;
    const [columns, rows] = [x.values.length, y.values.length];
    shades = shadesOf(sweep);
    picture = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
    const q = picture.getContext("2d");
    const image = q.createImageData(columns, rows);
    const tones = TONES[context.theme.dark ? "dark" : "light"].map(rgb);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const shade = shades.shades[row * columns + column];
        const p = 4 * ((rows - 1 - row) * columns + column);
        if (Number.isNaN(shade)) continue; // bare paper, hatched
        image.data.set([...toneAt(tones, shade), 255], p);
      }
    }
    q.putImageData(image, 0, 0);
    const name = (height) => (shades.logs ? formatNumber(10 ** height, 1).replace(/^1×/, "") : formatNumber(height, 3));
    write(least, `loss ${name(shades.low)}`);
    write(most, name(shades.high));
    ramp.style.background = `linear-gradient(to right, ${TONES[context.theme.dark ? "dark" : "light"].join(",")})`;
    legend.querySelector(".diverged").hidden = ![...shades.losses].some(Number.isNaN);
    write(sentence, bound(sweepSentence(sweep)));
  }

  function hatch(q) {
    const { left, top, width, height } = area();
    const [columns, rows] = [sweep.x.values.length, sweep.y.values.length];
    q.save();
    q.beginPath();
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        if (!Number.isNaN(shades.losses[row * columns + column])) continue;
        const [x0, x1] = [Math.floor(left + (column / columns) * width), Math.ceil(left + ((column + 1) / columns) * width)];
        const [y0, y1] = [Math.floor(top + height - ((row + 1) / rows) * height), Math.ceil(top + height - (row / rows) * height)];
        q.rect(x0, y0, x1 - x0, y1 - y0);
      }
    }
    q.clip();
    q.beginPath();
    for (let x = left - height; x < left + width; x += HATCH) {
      q.moveTo(x, top + height);
      q.lineTo(x + height, top);
    }
    q.lineWidth = 1;
    q.globalAlpha = 0.5;
    q.strokeStyle = context.theme.mute;
    q.stroke();
    q.restore();
  }

  function labels(q) {
    const { theme } = context;
    const { left, top, width, height } = area();
    q.font = `${Math.max(11, theme.size * 0.85)}px ${theme.family}`;
    q.fillStyle = theme.mute;
    q.strokeStyle = theme.line;
    q.lineWidth = 1;
    q.textBaseline = "middle";
    q.textAlign = "right";
    for (const { value, label } of ticksOf(sweep.y)) q.fillText(label, left - 6, clamp(spot(placeOf(sweep.y, value), 0)[1], top + 5, top + height - 4));
    q.textBaseline = "alphabetic";
    q.textAlign = "center";
    for (const { value, label } of ticksOf(sweep.x)) {
      const half = q.measureText(label).width / 2;
      q.fillText(label, Math.min(spot(0, placeOf(sweep.x, value))[0], left + width + MARGIN.right - half), top + height + 14);
    }
    q.fillStyle = theme.ink;
    q.textAlign = "right";
    q.fillText(`${sweep.x.symbol} →`, left + width, top + height + 29);
    q.textAlign = "left";
    q.fillText(`↑ ${sweep.y.symbol}`, 2, top + height + 29);
  }

  /** A ring that shows on every tone. */
  function ring(q, [x, y], radius, color, fill) {
    q.beginPath();
    q.arc(x, y, radius, 0, 2 * Math.PI);
    q.lineWidth = 4.5;
    q.strokeStyle = context.theme.paper;
    q.stroke();
    if (fill) {
      q.fillStyle = fill;
      q.fill();
    }
    q.lineWidth = 2;
    q.strokeStyle = color;
    q.stroke();
  }

  function crosshair(q) {
    const { left, top, width, height } = area();
    const now = hand ?? present();
    const [x, y] = spot(now.row, now.column);
    for (const [color, thick] of [[context.theme.paper, 3], [colorOf(racer(), context.theme), 1]]) {
      q.globalAlpha = thick === 3 ? 0.6 : 1;
      q.strokeStyle = color;
      q.lineWidth = thick;
      q.beginPath();
      q.moveTo(x, top);
      q.lineTo(x, top + height);
      q.moveTo(left, y);
      q.lineTo(left + width, y);
      q.stroke();
    }
    q.globalAlpha = 1;
    if (sweep.best) ring(q, spot(...sweep.best), 6.5, context.theme.ink);
    const color = colorOf(racer(), context.theme);
    ring(q, [x, y], 4.5, color, racer().hollow ? context.theme.paper : color);
  }

  function render() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    const now = sweep && (hand ?? present());
    const key = `${sweep?.id} ${width} ${height} ${ratio} ${JSON.stringify(context.theme)} ${now?.row} ${now?.column} ${racer().label} ${racer().hollow}`;
    if (key === painted) return;
    painted = key;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    }
    const q = canvas.getContext("2d");
    q.setTransform(ratio, 0, 0, ratio, 0, 0);
    q.clearRect(0, 0, width, height);
    if (!sweep) return;
    const { left, top, width: across_, height: up_ } = area();
    q.imageSmoothingEnabled = false;
    q.drawImage(picture, left, top, across_, up_);
    hatch(q);
    labels(q);
    crosshair(q);
  }

  /** What a cell says, or where the racer stands now. */
  function say() {
    const progress = context.work.sweep;
    if (progress?.problem) return write(readout, progress.problem);
    if (!sweep) return write(readout, progress?.of ? `Walking every pair … ${Math.round((100 * progress.done) / progress.of)} %` : "Walking every pair …");
    const at = hand ?? hover;
    const { row, column } = at ?? (sweep.best ? { row: sweep.best[0], column: sweep.best[1] } : { row: 0, column: 0 });
    const k = row * sweep.x.values.length + column;
    const soon = sweep.values[shades.losses.length + k];
    const loss = shades.losses[k];
    const pair = `${sweep.x.symbol} ${wordOf(sweep.x.values[column])}, ${sweep.y.symbol} ${wordOf(sweep.y.values[row])}`;
    const ends = Number.isNaN(loss) ? "diverges" : `loss ${formatNumber(loss, 3)}${soon >= 0 ? `, arrives at step ${soon}` : ", does not arrive"}`;
    return write(readout, `${at ? "" : "Best: "}${pair}: ${ends}`);
  }

  /** The two lists: whatever the racer and its surface have. */
  function offer() {
    const named = (hyper, of) => ({ name: hyper.name, word: hyper.symbol === hyper.name ? hyper.name : `${hyper.symbol}  ${hyper.name}`, of });
    const all = [...racer().hyper.map((hyper) => named(hyper, racer().title)), ...ground().map((hyper) => named(hyper, context.race.surface.title))];
    const key = JSON.stringify(all);
    if (key !== offered) {
      for (const list of [across, up]) {
        list.replaceChildren(...[...new Set(all.map(({ of }) => of))].map((of) =>
          element("optgroup", { label: of }, ...all.filter((one) => one.of === of).map(({ name, word }) => element("option", { value: name }, word)))));
      }
      offered = key;
    }
    const [x, y] = sweep ? [sweep.x.name, sweep.y.name] : context.look.sweep;
    if (x) across.value = x;
    if (y) up.value = y;
  }

  /** Take other axes; choosing what the other side has, one exchanges the two. */
  function turn(list, other) {
    const before = sweep ? [sweep.x.name, sweep.y.name] : context.look.sweep;
    if (list.value === other.value) other.value = before[list === across ? 0 : 1];
    setLook({ sweep: [across.value, up.value] });
  }
  across.addEventListener("change", () => turn(across, up));
  up.addEventListener("change", () => turn(up, across));

  function refresh() {
    render();
    say();
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!sweep || event.button !== 0 || !cellAt(event).inside) return;
    canvas.setPointerCapture(event.pointerId);
    hand = cellAt(event);
    choose(hand, false);
    refresh();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!sweep) return;
    const cell = cellAt(event);
    hover = cell.inside ? cell : null;
    if (hand && (cell.row !== hand.row || cell.column !== hand.column)) {
      hand = cell;
      choose(hand, false);
    }
    refresh();
  });
  canvas.addEventListener("pointerleave", () => {
    hover = null;
    if (context) refresh();
  });
  const release = () => {
    if (!hand) return;
    const cell = hand;
    hand = null;
    choose(cell, true);
    onCell();
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);

  canvas.addEventListener("keydown", (event) => {
    if (!sweep || event.altKey || event.ctrlKey || event.metaKey) return;
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[event.key];
    if (move) {
      const stride = event.shiftKey ? STRIDE : 1;
      const now = hand ?? present();
      hand = {
        row: clamp(Math.round(now.row) + move[0] * stride, 0, sweep.y.values.length - 1),
        column: clamp(Math.round(now.column) + move[1] * stride, 0, sweep.x.values.length - 1),
      };
      choose(hand, false);
      clearTimeout(moving);
      moving = setTimeout(rest, 300);
    } else if (event.key === "Enter") {
      if (hand) rest();
      onCell();
    } else return;
    event.preventDefault();
    event.stopPropagation();
    refresh();
  });
  /** No arrow key for a moment: that is the pair. */
  function rest() {
    clearTimeout(moving);
    if (!hand) return;
    const cell = hand;
    hand = null;
    choose(cell, true);
  }
  canvas.addEventListener("blur", rest);

  const observer = new ResizeObserver(() => context && refresh());
  observer.observe(canvas);

  return {
    node,
    update(next) {
      const given = next.work.sweep;
      const mine = given?.values && given.racer.split("(")[0] === next.race.racers[next.chosen].name ? given : null;
      // Another map comes, or none yet, while a hand is on this one: the pair it stands on is what it chose.
      if (hand && (mine?.x.name !== sweep.x.name || mine.y.name !== sweep.y.name)) rest();
      context = next;
      const dark = picture && picture.dark !== next.theme.dark;
      if (mine && (mine.id !== sweep?.id || dark)) {
        sweep = mine;
        paint();
        picture.dark = next.theme.dark;
      } else sweep = mine;
      if (!sweep) write(sentence, "");
      legend.hidden = !sweep;
      canvas.setAttribute("aria-label", sweep
        ? `Sweep map of ${racer().label}: ${sweep.x.name} across, ${sweep.y.name} up. Arrow keys choose a pair, Enter plays it.`
        : "Sweep map, being computed");
      offer();
      refresh();
    },
    draw() {},
    stop() {
      clearTimeout(moving);
      observer.disconnect();
    },
  };
}
