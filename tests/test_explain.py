"""Formulas read as their papers do, arithmetic gives what was recorded, programs walk the same path."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sympy
from matplotlib.mathtext import MathTextParser

from app.cli import run
from optimizers import OPTIMIZERS, SURFACES, Race, Racer, Trajectory, race, simulate
from optimizers.catalog import Optimizer, Quantity
from optimizers.elementwise import maximum, sqrt, where
from optimizers.explain import Line, formula, formula_lines, formulas, latex, program, worked
from optimizers.notation import Hyperparameter
from optimizers.schedules import SCHEDULES
from optimizers.surfaces import Entry, Rows
from tests.racers import VARIANTS

EVERYTHING = {"noise": 0.3, "clip_norm": 5.0, "clip_value": 3.0, "schedule": lambda k: 0.97**k, "seed": 3}


# a reader's own


def padam(theta, g, t, m, v, lr, beta, power, kick):
    """A reader's rule with everything at once: powers, a question of t, a state that is a word."""
    m = beta * m + (1 - beta) * g
    v = v + g**2
    r = where(t > 3, 1 + kick * (-m / 2), 1)
    return -lr * m / (maximum(sqrt(v), 1e-3) ** (2 * power)) * r**3, (m, v), (lr, r)


def bumps(x, y, height, data):
    """A reader's surface: powers of every kind, functions of the C library, rows."""
    f, gx, gy = 0.0, 0.0, 0.0
    for i in range(0, len(data), 2):
        f += height * (x - data[i]) ** 4 + (1 + (y - data[i + 1]) ** 2.0) ** 1.5 + 2 ** (-x * x)
        gx += 4 * height * (x - data[i]) ** 3 - 2 * x * 2 ** (-x * x) * math.log(2.0)
        gy += 3 * (1 + (y - data[i + 1]) ** 2) ** 0.5 * (y - data[i + 1])
    count = len(data) / 2
    return f / count, gx / count, gy / count


bumps.source = """
def bumps(x, y, height, data):
    f, gx, gy = 0.0, 0.0, 0.0
    for i in range(0, len(data), 2):
        f += height * (x - data[i]) ** 4 + (1 + (y - data[i + 1]) ** 2.0) ** 1.5 + 2 ** (-x * x)
        gx += 4 * height * (x - data[i]) ** 3 - 2 * x * 2 ** (-x * x) * log(2.0)
        gy += 3 * (1 + (y - data[i + 1]) ** 2) ** 0.5 * (y - data[i + 1])
    count = len(data) / 2
    return f / count, gx / count, gy / count
"""


def walk(theta, g, t, lr):
    """A rule and a surface under names that a program has a use for."""
    return -lr * g, (), (lr,)


def f(x, y):
    return x * x + 3 * y * y, 2 * x, 6 * y


def cliff_edge(x, y):
    """Not finite everywhere: exp overflows, log and √ have no value left of 0."""
    return 1 / (1 + exp(-40 * y)) + sqrt(x) - 2 * log(x), 0.5 / sqrt(x) - 2 / x, y  # noqa: F821


@pytest.fixture(autouse=True)
def _own(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = Hyperparameter("lr", "lr", 0.05, high=10.0)
    monkeypatch.setitem(
        OPTIMIZERS,
        "padam",
        Optimizer(
            name="padam",
            title="Padam",
            rule=padam,
            hyperparameters=(
                unit,
                Hyperparameter("beta", "β", 0.9),
                Hyperparameter("power", "p", 0.125),
                Hyperparameter("kick", "κ", 0.1),
            ),
            light="#000000",
            dark="#ffffff",
            effective_label="lr",
            direction="m",
            purpose="To be read.",
            citation="nobody",
            states=(Quantity("m", "m"), Quantity("v", "second moment", initial=0.1)),
            extras=(Quantity("r", "r"),),
        ),
    )
    shared = {
        "bounds": ((-3.0, 3.0), (-3.0, 3.0)),
        "minima": (),
        "lowest": -np.inf,
        "watch": "",
        "citation": "",
    }
    rows = np.random.default_rng(1).normal(size=(7, 2))
    height = (Hyperparameter("height", "h", 0.5),)
    for name, more in {
        "bumps": {"rows": Rows(rows, batch=2), "hyperparameters": height},
        "boxed": {
            "rows": Rows(rows, batch=3, cyclic=True),
            "hyperparameters": height,
            "box": ((-1, 1.2), (0, 1)),
        },
    }.items():
        monkeypatch.setitem(SURFACES, name, Entry(name, name, bumps, start=(0.5, 0.5), **shared, **more))
    plain = Optimizer("walk", "walk", walk, (unit,), "#000000", "#ffffff", "lr", "g", "", "")
    monkeypatch.setitem(OPTIMIZERS, "walk", plain)
    monkeypatch.setitem(SURFACES, "f", Entry("f", "f", f, start=(1.0, 1.0), **shared))
    monkeypatch.setitem(SURFACES, "edge", Entry("edge", "Edge", cliff_edge, start=(2.0, -40.0), **shared))


# formulas

M = r"m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t"
V = r"v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2"
M_HAT = r"\hat{m}_t = \dfrac{m_t}{1 - \beta_1^{t}}"
V_HAT = r"\hat{v}_t = \dfrac{v_t}{1 - \beta_2^{t}}"
STEP = r"\Delta\theta_t = "
PAPERS = {
    "gd": [STEP + r"-\mathrm{lr}\,g_t"],
    "adam": [M, V, M_HAT, V_HAT, STEP + r"-\dfrac{\mathrm{lr}\,\hat{m}_t}{\sqrt{\hat{v}_t} + \varepsilon}"],
    "adam(bias_correction=False)": [M, V, STEP + r"-\dfrac{\mathrm{lr}\,m_t}{\sqrt{v_t} + \varepsilon}"],
    "adam(eps_placement=inside)": [
        *(M, V, M_HAT, V_HAT),
        STEP + r"-\dfrac{\mathrm{lr}\,\hat{m}_t}{\sqrt{\hat{v}_t + \varepsilon}}",
    ],
    "adam(beta1=0)": [V, V_HAT, STEP + r"-\dfrac{\mathrm{lr}\,g_t}{\sqrt{\hat{v}_t} + \varepsilon}"],
    "adam(weight_decay=0.1, bias_correction=second)": [
        r"m_t = \beta_1 m_{t-1} + (1 - \beta_1) (g_t + \lambda \theta_{t-1})",
        r"v_t = \beta_2 v_{t-1} + (1 - \beta_2) (g_t + \lambda \theta_{t-1})^2",
        V_HAT,
        STEP + r"-\dfrac{\mathrm{lr}\,m_t}{\sqrt{\hat{v}_t} + \varepsilon}",
    ],
    "adamw": [
        *(M, V, M_HAT, V_HAT),
        STEP + r"-\dfrac{\mathrm{lr}\,\hat{m}_t}{\sqrt{\hat{v}_t} + \varepsilon}"
        r" - \mathrm{lr}\,\lambda \theta_{t-1}",
    ],
    "momentum(dampening=0.1)": [
        r"m_t = \mu m_{t-1} + (1 - \tau) g_t \quad \mathrm{if}\ t > 1",
        r"m_t = \mu m_{t-1} + g_t \quad \mathrm{if}\ t \leq 1",
        STEP + r"-\mathrm{lr}\,m_t",
    ],
    "rmsprop(centered=True, momentum=0.9)": [
        r"v_t = \alpha v_{t-1} + (1 - \alpha) g_t^2",
        r"\bar{g}_t = \alpha \bar{g}_{t-1} + (1 - \alpha) g_t",
        r"m_t = \mu m_{t-1} + \dfrac{g_t}{\sqrt{v_t - \bar{g}_t^2} + \varepsilon}",
        STEP + r"-\mathrm{lr}\,m_t",
    ],
    "radam": [
        *(M, V, M_HAT),
        r"\rho_{\infty} = \dfrac{2}{1 - \beta_2} - 1",
        r"\rho_t = \rho_{\infty} - \dfrac{2 t \beta_2^{t}}{1 - \beta_2^{t}}",
        r"r_t = \sqrt{\frac{(\rho_t - 4) (\rho_t - 2) \rho_{\infty}}"
        r"{(\rho_{\infty} - 4) (\rho_{\infty} - 2) \rho_t}} \quad \mathrm{if}\ \rho_t > 5",
        STEP + r"-\dfrac{\mathrm{lr}\,r_t \sqrt{1 - \beta_2^{t}} \hat{m}_t}{\sqrt{v_t} + \varepsilon}"
        r" \quad \mathrm{if}\ \rho_t > 5",
        STEP + r"-\mathrm{lr}\,\hat{m}_t \quad \mathrm{if}\ \rho_t \leq 5",
    ],
    "signsgd": [STEP + r"-\mathrm{lr}\,\operatorname{sign}(g_t)"],
    "lion": [
        r"m_t = \beta_2 m_{t-1} + (1 - \beta_2) g_t",
        STEP + r"-\mathrm{lr}\,\operatorname{sign}(\beta_1 m_{t-1} + (1 - \beta_1) g_t)",
    ],
    "padam": [
        r"m_t = \beta m_{t-1} + (1 - \beta) g_t",
        r"v_t = v_{t-1} + g_t^{2}",
        r"r_t = 1 - \dfrac{\kappa m_t}{2} \quad \mathrm{if}\ t > 3",
        r"r_t = 1 \quad \mathrm{if}\ t \leq 3",
        STEP + r"-\dfrac{\mathrm{lr}\,m_t r_t^{3}}{\max\left(\sqrt{v_t},\ 0.001\right)^{2 p}}",
    ],
}


@pytest.mark.parametrize("notation", PAPERS)
def test_a_formula_reads_as_its_paper(notation: str) -> None:
    assert [line.latex for line in formula_lines(notation)] == PAPERS[notation]


def test_a_formula_for_katex_aligns_its_lines() -> None:
    assert formula("momentum(dampening=0.1)").splitlines() == [
        r"\begin{aligned}",
        r"m_t &= \mu m_{t-1} + (1 - \tau) g_t && \mathrm{if}\ t > 1 \\",
        r"m_t &= \mu m_{t-1} + g_t && \mathrm{if}\ t \leq 1 \\",
        r"\Delta\theta_t &= -\mathrm{lr}\,m_t",
        r"\end{aligned}",
    ]


def test_mathtext_draws_every_line() -> None:
    parser = MathTextParser("path")
    lines = {line.latex for racer in [*VARIANTS, "padam"] for line in formula_lines(racer)}
    lines |= {
        line.latex for racer in VARIANTS[::13] for line in worked(simulate(racer, "beale", steps=7), 7).lines
    }
    assert len(lines) > 100
    for line in lines:
        parser.parse(f"${line}$")


@pytest.mark.parametrize("racer", VARIANTS, ids=str)
def test_a_formula_names_what_the_racer_uses_and_nothing_else(racer: Racer) -> None:
    """Every number that is not at 0 stands in it, and nothing that is."""
    text = formula(racer)
    for hyper in racer.optimizer.hyperparameters:
        symbol = formulas.word(hyper.symbol).at("")
        if hyper.choices or symbol in (r"v_0", r"\varepsilon"):
            continue
        alone = re.compile(re.escape(symbol) + r"(?![A-Za-z_])(?!_[^\d])")
        assert bool(alone.search(text)) == bool(racer.values[hyper.name]), (hyper.name, text)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_sympy_reads_the_same_out_of_the_rule(name: str) -> None:
    """The rule given SymPy's symbols is the step that was taken, whatever SymPy makes of it on the way."""
    racer = Racer.parse(name)
    walk, entry = simulate(racer, "beale", steps=9), racer.optimizer
    symbols = {n: sympy.Symbol(n) for n in ("theta", "g", "t", *entry.state, "lr")}
    arguments = {**racer.arguments, "lr": symbols["lr"]}
    update, _, _ = entry.rule(*(symbols[n] for n in ("theta", "g", "t", *entry.state)), **arguments)
    before = {symbols[n]: walk.state[n][7, 0] for n in entry.state}
    numbers = {"theta": walk.path[8, 0], "g": walk.grad[8, 0], "t": 9, "lr": walk.lr[8]}
    value = update.subs(before | {symbols[n]: number for n, number in numbers.items()})
    assert float(value) == pytest.approx(walk.update[8, 0], rel=1e-12)


def _asks(theta, g, t, lr):
    return (-lr * g if t > 1 else -g), (), (lr,)


def _calls(theta, g, t, lr):
    return -lr * math.tanh(g), (), (lr,)


@pytest.mark.parametrize(
    ("rule", "words"), [(_asks, "by where(condition, a, b)"), (_calls, "must be real number")]
)
def test_a_rule_that_is_no_formula_says_so(
    rule: Callable, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = Optimizer("odd", "odd", rule, OPTIMIZERS["gd"].hyperparameters[:1], "", "", "lr", "g", "", "")
    monkeypatch.setitem(OPTIMIZERS, "odd", entry)
    with pytest.raises(ValueError, match=r"The rule of odd can't be written as a formula: .*") as problem:
        formula("odd")
    assert words in str(problem.value)


# a step's arithmetic


def evaluate(text: str) -> float:
    """Work out LaTeX with numbers in it, as a reader does: juxtaposed is multiplied."""
    tokens = re.findall(r"\d+\.?\d*|\.\d+|\\[a-z]+|[-+(){}^,]|\|", text.replace(r"\ ", " "))
    tokens = [token for token in tokens if token not in (r"\left", r"\right")]

    def take(token: str) -> None:
        assert tokens.pop(0) == token

    def group(opening: str = "{", closing: str = "}") -> float:
        take(opening)
        value = total()
        take(closing)
        return value

    def total() -> float:
        value = product()
        while tokens and tokens[0] in "+-":
            value += product() if tokens.pop(0) == "+" else -product()
        return value

    def product() -> float:
        if tokens[0] == "-":
            tokens.pop(0)
            return -product()
        value = power()
        while tokens and tokens[0] not in ("+", "-", ")", "}", ",", "|"):
            if tokens[0] in (r"\cdot", r"\times"):
                tokens.pop(0)
            value *= power()
        return value

    def power() -> float:
        value = atom()
        if tokens and tokens[0] == "^":
            tokens.pop(0)
            value **= group() if tokens[0] == "{" else float(tokens.pop(0))
        return value

    def atom() -> float:
        if tokens[0] == "(":
            return group("(", ")")
        match tokens.pop(0):
            case r"\frac" | r"\dfrac":
                return group() / group()
            case r"\sqrt":
                return math.sqrt(group())
            case "|":
                value = abs(total())
                take("|")
                return value
            case r"\operatorname":
                while tokens.pop(0) != "}":
                    pass
                return float(np.sign(group("(", ")")))
            case r"\max" | r"\min" as name:
                take("(")
                first = total()
                take(",")
                second = total()
                take(")")
                return (max if name == r"\max" else min)(first, second)
            case number:
                return float(number)

    tokens = [t for token in tokens for t in ([token] if token != "sign" else [])]
    value = total()
    assert not tokens
    return value


def recorded(walk: Trajectory, step: int, name: str, axis: str) -> float:
    index = "xy".index(axis) if axis else 0
    series = {"update": walk.update, "projected": walk.update, **walk.state}[name]
    return float(series[step - 1, index])


@pytest.mark.parametrize("step", [1, 2, 9])
@pytest.mark.parametrize("racer", [*map(str, VARIANTS), "padam"], ids=str)
def test_arithmetic_gives_what_was_recorded(racer: str, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = simulate(racer, "beale", steps=9, **EVERYTHING)
    short = [line.latex for line in worked(walk, step).lines]
    monkeypatch.setattr(formulas, "number", lambda value, digits=4: latex.number(value, 17))
    known = set(walk.state) | {"update"}
    names = {"sqrt": math.sqrt, "sign": np.sign}
    lines = worked(walk, step).lines
    for line, rounded in zip(lines, short, strict=True):
        assert eval(line.exact, names) == line.value
        assert evaluate(line.numbers) == pytest.approx(line.value, rel=1e-12, abs=0)
        measured = rounded.partition(" = ")[2]
        assert all(
            len(number.replace(".", "").lstrip("0")) <= 6 for number in re.findall(r"[\d.]+", measured)
        )
        if line.name in known:
            assert line.value == recorded(walk, step, line.name, line.axis), line
    axes = {line.axis for line in lines if line.name == "update"}
    assert axes == {"x", "y"}


def test_arithmetic_reads_as_on_paper() -> None:
    walk = simulate(
        "adam(lr=0.1)", "quadratic(condition=3)", start=(2, -1), steps=5, schedule=lambda k: 1 / (k + 1)
    )
    assert [line.latex for line in worked(walk, 2).lines if line.axis == "y"] == [
        r"m_y = 0.9 \cdot (-0.3) + 0.1 \cdot (-2.700) = -0.5400",
        r"v_y = 0.999 \cdot 0.009 + 0.001 \cdot (-2.700)^2 = 0.01628",
        r"\hat{m}_y = \dfrac{-0.5400}{1 - 0.9^{2}} = -2.842",
        r"\hat{v}_y = \dfrac{0.01628}{1 - 0.999^{2}} = 8.145",
        r"\Delta\theta_y = -\dfrac{0.05 \cdot (-2.842)}{\sqrt{8.145} + 10^{-8}} = 0.04979",
    ]


def test_what_both_axes_share_stands_once() -> None:
    lines = worked(simulate("nadam", "beale", steps=3), 3).lines
    assert [line.left for line in lines if not line.axis] == [r"\mu_t", r"\mu_{t+1}", r"(\Pi \mu)_t"]


def test_only_the_case_that_holds_is_worked() -> None:
    walk = simulate("radam", "beale", steps=8)
    names = [{line.name for line in worked(walk, step).lines} for step in (5, 6)]
    assert names[1] - names[0] == {"r"}


def test_a_step_put_back_onto_the_box_says_so() -> None:
    walk = simulate("gd(lr=0.4)", "boxed", steps=30)
    outside = [k for k in range(30) if any(line.name == "projected" for line in worked(walk, k + 1).lines)]
    assert 0 < len(outside) < 30
    for k in range(30):
        last = {line.axis: line for line in worked(walk, k + 1).lines}
        assert (last["x"].value, last["y"].value) == tuple(walk.update[k])
    assert r"\min(\max(\theta_{t-1} + \Delta\theta_t,\ -1),\ 1.2) - \theta_{t-1}" in {
        line.formula for line in worked(walk, outside[0] + 1).lines
    }


def test_a_step_there_was_not_is_one_sentence() -> None:
    walk = simulate("gd(lr=1)", "rosenbrock", steps=50)
    assert walk.diverged is not None
    assert worked(walk, walk.diverged).lines
    with pytest.raises(
        ValueError, match=f"step is {walk.diverged + 1}, but gd.* diverged at step {walk.diverged}"
    ):
        worked(walk, walk.diverged + 1)
    for step in (0, 51, 1.5):
        with pytest.raises(ValueError, match=f"step is {step}, but takes a whole number from 1 to 50"):
            worked(walk, step)  # type: ignore[arg-type]


@pytest.mark.parametrize("line", [Line("m", "m_t", "g_t", "t > 1")])
def test_a_condition_stands_beside_its_line(line: Line) -> None:
    assert line.latex == r"m_t = g_t \quad \mathrm{if}\ t > 1"


# programs

DRIVER = """
import json, runpy, sys
found = []
for path in sys.argv[1:]:
    names = runpy.run_path(path)
    hexed = {name: [[v.hex() for v in point] for point in points] for name, points in names["paths"].items()}
    found.append([hexed, {name: [v.hex() for v in loss] for name, loss in names["losses"].items()}])
assert not {"optimizers", "numba", LACKS} & set(sys.modules)
print(json.dumps(found), file=sys.stderr)
"""


def races() -> Iterator[Race]:
    everyone = [racer.change(lr=10 * racer.values["lr"]) for racer in VARIANTS if "lr" in racer.values]
    yield race([*map(str, OPTIMIZERS)], "himmelblau", steps=40)
    yield race(everyone, "beale", steps=25, **EVERYTHING)
    yield race(
        ["adam(lr=0.1)", "padam", "gd(lr=0.01)"], "rastrigin", steps=60, schedule="constant", clip_norm=9
    )
    yield race(["gd(lr=1)", "momentum(lr=0.5)"], "rosenbrock", steps=50)  # they diverge
    yield race(["padam", "adam(lr=0.3)", "nadam(lr=0.1)"], "bumps", steps=40, seed=5)
    yield race(["padam", "gd(lr=0.1)"], "bumps(height=0.7)", steps=10, batch_size=7)
    yield race(["gd(lr=0.4)", "adam(lr=0.3)"], "boxed", steps=40, noise=0.1)
    yield race(["gd(lr=0.3)", "signsgd(lr=0.3)"], "edge", steps=40)
    yield race(["walk"], "f", steps=5)
    for schedule in (*SCHEDULES, "warmup+cosine", "warmup(total_iters=9)+cosine(T_max=12)+exponential"):
        yield race(["adam(lr=0.1)"], 'formula("(1-x)^2 + 9*(y-x^2)^2")', steps=35, schedule=schedule)
    yield race(
        ["radam(lr=0.1)"], "quadratic(condition=30, angle=20)", start=(1, -2), steps=30, clip_value=0.5
    )


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_program_walks_the_same_path_to_the_last_bit(library: str, tmp_path: Path) -> None:
    known, files = list(races()), []
    for number, result in enumerate(known):
        files.append(tmp_path / f"race_{number}.py")
        files[-1].write_text(program(result, library), encoding="utf-8")
    lacks = "'torch'" if library == "numpy" else "'scipy'"
    done = subprocess.run(
        [sys.executable, "-I", "-c", DRIVER.replace("LACKS", lacks), *map(str, files)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for result, (paths, losses) in zip(known, json.loads(done.stderr), strict=True):
        for walk in result:
            end = len(walk.path) if walk.diverged is None else walk.diverged
            name = str(walk.racer)
            path = [[float(v).hex() for v in point] for point in walk.path[:end]]
            assert paths[name] == path, (name, str(result.surface))
            assert losses[name] == [float(v).hex() for v in walk.loss[:end]], (name, str(result.surface))
    assert "then it diverges" in done.stdout


def test_the_command_writes_a_program_that_runs_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "race.py"
    assert run(["race", "-o", "adam(lr=0.1)", "-o", "gd", "--steps", "20", "--out", str(out)]) == 0
    done = subprocess.run([sys.executable, "-I", str(out)], capture_output=True, text=True, check=True)
    (x, y), loss = (lambda walk: (walk.path[-1], walk.loss[-1]))(
        simulate("adam(lr=0.1)", "rosenbrock", steps=20)
    )
    first = f"adam(lr=0.1): after 20 steps at ({float(x)!r}, {float(y)!r}), loss {float(loss)!r}"
    assert done.stdout.splitlines()[0] == first


def test_a_program_holds_what_its_racers_need_and_no_more() -> None:
    text = program(simulate("gd", "rosenbrock", steps=3))
    assert text.startswith('"""Gradient descent on Rosenbrock: 3 steps')
    for word in ("sqrt(", "where(", "libm", "NOISE", "CLIP", "FACTORS", "ROWS", "Number", "optimizers"):
        assert word not in text, word
    assert "import numpy" not in program(simulate("gd", "rosenbrock", steps=3), "torch")


def test_a_programs_own_constants_keep_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def START(theta, g, t, lr):  # noqa: N802
        return -lr * g, (), (lr,)

    monkeypatch.setitem(OPTIMIZERS, "START", replace(OPTIMIZERS["walk"], name="START", rule=START))
    trajectory, space = simulate("START", "booth", steps=3), {}
    exec(program(trajectory), space)
    assert space["paths"]["START"][-1] == tuple(trajectory.path[-1])


def test_the_torch_program_names_the_twin() -> None:
    text = program(simulate("momentum(lr=0.01)", "beale", steps=3), "torch")
    assert "# The same to 1e-12: torch.optim.SGD([theta], lr=0.01, momentum=0.9, dampening=0.0," in text


def test_bad_programs_are_one_sentence() -> None:
    walk = simulate("gd", "rosenbrock", steps=3)
    with pytest.raises(ValueError, match="library is 'jax', but takes numpy or torch"):
        program(walk, "jax")
    walk = simulate("gd", "rosenbrock", steps=150_000, noise=0.1)
    assert "default_rng" in program(walk)
    with pytest.raises(ValueError, match='more than 200,000 numbers; take fewer steps, or library="numpy"'):
        program(walk, "torch")
