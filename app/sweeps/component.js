// What Streamlit is given to import. It imports it anew at every update, and each time the browser walks through all that it
// imports in turn: so it imports nothing itself, and the page comes once.

const arrived = import("./sweeps.js");
let show = null;
arrived.then((page) => (show = page.default));

export default (update) => (show ? show(update) : arrived.then((page) => page.default(update)));
