"""The command line: what it writes, its exit codes, and one line for each mistake."""

import csv
import json
import math
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import run
from optimizers import simulate

FOUR = [word for name in ("momentum(lr=0.0008)", "adam(lr=0.1)", "gd(lr=0.5)") for word in ("-o", name)]


def test_race_prints_how_each_ends(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["race", *FOUR, "--steps", "300"]) == 0
    out = capsys.readouterr().out
    assert "momentum" in out
    assert "diverged" in out


def test_race_to_json_and_csv(tmp_path: Path) -> None:
    out = tmp_path / "race.json"
    assert run(["race", *FOUR, "--start", "-1.5,2", "--steps", "50", "--out", str(out)]) == 0
    race = json.loads(out.read_text())
    walk = simulate("adam(lr=0.1)", "rosenbrock", (-1.5, 2), 50)
    assert race["racers"][1]["path"] == walk.path.tolist()
    assert race["racers"][1]["state"]["v_hat"] == walk.state["v_hat"].tolist()
    assert race["racers"][2]["outcome"] == "DIVERGED"
    assert race["racers"][2]["loss"][-1] is None

    out = tmp_path / "race.csv"
    assert run(["race", *FOUR, "--start", "-1.5,2", "--steps", "50", "--out", str(out)]) == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) == 3 * 51
    assert [float(rows[51 + 50][axis]) for axis in "xy"] == walk.path[50].tolist()
    assert math.isnan(float(rows[-1]["loss"]))


@pytest.mark.parametrize(
    ("suffix", "head"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".html", b"<!doctype html>")]
)
def test_race_to_pictures(tmp_path: Path, suffix: str, head: bytes) -> None:
    out = tmp_path / f"race{suffix}"
    assert run(["race", *FOUR, "--surface", "saddle", "--steps", "50", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(head)
    assert out.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["race"], 2, "Missing option '-o'"),
        (["frobnicate"], 2, "No such command 'frobnicate'. See adamscope --help."),
        (["race", "-o", "adamm"], 2, "There is no optimizer 'adamm'. Did you mean adam?"),
        (["race", "-o", "adam(lr=-1)"], 2, "lr of adam is -1"),
        (["race", "-o", "adam", "--surface", "hill"], 2, "There is no surface 'hill'."),
        (["race", "-o", "adam", "--start", "1;2"], 2, "--start is '1;2', but takes two numbers x,y"),
        (["race", "-o", "adam", "--steps", "0"], 2, "steps is 0"),
        (
            ["race", "-o", "adam", "--out", "race.doc"],
            2,
            "takes a name ending in .html, .png, .svg, .csv, .json",
        ),
        (
            ["race", "-o", "adam", "--out", "/nowhere/race.csv"],
            1,
            "/nowhere/race.csv: No such file or directory",
        ),
        (["train", "-o", "adam", "--data", "cifar11"], 2, "cifar11"),
        (["train", "-o", "adam", "--data", "shapes10", "--model", "vgg"], 2, "vgg"),
        (["train", "-o", "adam", "--data", "shapes10", "--epochs", "0"], 2, "epochs"),
        (["train", "-o", "adam", "--data", "shapes10", "--device", "tpu"], 2, "tpu"),
        (["data", "cifar10", "--from", "/nowhere"], 1, "/nowhere"),
        (["lesson", "99"], 2, "99"),
    ],
)
def test_a_mistake_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    assert run(arguments) == code
    err = capsys.readouterr().err
    assert words in err
    assert err.startswith("adamscope: ")
    assert err.count("\n") == 1


def test_a_taken_port_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run(["--port", str(port), "--no-browser"]) == 2
    assert f"Port {port} on 127.0.0.1 can't be used" in capsys.readouterr().err


@pytest.mark.parametrize("port", ["0", "-1", "99999"])
def test_a_port_out_of_range_is_one_line(capsys: pytest.CaptureFixture[str], port: str) -> None:
    assert run(["--port", port, "--no-browser"]) == 2
    assert capsys.readouterr().err.startswith(f"adamscope: --port is {port}, but takes")


def test_ctrl_c_keeps_what_was_trained(tmp_path: Path) -> None:
    arguments = ["train", "-o", "adam", "--data", "shapes10", "--epochs", "500", "--limit", "640"]
    command = [
        sys.executable,
        "-c",
        "from app.cli import main; main()",
        *arguments,
        "--out",
        str(tmp_path / "run"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("epoch 1 "):
                break
        else:
            pytest.fail("It ended before it began.")
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert "Stopped; what was trained until then is kept." in rest
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["racers"][0]["notation"] == "adam"


def test_help_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ([], ["race"], ["data", "cifar10"], ["train"], ["lesson"]):
        assert run([*command, "--help"]) == 0
        assert "Usage: adamscope" in capsys.readouterr().out


def test_train_writes_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    racers = ["adam", "adam(bias_correction=False)"]
    arguments = [word for racer in racers for word in ("-o", racer)]
    arguments += ["--data", "shapes10", "--epochs", "1", "--batch-size", "64", "--limit", "256"]
    assert run(["train", *arguments, "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "metrics.csv",
        "config.json",
        "summary.json",
        "curves.png",
    }
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [racer["notation"] for racer in summary["racers"]] == racers
    assert "Adam, uncorrected" in capsys.readouterr().out
