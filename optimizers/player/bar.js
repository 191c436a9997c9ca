// The right-hand end of the app's header: Scenes, Share, Export, help. Each opens beneath its word.

import { element } from "./dom.js";
import { createHelp } from "./help.js";
import { createKeep } from "./keep.js";
import { createScenes } from "./scenes.js";
import { closedOf, closing, createShare } from "./share.js";

let made = 0;

/** A word that opens a panel beneath itself; a press elsewhere or Esc closes it, and the focus goes back. */
function createDrop(word, part, content) {
  made += 1;
  const more = element("span", { "aria-hidden": "true" });
  const panel = element("div.drop", { popover: "auto", id: `adamscope-drop-${made}`, "aria-label": word, role: "dialog", "data-part": part });
  const button = element("button.word", { type: "button", "aria-haspopup": "dialog", "data-part": part, popovertarget: panel.id }, word, more);
  // What is not open is not on the page: neither search nor screen reader finds it.
  panel.addEventListener("beforetoggle", (event) => event.newState === "open" && panel.append(content));
  panel.addEventListener("toggle", (event) => event.newState === "closed" && content.remove());
  // Its keys are its own; only Esc is the browser's.
  panel.addEventListener("keydown", (event) => event.stopPropagation());
  return { button, panel, more, close: () => panel.hidePopover() };
}

/** scenes: the catalogue's; open(query) another page; make(format) and stop() an export. */
export function createBar({ scenes, open, make, stop }) {
  const menu = createScenes({ scenes, choose: ({ query }) => {
    drops[0].close();
    open(closing(query, closed)); // what a teacher has closed stays so
  } });
  let closed = {}; // part -> "hide" or "lock"
  const share = createShare();
  const keep = createKeep({ make, stop, said: (text) => drops[2].more.replaceChildren(text) });
  const help = createHelp();
  const drops = [
    createDrop("Scenes", "scenes", menu.node),
    createDrop("Share", "share", share.node),
    createDrop("Export", "share", keep.node),
  ];
  const ask = element("button.word", { type: "button", "aria-label": "Help", title: "How to use it (?)", "aria-haspopup": "dialog", onclick: help.open }, "?");
  const node = element("div.bar", {}, ...drops.map(({ button }) => button), ask, ...drops.map(({ panel }) => panel), help.node);

  return {
    node,
    help: help.open,
    /** Is a sheet open that has the page's keys? */
    get modal() { return help.node.open; },
    /** query: the page's own, as its address has it. */
    update({ look, work }, query) {
      closed = closedOf(look);
      menu.update(look);
      share.update(look, query);
      keep.update(work.export);
    },
  };
}
