// The centre's views: a strip of tabs above what they show. One is seen at a time; all are told what is new.

import { element } from "../adamscope.player/dom.js";

const MOVES = { ArrowLeft: -1, ArrowRight: 1 };

/**
 * views: [{name, title, node, update({meta, record, theme, arrays, shown}), stop()}]. `arrays` holds what is new since the last update;
 * a view that is not `shown` keeps it, and draws when it is. onShow(name) is told which one is asked for.
 */
export function createViews({ views, onShow }) {
  const tabs = views.map(({ name, title, node }) => {
    node.setAttribute("role", "tabpanel");
    node.setAttribute("aria-labelledby", `view-${name}`);
    node.id = `panel-${name}`;
    return element("button", { type: "button", role: "tab", id: `view-${name}`, "aria-controls": node.id, onclick: () => onShow(name), onkeydown: move }, title);
  });
  const strip = element("div.tabs", { role: "tablist", "aria-label": "What to look at" }, ...tabs);
  const node = element("div.views", {}, strip, ...views.map((view) => view.node));

  function move(event) {
    const place = tabs.indexOf(event.currentTarget);
    const last = tabs.length - 1;
    const next = { Home: 0, End: last }[event.key] ?? (event.key in MOVES ? (place + MOVES[event.key] + tabs.length) % tabs.length : undefined);
    if (next === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    tabs[next].focus();
    onShow(views[next].name);
  }

  return {
    node,
    update(news) {
      const chosen = Math.max(0, views.findIndex(({ name }) => name === news.meta.asked.view));
      views.forEach((view, place) => {
        const shown = place === chosen;
        view.node.hidden = !shown;
        tabs[place].setAttribute("aria-selected", String(shown));
        tabs[place].tabIndex = shown ? 0 : -1;
        view.update({ ...news, shown });
      });
    },
    stop: () => views.forEach((view) => view.stop()),
  };
}
