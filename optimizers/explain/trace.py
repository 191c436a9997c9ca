"""A rule run on names instead of numbers: what it computes, in the order and the form it is written in.

The rule function itself is called, with terms for its arguments; each operator makes a greater term. Nothing
is rearranged, so that a line reads as its rule does and, given numbers, rounds as its rule does; only what a
racer's options switch off goes: 0·x, 1·x, x + 0, and the branch of a `where` that is not taken.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from types import FrameType
from typing import Any, Union

import numpy as np

from optimizers.catalog import Racer

Operand = Union["Term", float]

ARGUMENT = "argument"  # of the rule: theta, g, t, a state before the step, a hyperparameter
QUANTITY = "quantity"  # computed in this step, on a line of its own
_created = count()


def _operator(operation: str) -> tuple[Callable[..., Operand], Callable[..., Operand]]:
    """Return an operator's method, and the one for a number on its left."""
    return (
        lambda *operands: build(operation, *operands),
        lambda *operands: build(operation, *reversed(operands)),
    )


@dataclass(frozen=True, eq=False)
class Term:
    """An argument of the rule, or an operation on terms and numbers."""

    operation: str  # ARGUMENT, QUANTITY, "where" or one of _COMPUTE
    operands: tuple[Operand, ...] = ()
    name: str = ""  # of an argument or quantity
    value: float | None = None  # where hyperparameters alone decide it
    order: int = field(default_factory=lambda: next(_created))  # in which the rule computes

    __add__, __radd__ = _operator("+")
    __sub__, __rsub__ = _operator("-")
    __mul__, __rmul__ = _operator("*")
    __truediv__, __rtruediv__ = _operator("/")
    __pow__, __rpow__ = _operator("**")
    __gt__, __lt__ = _operator(">")[0], _operator("<")[0]
    __ge__, __le__ = _operator(">=")[0], _operator("<=")[0]
    __neg__, __abs__ = _operator("neg")[0], _operator("abs")[0]

    def __bool__(self) -> bool:
        """Refuse: no branch of Python's own is the rule's at every step."""
        raise TypeError("it asks a question that only a step can answer; ask it by where(condition, a, b)")

    @property
    def key(self) -> Any:
        """The same for terms that say the same."""
        return (self.operation, self.name, *(key(operand) for operand in self.operands))

    def __iter__(self) -> Iterator[Term]:
        """Iterate over this term and all terms in it."""
        yield self
        for operand in self.operands:
            if isinstance(operand, Term):
                yield from operand


def key(operand: Operand) -> Any:
    """Return the same for operands that say the same."""
    return operand.key if isinstance(operand, Term) else operand


def sqrt(x: Operand) -> Operand:
    """√x."""
    return build("sqrt", x)


def sign(x: Operand) -> Operand:
    """−1, 0 or 1."""
    return build("sign", x)


def maximum(a: Operand, b: Operand) -> Operand:
    """Return the greater of two."""
    return build("max", a, b)


def where(condition: Operand, a: Operand, b: Operand) -> Operand:
    """Return a where the condition holds and b elsewhere."""
    return build("where", condition, a, b)


_COMPUTE: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "neg": lambda a: -a,
    "abs": abs,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "sqrt": np.sqrt,
    "sign": lambda a: float(a > 0) - float(a < 0),
    "max": lambda a, b: b if a < b or b != b else a,
    "min": lambda a, b: b if b < a else a,
}
COMPARISONS = (">", ">=", "<", "<=")


def compute(operation: str, *numbers: float) -> Any:
    """Return what an operation makes of numbers, rounded as in compiled code; inf is no error."""
    with np.errstate(all="ignore"):
        return _COMPUTE[operation](*map(np.float64, numbers))


def build(operation: str, *operands: Operand) -> Operand:
    """Return the term, or what is left of it where a number decides or drops out."""
    values = [o.value if isinstance(o, Term) else o for o in operands]
    if operation == "where":
        if values[0] is not None:
            return operands[1] if values[0] else operands[2]
        if key(operands[1]) == key(operands[2]):
            return operands[2]
        return Term("where", operands)
    known = [value for value in values if value is not None]
    decided = len(known) == len(values)
    if decided and (operation in COMPARISONS or not any(isinstance(o, Term) for o in operands)):
        result = compute(operation, *known)
        return bool(result) if operation in COMPARISONS else float(result)
    if decided and operation == "max":
        return operands[1] if known[0] < known[1] else operands[0]
    a, b = operands[0], operands[-1]
    match operation:
        case "+" if _is(b, 0):
            return a
        case "+" if _is(a, 0):
            return b
        case "-" if _is(b, 0):
            return a
        case "-" if _is(a, 0):
            return build("neg", b)
        case "*" if _is(a, 0) or _is(b, 0):
            return 0.0
        case "*" if _is(a, -1):
            return build("neg", b)
        case "*" | "/" if _is(b, 1):
            return a
        case "*" if _is(a, 1):
            return b
        case "/" if _is(a, 0):
            return 0.0
        case "**" if _is(b, 1):
            return a
        case "**" if _is(a, 0):  # steps are counted from 1
            return 0.0
    return Term(operation, operands, value=float(compute(operation, *known)) if decided else None)


def _is(operand: Operand, number: float) -> bool:
    return not isinstance(operand, Term) and operand == number


def rebuild(term: Term, operands: tuple[Operand, ...]) -> Operand:
    """Return the same operation on other operands."""
    if all(new is old for new, old in zip(operands, term.operands, strict=True)):
        return term
    return build(term.operation, *operands)


@dataclass(frozen=True)
class Trace:
    """What a racer's rule computes, in terms of its arguments."""

    update: Operand
    state: Mapping[str, Operand]  # after the step
    shown: Mapping[str, Operand]
    local: Mapping[str, Operand]  # what the rule's own variables hold in the end


def trace(racer: Racer) -> Trace:
    """Run a racer's rule on terms: its options are numbers, all else is a name.

    Raises:
        ValueError: a rule that does more than operators and `elementwise` can say.
    """
    entry = racer.optimizer
    numbers = {hyper.name for hyper in entry.hyperparameters if not hyper.choices}
    arguments: dict[str, Operand] = {
        # lr may change at each step; what is 0 is off
        name: Term(ARGUMENT, name=name, value=None if name == "lr" else float(value))
        if name == "lr" or (name in numbers and value)
        else value
        for name, value in racer.arguments.items()
    }
    given = [Term(ARGUMENT, name=name) for name in ("theta", "g", "t", *entry.state)]
    local: dict[str, Any] = {}

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "return" and frame.f_code is getattr(entry.rule, "__code__", None):
            local.update(frame.f_locals)

    before: Any = sys.getprofile()
    sys.setprofile(watch)
    try:
        update, new, shown = entry.rule(*given, **arguments)
    except TypeError as problem:
        raise ValueError(f"The rule of {racer.name} can't be written as a formula: {problem}.") from None
    finally:
        if hasattr(before, "enable"):  # cProfile's own
            before.enable()
        else:
            sys.setprofile(before)
    return Trace(
        update,
        dict(zip(entry.state, new, strict=True)),
        dict(zip(entry.shown, shown, strict=True)),
        {name: value for name, value in local.items() if isinstance(value, Term)},
    )
