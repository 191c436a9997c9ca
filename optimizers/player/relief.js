// The relief: the same map as a form one can turn in the hand, with the racers' paths lying on it.

import { linearTicks } from "./chart.js";
import { element } from "./dom.js";
import { LOOK } from "./look.js";
import { captionOf, createNames, drawMarker, drawMinimum, MARKER } from "./marks.js";
import { layOut, markerOf, pointsAlong, position, toPixel, within } from "./paths.js";
import { colorOf, heightName, letterColorOf, startCaption } from "./race.js";
import { createCanvas, DASHES } from "./relief-gl.js";
import {
  aim, behind, createEye, createRecords, FINE, heightAt, HEIGHT, heightTicks, layOn, meshOf, onPiece, PLAN, planOf, project, recordAt, reliefScale, ROUGH, solidOf,
} from "./relief-math.js";
import { drawMap, mapScale } from "./surface.js";
import { sameTheme } from "./theme.js";

const INK = 2.5; // width of a path, px
const HALO = 6;
const GHOST = [0.12, 0.3]; // opacity of what is still to come: behind the surface, and before it
const FAINT = 0.3; // opacity of what lies behind the surface
const HAIR = 0.006; // depth by which a path lies above the surface
const LOWEST = 5; // degrees: the eye never goes under the surface, nor over the top
const HIGHEST = 89;
const PER_PIXEL = 0.4; // degrees a px of dragging turns
const STRIDE = 5; // degrees an arrow key turns; with Shift three times as far
const ZOOM = [0.7, 3];
const SLOW = 25; // ms between pictures from which on it turns without its finish
const PRINT = 1.5; // px of the printed map for one on the screen: a slope shows it stretched

const LOOKS = {
  light: { wall: [0.965, 0.955, 0.93], line: [0.6, 0.62, 0.64], shade: [0.86, 1.015], halo: [1, 1, 1, 0.62] },
  dark: { wall: [0.125, 0.135, 0.155], line: [0.34, 0.37, 0.41], shade: [0.72, 1.22], halo: [0.08, 0.086, 0.1, 0.55] },
};

const MISSING = "This browser draws no 3-D pictures (WebGL 2 is missing or switched off); the flat map shows the same race.";

/**
 * The relief as a DOM node with draw(). onTurn([azimuth, elevation], final) is called while a hand turns it; refresh() asks
 * for a draw at the next frame. wheel: whether the plain wheel zooms; else only with Ctrl, as where a page scrolls.
 */
export function createRelief({ refresh, onTurn, wheel = true }) {
  const ground = element("canvas.ground", { "aria-hidden": "true" });
  const ink = element("canvas.ink", { tabindex: 0, role: "img" });
  const sheet = element("div.sheet", {}, ground, ink);
  const node = element("div.stage.relief", {}, sheet);
  const view = { width: 0, height: 0, ratio: 1, bounds: [0, 1, 0, 1], camera: LOOK.camera };
  const frame = { width: 0, height: 0, margin: [30, 34, 34] };
  const eye = createEye();
  const names = createNames();
  const print = document.createElement("canvas"); // the flat map, which is printed on the surface
  const records = createRecords();
  const spot = { x: 0, y: 0 };

  let card = createCanvas(ground);
  let race = null;
  let field = null;
  let theme = null;
  let plan = null;
  let scale = null; // how f becomes a height
  let mesh = null;
  let tracks = []; // the paths on the plan
  let lines = []; // where each one's records are
  let formed = ""; // what the mesh shows
  let printed = ""; // what the print shows
  let laid = null; // how the paths lie on the mesh as it is, FINE or ROUGH; null: they do not yet
  let seen = ""; // how the ground was drawn last …
  let drawn = ""; // … and the lines
  let pause = 16; // ms between two pictures while it turns, on average
  let slow = Boolean(card?.software); // or was that once too long?
  let sharpness = 1; // pixels of the card's canvas for one of CSS
  let hand = null; // the pointer that turns it: {id, from, camera, x, y}
  let camera = LOOK.camera;
  let zoom = 1;

  if (!card) node.replaceChildren(element("p.missing", { role: "status" }, MISSING));

  function fit() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [node.clientWidth, node.clientHeight];
    if (!(width > 0 && height > 0)) return;
    Object.assign(view, { width, height, ratio });
    Object.assign(frame, { width, height });
    scaleTo(ink, ratio);
  }

  function scaleTo(canvas, ratio) {
    const [width, height] = [Math.round(view.width * ratio), Math.round(view.height * ratio)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  }

  /** The mesh, and the paths on it, where the surface or its scale is another than before. */
  function form(look, detail) {
    const key = `${race.surface.grid} ${field.coarse ?? ""} ${look.scale}`;
    if (formed !== key) {
      formed = key;
      plan = planOf(race.surface.bounds);
      scale = reliefScale(mapScale(field, race.surface, { scale: look.scale }));
      mesh = meshOf(field, plan, scale);
      card.solid(solidOf(mesh), [2 * mesh.across, 2 * mesh.deep]);
      laid = null;
      seen = "";
    }
    if (laid === detail) return;
    laid = detail;
    drawn = "";
    tracks = layOut(race, plan);
    records.count = 0;
    lines = tracks.map((track) => ({
      racer: track.racer,
      ...layOn(mesh, plan, track, records, detail),
      dash: new Float32Array(DASHES),
      tips: new Float32Array(6),
      reach: [0, 0],
      faint: [0, 0],
    }));
    card.paths(records);
  }

  function paper(look) {
    const unit = eye.scale * PRINT * view.ratio * (field.coarse ? 0.5 : 1);
    const [width, height] = [Math.round(2 * mesh.across * unit), Math.round(2 * mesh.deep * unit)];
    const key = `${race.surface.grid} ${field.coarse ?? ""} ${look.scale} ${look.levels} ${theme.dark} ${Math.round(frame.width / 60)} ${view.ratio}`;
    if (printed === key) return;
    printed = key;
    Object.assign(print, { width, height });
    drawMap(print, field, { bounds: race.surface.bounds, ratio: PRINT * view.ratio }, race.surface, theme.dark, look);
    card.map(print);
    seen = "";
  }

  /** Colours and dashes as the card takes them. */
  function dress() {
    for (const line of lines) {
      const { racer } = line;
      line.color = shares(colorOf(racer, theme));
      line.dash.fill(0);
      line.dash.set(racer.dash.map((length) => length * sharpness));
      line.dashes = racer.dash.length;
      line.period = racer.dash.reduce((sum, length) => sum + length * sharpness, 0);
      line.round = racer.dash.some((length) => length < 1);
    }
  }

  /** While a hand turns it every frame counts; at rest, and where the card is quick, every edge. */
  function watch(before) {
    requestAnimationFrame((now) => {
      if (!hand) return;
      if (before) pause += (Math.min(60, now - before) - pause) / 8;
      slow ||= pause > SLOW;
      watch(now);
    });
  }

  function drawGround(look, fine) {
    const sight = `${fine} ${camera} ${zoom} ${view.width} ${view.height} ${view.ratio} ${theme.paper}`;
    if (seen === sight) return;
    seen = sight;
    const { wall, line, shade } = look;
    const light = [0, 1, 2].map((k) => -0.5 * eye.right[k] - 0.25 * (k < 2 ? eye.forward[k] : 0) + (k === 2 ? 0.8 : 0));
    const size = Math.hypot(...light);
    card.ground(eye, { paper: shares(theme.paper), wall, line, shade, light: light.map((part) => part / size) }, fine);
  }

  /** Where a racer is at a time, on the surface. */
  function pointOf(track, step) {
    const [x, y] = position(track, step);
    const [wx, wy] = [(x - plan.width / 2) / PLAN, (plan.height / 2 - y) / PLAN];
    return [wx, wy, heightAt(mesh, wx, wy)];
  }

  /**
   * The lines up to now. Where nothing but time has moved on, only what is new of them: a frame of a race that plays costs no
   * more at its end than at its start.
   */
  function drawLines(at, full, chosen, off, tones, fine) {
    const state = `${seen} ${chosen} ${off} ${full} ${formed}`;
    const anew = full || state !== drawn || lines.some((line, k) => at[k] < line.to);
    drawn = full ? "" : state;
    const halo = fine ? HALO : 0;
    card.begin(eye, { hair: HAIR, halo: tones.halo, ratio: sharpness }, anew);
    lines.forEach((line, k) => {
      if (off.includes(k) || !line.count) return;
      const bold = k === chosen;
      line.place = bold ? 0 : lines.length - k;
      line.places = 2 * lines.length;
      line.reach[0] = ((INK + (bold ? 0.5 : 0)) / 2) * sharpness;
      line.reach[1] = Math.max(line.reach[0], ((halo + (bold ? 1 : 0)) / 2) * sharpness);
      line.faint[0] = FAINT;
      line.faint[1] = 1;
      line.from = anew ? -1 : line.to;
      line.to = at[k];
      line.tips.copyWithin(0, 3);
      line.start = recordAt(records, line, line.from);
      line.end = recordAt(records, line, line.to);
      line.tips.set(onPiece(records, line.end, pointOf(tracks[k], at[k])), 3);
      card.line(line);
      if (!full) return;
      line.place += lines.length;
      [line.faint[0], line.faint[1]] = GHOST;
      line.reach[1] = line.reach[0];
      line.from = at[k];
      line.to = race.steps + 1;
      line.tips.copyWithin(0, 3);
      line.start = line.end;
      line.end = line.first + line.count - 1;
      card.line(line);
    });
  }

  /** A point of the plan on the screen, as it lies on the surface: {x, y, hidden}. */
  function stand(x, y) {
    const [wx, wy] = [(x - plan.width / 2) / PLAN, (plan.height / 2 - y) / PLAN];
    const z = heightAt(mesh, wx, wy);
    project(eye, wx, wy, z, spot);
    return { x: spot.x, y: spot.y, hidden: behind(mesh, eye, wx, wy, z) };
  }

  function standMarker(track, step) {
    const flat = markerOf(track, step, plan);
    const place = stand(flat.x, flat.y);
    if (!flat.away) return { ...flat, ...place };
    const ahead = stand(flat.x + 20 * Math.cos(flat.angle), flat.y + 20 * Math.sin(flat.angle));
    return { ...flat, ...place, angle: Math.atan2(ahead.y - place.y, ahead.x - place.x) };
  }

  /** Marks behind the surface are seen through it, faintly. */
  function veiled(q, { hidden }, mark) {
    q.globalAlpha = hidden ? FAINT : 1;
    mark();
    q.globalAlpha = 1;
  }

  function drawMarks(q, at, chosen, off) {
    const minima = race.surface.minima.map((minimum) => toPixel(plan, ...minimum)).filter(([x, y]) => within(plan, x, y));
    const holes = minima.map(([x, y]) => stand(x, y));
    for (const hole of holes) veiled(q, hole, () => drawMinimum(q, hole, theme));
    const start = toPixel(plan, ...race.start);
    const origin = within(plan, ...start) ? stand(...start) : null;
    if (origin) {
      veiled(q, origin, () => {
        q.beginPath();
        q.arc(origin.x, origin.y, 3.2, 0, 2 * Math.PI);
        q.fillStyle = theme.ink;
        q.fill();
      });
    }
    const shown = tracks.map((track, k) => ({ track, k })).filter(({ k }) => !off.includes(k));
    shown.sort((a, b) => (a.k === chosen) - (b.k === chosen)); // the chosen one last, on top
    const items = [];
    const marks = holes.map(({ x, y }) => ({ x, y, r: 8 }));
    for (const { track, k } of shown) {
      const { racer } = track;
      const place = standMarker(track, at[k]);
      const color = colorOf(racer, theme);
      veiled(q, place, () => drawMarker(q, place, { color, hollow: racer.hollow, bold: k === chosen }, theme));
      marks.push({ x: place.x, y: place.y, r: MARKER + 3 });
      items.push({ key: k, text: captionOf(racer, place), x: place.x, y: place.y, gap: MARKER + 7, color: letterColorOf(racer, theme), bold: true });
    }
    items.reverse();
    if (origin) {
      items.push({ key: "start", text: startCaption(race), x: origin.x, y: origin.y, gap: 8, color: theme.ink, optional: true });
    }
    const along = [];
    for (const { track } of hand ? [] : shown) { // under a hand names keep to their markers, whatever they cross
      const points = pointsAlong([track], at, plan);
      for (let n = 0; n < points.length; n += 2) {
        const [wx, wy] = [(points[n] - plan.width / 2) / PLAN, (plan.height / 2 - points[n + 1]) / PLAN];
        project(eye, wx, wy, heightAt(mesh, wx, wy), spot);
        along.push(spot.x, spot.y);
      }
    }
    return names.draw(q, items, view, marks, along, theme);
  }

  /** The edges of the base that face the eye carry x and y, the left corner carries f. */
  function drawAxes(q, look) {
    const { across, deep } = mesh;
    const [x0, x1, y0, y1] = plan.bounds;
    const nearX = eye.forward[0] > 0 ? -across : across;
    const nearY = eye.forward[1] > 0 ? -deep : deep;
    const size = Math.max(11, theme.size - 2);
    q.font = `${size}px ${theme.family}`;
    q.fillStyle = q.strokeStyle = theme.mute;
    q.lineWidth = 1;
    q.lineJoin = "round";
    q.textBaseline = "middle";

    const corners = [[nearX, -nearY], [-nearX, nearY]].map(([x, y]) => ({ x, y, left: project(eye, x, y, 0, spot).x }));
    const { x, y } = corners[0].left < corners[1].left ? corners[0] : corners[1];
    const foot = project(eye, x, y, 0, { x: 0, y: 0 });
    const top = project(eye, x, y, HEIGHT, { x: 0, y: 0 });

    const edge = (name, low, high, at) => { // at(share, out): a point along the edge, and so far beyond it
      const outward = (share) => {
        const here = project(eye, ...at(share, 0), 0, { x: 0, y: 0 });
        const there = project(eye, ...at(share, 0.1), 0, { x: 0, y: 0 });
        const far = Math.hypot(there.x - here.x, there.y - here.y) || 1;
        return { ...here, dx: (there.x - here.x) / far, dy: (there.y - here.y) / far };
      };
      const write = (text, { x, y, dx, dy }, away) => {
        q.textAlign = dx > 0.35 ? "left" : dx < -0.35 ? "right" : "center";
        q.fillText(text, x + dx * away, y + dy * away);
      };
      q.beginPath();
      for (const tick of linearTicks(low, high, 5)) {
        const place = outward((tick.value - low) / (high - low));
        if (Math.hypot(place.x - foot.x, place.y - foot.y) < size) continue; // there f has its own lowest value
        q.moveTo(place.x, place.y);
        q.lineTo(place.x + 4 * place.dx, place.y + 4 * place.dy);
        write(tick.label, place, 12);
      }
      q.stroke();
      q.font = `600 ${size}px ${theme.family}`;
      write(name, outward(0.5), 30);
      q.font = `${size}px ${theme.family}`;
    };
    edge("x", x0, x1, (share, out) => [across * (2 * share - 1), nearY * (1 + out)]);
    edge("y", y0, y1, (share, out) => [nearX * (1 + out), deep * (2 * share - 1)]);

    const long = Math.hypot(top.x - foot.x, top.y - foot.y);
    if (long < 3 * size) return; // seen from above there is no height to read
    q.textAlign = "right";
    q.beginPath();
    q.moveTo(foot.x, foot.y);
    q.lineTo(top.x, top.y);
    for (const { height, label } of heightTicks(scale, Math.min(5, Math.floor(long / (1.8 * size))))) {
      const tick = project(eye, x, y, height * HEIGHT, spot);
      q.moveTo(tick.x, tick.y);
      q.lineTo(tick.x - 4, tick.y);
      q.fillText(label, tick.x - 7, tick.y);
    }
    q.stroke();
    q.textAlign = "left";
    q.font = `600 ${size}px ${theme.family}`;
    q.fillText(heightName(race), top.x - 3, top.y - 14);
    const beside = top.x + 3 + q.measureText(heightName(race)).width;
    q.font = `${size}px ${theme.family}`;
    q.fillText(look.scale === "linear" ? "linear heights" : "log heights", beside, top.y - 14);
  }

  function describe() {
    const racers = race.racers.map((racer) => racer.label).join(", ");
    return (
      `Relief of the ${race.surface.title}${race.measured ? "" : " surface"}, height shows ${heightName(race)}, with the paths of ${racers} on it. ` +
      "Drag or use the arrow keys to turn it, Home to turn it back."
    );
  }

  const turned = ([azimuth, elevation], right, up) => [
    Math.round((((azimuth + right) % 360) + 360) % 360 * 10) / 10,
    Math.round(Math.max(LOWEST, Math.min(HIGHEST, elevation + up)) * 10) / 10,
  ];

  function come(factor) {
    zoom = Math.max(ZOOM[0], Math.min(ZOOM[1], zoom * factor));
    refresh();
  }

  function reset() {
    zoom = 1;
    camera = LOOK.camera;
    onTurn(camera, true);
  }

  ink.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || hand) return;
    ink.setPointerCapture(event.pointerId);
    hand = { id: event.pointerId, from: camera, camera, x: event.clientX, y: event.clientY };
    ink.classList.add("held");
    watch(0);
  });
  ink.addEventListener("pointermove", (event) => {
    if (hand?.id !== event.pointerId) return;
    // The relief follows the hand: dragged to the right its front goes right, dragged down one sees it more from above.
    hand.camera = turned(hand.from, (hand.x - event.clientX) * PER_PIXEL, (event.clientY - hand.y) * PER_PIXEL);
    onTurn(hand.camera, false);
  });
  const release = (event) => {
    if (hand?.id !== event.pointerId) return;
    const last = hand.camera;
    hand = null;
    ink.classList.remove("held");
    onTurn(last, true);
  };
  ink.addEventListener("pointerup", release);
  ink.addEventListener("pointercancel", release);
  ink.addEventListener("wheel", (event) => {
    if (!wheel && !event.ctrlKey) return;
    event.preventDefault();
    come(Math.exp(-event.deltaY * 0.0012));
  }, { passive: false });
  ink.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const stride = event.shiftKey ? 3 * STRIDE : STRIDE;
    const turn = { ArrowLeft: [stride, 0], ArrowRight: [-stride, 0], ArrowUp: [0, stride], ArrowDown: [0, -stride] }[event.key];
    if (turn) {
      camera = turned(camera, ...turn); // the next key may come before the next picture
      onTurn(camera, true);
    } else if (event.key === "Home") reset();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  ground.addEventListener("webglcontextlost", (event) => event.preventDefault());
  ground.addEventListener("webglcontextrestored", () => {
    card = createCanvas(ground);
    formed = printed = seen = "";
    refresh();
  });

  return {
    node,
    view,
    /** A hand turns it, on a card that hardly keeps up. */
    get strained() { return hand !== null && slow; },
    zoom: { in: () => come(1.2), out: () => come(1 / 1.2), reset },
    /** Show another race; newField is the lattice of f, or null to keep the present one. */
    update(newRace, newField) {
      race = newRace;
      if (newField) field = newField;
      laid = null;
      if (!view.width) fit();
      ink.setAttribute("aria-label", describe());
    },
    resize() {
      names.forget();
      fit();
    },
    /** Draw the moment `at`, a step for each racer; `full` shows what is to come as a ghost. Returns the names' boxes. */
    draw({ at, full, chosen, theme: now, look }) {
      if (!card || !race || !field || !view.width) return [];
      const changed = now !== theme && !(theme && sameTheme(now, theme));
      if (changed) theme = now;
      camera = hand?.camera ?? look.camera;
      view.camera = camera;
      const before = lines;
      const fine = !hand || !slow;
      form(look, fine ? FINE : ROUGH);
      const ratio = view.ratio * (fine ? 1 : 0.5);
      if (changed || lines !== before || ratio !== sharpness) {
        sharpness = ratio;
        dress();
      }
      scaleTo(ground, sharpness);
      aim(eye, frame, camera, zoom, mesh);
      paper(look);
      const tones = theme.dark ? LOOKS.dark : LOOKS.light;
      drawGround(tones, fine);
      drawLines(at, full, chosen, look.off, tones, fine);
      card.flush();
      const q = ink.getContext("2d");
      q.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
      q.clearRect(0, 0, view.width, view.height);
      drawAxes(q, look);
      return drawMarks(q, at, chosen, look.off);
    },
    stop() {
      hand = null; // it may be stopped under one
      card?.stop();
      card = null;
    },
  };
}

/** "#b3401f" or "rgb(179, 64, 31)" as three shares of 1. */
function shares(color) {
  const parts = color.startsWith("#") ? color.slice(1).match(/../g).map((pair) => parseInt(pair, 16)) : color.match(/[\d.]+/g).map(Number);
  return parts.slice(0, 3).map((part) => part / 255);
}
