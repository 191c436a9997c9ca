// A page as a Streamlit component: one page for each parent, told what is new, and the colours it stands in.

import { writeAddress } from "../adamscope.player/address.js";
import { unpack } from "../adamscope.player/packet.js";

const SOON = 100; // ms: the host page changes its colours first

/** create(parent, send) -> {update({meta, arrays}), destroy()}; the result is a component. send(message) is for Python. */
export function hosted(create) {
  const pages = new WeakMap(); // Streamlit calls again with the same parent at every update
  return ({ data, parentElement, setStateValue }) => {
    let made = pages.get(parentElement);
    if (!made) {
      made = { setStateValue };
      made.page = create(parentElement, (message) => made.setStateValue("asked", message));
      pages.set(parentElement, made);
    }
    made.setStateValue = setStateValue;
    const news = unpack(data);
    made.page.update(news);
    writeAddress(news.meta.address);
    // Streamlit may run this while the component still stands (an update that another overtook).
    return () =>
      setTimeout(() => {
        if (parentElement.isConnected) return;
        pages.get(parentElement)?.page.destroy();
        pages.delete(parentElement);
      });
  };
}

/** Call retheme() whenever the page's colours may have changed; returns what ends it. */
export function watchTheme(root, retheme) {
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  const soon = () => setTimeout(retheme, SOON);
  scheme.addEventListener("change", soon);
  root.addEventListener("pointerenter", retheme);
  /** The colours are read from style sheets, which come a little later than the first numbers. */
  function dress() {
    if (!root.isConnected) return;
    if (getComputedStyle(root).visibility === "visible") retheme();
    else requestAnimationFrame(dress);
  }
  requestAnimationFrame(dress);
  return () => scheme.removeEventListener("change", soon);
}
