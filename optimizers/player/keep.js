// Files to keep: Python makes them, the browser saves them.

import { element } from "./dom.js";
import { openMenu } from "./menu.js";
import { lastStep, stampAt } from "./race.js";

const FILES = [
  { format: "png", title: "Picture", note: "paths and losses, to paste into slides" },
  { format: "svg", title: "Drawing", note: "the same in lines, to print at any size" },
  { format: "gif", title: "Film to mail", note: "it plays by itself, again and again" },
  { format: "mp4", title: "Film to project", note: "sharper, and with a bar to scrub" },
  { format: "html", title: "Page", note: "this player in one file, without Python or a network" },
  { format: "csv", title: "Numbers", note: "every step of every racer" },
  { format: "py", title: "Program", note: "plain Python that takes these very steps" },
];

/** Have the browser save bytes under a name; return a link to them, should it refuse. */
export function save(name, bytes) {
  const types = { html: "text/html", svg: "image/svg+xml", csv: "text/csv", py: "text/x-python", mp4: "video/mp4" };
  const ending = name.split(".").pop();
  const blob = new Blob([bytes], { type: types[ending] ?? `image/${ending}` });
  const link = element("a", {
    href: URL.createObjectURL(blob), download: name, title: "Press if the browser has not saved it",
  }, name);
  link.click();
  return link;
}

/**
 * What a page without Python can save by itself: a button with a menu. race() is what races, canvases() what lies on the
 * stage, from below.
 */
export function createSave({ race, canvases }) {
  const name = (ending) => `${[race().surface.name, ...new Set(race().racers.map((racer) => racer.name))].slice(0, 5).join("-")}.${ending}`;

  function picture() {
    const layers = canvases();
    const { width, height } = layers.at(-1);
    const sheet = element("canvas", { width, height });
    for (const layer of layers) sheet.getContext("2d").drawImage(layer, 0, 0, width, height);
    sheet.toBlob((blob) => save(name("png"), blob));
  }

  function numbers() {
    const rows = ["racer,step,x,y,loss"];
    for (const racer of race().racers) {
      const called = `"${racer.notation.replaceAll('"', '""')}"`;
      for (let step = 0; step <= lastStep(race(), racer); step += 1) {
        const point = [racer.value("theta", step, 0), racer.value("theta", step, 1), racer.loss[step]];
        rows.push([called, stampAt(race(), step), ...point.map((z) => Number(z.toPrecision(8)))].join(","));
      }
    }
    save(name("csv"), `${rows.join("\n")}\n`);
  }

  const items = [
    { title: "Picture", note: "the map as it is now, .png", action: picture },
    { title: "Numbers", note: "every step of every racer, .csv", action: numbers },
  ];
  const button = element("button.tool", {
    type: "button", "aria-haspopup": "menu", title: "Save a picture or the numbers",
    onclick: () => openMenu(button, items, "Save"),
  }, "save");
  return button;
}

const size = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/**
 * make(format) asks for a file, stop() for an end of it. update(work.export) hears how far it is.
 * said(text) is told what to show beside the bar's word while the panel is closed.
 */
export function createKeep({ make, stop, said }) {
  const buttons = FILES.map(({ format, title, note }) => element("button.file", {
    type: "button", "data-format": format, onclick: () => begin(format),
  }, element("b", {}, title, " ", element("small", {}, `.${format}`)), element("span", {}, note)));
  const words = element("span", { role: "status" });
  const bar = element("progress", { max: 1, "aria-label": "How far it is" });
  const halt = element("button.quiet", { type: "button", onclick: end }, "stop");
  const row = element("div.making", { hidden: true }, words, bar, halt);
  const node = element("div.keep", {}, element("p", {}, "This race as a file, as it stands."), ...buttons, row);
  let wanted = null; // the format under way
  let kept = null; // the id of the newest that was saved
  let link = null;

  function begin(format) {
    wanted = format;
    report(`Getting ready to make the .${format} …`, 0);
    halt.focus();
    make(format);
  }

  function end() {
    wanted = null;
    report("Stopped.");
    stop();
  }

  /** done: 0 … 1 while something is under way, null when nothing is. */
  function report(text, done = null) {
    const held = done === null && node.getRootNode().activeElement === halt;
    row.hidden = false;
    bar.hidden = halt.hidden = done === null;
    bar.value = done ?? 0;
    words.replaceChildren(text);
    for (const button of buttons) button.disabled = done !== null;
    if (held) buttons[0].focus(); // the stop one stood on is gone
    said(done === null ? "" : ` ${Math.round(100 * done)} %`);
  }

  return {
    node,
    /** file: {format, id, name, size, values, pending, done, of, problem}, as it last arrived. */
    update(file) {
      if (!file || wanted === null) return;
      if (file.problem) {
        wanted = null;
        report(file.problem);
      } else if (file.pending) {
        const text = file.done ? `Making the .${wanted} …` : `Getting ready to make the .${wanted} …`;
        if (words.textContent !== text || bar.value !== file.done / file.of) report(text, file.done / file.of);
      } else if (file.values && file.id !== kept) {
        [wanted, kept] = [null, file.id];
        if (link) URL.revokeObjectURL(link.href);
        link = save(file.name, new Uint8Array(file.values.buffer, file.values.byteOffset, file.size));
        report("Saved as ");
        words.append(link, `, ${size(file.size)}`);
      }
    },
  };
}
