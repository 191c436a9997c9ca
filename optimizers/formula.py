"""A learner's own f(x, y): `formula("(1-x)**2 + 100*(y-x**2)**2")`, a surface like any other.

The text is split into numbers, names and signs, parsed by `ast`, and taken only where it is arithmetic of x
and y with the functions below: nothing in it is ever run. SymPy is given it node by node and differentiates
it; f as it was typed, and the gradient, are then written as one small function and compiled as every surface
is. SymPy never sees a large number: what is constant is worked out first, in float64, and exponents are
small. It is imported only for a formula that this machine has not met before.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import math
import re
from collections.abc import Callable
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optimizers.kernels import evaluate, kept, surface_kernel
from optimizers.minima import CELLS, Sampler, find_minima
from optimizers.notation import Hyperparameter, shown, unknown
from optimizers.surfaces import Entry, FloatArray, Point, ValueAndGradient

LONGEST = 240  # characters
DEEPEST = 30  # operations within one another
LARGEST = 600  # operations of f and its gradient together: about half a second of compiling
HIGHEST = 100  # an exponent, and the product of exponents of powers within powers
SMALLEST, GREATEST = 1e-100, 1e100  # size of a constant that is not 0

NAMES = {"x": None, "y": None, "pi": math.pi, "e": math.e}  # None is a variable
FUNCTIONS: dict[str, Callable[..., float]] = {
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "abs": abs,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "min": min,
    "max": max,
}
ARGUMENTS = {"min": 2, "max": 2}  # of every other function: 1

HYPERPARAMETERS = (
    Hyperparameter("reach", "reach", 5.0, low=1e-3, high=1e6, slider=(0.5, 50.0), scale="log"),
)

_TOKEN = re.compile(
    r"\s*(?:([0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)|([A-Za-z_]\w*)|(\*\*|[-+*/(),]))",
    re.ASCII,
)
# What one writes on paper, or copies from there.
_PAPER = str.maketrans({"^": "**", "−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "π": "pi"})
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_NAMED = re.compile(r"\s*(?:z|f\s*\(\s*x\s*,\s*y\s*\))\s*=(?!=)\s*")  # z = …, as one says it in class
# What else one writes on paper, and how it is written here.
_WRITTEN = {
    "|": "has abs(x) for |x|",
    "√": "has sqrt(x) for a root",
    "=": "is only what f(x, y) equals; leave out = and what is on its other side",
    "ln": "has log(x), the natural logarithm, for ln(x)",
}
_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}

# A number, "x" or "y", or an operation and what it is done to, e.g. ("+", "x", 1.0).
Term = Any


def read(text: object) -> str:
    """Return the one way to write a formula, which reads back as the same; raise a ValueError for no formula.

    >>> read("(1 - x)^2 + 100·(y − x²)²")
    '(1-x)**2 + 100*(y-x**2)**2'
    """
    if not isinstance(text, str):
        raise ValueError(f'f of formula is {text!r:.60}, but takes text such as "x**2 + y**2".')
    if len(text) > LONGEST:
        raise _too_long(text)
    return _read(text)


@lru_cache(maxsize=1024)  # a slider asks for the same few surfaces again and again
def _read(text: str) -> str:
    plain = re.sub(
        "[⁰¹²³⁴-⁹]+", lambda raised: f"**{raised[0].translate(_RAISED)}", text
    )  # x²³ is x to the 23
    written = _write(_tokens(plain.translate(_PAPER), text))
    if len(written) > LONGEST:
        raise _too_long(text)
    _term(written)
    return written


def _too_long(text: str) -> ValueError:
    return ValueError(f"{shown(text)} is too long for a formula: at most {LONGEST} characters.")


def _tokens(text: str, typed: str) -> list[str]:
    """Split a formula; every name in it is known, and between two values stands a sign."""
    tokens: list[str] = []
    at = 0
    text = _NAMED.sub("", text.rstrip())
    if not text:
        raise ValueError("The formula is empty; write one in x and y, such as x**2 + y**2.")
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            sign = text[at:].lstrip()[0]
            takes = "takes numbers, x, y, pi, e, + - * / ** and functions such as sin(x)"
            raise ValueError(f"{shown(typed)} has {sign!r} in it, but a formula {_WRITTEN.get(sign, takes)}.")
        at = match.end()
        token = match.group(match.lastindex or 0)
        if match.lastindex == 2:
            _known(token, called=text[at:].lstrip().startswith("("))
        last = tokens[-1] if tokens else ""
        begins = match.lastindex in (1, 2) or (token == "(" and last not in FUNCTIONS)
        if begins and last and _ends(last):
            raise ValueError(
                f"{shown(typed)} lacks a sign between {shown(last)} and {shown(token)}; "
                "write a product with *, as in 2*x."
            )
        tokens.append(token)
    return tokens


def _ends(token: str) -> bool:
    """Tell whether a value ends with this token."""
    return token == ")" or token[0].isalnum() or token[0] in "._"


def _known(name: str, called: bool) -> None:
    if name in FUNCTIONS and not called:
        raise ValueError(f"{name} is a function; write {name}({', '.join('xy'[: ARGUMENTS.get(name, 1)])}).")
    if name not in NAMES and name not in FUNCTIONS:
        if name in _WRITTEN:
            raise ValueError(f"{name} is no function here: a formula {_WRITTEN[name]}.")
        if re.fullmatch("[xye]{2,4}", name):
            raise ValueError(f"{name} is no name; write a product with *, as in {'*'.join(name)}.")
        kind, known = ("function", list(FUNCTIONS)) if called else ("name", list(NAMES))
        raise unknown(kind, name, known, "A formula")


def _write(tokens: list[str]) -> str:
    """Join tokens, with room around the signs between a formula's terms."""
    text = ""
    depth = 0
    last = ""
    for token in tokens:
        depth += (token == "(") - (token == ")")
        between = token in "+-" and depth == 0 and bool(last) and _ends(last)
        text += f" {token} " if between else f"{token} " if token == "," else token
        last = token
    return text


def _term(text: str) -> Term:
    """Parse a formula whose names are known, with constants worked out."""
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        node = None
    if node is None or any(isinstance(part, ast.Tuple | ast.Starred) for part in ast.walk(node)):
        raise ValueError(f"{shown(text.rstrip())} {_slip(text.rstrip())}.")
    if _depth(node) > DEEPEST:
        raise ValueError(f"{shown(text)} has operations within one another more than {DEEPEST} deep.")
    return _fold(node)


def _slip(text: str) -> str:
    """Say what keeps a text from being a formula: of what one is still typing, what is yet to come."""
    if text[-1] in "+-*/,":
        sign = "**" if text.endswith("**") else text[-1]
        return f"ends with {sign}; write what comes after it"
    missing = text.count("(") - text.count(")")
    if missing > 0:
        return f"lacks {'a closing bracket' if missing == 1 else f'{missing} closing brackets'}; write )"
    if missing < 0:
        return "has a closing bracket too many; take one ) away"
    if re.search("[0-9], [0-9]", text) and not re.search("min|max", text):
        return "has a comma between digits; write a decimal with a point, as in 1.5"
    return "is no formula; write one like (1-x)**2 + 100*(y-x**2)**2"


def _depth(node: ast.AST) -> int:
    deepest, level = 0, [node]
    while level:
        deepest += 1
        level = [
            child for parent in level for child in ast.iter_child_nodes(parent) if isinstance(child, ast.expr)
        ]
    return deepest


def _fold(node: ast.expr) -> Term:
    """Turn a parsed formula into a Term; the whitelist is the cases below."""
    match node:
        case ast.Constant(value=int() | float() as value):
            return _constant(node, lambda: float(value))
        case ast.Name(id=name) if name in NAMES:
            constant = NAMES[name]
            return name if constant is None else constant
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _fold(operand)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            term = _fold(operand)
            return -term if isinstance(term, float) else ("-", term)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _SIGNS:
            a, b = _fold(left), _fold(right)
            sign = _SIGNS[type(op)]
            if sign == "**" and isinstance(b, float):
                _check_exponent(node, a, b)
            if isinstance(a, float) and isinstance(b, float):
                return _constant(node, lambda: _ARITHMETIC[sign](a, b))
            if sign == "/" and b == 0:
                raise ValueError(f"{shown(ast.unparse(node))} divides by zero.")
            return (sign, a, b)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            if len(arguments) != ARGUMENTS.get(name, 1):
                takes = "two numbers" if name in ARGUMENTS else "one number"
                raise ValueError(
                    f"{name} takes {takes}, but is given {len(arguments)} in {shown(ast.unparse(node))}."
                )
            terms = [_fold(argument) for argument in arguments]
            if all(isinstance(term, float) for term in terms):
                return _constant(node, lambda: FUNCTIONS[name](*terms))
            return (name, *terms)
    raise ValueError(f"{shown(ast.unparse(node))} is no part of a formula.")


_ARITHMETIC: dict[str, Callable[[float, float], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
}


def _constant(node: ast.expr, work_out: Callable[[], Any]) -> float:
    """Return a constant part's value, or say that it has none."""
    try:
        value = work_out()
    except OverflowError:
        value = math.inf
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if isinstance(value, complex) or math.isnan(value):
        raise ValueError(f"{shown(ast.unparse(node))} in the formula is not a real number.")
    if value != 0 and not SMALLEST <= abs(value) <= GREATEST:
        raise ValueError(
            f"{shown(ast.unparse(node))} in the formula is out of range: "
            f"a number's size is 0 or from {SMALLEST:g} to {GREATEST:g}."
        )
    return value


def _check_exponent(node: ast.expr, base: Term, exponent: float) -> None:
    if abs(exponent) > HIGHEST:
        raise ValueError(
            f"The exponent in {shown(ast.unparse(node))} is {exponent:g}, but takes −{HIGHEST} to {HIGHEST}."
        )
    if _power(base) * max(abs(exponent), 1.0) > HIGHEST:
        raise ValueError(f"The exponents in {shown(ast.unparse(node))} multiply to more than {HIGHEST}.")


def _power(term: Term) -> float:
    """Return the greatest product of exponents of powers within powers."""
    if not isinstance(term, tuple):
        return 1.0
    own = abs(term[2]) if term[0] == "**" and isinstance(term[2], float) else 1.0
    return max(own, 1.0) * max(_power(part) for part in term[1:])


@lru_cache(maxsize=64)
@np.errstate(all="ignore")  # f may be as large as a float can be, and undefined in places
def entry(text: str, reach: float) -> Entry:
    """Return the catalogue's entry for a formula as `read` returns it, shown where |x| and |y| ≤ reach.

    Its minima are found, not proved: see `find_minima`.

    Raises:
        ValueError: f is nowhere finite in the window, or has no slope there, in one sentence.
    """
    sample = _sampler(text)
    axis = reach * np.arange(-CELLS, CELLS + 1) / CELLS
    f, gx, gy = sample(*np.meshgrid(axis, axis))
    if not np.isfinite(f).any():
        raise ValueError(
            f"{shown(text)} has no finite value where x and y are from −{reach:g} to {reach:g}; "
            "give another reach, or another formula."
        )
    slope = np.hypot(gx, gy)
    usable = np.isfinite(f) & np.isfinite(slope) & (slope > 0)
    if not usable.any():
        raise ValueError(f"{shown(text)} has no slope where x and y are from −{reach:g} to {reach:g}.")
    minima, lowest = find_minima(sample, axis, f)
    found = "a lowest level" if math.isfinite(lowest) else "no lowest point"
    if minima:
        found = "one lowest point" if len(minima) == 1 else f"{len(minima)} lowest points"
    return Entry(
        "formula",
        text if len(text) <= 44 else text[:43] + "…",
        function(text),
        bounds=((-reach, reach), (-reach, reach)),
        minima=minima,
        lowest=lowest,
        start=_start(axis, f, slope, usable),
        watch=f"Your own formula: a search finds {found} in this window.",
        citation="your own formula",
        hyperparameters=HYPERPARAMETERS,
    )


@lru_cache(maxsize=64)
def function(text: str) -> Callable[[float, float], ValueAndGradient]:
    """Return f and its gradient as one function, which carries its source for `kernels.load`."""

    def formula(x: float, y: float) -> ValueAndGradient:
        f, gx, gy = _sampler(text)(np.array([x]), np.array([y]))
        return float(f[0]), float(gx[0]), float(gy[0])

    formula.source = source(text)  # type: ignore[attr-defined]
    return formula


def _sampler(text: str) -> Sampler:
    kernel = surface_kernel(function(text))

    def sample(x: FloatArray, y: FloatArray) -> FloatArray:
        out = np.empty((3, x.size))
        evaluate(kernel, np.ravel(x), np.ravel(y), np.empty(0), out)
        return out.reshape(3, *x.shape)

    return sample


def _start(axis: FloatArray, f: FloatArray, slope: FloatArray, usable: NDArray[np.bool_]) -> Point:
    """Return a grid point, up left, that lies neither high nor flat nor beside where f ends, if one does."""
    reach = axis[-1]
    x, y = np.meshgrid(axis, axis)
    away = np.hypot(x + 0.6 * reach, y - 0.5 * reach)
    good = usable & (np.maximum(np.abs(x), np.abs(y)) <= 0.9 * reach)
    for cells, side in itertools.product((-CELLS // 10, CELLS // 10), (0, 1)):
        good &= np.roll(usable, cells, side)
    good &= (f <= np.median(f[usable])) & (slope >= 0.01 * np.median(slope[usable]))
    at = np.argmin(np.where(good if good.any() else usable, away, np.inf))
    return float(x.flat[at]), float(y.flat[at])


@lru_cache(maxsize=256)
def source(text: str) -> str:
    """Return the text of a function formula(x, y) -> (f, ∂f/∂x, ∂f/∂y) for a formula as `read` returns it.

    It is kept on disk, so that the next process needs no SymPy for it; another version of this file or of
    SymPy writes it anew.
    """
    parts = (Path(__file__).read_bytes(), version("sympy").encode(), text.encode())
    key = hashlib.sha256(b"\n".join(parts)).hexdigest()[:16]
    return kept(f"formula_{key}.txt", lambda: derive(text)).read_text("utf-8")


def derive(text: str) -> str:
    """Differentiate a formula, as `read` returns it, and write f and its gradient as one function."""
    from sympy import Symbol, diff
    from sympy.core.parameters import distribute

    term = _term(text)
    try:
        typed = _expression(term, evaluate=False)
        with distribute(False):  # 200(y − x²) stays: 200y − 200x² would lose digits on the valley's floor
            expression = _expression(term, evaluate=True)
            gradient = [diff(expression, Symbol(name)) for name in ("x", "y")]
        lines = _Program([typed, *gradient]).write()
    except RecursionError:
        raise ValueError(f"{shown(text)} is too complicated a formula: it is nested too deeply.") from None
    except _UnusableError as problem:
        raise ValueError(f"{shown(text)} can't be used: {problem}.") from None
    return "\n    ".join(["def formula(x, y):", f'"""{text}."""', *lines]) + "\n"


class _UnusableError(ValueError):
    """Why an expression can't be used, as the end of a sentence."""


@cache
def _algebra() -> dict[str, Callable[..., Any]]:
    """Return SymPy's form of each operation; each takes `evaluate`.

    Size, least and greatest are our own: SymPy's rewrite their arguments, and take long about it.
    """
    import sympy
    from sympy import Add, Function, Integer, Mul, Pow, Rational

    class sign(Function):  # noqa: N801 - printed under this name
        @classmethod
        def eval(cls, u: Any) -> Any:
            return sympy.sign(u) if u.is_number else None

        def fdiff(self, argindex: int = 1) -> Any:
            return Integer(0)

    class abs_(Function):  # noqa: N801
        @classmethod
        def eval(cls, u: Any) -> Any:
            return sympy.Abs(u) if u.is_number else None

        def fdiff(self, argindex: int = 1) -> Any:
            return sign(self.args[0])

    def share(own: Any, other: Any) -> Any:  # 1 where own is greater, ½ where both are equal, 0 else
        if own == other:  # what is left of their difference is rounding
            return Rational(1, 2)
        return (1 + sign(own - other)) / 2

    class maximum(Function):  # noqa: N801
        @classmethod
        def eval(cls, a: Any, b: Any) -> Any:
            return sympy.Max(a, b) if a.is_number and b.is_number else None

        def fdiff(self, argindex: int = 1) -> Any:
            return share(self.args[argindex - 1], self.args[2 - argindex])

    class minimum(Function):  # noqa: N801
        @classmethod
        def eval(cls, a: Any, b: Any) -> Any:
            return sympy.Min(a, b) if a.is_number and b.is_number else None

        def fdiff(self, argindex: int = 1) -> Any:
            return share(self.args[2 - argindex], self.args[argindex - 1])

    def minus(a: Any, b: Any = None, *, evaluate: bool) -> Any:
        negative = Mul(Integer(-1), a if b is None else b, evaluate=evaluate)
        return negative if b is None else Add(a, negative, evaluate=evaluate)

    def over(a: Any, b: Any, *, evaluate: bool) -> Any:
        return Mul(a, Pow(b, Integer(-1), evaluate=evaluate), evaluate=evaluate)

    def power(a: Any, b: Any, *, evaluate: bool) -> Any:
        if a == sympy.Float(math.e):
            return sympy.exp(b, evaluate=evaluate)
        return Pow(a, b, evaluate=evaluate)

    named = {name: getattr(sympy, name) for name in FUNCTIONS if name not in ("sqrt", "abs", "min", "max")}
    return named | {
        "+": Add,
        "-": minus,
        "*": Mul,
        "/": over,
        "**": power,
        "sqrt": lambda u, evaluate: Pow(u, Rational(1, 2), evaluate=evaluate),
        "abs": abs_,
        "min": minimum,
        "max": maximum,
    }


def _expression(term: Term, *, evaluate: bool) -> Any:
    """Build a Term as a SymPy expression: evaluated, or exactly as typed."""
    from sympy import Float, Integer, Symbol

    if isinstance(term, str):
        return Symbol(term)
    if isinstance(term, float):
        return Integer(int(term)) if term.is_integer() and abs(term) < 2**53 else Float(term)
    operation, *parts = term
    return _algebra()[operation](*(_expression(part, evaluate=evaluate) for part in parts), evaluate=evaluate)


# How tightly a text holds together: a sum, a product, a power, and what needs no brackets anywhere.
_SUM, _PRODUCT, _POWER, _ATOM = range(4)
_MULTIPLIED = 8  # whole powers up to here are products


class _Program:
    """SymPy expressions as lines of Python; what is needed more than once is worked out once.

    The text runs the same in plain Python, to the last digit: small powers are products in it, where a
    compiler would multiply and Python call the C library.
    """

    def __init__(self, expressions: list[Any]) -> None:
        self.expressions = expressions
        self.lines: list[str] = []
        self.names: dict[Any, str] = {}
        self.uses: dict[Any, int] = {}
        waiting = list(expressions)
        while waiting:
            node = waiting.pop()
            self.uses[node] = self.uses.get(node, 0) + 1
            if self.uses[node] == 1:
                waiting += node.args
        operations = sum(max(1, len(node.args) - 1) for node in self.uses if node.args)
        if operations > LARGEST:
            raise _UnusableError(f"f and its gradient take {operations:,} operations, more than {LARGEST}")

    def write(self) -> list[str]:
        """Return the lines that work out f, ∂f/∂x and ∂f/∂y, and return them."""
        texts = [self.say(expression)[0] for expression in self.expressions]
        outputs = [f"{name} = {text}" for name, text in zip(("f", "gx", "gy"), texts, strict=True)]
        return [*self.lines, *outputs, "return f, gx, gy"]

    def say(self, node: Any) -> tuple[str, int]:
        """Return a node's text, and how tightly it holds together."""
        if node in self.names:
            return self.names[node], _ATOM
        if node.is_Symbol:
            return node.name, _ATOM
        if node.is_number:
            number = _literal(node)
            return number, _PRODUCT if number[0] == "-" else _ATOM
        text, hold = self.operation(node)
        return (self.name(node, text), _ATOM) if self.uses.get(node, 0) > 1 else (text, hold)

    def within(self, node: Any, least: int) -> str:
        """Return a node's text, in brackets where it would come apart."""
        text, hold = self.say(node)
        return text if hold >= least else f"({text})"

    def name(self, node: Any, text: str) -> str:
        """Give a node's text a line of its own; return what it is called there."""
        if node not in self.names:
            self.names[node] = f"t{len(self.lines)}"
            self.lines.append(f"{self.names[node]} = {text}")
        return self.names[node]

    def operation(self, node: Any) -> tuple[str, int]:
        if node.is_Add:
            first, *rest = node.args
            terms = [self.within(term, _PRODUCT) for term in rest]
            signed = [f" - {term[1:]}" if term[0] == "-" else f" + {term}" for term in terms]
            return "".join([self.say(first)[0], *signed]), _SUM
        if node.is_Mul or (node.is_Pow and _negative(node.exp)):
            return self.product(node.args if node.is_Mul else (node,))
        if node.is_Pow:
            return self.power(node.base, node.exp)
        name = type(node).__name__.rstrip("_")
        arguments = [self.say(part)[0] for part in node.args]
        if name == "minimum":
            return f"-maximum({', '.join(f'-({argument})' for argument in arguments)})", _PRODUCT
        if name not in FUNCTIONS and name not in ("sign", "maximum"):
            raise _UnusableError("it leaves the real numbers")
        return f"{name}({', '.join(arguments)})", _ATOM

    def product(self, factors: tuple[Any, ...]) -> tuple[str, int]:
        negative = False
        above: list[str] = []
        below: list[str] = []
        for factor in factors:
            if factor.is_Rational:  # SymPy keeps x/3 as ⅓·x
                negative ^= factor.p < 0
                above += [_literal(abs(factor.p))] * (abs(factor.p) != 1)
                below += [_literal(factor.q)] * (factor.q != 1)
            elif factor.is_Pow and _negative(factor.exp):
                text, hold = self.power(factor.base, -factor.exp)
                below.append(text if hold >= _POWER else f"({text})")
            else:
                above.append(self.within(factor, _POWER if above else _PRODUCT))
        text = "*".join(above) or "1.0"
        if below:
            text += "/" + (below[0] if len(below) == 1 else f"({'*'.join(below)})")
        if negative:
            text = text[1:] if text[0] == "-" else f"-{text}"
        return text, _PRODUCT

    def power(self, base: Any, exponent: Any) -> tuple[str, int]:
        if not exponent.is_number:
            return f"{self.within(base, _ATOM)}**{self.within(exponent, _ATOM)}", _POWER
        number = float(exponent)
        if number == 1:
            return self.say(base)
        if number == 0.5:
            return f"sqrt({self.say(base)[0]})", _ATOM
        if number.is_integer() and 1 < number <= _MULTIPLIED:
            text, _ = self.say(base)
            factor = text if base.is_Symbol else self.name(base, text)
            return "*".join([factor] * int(number)), _PRODUCT
        return f"{self.within(base, _ATOM)}**{number!r}", _POWER


def _negative(exponent: Any) -> bool:
    return bool(exponent.is_number and exponent.is_negative)


def _literal(number: Any) -> str:
    """Return a constant as float64 holds it."""
    try:
        value = float(number)
    except (TypeError, ValueError):  # SymPy's infinities and complex numbers
        raise _UnusableError("it divides by zero, or leaves the real numbers") from None
    except OverflowError:
        value = math.inf
    if not math.isfinite(value) or (value == 0 and number != 0):
        raise _UnusableError("its constants together are beyond float64's range")
    return repr(value)
