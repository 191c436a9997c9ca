"""A race as a program of its own: the rules, the surface and one plain loop, with no import of this project.

Compiled code and Python round alike in + − × ÷ and √, whatever library does it, and in what the C library
does. Where a library has its own way (NumPy's cos of an array, torch's √), the program goes round it.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import platform
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.metadata import version
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import numpy as np

from optimizers import conditions, kernels
from optimizers.schedules import Schedule
from optimizers.source import source

if TYPE_CHECKING:
    from optimizers.catalog import Racer
    from optimizers.trajectory import Race, Trajectory

LIBRARIES = {"numpy": "NumPy", "torch": "PyTorch"}
MOST_LISTED = 200_000  # numbers a program lists: noise, batches, a schedule
WIDTH = 100

# Functions of math's that compiled code takes from the C library.
_LIBM = ("acos", "asin", "atan", "cos", "cosh", "exp", "exp2", "log", "pow", "sin", "sinh", "tan", "tanh")
_SCALAR = {
    node.name: ast.get_source_segment(kernels.SCALAR, node) or ""
    for node in ast.parse(kernels.SCALAR).body
    if isinstance(node, ast.FunctionDef)
}
_POWER = '''\
def whole_power(x, n):
    """xⁿ by squaring, as compiled code has it."""
    result, left = 1.0, abs(n)
    while left:
        result, x, left = (result * x if left % 2 else result), x * x, left // 2
    return result if n >= 0 else 1.0 / result'''
_NUMPY = {
    **_SCALAR,
    "sqrt": "sqrt = np.sqrt",
    "libm": '''\
def libm(name):
    """Return a function of the C library: NumPy's own may differ in the last digit."""

    def function(*numbers):
        try:
            return np.float64(getattr(math, name)(*numbers))
        except (OverflowError, ValueError):  # where math refuses: inf or NaN
            return getattr(np, name)(*numbers)

    return function''',
    "whole_power": _POWER,
}
_TORCH = {
    **_SCALAR,
    "sqrt": '''\
def sqrt(x):
    """√x; of a tensor entry by entry, because torch.sqrt may differ in the last digit."""
    if isinstance(x, torch.Tensor):
        return x.clone().apply_(sqrt)
    return math.sqrt(x) if x >= 0 else math.nan''',
    "maximum": """\
def maximum(a, b):
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        return torch.maximum(torch.as_tensor(a), torch.as_tensor(b))
    return b if a < b or b != b else a""",
    "sign": """\
def sign(x):
    if isinstance(x, torch.Tensor):
        return torch.sign(x)
    return (1.0 if x > 0 else 0.0) - (1.0 if x < 0 else 0.0)""",
    "where": """\
def where(condition, a, b):
    if isinstance(condition, torch.Tensor):
        return torch.where(condition.bool(), a, b)
    return a if condition else b""",
    "libm": '''\
def libm(name):
    """Return a function of the C library: torch's own may differ in the last digit."""

    def function(*numbers):
        try:
            return getattr(math, name)(*numbers)
        except (OverflowError, ValueError):  # where math refuses: inf or NaN
            return getattr(torch, name)(*map(torch.tensor, map(float, numbers))).item()

    return function''',
    "whole_power": _POWER,
}
_OPTIMIZER = '''\
class RuleOptimizer(torch.optim.Optimizer):
    """A rule above as an optimizer of torch."""

    def __init__(self, parameters, rule, state, lr, **hyper):
        super().__init__(parameters, {"lr": lr})
        self.rule, self.start, self.hyper = rule, state, hyper

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr = torch.tensor(group["lr"])  # a number over a tensor would be rounded twice
            for theta in group["params"]:
                kept = self.state[theta]
                if not kept:
                    kept.update(t=0, state=self.start)
                kept["t"] += 1
                now = theta.clone(), theta.grad, kept["t"], *kept["state"]
                update, kept["state"], _ = self.rule(*now, lr=lr, **self.hyper)
                theta.add_(update)'''


def program(race: Race | Trajectory, library: str = "numpy") -> str:
    """Return a program that takes the very steps of a race, or of one racer, when it is run alone.

    It holds the rules and the surface in their own words, all numbers, and a loop; it needs nothing but
    `library`, prints where each racer ends, and leaves `paths` and `losses` by racer, from the start to the
    last point that is there. Both programs reproduce `Trajectory.path` and `loss` to the last bit, on a
    machine with the same C library. Of a reader's own rule the torch program does so as long as the rule
    raises no tensor to a power (but 2, 3, … and ½) and divides nothing but tensors and lr by a tensor: there
    torch rounds in its own way.

    Args:
        race: what `race` or `simulate` returned.
        library: "numpy", or "torch", which wraps the rule as a torch.optim.Optimizer and names its twin.

    Raises:
        ValueError: another library, or more numbers to list than a program can hold, in one sentence.

    >>> from optimizers import simulate
    >>> text = program(simulate("gd(lr=0.1)", "quadratic(condition=1)", start=(1, 0), steps=2))
    >>> text.splitlines()[0]
    '\"\"\"Gradient descent on Quadratic: 2 steps from (1.0, 0.0).'
    """
    if library not in LIBRARIES:
        raise ValueError(f"library is {library!r}, but takes {' or '.join(LIBRARIES)}.")
    return _Program(tuple(race) if hasattr(race, "trajectories") else (race,), library).text()  # type: ignore[arg-type]


class _Program:
    """A program in the making."""

    def __init__(self, walks: Sequence[Trajectory], library: str) -> None:
        self.walks, self.torch = {str(walk.racer): walk for walk in walks}, library == "torch"
        self.library = library
        self.first = walks[0]
        self.surface, self.conditions = self.first.surface, self.first.conditions
        self.steps = len(self.first.lr)
        self.names: dict[str, Callable[..., Any]] = {}  # of the functions of rules and surface
        self.needs: set[str] = set()  # of the functions they call
        self.listed = 0

    def text(self) -> str:
        """Return the whole."""
        functions = [self._function(self.surface.entry.function, partial(_powers, everywhere=self.torch))]
        self.called = self._name(self.surface.entry.function)
        if self.torch and self.needs & RISKY:
            functions.append(_GUARDED.format(name=self.called))
            self.called = "surface"
        functions += [self._function(walk.racer.optimizer.rule, _powers) for walk in self.walks.values()]
        conditions, loop, racers = self._conditions(), self._loop(), self._racers()
        helpers = _TORCH if self.torch else _NUMPY
        libm = sorted(self.needs & set(_LIBM))
        called = [helpers[name] for name in sorted(self.needs & set(helpers))]
        if libm:
            called.append(helpers["libm"])
            names = ", ".join(f'"{name}"' for name in libm)
            called.append(
                f"{', '.join(libm)} = " + (f"libm({names})" if len(libm) == 1 else f"map(libm, [{names}])")
            )
        parts = [
            self._header(),
            self._imports(),
            *called,
            *dict.fromkeys(functions),
            *([_OPTIMIZER] if self.torch else []),
            conditions,
            loop,
            racers,
            _END,
        ]
        return _joined(parts)

    def _header(self) -> str:
        titles = list(dict.fromkeys(walk.racer.optimizer.title for walk in self.walks.values()))
        listed = titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"
        x, y = map(float, self.first.path[0])
        steps = f"{self.steps} step{'s' if self.steps > 1 else ''}"
        library = LIBRARIES[self.library]
        title = f"{listed[0].upper()}{listed[1:]} on {self.surface.entry.title}: {steps} from ({x!r}, {y!r})."
        versions = f"Python {platform.python_version()} and {library} {version(self.library)}"
        text = (
            f"Written by Adamscope. It needs {library} alone, and takes the very steps of its racers, to the "
            f"last digit; so it did with {versions}. Another C library may round cos, exp and powers "
            "otherwise."
        )
        body = "\n".join(textwrap.wrap(text, WIDTH))
        return f'"""{textwrap.fill(title, WIDTH)}\n\n{body}\n"""'

    def _imports(self) -> str:
        constants = sorted(self.needs & {"pi", "e"})
        lines = ["import math", *([f"from math import {', '.join(constants)}"] if constants else []), ""]
        if self.torch:
            return "\n".join([*lines, "import torch", "", "torch.set_default_dtype(torch.float64)"])
        quiet = 'np.seterr(all="ignore")  # a walk that diverges meets infinity'
        return "\n".join([*lines, "import numpy as np", "", quiet])

    def _function(self, function: Callable[..., Any], rewrite: Callable[[str], str] = str) -> str:
        """Return a function's own text, without annotations, under a name of its own."""
        own = function.__name__
        names = chain([own], (f"{own}_{n}" for n in count(2)))
        name = next(n for n in names if n not in _TAKEN and self.names.setdefault(n, function) is function)
        text = rewrite(source(function))
        nodes = list(ast.walk(ast.parse(text)))
        called = {node.id for node in nodes if isinstance(node, ast.Name)}
        if any(isinstance(node, ast.Div) for node in nodes):
            called.add("/")
        if self.torch and "np" in called:
            raise ValueError(f'{function.__name__} uses NumPy; write its program with library="numpy".')
        self.needs |= called
        return _bare(text, name)

    def _name(self, function: Callable[..., Any]) -> str:
        return next(name for name, known in self.names.items() if known is function)

    def _list(self, name: str, values: Any, remark: str) -> str:
        """Write numbers out, as a list that the program reads."""
        array = np.asarray(values)
        self.listed += array.size
        if self.listed > MOST_LISTED:
            raise ValueError(
                f"This program would list more than {MOST_LISTED:,} numbers; take fewer steps"
                + (', or library="numpy", which draws them.' if self.torch else ".")
            )
        text = textwrap.fill(
            repr(array.tolist())[1:-1], WIDTH, initial_indent="    ", subsequent_indent="    "
        )
        return f"{name} = [  # {remark}\n{text},\n]"

    def _conditions(self) -> str:
        """Return what the walk is taken under, as constants."""
        under, steps = self.conditions, self.steps
        x, y = map(float, self.first.path[0])
        functions: list[str] = []
        lines = [f"START = {x!r}, {y!r}", f"STEPS = {steps}"]
        if under.clip_norm is not None:
            lines.append(f"CLIP_NORM = {under.clip_norm!r}  # greatest norm of the gradient")
        if under.clip_value is not None:
            lines.append(f"CLIP_VALUE = {under.clip_value!r}  # greatest size of each of its entries")
        if self.surface.entry.box is not None:
            lines.append(
                f"BOX = {_plain(self.surface.entry.box)}  # a step that leaves it is put back onto it"
            )
        if under.schedule is not None:
            functions += self._schedule(lines)
        if under.noise:
            if self.torch:
                lines.append(self._list("NOISE", under.gaussian(steps), "added to the gradient of each step"))
            else:
                lines.append(
                    f"NOISE = np.random.default_rng({under.seed}).normal(0.0, {under.noise!r}, (STEPS, 2))"
                )
        rows = self.surface.entry.rows
        if rows is not None:
            table = self._list("ROWS", rows.values, "the data, one row after the other")
            lines.append(table if self.torch else _as_array(table))
            functions += self._batches(lines)
        return _joined([*functions, "\n".join(lines)])

    def _schedule(self, lines: list[str]) -> list[str]:
        """Add the factor on lr at each step; return the functions it takes."""
        schedule = self.conditions.schedule
        assert schedule is not None
        if self.torch or not isinstance(schedule, Schedule):
            factors = self.conditions.lr(1.0, self.steps)
            lines.append(self._list("FACTORS", factors, "on lr, at each step"))
            return []
        calls, functions = [], []
        for function, arguments in _recipe(schedule, self.steps):
            functions.append(self._function(function))
            given = "".join(f", {name}={_plain(value)}" for name, value in arguments.items())
            calls.append(f"{self._name(function)}({given.removeprefix(', ')})")
        what = f"# on lr, at each step: {schedule}"
        if len(calls) == 1:
            lines.append(f"FACTORS = {calls[0]}  {what}")
        else:
            inner = "".join(f"        {call},\n" for call in calls)
            lines.append(f"FACTORS = np.concatenate(  {what}\n    [\n{inner}    ]\n)")
        return list(dict.fromkeys(functions))

    def _batches(self, lines: list[str]) -> list[str]:
        """Add the rows of each step's gradient, where it takes not all; return the functions that needs."""
        under, rows = self.conditions, self.surface.entry.rows
        batches = under.batches(self.surface, self.steps)
        if rows is None or not batches.size:
            return []
        count, size = len(rows.values), batches.shape[1]
        if self.torch:
            lines.append(self._list("BATCHES", batches, "rows of each step's gradient"))
            return []
        if rows.cyclic:
            lines.append(f"BATCHES = (np.arange(STEPS * {size}) % {count}).reshape(STEPS, {size})")
            return []
        draw = conditions._epochs
        text = self._function(draw)
        random = f"np.random.default_rng([{under.seed}, 1])"
        lines.append(f"BATCHES = {self._name(draw)}({random}, {count}, {size}, STEPS)")
        return [text]

    def _loop(self) -> str:
        """Return the function that takes one racer's steps."""
        entry = self.surface.entry
        names = [name for name in list(inspect.signature(entry.function).parameters)[2:] if name != "data"]
        values = [float(value) for _, value in self.surface.pairs]
        options = "".join(f", {name}={value!r}" for name, value in zip(names, values, strict=False))
        surface = f"{self.called}(x, y{options}"
        rows = self.surface.entry.rows
        flat = "sum(ROWS, [])" if self.torch else "ROWS.ravel()"
        whole = f"{surface}{', data=data' if rows is not None else ''})"
        lines = [
            "def walk(rule, state, lr, **hyper):",
            '    """Take STEPS steps; return the points and f at each, up to where a walk diverges."""',
        ]
        if rows is not None:
            lines.append(f"    data = {flat}")
        if self.torch:
            lines += [
                "    x, y = START",
                "    theta = torch.tensor(START, requires_grad=True)",
                "    optimizer = RuleOptimizer([theta], rule, state, lr, **hyper)",
            ]
        else:
            lines += [
                "    x, y = map(np.float64, START)",
                "    hyper = {name: np.float64(value) for name, value in hyper.items()}",
                "    state_x = state_y = state",
            ]
        lines += [
            f"    f, gx, gy = {whole}",
            "    path, loss = [(float(x), float(y))], [float(f)]",
            "    for k in range(STEPS):",
        ]
        body = [*self._gradient(surface), *self._step()]
        body += [
            "if not (abs(x) <= 1e9 and abs(y) <= 1e9):",
            "    break  # it has diverged",
            f"f, gx, gy = {whole}",
            "if not math.isfinite(f):",
            "    break",
            "path.append((float(x), float(y)))",
            "loss.append(float(f))",
        ]
        return "\n".join([*lines, *(f"        {line}" for line in body), "    return path, loss"])

    def _gradient(self, surface: str) -> list[str]:
        """Return what makes of the gradient the one that is used."""
        under = self.conditions
        body: list[str] = []
        if under.batches(self.surface, self.steps).size:
            body += [
                "batch = sum((ROWS[row] for row in BATCHES[k]), [])"
                if self.torch
                else "batch = ROWS[BATCHES[k]].ravel()",
                f"_, gx, gy = {surface}, data=batch)",
            ]
        if under.noise:
            body.append("gx, gy = gx + NOISE[k][0], gy + NOISE[k][1]")
        if under.clip_norm is not None:
            body += [
                "factor = CLIP_NORM / (math.sqrt(gx * gx + gy * gy) + 1e-6)",
                "if not factor >= 1:",
                "    gx, gy = gx * factor, gy * factor",
            ]
        if under.clip_value is not None:
            body.append("gx, gy = (min(max(g, -CLIP_VALUE), CLIP_VALUE) for g in (gx, gy))")
        return body

    def _step(self) -> list[str]:
        """Return what takes (x, y) on by one step."""
        under, box, body = self.conditions, self.surface.entry.box, []
        new = "x, y" if box is None else "new_x, new_y"
        now = "lr * FACTORS[k]" if under.schedule is not None else "lr"
        if self.torch:
            body += [f'optimizer.param_groups[0]["lr"] = {now}'] * (under.schedule is not None)
            body += ["theta.grad = torch.tensor([gx, gy])", "optimizer.step()"]
            body.append(f"{new} = theta.tolist()")
        else:
            body += [
                f"now = np.float64({now})",
                "# each coordinate by itself",
                "dx, state_x, _ = rule(x, gx, k + 1.0, *state_x, lr=now, **hyper)",
                "dy, state_y, _ = rule(y, gy, k + 1.0, *state_y, lr=now, **hyper)",
            ]
            body.append(f"{new} = x + dx, y + dy")
        if box is not None:
            body += [
                "(left, right), (bottom, top) = BOX",
                "if not (left <= new_x <= right and bottom <= new_y <= top):",
                "    new_x = x + (min(max(new_x, left), right) - x)",
                "    new_y = y + (min(max(new_y, bottom), top) - y)",
                "x, y = new_x, new_y",
            ]
            if self.torch:
                body.append("theta.data = torch.tensor([x, y])")
        return body

    def _racers(self) -> str:
        """Return the table of racers: rule, state, hyperparameters."""
        lines = ["RACERS = {"]
        for notation, walk in self.walks.items():
            racer = walk.racer
            if self.torch and (twin := _twin(racer)):
                lines += textwrap.wrap(twin, WIDTH, initial_indent="    # ", subsequent_indent="    #     ")
            state = [
                _start(start) if self.torch and not quantity.shared else repr(start)
                for quantity, start in zip(racer.optimizer.states, racer.initial, strict=True)
            ]
            given = [
                f"rule={self._name(racer.optimizer.rule)}",
                f"state=({', '.join(state)}{',' if len(state) == 1 else ''})",
                *(f"{name}={float(value)!r}" for name, value in racer.arguments.items()),
            ]
            lines.append(f'    "{notation}": dict(')
            lines += textwrap.wrap(
                ", ".join(given) + ",", WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8
            )
            lines.append("    ),")
        return "\n".join([*lines, "}"])


# Names a program has a use for itself, so that no rule or surface goes by them.
_OWN = """
math np torch pi e RuleOptimizer surface walk rule state lr hyper data batch x y f gx gy g path loss k factor
now dx dy state_x state_y new_x new_y left right bottom top theta optimizer paths losses name racer taken end
START STEPS CLIP_NORM CLIP_VALUE BOX FACTORS NOISE ROWS BATCHES RACERS
"""
_TAKEN = {*dir(builtins), *_LIBM, *_NUMPY, *_TORCH, *_OWN.split()}
_END = """\
paths, losses = {}, {}
for name, racer in RACERS.items():
    paths[name], losses[name] = walk(**racer)
    taken, (x, y), f = len(paths[name]) - 1, paths[name][-1], losses[name][-1]
    end = "" if taken == STEPS else ", then it diverges"
    print(f"{name}: after {taken} steps at ({x!r}, {y!r}), loss {f!r}{end}")"""
RISKY = {"/", "whole_power"}
_GUARDED = '''\
def surface(x, y, **options):
    """Return f, ∂f/∂x, ∂f/∂y; NaN where one can't be worked out."""
    try:
        return {name}(x, y, **options)
    except ArithmeticError:  # Python's numbers refuse 1/0
        return math.nan, math.nan, math.nan'''


def _recipe(schedule: Schedule, steps: int) -> list[tuple[Callable[..., Any], dict[str, Any]]]:
    """Return the functions, and their arguments, whose results in turn are a schedule's factors."""
    return [
        (part.entry.factors, {"steps": takes, **part.entry.arguments(part.values, takes)})
        for part, takes in schedule.spans(steps)
    ]


def _start(value: float) -> str:
    return f"torch.full((2,), {value!r})" if value else "torch.zeros(2)"


def _twin(racer: Racer) -> str:
    twin = racer.optimizer.twin
    arguments = twin.arguments(racer.values) if twin else None
    if twin is None or arguments is None:
        return ""
    given = "".join(f", {name}={value!r}" for name, value in arguments.items())
    return f"The same to 1e-12: torch.optim.{twin.name}([theta]{given})"


def _plain(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)


def _as_array(table: str) -> str:
    head, _, rest = table.partition(" = [")
    return f"{head} = np.array([{rest})"


def _joined(parts: Iterable[str]) -> str:
    """Join the parts of a module: two blank lines around functions, one elsewhere."""
    text, before_function = "", False
    for part in filter(None, parts):
        function = part.startswith(("def ", "class "))
        part = part.rstrip("\n")
        gap = "\n\n\n" if function or before_function else "\n\n"
        text += part if not text else gap + part
        before_function = function
    return text.rstrip("\n") + "\n"


def _bare(text: str, name: str) -> str:
    """Return a function under a name, without decorators and annotations, its body as it is written."""
    tree = ast.parse(text)
    definition = next(node for node in tree.body if isinstance(node, ast.FunctionDef))
    arguments = definition.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        argument.annotation = None
    head = f"def {name}({ast.unparse(arguments)}):"
    if len(head) > WIDTH:
        inner = textwrap.fill(ast.unparse(arguments), WIDTH, initial_indent="    ", subsequent_indent="    ")
        head = f"def {name}(\n{inner}\n):"
    body = definition.body[0]
    if body.lineno == definition.lineno:
        return f"{head}\n" + textwrap.indent("\n".join(map(ast.unparse, definition.body)), "    ")
    return "\n".join([head, *text.splitlines()[body.lineno - 1 : definition.end_lineno]])


def _powers(text: str, everywhere: bool = False) -> str:
    """Write powers as compiled code raises them: to whole numbers by squaring, to ½ by √, of 2 by exp2.

    With `everywhere` the others become the C library's pow too, where Python's own ** would raise an error.
    """
    while True:
        for node in ast.walk(ast.parse(text)):
            written = _power(node, text, everywhere)
            if written is not None:
                assert isinstance(node, ast.BinOp)
                text = _replaced(text, node, written)
                break
        else:
            return text


def _power(node: ast.AST, text: str, everywhere: bool) -> str | None:
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Pow):
        return None
    if any(_power(inner, text, everywhere) for part in (node.left, node.right) for inner in ast.walk(part)):
        return None  # its own powers first
    base, exponent = (ast.get_source_segment(text, part) for part in (node.left, node.right))
    known = _number(node.right)
    if isinstance(known, int) or known == 2:
        return f"whole_power({base}, {int(known)})"
    if known == 0.5:
        return f"sqrt({base})"
    if _number(node.left) == 2:
        return f"exp2({exponent})"
    return f"pow({base}, {exponent})" if everywhere else None


def _number(node: ast.expr) -> float | None:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _replaced(text: str, node: ast.BinOp, written: str) -> str:
    lines = text.encode().splitlines(keepends=True)  # columns count bytes
    assert node.end_lineno is not None
    before = b"".join(lines[: node.lineno - 1]) + lines[node.lineno - 1][: node.col_offset]
    after = lines[node.end_lineno - 1][node.end_col_offset :] + b"".join(lines[node.end_lineno :])
    return (before + written.encode() + after).decode()
