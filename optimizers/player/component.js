// What Streamlit is given to import. It imports it anew at every update, and each time the browser walks through all that it
// imports in turn: so it imports nothing itself, and the player comes once.

const arrived = import("./streamlit.js");
let show = null;
arrived.then((player) => (show = player.default));

export default (update) => (show ? show(update) : arrived.then((player) => player.default(update)));
