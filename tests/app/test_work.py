"""What is computed beside a race says what the engine says, the newest wish first, and harms no other."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from threading import Event
from typing import Any

import numpy as np
import pytest

from app import background, work
from app.background import Channel, Kept, Progress, Publish, Result, StoppedError, Wish
from app.player import Message
from app.request import RaceRequest
from app.work import Desk, Pace, answer
from optimizers import OPTIMIZERS, SURFACES, Racer, Surface, basin_map, simulate, sweep_map

ADAM = Racer.parse("adam(lr=0.1)")
HIMMELBLAU = Surface.parse("himmelblau")
ROSENBROCK = Surface.parse("rosenbrock")


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    background.kept.cache_clear()


def run(wish: Wish) -> Result:
    """Do the work here and now."""
    return wish.work(lambda done, of: None, lambda result: None)


def until(check: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "It took too long."
        time.sleep(0.005)
    return found


def ready(channel: Channel, wish: Wish, held: object = None) -> tuple[dict[str, Any], bytes]:
    """Ask again and again, as the player does."""

    def asked() -> tuple[dict[str, Any], bytes] | None:
        channel.want(wish)
        head, data = channel.answer(wish.key, wish.kin, held)
        return None if head.get("pending") else (head, data)

    return until(asked)


def test_a_basin_map_travels_as_it_is() -> None:
    conditions = {"clip_norm": 5.0, "schedule": "cosine"}
    result = run(work.basin(ADAM, HIMMELBLAU, 60, conditions))
    x0, x1, y0, y1 = result.head["bounds"]
    assert (y0, y1) == HIMMELBLAU.entry.bounds[1]
    assert x0 < HIMMELBLAU.entry.bounds[0][0]  # a stage shows more than the map is wide
    found = basin_map(ADAM, HIMMELBLAU, size=256, steps=60, bounds=((x0, x1), (y0, y1)), **conditions)
    which, soon = np.frombuffer(result.data, np.uint8).reshape(2, 256, 256)
    assert np.array_equal(which == 0, found.which_minimum == -1)
    for minimum in range(4):
        assert np.array_equal(which == minimum + 1, found.which_minimum == minimum)
    assert np.array_equal(soon == 0, found.steps_to_converge < 0)
    arrives = soon > 0
    order = np.argsort(found.steps_to_converge[arrives], kind="stable")
    assert (np.diff(soon[arrives][order].astype(int)) >= 0).all()  # later is never lighter
    assert result.head["counts"] == [int((found.which_minimum == k).sum()) for k in range(4)]
    assert result.head["lost"] == 0
    assert result.head["nowhere"] == int((found.which_minimum == -1).sum())
    assert len(result.data) % 4 == 0  # it travels among floats
    json.dumps(result.head, allow_nan=False)


def test_a_start_that_diverges_is_told_from_one_that_arrives_nowhere() -> None:
    racer = Racer.parse("gd(lr=0.02)")
    result = run(work.basin(racer, HIMMELBLAU, 60, {}))
    which = np.frombuffer(result.data, np.uint8)[: 256 * 256].reshape(256, 256)
    x0, x1, y0, y1 = result.head["bounds"]
    lost = basin_map(racer, HIMMELBLAU, size=256, steps=60, bounds=((x0, x1), (y0, y1))).which_minimum == -2
    assert lost.any()
    assert np.array_equal(which == work.LOST_BYTE, lost)
    assert result.head["lost"] == int(lost.sum())


def test_a_map_under_a_moving_hand_costs_no_more_than_256_squared_walks_of_500_steps() -> None:
    settled = work.basin(ADAM, ROSENBROCK, 5_000, {})
    for steps in (100, 500, 1_000, 2_000):
        result = run(work.basin(ADAM, ROSENBROCK, steps, {}, pace=Pace()))
        assert result.head["size"] ** 2 * steps <= 256**2 * 500
        assert result.head["coarse"] == (steps > 500)  # it says so
    assert work.basin(ADAM, ROSENBROCK, 5_000, {}, pace=Pace()).key != settled.key


def test_where_maps_take_long_those_under_a_moving_hand_are_coarser() -> None:
    pace = Pace()
    assert pace.size(500) == 256
    for _ in range(8):
        pace.took(pace.size(500), 500, 0.35 * (pace.size(500) / 256) ** 2)  # a busy machine
    assert 64 <= pace.size(500) < 192
    for _ in range(8):
        pace.took(pace.size(500), 500, 0.05 * (pace.size(500) / 256) ** 2)  # it has calmed down
    assert pace.size(500) == 256
    assert pace.size(10**6) == 64


def test_a_sweep_says_what_the_engine_says() -> None:
    start, conditions = (-1.0, 1.5), {"noise": 0.3, "seed": 7}
    result = run(work.sweep(ADAM, ROSENBROCK, start, 80, conditions, ("lr", "beta2"), moving=False))
    x, y = result.head["x"], result.head["y"]
    assert (x["name"], y["name"]) == ("lr", "beta2")
    assert (x["scale"], y["scale"]) == ("log", "one_minus_log")
    assert (x["values"][0], x["values"][-1]) == (1e-5, 1.0)
    assert (y["values"][0], y["values"][-1]) == (0.0, 0.9999)
    found = sweep_map(ADAM, ROSENBROCK, ("lr", x["values"]), ("beta2", y["values"]), start, 80, **conditions)
    loss, soon = np.frombuffer(result.data, "<f4").reshape(2, 48, 48)
    with np.errstate(over="ignore"):
        assert np.array_equal(loss, found.final_loss.astype("<f4"), equal_nan=True)
    assert np.array_equal(soon, found.steps_to_converge)
    assert result.head["best"] == list(found.best or ())
    # A cell pressed is the race it stands for, to the last digit.
    row, column = 5, 40
    walk = simulate(
        ADAM.change(lr=x["values"][column], beta2=y["values"][row]), ROSENBROCK, start, 80, **conditions
    )
    assert np.array_equal(np.float32(walk.loss[-1]), loss[row, column], equal_nan=True)


def test_the_present_values_of_what_is_swept_change_no_cell() -> None:
    def key(
        racer: str, surface: str = "quadratic(condition=10)", names: tuple[str, str] = ("lr", "beta2")
    ) -> str:
        return work.sweep(Racer.parse(racer), Surface.parse(surface), (1, 1), 50, {}, names, moving=False).key

    assert key("adam(lr=0.1)") == key("adam(lr=0.2, beta2=0.5)")
    assert key("adam(lr=0.1)") != key("adam(lr=0.1, beta1=0.5)")
    assert key("adam") != key("adam", "quadratic(condition=20)")
    condition = ("lr", "condition")
    assert key("adam", names=condition) == key("adam", "quadratic(condition=20)", names=condition)


@pytest.mark.parametrize("racer", OPTIMIZERS)
@pytest.mark.parametrize("surface", ["quadratic", "rosenbrock"])
@pytest.mark.parametrize(
    "names", [("lr", ""), ("", ""), ("beta2", "beta2"), ("nonsense", "lr"), ("lr", "condition")]
)
def test_every_racer_has_two_hyperparameters_to_sweep(
    racer: str, surface: str, names: tuple[str, str]
) -> None:
    first, second = work._two(Racer.parse(racer), Surface.parse(surface), names)
    assert first.name != second.name
    offered = {
        hyper.name for hyper in (*OPTIMIZERS[racer].hyperparameters, *SURFACES[surface].hyperparameters)
    }
    assert {first.name, second.name} <= offered
    for hyper, name in zip((first, second), names, strict=True):
        assert hyper.name == name or name not in offered or names[0] == names[1]


@pytest.mark.parametrize("racer", OPTIMIZERS)
def test_swept_values_are_taken_by_their_racer(racer: str) -> None:
    entry = OPTIMIZERS[racer]
    for hyper in entry.hyperparameters:
        values = work.slider_values(hyper, 48)
        assert len(set(values)) == len(values)
        for value in values:
            Racer.parse(racer).change(**{hyper.name: value})
        if not hyper.choices:
            assert (values[0], values[-1]) == hyper.slider
            assert len(values) == 48


def test_tuning_finds_the_best_learning_rate_of_each() -> None:
    racers = [Racer.parse("gd(lr=1e-4)"), ADAM]
    surface = Surface.parse("quadratic(condition=10, angle=0)")
    found = run(work.tuned(racers, surface, (2, 2), 60, {})).head["racers"]
    assert len(found) == 2
    for racer, told in zip(racers, found, strict=True):
        losses = [simulate(racer.change(lr=lr), surface, (2, 2), 60).loss[-1] for lr in told["lr"]]
        assert len(losses) == 49
        assert told["loss"] == [float(loss) if np.isfinite(loss) else None for loss in losses]
        assert told["best"] == int(np.nanargmin(losses))
    assert None in found[0]["loss"]  # gd diverges beyond 2/L
    assert found[0]["lr"][found[0]["best"]] < 0.2
    json.dumps(found, allow_nan=False)


def test_tuning_says_when_every_learning_rate_diverges() -> None:
    rates, walks = [0.1, 1.0], [(float("nan"), None)] * 2
    assert work._tuned(ADAM, rates, walks)["best"] is None
    assert work._tuned(ADAM, rates, [(2.0, None), (1.0, 7)])["edge"] is True
    assert work._tuned(ADAM, rates, [(1.0, 9), (1.0, 7)])["best"] == 1  # of equals the soonest


def test_a_cloud_is_fifty_seeds_of_one_racer() -> None:
    conditions = {"noise": 0.5, "seed": 2**32 - 3}
    wish = work.cloud(ADAM, ROSENBROCK, (-1, 1), 500, conditions)
    assert wish is not None
    result = run(wish)
    at = result.head["at"]
    assert len(at) <= 200
    assert (at[0], at[-1]) == (0, 500)
    paths = np.frombuffer(result.data, "<f4").reshape(50, len(at), 2)
    for k, seed in ((0, 2**32 - 3), (3, 0), (49, 46)):  # seeds begin again behind the last
        walk = simulate(ADAM, ROSENBROCK, (-1, 1), 500, noise=0.5, seed=seed)
        assert np.array_equal(paths[k], walk.path[at].astype("<f4"), equal_nan=True)
    json.dumps(result.head, allow_nan=False)
    assert work.cloud(ADAM, ROSENBROCK, (-1, 1), 50, {}) is None  # nothing is random
    assert work.cloud(ADAM, Surface.parse("logistic"), (-1, 1), 50, {"batch_size": 4}) is not None


def said(held: dict[str, str], settled: bool = True) -> Message:
    message = Message.read({"query": "", "turn": 1, "settled": settled, "have": held})
    assert message is not None
    return message


def test_an_answer_carries_what_the_page_shows_and_only_what_the_player_lacks() -> None:
    query = "surface=himmelblau&o=adam(lr=0.1)&racer=0&steps=50&noise=0.1&show=basin,cloud"
    request, notices = RaceRequest.parse(f"{query}&panel=sweep&window=-1,1,-2,2")
    assert not notices
    desk = Desk()

    def whole() -> tuple[dict[str, Any], dict[str, bytes]] | None:
        heads, arrays = answer(request, None, desk)
        return None if any(head.get("pending") for head in heads.values()) else (heads, arrays)

    heads, arrays = until(whole)
    assert set(heads) == set(arrays) == {"basin", "cloud", "sweep", "window"}
    assert heads["basin"]["bounds"][2:] == [-2, 2]  # of the window
    assert heads["window"]["window"] == [-1, 1, -2, 2]
    x0, x1, y0, y1 = heads["window"]["bounds"]  # a stage shows more than was asked for
    assert x0 < -1 < 1 < x1
    assert y0 < -2 < 2 < y1
    assert all(len(data) % 4 == 0 for data in arrays.values())
    json.dumps(heads, allow_nan=False)
    held = {kind: head["id"] for kind, head in heads.items()}
    assert answer(request, said(held), desk) == ({kind: {"id": key} for kind, key in held.items()}, {})
    _, arrays = answer(request, said({**held, "cloud": "x" * 10_000}), desk)
    assert set(arrays) == {"cloud"}
    assert answer(replace(request, show=(), panel="step", window=None), said(held), desk) == ({}, {})
    fair, arrays = until(
        lambda: (
            (found := answer(replace(request, panel="fair"), None, desk))[0]["tuned"].get("racers") and found
        )
    )
    assert len(fair["tuned"]["racers"]) == 1


def test_a_start_is_the_same_whether_it_is_written_or_not() -> None:
    query = "surface=himmelblau&o=adam&racer=0&steps=20&noise=1&show=cloud&panel="
    for panel in ("sweep", "fair"):
        ids = [
            {kind: head["id"] for kind, head in until(lambda q=q: done(q)).items()}
            for q in (f"{query}{panel}", f"{query}{panel}&start=-0.5,-0.6")
        ]
        assert ids[0] == ids[1]


def done(query: str) -> dict[str, dict[str, Any]] | None:
    """The heads a page opened at this link gets, once all is finished."""
    heads, _ = answer(RaceRequest.parse(query)[0], None, Desk())
    return None if any(head.get("pending") for head in heads.values()) else heads


def test_under_a_moving_hand_the_finest_map_is_shown_where_it_is_known() -> None:
    request, _ = RaceRequest.parse("surface=himmelblau&o=adam(lr=0.1)&racer=0&steps=2000&show=basin")
    desk = Desk()

    def size(settled: bool) -> int:
        def asked() -> int:
            return answer(request, said({}, settled), desk)[0]["basin"].get("size", 0)

        return until(asked)

    assert size(settled=False) <= 128
    assert until(lambda: size(settled=True) == 256)
    assert size(settled=False) == 256


@pytest.mark.parametrize(
    "have",
    [None, 7, "basin", [], {"basin": 7}, {"basin": None}, {"basin": ["x"]}, {"sweep": {}}, {"nonsense": "x"}],
)
def test_whatever_a_player_says_it_holds_does_no_harm(have: object) -> None:
    message = Message.read({"query": "", "turn": 1, "settled": True, "have": have})
    request, _ = RaceRequest.parse("surface=himmelblau&o=adam(lr=0.1)&racer=0&steps=20&show=basin")
    desk = Desk()
    assert until(lambda: len(answer(request, message, desk)[1].get("basin", b"")) == 2 * 256 * 256)


class Slow:
    """Work that takes as long as the test likes."""

    def __init__(self, key: str, brief: bool = False) -> None:
        self.go, self.began, self.outcome = Event(), Event(), ""
        self.wish = Wish(key, "kin", self._work, brief)

    def _work(self, progress: Progress, publish: Publish) -> Result:
        self.began.set()
        try:
            for k in range(1, 1_000):
                progress(k, 1_000)
                if self.go.wait(0.002):
                    self.outcome = "done"
                    return Result(self.wish.key, "kin", {"of": self.wish.key}, b"1234")
        except StoppedError:
            self.outcome = "stopped"
            raise
        raise AssertionError("nobody let go")


def test_a_newer_wish_takes_the_place_of_what_waits_and_stops_what_runs() -> None:
    channel, first, second, third = Channel(), Slow("1"), Slow("2"), Slow("3")
    channel.want(first.wish)
    assert first.began.wait(5)
    channel.want(second.wish)
    channel.want(third.wish)
    third.go.set()
    head, data = ready(channel, third.wish)
    assert (head["id"], data) == ("3", b"1234")
    assert first.outcome == "stopped"
    assert not second.began.is_set()


def test_what_is_asked_for_under_a_moving_hand_is_finished_and_shown_though_a_newer_one_waits() -> None:
    channel, first, second = Channel(), Slow("1", brief=True), Slow("2", brief=True)
    channel.want(first.wish)
    assert first.began.wait(5)
    channel.want(second.wish)
    time.sleep(0.02)
    first.go.set()
    assert second.began.wait(5)
    head, data = channel.answer("2", "kin", None)
    assert (head["id"], head["pending"], data) == ("1", True, b"1234")
    head, data = channel.answer("2", "kin", "1")  # the player has it by now
    assert (head["id"], head["pending"], data) == ("1", True, b"")
    assert channel.answer("2", "another kin", None)[0].get("id") is None
    second.go.set()
    assert ready(channel, second.wish)[0]["id"] == "2"


def test_what_nobody_wants_any_more_stops() -> None:
    channel, slow = Channel(), Slow("1")
    channel.want(slow.wish)
    assert slow.began.wait(5)
    channel.want(None)
    until(lambda: slow.outcome)
    assert slow.outcome == "stopped"
    channel.wait(5)
    again = Slow("1")
    again.go.set()
    assert ready(channel, again.wish)[1] == b"1234"  # and can be asked for anew


def test_a_server_that_stops_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_pool", cache(lambda: ThreadPoolExecutor(1)))
    monkeypatch.setattr(background, "_closing", Event())
    running, waiting = Slow("1"), Slow("2")
    here, there = Channel(), Channel()
    here.want(running.wish)
    assert running.began.wait(5)
    there.want(waiting.wish)
    background.close()
    until(lambda: running.outcome)
    assert running.outcome == "stopped"
    here.wait(5)
    here.want(waiting.wish)  # a page that still runs
    assert here.answer("2", "kin", None)[0]["pending"]
    assert not waiting.began.is_set()


def test_a_problem_is_one_sentence_and_another_page_knows_nothing_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(error: Exception) -> Wish:
        def work(progress: Progress, publish: Publish) -> Result:
            raise error

        return Wish("bad", "kin", work)

    here, there = Channel(), Channel()
    head, data = ready(here, fails(ValueError("lr is −1, but takes a number from 0 to 1.")))
    assert head == {"problem": "lr is −1, but takes a number from 0 to 1."}
    assert not data
    good = Slow("good")
    good.go.set()
    assert ready(there, good.wish)[0] == {"of": "good", "id": "good"}
    head, _ = ready(Channel(), fails(RuntimeError("out of cheese")))
    assert "cheese" not in head["problem"]
    assert head["problem"].endswith(".")
    assert "out of cheese" in caplog.text  # whoever runs the server can find it
    assert ready(here, good.wish)[0]["id"] == "good"  # the next wish is answered


def test_pages_share_what_is_computed_within_a_number_of_bytes() -> None:
    first, second = Slow("same"), Slow("same")
    first.go.set()
    ready(Channel(), first.wish)
    channel = Channel()
    channel.want(second.wish)
    assert channel.answer("same", "kin", None)[1] == b"1234"
    assert not second.began.is_set()
    kept = Kept(most=30_000)
    for k in range(100):
        kept.put(Result(str(k), "kin", {}, bytes(1_000)))
        kept.get("0")
    assert kept.get("0") is not None  # asked for again and again
    assert kept.get("99") is not None
    assert sum(kept.get(str(k)) is not None for k in range(100)) <= 6


def test_a_pair_never_compiled_shows_a_coarse_map_first(monkeypatch: pytest.MonkeyPatch) -> None:
    coarse = basin_map(ADAM, HIMMELBLAU, size=48, steps=50)
    whole = basin_map(ADAM, HIMMELBLAU, size=256, steps=50)
    compiled, seen = Event(), Event()

    def late(*given: object, preview: Callable[..., object], **others: object) -> object:
        preview(coarse)
        seen.set()
        assert compiled.wait(10)
        return whole

    monkeypatch.setattr(work, "basin_map", late)
    wish, channel = work.basin(ADAM, HIMMELBLAU, 50, {}), Channel()
    channel.want(wish)
    assert seen.wait(10)
    head, data = channel.answer(wish.key, wish.kin, None)
    assert (head["size"], head["coarse"], head["pending"], len(data)) == (48, True, True, 2 * 48 * 48)
    compiled.set()
    head, data = ready(channel, wish, held=head["id"])
    assert (head["size"], head["coarse"], len(data)) == (256, False, 2 * 256 * 256)
