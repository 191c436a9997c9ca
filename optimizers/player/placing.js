// Placing the start on the map: by pointer, or by arrow keys and Enter.

const STRIDE = 5; // px an arrow key moves the crosshair; with Shift five times as far

/**
 * Listens on the map's canvas. view() gives {width, height}; begin() the start in px, where the crosshair first appears;
 * place(spot, final) is called while a start is placed, in px; hover(spot or null) as one looks around.
 * Returns {hand, cross}: where the pointer holds the start, and where the crosshair stands, or null.
 */
export function createPlacing(canvas, { view, begin, place, hover, refresh }) {
  const state = { hand: null, cross: null };
  const hold = (v, high) => Math.max(0, Math.min(high, v));
  const spotOf = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: hold(event.clientX - box.left, view().width), y: hold(event.clientY - box.top, view().height) };
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.shiftKey || !event.isPrimary) return; // Shift and a second finger move the map
    canvas.setPointerCapture(event.pointerId);
    state.cross = null;
    state.hand = spotOf(event);
    place(state.hand, false);
  });
  canvas.addEventListener("pointermove", (event) => {
    hover(spotOf(event));
    if (!state.hand) return;
    state.hand = spotOf(event);
    place(state.hand, false);
  });
  canvas.addEventListener("mapmove", () => {
    if (state.hand) place(begin(), true); // the first of two fingers has placed nothing
    state.hand = null;
  });
  const release = (event) => {
    if (!state.hand) return;
    const spot = event.type === "pointerup" ? spotOf(event) : state.hand;
    state.hand = null;
    place(spot, true);
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);

  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (move && !event.altKey && !event.ctrlKey && !event.metaKey) {
      const stride = event.shiftKey ? 5 * STRIDE : STRIDE;
      const { x, y } = state.cross ?? begin();
      state.cross = { x: hold(x + move[0] * stride, view().width), y: hold(y + move[1] * stride, view().height) };
      hover(state.cross);
    } else if (event.key === "Enter" && state.cross) {
      const spot = state.cross;
      state.cross = null;
      place(spot, true);
    } else if (event.key === "Escape" && state.cross) {
      state.cross = null;
      hover(null);
    } else return;
    event.preventDefault();
    event.stopPropagation();
    refresh();
  });
  canvas.addEventListener("blur", () => {
    state.cross = null;
    refresh();
  });
  return state;
}
