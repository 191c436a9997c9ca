"""A racer's rule as data: what the player needs to write a step with its numbers, and to play it slowly.

`explain` reads the rule line by line from its own function; here these lines become JSON, which worked.js
evaluates and writes, and whose stages stages.js tells.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from optimizers.catalog import Racer
from optimizers.explain.lines import definitions
from optimizers.explain.symbols import Symbol
from optimizers.explain.trace import ARGUMENT, QUANTITY, Operand, Term, trace

_ACCENTS = {"hat": "\u0302", "tilde": "\u0303", "bar": "\u0304", "dot": "\u0307"}
_SUBSCRIPTS = str.maketrans("0123456789aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")


def program(racer: Racer) -> dict[str, Any] | None:
    """Return a racer's rule, JSON-ready; None for one that can't be written as a formula.

    A term is a number, a name, or [operation, term, …]. A name is an argument of the rule: `m` is a state as
    the step before left it; `m'`, with a prime, is what this step makes of it, as any line's value is.

    Returns:
        lines: {"name", "symbol", "cases": [{"if": [[condition, holds], …], "is": term}]}, in the rule's
            order, Δθ ("update") last; "common" where both axes have the same.
        initial: what each state starts with.
        factors: each hyperparameter β of which the rule uses 1 − βᵗ.
        stages: the step taken apart, [kind, name] each: "decay" and "grow" a state, "show" g or what is
            derived, "replace" g, "correct" a state by what only t decides (with the state's name); the rest
            is the same for every rule: the direction is scaled, and θ moves.
        shown: the terms of what the stages show and no line has.
        apart: what the step takes off beside its own direction (decoupled weight decay), or "".

    >>> from optimizers import Racer
    >>> rule = program(Racer.parse("momentum"))
    >>> rule["lines"][0]["cases"], rule["stages"]
    ([{'if': [], 'is': ['+', ['*', 'momentum', 'm'], 'g']}], [['decay', 'm'], ['show', 'g'], ['grow', 'm']])
    """
    # All lr have one program; a reader may give a rule's name to another rule.
    lr = {hyper.name: hyper.default for hyper in racer.optimizer.hyperparameters if hyper.name == "lr"}
    return _program(racer.change(**lr), racer.optimizer.rule)


@lru_cache(maxsize=512)
def _program(racer: Racer, rule: Callable[..., Any]) -> dict[str, Any] | None:
    entry = racer.optimizer
    try:
        known = definitions(racer)
    except ValueError:
        return None
    lines: list[dict[str, Any]] = []
    factors: dict[str, None] = {}
    for definition in known:
        cases = []
        for case in definition.cases:
            for term in (case.term, *(condition for condition, _ in case.conditions)):
                factors |= dict.fromkeys(_factors(term))
            conditions = [[_tree(condition), holds] for condition, holds in case.conditions]
            cases.append({"if": conditions, "is": _tree(case.term)})
        line = {"name": definition.name, "symbol": written(definition.symbol), "cases": cases}
        lines.append(line | ({"common": True} if definition.shared else {}))
    return {
        "lines": lines,
        "initial": dict(zip(entry.state, racer.initial, strict=True)),
        "factors": list(factors),
        **_taken_apart(racer, {definition.name for definition in known}),
    }


def _taken_apart(racer: Racer, lines: set[str]) -> dict[str, Any]:
    """Return the step's stages, what they show beside the lines, and what goes off apart."""
    entry, traced = racer.optimizer, trace(racer)
    kept = [state.name for state in entry.states if racer.uses(state) and not state.shared]
    named = {id(term): name for name, term in reversed(list(traced.state.items()))}
    stages: list[tuple[int, list[str]]] = []  # behind the order in which the rule computes
    early: list[tuple[int, list[str]]] = []  # of a state as the step before left it: shown before it changes
    early_terms: set[int] = set()
    shown, apart = {}, ""
    for extra in entry.extras:
        term = traced.shown[extra.name]
        if not racer.uses(extra) or not isinstance(term, Term) or id(term) in named:
            continue
        if (
            isinstance(traced.update, Term)
            and traced.update.operation == "-"
            and traced.update.operands[1] is term
        ):
            apart = extra.name
            continue
        if extra.name not in lines:
            shown[extra.name] = _tree(term, named, top=True)
        named[id(term)] = extra.name
        inside = set(map(id, term))
        before = {inner.name for inner in term if inner.operation == ARGUMENT and inner.name in entry.state}
        if (before and not any(id(traced.state[name]) in inside for name in before)) or inside & early_terms:
            early.append((term.order, ["show", extra.name]))
            early_terms.add(id(term))
        elif corrected := _corrected(term, {id(traced.state[name]): name for name in kept}, entry.state):
            stages.append((term.order, ["correct", extra.name, corrected]))
        else:
            stages.append((term.order, ["replace" if extra.otherwise == "g" else "show", extra.name]))
    states = [(name, traced.state[name]) for name in kept]
    stages += [(term.order, ["grow", name]) for name, term in states if isinstance(term, Term)]
    decays = [["decay", name] for name in kept]
    first = [["show", "g"], *(stage for _, stage in sorted(early))]
    rest = [stage for _, stage in sorted(stages)]
    return {
        "stages": [*first, *decays, *rest] if early else [*decays, *first, *rest],
        "shown": shown,
        "apart": apart,
    }


def _corrected(term: Term, states: Mapping[int, str], names: tuple[str, ...]) -> str:
    """Return the state that a term divides by something only t decides; "" where it does not."""
    if term.operation != "/" or id(term.operands[0]) not in states:
        return ""
    divisor = term.operands[1]
    if not isinstance(divisor, Term):
        return ""
    leaves = {inner.name for inner in divisor if inner.operation == ARGUMENT}
    return states[id(term.operands[0])] if "t" in leaves and not leaves & {"theta", "g", *names} else ""


def _factors(operand: Operand) -> list[str]:
    """Return each β whose 1 − βᵗ is in a term."""
    found = []
    for term in operand if isinstance(operand, Term) else ():
        if term.operation == "-" and term.operands[0] == 1 and isinstance(term.operands[1], Term):
            power = term.operands[1]
            if (
                power.operation == "**"
                and [getattr(o, "operation", "") for o in power.operands] == [ARGUMENT] * 2
            ):
                base, exponent = (o.name for o in power.operands if isinstance(o, Term))
                if exponent == "t":
                    found.append(base)
    return found


def _tree(operand: Operand, named: Mapping[int, str] | None = None, top: bool = False) -> Any:
    """Return a term as JSON, with the quantities in it that have a name called by it."""
    if not isinstance(operand, Term):
        if not math.isfinite(operand):
            return ["/", math.copysign(1, operand), 0]
        return int(operand) if float(operand).is_integer() else operand
    if named and not top and id(operand) in named and operand.operation != ARGUMENT:
        return f"{named[id(operand)]}'"
    if operand.operation == ARGUMENT:
        return operand.name
    if operand.operation == QUANTITY:
        return f"{operand.name}'"
    return [operand.operation, *(_tree(inner, named) for inner in operand.operands)]


def written(symbol: Symbol) -> str:
    """Return a symbol in plain text.

    >>> from optimizers.explain.symbols import read_name
    >>> written(read_name("m_hat")), written(read_name("rho_inf")), written(read_name("mu_next"))
    ('m̂', 'ρ∞', 'μₜ₊₁')
    """
    letter = re.sub(
        r"\\(hat|tilde|bar|dot)\{(.*)\}", lambda found: found[2] + _ACCENTS[found[1]], symbol.letter
    )
    index = _plain(symbol.index)
    if symbol.ahead:
        index += f"t+{symbol.ahead}".replace("+", "₊")
    return unicodedata.normalize("NFC", _plain(letter) + index.translate(_SUBSCRIPTS))


def _plain(latex: str) -> str:
    """Return LaTeX as text: Greek letters for their names, upright words as they are."""
    words = re.sub(r"\\mathrm\{([^}]*)\}", r"\1", latex).replace(r"\infty", "∞").replace(r"\ ", " ")

    def greek(found: re.Match[str]) -> str:
        name = {"varepsilon": "epsilon", "lambda": "lamda", "Lambda": "Lamda"}.get(found[1], found[1])
        size = "CAPITAL" if name[0].isupper() else "SMALL"
        return unicodedata.lookup(f"GREEK {size} LETTER {name.upper()}")

    return re.sub(r"\\([A-Za-z]+) ?", greek, words)
