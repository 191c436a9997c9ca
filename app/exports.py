"""A race or a run as a file to keep: made by a child process, so that no other learner waits for it.

The player asks again and again while it wants a file, and each time hears how far it is; the last answer
brings the bytes. A child ends when it is stopped, when nobody has asked for a while (the tab was closed),
when it takes too long, and with the server, because the pipe between the two closes.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from app.request import RaceRequest

if TYPE_CHECKING:
    from optimizers import Race


class Subject(Protocol):
    """What there are files of."""

    kinds: ClassVar[tuple[str, ...]]  # endings of the files it can be

    @property
    def stem(self) -> str:
        """The file's name, without its ending."""

    def order(self) -> dict[str, Any]:
        """Return what the child is told, as JSON; `maker` is what makes the file, module:function."""


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
_ids = count(1)


def advance(
    session_key: str,
    subject: RaceRequest | Subject | None,
    make: object = None,
    stop: bool = False,
    have: str = "",
) -> tuple[dict[str, Any], bytes | None]:
    """Start the file a session wants, or say how far it is.

    Args:
        session_key: names the session; it has one export at a time.
        subject: a race, or what else there are files of, for an export that begins now. One under way keeps
            what it began with.
        make: {format, dark} begins one, in place of the one before; anything else goes on with that.
        stop: end what is under way.
        have: the id of the file the player has received, which need not be kept any longer.

    Returns:
        head: {id, format, name, pending, done, of, problem, size}, empty where nothing is wanted.
        content: the file, once it is made, padded to whole floats as `pack` wants them; `size` is without.
    """
    wish = make if isinstance(make, Mapping) else {}
    kind = wish.get("format")
    what = RaceFile(subject) if isinstance(subject, RaceRequest) else subject
    begins = what is not None and isinstance(kind, str) and kind in what.kinds
    with _lock:
        export = _exports.get(session_key)
        if export is not None and (stop or begins or export.id == have):
            export.over.set()
            del _exports[session_key]
            export = None
        if begins and not stop:
            assert what is not None
            export = _Export(session_key, what, str(kind), wish.get("dark") is True)
            if len(_exports) >= MOST:
                export.problem = f"{MOST} files are being made already; try again in a minute."
            else:
                _exports[session_key] = export
                threading.Thread(target=export.run, daemon=True).start()
    return export.answer() if export else ({}, None)


@dataclass(frozen=True)
class RaceFile:
    """A race, to be written as a file."""

    kinds: ClassVar[tuple[str, ...]] = ("png", "svg", "gif", "mp4", "csv", "html", "py")
    request: RaceRequest

    @property
    def stem(self) -> str:
        """The file's name, without its ending."""
        optimizers = list(dict.fromkeys(racer.name for racer in self.request.racers))[:MOST_NAMED]
        return "-".join([self.request.surface.name, *optimizers])

    def order(self) -> dict[str, Any]:
        """Return what the child is told."""
        return {"maker": "app.exports:make_race", "query": self.request.query()}


class _Export:
    """One file in the making, watched by a thread of its own."""

    def __init__(self, session_key: str, subject: Subject, kind: str, dark: bool) -> None:
        self.id = str(next(_ids))
        self.session_key, self.subject, self.kind, self.dark = session_key, subject, kind, dark
        self.asked = time.monotonic()
        self.over = threading.Event()  # nobody wants it any more
        self.done, self.of = 0, 1
        self.problem = ""
        self.content: bytes | None = None

    @property
    def name(self) -> str:
        return f"{self.subject.stem}.{self.kind}"

    def answer(self) -> tuple[dict[str, Any], bytes | None]:
        self.asked = time.monotonic()
        content = self.content
        size = len(content or b"")
        head = {
            "id": self.id,
            "format": self.kind,
            "name": self.name,
            "pending": content is None and not self.problem,
            "done": self.done,
            "of": self.of,
            "problem": self.problem,
            "size": size,
        }
        return head, None if content is None else content + bytes(-size % 4)

    def run(self) -> None:
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
            self.problem = f"The .{self.kind} could not be made: the server found no room for it."
        except Exception:
            logging.getLogger(__name__).exception("An export failed: .%s", self.kind)
            self.problem = f"The .{self.kind} could not be made; try another kind of file."
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _wait_for(self, folder: Path) -> None:
        out, said = folder / f"made.{self.kind}", folder / "said"
        order = self.subject.order() | {"dark": self.dark}
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
                    self.problem = f"The .{self.kind} took too long to make; try fewer steps."
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
            self.problem = f"The .{self.kind} could not be made; try another kind of file."

    def _hear(self, said: Path) -> None:
        """Read the last whole line of what the child has said."""
        lines = said.read_bytes().split(b"\n")[:-1]
        if not lines:
            return
        last = json.loads(lines[-1])
        self.done, self.of = last.get("done", self.done), last.get("of", self.of)
        self.problem = last.get("problem", "")


# In the child -----------------------------------------------------------------------------------------------


def work() -> None:
    """Make the file the command line names; say on standard output how far it is, in lines of JSON."""
    out = Path(sys.argv[1])
    order = json.loads(sys.argv[2])
    threading.Thread(target=_end_with_the_server, args=(out.parent,), daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(10)  # a film can wait for whoever moves a slider
    module, _, name = order["maker"].partition(":")
    try:
        getattr(importlib.import_module(module), name)(out, order)
    except ValueError as problem:  # what can't be written says so in a sentence
        _say(problem=str(problem))
        sys.exit(1)


def make_race(out: Path, order: Mapping[str, Any]) -> None:
    """Write a race, as a child process."""
    request, notices = RaceRequest.parse(order["query"])
    if notices:  # another race than the one on the screen
        raise ValueError(notices[0])
    _WRITERS[out.suffix[1:]](request.race(), out, order["dark"])


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
