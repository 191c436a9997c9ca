import html
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from sqlalchemy.exc import DatabaseError
from streamlit.testing.v1 import AppTest

import app
from app.lab.files import INSIDE, RunFile, make
from app.lab.landscapes import SNAPSHOTS
from app.lab.request import LabRequest
from optimizers.training import TrainConfig, cluster, jobs
from optimizers.training.inside_csv import NUMBERS
from optimizers.training.store import InsideRow, LookRow, Store, default_url, open_store

VIEW = Path(app.__file__).parent / "views" / "lab.py"
FOUR = ("momentum(lr=0.01)", "rmsprop(lr=0.001)", "adam", "adam(bias_correction=False)")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of its own, and no cluster: what is ordered from it stays in the queue."""
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path))
    monkeypatch.setattr(cluster, "warm_up", lambda: None)
    monkeypatch.setattr(cluster, "order", lambda order: None)
    store = open_store(default_url())
    yield store
    store.close()


def look(page: AppTest) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Run the page; return what its component is given."""
    page.run()
    assert not page.exception
    (data,) = (block.proto.bytes for block in page.get("bidi_component"))
    (length,) = struct.unpack_from("<I", data)
    header = json.loads(data[4 : 4 + length])
    values = np.frombuffer(data, "<f4", offset=4 + length)
    ends = np.cumsum(list(header["arrays"].values()), dtype=int)
    arrays = dict(zip(header["arrays"], np.split(values, ends[:-1]) if len(ends) else [], strict=True))
    return header["meta"], arrays


def send(page: AppTest, query: str = "", press: str | None = None, turn: int = 1) -> dict[str, Any]:
    page.session_state["lab"] = {"asked": {"query": query, "turn": turn, "press": press}}
    return look(page)[0]


def sentence(page: AppTest) -> str:
    """Return what the page says in place of its component."""
    return html.unescape(page.get("html")[0].proto.body)


def raiser(problem: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        raise problem

    return fail


def new_page(**query: str | list[str]) -> AppTest:
    page = AppTest.from_file(VIEW)
    page.query_params.update(query)
    return page


def test_the_first_look_offers_the_four_and_says_how_to_get_the_pictures(store: Store) -> None:
    page = new_page()
    meta, _ = look(page)
    assert [racer["notation"] for racer in meta["asked"]["racers"]] == list(FOUR)
    assert (meta["asked"]["data"], meta["run"], meta["recent"], meta["notices"]) == ("shapes10", None, [], [])
    (shapes,) = (one for one in meta["offer"]["data"] if one["name"] == "shapes10")
    assert "stand-in" in shapes["title"]
    assert shapes["command"] == "adamscope data cifar10"
    address = parse_qs(meta["address"])
    assert address["o"] == [notation.replace(" ", "") for notation in FOUR]
    assert address["epochs"] == ["10"]


def test_start_writes_a_run_and_a_second_page_shows_it(store: Store) -> None:
    page = new_page()
    look(page)
    asked = "o=adam(lr=0.002)&o=gd(lr=0.1)&epochs=3&batch_size=64&seed=7&limit=640"
    address = parse_qs(send(page, asked, "start")["address"])
    (run,) = store.recent()
    assert TrainConfig.from_json(json.dumps(run.config)) == TrainConfig(
        ("adam(lr=0.002)", "gd(lr=0.1)"),
        data="shapes10",
        epochs=3,
        batch_size=64,
        seed=7,
        limit=640,
        snapshots=SNAPSHOTS,
    )
    assert run.state == "queued"
    assert address["run"] == [run.id]
    look(page)
    assert len(store.recent()) == 1  # a refresh does not start it again

    row = {"racer": 1, "step": 5, "examples": 320, "seconds": 1.0, "loss": float("nan"), "accuracy": 0.5}
    store.write(
        run.id, [row], [{"racer": 0, "step": 0, "epoch": 0, "loss": 2.5, "accuracy": 0.125}], state="running"
    )
    for other in (new_page(), new_page(run=run.id)):  # the run under way; the run of a link
        meta, arrays = look(other)
        assert meta["run"]["id"] == run.id
        assert meta["run"]["state"] == "running"
        assert meta["run"]["classes"] == 10  # so that chance is 10 %
        assert [racer["label"] for racer in meta["run"]["racers"]] == ["Adam", "gradient descent"]
        assert meta["asked"]["epochs"] == 3  # its settings are offered for the next one
        np.testing.assert_array_equal(arrays["points"], np.float32([1, 5, np.nan, 0.5, 0, 320, 1]))
        np.testing.assert_array_equal(arrays["tests"], np.float32([0, 0, 2.5, 0.125, 0]))


def test_the_start_of_another_learner_leaves_a_page_alone(store: Store) -> None:
    fresh, chosen = new_page(), new_page(o="gd(lr=0.1)")
    look(fresh)
    look(chosen)
    send(fresh, "o=adagrad&epochs=4")
    other = jobs.start(TrainConfig(("adam",), epochs=3), store)
    fresh.query_params.clear()  # as a change of page does
    for page, racer, epochs in ((fresh, "adagrad", 4), (chosen, "gd(lr=0.1)", 10)):
        meta, _ = look(page)
        assert meta["run"] is None
        assert [one["notation"] for one in meta["asked"]["racers"]] == [racer]
        assert meta["asked"]["epochs"] == epochs
        assert [run["id"] for run in meta["recent"]] == [other]  # it is there to be chosen
        send(page, press="stop", turn=2)
    run = store.get(other)
    assert run is not None
    assert run.state == "queued"


def test_another_link_is_taken_over_but_no_older_address_of_the_pages_own(store: Store) -> None:
    page = new_page(o="adagrad")
    own = parse_qs(look(page)[0]["address"])
    send(page, "o=gd(lr=0.2)")
    page.query_params.update(own)  # the browser writes an address when it rests: later than it is given
    assert look(page)[0]["asked"]["racers"][0]["notation"] == "gd(lr=0.2)"
    page.query_params.clear()
    page.query_params.update({"o": "gd(lr=0.3)"})
    assert look(page)[0]["asked"]["racers"][0]["notation"] == "gd(lr=0.3)"


def test_stop_and_another_run(store: Store) -> None:
    first, second = (jobs.start(TrainConfig((name,)), store) for name in ("adam", "gd"))
    page = new_page(run=first)
    look(page)
    assert send(page, press="stop")["run"]["state"] == "stopped"
    meta = send(page, f"run={second}", turn=2)
    assert meta["run"]["id"] == second
    assert [racer["notation"] for racer in meta["asked"]["racers"]] == ["gd"]
    assert parse_qs(meta["address"])["run"] == [second]


def act(page: AppTest, press: str, turn: int, on: str | None = None, text: str = "") -> dict[str, Any]:
    page.session_state["lab"] = {"asked": {"query": "", "turn": turn, "press": press, "on": on, "text": text}}
    return look(page)[0]


def test_a_run_pauses_and_goes_on(store: Store) -> None:
    run_id = jobs.start(TrainConfig(("adam",)), store)
    page = new_page(run=run_id)
    look(page)
    paused = act(page, "pause", 1)["run"]
    assert (paused["state"], paused["resumable"]) == ("paused", True)
    assert act(page, "resume", 2)["run"]["state"] == "queued"
    (notice,) = act(page, "resume", 3)["notices"]
    assert notice == "This run is under way already, or it is gone."


def test_runs_are_named_listed_compared_and_deleted(store: Store) -> None:
    first, second = (jobs.start(TrainConfig((name,)), store) for name in ("adam", "gd"))
    page = new_page(run=first, compare=second)
    point = {"racer": 0, "step": 5, "examples": 320, "seconds": 1.0, "loss": 2.0, "accuracy": 0.5}
    test = {"racer": 0, "step": 5, "epoch": 1, "loss": 2.0, "accuracy": 0.25}
    store.write(second, [point], [test], state="finished")
    meta, arrays = look(page)
    assert [one["id"] for one in meta["beside"]] == [second]
    assert meta["beside"][0]["before"] == [0, 0]
    np.testing.assert_array_equal(arrays[f"tests {second}"], np.float32([0, 5, 2.0, 0.25, 0]))
    assert parse_qs(meta["address"])["compare"] == [second]
    assert "runs" not in meta

    act(page, "name", 1, second, "  the plain \n one ")
    act(page, "notes", 2, second, "No momentum.")
    listed = act(page, "list", 3)["runs"]
    assert [(one["name"], one["notes"], one["best"]) for one in listed] == [
        ("the plain one", "No momentum.", 0.25),
        ("", "", None),
    ]
    assert act(page, "delete", 4, first)["notices"] == [
        "A run that waits or trains can't be deleted: stop it first."
    ]
    meta = act(page, "delete", 5, second)
    assert ([one["id"] for one in meta["runs"]], meta["beside"], meta["notices"]) == ([first], [], [])
    assert "compare" not in parse_qs(meta["address"])
    assert "runs" not in act(page, "unlist", 6)


@pytest.mark.parametrize("on", ["../../etc", 7, "1f2e3d4"])
def test_an_act_on_no_run_at_all_is_not_heard(store: Store, on: object) -> None:
    page = new_page(run=jobs.start(TrainConfig(("adam",)), store))
    look(page)
    assert act(page, "delete", 1, on)["turn"] == 0  # type: ignore[arg-type]
    assert len(store.recent()) == 1


def test_a_run_is_saved_as_a_file(store: Store) -> None:
    run_id = jobs.start(TrainConfig(("adam",)), store)
    test = {"racer": 0, "step": 0, "epoch": 0, "loss": 2.5, "accuracy": 0.125}
    store.write(run_id, [], [test], steps_per_epoch=10, state="finished", layers=["dense"])
    inside = Path(os.environ["ADAMSCOPE_HOME"]) / f"made.{INSIDE}"
    with pytest.raises(ValueError, match="Nothing was measured inside this run"):
        make(inside, RunFile(run_id).order())
    numbers = dict.fromkeys(NUMBERS, 0.5) | {"under_eps": float("nan")}
    rows = [{"racer": 0, "seed": 0, "step": 5, "layer": layer, **numbers} for layer in (-1, 0)]
    store.write(run_id, more={InsideRow: rows})
    for kind in RunFile.kinds:
        out = Path(os.environ["ADAMSCOPE_HOME"]) / f"made.{kind}"
        make(out, RunFile(run_id).order())
        assert out.stat().st_size > 50
    assert "adam,0,0.5,5,dense,0.5,0.5,0.5,0.5,0.5,0.5,,0.5,,,\n" in inside.read_text("utf-8")
    page = new_page(run=run_id)
    look(page)
    meta, arrays = act(page, "export", 1, run_id, "csv"), {}
    deadline = time.monotonic() + 60
    while "file" not in arrays:
        assert not meta["file"]["problem"]
        assert time.monotonic() < deadline
        meta, arrays = look(page)
        time.sleep(0.1)
    assert meta["file"]["name"] == f"run-{run_id}.csv"
    text = arrays["file"].tobytes()[: meta["file"]["size"]].decode()
    assert "test,adam,0.0,0,,,2.5,0.125,0" in text
    assert "file" not in act(page, "saved", 2)


def test_bad_parts_of_a_link_are_named_and_the_rest_is_kept(store: Store) -> None:
    bad = {"o": ["adm", "adam(lr=-1)", "adam(lr=0.02)"], "data": "cats", "epochs": "many", "batch_size": "64"}
    page = new_page(**bad, seed="-3", run="nope", colour="red", scale="cubic")
    meta, _ = look(page)
    told = "\n".join(meta["notices"])
    for word in (
        "adm",
        "lr of adam is -1",
        "cats",
        "epochs is 'many'",
        "seed is '-3'",
        "nope",
        "colour",
        "cubic",
    ):
        assert word in told
    assert len(meta["notices"]) == 8
    asked = meta["asked"]
    assert [racer["notation"] for racer in asked["racers"]] == ["adam(lr=0.02)"]
    assert (asked["data"], asked["epochs"], asked["batch_size"], asked["scale"]) == (
        "shapes10",
        10,
        64,
        "linear",
    )
    address = parse_qs(meta["address"])
    assert address["epochs"] == ["10"]
    assert "run" not in address


def test_a_layer_or_a_seed_that_a_run_does_not_have_is_said(store: Store) -> None:
    run_id = jobs.start(TrainConfig(("adam",), seeds=2), store)
    store.write(run_id, layers=["conv", "dense"])
    page = new_page(run=run_id, layer="99", nth_seed="3")
    meta, _ = look(page)
    assert meta["notices"] == [
        "layer is '99', but this run's network has layers 0 (conv) to 1 (dense); all of them together are "
        "shown.",
        "nth_seed is '3', but this run has 2 seeds; the first is shown.",
    ]
    assert (meta["asked"]["layer"], meta["asked"]["nth_seed"]) == ("", "1")
    assert not {"layer", "nth_seed"} & parse_qs(meta["address"]).keys()
    assert look(new_page(run=run_id, layer="1", nth_seed="2"))[0]["notices"] == []


def test_the_looks_at_the_test_pictures_are_of_the_seed_that_is_chosen(store: Store) -> None:
    run_id = jobs.start(TrainConfig(("adam",), seeds=2), store)
    seen = {
        "racer": 0,
        "step": 0,
        "epoch": 0,
        "filters": b"",
        "shape": [0, 0, 0, 0],
        "largest": 0.0,
        "mistakes": [],
    }
    store.write(run_id, more={LookRow: [seen | {"seed": seed, "confusion": [[seed]]} for seed in (0, 1)]})
    page = new_page(run=run_id, view="classes")
    within = look(page)[0]["within"]
    assert [one["confusion"] for one in within["looks"]] == [[[0]]]
    within = send(page, "nth_seed=2")["within"]
    assert (within["before"], [one["confusion"] for one in within["looks"]]) == (0, [[[1]]])


def test_a_racer_typed_badly_stays_as_it_was(store: Store) -> None:
    page = new_page(o=["adam", "gd(lr=0.1)"])
    look(page)
    meta = send(page, "o=adam&o=gd(lr=often)")
    assert [racer["notation"] for racer in meta["asked"]["racers"]] == ["adam", "gd(lr=0.1)"]
    assert "lr of gd" in meta["notices"][0]


def test_pictures_that_are_not_there_are_said_before_a_run_is_made(store: Store) -> None:
    page = new_page()
    look(page)
    (notice,) = send(page, "data=cifar10", "start")["notices"]
    assert "adamscope data cifar10" in notice
    assert store.recent() == []


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("epochs=201", "epochs is '201', but takes a whole number from 1 to 200."),
        ("batch_size=2001", "batch_size is '2001', but takes a whole number from 1 to 2,000."),
        (
            "seed=99999999999999",
            "seed is '99999999999999', but takes a whole number from 0 to 4,294,967,295.",
        ),
        ("epochs=²", "epochs is '²', but takes a whole number from 1 to 200."),
        ("&".join(["o=adam"] * 9), "9 racers are given; the first 8 train."),
        (
            "start_from=../../etc",
            "start_from is '../../etc', but takes the id of a run, with :2 of its third network.",
        ),
        ("run=../../etc", "run is '../../etc', but takes the eight hexadecimal digits of a run."),
    ],
)
def test_a_page_cannot_ask_for_unbounded_work(store: Store, part: str, told: str) -> None:
    page = new_page()
    look(page)
    assert send(page, part, "start")["notices"] == [told]
    assert store.recent() == []


def test_the_largest_seed_is_taken(store: Store) -> None:
    request, notices = LabRequest.parse("seed=4294967295&epochs=200&batch_size=2000")
    assert (request.config.seed, request.config.epochs, notices) == (2**32 - 1, 200, [])


def test_a_run_beyond_the_pages_limits_is_shown_but_not_offered_again(store: Store) -> None:
    run_id = jobs.start(TrainConfig(("gd",), epochs=5000), store)
    meta, _ = look(new_page(run=run_id))
    assert (meta["run"]["epochs"], meta["asked"]["epochs"]) == (5000, 10)


def test_start_is_refused_while_eight_runs_wait(store: Store) -> None:
    page = new_page(o="gd")
    look(page)
    waiting = [jobs.start(TrainConfig(("adam",)), store) for _ in range(8)]
    (notice,) = send(page, "o=gd", "start")["notices"]
    assert notice.startswith("8 runs wait or train already")
    assert len(store.recent()) == 8
    jobs.stop(waiting[3], store)
    meta = send(page, "o=gd", "start", turn=2)
    assert meta["notices"] == []
    assert meta["run"]["state"] == "queued"


@pytest.mark.parametrize(
    "nonsense",
    [
        7,
        "start",
        [],
        {"query": 3, "turn": 1},
        *({"query": "o=gd", "turn": turn, "press": "start"} for turn in ("1", True, 0, -1, 10**9, 1.0)),
        *({"query": "o=gd", "turn": 1, "press": press} for press in ("begin", 1, ["start"])),
    ],
)
def test_nonsense_from_the_browser_changes_nothing(store: Store, nonsense: object) -> None:
    page = new_page()
    before, _ = look(page)
    page.session_state["lab"] = {"asked": nonsense}
    assert look(page)[0] == before
    assert store.recent() == []


def test_a_store_that_cannot_be_used_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(cluster, "warm_up", lambda: None)
    page = new_page().run()
    assert not page.exception
    assert "can't be used" in sentence(page)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+nodriver://teacher:hunter2@[::1]/runs?password=hunter2",
        "postgresql://teacher:hunter2@school:port/runs",
        "hunter2",
    ],
)
def test_no_visitor_reads_the_stores_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAMSCOPE_STORE", url)
    monkeypatch.setattr(cluster, "warm_up", lambda: None)
    page = new_page().run()
    assert not page.exception
    assert "The lab keeps its runs in" in sentence(page)
    assert "hunter2" not in sentence(page)


def test_what_a_database_answers_is_shown_as_plain_text(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = "<img src=x> ![a](https://example.org/a.png)"
    monkeypatch.setattr(store, "get", raiser(OSError(answer)))
    page = new_page(run="1f2e3d4c").run()
    assert not page.exception
    assert "<img" not in page.get("html")[0].proto.body
    assert answer in sentence(page)


def test_a_store_that_fails_while_the_page_is_open_is_said_in_a_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = jobs.start(TrainConfig(("adam",)), store)
    page = new_page(run=run_id)
    look(page)
    with monkeypatch.context() as patch:
        patch.setattr(store, "news", raiser(DatabaseError("SELECT", {}, ValueError("disk I/O error"))))
        page.run()
        assert not page.exception
        assert "disk I/O error." in sentence(page)
    assert look(page)[0]["run"]["id"] == run_id


def test_a_start_that_fails_is_said_and_leaves_no_run_waiting(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = new_page()
    look(page)
    monkeypatch.setattr(cluster, "order", raiser(OSError("Cannot allocate memory")))
    meta = send(page, "o=adam", "start")
    assert "Cannot allocate memory" in meta["notices"][0]
    assert (meta["turn"], meta["run"]) == (1, None)  # answered: Start can be pressed again
    assert [run.state for run in store.recent()] == ["failed"]


def test_a_request_reads_back_what_it_writes() -> None:
    config = TrainConfig(("adam(lr=0.5)", "gd"), data="cifar10", epochs=2, batch_size=8, seed=5, limit=99)
    request = LabRequest(
        config, "log", "classes", "seconds", "ratio", "log", "each", "1f2e3d4c", ("00000000", "11111111")
    )
    assert LabRequest.parse(request.query(), LabRequest(TrainConfig(("adagrad",)))) == (request, [])


def test_every_setting_is_in_the_address_and_reads_back() -> None:
    config = TrainConfig(
        ("adam",),
        data="shapes10",
        model="cnn_3c3d",
        schedule="warmup(total_iters=10)+cosine",
        clip_norm=1.5,
        clip_value=0.25,
        weight_decay=0.0,
        dropout=0.3,
        label_smoothing=0.1,
        augment="crop+flip",
        seeds=3,
        precision="fp32",
    )
    request = LabRequest(config)
    assert LabRequest.parse(request.query(), LabRequest(TrainConfig(("adagrad",)))) == (
        request,
        [],
    )
    plain = parse_qs(LabRequest(TrainConfig(("adam",))).query())
    assert set(plain) == {"o", "data", "model", "epochs", "batch_size", "seed"}  # defaults are left out
    emptied, notices = LabRequest.parse(
        "weight_decay=&dropout=&schedule=&clip_norm=&seeds=&augment=&precision=", request
    )
    assert notices == []
    assert (emptied.config.weight_decay, emptied.config.schedule, emptied.config.seeds) == (None, None, 1)
    assert emptied.config.precision == "auto"


def test_data_and_network_change_together() -> None:
    """One after the other, digits would not fit the network of before."""
    kept = LabRequest(TrainConfig(("adam",), data="shapes10"))
    for query in ("data=digits&model=image_mlp&epochs=3", "model=image_mlp&epochs=3&data=digits"):
        request, notices = LabRequest.parse(query, kept)
        assert notices == []
        assert (request.config.data, request.config.model, request.config.epochs) == (
            "digits",
            "image_mlp",
            3,
        )
    request, notices = LabRequest.parse("data=docs8&model=keras_cnn&epochs=4&dropout=2&clip_norm=x", kept)
    assert (request.config.data, request.config.model, request.config.epochs) == ("shapes10", "keras_cnn", 4)
    assert notices == [
        "clip_norm is 'x', but takes a number.",
        "keras_cnn takes pictures, not texts: train text_cnn on docs8.",
        "dropout is 2.0, but takes a number from 0 to below 1.",
    ]


def test_a_page_trains_on_no_folder_but_those_put_up(store: Store, tmp_path: Path) -> None:
    """Or a visitor could look about on the machine that serves it."""
    (tmp_path / "pictures" / "pets" / "cat").mkdir(parents=True)
    (tmp_path / "private").mkdir()
    page = new_page()
    meta, _ = look(page)
    assert [one["name"] for one in meta["offer"]["data"]][-1] == "folder:pets"
    for turn, place in enumerate((tmp_path / "private", "../private", "pictures/pets", ""), 1):
        meta = send(page, f"o=adam&data=folder:{place}", "start", turn)
        assert "a page trains on folders in $ADAMSCOPE_HOME/pictures" in meta["notices"][0]
        assert meta["asked"]["data"] == "shapes10"
    assert not store.recent()
    meta = send(page, "o=adam&data=folder:pets", "start", 9)
    assert (meta["notices"], meta["asked"]["data"]) == ([], "folder:pets")
    assert store.recent()[0].config["data"] == "folder:pets"


def test_the_offer_says_which_networks_take_which_data(store: Store) -> None:
    meta, _ = look(new_page())
    offer = {one["name"]: one for one in meta["offer"]["data"]}
    assert offer["docs8"]["models"] == ["text_cnn"]
    assert "image_mlp" in offer["digits"]["models"]
    assert "keras_cnn" not in offer["digits"]["models"]
    assert offer["reviews"]["command"] == "adamscope data reviews"
    for name, one in offer.items():
        for model in one["models"]:
            TrainConfig(("adam",), data=name, model=model)


def test_the_lab_needs_no_torch_in_the_server() -> None:
    program = (
        "import sys, app.lab.board, app.lab.request, optimizers.training.jobs; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
