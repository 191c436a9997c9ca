"""The command line: what it writes, its exit codes, and one line for each mistake."""

import csv
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from app.cli import run
from optimizers import simulate
from optimizers.training.data import DATASETS

FOUR = [word for name in ("momentum(lr=0.0008)", "adam(lr=0.1)", "gd(lr=0.5)") for word in ("-o", name)]


def test_race_prints_how_each_ends(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["race", *FOUR, "--steps", "300"]) == 0
    out = capsys.readouterr().out
    assert "momentum" in out
    assert "diverged" in out


def test_a_file_name_may_end_in_capitals(tmp_path: Path) -> None:
    """NumPy appends an ending of its own to a name whose ending it does not know."""
    out = tmp_path / "MAP.NPZ"
    assert run(["map", "basin", "-o", "adam", "--size", "4", "--steps", "5", "--out", str(out)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["MAP.NPZ"]


def test_a_warning_of_pythons_own_parser_is_no_second_line() -> None:
    command = [sys.executable, "-c", "from app.cli import main; main()", "race", "-o", "adam(lr=1and 2)"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert said.startswith("adamscope: 'adam(lr=1and 2)' is no optimizer")
    assert said.count("\n") == 1


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
    ("suffix", "head"),
    [
        (".png", b"\x89PNG"),
        (".svg", b"<?xml"),
        (".pdf", b"%PDF"),
        (".html", b"<!doctype html>"),
        (".gif", b"GIF89a"),
        (".PNG", b"\x89PNG"),
    ],
)
def test_race_to_pictures(tmp_path: Path, suffix: str, head: bytes) -> None:
    out = tmp_path / f"race{suffix}"
    assert run(["race", *FOUR, "--surface", "saddle", "--steps", "12", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(head)
    assert out.stat().st_size > 10_000
    assert [file.name for file in tmp_path.iterdir()] == [out.name]


def test_a_film_says_what_a_frame_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "race.mp4"
    assert run(["race", "-o", "adam(lr=0.1)", "--steps", "9", "--out", str(out), "--dark"]) == 0
    assert f"Wrote {out}: 10 frames, 1 step a frame, 5 frames a second" in unwrapped(capsys)
    assert b"ftyp" in out.read_bytes()[:16]


def unwrapped(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (["--picture", "loss"], [">Adam<", ">loss<"]),
        (["--picture", "panels"], [">Adam<", ">step<"]),
        (["--picture", "stages", "--step", "7"], [">Inside step 7: Adam on Rosenbrock", "grow v"]),
        (["--noise", "0.5", "--seed", "3", "--clip-norm", "2", "--clip-value", "1"], ["noise 0.5, seed 3"]),
        (["--schedule", "constant"], ["schedule constant"]),
    ],
)
def test_a_choice_of_pictures(tmp_path: Path, picture: list[str], words: list[str]) -> None:
    out = tmp_path / "race.svg"
    assert run(["race", "-o", "adam", "--steps", "20", "--out", str(out), *picture]) == 0
    drawn = out.read_text()
    for word in words:
        assert word in drawn


def test_conditions_reach_the_race(tmp_path: Path) -> None:
    out = tmp_path / "race.json"
    arguments = ["--noise", "0.5", "--seed", "3", "--clip-norm", "2", "--clip-value", "1.5", "--steps", "20"]
    assert run(["race", "-o", "adam", *arguments, "--out", str(out)]) == 0
    walk = simulate("adam", "rosenbrock", steps=20, noise=0.5, seed=3, clip_norm=2.0, clip_value=1.5)
    assert json.loads(out.read_text())["racers"][0]["path"] == walk.path.tolist()


def test_a_picture_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("optimizers.trajectory.Race.to_html", broken)
    out = tmp_path / "race.html"
    out.write_text("before")
    assert run(["race", "-o", "adam", "--steps", "5", "--out", str(out)]) == 1
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("race.html", "before")]


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_ctrl_c_leaves_no_half_film(tmp_path: Path, suffix: str) -> None:
    arguments = ["race", "-o", "adam", "--steps", "100000", "--out", str(tmp_path / f"race{suffix}")]
    command = [sys.executable, "-c", "from app.cli import main; main()", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        for _ in range(2400):
            if any(file.stat().st_size for file in tmp_path.iterdir()):  # it is being written
                break
            time.sleep(0.05)
        else:
            pytest.fail("It never began.")
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to FFmpeg too
        err = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert err.endswith("adamscope: Stopped.\n")
    assert list(tmp_path.iterdir()) == []


def test_map_basin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "map",
        "basin",
        "-o",
        "adam(lr=0.1)",
        "--surface",
        "quadratic",
        "--size",
        "6",
        "--steps",
        "100",
    ]
    for suffix in (".png", ".csv", ".npz"):
        assert run([*command, "--noise", "0.1", "--out", str(tmp_path / f"map{suffix}")]) == 0
    assert "A (0, 0)" in unwrapped(capsys)
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((tmp_path / "map.csv").read_text().splitlines()))
    assert len(rows) == 36
    with np.load(tmp_path / "map.npz") as saved:
        assert saved["racer"] == "adam(lr=0.1)"
        assert "noise=0.1" in str(saved["conditions"])
        assert saved["final_loss"].shape == (6, 6)
        assert float(rows[7]["final_loss"]) == saved["final_loss"][1, 1]
        assert [float(rows[7][axis]) for axis in "xy"] == [saved["x"][1], saved["y"][1]]
        assert int(rows[7]["steps_to_converge"]) == saved["steps_to_converge"][1, 1]
        start = saved["x"][1], saved["y"][1]
        walk = simulate("adam(lr=0.1)", "quadratic", start, 100, noise=0.1)
        assert saved["final_loss"][1, 1] == walk.loss[-1]
    assert len(list(tmp_path.iterdir())) == 3


def test_map_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "map",
        "sweep",
        "-o",
        "adam",
        "--x",
        "lr,1e-4,1e6,3",
        "--y",
        "bias_correction",
        "--start",
        "1,2",
    ]
    for suffix in (".svg", ".csv", ".npz"):
        assert run([*command, "--steps", "9", "--out", str(tmp_path / f"map{suffix}")]) == 0
    assert "best lr 0.0001, bias correction " in unwrapped(capsys)
    assert "from (1" in (tmp_path / "map.svg").read_text()
    rows = list(csv.DictReader((tmp_path / "map.csv").read_text().splitlines()))
    assert list(rows[1]) == ["lr", "bias_correction", "final_loss", "steps_to_converge", "diverged"]
    walk = simulate("adam(lr=10.0)", "rosenbrock", (1, 2), 9)
    assert list(rows[1].values()) == ["10.0", "True", repr(float(walk.loss[-1])), "-1", "-1"]
    with np.load(tmp_path / "map.npz") as saved:
        assert saved["lr"].tolist() == [1e-4, 10.0, 1e6]
        assert saved["bias_correction"].tolist() == ["True", "False", "first", "second"]
        assert saved["final_loss"][0, 1] == walk.loss[-1]
        assert saved["steps"] == "9"


def test_ctrl_c_stops_a_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, progress, **__: object) -> None:
        progress(1, 10)
        raise KeyboardInterrupt

    monkeypatch.setattr("optimizers.maps.basin_map", interrupted)
    assert run(["map", "basin", "-o", "adam", "--out", str(tmp_path / "map.png")]) == 1
    assert capsys.readouterr().err == "adamscope: Stopped.\n"
    assert list(tmp_path.iterdir()) == []


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
            "takes a name ending in .png, .svg, .pdf, .gif, .mp4, .html, .csv, .json, .py.",
        ),
        (
            ["race", "-o", "adam", "--out", "/nowhere/race.csv"],
            1,
            "/nowhere/race.csv: No such file or directory",
        ),
        (["race", "-o", "adam", "--out", "race.png", "--picture", "hills"], 2, "hills"),
        (["race", "-o", "adam", "--out", "a.png", "--picture", "stages"], 2, "give one -o, and --step N."),
        (
            ["race", *FOUR, "--out", "a.png", "--picture", "stages", "--step", "1"],
            2,
            "shows one step of one racer",
        ),
        (
            ["race", "-o", "adam", "--out", "a.png", "--picture", "stages", "--step", "500"],
            2,
            "step is 500, but takes a whole number from 0 to 499.",
        ),
        (["race", "-o", "adam", "--noise", "-1"], 2, "noise is -1.0"),
        (["race", "-o", "adam", "--clip-norm", "0"], 2, "clip_norm is 0.0"),
        (["race", "-o", "adam", "--schedule", "sine"], 2, "There is no schedule 'sine'"),
        (["race", "-o", "adam", "--batch-size", "2"], 2, "batch_size is 2, but rosenbrock has no data"),
        (["map", "basin", "-o", "adam", "--out", "map.gif"], 2, "ending in .png, .svg, .pdf, .csv, .npz"),
        (
            ["map", "sweep", "-o", "adam", "--x", "lr,1,2"],
            2,
            "--x is 'lr,1,2', but takes name,low,high,count",
        ),
        (["map", "sweep", "-o", "adam", "--y", "lr,a,2,3"], 2, "--y is 'lr,a,2,3'"),
        (["map", "sweep", "-o", "adam", "--start", "x"], 2, "--start is 'x'"),
        (["map", "basin", "-o", "adam", "--out", "/nowhere/map.png"], 1, "/nowhere/map.png: No such file"),
        (["train", "-o", "adam", "--data", "cifar11"], 2, "cifar11"),
        (["train", "-o", "adam", "--data", "shapes10", "--model", "vgg"], 2, "vgg"),
        (["train", "-o", "adam", "--data", "shapes10", "--epochs", "0"], 2, "epochs"),
        (["train", "-o", "adam", "--data", "shapes10", "--device", "tpu"], 2, "tpu"),
        (["data", "cifar10", "--from", "/nowhere"], 1, "/nowhere"),
        (["lesson", "99"], 2, "99"),
        (["race", "-o", "adam", "--picture", "all"], 2, "Invalid value for '--picture': 'all' is not one of"),
        (["bench", "--json", "/nowhere/out.json"], 2, "--json is '/nowhere/out.json', but that folder"),
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
    arguments = ["train", "-o", "adam", "--data", "digits", "--model", "image_mlp", "--epochs", "5000"]
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
    commands = (
        [],
        ["race"],
        ["map", "basin"],
        ["map", "sweep"],
        ["data", "cifar10"],
        ["data", "reviews"],
        ["data", "list"],
        ["train"],
        ["lesson"],
        ["bench"],
    )
    for command in commands:
        assert run([*command, "--help"]) == 0
        assert "Usage: adamscope" in capsys.readouterr().out


def test_train_takes_every_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each field of the recipe but what a page alone asks for; several seeds are told as mean and spread."""
    settings = {
        "schedule": "warmup(total_iters=3)+cosine",
        "clip_norm": 1.5,
        "clip_value": 0.5,
        "weight_decay": 0.001,
        "dropout": 0.25,
        "label_smoothing": 0.05,
        "augment": "crop+flip",
        "seed": 3,
        "seeds": 2,
        "model": "image_mlp",
        "data": "digits",
        "epochs": 2,
        "batch_size": 64,
        "limit": 500,
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
    }
    arguments = [
        word for name, value in settings.items() for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    assert run(["train", "-o", "adam", *arguments, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "epoch 2  Adam, seed 4: test" in said
    assert "mean ± sd of 2 seeds" in said
    config = json.loads((tmp_path / "config.json").read_text())
    assert {name: config[name] for name in settings} == settings


def test_data_list_names_each_set_and_ones_own_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path))
    (tmp_path / "pictures" / "pets" / "cat").mkdir(parents=True)
    assert run(["data", "list"]) == 0
    said = capsys.readouterr().out
    assert "folder:pets" in said
    assert "adamscope data cifar10" in said
    assert [line.split()[0] for line in said.splitlines()] == [*DATASETS, "folder:pets"]


def test_the_server_says_where_it_is_and_nothing_of_its_host() -> None:
    """Where a browser is opened, Streamlit would advertise in the terminal, and with it over the page."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", "from app.cli import main; main()", "--port", str(port)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"BROWSER": "true"},
    ) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}/_stcore/health")
        finally:
            server.terminate()
        said, _ = server.communicate(timeout=60)
    assert said.splitlines()[0] == f"Adamscope is at http://localhost:{port} (Ctrl-C stops it)."
    assert "skills" not in said
    assert "Streamlit" not in said


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            with urlopen(address, timeout=2):
                return
        except OSError:
            assert time.monotonic() < deadline, "the app did not start"
            time.sleep(0.1)


def test_train_writes_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    racers = ["adam", "adam(bias_correction=False)"]
    arguments = [word for racer in racers for word in ("-o", racer)]
    arguments += ["--data", "shapes10", "--epochs", "1", "--batch-size", "64", "--limit", "256"]
    assert run(["train", *arguments, "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "metrics.csv",
        "inside.csv",
        "config.json",
        "summary.json",
        "curves.png",
        "curves.svg",
        "events",
        "program.py",
        "checkpoint.pt",
    }
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [racer["notation"] for racer in summary["racers"]] == racers
    assert "Adam, uncorrected" in capsys.readouterr().out
    assert run(["train", *arguments, "--out", str(tmp_path), "--resume"]) == 1
    assert "is finished: start another from its weights." in capsys.readouterr().err
    assert run(["train", *arguments, "--resume"]) == 2
    assert "name the run's folder" in capsys.readouterr().err
