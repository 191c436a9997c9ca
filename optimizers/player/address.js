// The page's address, which holds all state.

const PAUSE = 250; // ms without a newer one before it is rewritten: browsers allow only so many changes
let writing = 0;

(window.__adamscope ??= {}).resting = () => !writing; // what tests wait for

/**
 * Let the address say `query` once it rests; "" leaves it as it is. Replaced, not pushed: a drag is no page to go back to.
 */
export function writeAddress(query) {
  clear();
  const here = location.href;
  if (!query || location.search === `?${query}`) return;
  writing = setTimeout(() => {
    writing = 0;
    if (location.href === here) history.replaceState(history.state, "", `?${query}`); // else one has gone elsewhere
  }, PAUSE);
}

/** Another page altogether, such as a scene: the back button returns to what stood here before. */
export function pushAddress(query) {
  clear();
  history.pushState(history.state, "", `?${query}`);
}

function clear() {
  clearTimeout(writing);
  writing = 0;
}
