// What Streamlit is given to import. It imports it anew at every update, and each time the browser walks through all that it
// imports in turn: so it imports nothing itself, and the lab comes once.

const arrived = import("./lab.js");
let show = null;
arrived.then((lab) => (show = lab.default));

export default (update) => (show ? show(update) : arrived.then((lab) => lab.default(update)));
