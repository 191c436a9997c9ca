// How a race is looked at: one flat object, all of it in the address.

export const LOOK = {
  step: null, // where the playhead stands; null: playing from the start
  racer: null, // whose step is explained
  speed: 1,
  loop: false,
  by: "step", // what all racers have the same of at a moment
  off: [], // hidden racers
  stage: "flat",
  camera: [335, 48], // of the relief: azimuth, elevation, degrees
  window: null, // the part of the plane that is looked at: x0, x1, y0, y1
  levels: 0, // contour lines; 0: as many as suit the surface
  scale: "log", // of the heights between them
  show: [], // what is drawn beside the paths
  panel: "step",
  sweep: ["lr", ""], // the sweep map's hyperparameters; "": the racer's second
  charts: ["loss", "auto"],
  predict: "", // what to answer before the race is seen: where, first, both
  hide: [], // parts of the page a teacher's link hides …
  lock: [], // … or locks
  scene: "",
};

/** What a race arrived with, the rest as usual. */
export const readLook = (given = {}) => structuredClone({ ...LOOK, ...given });

/** The look as a query has it: every key, so that what was set before and is usual now is told as well. */
export const lookPairs = (look) =>
  Object.entries(look).map(([key, value]) => [key, Array.isArray(value) ? value.join(",") : String(value === true ? 1 : value === false ? 0 : (value ?? ""))]);

/** show with one thing more, or less. */
export const toggled = (list, item) => (list.includes(item) ? list.filter((one) => one !== item) : [...list, item]);
