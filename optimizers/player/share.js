// The link that opens this very page, and a teacher's, which closes some of it.

import { element, write } from "./dom.js";
import { PARTS } from "./locks.js";

const STATES = { open: "open", lock: "locked", hide: "hidden" };
const SAID = 2000; // ms "Copied" stands

/** Show a link, and copy it at one press. */
function createLink(name, word) {
  const field = element("input.link", { type: "text", readonly: true, "aria-label": name, spellcheck: "false" });
  const button = element("button.do", { type: "button", onclick: copy }, word);
  const status = element("span.told", { role: "status" });
  let timer = 0;
  field.addEventListener("focus", () => field.select());

  async function copy() {
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(field.value);
    } catch { // an insecure address, or one has said no
      field.focus();
      said = document.execCommand("copy") ? said : "Press Ctrl+C";
    }
    write(button, said);
    write(status, said);
    clearTimeout(timer);
    timer = setTimeout(() => write(button, word), SAID);
  }

  return {
    node: element("div.copy", {}, field, button, status),
    show(link) {
      if (field.value !== link) field.value = link;
    },
  };
}

/** What a page closes: part -> "hide", "lock" or "open". */
export const closedOf = ({ hide, lock }) => Object.fromEntries(
  Object.keys(PARTS).map((part) => [part, hide.includes(part) ? "hide" : lock.includes(part) ? "lock" : "open"]));

/** A page's query with what a teacher closes in it, instead of what it closed before. */
export function closing(query, states) {
  const kept = query.split("&").filter((part) => part && !/^(hide|lock)=/.test(part));
  for (const state of ["hide", "lock"]) {
    const parts = Object.keys(PARTS).filter((part) => states[part] === state);
    if (parts.length) kept.push(`${state}=${parts.join(",")}`);
  }
  return kept.join("&");
}

/** update(look, query) shows the page as it is now. */
export function createShare() {
  const link = createLink("Link to this page", "Copy link");
  const lesson = createLink("Teacher's link", "Copy teacher's link");
  const look = element("a.quiet", { target: "_blank", rel: "noopener" }, "see it as a learner");
  let states = {}; // part -> "open", "lock" or "hide"
  let query = "";
  let before = null; // what the page itself closes, as the table last took it over

  const here = (search) => `${location.origin}${location.pathname}${search ? `?${search}` : ""}`;

  const rows = Object.entries(PARTS).map(([part, words]) => {
    const radios = Object.entries(STATES).map(([state, word]) => {
      const input = element("input", { type: "radio", name: `part-${part}`, value: state, onchange: () => set(part, state) });
      return element("label", {}, input, element("span", {}, word));
    });
    return element("div.part", { role: "radiogroup", "aria-label": words }, element("span", {}, words),
      element("span.three", {}, ...radios));
  });
  const node = element("div.share", {},
    element("h3", {}, "Link"), element("p", {}, "It opens this page as it is: the race, the moment, what is drawn."), link.node,
    element("h3", {}, "Teacher's link"), element("p", {}, "What learners may change, may only read, or do not see."),
    element("div.parts", {}, ...rows), lesson.node, look);

  function set(part, state) {
    states[part] = state;
    show();
  }

  function show() {
    rows.forEach((row, index) => {
      const state = states[Object.keys(PARTS)[index]];
      for (const input of row.querySelectorAll("input")) input.checked = input.value === state;
    });
    const teachers = here(closing(query, states));
    link.show(here(query));
    lesson.show(teachers);
    look.href = teachers;
  }

  return {
    node,
    update(newLook, newQuery) {
      const closed = `${newLook.hide}/${newLook.lock}`;
      if (closed !== before) states = closedOf(newLook);
      if (closed === before && newQuery === query) return;
      [before, query] = [closed, newQuery];
      show();
    },
  };
}
