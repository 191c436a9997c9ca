// Where the names stand: beside their markers, inside the frame, never on one another.

const SIDES = [ // in order of liking: right, left, then the corners, above, below
  [1, 0, 0], [-1, 0, 0.35], [1, -1, 0.25], [1, 1, 0.25], [-1, -1, 0.5], [-1, 1, 0.5], [0, -1, 0.6], [0, 1, 0.6],
];
const RINGS = [0, 14, 30, 50, 76, 110]; // px farther from the marker, only as far as needed
const MARGIN = 5; // px kept from the frame and between names

const overlaps = (a, b, gap) =>
  a.x < b.x + b.width + gap && b.x < a.x + a.width + gap && a.y < b.y + b.height + gap && b.y < a.y + a.height + gap;

function candidates({ x, y, width, height, gap }) {
  const boxes = [];
  for (const [ring, distance] of RINGS.entries()) {
    for (const [sx, sy, dislike] of SIDES) {
      const side = gap + distance;
      const rise = sx === 0 ? side : (sy * height) / 2 + sy * distance + sy * 4;
      const left = sx > 0 ? x + side : sx < 0 ? x - side - width : x - width / 2;
      const top = sx === 0 ? (sy > 0 ? y + side : y - side - height) : y - height / 2 + rise;
      boxes.push({ x: left, y: top, width, height, cost: dislike + 1.1 * ring });
    }
  }
  return boxes;
}

/**
 * items [{key, x, y, width, height, gap, optional}] (marker, size of the name, its distance from the marker) in
 * order of rank; frame {width, height}; marks [{x, y, r}] better not covered, and lines [x, y, x, y, …]: points of paths
 * better not crossed; before: Map key -> the offset it had.
 * Returns Map key -> box {x, y, width, height, far}. An optional name that finds no near place off the marks is left out.
 */
export function placeLabels(items, frame, marks, lines, before) {
  const placed = new Map();
  const inside = (b) =>
    b.x >= MARGIN && b.y >= MARGIN && b.x + b.width <= frame.width - MARGIN && b.y + b.height <= frame.height - MARGIN;
  const free = (b) => inside(b) && [...placed.values()].every((other) => !overlaps(b, other, MARGIN));

  for (const item of items) {
    const { width, height } = item;
    const last = before.get(item.key);
    let best = null;
    for (const box of candidates(item)) {
      if (item.optional && box.cost > 0.61) continue;
      if (!free(box)) continue;
      let cost = box.cost;
      for (const mark of marks) {
        const mine = mark.x === item.x && mark.y === item.y;
        if (!mine && overlaps(box, { x: mark.x - mark.r, y: mark.y - mark.r, width: 2 * mark.r, height: 2 * mark.r }, 1)) cost += 1.2;
      }
      if (item.optional && cost > box.cost) continue;
      let crossed = 0;
      for (let k = 0; k < lines.length; k += 2) {
        if (lines[k] > box.x - 2 && lines[k] < box.x + width + 2 && lines[k + 1] > box.y && lines[k + 1] < box.y + height) crossed += 1;
      }
      cost += Math.min(0.9, 0.12 * crossed);
      // Names stay where they were unless another place is clearly better: no jitter while the race plays.
      if (last) cost += Math.min(1.5, Math.hypot(box.x - item.x - last.x, box.y - item.y - last.y) / 60);
      if (!best || cost < best.cost) best = { ...box, cost };
    }
    if (!best && !item.optional) best = anywhere(item, frame, free);
    if (best) {
      const reach = Math.hypot(
        Math.max(best.x - item.x, 0, item.x - best.x - best.width),
        Math.max(best.y - item.y, 0, item.y - best.y - best.height),
      );
      placed.set(item.key, { ...best, far: reach > item.gap + 8 });
    }
  }
  return placed;
}

/** Every place near the marker is taken: the nearest free place of all. */
function anywhere({ x, y, width, height }, frame, free) {
  let best = null;
  for (let top = MARGIN; top + height <= frame.height - MARGIN; top += 6) {
    for (let left = MARGIN; left + width <= frame.width - MARGIN; left += 12) {
      const box = { x: left, y: top, width, height };
      const cost = Math.hypot(left + width / 2 - x, top + height / 2 - y);
      if ((!best || cost < best.cost) && free(box)) best = { ...box, cost };
    }
  }
  return best;
}
