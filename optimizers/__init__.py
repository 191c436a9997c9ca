"""See what an optimizer does: rules, surfaces, races.

>>> from optimizers import simulate
>>> simulate("adam(lr=0.1)", "rosenbrock", steps=1).update[0]  # the first step is −lr·sign(g)
array([-0.1, -0.1])
"""

from importlib import import_module
from typing import TYPE_CHECKING

from optimizers.catalog import OPTIMIZERS, Racer, equivalents
from optimizers.own import add_optimizer, add_surface

if TYPE_CHECKING:
    from optimizers.maps import BasinMap, SweepMap, basin_map, sweep_map
    from optimizers.surfaces import SURFACES, Surface
    from optimizers.trajectory import CONVERGED, DIVERGED, MAX_STEPS, Race, Trajectory, race, simulate

__all__ = [
    "CONVERGED",
    "DIVERGED",
    "MAX_STEPS",
    "OPTIMIZERS",
    "SURFACES",
    "BasinMap",
    "Race",
    "Racer",
    "Surface",
    "SweepMap",
    "Trajectory",
    "add_optimizer",
    "add_surface",
    "basin_map",
    "equivalents",
    "race",
    "simulate",
    "sweep_map",
]

# Loaded at first use: the network lab runs on machines without Numba.
_LAZY = {
    **dict.fromkeys(("SURFACES", "Surface"), "surfaces"),
    **dict.fromkeys(
        ("CONVERGED", "DIVERGED", "MAX_STEPS", "Race", "Trajectory", "race", "simulate"), "trajectory"
    ),
    **dict.fromkeys(("BasinMap", "SweepMap", "basin_map", "sweep_map"), "maps"),
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'optimizers' has no attribute {name!r}")
    return getattr(import_module(f"optimizers.{_LAZY[name]}"), name)
