"""Compiled results are found again by the next process, and never when the rule has changed."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from optimizers import kernels

RULE = """
from optimizers.kernels import rule_kernel
import numpy as np

def mine(theta, g, t, m, lr, momentum):
    m = momentum * m + g
    return -{factor} * lr * m, (m,), (lr,)

kernel, hyper = rule_kernel(mine, 1, 1)
record, state = np.zeros((2, 5, 2)), np.zeros((1, 2))
record[0, 1] = 1.0, 2.0
kernel(0, record, state, np.array([0.5]), 0.1)
print(hyper, record[0, 2].tolist(), state.tolist())
"""


def _run(folder: Path, factor: str, program: str = RULE) -> str:
    script = folder / "mine.py"
    script.write_text(program.format(factor=factor))
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment, check=True
    )
    return done.stdout.strip()


def _compiled(folder: Path) -> dict[str, float]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*.nbc")}


def test_an_edited_rule_is_compiled_anew_and_an_unchanged_one_is_not(tmp_path: Path) -> None:
    assert _run(tmp_path, "1") == "['momentum'] [-0.1, -0.2] [[1.0, 2.0]]"
    first = _compiled(tmp_path)
    assert first
    assert _run(tmp_path, "1") == "['momentum'] [-0.1, -0.2] [[1.0, 2.0]]"
    assert _compiled(tmp_path) == first
    assert _run(tmp_path, "3") == "['momentum'] [-0.30000000000000004, -0.6000000000000001] [[1.0, 2.0]]"
    assert len(_compiled(tmp_path)) == 2 * len(first)


MAP = """
from optimizers import add_optimizer, basin_map, simulate

def mine(theta, g, t, m, lr, momentum):
    m = momentum * m + g
    return -{factor} * lr * m, (m,), ({factor} * lr,)

add_optimizer(mine, {{"lr": 0.01, "momentum": 0.5}})
found = basin_map("mine", "booth", size=3, steps=2)
walk = simulate("mine", "booth", start=(found.x[0], found.y[0]), steps=2)
assert found.final_loss[0, 0] == walk.loss[-1], (found.final_loss[0, 0], walk.loss[-1])
print(walk.loss[-1])
"""


def test_an_edited_rule_draws_another_map(tmp_path: Path) -> None:
    losses = [float(_run(tmp_path, factor, MAP)) for factor in ("1", "1", "2")]
    assert losses[0] == losses[1] > losses[2]


def test_nowhere_to_keep_compiled_results_is_no_hindrance() -> None:
    # Numba finds no folder for the package's own functions, and the cache folder can't be made.
    script = """
from numba.core import caching
classes, caching.CacheImpl._locator_classes = caching.CacheImpl._locator_classes, []
import optimizers.kernels
caching.CacheImpl._locator_classes = classes
from optimizers import simulate
print(simulate("adam(lr=0.1)", "rosenbrock", steps=3).outcome)
print(optimizers.kernels._folder())
"""
    environment = os.environ | {"XDG_CACHE_HOME": "/proc/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    outcome, folder = done.stdout.split()
    assert outcome == "MAX_STEPS"
    assert not Path(folder).exists()  # what was made up for it is gone again


def test_a_kernel_that_fails_to_load_is_tried_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def hill(x: float, y: float) -> tuple[float, float, float]:
        return -x * x, -2 * x, 0.0 * y

    monkeypatch.setattr(kernels, "_folder", lambda: tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        kernels.surface_kernel(hill)
    monkeypatch.setattr(kernels, "_folder", lambda: tmp_path)
    assert kernels.surface_kernel(hill) is not None


def test_import_is_light() -> None:
    heavy = "torch numba matplotlib sympy streamlit"
    script = f"import optimizers, sys; print(*sorted(set({heavy!r}.split()) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    assert importlib.util.find_spec("torch")  # or the line above would prove nothing
