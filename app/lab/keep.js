// A run as files to keep: Python makes them, the browser saves them.

import { element } from "../adamscope.player/dom.js";
import { save } from "../adamscope.player/keep.js";
import { openMenu } from "../adamscope.player/menu.js";

const FILES = [
  { kind: "png", title: "Picture .png", note: "the curves, to paste into slides" },
  { kind: "svg", title: "Drawing .svg", note: "the same in lines, to print at any size" },
  { kind: "csv", title: "Numbers .csv", note: "every point of every racer" },
  { kind: "inside.csv", title: "Inside .csv", note: "what was measured of every layer" },
  { kind: "zip", title: "TensorBoard .zip", note: "its event files: unpack, then tensorboard --logdir" },
  { kind: "json", title: "Recipe .json", note: "what was trained, to train it again" },
  { kind: "py", title: "Program .py", note: "the same run in plain PyTorch, without Adamscope" },
];

/** act(press, run id, text) asks for a file, and says that it has come. */
export function createKeep({ act }) {
  const button = element("button.quiet", { type: "button", "aria-haspopup": "menu", title: "Save this run as a file", onclick: () =>
    openMenu(button, FILES.map(({ kind, title, note }) => ({ title, note, action: () => begin(kind) })), "Save this run") }, "save as …");
  const words = element("span", { role: "status" }); // a line of its own, once it says something
  const node = element("span.saving", {}, button, words);
  let run = null;
  let link = null;
  let saved = null; // id of the newest file

  function begin(kind) {
    button.disabled = true;
    words.replaceChildren(`Making the .${kind} …`);
    act("export", run, kind);
  }

  return {
    node,
    /** file: {id, name, size, pending, problem} as it last arrived; bytes: its content, once it is made. */
    update(id, file, bytes) {
      if (id !== run && !button.disabled) words.replaceChildren();
      run = id;
      if (!file || file.pending || file.id === saved || (!file.problem && !bytes)) return;
      saved = file.id;
      button.disabled = false;
      if (file.problem) words.replaceChildren(file.problem);
      else {
        if (link) URL.revokeObjectURL(link.href);
        link = save(file.name, new Uint8Array(bytes.buffer, bytes.byteOffset, file.size));
        words.replaceChildren("Saved as ", link);
      }
      act("saved");
    },
  };
}
