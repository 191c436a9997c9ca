"""Maps say of every cell what `simulate` says, to the last bit, however many threads share the work."""

import itertools
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from optimizers import Racer, lanes, maps, own, simulate
from optimizers.catalog import OPTIMIZERS
from optimizers.elementwise import maximum, sign, where
from optimizers.kernels import load
from optimizers.lanes import Kind, lanes_kernel
from optimizers.maps import LOST, NOWHERE, BasinMap, SweepMap, basin_map, sweep_map
from optimizers.surfaces import SURFACES
from tests.racers import VARIANTS

QUOTIENTS = """
@njit("int64(float64[::1], float64[::1])", error_model="numpy")
def wrong(a, k):
    count = 0
    for i in range(a.size):
        count += _quotient(a[i], k[i], 1.0 / k[i]) != a[i] / k[i]
    return count"""


def assert_says_the_same(cell: tuple[int, float, int], walk) -> None:
    """Compare (steps to converge, final loss, diverged or −1) with a walk."""
    steps, loss, diverged = cell
    assert steps == (-1 if walk.arrived is None else walk.arrived)
    assert (diverged if diverged >= 0 else None) == walk.diverged
    np.testing.assert_array_equal(loss, walk.loss[-1])


def assert_is_what_simulate_says(found: BasinMap, cells=None) -> None:
    if cells is None:
        cells = np.random.default_rng(0).integers(len(found.y), size=(60, 2))
    minima = np.array(found.surface.entry.minima).reshape(-1, 2)
    for row, column in cells:
        start = found.x[column], found.y[row]
        walk = simulate(found.racer, found.surface, start, found.steps, **vars(found.conditions))
        which = found.which_minimum[row, column]
        diverged = -1 if walk.diverged is None else walk.diverged
        assert (which == LOST) == (diverged >= 0)
        assert_says_the_same(
            (found.steps_to_converge[row, column], found.final_loss[row, column], diverged), walk
        )
        if walk.arrived is not None:
            assert which == np.hypot(*(minima - walk.path[-1]).T).argmin()
        elif diverged < 0:
            assert which == NOWHERE


def every_variant_once() -> list[Racer]:
    """Every optimizer, and of each the variant whose code path is the longest."""
    longest = {racer.name: racer for racer in VARIANTS}  # the last of each has every choice made
    return [Racer.parse(name) for name in OPTIMIZERS] + list(longest.values())


@pytest.mark.parametrize("racer", every_variant_once(), ids=str)
def test_every_rule_to_the_last_bit(racer: Racer) -> None:
    lr = 0.1 if racer.values["lr"] < 0.1 else racer.values["lr"]
    found = basin_map(racer.change(lr=lr), "himmelblau", size=65, steps=70)
    assert_is_what_simulate_says(found)


@pytest.mark.parametrize("surface", SURFACES)
def test_every_surface_to_the_last_bit(surface: str) -> None:
    assert_is_what_simulate_says(basin_map("adam(lr=0.05)", surface, size=33, steps=150))


@pytest.mark.parametrize(
    ("racer", "surface", "conditions"),
    [
        ("adam(lr=0.1)", "beale", {"schedule": lambda k: 1 / (1 + 0.1 * k)}),
        ("adam(lr=0.1)", "himmelblau", {"noise": 3.0, "seed": 5}),
        ("gd(lr=0.05)", "himmelblau", {"clip_norm": 2.0}),
        ("gd(lr=0.05)", "himmelblau", {"clip_value": 2.0, "clip_norm": 2.5, "noise": 1.0}),
        ("gd(lr=0.1)", "logistic", {"batch_size": 4}),
        ("amsgrad(lr=0.1, beta2=0.99)", "counterexample", {}),
        ("gd(lr=0.021)", "quadratic(condition=100)", {}),  # loses every start
    ],
)
def test_every_condition_to_the_last_bit(racer: str, surface: str, conditions: dict) -> None:
    assert_is_what_simulate_says(basin_map(racer, surface, size=33, steps=120, **conditions))


@pytest.mark.parametrize(
    ("racer", "size", "steps", "others"),
    [
        # At rest m fades by 0.9 a step: after 6,500 it is 10⁻²⁹⁷, too small for its quotient's remainder.
        ("adam(lr=0.1, beta2=0.9, eps=0)", 5, 6_600, "_side_by_side"),
        # On an axis of the bowl one coordinate's m is 0, which hides whether another number is too small.
        ("adam(lr=0.1)", 101, 30, "_one_by_one"),
    ],
)
def test_to_the_last_bit_where_the_quick_division_is_in_doubt(
    racer: str, size: int, steps: int, others: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken_again = []
    walk_again = getattr(maps, others)

    def spy(*arguments):
        taken_again.append(arguments[2].shape[1])
        return walk_again(*arguments)

    monkeypatch.setattr(maps, others, spy)
    found = basin_map(racer, "quadratic(condition=1)", size=size, steps=steps)
    assert taken_again[others == "_side_by_side"] > 0
    rows = range(size) if size < 10 else (0, size // 2, size - 1)
    assert_is_what_simulate_says(found, itertools.product(rows, range(size)))


def test_the_quick_division_rounds_as_the_division_does() -> None:
    """In one process's arithmetic: 10⁷ quotients by 1 − βᵗ, near and far from powers of two."""
    module = load("quotients", lanes._QUOTIENT, QUOTIENTS)
    random = np.random.default_rng(0)
    t, beta = (
        random.integers(1, 5_000, 10_000_000),
        random.choice([0.5, 0.9, 0.99, 0.999, 0.9999], 10_000_000),
    )
    k = 1 - beta**t
    a = random.normal(size=k.size) * 10.0 ** random.uniform(-280, 280, k.size)
    a[::3] = 1 + random.integers(0, 1 << 20, a[::3].size) * 2.0**-52
    assert module.wrong(a, k) == 0


def test_a_rule_with_branches_stays_whole() -> None:
    def halting(theta, g, t, m, lr, patience):
        if t > patience:
            return 0.0 * g, (m,), (lr,)
        return -lr * g, (m + g,), (lr,)

    def bowl(x, y):
        return x * x + y * y, 2 * x, 2 * y

    kernel, names = lanes_kernel(halting, bowl, Kind(1, 1, *[False] * 5))
    assert names == ["patience"]
    starts, loss, ends = np.ones((2, 64)), np.empty(64), np.empty((4, 64), np.int32)
    none = np.empty((0, 2)), np.empty((0, 0), np.int64), 0, 0, np.inf, np.inf
    box = np.array([-np.inf, np.inf] * 2)
    lr, one = np.full(10, 0.25), np.array([3.0])
    kernel(
        0, 1, starts, lr, one, np.zeros(1), np.empty(0), np.zeros((1, 2)), 0.3, *none, box, 1e9, loss, ends
    )
    assert (loss == 2 * 0.5**6).all()  # three halvings of each coordinate
    assert (ends[:3, 0] == [3, 0, -1]).all()


# Each takes (theta, g, t, m, lr, beta, beta_1) and has something in it that can't be worked out once for all
# walks, or not under the name it has.
CURIOUS = {
    "returned": "step = -lr * g, (m + g,), (lr,)\nreturn step",
    "shown": "shown = (lr,)\nreturn -lr * g, (m + g,), shown",
    "whole": "n = 3\nm = beta * m + (0.1 * g) ** n\nreturn -lr * m, (m,), (lr,)",
    "whole sum": "m = beta * m + (0.1 * g) ** (1 + 2)\nreturn -lr * m, (m,), (lr,)",
    "truth": "m = beta * m + where((t > 5) & (g > 0), g, 0.5 * g)\nreturn -lr * m, (m,), (lr,)",
    "keyword": "m = maximum(a=beta * m, b=lr) + g\nreturn -lr * m, (m,), (lr,)",
    "shadow": "min = beta * m\nm = min / beta + g\nreturn -lr * m, (m,), (lr,)",
    "namesake": "beta = 1 - beta_1**t\nm = beta_1 * m + beta * g\nreturn -lr * m, (m,), (lr,)",
    "swapped": "a, b = lr, beta\na, b = b, a\nm = c = a * m + g\nreturn -b * c, (m,), (b,)",
}


@pytest.fixture
def curious(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what adds the rule `curious`, with this body, to the catalogue of one test."""

    def add(body: str) -> None:
        text = "def curious(theta, g, t, m, lr, beta, beta_1):\n" + textwrap.indent(body, "    ")
        space: dict = {"where": where, "maximum": maximum, "sign": sign}
        exec(text, space)
        space["curious"].source = text
        monkeypatch.setitem(OPTIMIZERS, "curious", OPTIMIZERS["momentum"])
        monkeypatch.setattr(own, "_OWN", {"curious"})
        monkeypatch.setattr(own, "_direction", lambda entry: "m")
        own.add_optimizer(space["curious"], {"lr": 0.01, "beta": 0.9, "beta_1": 0.8})

    return add


@pytest.mark.parametrize("body", CURIOUS.values(), ids=CURIOUS)
def test_however_a_rule_is_written(body: str, curious: Callable[[str], None]) -> None:
    curious(body)
    assert_is_what_simulate_says(basin_map("curious", "himmelblau", size=9, steps=40))


def test_no_answer_hides_a_quotient_that_overflows(curious: Callable[[str], None]) -> None:
    """The sign of inf is 1, but the quick division makes NaN of inf, whose sign is 0."""
    curious("m = beta * m + g\nreturn -lr * sign(m / (1 - beta**t)), (m,), (lr,)")
    assert_is_what_simulate_says(basin_map("curious", "booth", size=5, steps=40, noise=1e308))


def test_another_process_draws_the_same() -> None:
    script = """
import hashlib
from optimizers import basin_map, sweep_map
found = basin_map("nadam(lr=0.3)", "himmelblau", size=80, steps=400, noise=1.0, threads={threads})
swept = sweep_map("adam", "beale", steps=200, noise=1.0, threads={threads})
parts = found.which_minimum, found.steps_to_converge, found.final_loss, swept.final_loss
print(hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest())
"""
    hashes = {
        subprocess.check_output([sys.executable, "-c", script.format(threads=threads)], text=True)
        for threads in (1, 3)
    }
    assert len(hashes) == 1


def test_the_threads_do_not_matter() -> None:
    maps = [basin_map("rmsprop(lr=0.2)", "himmelblau", size=200, steps=900, threads=n) for n in (1, 2, 7)]
    for other in maps[1:]:
        for name in ("which_minimum", "steps_to_converge", "final_loss"):
            np.testing.assert_array_equal(getattr(other, name), getattr(maps[0], name))


def assert_sweep_is_what_simulate_says(found: SweepMap) -> None:
    for row, column in itertools.product(range(len(found.y.values)), range(len(found.x.values))):
        walk = simulate(*found.cell(row, column), found.start, found.steps, **vars(found.conditions))
        assert_says_the_same(
            (
                found.steps_to_converge[row, column],
                found.final_loss[row, column],
                found.diverged[row, column],
            ),
            walk,
        )


@pytest.mark.parametrize(
    ("racer", "x", "y", "surface", "conditions"),
    [
        ("adam", ("lr", 1e-3, 1, 5), ("beta2", 0.9, 0.9999, 4), "rosenbrock", {}),
        ("adam", ("beta1", [0.0, 0.5, 0.9]), ("lr", 1e-3, 1, 5), "beale", {"noise": 0.5}),
        ("adam(lr=0.1)", ("bias_correction",), ("eps_placement", ["outside", "hat"]), "beale", {}),
        ("gd", ("lr", 0.01, 0.2, 6, "linear"), ("condition", 1, 100, 3), "quadratic", {"clip_norm": 5.0}),
        ("momentum(lr=0.01)", ("angle", -90, 90, 3), ("momentum", 0.5, 0.99, 3), "quadratic", {}),
        ("adagrad(lr=0.5)", ("initial_accumulator_value", [0.0, 0.1]), ("eps", 1e-10, 1e-2, 3), "booth", {}),
        ("gd", ("lr", 0.01, 1, 3), ("weight_decay", [0.0, 0.1]), "logistic", {"batch_size": 5, "seed": 2}),
    ],
)
def test_every_cell_of_a_sweep(racer: str, x: tuple, y: tuple, surface: str, conditions: dict) -> None:
    found = sweep_map(racer, surface, x, y, steps=60, **conditions)
    assert found.final_loss.shape == (len(found.y.values), len(found.x.values))
    assert_sweep_is_what_simulate_says(found)


def test_a_sweep_is_spaced_as_its_hyperparameter_has_it() -> None:
    found = sweep_map("adam", "rosenbrock", ("lr", 1e-4, 1, 5), ("beta2", 0.9, 0.9999, 4), steps=5)
    assert found.x.values == pytest.approx((1e-4, 1e-3, 1e-2, 1e-1, 1.0), rel=1e-12)
    assert found.y.values == pytest.approx((0.9, 0.99, 0.999, 0.9999), rel=1e-12)
    assert (found.x.values[-1], found.y.values[0], found.y.values[-1]) == (1.0, 0.9, 0.9999)
    assert (found.x.scale, found.y.scale) == ("log", "one_minus_log")


def test_the_values_of_a_sweep_may_be_an_array() -> None:
    found = sweep_map("adam", "booth", x=("lr", np.linspace(0.1, 0.4, 4)), y=("beta1", [0.9]), steps=5)
    assert found.x.values == tuple(np.linspace(0.1, 0.4, 4))


def test_a_formula_has_nothing_to_sweep() -> None:
    """Its one hyperparameter is the window, in which every walk is the same."""
    with pytest.raises(ValueError, match="adam on formula has no hyperparameter 'reach'"):
        sweep_map("adam", 'formula("x**2 + y**2")', y=("reach", 1, 5, 3))


def test_a_long_sweep_fits_into_memory() -> None:
    """Its lr alone, for every step of every value, would be a gigabyte."""

    def stop(done: int, total: int) -> None:
        raise InterruptedError

    tracemalloc.start()
    try:
        with pytest.raises(InterruptedError):
            sweep_map("adam", "booth", steps=1_000_000, schedule="cosine", progress=stop)
        assert tracemalloc.get_traced_memory()[1] < 600e6
    finally:
        tracemalloc.stop()


def test_a_sweep_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(
        ValueError, match="x and y make 16,777,216 cells, but a sweep takes at most 1,000,000"
    ):
        sweep_map("adam", "beale", ("lr", 1e-4, 1, 4096), ("beta2", 0.9, 0.999, 4096))


def test_the_best_cell() -> None:
    found = sweep_map("gd", "quadratic(condition=1)", ("lr", [0.5, 1.0, 3.0]), ("angle", [0.0]), steps=400)
    assert found.best == (0, 1)  # lr = 1 arrives at once
    assert found.final_loss[0, 0] > found.final_loss[0, 1] == 0
    lost = sweep_map("gd", "quadratic(condition=1)", ("lr", [3.0]), ("angle", [0.0]), steps=400)
    assert lost.best is None


def test_of_equally_good_cells_the_soonest_there_is_best() -> None:
    found = sweep_map("gd", "quadratic(condition=1)", ("lr", [0.9, 1.0]), ("angle", [0.0]), steps=2_000)
    assert found.final_loss.tolist() == [[0.0, 0.0]]
    assert found.best == (0, 1)


def test_a_notebook_shows_a_map() -> None:
    swept = sweep_map("gd", "booth", ("lr", 0.01, 1, 3), ("weight_decay", [0.0, 0.1]), steps=5)
    for found in (basin_map("gd(lr=0.1)", "booth", size=8, steps=5), swept):
        assert found._repr_png_().startswith(b"\x89PNG")


def test_progress_counts_up_and_may_stop_the_map() -> None:
    told: list[tuple[int, int]] = []
    basin_map("adam(lr=0.1)", "himmelblau", size=256, steps=500, progress=lambda *told_: told.append(told_))
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))
    assert len(told) > 3

    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise EnoughError

    began = time.perf_counter()
    with pytest.raises(EnoughError):
        basin_map("adam(lr=0.1)", "himmelblau", size=2048, steps=5_000, progress=stop)
    assert time.perf_counter() - began < 5  # all of it takes 20 s and more


def test_other_threads_go_on_meanwhile() -> None:
    """A map lets go of the interpreter; what one waits for it is in the benchmark."""
    ticks, over = 0, threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not over.is_set():
            time.sleep(0.005)
            ticks += 1

    basin_map("adam(lr=0.1)", "himmelblau", size=2)  # compiled
    ticker = threading.Thread(target=tick)
    ticker.start()
    began = time.perf_counter()
    basin_map("adam(lr=0.1)", "himmelblau", size=512, steps=2_000, threads=1)
    seconds = time.perf_counter() - began
    over.set()
    ticker.join()
    assert ticks > 20 * seconds  # of 200 a second


def test_a_preview_comes_before_what_has_to_be_compiled(monkeypatch, tmp_path) -> None:
    from optimizers import kernels

    seen: list[BasinMap] = []
    wanted = ("lion(lr=0.1)", "beale")
    with monkeypatch.context() as patch:
        patch.setattr(kernels, "_folder", lambda: tmp_path)
        patch.setattr(lanes, "lanes_kernel", lanes.lanes_kernel.__wrapped__)
        found = basin_map(*wanted, size=70, steps=60, preview=seen.append, clip_value=123.0)
        [coarse] = seen
        assert coarse.final_loss.shape == (48, 48)
        assert_is_what_simulate_says(coarse)
        assert_is_what_simulate_says(found)
        basin_map(*wanted, size=70, steps=60, preview=seen.append, clip_value=123.0)
        assert len(seen) == 1


def test_a_map_of_a_part_of_the_plane_has_its_ends() -> None:
    found = basin_map("adam(lr=0.1)", "himmelblau", size=40, steps=60, bounds=((-9, 2.5), (1, 1.25)))
    assert (found.x[0], found.x[-1], found.y[0], found.y[-1]) == (-9, 2.5, 1, 1.25)
    assert_is_what_simulate_says(found)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"racer": "adamm"}, "Did you mean adam?"),
        ({"surface": "hill"}, "There is no surface 'hill'."),
        ({"size": 1}, "size is 1, but takes a whole number from 2 to 4,096."),
        ({"steps": 0}, "steps is 0"),
        ({"threads": 0}, "threads is 0, but takes a whole number from 1 to 1,024."),
        ({"noise": -1}, "noise is -1"),
        (
            {"bounds": ((1, 0), (0, 1))},
            "bounds is ((1, 0), (0, 1)), but takes ((x0, x1), (y0, y1)) with x0 < x1",
        ),
        ({"bounds": ((0, float("nan")), (0, 1))}, "all between −10⁹ and 10⁹."),
        ({"bounds": 3}, "bounds is 3, but takes"),
        ({"nose": 1}, "A walk has no condition 'nose'. Did you mean noise?"),
    ],
)
def test_bad_input_for_a_basin_is_one_sentence(arguments: dict, words: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked below
        basin_map(**({"racer": "adam", "surface": "rosenbrock", "size": 4} | arguments))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ("lr", "x is 'lr', but x takes (name, from, to, how many)"),
        (("lr",), "x is ('lr',), but x takes (name, from, to, how many)"),
        (("lr", 1, 2), "but x takes (name, from, to, how many)"),
        (("lr", 0, 1, 5), "x sweeps lr from 0 to 1 on a log scale, which takes numbers above 0."),
        (("lr", 1e-3, 1, 5, "cubic"), "The scale of x is 'cubic', but takes linear, log or one_minus_log."),
        (("lr", -1, 1, 5), "lr of adam is -1"),
        (("lr", 1e-3, 1, 0), "how many values x takes is 0"),
        (("lr", 1e-3, 1, 5, ["log"]), "The scale of x is ['log'], but takes linear, log or one_minus_log."),
        (("lr", [1e-3, "a"]), "lr of adam is 'a'"),
        (("lr", np.ones((40, 2))), "lr of adam is [1.0, 1.0]"),
        (("lr", []), "but x takes"),
        (("momentum", 0, 0.9, 4), "adam on rosenbrock has no hyperparameter 'momentum'."),
        (("beta2", 0.9, 0.99, 4), "x and y both sweep beta2, but take two different hyperparameters."),
        (("bias_correction", ["maybe"]), "bias_correction of adam is 'maybe'"),
    ],
)
def test_bad_input_for_a_sweep_is_one_sentence(x: object, words: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked below
        sweep_map("adam", "rosenbrock", x=x)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
