"""A reader's own rule and surface: what may be added, and one sentence for what may not."""

import itertools
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from math import log
from pathlib import Path

import numpy as np
import pytest

from optimizers import OPTIMIZERS, SURFACES, add_optimizer, add_surface, basin_map, maps, simulate
from optimizers.elementwise import sqrt, where
from optimizers.own import _OWN


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Leave the catalogues to other tests as they were."""
    before = dict(OPTIMIZERS), dict(SURFACES)
    yield
    for catalogue, kept in zip((OPTIMIZERS, SURFACES), before, strict=True):
        catalogue.clear()
        catalogue.update(kept)
    _OWN.clear()


def fading(theta, g, t, m, lr, beta, floor):
    """A sign that fades with the momentum."""
    m = beta * m + (1 - beta) * g
    factor = lr / (sqrt(m * m) + floor)
    return -factor * m, (m,), (factor,)


def dish(x: float, y: float, tilt: float) -> tuple[float, float, float]:
    """Steep one way."""
    return x * x + tilt * y * y, 2 * x, 2 * tilt * y


FADING = {"lr": 0.05, "beta": 0.9, "floor": 0.1}
DISH = {"bounds": ((-2, 2), (-1.7, 1.7)), "start": (-1.5, 1.0), "minima": [(0, 0)]}


def test_an_own_rule_walks_as_it_is_written() -> None:
    entry = add_optimizer(fading, FADING)
    assert (entry.direction, entry.purpose) == ("m", "A sign that fades with the momentum.")
    walk = simulate("fading(lr=0.1)", "beale", steps=50)
    theta, m = np.array(SURFACES["beale"].start), np.zeros(2)
    for k in range(50):
        m = 0.9 * m + (1 - 0.9) * walk.grad[k]
        theta = theta - 0.1 / (np.abs(m) + 0.1) * m
        assert walk.path[k + 1] == pytest.approx(theta, rel=1e-12)


def test_an_own_surface_is_one_of_the_catalogue() -> None:
    entry = add_surface(dish, **DISH, hyperparameters={"tilt": 4.0})
    assert (entry.lowest, entry.title, entry.watch) == (0.0, "Dish", "Steep one way.")
    assert simulate("gd(lr=0.1)", "dish(tilt=9)", steps=200).arrived is not None
    assert (basin_map("adam(lr=0.1)", "dish", size=16).which_minimum == 0).all()


def test_one_may_change_ones_mind() -> None:
    add_optimizer(fading, FADING)
    add_optimizer(fading, FADING | {"lr": 0.5})
    assert simulate("fading", "booth", steps=1).lr[0] == 0.5


def scaled(theta, g, t, lr, floor):
    relative = g / floor
    return -lr * floor * relative, (), (lr * floor, relative)


def test_a_divisor_out_of_the_ordinary_divides_as_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    """By 10⁻³⁰⁰ a reciprocal and a remainder would not do: the walks are taken again, by true divisions."""
    again = []
    walk = maps._side_by_side
    monkeypatch.setattr(maps, "_side_by_side", lambda *given: again.append(len(given)) or walk(*given))
    add_optimizer(scaled, {"lr": 0.1, "floor": 1.0}, shown=["relative"])
    for floor, calls in (("0.3", [7]), ("1e-300", [7, 8])):
        again.clear()
        found = basin_map(f"scaled(floor={floor})", "booth", size=9, steps=20)
        assert again == calls
        for row, column in itertools.product(range(9), range(9)):
            start = found.x[column], found.y[row]
            expected = simulate(found.racer, found.surface, start, 20).loss[-1]
            np.testing.assert_array_equal(found.final_loss[row, column], expected)


def update(theta, g, t, m, lr):
    m = 0.5 * m + g
    return -lr * m, (m,), (lr,)


def f(x, y):
    return x * x + y * y, 2 * x, 2 * y


def test_any_name_will_do() -> None:
    """The modules that are generated have names of their own."""
    add_optimizer(update, {"lr": 0.1})
    add_surface(f, **DISH)
    found = basin_map("update", "f", size=3, steps=50)
    assert found.final_loss[0, 0] == simulate("update", "f", (found.x[0], found.y[0]), 50).loss[-1]


def lazy(theta, g, t, lr):
    return -g * g * theta, (), (g * theta,)


def test_a_rule_in_which_walks_share_nothing_has_its_map() -> None:
    add_optimizer(lazy, {"lr": 0.1})
    found = basin_map("lazy", "booth", size=3, steps=1)
    assert found.final_loss[0, 0] == simulate("lazy", "booth", (found.x[0], found.y[0]), 1).loss[-1]


def adam(theta, g, t, lr):
    return -lr * g, (), (lr,)


def rosenbrock(x, y):
    return x * x, 2 * x, 0.0 * y


def backwards(theta, t, g, lr):
    return -lr * g, (), (lr,)


def nameless(theta, g, t, rate):
    return -rate * g, (), (rate,)


def worldly(theta, g, t, lr):
    return -lr * math.tanh(g), (), (lr,)


def borrowed(theta, g, t, lr):
    return -lr * np.sign(g), (), (lr,)


def secretive(theta, g, t, m, lr):
    return -lr * m * m, (m + g,), (lr,)


def short(theta, g, t, m, lr):
    return -lr * g, (), (lr,)


def wrong_kind(theta, g, t, lr):
    return -lr * g


def piecewise(theta, g, t, lr):
    return -lr * where(g > 0, g, 2 * g), (), (lr,)


def hidden(theta, g, t, update, lr):
    return -lr * g, (update + g,), (lr,)


@pytest.mark.parametrize(
    ("rule", "hyperparameters", "words"),
    [
        ("fading", {"lr": 0.1}, "'fading' is no function; write it as one: def name(…)."),
        (hidden, {"lr": 0.1}, "hidden keeps or shows update, but that name is taken; give it another."),
        (
            fading,
            FADING | {"lr": 1e9},
            "lr of fading is 1000000000.0, but takes a number from 0 to 1,000,000.",
        ),
        (adam, {"lr": 0.1}, "adam is in the catalogue already; give the function another name."),
        (lambda theta, g, t, lr: 0, {"lr": 0.1}, "<lambda> is no name"),
        (backwards, {"lr": 0.1}, "backwards takes theta, t, g, lr, but a rule takes theta, g, t, its state"),
        (nameless, {"rate": 0.1}, "nameless has no hyperparameter lr"),
        (fading, {"lr": 0.1, "floor": 0.1, "beta": 0.9}, "fading takes theta, g, t, m, lr, beta, floor, but"),
        (fading, FADING | {"beta": -1}, "beta is -1, but its default takes a number from 0"),
        (worldly, {"lr": 0.1}, "worldly uses math, but takes only its own arguments, operators, numbers and"),
        (borrowed, {"lr": 0.1}, "borrowed uses np, but takes only"),
        (secretive, {"lr": 0.1}, "secretive shows a factor that gives its update on nothing it names"),
        (piecewise, {"lr": 0.1}, "piecewise shows a factor that gives its update on nothing it names"),
        (short, {"lr": 0.1}, "short returns 0 of state and shows 1, but has 1 of state"),
        (wrong_kind, {"lr": 0.1}, "wrong_kind fails on plain numbers"),
    ],
)
def test_a_rule_that_cannot_be_used_is_one_sentence(rule, hyperparameters, words) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked below
        add_optimizer(rule, hyperparameters)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert getattr(rule, "__name__", "") not in OPTIMIZERS or rule is adam


def tilted(x, y):
    return x * x + y * y, 2 * x, y


def missed(x, y):
    return (x - 1) ** 2 + y * y, 2 * (x - 1), 2 * y


def bounded(x, y):
    return log(x) + y * y, 1 / x, 2 * y


def endless(x, y):
    return x * x + y * y, 1e400 * x, 2 * y


def flat(x, y):
    return x * x + y * y, 2 * x


@pytest.mark.parametrize(
    ("function", "changed", "words"),
    [
        (rosenbrock, {}, "rosenbrock is in the catalogue already"),
        (dish, {}, "dish takes x, y, tilt, but a surface takes x, y and no hyperparameter."),
        (tilted, {}, "∂f/∂y of tilted at"),
        (missed, {}, "missed has no minimum at (0.0, 0.0): its slope there is (-2.0, 0.0)."),
        (bounded, {}, "bounded fails at ("),
        (endless, {}, "endless is f, ∂f/∂x, ∂f/∂y ="),
        (flat, {}, "flat fails at ("),
        (f, {"bounds": ((2, -2), (-1, 1))}, "bounds is ((2, -2), (-1, 1)), but takes ((x low, x high), (y"),
        (f, {"bounds": (-2, 2)}, "bounds is (-2, 2), but takes ((x low, x high), (y low, y high))"),
        (f, {"minima": (0, 0)}, "a minimum is 0, but takes two numbers x, y"),
        (f, {"start": (math.nan, 0)}, "start is (nan, 0), but takes two numbers x, y"),
    ],
)
def test_a_surface_that_cannot_be_used_is_one_sentence(function, changed, words) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked below
        add_surface(function, **DISH | changed)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_function_without_source_is_one_sentence() -> None:
    names: dict = {}
    exec("def unseen(theta, g, t, lr):\n    return -lr * g, (), (lr,)", names)
    with pytest.raises(ValueError, match="unseen has no source to compile; define it in a file"):
        add_optimizer(names["unseen"], {"lr": 0.1})


README = Path(__file__).parents[1] / "README.md"

EVERYWHERE = """

import copy, json, sys
import torch
from optimizers import Racer, basin_map, simulate, sweep_map
from optimizers.explain import formula, program, worked
from optimizers.figures import animate, basin, losses, panels, stages, sweep
from optimizers.torch_rules import RuleOptimizer

walk = simulate("tempered(lr=0.1)", "trough(steep=5)", steps=30, schedule="warmup+cosine", clip_norm=3.0)
one = race(["tempered", "gd"], "trough", steps=20)
save(losses(one), "losses.png")
save(panels(one), "panels.svg")
save(stages(walk, 3), "stages.png")
save(basin(basin_map("tempered", "trough", size=24)), "basin.png")
save(sweep(sweep_map("tempered", "trough", ("lr", 1e-3, 1, 4), ("steep", 1, 20, 3))), "sweep.png")
animate(one, "race.gif", seconds=1)
open("race.html", "w").write(one.to_html())
for library in ("numpy", "torch"):
    open(f"walk_{library}.py", "w").write(program(walk, library))
theta = torch.nn.Parameter(torch.tensor(walk.path[0]))
optimizer = RuleOptimizer([theta], "tempered(lr=0.1)")
for k in range(30):
    theta.grad = torch.tensor(walk.grad[k])
    optimizer.param_groups[0]["lr"] = float(walk.lr[k])
    optimizer.step()
json.dump(
    {
        "formula": formula("tempered"),
        "worked": worked(walk, 3).latex,
        "path": walk.path.tolist(),
        "by torch": theta.tolist(),
        "drawn": sorted(Racer.parse("tempered").values),
    },
    open("said.json", "w"),
)
"""


def test_the_readmes_rule_and_surface_reach_everything(tmp_path: Path) -> None:
    """The example of the README, as it stands there, then every picture, map and explanation of it."""
    example = README.read_text("utf-8").split("<!-- your own -->\n```python\n")[1].split("```")[0]
    (tmp_path / "mine.py").write_text(example + EVERYWHERE, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(README.parent), "MPLBACKEND": "agg"}
    subprocess.run([sys.executable, "mine.py"], cwd=tmp_path, env=environment, check=True)
    for name in ("mine.png", "losses.png", "stages.png", "basin.png", "sweep.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG"), name
    assert b"<svg" in (tmp_path / "panels.svg").read_bytes()[:2000]
    assert (tmp_path / "race.gif").read_bytes().startswith(b"GIF89a")
    assert "tempered" in (tmp_path / "race.html").read_text("utf-8")
    said = json.loads((tmp_path / "said.json").read_text("utf-8"))
    assert r"\sqrt" in said["formula"]
    assert "floor" in said["formula"]
    assert "m_x" in said["worked"]
    assert said["by torch"] == pytest.approx(said["path"][-1], rel=1e-12)
    script = "import json, runpy, sys; print(json.dumps(runpy.run_path(sys.argv[1])['paths']))"
    for library in ("numpy", "torch"):
        command = [sys.executable, "-I", "-c", script, str(tmp_path / f"walk_{library}.py")]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        [path] = json.loads(out.splitlines()[-1]).values()
        assert path == said["path"]


def hilltop(x, y):
    return -x * x - y * y, -2 * x, -2 * y


def test_a_hilltop_is_no_minimum() -> None:
    with pytest.raises(ValueError, match=r"hilltop is 0 at its minimum \(0.0, 0.0\), but -.* elsewhere"):
        add_surface(hilltop, **DISH)


def test_a_walk_keeps_the_names_it_walked_with() -> None:
    add_optimizer(fading, FADING)
    walk = simulate("fading", "booth", steps=3)
    before = walk.effective_lr.copy()

    def changed(theta, g, t, lr):
        return -lr * g, (), (lr,)

    changed.__name__ = "fading"
    add_optimizer(changed, {"lr": 0.1})
    walk.__dict__.pop("effective_lr")  # computed at first use, and kept
    assert np.array_equal(walk.effective_lr, before)
    assert list(walk.state) == ["m"]
