"""A landscape is asked for, measured by the worker, stopped, kept, and honest where its process is gone."""

import json
import os
import time

import pytest

from optimizers.training import TrainConfig, cluster, jobs, landscape_jobs, train
from optimizers.training.landscape import Order, open_landscape

QUICK = Order(size=5, pictures=20, device="cpu", precision="fp32")


@pytest.fixture
def run_id(easy_data, tmp_path, monkeypatch):
    """A run with snapshots in a home of its own; orders are kept in place of being sent."""
    monkeypatch.setenv("ADAMSCOPE_HOME", str(tmp_path))
    config = TrainConfig(("adam", "rmsprop(lr=0.001)"), epochs=1, batch_size=30, snapshots=4, device="cpu")
    train(config, folder=jobs.run_folder("1f2e3d4c"))
    return "1f2e3d4c"


@pytest.fixture
def orders(monkeypatch):
    sent = []
    monkeypatch.setattr(cluster, "order", sent.append)
    return sent


def test_what_is_ordered_is_measured_and_kept(run_id, orders):
    assert landscape_jobs.status(run_id) is None
    landscape_jobs.start(run_id, QUICK)
    waiting = landscape_jobs.status(run_id)
    assert (waiting["state"], waiting["done"]) == ("queued", 0)
    (sent,) = orders
    assert json.loads(json.dumps(sent)) == sent  # it travels as a line of JSON
    landscape_jobs.measure_run(**sent["landscape"])
    told = landscape_jobs.status(run_id)
    assert (told["state"], told["message"], told["left"]) == ("done", "", None)
    assert told["done"] == told["of"] == 25 + 2 * 4
    found = open_landscape(landscape_jobs.file_of(run_id, "pca"))
    assert found.loss.shape == (5, 5)
    assert Order(**told["order"]) == QUICK


def test_a_stop_is_heard_while_it_waits_and_while_it_is_measured(run_id, orders, monkeypatch):
    landscape_jobs.start(run_id, QUICK)
    landscape_jobs.stop(run_id)
    assert landscape_jobs.status(run_id)["state"] == "stopped"
    landscape_jobs.measure_run(**orders[0]["landscape"])  # the worker comes to it later, and lets it be
    assert landscape_jobs.status(run_id)["state"] == "stopped"

    landscape_jobs.start(run_id, QUICK)
    monkeypatch.setattr(landscape_jobs, "FLUSH", 0.0)
    change = landscape_jobs._change

    def stop_at_three(folder, order_id, **values):
        if values.get("done") == 3:
            landscape_jobs.stop(run_id)
        return change(folder, order_id, **values)

    monkeypatch.setattr(landscape_jobs, "_change", stop_at_three)
    landscape_jobs.measure_run(**orders[1]["landscape"])
    told = landscape_jobs.status(run_id)
    assert (told["state"], told["done"]) == ("stopped", 3)
    assert not landscape_jobs.file_of(run_id, "pca").exists()


def test_a_newer_order_takes_the_place_of_an_older_one(run_id, orders):
    landscape_jobs.start(run_id, Order(size=51, pictures=120, device="cpu", precision="fp32"))
    landscape_jobs.start(run_id, QUICK)
    landscape_jobs.measure_run(**orders[0]["landscape"])
    assert landscape_jobs.status(run_id)["state"] == "queued"  # the newer one's
    landscape_jobs.measure_run(**orders[1]["landscape"])
    assert landscape_jobs.status(run_id)["state"] == "done"


def test_a_process_that_is_gone_is_told_by_its_silence(run_id, orders):
    landscape_jobs.start(run_id, QUICK)
    order_id = landscape_jobs.status(run_id)["id"]
    file = jobs.run_folder(run_id) / landscape_jobs.STATUS
    late = time.time() - landscape_jobs.STALE / 2
    os.utime(file, (late, late))
    landscape_jobs.beat(run_id, order_id)
    assert time.time() - file.stat().st_mtime < 5
    late = time.time() - landscape_jobs.STALE - 1
    os.utime(file, (late, late))
    told = landscape_jobs.status(run_id)
    assert (told["state"], told["message"]) == ("failed", landscape_jobs.LOST)
    landscape_jobs.beat(run_id, order_id)  # the dead wake nobody
    assert landscape_jobs.status(run_id)["state"] == "failed"


def test_what_goes_wrong_is_one_sentence(run_id, orders, tmp_path):
    landscape_jobs.start(run_id, Order("line", racers=(0, 7), size=5, device="cpu"))
    landscape_jobs.measure_run(**orders[0]["landscape"])
    told = landscape_jobs.status(run_id)
    assert told["state"] == "failed"
    assert told["message"].startswith("racers is [0, 7], but takes")
    landscape_jobs.start("0a0b0c0d", QUICK)  # it kept no snapshots
    landscape_jobs.measure_run(**orders[1]["landscape"])
    assert landscape_jobs.status("0a0b0c0d")["message"].startswith("There are no snapshots in")


def test_an_order_that_cannot_be_sent_has_failed(run_id, monkeypatch):
    def refuse(order):
        raise OSError("no process")

    monkeypatch.setattr(cluster, "order", refuse)
    with pytest.raises(OSError, match="no process"):
        landscape_jobs.start(run_id, QUICK)
    assert landscape_jobs.status(run_id)["state"] == "failed"


def test_an_order_that_nobody_will_carry_out_has_failed_with_the_reason(run_id, orders):
    landscape_jobs.start(run_id, QUICK)
    landscape_jobs.fail(**orders[0]["landscape"], message="No scheduler answers.")
    told = landscape_jobs.status(run_id)
    assert (told["state"], told["message"]) == ("failed", "No scheduler answers.")
    landscape_jobs.fail("0a0b0c0d", "1f2e", "of a run that is gone")
    assert landscape_jobs.status("0a0b0c0d") is None
