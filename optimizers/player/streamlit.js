// The player as a Streamlit component: the one module that knows its host.

import { pushAddress, writeAddress } from "./address.js";
import { unpack } from "./packet.js";
import { mount } from "./player.js";

const players = new WeakMap(); // Streamlit calls again with the same parent at every update

export default function ({ data, parentElement, setStateValue }) {
  const { meta, arrays } = unpack(data);
  const race = { meta, ...arrays };
  const present = players.get(parentElement);
  if (present) {
    present.send = (message) => setStateValue("asked", message);
    present.player.update(race);
  } else {
    const made = { send: (message) => setStateValue("asked", message) };
    const send = meta.catalog ? (message) => {
      if (message.opened) pushAddress(message.query);
      made.send(message);
    } : null;
    made.player = mount(parentElement, race, { layout: meta.layout, height: meta.height, send });
    players.set(parentElement, made);
  }
  writeAddress(meta.address);
  // Streamlit may run this while the component still stands (an update that another overtook).
  return () =>
    setTimeout(() => {
      if (parentElement.isConnected) return;
      players.get(parentElement)?.player.destroy();
      players.delete(parentElement);
    });
}
