// The player as a Streamlit component: the one module that knows its host.

import { unpack } from "./packet.js";
import { mount } from "./player.js";

const players = new WeakMap(); // Streamlit calls again with the same parent at every update
const PAUSE = 250; // ms without a newer race before the address is rewritten: browsers allow only so many changes
let writing = 0;

/** Let the page's address hold all state. Replaced, not pushed: the back button leaves the page, as one expects. */
function writeAddress(query) {
  clearTimeout(writing);
  if (query) writing = setTimeout(() => history.replaceState(history.state, "", `?${query}`), PAUSE);
}

export default function ({ data, parentElement, setStateValue }) {
  const { meta, arrays } = unpack(data);
  const race = { meta, tracks: arrays.tracks, grid: arrays.grid };
  const present = players.get(parentElement);
  if (present) {
    present.send = (message) => setStateValue("asked", message);
    present.player.retheme();
    present.player.update(race);
  } else {
    const made = { send: (message) => setStateValue("asked", message) };
    const send = meta.catalog ? (message) => made.send(message) : null;
    made.player = mount(parentElement, race, { layout: meta.layout, height: meta.height, send });
    players.set(parentElement, made);
  }
  writeAddress(meta.address);
  // Streamlit may run this while the component still stands (an update that another overtook).
  return () =>
    setTimeout(() => {
      if (parentElement.isConnected) return;
      clearTimeout(writing);
      players.get(parentElement)?.player.destroy();
      players.delete(parentElement);
    });
}
