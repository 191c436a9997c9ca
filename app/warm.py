"""Make the server quick before the first learner comes."""

import gc
from functools import cache
from threading import Lock

_once = Lock()


def warm() -> None:
    """Load the engine and its compiled kernels once, and hide what is loaded from the garbage collector.

    Streamlit collects garbage after each run of a page while it holds the interpreter, and the cost grows
    with what is imported; frozen objects are not looked at again.
    """
    with _once:
        _load()


def is_warm() -> bool:
    """Tell whether `warm` has nothing left to do."""
    return _load.cache_info().currsize > 0


def warm_all() -> None:
    """Warm up, then compile what the first page does not show, so that a choice does not wait."""
    from optimizers import OPTIMIZERS, SURFACES, simulate

    warm()
    for racer in OPTIMIZERS:
        simulate(racer, "rosenbrock", steps=1)
    for surface in SURFACES:
        simulate("adam", surface, steps=1)


@cache
def _load() -> None:
    from app.request import RaceRequest
    from optimizers.player import grid, payload

    race = RaceRequest().race()
    payload(race)
    grid(race.surface)
    gc.collect()
    gc.freeze()
