"""Many walks side by side: a rule and a surface compiled together, for maps.

What all walks share at a step (lr, 1 − βᵗ) is taken out of the rule and computed once; what is left is a
straight line of arithmetic, which LLVM turns into vector instructions. Nothing is reassociated or
approximated: every walk is, to the last bit, the one `kernels.walk` takes. A division by a shared number is
done as a product with its reciprocal, corrected by two fused multiply-adds, which rounds as the division does
(Brisebarre, Muller and Raina, IEEE Trans. Computers 53 (2004)) as long as nothing underflows or overflows; a
walk in which something might is marked, to be taken again by `kernels.walk_many`.
"""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Callable
from functools import cache, reduce
from typing import Any, NamedTuple, TypeGuard

from optimizers.kernels import ON, RULE, clamp, inlined, is_loaded_or_on_disk, load
from optimizers.source import source

WIDTH = 64  # walks side by side: enough vectors for one to start while another waits for its square root


class Kind(NamedTuple):
    """What the code of a kernel depends on beside its rule and its surface."""

    states: int
    minima: int
    noise: bool
    batches: bool
    clip_norm: bool
    clip_value: bool
    box: bool
    quotients: bool = True  # whether a division by a shared number may be done as a corrected product


@cache
def lanes_kernel(
    rule: Callable[..., Any], surface: Callable[..., Any], kind: Kind
) -> tuple[Callable[..., None], list[str]]:
    """Compile a rule on a surface; return the kernel and the hyperparameters it takes beside lr, in order."""
    label, parts, hyper = _module(rule, surface, kind)
    return load(label, *parts).kernel, hyper


def is_compiled(rule: Callable[..., Any], surface: Callable[..., Any], kind: Kind) -> bool:
    """Tell whether `lanes_kernel` would find its result rather than compile for a second."""
    label, parts, _ = _module(rule, surface, kind)
    return is_loaded_or_on_disk(label, *parts)


@cache
def _module(
    rule: Callable[..., Any], surface: Callable[..., Any], kind: Kind
) -> tuple[str, list[str], list[str]]:
    """Write the module of a kernel: its label, its parts, and the names of its hyperparameters."""
    names = list(inspect.signature(rule).parameters)
    own = [*names[:2], *names[3 : 3 + kind.states]]  # of each walk: θ, g and the state
    common = [name for name in names if name not in own]
    hyper = [name for name in common if name not in ("t", "lr")]
    parts, passed, divisors = _split(rule, own, common, kind.quotients)
    text = _kernel(surface, kind, common, hyper, passed, divisors)
    parts = [_QUOTIENT, inlined(source(clamp)), *parts, inlined(surface, ON), text]
    return f"{rule.__name__}_on_{surface.__name__}", parts, hyper


def _split(
    rule: Callable[..., Any], own: list[str], common: list[str], quick: bool
) -> tuple[list[str], list[str], list[str]]:
    """Split a rule into what all walks share at a step and what each does with it.

    Returns:
        parts: sources, among them `shared(numbers, k, *common)`, which writes row k, and `lane(*own,
            *numbers)`, which returns what the rule returns, and the least size of a quotient's numerator.
        passed: the names of those numbers.
        divisors: which of them quotients divide by.
    """
    [function] = ast.parse(source(rule)).body
    assert isinstance(function, ast.FunctionDef)
    steps = [line for line in function.body if not isinstance(line, ast.Expr)]  # all but the docstring
    if _is_plain(function.args, steps):
        splitter = _Splitter(own, common, quick)
        lines = [text for line in copy.deepcopy(steps) for text in splitter.take(line)]
        if splitter.asks and splitter.quotients:  # whose answer about NaN would hide a quotient's overflow
            splitter = _Splitter(own, common, quick=False)
            lines = [text for line in steps for text in splitter.take(line)]
        parts, before, passed = [], splitter.before, splitter.passed
        divisors = list(dict.fromkeys(k for _, k in splitter.quotients))
    else:  # a rule with branches, loops or more in it stays whole
        passed = [f"_{name}" for name in common]
        given = [f"_{name}" if name in common else name for name in inspect.signature(rule).parameters]
        lines = [f"update, state, shown = {RULE}({', '.join(given)})"]
        lines += ["return update, state, shown, np.inf"]
        divisors, parts, before = (
            [],
            [inlined(rule, RULE)],
            [f"{new} = {name}" for new, name in zip(passed, common, strict=True)],
        )
    before = [*before, *(f"_numbers[_k, {i}] = {name}" for i, name in enumerate(passed))]
    body = "".join(f"    {line}\n" for line in before or ["pass"])
    parts.append(inlined(f"def shared({', '.join(['_numbers', '_k', *common])}):\n{body}"))
    body = "".join(f"    {line}\n" for line in lines)
    parts.append(inlined(f"def lane({', '.join([*own, *passed])}):\n{body}"))
    return parts, passed, divisors


# What a line may consist of, for a part of it to be worked out elsewhere.
_PLAIN = (ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.Call, ast.Compare, ast.IfExp, ast.Tuple)
_NOT_PLAIN = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.Invert, ast.Not)  # truths; shared ones become numbers


def _is_plain(arguments: ast.arguments, steps: list[ast.stmt]) -> bool:
    """Tell whether a rule is arithmetic, name after name, of which each shared part is a float."""
    *lines, last = steps
    names = [node.arg for node in ast.walk(arguments) if isinstance(node, ast.arg)]
    if not all(isinstance(line, ast.Assign) for line in lines) or not isinstance(last, ast.Return):
        return False
    for line in lines:
        assert isinstance(line, ast.Assign)
        together = isinstance(line.value, ast.Tuple)
        names += [
            node.id for target in line.targets for node in ast.walk(target) if isinstance(node, ast.Name)
        ]
        if any(isinstance(target, ast.Tuple) != together for target in line.targets):
            return False  # a tuple under one name
        if any(map(_is_whole, line.value.elts if isinstance(line.value, ast.Tuple) else [line.value])):
            return False
    return (
        isinstance(last.value, ast.Tuple)
        and len(last.value.elts) == 3
        and not any(name.startswith("_") or name in ("np", "float") for name in names)  # the kernel's own
        and all(_is_plain_part(node) for line in steps for node in ast.walk(line))
    )


def _is_plain_part(node: ast.AST) -> bool:
    if isinstance(node, ast.expr) and not isinstance(node, _PLAIN):
        return False
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and not node.keywords
    if (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Pow)
        and not isinstance(node.right, ast.Constant)
    ):
        return not _is_whole(node.right)  # as a float it would be raised to in another way
    return not isinstance(node, _NOT_PLAIN)


def _is_whole(node: ast.expr) -> bool:
    """Tell whether this is an int or a bool in compiled code, given that every name is a float."""
    match node:
        case ast.Constant(value=value):
            return isinstance(value, int)
        case ast.Compare():
            return True
        case ast.UnaryOp(operand=operand):
            return _is_whole(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return not isinstance(op, ast.Div) and _is_whole(left) and _is_whole(right)
        case ast.IfExp(body=a, orelse=b) | ast.Call(func=ast.Name(id="where"), args=[_, a, b]):
            return _is_whole(a) and _is_whole(b)
        case ast.Call(func=ast.Name(id="abs" | "maximum"), args=arguments):
            return all(map(_is_whole, arguments))
    return False


def _divides(node: ast.AST) -> TypeGuard[ast.BinOp]:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)


class _Splitter(ast.NodeTransformer):
    """Takes out of a rule, line by line, what is the same for all walks."""

    def __init__(self, own: list[str], common: list[str], quick: bool) -> None:
        self.quick = quick  # whether to divide by reciprocals
        self.asks = False  # whether a walk's own numbers are compared
        self.own = set(own)  # names that differ from walk to walk
        self.now = {name: name for name in common}  # each other name -> what it is called in `shared`
        self.before: list[str] = []  # the lines of `shared`
        self.passed: list[str] = []  # what it returns
        self.known: dict[str, str] = {}  # an expression -> its name among them
        self.ahead: list[str] = []  # what has to stand before the line that is being taken
        self.quotients: list[tuple[str, str]] = []  # numerator and divisor

    def take(self, line: ast.stmt) -> list[str]:
        """Take one line of the rule; return the lines that stand for it in `lane`."""
        self.ahead = []
        if isinstance(line, ast.Return):
            assert isinstance(line.value, ast.Tuple)
            parts = [ast.unparse(self.visit(part)) for part in line.value.elts]
            least = reduce("_lesser({}, {})".format, [f"abs({a})" for a, _ in self.quotients] or ["np.inf"])
            return [*self.ahead, f"return {', '.join(parts)}, {least}"]
        assert isinstance(line, ast.Assign)
        targets = [node for target in line.targets for node in ast.walk(target) if isinstance(node, ast.Name)]
        if self._shared(line.value):
            value = self._shared_text(line.value)
            for target in targets:
                self.own.discard(target.id)
                self.now[target.id] = target.id = f"_{target.id}_{len(self.before)}"  # no argument's name
            self.before.append(" = ".join([*map(ast.unparse, line.targets), value]))
            return []
        value = ast.unparse(self.visit(line.value))
        self.own.update(target.id for target in targets)
        return [*self.ahead, " = ".join([*map(ast.unparse, line.targets), value])]

    def visit(self, node: ast.AST) -> Any:
        """Replace what is shared by its name, and a division by it by `_quotient`."""
        if isinstance(node, ast.Tuple):
            return self.generic_visit(node)
        if isinstance(node, ast.expr) and not isinstance(node, ast.Constant) and self._shared(node):
            return self._pass(self._shared_text(node))
        self.asks |= isinstance(node, ast.Compare)
        if isinstance(node, ast.Call):
            self.asks |= ast.unparse(node.func) == "sign"
            node.args = [self.visit(argument) for argument in node.args]
            return node
        if self.quick and _divides(node) and self._shared(node.right):
            divisor = self._shared_text(node.right)
            above, k = ast.unparse(self.visit(node.left)), self._pass(divisor)
            numerator = f"_numerator_{len(self.quotients)}"  # named now: in `above` may be quotients too
            self.ahead.append(f"{numerator} = {above}")
            self.quotients.append((numerator, k.id))
            arguments: list[ast.expr] = [ast.Name(numerator), k, self._pass(f"1.0 / ({divisor})")]
            return ast.Call(ast.Name("_quotient"), arguments, [])
        return self.generic_visit(node)

    def _shared(self, node: ast.AST) -> bool:
        return not any(isinstance(part, ast.Name) and part.id in self.own for part in ast.walk(node))

    def _shared_text(self, node: ast.expr) -> str:
        """Write a shared expression in the names of `shared`."""
        renamed = ast.parse(ast.unparse(node), mode="eval").body
        for part in ast.walk(renamed):
            if isinstance(part, ast.Name):
                part.id = self.now.get(part.id, part.id)
        return ast.unparse(renamed)

    def _pass(self, text: str) -> ast.Name:
        if text not in self.known:
            self.known[text] = f"_{len(self.passed)}"
            self.passed.append(self.known[text])
            self.before.append(f"{self.known[text]} = {text}")
        return ast.Name(self.known[text])


_QUOTIENT = """\
@intrinsic
def _fma(context, a, b, c):
    def generate(context, builder, signature, arguments):
        return builder.fma(*arguments)
    return float64(float64, float64, float64), generate


@njit(error_model="numpy")
def _quotient(a, k, reciprocal):
    q = a * reciprocal
    return _fma(_fma(-q, k, a), reciprocal, q)


@njit(error_model="numpy")
def _lesser(a, b):
    return a if a < b else b"""

# (first and last + 1 block, starts (2, N), lr (T,), hyper, initial, parameters, minima (M, 2), radius, noise,
# batches, first row, columns, clip_norm, clip_value, box, farthest, loss (N,), ends (4, N))
_SIGNATURE = (
    "void(int64, int64, float64[:, ::1], float64[::1], float64[::1], float64[::1], float64[::1], "
    "float64[:, ::1], float64, float64[:, ::1], int64[:, ::1], int64, int64, float64, float64, float64[::1], "
    "float64, float64[::1], int32[:, ::1])"
)


def _kernel(
    surface: Callable[..., Any],
    kind: Kind,
    common: list[str],
    hyper: list[str],
    passed: list[str],
    divisors: list[str],
) -> str:
    """Write the kernel: blocks of walks, in each all steps, at each step all walks of the block."""
    given = list(inspect.signature(surface).parameters)[2:]
    on = [name for name in given if name != "data"]
    at = f"{ON}(x, y{''.join(f', on_{name}' for name in given)})"
    on_batch = at.replace("on_data", "on_batch")
    arguments = {"t": "k + 1.0", "lr": "lr[k]"} | {name: f"hyper[{i}]" for i, name in enumerate(hyper)}
    state = [(s, axis) for s in range(kind.states) for axis in (0, 1)]
    rows = {"x": 0, "y": 1, "x before": 2, "y before": 3, "outside": 4, "lost": 5, "least": 6}
    row = {name: f"lanes[{index}, j]" for name, index in rows.items()}
    row |= {f"state {s} {axis}": f"lanes[{7 + 2 * s + axis}, j]" for s, axis in state}

    def look(k: str, *also: str) -> list[str]:
        """What is asked of the point (x, y) at step k: is it lost, is it outside of every minimum's reach?"""
        return [
            f"x, y = {row['x']}, {row['y']}",
            f"f, gx, gy = {at}",
            "square = np.inf",
            *(
                line
                for m in range(kind.minima)
                for line in (
                    f"there = (x - x_{m}) * (x - x_{m}) + (y - y_{m}) * (y - y_{m})",
                    *(line.format(m=m) for line in also),
                    "square = there if there < square else square",
                )
            ),
            f"outside, lost = {row['outside']}, {row['lost']}",
            f"{row['outside']} = outside if square <= radius * radius else {k}",
            "well = (abs(x) <= farthest) & (abs(y) <= farthest) & (f - f == 0.0)",
            f"{row['lost']} = {k} if (lost < 0.0) & (not well) else lost",
        ]

    def steps() -> list[str]:
        lines = look("now")
        if kind.batches:
            lines += [f"_, gx, gy = {on_batch}"]
        if kind.noise:
            lines += ["gx, gy = gx + noise_x, gy + noise_y"]
        if kind.clip_norm:
            lines += ["factor = clip_norm / (sqrt(gx * gx + gy * gy) + 1e-6)"]
            lines += [f"{g} = {g} if factor >= 1 else {g} * factor" for g in ("gx", "gy")]
        if kind.clip_value:
            lines += [f"{g} = clamp({g}, -clip_value, clip_value)" for g in ("gx", "gy")]
        for axis, name in enumerate("xy"):
            kept = [row[f"state {s} {axis}"] for s in range(kind.states)]
            own = ", ".join([name, f"g{name}", *kept, *passed])
            lines += [f"u{name}, new_{name}, _, least_{name} = lane({own})"]
        if kind.box:
            lines += ["x_next, y_next = x + ux, y + uy"]
            lines += [
                "beyond = (x_next < box[0]) | (x_next > box[1]) | (y_next < box[2]) | (y_next > box[3])"
            ]
            lines += ["ux = clamp(x_next, box[0], box[1]) - x if beyond else ux"]
            lines += ["uy = clamp(y_next, box[2], box[3]) - y if beyond else uy"]
        lines += [f"{row[f'state {s} {axis}']} = new_{'xy'[axis]}[{s}]" for s, axis in state]
        lines += [f"{row['x']}, {row['y']} = x + ux, y + uy"]
        return [
            *lines,
            *([f"{row['least']} = _lesser(_lesser(least_x, least_y), {row['least']})"] if divisors else []),
        ]

    def end() -> list[str]:
        lines = look("float(lr.size)", "nearest = {m} if there < square else nearest")
        return [
            "nearest = -1",
            *lines,
            f"dx, dy, lost = x - {row['x before']}, y - {row['y before']}, {row['lost']}",
            "at_rest = dx * dx + dy * dy <= radius * radius",
            "arrived = (lost < 0.0) & at_rest & (square <= radius * radius)",
            "i = block * WIDTH + j",
            "loss[i] = f if lost < 0.0 else np.nan",
            f"ends[0, i] = {row['outside']} + 1.0 if arrived else -1.0",
            "ends[1, i] = nearest if arrived else -1",
            "ends[2, i] = lost",
            # a quotient that overflows is NaN, and loses the walk; a start without a value does not yet
            f"ends[3, i] = ({row['least']} < 1e-290) | (lost >= 0.0)"
            if divisors
            else "ends[3, i] = lost == 0.0",
        ]

    def indented(depth: int, lines: list[str]) -> str:
        return "\n".join(" " * 4 * depth + line for line in lines)

    batch = """
        for i in range(batches.shape[1]):
            for c in range(columns):
                batch[i * columns + c] = parameters[first_row + batches[k, i] * columns + c]"""
    return f"""\
WIDTH = {WIDTH}


@njit("{_SIGNATURE}", nogil=True, cache=True, error_model="numpy")
def kernel(
    first, last, starts, lr, hyper, initial, parameters, minima, radius, noise, batches, first_row, columns,
    clip_norm, clip_value, box, farthest, loss, ends
):
    lanes = np.empty(({7 + 2 * kind.states}, WIDTH))
    usual = True  # no divisor is so small or large that a remainder might not be normal
    numbers = np.empty((lr.size, {len(passed)}))
    for k in range(lr.size):
        shared({", ".join(["numbers", "k", *(arguments[name] for name in common)])})
{indented(2, [f"usual &= 1e-17 <= abs(numbers[k, {passed.index(k)}]) <= 1e17" for k in divisors])}
{indented(1, [f"on_{name} = parameters[{i}]" for i, name in enumerate(on)])}
{indented(1, [f"on_data = parameters[{len(on)}:]"] if "data" in given else [])}
{indented(1, ["batch = np.empty(batches.shape[1] * columns)", "on_batch = batch"] if kind.batches else [])}
{indented(1, [f"x_{m}, y_{m} = minima[{m}, 0], minima[{m}, 1]" for m in range(kind.minima)])}
    for block in range(first, last):
        for j in range(WIDTH):
            {row["x"]}, {row["y"]} = starts[0, block * WIDTH + j], starts[1, block * WIDTH + j]
            {row["outside"]}, {row["lost"]}, {row["least"]} = -1.0, -1.0, np.inf if usual else 0.0
{indented(3, [f"{row[f'state {s} {axis}']} = initial[{s}]" for s, axis in state])}
        for k in range(lr.size):
            now = float(k)
{indented(3, [f"{name} = numbers[k, {i}]" for i, name in enumerate(passed)])}
{indented(3, ["noise_x, noise_y = noise[k, 0], noise[k, 1]"] if kind.noise else [])}
{indented(1, batch.splitlines()) if kind.batches else ""}
            if k == lr.size - 1:
                for j in range(WIDTH):
                    {row["x before"]}, {row["y before"]} = {row["x"]}, {row["y"]}
            for j in range(WIDTH):
{indented(4, steps())}
        for j in range(WIDTH):
{indented(3, end())}"""
