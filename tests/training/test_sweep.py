"""A sweep tries what it says, chooses by held-out pictures alone, and loses nothing to a lost worker."""

import csv
import json
import math
import time
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from distributed import LocalCluster

from app.cli import run
from optimizers.training import (
    Point,
    StopTraining,
    TrainConfig,
    data,
    race,
    store,
    sweep_jobs,
    sweep_run,
    sweep_store,
    train,
)
from optimizers.training.cluster import Workers
from optimizers.training.store import Store
from optimizers.training.sweep import (
    DIVERGED,
    DROPPED,
    FAILED,
    FINISHED,
    STOPPED,
    Changed,
    Network,
    Pace,
    Rung,
    Said,
    SweepConfig,
    figure4,
    networks,
    ranked,
    rungs,
    standing,
    sweep,
    trials,
    winner,
    work_of,
)
from optimizers.training.sweep_report import summarise, write_report
from optimizers.training.sweep_run import run_on
from optimizers.training.sweep_store import LOST, SweepStore
from optimizers.training.sweep_view import cells, chosen_sides, curves, sides
from optimizers.training.validation import hold_out

BASE = TrainConfig(
    ("adam",), epochs=2, batch_size=20, limit=60, validation=40, device="cpu", precision="fp32"
)


TRAIN = race.train


@pytest.fixture(scope="module")
def cluster():
    """Two workers in threads of this process, so that they have this process's data and patches."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with LocalCluster(
        processes=False,
        n_workers=2,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",  # None would take port 8787, which another test may have
        memory_limit=0,
    ) as cluster:
        yield cluster.scheduler_address
    torch.set_num_threads(before)


# The question -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values", "canonical"),
    [
        ("lr,1e-4,0.1,4", (1e-4, 1e-3, 1e-2, 0.1), "lr,0.0001,0.1,4"),
        ("lr, 0, 1, 3, linear", (0.0, 0.5, 1.0), "lr,0,1,3,linear"),
        ("beta2,0.99,0.9999,3", (0.99, 0.999, 0.9999), "beta2,0.99,0.9999,3"),
        ("beta1 = 0.9, 0", (0.0, 0.9), "beta1=0,0.9"),
        ("bias_correction", (True, False, "first", "second"), "bias_correction"),
        ("bias_correction=True,False", (True, False), "bias_correction=True,False"),
        ("batch_size,16,64,3", (16, 32, 64), "batch_size,16,64,3"),
        ("dropout=0,0.5", (0.0, 0.5), "dropout=0,0.5"),
    ],
)
def test_an_axis_reads_back_what_it_writes(text, values, canonical):
    config = SweepConfig(BASE, (text,))
    assert config.read[0].values == values
    assert config.axes == (canonical,)
    assert SweepConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("axes", "settings", "told"),
    [
        (("lr,1,2",), {}, "The axis 'lr,1,2' is not understood; write it like lr,1e-4,0.1,4"),
        (("lr,low,1,3",), {}, "lr is given 'low', but takes numbers"),
        (("lr,1,0.1,3",), {}, "lr is swept from 1 to 0.1, but the lower comes first."),
        (("lr,0,1,3",), {}, "lr is swept from 0 to 1 on a log scale, which is above 0."),
        (("lr,1e-3,1,0",), {}, "lr is swept over '0' values, but takes 2 to 1,000."),
        (("lr,1e-3,1,3,cubic",), {}, "The scale of lr is 'cubic', but takes linear, log, one_minus_log."),
        (("beta2=0.9,1.5",), {}, "beta2 of adam is 1.5, but takes a number at least 0 and below 1."),
        (("beta2=0.9,0.9",), {}, "The axis beta2 has a value twice"),
        (("bta2=0.9",), {}, "A sweep of adam has no hyperparameter 'bta2'. Did you mean beta2?"),
        (("lr,1e-3,1,3", "lr=1"), {}, "The axis lr is given twice"),
        ((), {}, "A sweep needs an axis, as in lr,1e-4,0.1,4, or several racers."),
        (("lr,1e-3,1,3",), {"method": "grd"}, "method is 'grd', but takes grid, random or halving."),
        (("lr,1e-3,1,3",), {"method": "random"}, "give trials"),
        (("lr,1e-3,1,3",), {"trials": 5}, "A grid tries every combination"),
        (("lr,1e-3,1,3",), {"method": "halving", "min_epochs": 5}, "min_epochs is 5, but a trial trains 2"),
        (("lr,1e-3,1,3",), {"seeds": 0}, "seeds is 0, but takes a whole number from 1 to 100."),
        (("lr,1e-3,1,999", "eps,1e-9,1,99"), {}, "This sweep has 98,901 networks, but takes at most 10,000"),
    ],
)
def test_what_is_wrong_with_a_sweep_is_one_sentence(axes, settings, told):
    with pytest.raises(ValueError, match=r"^[^\n]*$") as problem:
        SweepConfig(BASE, axes, **settings)
    assert told in str(problem.value)


def test_an_axis_that_not_all_racers_have_is_refused():
    with pytest.raises(ValueError, match="beta2 can't be swept here, as momentum has none"):
        SweepConfig(replace(BASE, racers=("adam", "momentum")), ("beta2=0.9,0.99",))


def test_figure_4_is_the_papers_grid():
    config = figure4(BASE)
    assert networks(config) == len(trials(config)) == 60
    swept = {axis.name: axis.values for axis in config.read}
    assert swept["lr"] == (1e-5, 1e-4, 1e-3, 1e-2, 0.1)
    assert swept["beta2"] == (0.99, 0.999, 0.9999)
    assert swept["beta1"] == (0.0, 0.9)
    assert swept["bias_correction"] == (True, False)
    assert len({trial.racer for trial in trials(config)}) == 60


def test_a_grid_is_every_combination_of_racers_and_axes():
    config = SweepConfig(replace(BASE, racers=("gd", "adam")), ("lr=0.1,0.2", "batch_size=10,20"))
    made = trials(config)
    assert [(trial.racer, trial.settings) for trial in made[:3]] == [
        ("gd(lr=0.1)", (("batch_size", 10),)),
        ("gd(lr=0.1)", (("batch_size", 20),)),
        ("gd(lr=0.2)", (("batch_size", 10),)),
    ]
    assert len(made) == 8
    recipe = made[7].config(config, seed=5)
    assert (recipe.racers, recipe.batch_size, recipe.seed) == (("adam(lr=0.2)",), 20, 5)


def test_random_search_draws_the_same_again_and_within_the_ends():
    config = SweepConfig(BASE, ("lr,1e-5,0.1,5", "beta1=0,0.9"), method="random", trials=200)
    made = trials(config)
    assert made == trials(config)
    assert made != trials(replace(config, base=replace(BASE, seed=1)))
    rates = np.array([trial.values[0] for trial in made])
    assert rates.min() >= 1e-5
    assert rates.max() <= 0.1
    assert 0.4 < np.mean(rates < 1e-3) < 0.6  # even on the scale, not on the number line
    assert {trial.values[1] for trial in made} == {0.0, 0.9}
    few = SweepConfig(BASE, ("beta1=0,0.9", "beta2=0.9,0.99"), method="random", trials=9)
    assert len({trial.racer for trial in trials(few)}) == len(trials(few)) == 4  # there are no more


def test_rungs_of_successive_halving():
    def ladder(**settings):
        base = replace(BASE, epochs=settings.pop("epochs"))
        return rungs(SweepConfig(base, ("lr,1e-4,1,20",), method="halving", **settings))

    assert ladder(epochs=9) == (Rung(20, 1), Rung(6, 3), Rung(2, 9))
    assert ladder(epochs=10, factor=2, min_epochs=3) == (Rung(20, 3), Rung(10, 6), Rung(5, 10))
    assert ladder(epochs=100, trials=3) == (Rung(3, 1), Rung(1, 100))


# Held-out pictures ------------------------------------------------------------------------------------------


def test_held_out_pictures_are_not_trained_on_and_differ_by_seed(easy_data):
    kept = hold_out(easy_data, 40, seed=0)
    held, left = ({image.tobytes() for image in images} for images in (kept.test_images, kept.train_images))
    assert (len(held), len(left)) == (40, 80)
    assert held | left == {image.tobytes() for image in easy_data.train_images}
    assert not held & {image.tobytes() for image in easy_data.test_images}
    assert np.array_equal(kept.test_images, hold_out(easy_data, 40, seed=0).test_images)
    assert not np.array_equal(kept.test_images, hold_out(easy_data, 40, seed=1).test_images)
    with pytest.raises(ValueError, match="validation is 120, but shapes10 has 120 training pictures in all"):
        hold_out(easy_data, 120, seed=0)


def test_the_test_labels_have_no_part_in_the_choice(easy_data, cluster, monkeypatch):
    config = SweepConfig(BASE, ("lr,1e-4,1,3",), seeds=2)
    first = sweep(config, scheduler=cluster)
    shuffled = replace(easy_data, test_labels=(easy_data.test_labels + 1) % 10)
    monkeypatch.setattr(data, "load", lambda name: shuffled)
    again = sweep(config, scheduler=cluster)
    assert first.best == again.best is not None
    told = [[replace(one, seconds=0.0) for one in result.networks] for result in (first, again)]
    assert told[0] == told[1]
    assert first.test_accuracy != again.test_accuracy  # of the winner alone, at the end


# The sweep --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gpus", "groups"), [(0, [7, 8] * 4), (1, [60]), (2, [30, 30]), (4, [15] * 4)])
def test_figure_4_is_as_few_races_as_there_are_gpus(easy_data, monkeypatch, gpus, groups):
    """On a GPU all networks of a worker are one race; on two cores eight at a time."""
    slots = gpus or 2
    client = SimpleNamespace(
        run=lambda sees: {"worker": bool(gpus)}, nthreads=lambda: {str(worker): 1 for worker in range(slots)}
    )
    monkeypatch.setattr(sweep_run, "Event", lambda name, client: None)
    config = figure4(replace(BASE, device="auto"))
    made = sweep_run._Sweep(client, config, lambda event: None, 2, {}, 0)
    (rung,) = rungs(config)
    found = made._groups(made.trials, rung, 0)
    assert [len(group.members) for group in found] == groups
    assert len({member for group in found for member in group.members}) == 60
    assert all(
        group.config.racers == tuple(made.trials[t].racer for t, _ in group.members) for group in found
    )


def test_sixty_networks_are_one_race(easy_data):
    """As many racers as a GPU takes: labels, states and results of each, here on a CPU."""
    config = figure4(replace(BASE, epochs=1, limit=20))
    notations = tuple(trial.racer for trial in trials(config))
    result = train(replace(config.base, racers=notations, telemetry=0, threads=1))
    assert len({racer.label for racer in result.racers}) == len(result.racers) == 60
    assert len({racer.weights.tobytes() for racer in result.racers if racer.diverged_at is None}) > 50


def test_each_network_is_what_a_lone_run_is(easy_data, cluster):
    config = SweepConfig(replace(BASE, racers=("adam", "momentum")), ("lr=0.001,0.01", "batch_size=20,30"))
    events = []
    result = sweep(config, events.append, scheduler=cluster)
    assert len(result.networks) == 8
    for trial in result.trials:
        (network,) = result.of(trial)
        lone = train(trial.config(config, config.base.seed))
        assert network.history == tuple((e.epoch, e.loss, e.accuracy) for e in lone.evaluations)
        assert network.state == FINISHED
    assert result.best is result.standings[0].trial
    tested = train(replace(result.best.config(config, 0), validation=0)).racers[0]
    assert result.test_accuracy == (tested.test_accuracy,)
    told = {}
    for event in events:
        if isinstance(event, Changed):
            told.update({one.trial: one for one in event.networks})
    assert told == {one.trial: one for one in result.networks}
    assert [event.share for event in events if isinstance(event, Pace)][-1] == 1


def test_halving_goes_on_with_the_best_by_held_out_pictures(easy_data, cluster):
    config = SweepConfig(BASE, ("lr,1e-5,1,6",), method="halving", factor=3)
    said = []
    result = sweep(config, lambda e: said.append(e.text) if isinstance(e, Said) else None, scheduler=cluster)
    assert said == ["After 1 epoch the best 2 of 6 trials go on, to 2 epochs."]
    first = {trial.index: train(trial.config(config, 0)).evaluations[1] for trial in result.trials}
    order = sorted(first, key=lambda index: (-first[index].accuracy, first[index].loss))
    stayed = {one.trial for one in result.networks if one.state == FINISHED}
    assert stayed == set(order[:2])
    assert {one.state for one in result.networks if one.trial not in stayed} <= {DROPPED, DIVERGED}
    assert result.best.index in stayed


def test_a_network_that_stays_is_the_one_that_was_never_interrupted(easy_data, cluster, monkeypatch):
    base = replace(
        BASE,
        racers=("nadam", "momentum"),  # NAdam keeps a number beside its vectors
        epochs=4,
        schedule="warmup+cosine",
        clip_norm=1.0,
        dropout=0.3,
        augment="crop+flip",
    )
    steps = Counter()

    def counted(config, on_event, memory):
        def listen(event):
            if isinstance(event, Point):
                steps[config.racers[event.racer], config.seed, event.step] += 1
            on_event(event)

        return TRAIN(config, listen, memory=memory)

    monkeypatch.setattr(race, "train", counted)
    config = SweepConfig(base, ("lr=0.001,0.01",), method="halving", factor=2, seeds=2)
    events = []
    result = sweep(config, events.append, scheduler=cluster)
    monkeypatch.undo()
    assert [(rung.trials, rung.epochs) for rung in rungs(config)] == [(4, 1), (2, 2), (1, 4)]
    reached = Counter()
    for trial in result.trials:
        for found in result.of(trial):
            reached[found.epochs] += 1
            lone = train(trial.config(config, found.seed))
            history = tuple((e.epoch, e.loss, e.accuracy) for e in lone.evaluations)
            assert found.history == history[: found.epochs + 1]
    assert reached == {1: 4, 2: 2, 4: 2}
    # A step is trained once; the last steps, by the winner's test too, which begins anew.
    retrained = {name for name, times in steps.items() if times > 1}
    assert {(notation, seed) for notation, seed, _ in retrained} <= {
        (result.best.config(config, seed).racers[0], seed) for seed in (0, 1)
    }
    assert [event.share for event in events if isinstance(event, Pace)][-1] == pytest.approx(1, abs=1e-12)


def test_what_halving_costs_is_what_it_trains():
    config = SweepConfig(replace(BASE, epochs=9), ("lr,1e-4,1,27",), method="halving")
    on_rungs = 27 * 1 + 9 * 2 + 3 * 6
    looks = 27 * 2 + 9 * 2 + 3 * 6
    test = 9 * 60 + 10 * 20 / 3
    assert work_of(config, pictures=60, tests=20) == on_rungs * 60 + looks * 40 / 3 + test


def test_one_that_diverges_is_said_and_never_best(easy_data, cluster):
    result = sweep(SweepConfig(BASE, ("lr=0.001,1000000",), seeds=2), scheduler=cluster)
    good, bad = (result.of(trial) for trial in result.trials)
    assert {one.state for one in good} == {FINISHED}
    assert {one.state for one in bad} == {DIVERGED}
    assert all(one.diverged_at and math.isnan(one.accuracy) for one in bad)
    assert result.best.racer == "adam"
    nothing = sweep(SweepConfig(replace(BASE, racers=("gd",)), ("lr=100000,1000000",)), scheduler=cluster)
    assert (nothing.best, nothing.test_accuracy) == (None, ())
    assert nothing.said == ("Every trial diverged or failed, so there is nothing to test.",)


def test_stop_keeps_what_was_found_and_tests_nothing(easy_data, cluster):
    config = SweepConfig(replace(BASE, epochs=5000), ("lr,1e-4,1,4",))

    def listen(event):
        if isinstance(event, Changed) and any(len(one.history) > 1 for one in event.networks):
            raise StopTraining

    result = sweep(config, listen, scheduler=cluster)
    assert result.stopped
    assert {one.state for one in result.networks} == {STOPPED}
    assert any(len(one.history) > 1 for one in result.networks)
    assert (result.best, result.test_accuracy) == (None, ())


def test_too_many_at_once_for_the_memory_are_halved(easy_data, cluster, monkeypatch):
    def short_of_memory(config, on_event, memory):
        if len(config.racers) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return TRAIN(config, on_event, memory=memory)

    config = SweepConfig(replace(BASE, epochs=1), ("lr,1e-4,1,8",))
    with monkeypatch.context() as patch:
        patch.setattr(race, "train", short_of_memory)
        result = sweep(config, scheduler=cluster)
    assert {one.state for one in result.networks} == {FINISHED}
    assert "4 networks are too many at once for the memory: half as many are tried." in result.said


def test_what_goes_wrong_with_one_group_leaves_the_others(easy_data, cluster, monkeypatch):
    def broken(config, on_event, memory):
        if "adam(lr=1)" in config.racers:
            raise ArithmeticError("no such luck\nat 0x7f")
        return TRAIN(config, on_event, memory=memory)

    monkeypatch.setattr(race, "train", broken)
    result = sweep(SweepConfig(replace(BASE, epochs=1), ("lr,1e-2,1,2",)), scheduler=cluster)
    assert [one.state for one in result.networks] == [FINISHED, FAILED]
    assert result.said == ("1 network is given up: no such luck.",)
    assert result.best.index == 0
    with pytest.raises(RuntimeError, match="1 network is given up: no such luck"):
        sweep(SweepConfig(replace(BASE, epochs=1), ("lr=1",)), scheduler=cluster)


def test_what_is_wrong_is_said_before_anything_starts(easy_data, cluster):
    with pytest.raises(ValueError, match="validation is 200, but shapes10 has 120 training pictures"):
        sweep(SweepConfig(replace(BASE, validation=200), ("lr=1,2",)), scheduler=cluster)
    with pytest.raises(ValueError, match="Two racers of this sweep become the same one"):
        sweep(SweepConfig(replace(BASE, racers=("adam", "adam(lr=0.1)")), ("lr=1,2",)), scheduler=cluster)


def test_a_lost_worker_is_said_and_its_networks_are_trained_again(tmp_path, monkeypatch):
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path))  # of the worker, too
    monkeypatch.setattr(data, "load", lambda name: data.DATASETS[name].read(tmp_path))
    small = replace(BASE, data="digits", model="image_mlp", limit=200, epochs=2, threads=1)
    config = SweepConfig(small, ("lr,1e-4,1,2",), method="halving", factor=2)
    killed = []

    def kill_the_worker():
        family = psutil.Process().children()
        (worker,) = [one for one in family if any("spawn_main" in word for word in one.cmdline())]
        worker.kill()
        killed.append(worker.pid)

    def listen(event):
        if isinstance(event, Changed) and not killed and any(one.history for one in event.networks):
            kill_the_worker()
        if isinstance(event, Said) and event.text.startswith("After"):  # it holds what the best goes on from
            kill_the_worker()

    result = sweep(config, listen, workers=1)
    assert len(set(killed)) == 2
    assert sorted(found.epochs for found in result.networks) == [1, 2]
    lost = "A worker was lost; its 2 networks are trained again."
    assert result.said == (lost, "After 1 epoch the best 1 of 2 trials go on, to 2 epochs.", lost)
    for trial in result.trials:
        lone = train(trial.config(config, 0))
        (found,) = result.of(trial)
        history = tuple((e.epoch, e.loss, e.accuracy) for e in lone.evaluations)
        assert found.history == history[: found.epochs + 1]


# In order ---------------------------------------------------------------------------------------------------


def network(trial, accuracy, seed=0, epochs=2, state=FINISHED, loss=1.0):
    return Network(trial, seed, state, epochs, ((0, 2.3, 0.1), (epochs, loss, accuracy)))


def test_the_best_has_trained_longest_then_is_most_accurate_on_the_mean_then_has_the_least_loss():
    config = SweepConfig(BASE, ("lr,1e-4,1,5",), seeds=2)
    made = trials(config)
    numbers = [
        [network(0, 0.9, epochs=1, state=DROPPED), network(0, 0.9, 1, epochs=1, state=DROPPED)],
        [network(1, 0.5), network(1, 0.7, 1)],
        [network(2, 0.6, loss=0.5), network(2, 0.6, 1)],
        [network(3, 0.99), network(3, math.nan, 1, state=DIVERGED)],
        [network(4, 0.7), network(4, 0.2, 1)],
    ]
    order = ranked([standing(trial, mine) for trial, mine in zip(made, numbers, strict=True)])
    assert [one.trial.index for one in order] == [2, 1, 4, 0, 3]
    assert winner(config, order) is made[2]
    assert order[1].accuracy == pytest.approx(0.6)
    assert order[1].spread == pytest.approx(0.2 / math.sqrt(2))
    assert math.isnan(order[4].accuracy)


def test_curves_take_the_best_of_what_else_is_swept_and_keep_kinds_apart():
    config = SweepConfig(
        replace(BASE, racers=("adam", "nadam")), ("lr=0.001,0.01", "beta2=0.9,0.99"), seeds=1
    )
    made = trials(config)
    found = {one.trial: one for one in cells(made, [network(t.index, t.index / 10) for t in made])}
    across, drawn = curves(config, made, found)
    assert across.name == "lr"
    assert [curve.look.label for curve in drawn] == ["Adam", "NAdam"]
    assert [curve.points for curve in drawn] == [((0.001, 1), (0.01, 3)), ((0.001, 5), (0.01, 7))]
    assert chosen_sides(config) == ("lr", "beta2")
    assert chosen_sides(config, y="optimizer") == ("lr", "optimizer")
    assert chosen_sides(config, x="beta2", y="beta2") == ("beta2", "lr")
    assert [side.name for side in sides(config)] == ["optimizer", "lr", "beta2"]


def test_a_drawn_value_lies_between_the_values_of_its_side():
    (side,) = sides(SweepConfig(BASE, ("lr,1e-4,1,5",), method="random", trials=3))
    assert side.place(1e-3) == 1
    assert side.place(10**-2.5) == pytest.approx(1.5)
    (side,) = sides(SweepConfig(BASE, ("beta2,0.9,0.999,3",), method="random", trials=3))
    assert side.place(1 - 10**-1.5) == pytest.approx(0.5)


# Command line and files -------------------------------------------------------------------------------------


def test_the_command_sweeps_and_writes_its_files(easy_data, cluster, tmp_path, capsys):
    command = "sweep -o adam -o momentum --axis lr,1e-4,0.1,2 --data shapes10 --epochs 1 --batch-size 20"
    out = tmp_path / "found"
    words = [*command.split(), "--validation", "40", "--seeds", "2", "--scheduler", cluster]
    assert run([*words, "--device", "cpu", "--precision", "fp32", "--out", str(out)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "8 networks (4 trials × 2 seeds), 1 epochs each" in told
    assert "Its test accuracy, trained anew on all training pictures" in told
    assert sorted(path.name for path in out.iterdir()) == [
        *("config.json", "history.csv", "map.png", "sensitivity.png", "summary.json", "trials.csv"),
    ]
    rows = list(csv.DictReader((out / "trials.csv").read_text().splitlines()))
    assert len(rows) == 8
    assert {row["state"] for row in rows} == {"finished"}
    assert [row["lr"] for row in rows[:3]] == ["0.0001", "0.0001", "0.1"]
    summary = json.loads((out / "summary.json").read_text())
    best = max(rows, key=lambda row: float(row["validation_accuracy"]))
    assert summary["standings"][0]["racer"] == summary["best"]
    assert summary["standings"][0]["validation_accuracy"] <= float(best["validation_accuracy"])
    assert len(summary["test_accuracy"]) == 2
    again = SweepConfig.from_json((out / "config.json").read_text())
    assert networks(again) == 8
    assert (out / "map.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "told", "code"),
    [
        (
            "--figure4 -o adam",
            "--figure4 says what is tried: leave out -o, --axis, --method and --trials.",
            2,
        ),
        ("--axis lr", "The axis 'lr' is not understood", 2),
        (
            "--axis lr,1e-3,1,2 --scheduler tcp://127.0.0.1:9",
            "No Dask scheduler answers at tcp://127.0.0.1:9",
            1,
        ),
        ("--axis lr,1e-3,1,2 --workers 0", "workers is 0, but takes a whole number from 1.", 2),
    ],
)
def test_a_command_that_is_wrong_is_one_line(easy_data, monkeypatch, capsys, words, told, code):
    monkeypatch.setattr("optimizers.training.cluster.REACH", 0.2)
    assert run(["sweep", "--data", "shapes10", "--validation", "40", *words.split()]) == code
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_a_sweep_of_which_little_is_known_is_drawn_all_the_same(easy_data, cluster, tmp_path):
    def at_once(event):
        raise StopTraining

    for axes, method in ((("lr,1e-4,1,3",), "grid"), (("lr,1e-4,1,3", "beta1,0,0.9,2"), "random")):
        config = SweepConfig(BASE, axes, method=method, trials=4 if method == "random" else None)
        result = sweep(config, at_once, scheduler=cluster)
        assert result.stopped
        write_report(result, tmp_path / method)
        assert json.loads((tmp_path / method / "summary.json").read_text())["best"] is None


# The store --------------------------------------------------------------------------------------------------


@pytest.fixture
def sweeps(tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'runs.sqlite'}")
    yield SweepStore(store)
    store.close()


CONFIG = SweepConfig(replace(BASE, epochs=1), ("lr,1e-4,1,3",))


def test_the_store_gives_back_what_it_is_given(sweeps):
    sweep_id = sweeps.create(CONFIG, "Waiting.")
    lost = Network(1, 0, DIVERGED, 1, ((0, 2.3, 0.1), (1, math.nan, math.nan)), 1.5, 7)
    assert sweeps.write(sweep_id, [network(0, 0.4), lost], state="running", share=0.5) is False
    assert sweeps.write(sweep_id, [network(0, 0.6)]) is False  # in place of what it was
    first, second = sweeps.networks(sweep_id)
    assert first == network(0, 0.6)
    assert math.isnan(second.history[1][2])
    assert replace(second, history=()) == replace(lost, history=())
    found = sweeps.get(sweep_id)
    assert (found.state, found.share, found.active) == ("running", 0.5, True)
    assert SweepConfig.from_json(json.dumps(found.config)) == CONFIG
    assert [one.id for one in sweeps.active()] == [one.id for one in sweeps.recent()] == [sweep_id]
    sweeps.request_stop(sweep_id)
    assert sweeps.write(sweep_id) is True
    assert sweeps.get("nothing") is None


def test_a_sweep_that_ceases_to_beat_is_told_as_interrupted(sweeps, monkeypatch):
    sweep_id = sweeps.create(CONFIG)
    sweeps.write(sweep_id, state="running")
    assert sweeps.get(sweep_id).state == "running"
    now = time.monotonic() + 60
    # The store's clock alone: the timers of the cluster's threads would be set a minute late.
    monkeypatch.setattr(store, "time", SimpleNamespace(monotonic=lambda: now, time=time.time))
    monkeypatch.setattr(sweep_store, "time", store.time)
    found = sweeps.get(sweep_id)
    assert (found.state, found.message, found.active) == ("interrupted", LOST, False)
    assert sweeps.active() == []
    sweeps.write(sweep_id)  # it lives
    assert sweeps.get(sweep_id).state == "running"


def test_how_fast_is_told_by_the_middle_of_the_newest_like_it(sweeps):
    assert sweeps.pace(CONFIG) is None

    def trained(pace, device="cpu", **other):
        run_id = sweeps.store.create({"model": "keras_cnn", "data": "shapes10", "racers": ["adam"]} | other)
        sweeps.store.change(
            run_id, state="finished", samples_per_second=pace, device=device, precision="fp32"
        )

    trained(1e6, model="cnn_3c3d")
    trained(1e6, data="digits")  # smaller pictures
    trained(1e6, data="of another version")
    assert sweeps.pace(CONFIG) is None
    trained(1000.0)
    assert sweeps.pace(CONFIG) == (1000, 1000, 1000, 1)
    for pace in (900.0, 1200.0, 10.0):  # somebody else had the machine
        trained(pace)
    sweep_id = sweeps.create(CONFIG)
    sweeps.write(sweep_id, state="stopped", pictures_per_second=1100.0)
    assert sweeps.pace(CONFIG) == (900, 1000, 1100, 5)
    trained(50_000.0, device="cuda")
    on_a_gpu = replace(CONFIG, base=replace(BASE, device="cuda"))
    assert sweeps.pace(on_a_gpu) == (50_000, 50_000, 50_000, 1)
    for _ in range(9):
        trained(2000.0)
    assert sweeps.pace(CONFIG) == (2000, 2000, 2000, 9)


def test_a_sweep_is_conducted_into_the_store(easy_data, cluster, sweeps, monkeypatch):
    from distributed import Client

    with Client(cluster) as client:
        workers = Workers(client)
        sweep_id = sweeps.create(CONFIG)
        sweep_jobs._conducted[sweep_id] = sweeps
        sweep_jobs.conduct(workers, sweep_id, sweeps)
        found = sweeps.get(sweep_id)
        assert (found.state, found.share, found.message) == ("finished", 1.0, "")
        result = run_on(client, CONFIG)
        assert [replace(one, seconds=0.0) for one in sweeps.networks(sweep_id)] == [
            replace(one, seconds=0.0) for one in result.networks
        ]
        assert found.summary["best"] == summarise(result)["best"] is not None

        too_few = sweeps.create(replace(CONFIG, base=replace(BASE, validation=500)))
        sweep_jobs._conducted[too_few] = sweeps
        sweep_jobs.conduct(workers, too_few, sweeps)
        found = sweeps.get(too_few)
        assert found.state == "failed"
        assert "validation is 500" in found.message
        assert not sweep_jobs._conducted


def test_a_sweep_that_nobody_will_conduct_is_written_down_as_failed(sweeps, monkeypatch):
    def broken(order):
        raise OSError("Cannot allocate memory")

    monkeypatch.setattr("optimizers.training.cluster.order", broken)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        sweep_jobs.start(CONFIG, sweeps.store)
    assert [one.state for one in sweeps.recent()] == ["failed"]
