// Named scenes, each of which shows one thing, and the sentence that says what to look at.

import { element, icon } from "./dom.js";

/** The menu. scenes: [{name, title, watch, query}]; choose(scene). update(look) marks the one that is on. */
export function createScenes({ scenes, choose }) {
  const buttons = scenes.map((scene) => element("button.scene", {
    type: "button", "data-scene": scene.name, onclick: () => choose(scene),
  }, element("b", {}, scene.title), element("span", {}, scene.watch)));
  const node = element("div.scenes", { role: "group", "aria-label": "Scenes" }, ...buttons);
  node.addEventListener("keydown", (event) => {
    const move = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const at = buttons.indexOf(event.target);
    if (!move || at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    buttons[(at + move + buttons.length) % buttons.length].focus();
  });

  return {
    node,
    update(look) {
      for (const button of buttons) button.setAttribute("aria-current", String(button.dataset.scene === look.scene));
    },
  };
}

/** The line over the stage: what to look at in a scene, and that a teacher has closed some controls. */
export function createCaption({ scenes, onDismiss }) {
  const said = element("span");
  const close = element("button.close", { type: "button", "aria-label": "Dismiss", title: "Dismiss", onclick: dismiss }, icon("close"));
  const node = element("p.scene-caption", { role: "note" }, said, close);
  let read = ""; // what one has dismissed

  function dismiss() {
    read = said.textContent;
    node.hidden = true;
    onDismiss();
  }

  return {
    node,
    update(look) {
      const parts = [];
      const scene = scenes.find(({ name }) => name === look.scene);
      if (scene) parts.push(scene.watch);
      if (look.lock.length || look.hide.length) parts.push("Your teacher has set some of the controls.");
      const text = parts.join(" ");
      node.hidden = text === "" || text === read;
      if (said.textContent !== text) said.textContent = text;
    },
  };
}
