// A small menu beside the button that opened it.

import { element } from "./dom.js";

/** items: [{title, note, action, color}]; arrow keys move, Esc or a click elsewhere closes, focus goes back. */
export function openMenu(anchor, items, label) {
  const menu = element("div.menu", { role: "menu", "aria-label": label, popover: "auto" }, ...items.map(({ title, note, action, mark }) =>
    element("button", {
      type: "button", role: "menuitem", tabindex: -1,
      onclick: () => {
        menu.hidePopover();
        action();
      },
    }, mark ?? "", element("span", {}, title, note ? element("small", {}, note) : ""))));
  menu.addEventListener("keydown", (event) => {
    event.stopPropagation();
    const buttons = [...menu.children];
    const at = buttons.indexOf(menu.getRootNode().activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    buttons[(next + buttons.length) % buttons.length].focus();
  });
  menu.addEventListener("toggle", (event) => {
    if (event.newState !== "closed") return;
    anchor.setAttribute("aria-expanded", "false");
    menu.remove();
  });
  anchor.after(menu);
  menu.showPopover();
  anchor.setAttribute("aria-expanded", "true");
  const at = anchor.getBoundingClientRect();
  const top = Math.min(at.bottom + 4, window.innerHeight - menu.offsetHeight - 8);
  menu.style.top = `${Math.max(8, top)}px`;
  menu.style.left = `${Math.max(8, Math.min(at.left, window.innerWidth - menu.offsetWidth - 8))}px`;
  menu.firstChild.focus();
}
