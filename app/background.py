"""What takes longer than a race may is computed beside it, the newest wish of each page first.

All pages share one small pool of threads; what runs in it lets go of the interpreter. A page has one
`Channel` for each kind of work (its basin map, its sweep): one job of it runs, at most one waits, and the
newest that is finished stays until a newer one is.
"""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from threading import Condition, Event, Lock
from typing import Any

Progress = Callable[[int, int], None]  # (pieces done, of how many); raises StoppedError when nobody wants it
Publish = Callable[["Result"], None]  # shows a coarse first picture

NEARLY = 0.1  # seconds: a job with less than that to go is finished though a newer one waits
MOST_KEPT = 64 * 2**20  # bytes of results that all pages together keep


class StoppedError(Exception):
    """A job stops: something newer is wanted in its place."""


@dataclass(frozen=True)
class Result:
    """What a job has found: a head that JSON takes, and numbers as bytes."""

    key: str  # says what was asked, in full
    kin: str  # results of the same kin may stand in for one another for a moment, while a hand drags
    head: Mapping[str, Any] = field(default_factory=dict)
    data: bytes = b""


@dataclass(frozen=True)
class Wish:
    """Something to compute. What `work` raises as a ValueError is told to whoever asked."""

    key: str
    kin: str
    work: Callable[[Progress, Publish], Result]
    brief: bool = False  # so short that it is finished in any case: a hand that drags sees it follow


class Kept:
    """The results of all pages, the ones asked for last, within a number of bytes."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        """Keep at most so many bytes."""
        self._most = most
        self._bytes = 0
        self._results: OrderedDict[str, Result] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> Result | None:
        """Return a result, if it is kept."""
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
            return self._results.get(key)

    def put(self, result: Result) -> None:
        """Keep a result; what was not asked for longest goes."""
        with self._lock:
            if result.key in self._results:
                return
            self._results[result.key] = result
            self._bytes += _size(result)
            while self._bytes > self._most:
                _, oldest = self._results.popitem(last=False)
                self._bytes -= _size(oldest)


def _size(result: Result) -> int:
    return len(result.data) + 4_000  # a head is small, but not nothing


@cache
def kept() -> Kept:
    """Return the results this process keeps."""
    return Kept()


_closing = Event()  # the server is stopping


def close() -> None:
    """Leave all that is under way or waits: the server stops, and must not wait for it."""
    _closing.set()
    _pool().shutdown(wait=False, cancel_futures=True)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(2, os.cpu_count() or 1), thread_name_prefix="adamscope-maps")


class Channel:
    """The work of one kind for one page."""

    def __init__(self) -> None:
        """Nothing is asked for yet."""
        self._changed = Condition()
        self._wanted: str | None = None  # the key asked for last
        self._running: Wish | None = None
        self._waiting: Wish | None = None
        self._queued = False  # the pool knows of us
        self._finished: Result | None = None
        self._problem: tuple[str, str] | None = None  # key, sentence
        self._began = 0.0
        self._done, self._of = 0, 0

    def want(self, wish: Wish | None) -> None:
        """Ask for something in place of what was asked before; None: for nothing any more."""
        with self._changed:
            self._waiting = None
            self._wanted = wish.key if wish else None
            if wish is None or self._answers(wish.key):
                return
            if self._running is not None and self._running.key == wish.key:
                return
            known = kept().get(wish.key)
            if known is not None:
                self._finished = known
                return
            self._waiting = wish
            if not self._queued:
                self._queue()

    def _queue(self) -> None:
        self._queued = not _closing.is_set()
        if self._queued:
            _pool().submit(self._work)

    def _answers(self, key: str) -> bool:
        return bool(
            (self._finished and self._finished.key == key) or (self._problem and self._problem[0] == key)
        )

    def wait(self, seconds: float) -> None:
        """Give what is under way a moment to finish."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queued, seconds)

    def answer(self, key: str, kin: str, held: object) -> tuple[dict[str, Any], bytes]:
        """Return a head and numbers: the newest finished result of this kin, unless it is `held`.

        While what is asked for is not the newest finished, the head has pending=True and how far it is
        ({done, of}); problem=sentence where it has failed.
        """
        with self._changed:
            head: dict[str, Any] = {}
            data = b""
            found = self._finished
            if found is not None and found.kin == kin:
                head["id"] = found.key
                if held != found.key:
                    head, data = {**found.head, **head}, found.data
            if self._problem is not None and self._problem[0] == key:
                head["problem"] = self._problem[1]
            elif found is None or found.key != key:
                under = self._running is not None and self._running.key == key
                done, of = (self._done, self._of) if under else (0, 0)
                head |= {"pending": True, "done": done, "of": of}
            return head, data

    def _work(self) -> None:
        """Run what waits, in a thread of the pool; then make room for other pages."""
        with self._changed:
            wish = self._running = self._waiting
            self._waiting = None
            self._began, self._done, self._of = time.monotonic(), 0, 0
        if wish is not None:
            self._run(wish)
        with self._changed:
            self._running = None
            self._queued = False
            if self._waiting is not None:
                self._queue()
            self._changed.notify_all()

    def _run(self, wish: Wish) -> None:
        try:
            result = wish.work(self._progress, self._show)
        except StoppedError:
            return
        except ValueError as problem:
            self._fail(wish, str(problem))
        except Exception:
            if _closing.is_set():  # no thread and no process begins any more
                return
            logging.getLogger(__name__).exception("A job failed: %s", wish.key)
            self._fail(wish, "This could not be computed; change something, and it is tried again.")
        else:
            kept().put(result)
            self._show(result)

    def _show(self, result: Result) -> None:
        with self._changed:
            self._finished, self._problem = result, None

    def _fail(self, wish: Wish, sentence: str) -> None:
        with self._changed:
            self._problem = wish.key, sentence

    def _progress(self, done: int, of: int) -> None:
        with self._changed:
            self._done, self._of = done, of
            wish, wanted = self._running, self._wanted
        if _closing.is_set():
            raise StoppedError
        if wish is None or wish.key == wanted or (wish.brief and wanted):
            return
        if (time.monotonic() - self._began) * (of - done) / done > NEARLY:
            raise StoppedError
