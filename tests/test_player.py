"""What the player is given: packed numbers that unpack to the race, and pages that need nothing else."""

import json
import re

import numpy as np
import pytest

from optimizers import SURFACES, Racer, Surface, race
from optimizers.player import grid, payload, settings

RACERS = [
    "momentum(lr=0.0008)",
    "rmsprop(lr=0.02)",
    "adam(lr=0.1)",
    "adam(lr=0.1, bias_correction=False)",
    "gd(lr=0.5)",
]


def test_payload_unpacks_to_the_race() -> None:
    result = race(RACERS, "rosenbrock", steps=120, schedule="cosine")
    meta, tracks = payload(result)
    json.dumps(meta, allow_nan=False)
    numbers = np.frombuffer(tracks, "<f4")
    at = 0
    for racer, walk in zip(meta["racers"], result, strict=True):
        shape = (meta["steps"] + 1, len(racer["slots"]), 2)
        record = numbers[at : at + np.prod(shape)].reshape(shape)
        at += record.size
        loss = numbers[at : at + shape[0]]
        at += shape[0]
        np.testing.assert_array_equal(record[:, 0], walk.path.astype(np.float32))
        np.testing.assert_array_equal(
            record[:-1, racer["slots"].index("update")], walk.update.astype(np.float32)
        )
        np.testing.assert_array_equal(loss, walk.loss.astype(np.float32))
        assert {row["slot"] for row in racer["rows"]} <= set(racer["slots"])
        assert racer["direction"] in racer["slots"]
        assert racer["rows"][0]["slot"] == "g"
        assert racer["rows"][-1]["slot"] == "update"
        np.testing.assert_allclose(walk.lr, walk.racer.values["lr"] * numbers[at:][-120:], rtol=1e-6)
    assert meta["conditions"]["schedule"] == "cosine"
    assert at + meta["steps"] == numbers.size  # the schedule's factors end it


def test_the_same_steps_elsewhere_are_said_in_the_fields_own_signs() -> None:
    racer = Racer.parse("adam(eps_placement=hat)")
    (note,) = (row["note"] for row in settings(racer.optimizer.hyperparameters, racer.values) if row["note"])
    assert "outside √ with ε 3.16×10⁻⁷ (at step 1)" in note
    assert "inside √ with ε 10⁻¹³" in note


@pytest.mark.parametrize("name", SURFACES)
def test_grid_holds_the_surface_and_reaches_beyond_the_map(name: str) -> None:
    surface = Surface.parse(name)
    head, data = grid(surface)
    values = np.frombuffer(data, "<f4").reshape(head["ny"], head["nx"])
    x0, x1, y0, y1 = head["bounds"]
    assert values[0, 0] == np.float32(surface.value(x0, y0))
    assert values[-1, 0] == np.float32(surface.value(x0, y1))
    assert values[0, -1] == np.float32(surface.value(x1, y0))
    (left, right), (low, high) = surface.entry.bounds
    assert x0 < left < right < x1
    assert y0 < low < high < y1


def test_the_page_asks_the_network_for_nothing() -> None:
    page = race(RACERS, "himmelblau", steps=60).to_html()
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert not re.search(
        r"""(fetch\(|XMLHttpRequest|@import|url\((?!"data:)|https?://(?!www\.w3\.org))""", page
    )
    (addresses,) = re.findall(r'<script type="importmap">(.*?)</script>', page)
    modules = json.loads(addresses)["imports"]
    assert {"player.js", "stage.js", "relief-gl.js"} <= set(modules)
    assert "component.js" not in modules  # that is for the app
    assert race(RACERS, "saddle", steps=5)._repr_html_().startswith("<iframe")
