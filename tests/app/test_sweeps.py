"""The page of sweeps without a browser: what it is asked, what it shows, what it starts."""

import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import app
from app.lab.request import LabRequest
from app.sweeps import board
from app.sweeps.request import SweepRequest
from optimizers.training import TrainConfig, cluster
from optimizers.training.store import default_url, open_store
from optimizers.training.sweep import DIVERGED, FINISHED, TRAINING, Network, SweepConfig
from optimizers.training.sweep_store import Pace, SweepStore

VIEW = Path(app.__file__).parent / "views" / "sweeps.py"
ASKED = "o=adam&axis=lr,0.001,0.1,3&epochs=2&seeds=1&batch_size=64&limit=640&validation=100"


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SweepStore]:
    """A store of its own, and no cluster: what is ordered from it stays in the queue."""
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path))
    monkeypatch.setattr(cluster, "warm_up", lambda: None)
    monkeypatch.setattr(cluster, "order", lambda order: None)
    store = open_store(default_url())
    yield SweepStore(store)
    store.close()


def look(page: AppTest) -> tuple[dict[str, Any], np.ndarray]:
    """Run the page; return what its component is given: JSON, and the cells (trials, 6)."""
    page.run()
    assert not page.exception
    (data,) = (block.proto.bytes for block in page.get("bidi_component"))
    (length,) = struct.unpack_from("<I", data)
    header = json.loads(data[4 : 4 + length])
    return header["meta"], np.frombuffer(data, "<f4", offset=4 + length).reshape(-1, 6)


def send(page: AppTest, query: str = "", press: str | None = None, turn: int = 1) -> dict[str, Any]:
    page.session_state["sweeps"] = {"asked": {"query": query, "turn": turn, "press": press}}
    return look(page)[0]


def new_page(**query: str | list[str]) -> AppTest:
    page = AppTest.from_file(VIEW)
    page.query_params.update(query)
    return page


def test_the_first_look_says_how_much_it_is_and_that_the_time_is_not_known(sweeps: SweepStore) -> None:
    meta, cells = look(new_page())
    assert meta["asked"]["size"] == "15 networks: 15 trials, 2 epochs each."
    assert "is told once it has begun" in meta["asked"]["time"]
    assert meta["asked"]["figure4"][0] == "60 networks: 60 trials, 2 epochs each."
    assert (meta["sweep"], meta["recent"], meta["notices"], cells.size) == (None, [], [], 0)
    assert "beta2" not in [axis["name"] for axis in meta["offer"]["axes"]]  # momentum has none
    assert {"lr", "batch_size"} <= {axis["name"] for axis in meta["offer"]["axes"]}
    assert parse_qs(meta["address"])["axis"] == ["lr,0.0001,1,5"]


def test_start_writes_a_sweep_and_another_page_shows_it(sweeps: SweepStore) -> None:
    page = new_page()
    look(page)
    address = parse_qs(send(page, ASKED, "start")["address"])
    (sweep,) = sweeps.recent()
    base = TrainConfig(("adam",), epochs=2, batch_size=64, limit=640, validation=100)
    assert SweepConfig.from_json(json.dumps(sweep.config)) == SweepConfig(base, ("lr,0.001,0.1,3",))
    assert address["sweep"] == [sweep.id]
    look(page)
    assert len(sweeps.recent()) == 1  # a refresh does not start it again

    made = [
        Network(0, 0, FINISHED, 2, ((0, 2.3, 0.1), (1, 1.5, 0.5), (2, 1.0, 0.625)), 3.0),
        Network(1, 0, TRAINING, 2, ((0, 2.3, 0.1), (1, 1.25, 0.75))),
        Network(2, 0, DIVERGED, 2, ((0, 2.3, 0.1),), 1.0, 7),
    ]
    sweeps.write(sweep.id, made, state="running", share=0.5, seconds_left=12.0)
    for other in (new_page(), new_page(sweep=sweep.id)):  # the sweep under way; the sweep of a link
        meta, cells = look(other)
        assert (meta["sweep"]["id"], meta["sweep"]["state"]) == (sweep.id, "running")
        nothing = [np.nan] * 4
        expected = [[2, 2, 0.625, 0.625, 0.625, 1], [1, 1, 0.75, 0.75, 0.75, 1.25], [3, 0, *nothing]]
        np.testing.assert_array_equal(cells, np.float32(expected))
        assert (meta["sweep"]["best"], meta["sweep"]["order"][0]["trial"]) == (0, 0)
        assert [one["racer"] for one in meta["still"]["trials"]] == ["adam", "adam(lr=0.01)", "adam(lr=0.1)"]
        assert meta["asked"]["seeds"] == 1  # its settings are offered for the next one
        assert look(other)[0]["still"] is not None  # a whole run of the page sends all


def test_a_press_opens_the_lab_with_the_trials_own_recipe(sweeps: SweepStore) -> None:
    page = new_page()
    meta = send(page, ASKED.replace("batch_size=64", "axis=batch_size=16,32"), "start")
    link = urlsplit(meta["still"]["trials"][3]["lab"])
    assert link.path == "lab"
    request, notices = LabRequest.parse(link.query)
    assert notices == []
    assert request.config.racers == ("adam(lr=0.01)",)
    assert (request.config.batch_size, request.config.limit, request.config.validation) == (32, 640, 0)


def test_figure_4_is_one_press(sweeps: SweepStore) -> None:
    page = new_page()
    look(page)
    meta = send(page, ASKED, "figure4")
    (sweep,) = sweeps.recent()
    assert len(meta["still"]["trials"]) == 60
    assert (meta["sweep"]["x"], meta["sweep"]["y"]) == ("lr", "beta2")
    assert sweep.config["base"]["racers"] == ["adam"]
    assert sweep.config["base"]["limit"] == 640  # on the same pictures
    assert [curve["label"] for curve in meta["sweep"]["curves"]] == ["Adam", "Adam, uncorrected"]


def test_stop_and_another_sweep(sweeps: SweepStore) -> None:
    page = new_page()
    send(page, ASKED, "start")
    send(page, press="stop", turn=2)
    (first,) = sweeps.recent()
    assert first.stop_requested
    send(page, ASKED.replace("o=adam", "o=gd"), "start", turn=3)
    assert send(page, f"sweep={first.id}", turn=4)["asked"]["racers"][0]["notation"] == "adam"


def test_how_long_it_takes_goes_by_what_was_trained_here(sweeps: SweepStore) -> None:
    sweep_id = sweeps.create(SweepConfig(TrainConfig(("gd",)), ("lr=1,2",)))
    sweeps.write(sweep_id, state="finished", pictures_per_second=1000.0)
    meta, _ = look(new_page(sweep=sweep_id, o="adam", axis="lr,0.001,0.1,3", epochs="2", limit="1500"))
    # 3 × (2 · 1,500 + 3 · 2,000/3) to choose, 2 · 1,500 + 3 · 2,000/3 to test the best: 20,000 pictures
    assert meta["asked"]["time"].startswith("About 20 s, if it is as fast as the last one like it.")


def test_bad_parts_of_a_link_are_named_and_the_rest_is_kept(sweeps: SweepStore) -> None:
    bad = {
        "o": ["adm", "adam(lr=0.02)"],
        "axis": ["lr,1,2", "beta2=0.9"],
        "epochs": "many",
        "batch_size": "64",
    }
    meta, _ = look(new_page(**bad, seeds="99", sweep="nope", colour="red", measure="luck"))
    told = "\n".join(meta["notices"])
    for word in ("adm", "'lr,1,2' is not understood", "epochs is 'many'", "seeds is '99'", "nope", "colour"):
        assert word in told
    assert "measure is 'luck', but takes accuracy or loss." in told
    asked = meta["asked"]
    assert [racer["notation"] for racer in asked["racers"]] == ["adam(lr=0.02)"]
    assert (asked["epochs"], asked["batch_size"], asked["seeds"]) == (2, 64, 1)
    assert [axis["text"] for axis in asked["axes"]] == ["lr,0.0001,1,5"]


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("epochs=201", "epochs is '201', but takes a whole number from 1 to 200."),
        ("validation=5", "validation is '5', but takes a whole number from 10 to 20,000."),
        ("axis=lr,1e-4,1,600", "This sweep has 600 networks, but takes at most 500 from a page."),
        ("axis=lr,1e-4,1,60&seeds=9", "This sweep has 540 networks, but takes at most 500 from a page."),
        ("method=halving&min_epochs=5&epochs=2", "min_epochs is 5, but a trial trains 2 in all."),
        ("sweep=../../etc", "sweep is '../../etc', but takes the eight hexadecimal digits of a sweep."),
    ],
)
def test_a_page_cannot_ask_for_unbounded_work(sweeps: SweepStore, part: str, told: str) -> None:
    page = new_page(o="adam")
    look(page)
    assert told in send(page, part, "start")["notices"]
    assert sweeps.recent() == []


def test_start_is_refused_without_pictures_and_while_four_wait(sweeps: SweepStore) -> None:
    page = new_page()
    look(page)
    (notice,) = send(page, f"{ASKED}&data=cifar10", "start")["notices"]
    assert "adamscope data cifar10" in notice
    for _ in range(4):
        sweeps.create(SweepConfig(TrainConfig(("gd",)), ("lr=1,2",)))
    (notice,) = send(page, f"{ASKED}&data=shapes10", "start", turn=2)["notices"]
    assert notice.startswith("4 sweeps wait or train already")
    assert len(sweeps.recent()) == 4


@pytest.mark.parametrize(
    "nonsense",
    [
        7,
        {"query": 3, "turn": 1},
        *({"query": "o=gd", "turn": turn, "press": "start"} for turn in ("1", True, 0, -1, 10**9, 1.0)),
        *({"query": "o=gd", "turn": 1, "press": press} for press in ("begin", 1, ["start"])),
    ],
)
def test_nonsense_from_the_browser_changes_nothing(sweeps: SweepStore, nonsense: object) -> None:
    page = new_page()
    before, _ = look(page)
    page.session_state["sweeps"] = {"asked": nonsense}
    assert look(page)[0] == before
    assert sweeps.recent() == []


def test_a_sweep_of_another_version_is_no_traceback(sweeps: SweepStore) -> None:
    sweep_id = sweeps.create(SweepConfig(TrainConfig(("gd",)), ("lr=1,2",)))
    found = sweeps.get(sweep_id)
    assert found is not None
    sweeps.write(sweep_id, config={**found.config, "wishes": 3})
    meta, _ = look(new_page(sweep=sweep_id))
    assert meta["sweep"] is None
    assert [one["id"] for one in meta["recent"]] == [sweep_id]


def test_a_request_reads_back_what_it_writes() -> None:
    base = TrainConfig(
        ("adam", "gd"), data="cifar10", epochs=4, batch_size=8, seed=5, limit=99, validation=50
    )
    config = SweepConfig(base, ("lr,0.001,1,4", "batch_size=8,16"), "halving", 6, 2, 2, 3)
    request = SweepRequest(config, "lr", "batch_size", "loss", "1f2e3d4c")
    assert SweepRequest.parse(request.query()) == (request, [])
    paper = replace(request, config=replace(config, method="grid", trials=None)).figure4()
    assert SweepRequest.parse(paper.query())[0].config.axes == paper.config.axes


def test_words_are_true_of_one_and_of_many() -> None:
    base = TrainConfig(("adam",), epochs=1, limit=100, validation=10)
    one = SweepConfig(base, ("lr=1",))
    assert board.size_in_words(one) == "1 network: 1 trial, 1 epoch each."
    halving = SweepConfig(replace(base, epochs=9), ("lr,1e-4,1,27",), "halving", seeds=2)
    told = "54 networks: 27 trials with 2 seeds each, 27 for 1 epoch, then 9 for 3, 3 for 9."
    assert board.size_in_words(halving) == told
    slow = Pace(0.01, 0.01, 0.01, 1)
    told = "About 42.8 hours, if it is as fast as the last one like it."
    assert board.time_in_words(one, slow) == told
    told = "4 to 26 min, if it is as fast as the last 9 like it."
    assert board.time_in_words(one, Pace(1.0, 3.0, 6.0, 9)) == told
    assert board.time_in_words(one, Pace(1.0, 3.0, 60.0, 9)).startswith("25 s to 26 min,")
