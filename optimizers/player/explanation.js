// The right-hand column: whose step, the panel that explains it, the charts beneath.

import { element, swatch } from "./dom.js";
import { colorOf } from "./race.js";

/**
 * panels: name -> {title, panel}, each panel {node, update(context), draw(at)}; charts: the same, or null; predict: the
 * panel that stands in their place while one predicts, or null.
 * onChoose(index) chooses a racer; setLook(changes) another panel. context: {race, chosen, theme, look, work}.
 */
export function createExplanation({ panels, charts, predict, onChoose, setLook }) {
  const racers = element("div.tabs", { role: "tablist", "aria-label": "Whose step" });
  const names = Object.keys(panels);
  const kinds = element("div.kinds", { role: "tablist", "aria-label": "What is explained" }, ...names.map((name) =>
    element("button.kind", { type: "button", role: "tab", "data-kind": name, onclick: () => setLook({ panel: name }) }, panels[name].title)));
  const holder = element("div.holder", { role: "tabpanel", "data-part": "panel" });
  const node = element("section.inside", { "aria-label": "Inside the step" }, racers, kinds, holder, ...(charts ? [charts.node] : []));
  walk(kinds);
  let present = null;
  let built = "";

  /** Arrow keys go from tab to tab. */
  function walk(list) {
    list.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!move) return;
      event.preventDefault();
      event.stopPropagation();
      const at = [...list.children].indexOf(event.target.closest("button"));
      const next = (at + move + list.children.length) % list.children.length;
      list.children[next].click();
      list.children[next].focus();
    });
  }
  walk(racers);

  function build({ race, chosen, theme, look }) {
    const key = JSON.stringify([chosen, theme.dark, look.off, race.racers.map(({ label, dash, hollow, light }) => [label, dash, hollow, light])]);
    if (key === built) return;
    built = key;
    const focused = racers.contains(node.getRootNode().activeElement);
    racers.replaceChildren(...race.racers.map((racer, index) => element(look.off.includes(index) ? "button.tab.off" : "button.tab", {
      type: "button", role: "tab", "aria-selected": String(index === chosen), tabindex: index === chosen ? 0 : -1,
      onclick: () => onChoose(index),
    }, swatch(racer, colorOf(racer, theme), 24), element("span", {}, racer.label))));
    if (focused) racers.children[chosen].focus();
    node.style.setProperty("--hue", colorOf(race.racers[chosen], theme));
  }

  return {
    node,
    update(context) {
      build(context);
      const name = names.includes(context.look.panel) ? context.look.panel : names[0];
      for (const button of kinds.children) {
        const on = button.dataset.kind === name;
        button.setAttribute("aria-selected", String(on));
        button.tabIndex = on ? 0 : -1;
      }
      const asking = Boolean(predict && context.look.predict);
      const next = asking ? predict : panels[name].panel;
      kinds.hidden = names.length < 2 || asking;
      if (next !== present) holder.replaceChildren(next.node);
      present = next;
      present.update(context);
      if (!asking) predict?.update(context); // it may just have been left
    },
    charts: (context) => charts?.update(context),
    draw(at) {
      present?.draw(at);
      charts?.draw(at);
    },
    stop() {
      for (const { panel } of Object.values(panels)) panel.stop?.();
      charts?.stop();
    },
  };
}
