"""The program of a run, run alone, takes the losses the lab took."""

import os
import re
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from optimizers.training import TrainConfig, train
from optimizers.training.data import DATASETS
from optimizers.training.models import MODELS
from optimizers.training.programs import program

# Four have twins in torch.optim; of the last two it has none.
RACERS = ("adam", "momentum(lr=0.05)", "nadam", "adamw", "lion", "adam(bias_correction=False)")
PLAIN = TrainConfig(
    RACERS,
    "digits",
    "image_mlp",
    epochs=2,
    batch_size=50,
    limit=400,
    device="cpu",
    precision="fp32",
    threads=1,
)
ALL = replace(
    PLAIN,
    racers=("adam", "lion"),
    schedule="warmup+cosine",
    clip_norm=1.0,
    clip_value=0.1,
    weight_decay=0.01,
    dropout=0.2,
    label_smoothing=0.1,
    augment="crop+zoom",
    seed=3,
    seeds=2,
    validation=300,
)
CNN = replace(PLAIN, racers=("adam",), model="resnet_small", epochs=1, batch_size=20, limit=100, dropout=0.3)


def losses_of(config: TrainConfig) -> dict[tuple[str, int], list[float]]:
    """Return what the lab measured, step by step."""
    result = train(config)
    found: dict[tuple[str, int], list[float]] = {}
    for point in result.points:
        found.setdefault((config.racers[point.racer], config.seed + point.seed), []).append(point.loss)
    assert {len(losses) for losses in found.values()} == {result.steps}  # a point a step
    return found


def run(text: str, folder: Path) -> dict[str, Any]:
    path = folder / "program.py"
    path.write_text(text, "utf-8")
    return runpy.run_path(str(path), run_name="__main__")


@pytest.mark.parametrize(("config", "tolerance"), [(PLAIN, 1e-4), (ALL, 1e-4), (CNN, 1e-3)])
def test_the_program_takes_the_losses_of_the_lab(
    config: TrainConfig, tolerance: float, tmp_path: Path
) -> None:
    left = run(program(config), tmp_path)
    theirs, ours = left["losses"], losses_of(config)
    assert len(left["test_labels"]) == (config.validation or 360)
    assert set(theirs) == set(ours)
    for name, losses in ours.items():
        np.testing.assert_allclose(theirs[name], losses, rtol=tolerance, err_msg=str(name))


DOCS = replace(
    PLAIN, racers=("adam", "lion"), data="docs8", model="text_cnn", epochs=1, batch_size=20, limit=60
)
SHAPES = replace(DOCS, data="shapes10", model="keras_cnn", dropout=0.2, augment="crop+flip+jitter+shear")
OWN = replace(SHAPES, model="adam_paper_cnn", dropout=None, schedule="cosine", augment="zoom", validation=10)


@pytest.mark.parametrize("config", [DOCS, SHAPES, OWN], ids=["docs8", "shapes10", "a folder, whitened"])
def test_the_program_takes_the_losses_of_the_lab_on_every_kind_of_data(
    config: TrainConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Texts, drawn pictures and pictures of one's own, with dropout and augmentation as the lab drew them."""
    if config is OWN:
        random = np.random.default_rng(0)
        for place in range(60):
            path = tmp_path / "mine" / "ab"[place % 2] / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
        config = replace(config, data=f"folder:{tmp_path / 'mine'}")
    monkeypatch.setattr(sys, "argv", ["program.py"])
    left = run(program(config), tmp_path)
    found = train(config)
    for place, racer in enumerate(config.racers):
        losses = [point.loss for point in found.points if point.racer == place]
        np.testing.assert_allclose(left["losses"][racer, 0], losses, rtol=1e-3, err_msg=racer)
        assert len(losses) == found.steps > 1
    told = re.findall(r"test accuracy ([\d.]+)%", capsys.readouterr().out)
    assert told == [f"{100 * racer.test_accuracy:.2f}" for racer in found.racers]


def test_in_bf16_the_program_stays_close_to_the_lab(tmp_path: Path) -> None:
    config = replace(PLAIN, precision="bf16", racers=("adam",))
    theirs = run(program(config), tmp_path)["losses"]["adam", 0]
    np.testing.assert_allclose(theirs, losses_of(config)["adam", 0], rtol=0.02)


def test_the_program_needs_nothing_of_ours(tmp_path: Path) -> None:
    text = program(replace(PLAIN, racers=("adam", "lion"), epochs=1))
    assert "torch.optim.Adam(parameters, " in text
    assert "torch.optim has no twin of this one" in text
    (tmp_path / "program.py").write_text(text)
    code = (
        "import runpy, sys; sys.modules['optimizers'] = None; "
        "runpy.run_path('program.py', run_name='__main__')"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "epoch 1: training loss" in ended.stdout


def test_every_data_set_and_every_network_has_a_program() -> None:
    written = set()
    for data in [*DATASETS, "folder:cats"]:
        for model in MODELS:
            try:
                config = TrainConfig(("adam",), data, model, schedule="cosine")
            except ValueError:  # pictures for texts
                continue
            compile(program(config), "program.py", "exec")
            written |= {data, model}
    assert written == {*DATASETS, "folder:cats", *MODELS}


def test_weights_of_another_run_are_in_no_program() -> None:
    with pytest.raises(ValueError, match="starts from the weights of another"):
        program(replace(PLAIN, start_from="1f2e3d4c"))
