"""A racer's rule as its paper writes it, and with one step's numbers put in."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizers.catalog import Racer
from optimizers.conditions import whole
from optimizers.explain.latex import ATOM, Atom, Text, number, write, write_condition
from optimizers.explain.lines import UPDATE, Case, Definition, definitions
from optimizers.explain.symbols import Symbol, word
from optimizers.explain.trace import ARGUMENT, QUANTITY, Operand, Term, build, compute

if TYPE_CHECKING:
    from optimizers.trajectory import Trajectory

PROJECTED = "projected"


@dataclass(frozen=True)
class Line:
    """One line of a formula."""

    name: str  # of a state or shown quantity, or of one of the rule's own variables; "update" for Δθ
    left: str  # LaTeX, as are the others
    right: str
    condition: str = ""  # where it holds; "" is everywhere

    @property
    def latex(self) -> str:
        """The whole line."""
        return f"{self.left} = {self.right}" + (rf" \quad {_if(self.condition)}" if self.condition else "")


@dataclass(frozen=True)
class WorkedLine:
    """One line with one step's numbers in it."""

    name: str  # as in Line; "projected" for Δθ where the step would have left the surface's box
    axis: str  # "x", "y", or "" for what both have in common
    left: str  # LaTeX
    formula: str  # the right-hand side in LaTeX …
    numbers: str  # … and with numbers to four significant digits
    exact: str  # … and in Python, with all digits, sqrt, abs, max, min and sign: it evaluates to `value`
    value: float

    @property
    def latex(self) -> str:
        """The left-hand side, the numbers and their result."""
        result = number(self.value)[0]
        return f"{self.left} = {self.numbers}" + ("" if self.numbers == result else f" = {result}")


@dataclass(frozen=True)
class Worked:
    """A step's arithmetic."""

    racer: Racer
    step: int  # t, counted from 1
    lines: tuple[WorkedLine, ...]

    @property
    def latex(self) -> str:
        """All lines, for KaTeX."""
        return _aligned([(line.left, line.latex.removeprefix(f"{line.left} = "), "") for line in self.lines])


def formula(racer: str | Racer) -> str:
    r"""Return what a racer does at step t in LaTeX, for KaTeX: `formula_lines`, aligned.

    >>> print(formula("momentum(momentum=0.5)"))
    \begin{aligned}
    m_t &= \mu m_{t-1} + g_t \\
    \Delta\theta_t &= -\mathrm{lr}\,m_t
    \end{aligned}

    Raises:
        ValueError: no such racer, or a rule that can't be written as a formula, in one sentence.
    """
    return _aligned([(line.left, line.right, line.condition) for line in formula_lines(racer)])


def formula_lines(racer: str | Racer) -> tuple[Line, ...]:
    r"""Return what a racer does at step t, line by line, from its rule alone.

    What its options switch off is not there: without bias correction there is no m̂, without weight decay
    no λ. A quantity with several cases has a line for each.

    >>> for line in formula_lines("adam(bias_correction=first, eps_placement=inside)"):
    ...     print(line.latex)
    m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t
    v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2
    \hat{m}_t = \dfrac{m_t}{1 - \beta_1^{t}}
    \Delta\theta_t = -\dfrac{\mathrm{lr}\,\hat{m}_t}{\sqrt{v_t + \varepsilon}}
    """
    racer = Racer.parse(racer)
    known = definitions(racer)
    atom = _symbols(racer, known)
    return tuple(
        Line(
            definition.name,
            _indexed(definition.symbol, "" if definition.fixed else "t"),
            write(case.term, atom),
            r",\ ".join(write_condition(condition, holds, atom) for condition, holds in case.conditions),
        )
        for definition in known
        for case in definition.cases
    )


def worked(trajectory: Trajectory, step: int) -> Worked:
    r"""Return the lines of `formula_lines` with the numbers of one step, per coordinate.

    g is the gradient the step used, noise and clipping in it; lr is that step's.

    Args:
        trajectory: a walk.
        step: t, from 1 to the walk's last; θ is then `path[t - 1]`.

    Raises:
        ValueError: a step the walk did not take, in one sentence.

    >>> from optimizers import simulate
    >>> walk = simulate("momentum(lr=0.1)", "quadratic(condition=2)", start=(3, 1), steps=2)
    >>> for line in worked(walk, 2).lines:
    ...     print(line.latex)
    m_x = 0.9 \cdot 3 + 2.7 = 5.4
    m_y = 0.9 \cdot 2 + 1.6 = 3.4
    \Delta\theta_x = -0.1 \cdot 5.4 = -0.54
    \Delta\theta_y = -0.1 \cdot 3.4 = -0.34
    """
    racer, taken = trajectory.racer, len(trajectory.lr)
    step = whole("step", step, 1, taken)
    if trajectory.diverged is not None and step > trajectory.diverged:
        raise ValueError(
            f"step is {step}, but {racer} diverged at step {trajectory.diverged}; take one from 1 to that."
        )
    known = definitions(racer)
    symbolic = _symbols(racer, known)
    both = [_Numbers(trajectory, step, axis, known) for axis in (0, 1)]
    lines = []
    for definition in known:
        for axis, numbers in enumerate(both[:1] if definition.shared else both):
            case = numbers.case(definition)
            if case is not None:
                lines.append(
                    _worked_line(
                        definition, case.term, "" if definition.shared else "xy"[axis], numbers, symbolic
                    )
                )
    return Worked(racer, step, (*lines, *_projected(trajectory, step, both, symbolic)))


def _worked_line(
    definition: Definition, term: Operand, axis: str, numbers: _Numbers, symbolic: Atom
) -> WorkedLine:
    return WorkedLine(
        definition.name,
        axis,
        _indexed(definition.symbol, axis or ("" if definition.fixed else "t")),
        write(term, symbolic),
        write(term, lambda inner: None if inner is term and inner.operands else numbers.atom(inner)),
        ast.unparse(_python(term, numbers.value)),
        numbers.evaluate(term),
    )


def _projected(trajectory: Trajectory, step: int, both: list[_Numbers], symbolic: Atom) -> list[WorkedLine]:
    """Return the lines of a step that would have left the surface's box, and was put back onto it."""
    box = trajectory.surface.entry.box
    theta, update = Term(ARGUMENT, name="theta"), Term(QUANTITY, name=UPDATE)
    moved = build("+", theta, update)
    if box is None or all(
        low <= numbers.evaluate(moved) <= high for numbers, (low, high) in zip(both, box, strict=True)
    ):
        return []
    lines = []
    for axis, numbers, (low, high) in zip("xy", both, box, strict=True):
        term = build("-", build("min", build("max", moved, low), high), theta)
        definition = Definition(PROJECTED, Symbol(r"\Delta\theta"), (Case((), term),), False, False)
        lines.append(_worked_line(definition, term, axis, numbers, symbolic))
    return lines


class _Numbers:
    """The numbers of one step along one axis."""

    def __init__(self, trajectory: Trajectory, step: int, axis: int, known: tuple[Definition, ...]) -> None:
        k, slots, entry = step - 1, trajectory.slots, trajectory.racer.optimizer
        recorded = {name: float(trajectory.record[k, slot, axis]) for slot, name in enumerate(slots)}
        before = trajectory.racer.initial
        if k:
            before = tuple(float(trajectory.state[name][k - 1, axis]) for name in entry.state)
        self.given = {
            **trajectory.racer.arguments,
            **dict(zip(entry.state, before, strict=True)),
            "theta": recorded["theta"],
            "g": recorded["g"],
            "t": float(step),
            "lr": float(trajectory.lr[k]),
        }
        self.options = trajectory.racer.values
        self.found: dict[str, float] = {}
        for definition in known:  # in the order of the rule, so that each finds what it needs
            case = self.case(definition)
            if case is not None:
                own = recorded.get(definition.name) if definition.name != UPDATE else None
                self.found[definition.name] = self.evaluate(case.term) if own is None else own

    def case(self, definition: Definition) -> Case | None:
        """Return the case that holds at this step; None where the quantity is not used."""
        holding = (
            case
            for case in definition.cases
            if all(bool(self.evaluate(condition)) == holds for condition, holds in case.conditions)
        )
        return next(holding, None)

    def evaluate(self, operand: Operand) -> float:
        """Return a term's value, rounded at each operation as the rule rounds."""
        if not isinstance(operand, Term):
            return operand
        if operand.operation in (ARGUMENT, QUANTITY):
            return self.value(operand)
        return float(compute(operand.operation, *map(self.evaluate, operand.operands)))

    def value(self, leaf: Term) -> float:
        """Return an argument's or quantity's value."""
        return (self.given if leaf.operation == ARGUMENT else self.found)[leaf.name]

    def atom(self, term: Term) -> Text | None:
        """Write whatever is known by now as a number."""
        if term.value is not None:
            return number(term.value, 6)
        if term.operation not in (ARGUMENT, QUANTITY):
            return None
        value = self.value(term)
        chosen = term.operation == ARGUMENT and (term.name == "t" or self.options.get(term.name) == value)
        return number(value, 6 if chosen else 4)


def _symbols(racer: Racer, known: tuple[Definition, ...]) -> Atom:
    """Return how a racer's names are written: what the step before left with t−1, its own with t."""
    defined = {definition.name: definition for definition in known}
    hyper = {h.name: word(h.symbol) for h in racer.optimizer.hyperparameters}
    times = {"theta": (Symbol(r"\theta"), "t-1"), "g": (Symbol("g"), "t"), "t": (Symbol("t"), "")}

    def atom(term: Term) -> Text | None:
        if term.operation not in (ARGUMENT, QUANTITY):
            return None
        if term.operation == QUANTITY:
            definition = defined[term.name]
            return _indexed(definition.symbol, "" if definition.fixed else "t"), ATOM
        if term.name in times:
            symbol, time = times[term.name]
            return symbol.at(time), ATOM
        if term.name in defined:
            return defined[term.name].symbol.at("t-1"), ATOM
        return hyper[term.name].at(""), ATOM

    return atom


def _indexed(symbol: Symbol, index: str) -> str:
    return symbol.at(f"t+{symbol.ahead}" if symbol.ahead and index == "t" else index)


def _python(operand: Operand, value: Callable[[Term], float]) -> ast.expr:
    """Return a term as Python's own syntax, numbers for names."""
    if not isinstance(operand, Term) or operand.operation in (ARGUMENT, QUANTITY):
        plain = value(operand) if isinstance(operand, Term) else operand
        constant = ast.Constant(abs(plain) if not math.isnan(plain) else plain)
        return ast.UnaryOp(ast.USub(), constant) if math.copysign(1, plain) < 0 else constant
    inner = [_python(o, value) for o in operand.operands]
    binary = {"+": ast.Add, "-": ast.Sub, "*": ast.Mult, "/": ast.Div, "**": ast.Pow}.get(operand.operation)
    if binary is not None:
        return ast.BinOp(inner[0], binary(), inner[1])
    if operand.operation == "neg":
        return ast.UnaryOp(ast.USub(), inner[0])
    return ast.Call(ast.Name(operand.operation), inner, [])


def _if(condition: str) -> str:
    return rf"\mathrm{{if}}\ {condition}"


def _aligned(lines: list[tuple[str, str, str]]) -> str:
    written = [
        f"{left} &= {right}" + (rf" && {_if(condition)}" if condition else "")
        for left, right, condition in lines
    ]
    return "\n".join([r"\begin{aligned}", " \\\\\n".join(written), r"\end{aligned}"])
