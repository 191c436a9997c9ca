"""Compiled results are found again by the next process, and never when the rule has changed."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

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


def _run(folder: Path, factor: str) -> str:
    script = folder / "mine.py"
    script.write_text(RULE.format(factor=factor))
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


def test_import_is_light() -> None:
    heavy = "torch numba matplotlib sympy streamlit"
    script = f"import optimizers, sys; print(*sorted(set({heavy!r}.split()) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    assert importlib.util.find_spec("torch")  # or the line above would prove nothing
