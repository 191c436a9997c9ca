// What a teacher's link closes: parts of the page that are hidden, or there to read but not to touch.

/** The parts a link may name, in plain words. A control belongs to one by its data-part. */
export const PARTS = {
  scenes: "Scenes",
  share: "Share and export",
  surface: "Surface",
  racers: "Who races",
  hyper: "Hyperparameters",
  conditions: "Schedule, clipping, noise",
  start: "Where the race starts",
  steps: "Number of steps",
  predict: "Predict first",
  stage: "What the map shows",
  timeline: "Play and time",
  panel: "Inside the step, fair, sweep",
  charts: "Charts",
};

// What a key does belongs to a part as well; what is not here stays open.
const ACTIONS = {
  play: "timeline", back: "timeline", forward: "timeline", first: "timeline", last: "timeline", previous: "timeline",
  next: "timeline", slower: "timeline", faster: "timeline", loop: "timeline",
  vectors: "stage", basin: "stage", cloud: "stage", relief: "stage", zoomIn: "stage", zoomOut: "stage", zoomReset: "stage",
  slow: "panel", step: "panel", fair: "panel", sweep: "panel", predict: "predict",
};
// A column that has nothing left to show gives its room to the stage.
const COLUMNS = { question: ["surface", "racers", "hyper", "conditions"], inside: ["panel", "charts"] };

/** Closes parts within `root`. */
export function createLocks(root) {
  let hide = [];
  let lock = [];
  // Controls are built anew as the race changes; while nothing is closed nobody watches.
  const watch = new MutationObserver(mark);

  function mark() {
    for (const node of root.querySelectorAll("[data-part]")) {
      node.toggleAttribute("data-hidden", hide.includes(node.dataset.part));
      const locked = lock.includes(node.dataset.part);
      if (locked === node.hasAttribute("data-locked")) continue;
      node.toggleAttribute("data-locked", locked);
      node.inert = locked;
    }
  }

  /** Is this part neither hidden nor locked? */
  const open = (part) => !hide.includes(part) && !lock.includes(part);

  return {
    open,
    /** May a key do this? */
    allows: (action) => open(ACTIONS[action]),
    apply(look) {
      if (look.hide.join() === hide.join() && look.lock.join() === lock.join()) return;
      ({ hide, lock } = look);
      mark();
      watch.disconnect();
      if (hide.length || lock.length) watch.observe(root, { childList: true, subtree: true });
      for (const [column, parts] of Object.entries(COLUMNS)) {
        root.classList.toggle(`without-${column}`, parts.every((part) => hide.includes(part)));
      }
    },
    stop: () => watch.disconnect(),
  };
}
