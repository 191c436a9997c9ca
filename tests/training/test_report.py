import csv
import json
import struct
from dataclasses import asdict

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from tensorboardX.proto.event_pb2 import Event

from optimizers import OPTIMIZERS
from optimizers.training import Started, StopTraining, TrainConfig, train
from optimizers.training.report import KeptRun, draw_curves, write_metrics, write_report
from optimizers.training.store import Store

RACERS = ("adam", "adam(bias_correction=False)", "gd(lr=1000000)")


@pytest.fixture(scope="module")
def run(easy_data):
    return train(TrainConfig(racers=RACERS, epochs=4, batch_size=30, device="cpu", precision="fp32"))


def strict_json(path):
    """Read JSON as anyone can: without the NaN that Python writes and others refuse."""

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(path.read_text("utf-8"), parse_constant=refuse)


def test_config_repeats_the_run(run, tmp_path):
    write_report(run, tmp_path)
    config = TrainConfig.from_json((tmp_path / "config.json").read_text("utf-8"))
    assert (config.device, config.precision) == ("cpu", "fp32")
    assert config.threads is not None
    again = train(config)
    assert np.array_equal(again.racers[0].weights, run.racers[0].weights)


def test_summary(run, easy_data, tmp_path):
    write_report(run, tmp_path)
    summary = strict_json(tmp_path / "summary.json")
    adam, uncorrected, gd = summary["racers"]
    assert [racer["notation"] for racer in summary["racers"]] == list(RACERS)
    assert uncorrected["label"] == "Adam, uncorrected"
    assert adam["test_accuracy"] == run.racers[0].test_accuracy == run.evaluations[-2].accuracy
    assert adam["test_loss"] == run.racers[0].test_loss
    assert adam["samples_per_second"] == pytest.approx(480 / adam["seconds"])
    truth, answers = easy_data.test_labels, run.racers[0].predictions
    for number, name in enumerate(easy_data.classes):
        right = np.sum((truth == number) & (answers == number))
        precision, recall = right / max(1, np.sum(answers == number)), right / np.sum(truth == number)
        assert adam["precision"][name] == pytest.approx(precision)
        assert adam["recall"][name] == pytest.approx(recall)
        f1 = 2 * precision * recall / max(precision + recall, 1e-9)
        assert adam["f1"][name] == pytest.approx(f1)
    assert len({racer["initial_weights_sha256"] for racer in summary["racers"]}) == 1
    assert adam["batches_sha256"] == uncorrected["batches_sha256"]
    assert gd["diverged_at"] == run.racers[2].diverged_at
    assert gd["test_accuracy"] is gd["test_loss"] is gd["f1"] is None
    assert (summary["device"], summary["seed"], summary["precision"]) == ("cpu", 0, "fp32")
    assert {"python", "torch", "numpy", "adamscope"} <= set(summary["versions"])
    assert summary["data_note"] == easy_data.note


def test_metrics_hold_every_point(run, tmp_path):
    write_report(run, tmp_path)
    with (tmp_path / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(run.points) + len(run.evaluations)
    steps = [int(row["step"]) for row in rows]
    assert steps == sorted(steps)
    trained = [row for row in rows if row["split"] == "train" and row["racer"] == "adam"]
    assert [float(row["loss"]) for row in trained] == [p.loss for p in run.points if p.racer == 0]
    assert [float(row["epoch"]) for row in trained] == [(k + 1) / 4 for k in range(16)]
    tested = [row for row in rows if row["split"] == "test" and row["racer"] == "adam"]
    assert [float(row["accuracy"]) for row in tested] == [e.accuracy for e in run.evaluations if e.racer == 0]
    diverged = [row for row in rows if row["split"] == "train" and row["racer"] == RACERS[2]]
    assert diverged[-1]["loss"] == "nan"


def test_curves_wear_the_racers_colours(run, tmp_path):
    folder = tmp_path / "new" / "run"
    written = write_report(run, folder)
    assert sorted(written) == sorted(path.name for path in folder.iterdir())
    assert {"metrics.csv", "curves.svg", "events", "program.py"} < set(written)
    picture = matplotlib.image.imread(folder / "curves.png")[:, :, :3]
    assert picture.shape[:2] == (800, 1760)
    for name in ("adam", "gd"):
        near = np.abs(picture - to_rgb(OPTIMIZERS[name].light)).max(axis=2) < 0.02
        assert near.sum() > 300


def test_a_run_stopped_at_once_has_a_report(easy_data, tmp_path):
    def stop(event):
        assert isinstance(event, Started)
        raise StopTraining

    write_report(train(TrainConfig(racers=("adam",)), stop), tmp_path)
    summary = strict_json(tmp_path / "summary.json")
    assert summary["stopped"] is True
    assert summary["racers"][0]["test_accuracy"] is summary["racers"][0]["samples_per_second"] is None


def test_tensorboard_reads_every_point(run, tmp_path):
    write_report(run, tmp_path)
    folders = sorted(path.name for path in (tmp_path / "events").iterdir())
    assert folders == ["Adam", "Adam, uncorrected", "gradient descent"]
    (file,) = (tmp_path / "events" / "Adam").iterdir()
    found = {}
    content = memoryview(file.read_bytes())
    while content:  # a record: its length, a checksum, an event, a checksum
        (length,) = struct.unpack_from("<Q", content)
        event = Event.FromString(bytes(content[12 : 12 + length]))
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
        content = content[16 + length :]
    for tag, events in (("train", run.points), ("test", run.evaluations)):
        mine = [event for event in events if event.racer == 0]
        for name in ("loss", "accuracy"):
            told = [(event.step, np.float32(getattr(event, name))) for event in mine]
            assert found[f"{name}/{tag}"] == told


def test_a_run_of_the_store_has_the_same_files(run, tmp_path):
    store = Store(f"sqlite:///{tmp_path / 'runs.sqlite'}")
    run_id = store.create(json.loads(run.config.to_json()))
    points, evaluations = ([asdict(event) for event in events] for events in (run.points, run.evaluations))
    store.write(run_id, points, evaluations, steps_per_epoch=run.steps_per_epoch, state="finished")
    kept = KeptRun.read(store, run_id)
    for name, source in (("ours.csv", run), ("theirs.csv", kept)):
        write_metrics(source, tmp_path / name)
    assert (tmp_path / "ours.csv").read_bytes() == (tmp_path / "theirs.csv").read_bytes()
    assert kept.config == run.config
    with pytest.raises(ValueError, match="nothing yet"):
        KeptRun.read(store, store.create({"racers": ["adam"]}))
    with pytest.raises(ValueError, match="There is no run"):
        KeptRun.read(store, "00000000")
    store.close()


def test_several_seeds_are_a_mean_within_a_band(easy_data):
    config = TrainConfig(("adam",), model="image_mlp", epochs=2, batch_size=60, device="cpu", seeds=3)
    result = train(config)
    _, accuracies = draw_curves(result).axes
    (line,) = accuracies.lines
    by_seed = [[100 * e.accuracy for e in result.evaluations if e.seed == seed] for seed in range(3)]
    np.testing.assert_allclose(line.get_ydata(), np.mean(by_seed, axis=0))
    (band,) = accuracies.collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(np.max(by_seed))
    assert heights.min() == pytest.approx(np.min(by_seed))
