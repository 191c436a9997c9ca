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
from dataclasses import replace
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


GIF = {"format": "gif", "dark": False}


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
        advance(session, SHORT, stop=True)
    until(lambda: not list(tmp_path.iterdir()) and not children())


def fetch(session: str) -> tuple[dict[str, Any], bytes]:
    """Ask until the file is there, and say that it has come."""
    deadline = time.monotonic() + 60
    while True:
        head, content = advance(session, SHORT)
        assert not head["problem"], head
        assert time.monotonic() < deadline
        if content is not None:
            assert not head["pending"]
            assert len(content) % 4 == 0
            assert advance(session, SHORT, have=head["id"]) == ({}, None)
            return head, content[: head["size"]]
        time.sleep(0.05)


def test_every_kind_of_file() -> None:
    kinds = ["png", "svg", "gif", "mp4", "csv", "html", "py"]
    for kind in kinds:  # all at once: two are at work, the others wait
        assert advance(kind, SHORT, {"format": kind, "dark": kind == "png"})[0]["pending"]
    made = {kind: fetch(kind) for kind in kinds}
    assert not exports._exports
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
    advance("one", LONG, GIF)
    until(lambda: advance("one", LONG)[0]["done"] > 0)
    head, content = advance("one", SHORT)  # the race has changed since: the film is of the one it began with
    assert content is None
    assert head["name"] == "rosenbrock-adam.gif"
    assert head["done"] < head["of"]
    assert advance("one", LONG, stop=True) == ({}, None)
    until(lambda: not children() and not list(folder.iterdir()), 5)


def test_another_wish_takes_the_place_of_the_first() -> None:
    first, _ = advance("one", LONG, GIF)
    until(children)
    second, _ = advance("one", SHORT, {"format": "csv"})
    head, _ = fetch("one")
    assert head["id"] == second["id"] != first["id"]
    assert head["name"] == "quadratic-adam-gd.csv"


def test_what_nobody_asks_for_any_more_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    advance("gone", LONG, GIF)
    until(children)
    monkeypatch.setattr(exports, "PATIENCE", 0.0)
    until(lambda: not children() and not exports._exports, 5)


def test_what_takes_too_long_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "LONGEST", 0.0)
    advance("slow", LONG, GIF)
    until(lambda: not advance("slow", LONG)[0]["pending"])
    assert advance("slow", LONG)[0]["problem"].endswith("try fewer steps.")


def test_what_cannot_be_made_says_why() -> None:
    wrong = replace(SHORT, batch_size=3)  # no link can say so: quadratic has no data
    advance("wrong", wrong, {"format": "csv"})
    until(lambda: not advance("wrong", wrong)[0]["pending"])
    head, content = advance("wrong", wrong)
    assert content is None
    assert head["problem"] == "batch_size is 3, but quadratic has no data to take batches of."


def test_only_so_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MOST", 3)
    for session in "abc":
        advance(session, LONG, GIF)
    assert "try again in a minute" in advance("d", LONG, GIF)[0]["problem"]
    until(children)
    assert len(children()) <= exports.AT_ONCE
    advance("a", LONG, stop=True)
    assert not advance("d", LONG, GIF)[0]["problem"]


@pytest.mark.parametrize(
    "made", [None, 1, "gif", [], {}, {"format": "exe"}, {"format": ["gif"]}, {"dark": True}]
)
def test_a_hostile_wish_is_none(made: object) -> None:
    assert advance("x", SHORT, made) == ({}, None)
    assert not exports._exports


def test_a_child_ends_with_the_server_and_leaves_nothing(folder: Path) -> None:
    program = """
import tempfile, sys, time
from app.exports import advance
from app.request import RaceRequest
tempfile.tempdir = sys.argv[1]
advance("one", RaceRequest(), {"format": "gif"})
while True:
    head, _ = advance("one", RaceRequest())
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


def test_whatever_goes_wrong_is_said_and_leaves_no_wish_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def garbled(export: object, said: Path) -> None:
        raise ValueError("that was no JSON")

    monkeypatch.setattr(exports._Export, "_hear", garbled)
    advance("garbled", SHORT, {"format": "csv"})
    deadline = time.monotonic() + 20
    while not (head := advance("garbled", SHORT)[0])["problem"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not head["pending"]
    assert "no JSON" in caplog.text
    advance("garbled", SHORT, stop=True)
    assert "garbled" not in exports._exports
