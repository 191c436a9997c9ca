"""How fast a basin map is drawn, against C and against torch.optim in the same run.

    python -m tests.benchmarks.maps [--json FILE]

Adam on Himmelblau, 512 × 512 starts, 500 steps each. The C (basin.c) says the same of every start, on all
cores; the torch.optim loop takes one start. Beside it: what another thread waits for while a map is drawn,
and what a learner waits for whose caches are empty.
"""

import argparse
import ctypes
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from optimizers.maps import _cores, basin_map, sweep_map
from optimizers.surfaces import Surface
from optimizers.trajectory import reach
from tests.benchmarks.machine import machine

RACER, SURFACE, SIZE, STEPS = "adam(lr=0.1)", "himmelblau", 512, 500
ROUNDS = 15
GCC = ("gcc", "-O3", "-march=native", "-fno-math-errno", "-fopenmp", "-shared", "-fPIC")

COLD = """
import json, time
began = time.perf_counter()
from optimizers import basin_map, simulate
told = {}
simulate("adam(lr=0.1)", "rosenbrock")
told["first simulate, imports included"] = time.perf_counter() - began
began = time.perf_counter()
simulate("radam", "beale")
told["simulate of another pair"] = time.perf_counter() - began
began = time.perf_counter()
def seen(_):
    told["first picture of a map"] = time.perf_counter() - began
basin_map("adam(lr=0.1)", "himmelblau", size=256, preview=seen)
told["whole map"] = time.perf_counter() - began
began = time.perf_counter()
basin_map("rmsprop(lr=0.1)", "himmelblau", size=256, preview=seen)
told["map of another pair"] = time.perf_counter() - began
print(json.dumps(told))
"""


def in_c(folder: Path) -> Callable[[], dict[str, np.ndarray]] | None:
    """Return the map in C, as a function that draws it; None where there is no compiler."""
    if shutil.which(GCC[0]) is None:
        return None
    source, library = Path(__file__).with_name("basin.c"), folder / "basin.so"
    subprocess.run([*GCC, str(source), "-o", str(library), "-lm"], check=True)
    basin = ctypes.CDLL(str(library)).basin
    surface = Surface.parse(SURFACE)
    x, y = (np.linspace(*bounds, SIZE) for bounds in surface.entry.bounds)
    xs, ys = (np.ascontiguousarray(part).ravel() for part in np.broadcast_arrays(x[None, :], y[:, None]))
    minima = np.array(surface.entry.minima)
    names = ("arrived", "which", "lost")
    arrays = {"loss": np.empty(SIZE * SIZE)} | {name: np.empty(SIZE * SIZE, np.int32) for name in names}

    def pointer(array: np.ndarray) -> ctypes.c_void_p:
        return array.ctypes.data_as(ctypes.c_void_p)

    def draw() -> dict[str, np.ndarray]:
        count, steps = ctypes.c_int64(SIZE * SIZE), ctypes.c_int64(STEPS)
        numbers = map(ctypes.c_double, (0.1, 0.9, 0.999, 1e-8))
        where = pointer(minima), ctypes.c_double(reach(surface))
        ends = map(pointer, arrays.values())
        # told how many, as torch in this process changes OpenMP's default
        basin(count, pointer(xs), pointer(ys), steps, *numbers, *where, *ends, ctypes.c_int(_cores()))
        return arrays

    return draw


def seconds(function: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def torch_steps_a_second() -> float:
    """Return how many steps the obvious loop takes in a second."""
    theta = torch.tensor([-0.5, -0.6], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([theta], lr=0.1)

    def walk() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad()
            x, y = theta
            ((x * x + y - 11) ** 2 + (x + y * y - 7) ** 2).backward()
            optimizer.step()

    walk()
    return STEPS / min(seconds(walk) for _ in range(5))


def longest_wait() -> float:
    """Return the longest gap of a 5 ms ticker beside about a second of maps, in seconds."""
    gaps, over = [], threading.Event()

    def tick() -> None:
        last = time.perf_counter()
        while not over.is_set():
            time.sleep(0.005)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    ticker = threading.Thread(target=tick)
    ticker.start()
    began = time.perf_counter()
    while time.perf_counter() - began < 1:
        basin_map(RACER, SURFACE, size=SIZE, steps=STEPS)
    over.set()
    ticker.join()
    return max(gaps)


def with_empty_caches() -> dict[str, float]:
    """Return what a new user waits for, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"XDG_CACHE_HOME": folder, "NUMBA_CACHE_DIR": f"{folder}/numba"}
        command = [sys.executable, "-c", COLD]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def import_seconds() -> float:
    """Return the median time of `import optimizers` in a new process."""
    script = "import time; t = time.perf_counter(); import optimizers; print(time.perf_counter() - t)"
    command = [sys.executable, "-c", script]
    return statistics.median(float(subprocess.check_output(command, text=True)) for _ in range(7))


def measure() -> dict[str, object]:
    """Run it all, and print what was found."""
    torch.set_num_threads(1)
    result: dict[str, object] = {}
    basin_map(RACER, SURFACE, size=SIZE, steps=STEPS)  # compiled
    with tempfile.TemporaryDirectory() as folder:
        rival = in_c(Path(folder))
        ours, theirs = [], []
        for _ in range(ROUNDS):  # in turn, so that what else the machine does hits both
            ours.append(seconds(lambda: basin_map(RACER, SURFACE, size=SIZE, steps=STEPS)))
            if rival is not None:
                theirs.append(seconds(rival))
        if rival is not None:
            found, same = basin_map(RACER, SURFACE, size=SIZE, steps=STEPS), rival()
            agreeing = float((found.which_minimum.ravel() == same["which"]).mean())
            result["starts for which C names the same minimum"] = agreeing
    median = statistics.median(ours)
    speed = SIZE * SIZE * STEPS / median
    result |= {"milliseconds": median * 1e3, "steps_a_second": speed}
    print(f"basin_map, {SIZE}² starts × {STEPS} steps: {median * 1e3:.0f} ms, {speed:.3g} steps/s")
    if theirs:
        ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
        fastest = min(ours) / min(theirs)
        result |= {"times_c": ratio, "times_c_fastest_of_each": fastest}
        print(f"  {ratio:.2f} × the time of C (fastest of each: {fastest:.2f})")
    else:
        print("  no gcc here, so no comparison with C")
    loop = torch_steps_a_second()
    result["times_torch_optim"] = speed / loop
    print(f"  {speed / loop:,.0f} × the steps per second of a torch.optim loop ({loop:,.0f})")
    small = min(seconds(lambda: basin_map(RACER, SURFACE, size=256, steps=STEPS)) for _ in range(10))
    result["maps_a_second_256"] = 1 / small
    print(f"  {1 / small:.0f} maps a second at 256² × {STEPS}")
    sweep = min(seconds(lambda: sweep_map("adam", "rosenbrock", steps=STEPS)) for _ in range(5))
    result["sweep_64_milliseconds"] = sweep * 1e3
    print(f"sweep_map, 64² cells × {STEPS} steps: {sweep * 1e3:.0f} ms")
    result["longest_gap_of_a_5_ms_ticker_ms"] = longest_wait() * 1e3
    print(f"longest gap of a 5 ms ticker beside it: {result['longest_gap_of_a_5_ms_ticker_ms']:.1f} ms")
    result["import_seconds"] = import_seconds()
    print(f"import optimizers: {result['import_seconds']:.2f} s")
    result["empty_caches_seconds"] = waits = with_empty_caches()
    for what, taken in waits.items():
        print(f"with empty caches, {what}: {taken:.2f} s")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    result = {"machine": machine("numba", "numpy", "torch"), **measure()}
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
