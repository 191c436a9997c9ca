// What to choose one of: a few words side by side, or a list.

import { element } from "../adamscope.player/dom.js";

/** A few words side by side, one of them on: onChoose(value) is told which. Returns {node, show(value)}. */
export function choice(label, values, onChoose) {
  const buttons = values.map((value) => element("button", { type: "button", role: "radio", onclick: () => onChoose(value), onkeydown: move }, value));
  const node = element("div.segments", { role: "radiogroup", "aria-label": label }, ...buttons);

  function move(event) {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = buttons[(buttons.indexOf(event.currentTarget) + step + buttons.length) % buttons.length];
    next.focus();
    next.click();
  }

  return {
    node,
    show: (value) => buttons.forEach((button, place) => {
      const on = values[place] === value;
      button.setAttribute("aria-checked", String(on));
      button.tabIndex = on ? 0 : -1;
    }),
  };
}

/** Fill a list with [{name, title, citation}], only where they are others than it has, and choose one by its name. */
export function options(select, list, value) {
  const names = list.map(({ name }) => name).join();
  if (select.dataset.names !== names) select.replaceChildren(...list.map(({ name, title, citation }) => element("option", { value: name, title: citation }, title)));
  select.dataset.names = names;
  select.value = value;
}
