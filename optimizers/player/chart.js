// Line charts on a canvas: loss beside the race, curves of a training run. Knows no framework and fetches nothing.

const MARGIN = { top: 8, right: 10, bottom: 20, left: 46 };
const SUPERSCRIPT = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

const minus = (text) => text.replace("-", "−");
const power = (exponent) => "10" + [...String(exponent)].map((sign) => SUPERSCRIPT[sign]).join("");

/** "−0.5646"; 1.234×10⁻⁸ below 10⁻⁴ and from 10⁶ on; "—" for NaN. */
export function formatNumber(z, digits = 4) {
  if (Number.isNaN(z) || z === null || z === undefined) return "—";
  if (!Number.isFinite(z)) return z < 0 ? "−∞" : "∞";
  if (z === 0) return "0";
  z = Number(z.toPrecision(Math.max(digits, 6))); // so that two values equal in float32 print alike, ties included
  if (Math.abs(z) < 1e-4 || Math.abs(z) >= 1e6) {
    const [mantissa, exponent] = z.toExponential(digits - 1).split("e");
    return minus(mantissa) + "×" + power(Number(exponent));
  }
  const text = z.toPrecision(digits);
  return minus(text.includes("e") ? z.toFixed(0) : text); // 12345 keeps its digits, JavaScript would write 1.235e+4
}

/** About `most` round numbers within [low, high] and never fewer than two, each with its label. */
export function linearTicks(low, high, most = 6) {
  const rough = (high - low) / Math.max(1, most - 1);
  const unit = 10 ** Math.floor(Math.log10(rough));
  if (!(unit > 0) || !Number.isFinite(unit)) return [];
  const holds = (step) => Math.floor(high / step + 1e-9) - Math.ceil(low / step - 1e-9) >= 1;
  const steps = [10, 5, 2, 1, 0.5, 0.2].map((k) => k * unit);
  const fit = steps.filter((step) => step >= rough * (1 - 1e-9)).pop();
  const step = holds(fit) ? fit : (steps.find((smaller) => smaller < fit && holds(smaller)) ?? fit);
  const decimals = Math.min(20, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
  const label = (v) => {
    if (v !== 0 && (Math.abs(v) >= 1e6 || step < 1e-4)) return formatNumber(v, 2);
    const text = minus(v.toFixed(decimals));
    return Math.abs(v) >= 1e4 ? text.replace(/\B(?=(\d{3})+$)/g, "\u202f") : text;
  };
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) {
    ticks.push({ value: k * step, label: k === 0 ? "0" : label(k * step) });
  }
  return ticks;
}

/** Powers of ten within [low, high]; where there is room, their 2- and 5-fold as well, or round numbers. */
export function logTicks(low, high, most = 6) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const stride = Math.max(1, Math.ceil((last - first + 1) / most));
  if (last - first >= 1 && (last - first + 1) * 3 > most) {
    const ticks = [];
    for (let e = Math.ceil(first / stride) * stride; e <= last; e += stride) {
      ticks.push({ value: 10 ** e, label: e === 0 ? "1" : e === 1 ? "10" : power(e) });
    }
    return ticks;
  }
  const near = [];
  for (let e = first - 1; e <= last; e++) {
    for (const k of [1, 2, 5]) {
      const value = k * 10 ** e;
      if (value >= low && value <= high) near.push({ value, label: formatNumber(value, 1) });
    }
  }
  return near.length >= 2 ? near : linearTicks(low, high, most);
}

function yExtent(series, [x0, x1], log) {
  let low = Infinity;
  let high = -Infinity;
  for (const { x, y } of series) {
    for (let i = 0; i < y.length; i++) {
      if (!Number.isFinite(y[i]) || (log && y[i] <= 0) || x[i] < x0 || x[i] > x1) continue;
      if (y[i] < low) low = y[i];
      if (y[i] > high) high = y[i];
    }
  }
  if (low > high) return log ? [0.1, 1] : [0, 1];
  if (log) {
    const pad = low === high ? 2 : (high / low) ** 0.05;
    return [low / pad, high * pad];
  }
  const pad = low === high ? Math.abs(low) / 2 || 1 : (high - low) * 0.05;
  return [low - pad, high + pad];
}

/** One polyline. Within a pixel column only first, lowest, highest and last are drawn, so 100,000 points stay fast. */
function trace(q, { x, y }, toX, toY, log) {
  let pen = false; // is the line under way?
  let column = NaN;
  let first = 0, low = 0, high = 0, last = 0;
  const flush = () => {
    if (Number.isNaN(column)) return;
    pen ? q.lineTo(column, first) : q.moveTo(column, first);
    if (high !== first) q.lineTo(column, high);
    if (low !== high) q.lineTo(column, low);
    q.lineTo(column + 0.01, last); // not quite of length zero: a lone point still leaves a dot
    pen = true;
    column = NaN;
  };
  q.beginPath();
  for (let i = 0; i < y.length; i++) {
    if (!Number.isFinite(y[i]) || !Number.isFinite(x[i]) || (log && y[i] <= 0)) {
      flush();
      pen = false; // a gap: a diverged run is not joined up
      continue;
    }
    const px = Math.round(toX(x[i]) * 2) / 2;
    const py = Math.max(-1e5, Math.min(1e5, toY(y[i]))); // canvas loses paths that run too far outside
    if (px !== column) {
      flush();
      column = px;
      first = low = high = last = py;
    } else {
      if (py < low) low = py;
      if (py > high) high = py;
      last = py;
    }
  }
  flush();
  q.stroke();
}

const CORNERS = { // of markers, in units of a circle's radius that looks as large
  square: [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
  triangle: [[0, -1.2], [1.1, 0.8], [-1.1, 0.8]],
  diamond: [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
};

/** Begin a marker's path. */
function outline(q, shape, x, y, radius) {
  q.beginPath();
  if (!CORNERS[shape]) return q.arc(x, y, radius, 0, 2 * Math.PI);
  for (const [dx, dy] of CORNERS[shape]) q.lineTo(x + radius * dx, y + radius * dy);
  return q.closePath();
}

/** The band around a line, from its lowest to its highest; a gap where there is no number. */
function fill(q, { x, band, color }, toX, toY, log) {
  const known = (i) => Number.isFinite(band.low[i]) && Number.isFinite(band.high[i]) && !(log && band.low[i] <= 0);
  const alpha = q.globalAlpha;
  q.globalAlpha = 0.14 * alpha;
  q.fillStyle = color;
  for (let from = 0; from < x.length; from++) {
    if (!known(from)) continue;
    let to = from;
    while (to + 1 < x.length && known(to + 1)) to += 1;
    q.beginPath();
    for (let i = from; i <= to; i++) q.lineTo(toX(x[i]), toY(band.high[i]));
    for (let i = to; i >= from; i--) q.lineTo(toX(x[i]), toY(band.low[i]));
    q.fill();
    from = to;
  }
  q.globalAlpha = alpha;
}

/**
 * Draw a chart that fills the canvas. Options: series [{x, y, color, dash = [], width = 2, alpha = 1, marker = 0 (radius), hollow = false,
 * shape = "circle" (of the marker, or "square", "triangle", "diamond"), band = null ({low, high} around y)}] with x ascending; xRange [a, b]; yRange [a, b] or null (from the data); yLog; cursor (x or null); gridColor, textColor,
 * cursorColor, background (fills hollow markers); xLabel; xTicks and yTicks [{value, label}]; font; left, right and bottom (px kept free).
 * Returns {x(v), y(v), toX(px), area, width}: values to CSS pixels of the canvas and back.
 */
export function drawLines(canvas, options) {
  const { series, xRange, yLog = false, cursor = null, gridColor, textColor, xLabel = "" } = options;
  const font = options.font ?? "11px system-ui, sans-serif";
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const left = options.left ?? MARGIN.left;
  const area = { left, top: MARGIN.top, right: width - (options.right ?? MARGIN.right), bottom: height - (options.bottom ?? MARGIN.bottom) };
  const [x0, x1] = xRange[1] > xRange[0] ? xRange : [xRange[0], xRange[0] + 1];
  const [y0, y1] = options.yRange ?? yExtent(series, [x0, x1], yLog);
  const scale = yLog ? Math.log10 : (v) => v;
  const toX = (v) => area.left + ((v - x0) / (x1 - x0)) * (area.right - area.left);
  const toY = (v) => area.bottom - ((scale(v) - scale(y0)) / (scale(y1) - scale(y0))) * (area.bottom - area.top);

  const q = canvas.getContext("2d");
  q.setTransform(ratio, 0, 0, ratio, 0, 0);
  q.clearRect(0, 0, width, height);
  q.font = font;
  q.fillStyle = textColor;
  q.strokeStyle = gridColor;
  q.lineWidth = 1;
  q.textBaseline = "middle";
  q.textAlign = "right";
  const rows = Math.max(2, Math.min(7, Math.floor((area.bottom - area.top) / 22)));
  for (const { value, label } of options.yTicks ?? (yLog ? logTicks(y0, y1, rows) : linearTicks(y0, y1, rows))) {
    const y = Math.round(toY(value)) + 0.5;
    q.beginPath();
    q.moveTo(area.left, y);
    q.lineTo(area.right, y);
    q.stroke();
    q.fillText(label, area.left - 7, y);
  }
  q.textBaseline = "alphabetic";
  const labelEnd = xLabel ? area.right - q.measureText(xLabel).width - 10 : Infinity;
  const columns = Math.max(2, Math.min(6, Math.floor((area.right - area.left) / 60)));
  for (const { value, label } of options.xTicks ?? linearTicks(x0, x1, columns)) {
    const half = q.measureText(label).width / 2;
    const middle = Math.min(toX(value), width - half);
    q.textAlign = "center";
    if (middle + half < labelEnd) q.fillText(label, middle, height - 5);
  }
  q.textAlign = "right";
  q.fillText(xLabel, area.right, height - 5);

  q.save();
  q.beginPath();
  q.rect(area.left - 6, 0, area.right - area.left + 12, area.bottom + 6); // room for markers that lie on the edge
  q.clip();
  q.lineJoin = "round";
  q.lineCap = "round";
  for (const line of series) {
    q.globalAlpha = line.alpha ?? 1;
    q.strokeStyle = line.color;
    q.lineWidth = line.width ?? 2;
    q.lineCap = (line.dash ?? []).every((length) => length >= 1) && line.dash?.length ? "butt" : "round"; // 0.1 is a dot
    if (line.band) fill(q, line, toX, toY, yLog);
    q.setLineDash(line.dash ?? []);
    trace(q, line, toX, toY, yLog);
    q.setLineDash([]);
    for (let i = 0; line.marker && i < line.y.length; i++) {
      if (!Number.isFinite(line.y[i]) || (yLog && line.y[i] <= 0)) continue;
      outline(q, line.shape, toX(line.x[i]), toY(line.y[i]), line.marker);
      q.fillStyle = line.hollow ? (options.background ?? "#fff") : line.color;
      q.fill();
      q.stroke();
    }
  }
  q.restore();

  if (cursor !== null && cursor >= x0 && cursor <= x1) {
    q.strokeStyle = options.cursorColor ?? textColor;
    q.lineWidth = 1;
    q.beginPath();
    q.moveTo(Math.round(toX(cursor)) + 0.5, area.top);
    q.lineTo(Math.round(toX(cursor)) + 0.5, area.bottom);
    q.stroke();
  }
  return { x: toX, y: toY, area, width, toX: (px) => x0 + ((px - area.left) / (area.right - area.left)) * (x1 - x0) };
}
