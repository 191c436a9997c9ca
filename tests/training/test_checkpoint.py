"""Runs go on to the bit, and what can go wrong with their files is said in a sentence."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from optimizers.training import (
    Evaluated,
    Kept,
    Point,
    Progress,
    Started,
    StopTraining,
    TrainConfig,
    TrainResult,
    checkpoint,
    race,
    train,
)
from optimizers.training.checkpoint import CheckpointError
from optimizers.training.models import build

# 120 pictures, a chunk of one step after the other.
CONFIG = TrainConfig(("adam",), data="shapes10", epochs=2, batch_size=20, device="cpu", threads=1)
# NAdam keeps a number beside its vectors; the gradient descent diverges in the first epoch.
MANY = replace(CONFIG, racers=("adam", "gd(lr=1e6)", "nadam"), seeds=2)

pytestmark = pytest.mark.usefixtures("easy_data")


@pytest.fixture(autouse=True)
def _only_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are written where a run ends, unless a test says otherwise: not by the clock."""
    monkeypatch.setattr(checkpoint.Keeper, "due", lambda keeper, epoch_ended: False)


@pytest.fixture
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are written wherever the one before is on the disk."""
    monkeypatch.setattr(checkpoint.Keeper, "due", DUE)
    for name, seconds in (("FIRST", 0.0), ("PERIOD", 0.0), ("SHARE", 1e9)):
        monkeypatch.setattr(checkpoint, name, seconds)


DUE = checkpoint.Keeper.due


class Stop:
    """Ends a run after a step, as a press does; keeps what it was told."""

    def __init__(self, step: int) -> None:
        self.step, self.told = step, []

    def __call__(self, event: object) -> None:
        self.told.append(event)
        if isinstance(event, Progress) and event.step == self.step:
            raise StopTraining


def without_seconds(points: tuple[Point, ...]) -> list[Any]:
    return [np.array([(p.racer, p.seed, p.step, p.examples, p.loss, p.accuracy) for p in points])]


def assert_alike(result: TrainResult, whole: TrainResult) -> None:
    np.testing.assert_array_equal(without_seconds(result.points), without_seconds(whole.points))
    assert repr(result.evaluations) == repr(whole.evaluations)  # NaN is NaN
    assert (result.steps, result.stopped, result.config) == (whole.steps, whole.stopped, whole.config)
    for one, other in zip(result.racers, whole.racers, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
        assert one.batches_sha256 == other.batches_sha256
        assert one.initial_weights_sha256 == other.initial_weights_sha256
        assert (one.examples, one.diverged_at) == (other.examples, other.diverged_at)
        np.testing.assert_array_equal(one.predictions, other.predictions)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_that_was_interrupted_again_and_again_ends_as_one_that_was_not(
    precision: str, tmp_path: Path
) -> None:
    config = replace(MANY, precision=precision)
    whole = train(config)
    assert [racer.diverged_at is None for racer in whole.racers] == [True, False, True] * 2
    stopped = train(config, Stop(4), folder=tmp_path)
    assert (stopped.stopped, stopped.steps) == (True, 4)
    at_the_end_of_an_epoch = Stop(6)
    train(config, at_the_end_of_an_epoch, folder=tmp_path, resume=True)
    (started,) = (event for event in at_the_end_of_an_epoch.told if isinstance(event, Started))
    assert started.resumed_at == 4
    told: list[Any] = []
    assert_alike(train(config, told.append, folder=tmp_path, resume=True), whole)
    assert [event.step for event in told if isinstance(event, Evaluated)] == [6] * 4 + [12] * 4
    assert min(event.step for event in told if isinstance(event, Point)) == 7


@pytest.mark.usefixtures("_always")
def test_checkpoints_are_written_while_it_trains(tmp_path: Path) -> None:
    kept = []

    def crash(event: object) -> None:
        if isinstance(event, Kept):
            kept.append(event.step)
        if isinstance(event, Point) and event.step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, crash, folder=tmp_path)
    assert kept == sorted(set(kept))
    assert len(kept) > 3
    assert_alike(train(CONFIG, folder=tmp_path, resume=True), train(CONFIG))


def test_checkpoints_take_no_more_than_their_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(checkpoint.Keeper, "due", DUE)
    with checkpoint.keeping(tmp_path) as keeper:
        assert keeper is not None
        assert keeper.due(epoch_ended=True)
        assert not keeper.due(epoch_ended=False)
        now = checkpoint.FIRST
        assert keeper.due(epoch_ended=False)
        keeper.write({"step": 7, "finished": False}, seconds=0.5)
        keeper.rest()
        assert keeper.news() == [Kept(7)]
        assert keeper.news() == []
        now += 0.49 / checkpoint.SHARE  # longer than PERIOD
        assert not keeper.due(epoch_ended=False)
        assert not keeper.due(epoch_ended=True)
        now += 0.02 / checkpoint.SHARE
        assert keeper.due(epoch_ended=False)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [half, flipped, empty])
def test_a_damaged_checkpoint_is_found_and_the_one_before_it_taken(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    train(CONFIG, Stop(3), folder=tmp_path)
    train(CONFIG, Stop(8), folder=tmp_path, resume=True)
    damage(tmp_path / checkpoint.NAME)
    told: list[Any] = []
    result = train(CONFIG, told.append, folder=tmp_path, resume=True)
    (notice,) = (event.problem for event in told if isinstance(event, Kept) and event.problem)
    assert notice == (
        "The newest checkpoint is damaged or only half written: "
        "the run goes on from the one before, at step 3."
    )
    assert_alike(result, train(CONFIG))


def test_where_every_checkpoint_is_damaged_the_run_is_not_begun_anew_unasked(tmp_path: Path) -> None:
    train(CONFIG, Stop(3), folder=tmp_path)
    half(tmp_path / checkpoint.NAME)
    with pytest.raises(CheckpointError, match=r"half written, and there is no other: start the run anew\.$"):
        train(CONFIG, folder=tmp_path, resume=True)
    (tmp_path / checkpoint.NAME).unlink()
    with pytest.raises(CheckpointError, match="There is no checkpoint in"):
        train(CONFIG, folder=tmp_path, resume=True)
    with pytest.raises(ValueError, match="name it"):
        train(CONFIG, resume=True)


def test_a_checkpoint_is_not_taken_for_another_run_or_a_finished_one(tmp_path: Path) -> None:
    train(CONFIG, Stop(3), folder=tmp_path)
    with pytest.raises(CheckpointError, match="another recipe"):
        train(replace(CONFIG, seed=1), folder=tmp_path, resume=True)
    train(CONFIG, folder=tmp_path, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.NAME]
    with pytest.raises(CheckpointError, match="finished"):
        train(CONFIG, folder=tmp_path, resume=True)


@pytest.mark.usefixtures("_always")
def test_a_full_disk_stops_no_run_and_is_said(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    train(CONFIG, Stop(3), folder=tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    told: list[Any] = []
    try:  # the system refuses to make any file longer than that
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        result = train(CONFIG, told.append, folder=tmp_path, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result.steps == 12
    said = {event.problem for event in told if isinstance(event, Kept) and event.problem}
    assert said == {
        "No checkpoint could be written, as the disk is full: "
        "free some space; the run goes on, and tries again."
    }
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_training_goes_on_from_the_weights_of_a_kept_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path))
    folder = tmp_path / "runs" / "1f2e3d4c"
    first = train(MANY, folder=folder)
    start = TrainConfig(("adam",), data="shapes10", epochs=1, limit=20, device="cpu", start_from="1f2e3d4c")
    for start_from, lane in (("1f2e3d4c", 0), (f"{folder}:5", 5)):
        begun = train(replace(start, start_from=start_from))
        expected = torch.from_numpy(first.racers[lane].weights)
        (network,) = [checkpoint.weights(start_from)]
        assert torch.equal(torch.cat([part.reshape(-1) for part in network]), expected)
        assert begun.evaluations[0].loss == pytest.approx(first.racers[lane].test_loss, rel=2e-2)
    for start_from, why in (
        ("1f2e3d4c:1", "diverged"),
        ("1f2e3d4c:6", "has 6 networks"),
        ("00000000", "no checkpoint"),
    ):
        with pytest.raises(CheckpointError, match=why):
            train(replace(start, start_from=start_from))


def test_the_last_layer_is_drawn_anew_for_another_number_of_classes(tmp_path: Path) -> None:
    train(CONFIG, Stop(1), folder=tmp_path)
    network = build("keras_cnn", 4, torch.Generator().manual_seed(0))
    drawn = network[-1].weight.clone()
    checkpoint.start(network, str(tmp_path))
    kept = checkpoint.weights(str(tmp_path))
    assert torch.equal(next(network.parameters()), kept[0])
    assert torch.equal(network[-1].weight, drawn)
    with pytest.raises(CheckpointError, match="another network"):
        checkpoint.start(torch.nn.Sequential(torch.nn.Linear(3, 10)), str(tmp_path))


def test_a_network_goes_on_in_other_company_from_memory_as_if_never_interrupted() -> None:
    config = replace(CONFIG, limit=60, epochs=3, schedule="cosine", augment="crop")
    states = []
    for racers in (("adam", "gd(lr=1e6)"), ("momentum", "nadam")):  # stopped within an epoch
        memory = checkpoint.Memory()
        race.train(replace(config, racers=racers), Stop(7), memory=memory)
        assert memory.state is not None
        states.append(checkpoint.apart(memory.state))
    memory = checkpoint.Memory(checkpoint.together([states[1][1], states[0][0]]))
    turned = replace(config, racers=("nadam", "adam"))
    result = race.train(turned, memory=memory)
    whole = train(turned)
    assert repr(result.evaluations) == repr(whole.evaluations)
    for one, other in zip(result.racers, whole.racers, strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
        assert one.batches_sha256 == other.batches_sha256
    with pytest.raises(ValueError, match="same step"):
        checkpoint.together([states[0][0], {**states[1][1], "step": 6}])


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "image_mlp", "dropout": 0.4},
        {"augment": "crop+flip+jitter", "dropout": 0.4, "schedule": "warmup+cosine", "clip_norm": 0.5},
    ],
    ids=["dropout", "augmentation, schedule and clipping"],
)
def test_under_what_is_random_a_resumed_run_ends_as_one_that_was_not_interrupted(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    config = replace(CONFIG, racers=("adam", "momentum"), limit=60, seeds=2, seed=5, **settings)
    whole = train(config)
    train(config, Stop(1), folder=tmp_path)
    train(config, Stop(whole.steps // 2), folder=tmp_path, resume=True)  # at the end of an epoch
    assert_alike(train(config, folder=tmp_path, resume=True), whole)
    assert len({racer.weights.tobytes() for racer in whole.racers}) == 4
