// Numbers and times in words.

/** One digit after the point. What came as float32 is first rid of its noise: 25.7499990 is 25.75, and 25.8. */
export const percent = (value) => (Number.isFinite(value) ? Number(value.toPrecision(6)).toFixed(1) : "—");
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
export const count = (n) => n.toLocaleString("en").replaceAll(",", "\u202f");

/** A duration: "4 min 10 s". */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}

/** A moment, in seconds since 1970: the time today, else the day. */
export function when(moment) {
  const day = new Date(moment * 1000);
  const today = day.toDateString() === new Date().toDateString();
  return today ? day.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false }) : day.toLocaleDateString([], { month: "short", day: "numeric" });
}

/** "Adam of My first race", from a run's id and a network's place; of a run that is not among the recent ones, these. Short: "Adam of 18:45". */
export function whose(from, recent, short = false) {
  const [id, place] = from.split(":");
  const run = recent.find((one) => one.id === id);
  const racer = run?.racers[Number(place ?? 0) % run.racers.length]; // seed after seed, all its racers
  return racer ? `${racer.label} of ${run.name || `${short ? "" : "the run of "}${when(run.created)}`}` : `network ${Number(place ?? 0) + 1} of run ${id}`;
}
