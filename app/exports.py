"""A race as a file to keep: made by a child process, so that no other learner waits for it.

The player asks again and again while it wants a file, and each time hears how far it is; the last answer
brings the bytes. A child ends when it is stopped, when nobody has asked for a while (the tab was closed), when
it takes too long, and with the server, because the pipe between the two closes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.request import RaceRequest

if TYPE_CHECKING:
    from optimizers import Race

AT_ONCE = 2  # children at work; who comes later waits
MOST = 20  # exports that wait or are at work
PATIENCE = (
    90.0  # seconds without a question after which a file is no longer wanted; a hidden tab asks once a minute
)
LONGEST = 300.0  # seconds an export may take
LOOK = 0.1  # seconds between two looks at a child
MOST_NAMED = 4  # optimizers in a file's name

_ROOT = Path(__file__).parents[1]
_places = threading.Semaphore(AT_ONCE)
_lock = threading.Lock()
_exports: dict[str, _Export] = {}  # by session


@dataclass(frozen=True)
class Wish:
    """A file one wants, as the player's message has it."""

    format: str
    dark: bool
    press: int  # counts the player's wishes: the same file may be wanted once more

    @classmethod
    def read(cls, made: object) -> Wish | None:
        """Read what a message says, which may be anything at all; None if it wishes for no file."""
        if not isinstance(made, dict):
            return None
        kind, press = made.get("format"), made.get("press")
        if not isinstance(kind, str) or kind not in _WRITERS or type(press) is not int:
            return None
        return cls(kind, made.get("dark") is True, press)


def advance(
    session_key: str, request: RaceRequest, make: object, stop: bool
) -> tuple[dict[str, Any], bytes | None]:
    """Start the file a session wants, or say how far it is.

    Args:
        session_key: names the session; it has one export at a time.
        request: the race, for an export that begins now. One under way keeps the race it began with.
        make: {format, dark, press}, as the player sends it; anything else wants nothing.
        stop: end what is under way.

    Returns:
        head: {format, name, press, done, of, problem, size}, empty where nothing is wanted.
        content: the file, once it is made, padded to whole floats as `pack` wants them; `size` is without.
    """
    wish = Wish.read(make)
    with _lock:
        export = _exports.get(session_key)
        if export is not None and (stop or wish != export.wish):
            export.over.set()
            del _exports[session_key]
            export = None
        if wish is None or stop:
            return {}, None
        if export is None:
            if len(_exports) >= MOST:
                busy = f"{MOST} files are being made already; try again in a minute."
                return _head(wish, request, problem=busy), None
            export = _exports[session_key] = _Export(session_key, wish, request)
            export.start()
    return export.answer()


class _Export:
    """One file in the making, watched by a thread of its own."""

    def __init__(self, session_key: str, wish: Wish, request: RaceRequest) -> None:
        self.session_key, self.wish, self.request = session_key, wish, request
        self.asked = time.monotonic()
        self.over = threading.Event()  # nobody wants it any more
        self.done, self.of = 0, 1
        self.problem = ""
        self.content: bytes | None = None

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def answer(self) -> tuple[dict[str, Any], bytes | None]:
        self.asked = time.monotonic()
        content = self.content
        size = len(content or b"")
        head = _head(self.wish, self.request, self.done, self.of, self.problem, size)
        return head, content + bytes(-size % 4) if content is not None else None

    def _run(self) -> None:
        while not self._unwanted():
            if _places.acquire(timeout=LOOK):
                try:
                    self._make()
                finally:
                    _places.release()
                break
        while not self._unwanted():  # it is kept until it has been fetched
            self.over.wait(1.0)
        with _lock:
            if _exports.get(self.session_key) is self:
                del _exports[self.session_key]

    def _unwanted(self) -> bool:
        return self.over.is_set() or time.monotonic() - self.asked > PATIENCE

    def _make(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="adamscope-"))
        try:
            self._wait_for(folder)
        except OSError:
            self.problem = f"The .{self.wish.format} could not be made: the server found no room for it."
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _wait_for(self, folder: Path) -> None:
        out, said = folder / f"race.{self.wish.format}", folder / "said"
        order = {"query": self.request.query(), "dark": self.wish.dark}
        path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
        with said.open("wb") as sink:
            child = subprocess.Popen(
                [sys.executable, "-c", "from app.exports import work; work()", str(out), json.dumps(order)],
                stdin=subprocess.PIPE,
                stdout=sink,
                env=os.environ | {"PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C in the terminal is for the server, with which this ends
            )
        began = time.monotonic()
        try:
            while child.poll() is None:
                if self._unwanted():
                    return
                if time.monotonic() - began > LONGEST:
                    self.problem = f"The .{self.wish.format} took too long to make; try fewer steps."
                    return
                self._hear(said)
                self.over.wait(LOOK)
        finally:
            child.kill()
            child.communicate()  # closes the pipe, and waits
        self._hear(said)
        if child.returncode == 0:
            self.content = out.read_bytes()
        elif not self.problem:
            self.problem = f"The .{self.wish.format} could not be made; try another kind of file."

    def _hear(self, said: Path) -> None:
        """Read the last whole line of what the child has said."""
        lines = said.read_bytes().split(b"\n")[:-1]
        if not lines:
            return
        last = json.loads(lines[-1])
        self.done, self.of = last.get("done", self.done), last.get("of", self.of)
        self.problem = last.get("problem", "")


def _head(
    wish: Wish, request: RaceRequest, done: int = 0, of: int = 1, problem: str = "", size: int = 0
) -> dict[str, Any]:
    optimizers = list(dict.fromkeys(racer.name for racer in request.racers))[:MOST_NAMED]
    name = f"{'-'.join([request.surface.name, *optimizers])}.{wish.format}"
    return {
        "format": wish.format,
        "name": name,
        "press": wish.press,
        "done": done,
        "of": of,
        "problem": problem,
        "size": size,
    }


# In the child -----------------------------------------------------------------------------------------------


def work() -> None:
    """Make the file the command line names; say on standard output how far it is, in lines of JSON."""
    out = Path(sys.argv[1])
    order = json.loads(sys.argv[2])
    threading.Thread(target=_end_with_the_server, args=(out.parent,), daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(10)  # a film can wait for whoever moves a slider
    request, _ = RaceRequest.parse(order["query"])
    try:
        _WRITERS[out.suffix[1:]](request.race(), out, order["dark"])
    except ValueError as problem:  # what can't be written says so in a sentence
        _say(problem=str(problem))
        sys.exit(1)


def _end_with_the_server(folder: Path) -> None:
    os.read(0, 1)  # nothing ever comes: it returns when the other end is closed
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def _picture(race: Race, out: Path, dark: bool) -> None:
    from optimizers import figures

    figures.save(figures.paths(race, dark=dark), out)


def _film(race: Race, out: Path, dark: bool) -> None:
    from optimizers import figures

    figures.animate(race, out, dark=dark, progress=lambda done, of: _say(done=done, of=of))


def _rows(race: Race, out: Path, dark: bool) -> None:
    from app.cli import write_csv

    write_csv(race, out)


def _page(race: Race, out: Path, dark: bool) -> None:
    out.write_text(race.to_html(), encoding="utf-8")  # it is light or dark as its reader's system is


def _program(race: Race, out: Path, dark: bool) -> None:
    from optimizers.explain import program

    out.write_text(program(race), encoding="utf-8")


_WRITERS: dict[str, Callable[[Race, Path, bool], None]] = {
    "png": _picture,
    "svg": _picture,
    "gif": _film,
    "mp4": _film,
    "csv": _rows,
    "html": _page,
    "py": _program,
}
