// What the player holds of what Python has worked out: the surfaces' lattices, and what was computed beside the race.

const MOST_LATTICES = 4;
const AGAIN = 60; // ms until one asks again for what is still being worked out
const AGAIN_FILE = 400; // … for a file

/** {work: kind -> {…head, values}, the newest of each; replaced: how many basin maps have come; take, lattice, drawnFrom, list}. */
export function createHeld() {
  const lattices = new Map(); // id -> {id, values, nx, ny, bounds}: the last few surfaces looked at
  const work = {};

  /** The lattice of a race's surface, or null where it was lost. */
  const lattice = (race) => lattices.get(race.surface.grid) ?? null;

  const held = {
    work,
    replaced: 0,
    lattice,
    /** Keep what has come; tell after how many ms to ask again, if more of it is still to come. */
    take({ meta, ...arrays }) {
      if (arrays.grid?.length) {
        lattices.delete(meta.grid.id);
        lattices.set(meta.grid.id, { ...meta.grid, values: arrays.grid }); // coarse while a hand turns the surface
        if (lattices.size > MOST_LATTICES) lattices.delete(lattices.keys().next().value);
      }
      let wait = null; // ms
      for (const [kind, head] of Object.entries(meta.work ?? {})) {
        if (head.pending) wait = Math.min(wait ?? AGAIN_FILE, kind === "export" ? AGAIN_FILE : AGAIN);
        const { id, pending, done, of, problem } = head;
        if (id !== undefined && id === work[kind]?.id && !arrays[kind]?.length) {
          Object.assign(work[kind], { pending, done, of, problem });
          continue;
        }
        work[kind] = { ...head, values: arrays[kind] ?? null, surface: meta.surface.grid }; // of no id: nothing yet
        held.replaced += kind === "basin";
      }
      return wait;
    },
    /** The lattice to draw the map from: the window's own, once it is there. */
    drawnFrom(race, { window }) {
      const fine = work.window;
      const fits = window && fine?.values && fine.surface === race.surface.grid &&
        fine.window.every((z, k) => Math.abs(z - window[k]) <= 1e-6 * (window[1] - window[0] + Math.abs(z)));
      return fits ? fine : lattice(race);
    },
    /** What need not be sent again, by ids. */
    list: () => ({
      grids: [...lattices.values()].filter(({ coarse }) => !coarse).map(({ id }) => id),
      have: Object.fromEntries(Object.entries(work).filter(([, { id, values, pending }]) => id && (values || !pending)).map(([kind, { id }]) => [kind, id])),
    }),
  };
  return held;
}
