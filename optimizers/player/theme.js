// Colours and type for the canvases, read from the page's CSS so that both always agree.

/** The theme in force where `root` stands. */
export function readTheme(root) {
  const style = getComputedStyle(root);
  const [r, g, b] = (style.backgroundColor.match(/[\d.]+/g) ?? [255, 255, 255]).map(Number);
  const read = (name) => style.getPropertyValue(name).trim();
  return {
    dark: 0.299 * r + 0.587 * g + 0.114 * b < 128,
    paper: style.backgroundColor,
    ink: style.color,
    mute: read("--mute"),
    line: read("--line"),
    accent: read("--accent"),
    family: style.fontFamily,
    size: parseFloat(style.fontSize), // px
  };
}

/** Do two themes draw the same? */
export const sameTheme = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export const reducedMotion = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
