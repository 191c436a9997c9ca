// Zooming and panning the map: by wheel, by Shift and drag, by two fingers, by + − 0.

const REST = 160; // ms after which a wheel has come to rest
const MOST = 2000; // times the map's own scale
const STEP = 1.5; // of a key or a button

/**
 * Listens on the map's canvas. view() gives {width, height, bounds}; whole() the surface's bounds; zoomed() whether a window
 * is looked at; onWindow(window, final) asks for another, null for the whole. wheel: whether the plain wheel zooms; else
 * only with Ctrl, as where a page scrolls.
 * Returns {moving, by(factor), reset(), stop()}.
 */
export function createZoom(canvas, { view, whole, zoomed, onWindow, refresh, wheel }) {
  const state = { moving: false };
  const fingers = new Map(); // pointer id -> {x, y} in px
  let hand = null; // where Shift-drag has hold of the map
  let rest = 0;

  const spotOf = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const pointOf = ({ x, y }, { width, height, bounds: [x0, x1, y0, y1] }) => [x0 + (x / width) * (x1 - x0), y1 - (y / height) * (y1 - y0)];

  function settle(final) {
    clearTimeout(rest);
    rest = final ? 0 : setTimeout(() => settle(true), REST);
    state.moving = !final;
    if (final) {
      // A map zoomed out to where it began is the whole again.
      const [x0, x1] = view().bounds;
      const [w0, w1] = whole();
      onWindow(x1 - x0 >= 0.98 * (w1 - w0) && x0 <= w0 && x1 >= w1 ? null : view().bounds.map(short), true);
    }
    refresh();
  }

  function show([x0, x1, y0, y1]) {
    const [w0, w1] = whole();
    const scale = (w1 - w0) / (x1 - x0);
    if (!(scale < MOST && scale > 1 / 4) || Math.max(...[x0, x1, y0, y1].map(Math.abs)) > 1e6) return;
    onWindow([x0, x1, y0, y1], false);
    settle(false);
  }

  const short = (z) => Number(z.toPrecision(7));

  /** Scale the map about a spot that stays where it is. */
  function about(spot, factor) {
    const [px, py] = pointOf(spot, view());
    const [x0, x1, y0, y1] = view().bounds;
    show([px + (x0 - px) / factor, px + (x1 - px) / factor, py + (y0 - py) / factor, py + (y1 - py) / factor]);
  }

  function pan(dx, dy) {
    const { width, height, bounds: [x0, x1, y0, y1] } = view();
    const [ux, uy] = [(dx / width) * (x1 - x0), (dy / height) * (y1 - y0)];
    show([x0 - ux, x1 - ux, y0 + uy, y1 + uy]);
  }

  canvas.addEventListener("wheel", (event) => {
    if (!wheel && !event.ctrlKey) return;
    event.preventDefault();
    about(spotOf(event), Math.exp(-Math.max(-80, Math.min(80, event.deltaY)) * (event.ctrlKey ? 0.01 : 0.0025)));
  }, { passive: false });

  canvas.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") {
      fingers.set(event.pointerId, spotOf(event));
      if (fingers.size === 2) canvas.dispatchEvent(new CustomEvent("mapmove"));
    } else if (event.shiftKey || event.button === 1) {
      event.preventDefault();
      canvas.setPointerCapture(event.pointerId);
      hand = spotOf(event);
    }
  });
  canvas.addEventListener("pointermove", (event) => {
    const spot = spotOf(event);
    if (hand) {
      pan(spot.x - hand.x, spot.y - hand.y);
      hand = spot;
    } else if (fingers.size === 2 && fingers.has(event.pointerId)) {
      const before = [...fingers.values()];
      fingers.set(event.pointerId, spot);
      const after = [...fingers.values()];
      const span = ([a, b]) => Math.hypot(a.x - b.x, a.y - b.y);
      const middle = ([a, b]) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
      pan(middle(after).x - middle(before).x, middle(after).y - middle(before).y);
      about(middle(after), span(after) / Math.max(1, span(before)));
    }
  });
  const release = (event) => {
    fingers.delete(event.pointerId);
    if (hand) settle(true);
    hand = null;
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);

  return Object.assign(state, {
    by(factor) {
      const { width, height } = view();
      about({ x: width / 2, y: height / 2 }, factor);
    },
    in: () => state.by(STEP),
    out: () => state.by(1 / STEP),
    reset: () => zoomed() && onWindow(null, true),
    stop: () => clearTimeout(rest),
  });
}
