// The few words the player builds its page with.

/** element("button.quiet", {title: "Play", onclick: play}, "text", child): attributes, on… handlers, children. */
export function element(selector, attributes = {}, ...children) {
  const [tag, ...classes] = selector.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Write text only where it changed, and into the text that stands there: tables are rewritten at every step of a race. */
export function write(node, text) {
  const only = node.firstChild;
  if (only instanceof Text && only === node.lastChild) {
    if (only.data !== text) only.data = text;
  } else if (node.textContent !== text) node.textContent = text;
}

/** Give a field or a list its value only where that is another: a browser looks for addresses to fill in after every one given. */
export function put(node, value) {
  if (node.value !== String(value)) node.value = value;
}

/** Set an attribute only where it changed: the same again costs as much style and layout as another. */
export function mark(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** Hide a node or show it, only where it is not so yet. */
export function hide(node, on) {
  if (node.hidden !== on) node.hidden = on;
}

/** A sentence whose numbers stay with their signs: no line begins with %, × or =, or ends before what they stand to. */
export const bound = (text) => text.replace(/(?<=[\d)|]) (?=[%×])|(?<=[=≈×]) | (?=[=≈])|(?<=\b(?:step|steps|lr|t|noise)) (?=\d)/g, "\u00a0");

const ICONS = {
  first: "M4 3v10M13 3.2v9.6L6 8z",
  back: "M10.5 3 5 8l5.5 5",
  forward: "M5.5 3 11 8l-5.5 5",
  play: "M4.6 2.6v10.8L13.4 8z",
  pause: "M4 3h2.8v10H4zM9.2 3H12v10H9.2z",
  again: "M12.6 5.4A5.2 5.2 0 1 0 13.2 8M13 2.4v3.2H9.8",
  loop: "M3 9V8a3 3 0 0 1 3-3h7M10.8 2.6 13.2 5l-2.4 2.4M13 7v1a3 3 0 0 1-3 3H3M5.2 13.4 2.8 11l2.4-2.4",
  flag: "M4.5 14V2.5M4.5 3h7.5l-2 2.8 2 2.8H4.5",
  seen: "M1.5 8S4 3.8 8 3.8 14.5 8 14.5 8 12 12.2 8 12.2 1.5 8 1.5 8zM8 6.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6z",
  unseen: "M1.5 7.5S4 11.2 8 11.2s6.5-3.7 6.5-3.7M3.6 10 2.4 11.8M8 11.2v2.3M12.4 10l1.2 1.8",
  more: "M3 8h.01M8 8h.01M13 8h.01",
  close: "M4 4l8 8M12 4l-8 8",
};

/** A line drawing of 16 by 16, in the text's colour. */
export function icon(name) {
  const holder = element("span.icon", { "aria-hidden": "true" });
  holder.innerHTML = `<svg viewBox="0 0 16 16"><path d="${ICONS[name]}"/></svg>`;
  return holder;
}

/** The racer's line as a small sample: colour, dash, and a hollow or solid end. */
export function swatch(racer, color, width = 28) {
  const holder = element("span.swatch", { "aria-hidden": "true" });
  const period = racer.dash.reduce((sum, length) => sum + length, 0);
  const scale = Math.min(0.8, (width - 9.5) / period); // all of the pattern is seen, or momentum's would pass for Lion's
  const dash = racer.dash.map((length) => length * scale).join(" ");
  const end = racer.hollow ? "var(--paper)" : color;
  holder.innerHTML =
    `<svg width="${width}" height="10" viewBox="0 0 ${width} 10"><path d="M1.5 5H${width - 8}" fill="none" stroke="${color}"` +
    ` stroke-width="2.5" stroke-linecap="${racer.dash.some((length) => length < 1) ? "round" : "butt"}" stroke-dasharray="${dash}"/>` +
    `<circle cx="${width - 4.5}" cy="5" r="3" fill="${end}" stroke="${color}" stroke-width="1.8"/></svg>`;
  return holder;
}
