"""How fast the engine is, against plain torch.optim loops and hand-written C in the same run.

    adamscope bench [--json FILE]          or: python -m tests.benchmarks.engine [--json FILE]

Reports simulate() of 1,000 steps for each optimizer, its ratio to torch.optim doing the same 1,000 steps, the
first use of each rule and surface in a fresh process whose compiled kernels are on disk, and maps (`maps`).
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from optimizers import OPTIMIZERS, SURFACES, Racer, simulate
from tests.benchmarks import maps
from tests.benchmarks.machine import machine

STEPS = 1_000

FIRST_USE = """
import json, sys, time
import optimizers.trajectory
from optimizers import simulate
began = time.perf_counter()
simulate(sys.argv[1], sys.argv[2], steps=500)
print(time.perf_counter() - began)
"""


def median_seconds(function: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call, after one that is not counted."""
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def torch_loop(racer: Racer) -> Callable[[], object]:
    """Return the obvious way: Rosenbrock in torch, backward(), step()."""
    twin = racer.optimizer.twin
    assert twin is not None
    arguments = twin.arguments(racer.values)
    assert arguments is not None

    def walk() -> None:
        theta = torch.tensor([-1.35, 2.15], dtype=torch.float64, requires_grad=True)
        optimizer = getattr(torch.optim, twin.name)([theta], **arguments)
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = (1 - theta[0]) ** 2 + 100 * (theta[1] - theta[0] ** 2) ** 2
            loss.backward()
            optimizer.step()

    return walk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    result: dict = {"machine": machine("numba", "torch"), "simulate_1000_steps": {}, "first_use": {}}
    print(f"{'simulate, 1,000 steps':24}{'µs':>8}{'× torch.optim':>16}")
    for name, entry in OPTIMIZERS.items():
        racer = Racer.parse(name).change(lr=1e-4)
        ours = median_seconds(lambda racer=racer: simulate(str(racer), "rosenbrock", steps=STEPS), 300)
        row = {"microseconds": ours * 1e6}
        if entry.twin is not None:
            row["times_torch_optim"] = median_seconds(torch_loop(racer), 3) / ours
        result["simulate_1000_steps"][name] = row
        print(f"{name:24}{row['microseconds']:8.0f}{row.get('times_torch_optim', float('nan')):16.0f}")
    pairs = [(name, "rosenbrock") for name in OPTIMIZERS] + [("adam", name) for name in SURFACES]
    for racer, surface in pairs:
        simulate(racer, surface, steps=1)  # the kernels are on disk now
        command = [sys.executable, "-c", FIRST_USE, racer, surface]
        seconds = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        result["first_use"][f"{racer} on {surface}"] = seconds * 1e3
    slowest = max(result["first_use"], key=result["first_use"].get)
    print(f"first use in a fresh process, slowest: {result['first_use'][slowest]:.1f} ms ({slowest})")
    result["maps"] = maps.measure()
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
