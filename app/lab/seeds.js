// Which of a run's seeds is looked at, where a picture is of one network.

import { options } from "./choice.js";

/** Fill a list with a run's seeds and choose the n-th; hidden where there is one. */
export function seedsOf(run, select, nth) {
  const seeds = run.seeds ?? 1;
  select.hidden = seeds < 2;
  options(select, Array.from({ length: seeds }, (_, k) => ({ name: String(k + 1), title: `seed ${run.seed + k}` })), nth);
}
