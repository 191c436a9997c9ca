"""Files made by a child process: whole, stopped when nobody wants them, and nothing left behind."""

import csv
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import psutil
import pytest

from app import exports
from app.exports import advance
from app.request import RaceRequest

SHORT, _ = RaceRequest.parse("surface=quadratic&o=adam(lr=0.1)&o=gd(lr=0.1)&o=adam&steps=12")
LONG, _ = RaceRequest.parse("surface=rosenbrock&o=adam(lr=0.1)&steps=300")


def gif(press: int = 1) -> dict[str, object]:
    return {"format": "gif", "dark": False, "press": press}


def until(true: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it may end under our eyes
            if "from app.exports import work; work()" in child.cmdline():
                found.append(child)
    return found


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where exports put what they are making; empty again after each test."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    for session in list(exports._exports):
        advance(session, SHORT, None, True)
    until(lambda: not list(tmp_path.iterdir()) and not children())


def fetch(session: str, request: RaceRequest, make: dict[str, object]) -> tuple[dict[str, Any], bytes]:
    deadline = time.monotonic() + 60
    while True:
        head, content = advance(session, request, make, False)
        assert not head["problem"], head
        assert time.monotonic() < deadline
        if content is not None:
            assert len(content) % 4 == 0
            return head, content[: head["size"]]
        time.sleep(0.05)


def test_every_kind_of_file() -> None:
    kinds = ["png", "svg", "gif", "mp4", "csv", "html", "py"]
    wishes: dict[str, dict[str, object]] = {k: {"format": k, "dark": k == "png", "press": 1} for k in kinds}
    for kind in kinds:  # all at once: two are at work, the others wait
        advance(kind, SHORT, wishes[kind], False)
    made = {kind: fetch(kind, SHORT, wishes[kind]) for kind in kinds}
    for kind in kinds:
        assert made[kind][0]["name"] == f"quadratic-adam-gd.{kind}"
    content = {kind: content for kind, (_, content) in made.items()}
    assert content["png"].startswith(b"\x89PNG")
    assert content["gif"].startswith(b"GIF89a")
    assert content["mp4"][4:8] == b"ftyp"
    assert ElementTree.fromstring(content["svg"]).tag.endswith("svg")
    assert b"<!doctype html>" in content["html"]
    rows = list(csv.DictReader(io.StringIO(content["csv"].decode())))
    first = [(float(row["x"]), float(row["y"])) for row in rows if row["racer"] == "adam(lr=0.1)"]
    np.testing.assert_allclose(first, SHORT.race().trajectories[0].path)
    names: dict[str, Any] = {}
    exec(compile(content["py"], "race.py", "exec"), names)
    np.testing.assert_array_equal(names["losses"]["gd(lr=0.1)"], SHORT.race().trajectories[1].loss)


def test_a_film_says_how_far_it_is_and_ends_when_stopped(folder: Path) -> None:
    until(lambda: advance("one", LONG, gif(), False)[0]["done"] > 0)
    head, content = advance("one", LONG, gif(), False)
    assert content is None
    assert head["done"] < head["of"]
    assert advance("one", LONG, gif(), True) == ({}, None)
    until(lambda: not children() and not list(folder.iterdir()), 5)


def test_another_wish_takes_the_place_of_the_first() -> None:
    advance("one", LONG, gif(), False)
    until(children)
    text: dict[str, object] = {"format": "csv", "dark": False, "press": 2}
    head, _ = fetch("one", SHORT, text)
    assert head["press"] == 2
    assert head["name"] == "quadratic-adam-gd.csv"
    assert advance("one", SHORT, None, False) == ({}, None)  # fetched, and forgotten
    assert not exports._exports


def test_what_nobody_asks_for_any_more_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    advance("gone", LONG, gif(), False)
    until(children)
    monkeypatch.setattr(exports, "PATIENCE", 0.0)
    until(lambda: not children() and not exports._exports, 5)


def test_what_takes_too_long_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "LONGEST", 0.0)
    advance("slow", LONG, gif(), False)
    until(lambda: advance("slow", LONG, gif(), False)[0]["problem"])
    assert advance("slow", LONG, gif(), False)[0]["problem"].endswith("try fewer steps.")


def test_only_so_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MOST", 3)
    for session in "abc":
        advance(session, LONG, gif(), False)
    assert "try again in a minute" in advance("d", LONG, gif(), False)[0]["problem"]
    until(children)
    assert len(children()) <= exports.AT_ONCE
    advance("a", LONG, None, True)
    assert not advance("d", LONG, gif(), False)[0]["problem"]


@pytest.mark.parametrize(
    "made",
    [
        None,
        1,
        "gif",
        [],
        {},
        {"format": "exe", "press": 1},
        {"format": ["gif"], "press": 1},
        {"format": "gif"},
    ]
    + [{"format": "gif", "press": bad} for bad in (float("nan"), True, "1", None)],
)
def test_a_hostile_wish_is_none(made: object) -> None:
    assert advance("x", SHORT, made, False) == ({}, None)
    assert not exports._exports


def test_a_child_ends_with_the_server_and_leaves_nothing(folder: Path) -> None:
    program = """
import tempfile, sys, time
from app.exports import advance
from app.request import RaceRequest
tempfile.tempdir = sys.argv[1]
while True:
    head, _ = advance("one", RaceRequest(), {"format": "gif", "dark": False, "press": 1}, False)
    if head["done"]:
        print("at work", flush=True)
    time.sleep(0.05)
"""
    server = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(exports.__file__).parents[1])},
    )
    assert server.stdout is not None
    assert server.stdout.readline() == b"at work\n"
    (child,) = psutil.Process(server.pid).children()
    server.send_signal(signal.SIGKILL)
    server.communicate()
    until(lambda: not child.is_running() and not list(folder.iterdir()), 10)
