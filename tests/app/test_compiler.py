"""Kernels compiled in a process of their own: the same results, and little memory of the server's."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import psutil
import pytest

from app import compiler
from app.compiler import Compiler
from optimizers import kernels, simulate


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Compiler]:
    """A compiler in use, and no kernel on disk yet."""
    made = Compiler()
    monkeypatch.setattr(kernels, "_folder", lambda: tmp_path)
    monkeypatch.setattr(kernels, "elsewhere", made)
    yield made
    made._stop()


def formula(number: int) -> str:
    """A formula no other test has."""
    return f'formula("x**2 + {number}.0625*y**2 + sin({number}*x)*exp(-y*y)")'


def test_many_formulas_take_little_memory_of_the_server(elsewhere: Compiler) -> None:
    simulate("adam", formula(700), steps=3)  # whatever is loaded once
    before = psutil.Process().memory_info().rss
    for number in range(701, 709):
        walk = simulate("adam", formula(number), start=(1, 1), steps=3)
        assert walk.loss[0] == pytest.approx(1 + number + 0.0625 + 0.3679 * math.sin(number), abs=1e-3)
    grown = (psutil.Process().memory_info().rss - before) / 8 / 2**20
    assert grown < 1.5, f"{grown:.1f} MiB a formula"  # compiled here it is more than 4


def test_a_process_that_dies_costs_nothing_but_time(
    elsewhere: Compiler, caplog: pytest.LogCaptureFixture
) -> None:
    simulate("adam", formula(720), steps=3)
    process = elsewhere._process
    assert process is not None
    process.kill()
    process.wait()
    assert simulate("adam", formula(721), start=(0, 1), steps=3).loss[0] == pytest.approx(
        721.0625
    )  # compiled here
    assert "stopped" in caplog.text
    simulate("adam", formula(722), steps=3)  # a fresh one has taken its place
    assert elsewhere._process is not None
    assert elsewhere._process is not process


def test_a_process_is_replaced_before_it_grows(elsewhere: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "MOST", 1)
    simulate("adam", formula(730), steps=3)
    assert elsewhere._process is None


def test_without_such_processes_the_server_compiles_for_itself(
    elsewhere: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(compiler, "_started", none)
    for number in range(740, 744):
        assert simulate("adam", formula(number), start=(0, 1), steps=3).loss[0] == number + 0.0625
    assert elsewhere._failures == compiler.MOST_FAILURES


def test_what_cannot_be_compiled_is_said_by_whoever_loads_it(elsewhere: Compiler) -> None:
    with pytest.raises(ValueError, match=r"^broken can't be compiled: "):
        kernels.load("broken", "@njit(void(float64))\ndef kernel(x):\n    return x.nonsense()")


def test_a_kernel_is_loaded_while_another_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate("adam", formula(750), steps=3)
    monkeypatch.setattr(kernels, "_folder", lambda: tmp_path)
    begun, go = Event(), Event()

    def slow(name: str, path: Path) -> None:
        if "slow" in name:
            begun.set()
            assert go.wait(20)

    monkeypatch.setattr(kernels, "elsewhere", slow)
    thread = Thread(target=kernels.load, args=("slow", "kernel = 1"))
    thread.start()
    assert begun.wait(10)
    try:
        assert kernels.load("quick", "kernel = 2").kernel == 2  # and does not wait for the other
    finally:
        go.set()
        thread.join()


def test_a_server_that_stops_waits_for_no_kernel(
    elsewhere: Compiler, caplog: pytest.LogCaptureFixture
) -> None:
    simulate("adam", formula(760), steps=3)
    process = elsewhere._process
    assert process is not None
    elsewhere.close()
    process.wait(5)
    with pytest.raises(BrokenPipeError):
        simulate("adam", formula(761), steps=3)
    assert not caplog.text


def test_the_process_ends_with_whoever_started_it() -> None:
    script = "from app.compiler import _started; import os; print(_started().pid, flush=True); os._exit(1)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=False
    )
    child = int(done.stdout)
    deadline = time.monotonic() + 20
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
