"""What a worker of ours loads before its first task; importing this module loads it.

On Linux the process that workers are forked from imports it, elsewhere each worker: as a preload of Dask.
"""

import os
import sys
from typing import Any

# For the tasks that import them. torch computes nothing yet: its own threads would not outlive a fork.
from optimizers.training import jobs, landscape, race  # noqa: F401
from optimizers.training.data import available, load

LOWER = 5  # by how much sweeps and landscapes are nicer than runs: a third of their share of a CPU


def dask_setup(worker: Any) -> None:
    """Make a worker ready. Dask calls this when it starts one, or another in place of a killed one."""
    worker.executors["default"].submit(_begin, "run" in worker.state.total_resources)


def _begin(first: bool) -> None:
    """Set the priority of the thread that carries out tasks, then do what a first task would wait for."""
    if not first and sys.platform == "linux":
        os.nice(LOWER)  # there a thread, with those that it starts, has a priority of its own
    import torch
    from torch.nn.functional import conv2d

    device = "cuda" if torch.cuda.is_available() else "cpu"
    weight = torch.ones(8, 3, 3, 3, device=device, requires_grad=True)
    conv2d(torch.ones(4, 3, 8, 8, device=device), weight).sum().backward()
    if first and not available("cifar10"):
        load("shapes10")
    if first and device == "cpu":
        import optimizers.training.pools  # noqa: F401 - a run's, compiled where this is the first one ever
