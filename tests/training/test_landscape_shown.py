"""A landscape as the player, the lab's page and a picture take it."""

import json
import math

import numpy as np
import pytest

from app.lab import landscapes
from app.lab.request import LabRequest
from optimizers import figures
from optimizers.player.measured import measured, page
from optimizers.training import TrainConfig, landscape_jobs
from optimizers.training.landscape import Landscape, Order
from optimizers.training.store import Run

RACERS = ("adam", "adam(bias_correction=False)", "gd")


def ground(plane="pca", racers=None):
    """A landscape nobody measured: gd was lost after two of its four snapshots."""
    x, y = np.linspace(-2, 3, 7), np.linspace(-1, 2, 5)
    if plane == "line":
        x, y = np.linspace(-0.25, 1.25, 7), np.zeros(1)
    loss = 1 + x[None, :] ** 2 + y[:, None] ** 2
    if plane != "line":
        loss[-1, -1] = math.inf
    racer = np.array([0] * 4 + [1] * 4 + [2] * 2)
    step = np.array([0, 3, 12, 40, 0, 3, 12, 40, 0, 3])
    spot = np.stack([step / 20, racer * step / 40], axis=1)[:, : 1 if plane == "line" else 2]
    return Landscape(
        config=TrainConfig(RACERS, snapshots=4),
        order=Order(plane, racers, 7, 90, "cpu", "bf16"),
        about="a plane",
        explained=(0.7, 0.2) if plane == "pca" else None,
        pictures=90,
        device_name="a machine",
        seconds=3.0,
        error=0.001,
        x=x,
        y=y,
        loss=loss,
        accuracy=np.full(loss.shape, 0.25),
        racer=racer,
        step=step,
        shadow=spot,
        off=step / 10,
        own=np.stack([2 - step / 40, np.full(10, 0.5)], axis=1),
        tests=np.stack([loss[0] + 0.1, np.full(7, 0.2)], axis=1) if plane == "line" else np.zeros((0, 2)),
    )


def test_the_player_gets_a_snapshot_for_a_step_and_the_grid_for_a_ground():
    found = ground()
    meta, tracks, grid = measured(found)
    json.dumps(meta, allow_nan=False)
    assert meta["steps"] == 3
    assert meta["measured"]["steps"] == [0, 3, 12, 40]
    assert "90 % of the spread" in meta["measured"]["words"]
    assert "0.1 % at nine points" in meta["measured"]["recipe"]
    numbers = np.frombuffer(tracks, "<f4")
    assert len(numbers) == 3 * (4 * 2 * 2 + 4) + 3  # as race.js reads it
    first = numbers[:16].reshape(4, 2, 2)
    assert first[:, 0] == pytest.approx(found.shadow[:4])
    assert first[:, 1, 0] == pytest.approx(found.off[:4])
    assert numbers[16:20] == pytest.approx(found.own[:4, 0])
    assert [racer["diverged"] for racer in meta["racers"]] == [None, None, 2]
    assert np.isnan(numbers[40 + 8 : 40 + 16]).all()
    assert meta["racers"][1]["hollow"]
    assert meta["racers"][1]["dash"]
    assert np.frombuffer(grid, "<f4").reshape(5, 7)[1, 2] == pytest.approx(found.loss[1, 2])
    assert meta["surface"]["lowest"] == pytest.approx(found.loss.min())
    text = page(found)
    assert text.startswith("<!doctype html>")
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_a_line_says_whether_something_stands_between():
    wall = ground("line", (0, 1))
    wall.loss[0, 3] = 9.0
    assert wall.words == "Between the two ends, of loss 1 and 1, the loss rises to 9, at 0.5 of the way."
    assert "three points" in wall.recipe
    flat = ground("line", (0, 1))
    flat.loss[:] = 0.5
    assert flat.words == "Nothing between the two ends is higher than the higher of them, 1."


@pytest.mark.parametrize("plane", ["pca", "random", "line"])
@pytest.mark.parametrize("dark", [False, True])
def test_a_picture_shows_every_racer_in_its_own_line(plane, dark, tmp_path):
    found = ground(plane, (0, 1) if plane == "line" else None)
    figure = figures.landscape(found, dark=dark)
    drawn = [line for axes in figure.axes for line in axes.lines]
    if plane == "line":
        assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["Adam", "Adam, uncorrected"]
        assert any(np.allclose(line.get_ydata(), found.loss[0]) for line in drawn)
    else:
        for place in range(3):
            own = found.racer == place
            paths = [line for line in drawn if np.array_equal(line.get_xydata(), found.shadow[own])]
            assert len(paths) == 3  # halo, path, dots
    figures.save(figure, tmp_path / "map.svg")
    text = (tmp_path / "map.svg").read_text()
    assert "training pictures" in text
    assert ("off the plane" in text) == (plane != "line")


def test_the_page_is_sent_a_landscape_once(monkeypatch, tmp_path):
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path))
    run = Run(id="1f2e3d4c", config=json.loads(TrainConfig(RACERS, snapshots=4).to_json()), diverged={})
    request, notices = LabRequest.parse("view=landscape&plane=pca")
    assert not notices
    head, arrays, seen = landscapes.news(request, run, "")
    assert (head["status"], head["kept"], head["shown"], arrays, seen) == (None, True, "", {}, "")
    file = landscape_jobs.file_of(run.id, "pca")
    file.parent.mkdir(parents=True)
    ground().save(file)
    head, arrays, seen = landscapes.news(request, run, seen)
    assert head["shown"] == seen != ""
    assert set(arrays) == {"tracks", "grid"}
    again, arrays, _ = landscapes.news(request, run, seen)
    assert again["shown"] == seen
    assert not arrays
    assert "player" not in again
    request, _ = LabRequest.parse("plane=line&ends=1-2", request)
    assert landscapes.news(request, run, seen)[2] == ""  # there is none of a line yet
    ground("line", (0, 1)).save(landscape_jobs.file_of(run.id, "line"))
    head, arrays, _ = landscapes.news(request, run, seen)
    assert head["line"]["racers"] == [0, 1]
    assert len(arrays["line"]) == 4 * 5 * 7
    request, _ = LabRequest.parse("plane=pca&nth_seed=2", request)
    assert landscapes.news(request, run, "")[2] == ""  # there is none of the other seed
    request, _ = LabRequest.parse("nth_seed=1", request)
    file.write_bytes(b"broken")
    request, _ = LabRequest.parse("plane=pca", request)
    assert "measure it again" in landscapes.news(request, run, seen)[0]["problem"]


def test_what_the_page_asks_for_is_in_its_address():
    request, notices = LabRequest.parse("plane=line&ends=3-1&detail=fine&o=adam&data=shapes10")
    assert not notices
    run = Run(config={"racers": list(RACERS)}, diverged={})
    assert landscapes.order(request, run) == Order("line", (2, 0), 51, 5_000)
    assert LabRequest.parse(request.query())[0] == request
    assert landscapes.order(LabRequest.parse("plane=random")[0], run).racers == (0,)
    assert landscapes.order(LabRequest(), run).racers is None, "all of them"
    left = Run(config={"racers": ["adam", "gd", "rmsprop"]}, diverged={"1": 3})
    assert landscapes.order(LabRequest(), left).racers == (0, 2), "whoever diverged is too far away"
    for asked, ends in (
        ("ends=1-2", (0, 2)),
        ("ends=2-3", (0, 2)),
        ("ends=3-1", (2, 0)),
        ("ends=2-1", (0, 2)),
    ):
        line = landscapes.order(LabRequest.parse(f"plane=line&{asked}")[0], left)
        assert line.racers == ends, "nor has it an end"
    other, notices = LabRequest.parse("plane=random&ends=2-1&nth_seed=3")
    assert not notices
    assert landscapes.order(other, left) == Order("random", (0,), 25, 1_000, place=2)
    assert "plane" not in LabRequest().query()
    for bad in ("plane=map", "ends=1-1", "ends=9-1", "detail=best"):
        kept, notices = LabRequest.parse(bad)
        assert kept == LabRequest()
        assert len(notices) == 1
        assert len(notices[0]) < 120
    assert landscapes.keeping(TrainConfig(RACERS)).snapshots == landscapes.SNAPSHOTS
