"""What a racer's rule computes, line by line: each quantity by its name, in the cases it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from optimizers.catalog import Racer
from optimizers.explain.symbols import Symbol, read_label, read_name, word
from optimizers.explain.trace import ARGUMENT, QUANTITY, Operand, Term, key, rebuild, trace

UPDATE = "update"
Facts = frozenset[tuple[Any, bool]]  # the key of a condition, and whether it holds
NONE: Facts = frozenset()


@dataclass(frozen=True)
class Case:
    """What a quantity is where some conditions hold and others do not."""

    conditions: tuple[tuple[Term, bool], ...]
    term: Operand  # of arguments and quantities


@dataclass(frozen=True)
class Definition:
    """One quantity of a rule."""

    name: str  # in the catalogue or in the rule; UPDATE for Δθ
    symbol: Symbol
    cases: tuple[Case, ...]
    shared: bool  # whether every coordinate has the same
    fixed: bool  # whether every step has the same


def definitions(racer: Racer) -> tuple[Definition, ...]:
    """Return what the racer's step is made of, in the order its rule computes it, and nothing else.

    A state has a line of its own, and so has what the catalogue gives a letter, or the rule's own text (`mu`,
    `rho_inf`); anything else stands where it is used. What is used only where a condition holds is written as
    it is there: where ρ > 5, max(ρ, 5) is ρ.
    """
    entry, traced = racer.optimizer, trace(racer)
    symbols: dict[str, Symbol] = {UPDATE: Symbol(r"\Delta\theta")}
    named: dict[int, Term] = {}  # id of a term -> the quantity it is
    terms: dict[str, Operand] = {}

    def name(quantity: str, symbol: Symbol, term: Operand) -> None:
        if isinstance(term, Term) and term.operation != ARGUMENT and id(term) not in named:
            named[id(term)] = Term(QUANTITY, name=quantity, value=term.value, order=term.order)
            terms[quantity], symbols[quantity] = term, symbol

    for state in entry.states:
        name(state.name, read_label(state.label) or word(state.name), traced.state[state.name])
    name(UPDATE, symbols[UPDATE], traced.update)
    for extra in entry.extras:
        if symbol := read_label(extra.label) or read_name(extra.label):
            name(extra.name, symbol, traced.shown[extra.name])
    for local, term in traced.local.items():
        if (symbol := read_name(local)) and local not in terms:
            name(local, symbol, term)
    bodies = {quantity: _refer(term, named, top=True) for quantity, term in terms.items()}
    bodies[UPDATE] = bodies.get(UPDATE, _refer(traced.update, named))
    for state in entry.states:  # a state that only repeats something else has no term of its own
        if state.name not in bodies:
            bodies[state.name] = _refer(traced.state[state.name], named)
            symbols[state.name] = read_label(state.label) or word(state.name)
    asked: dict[Any, Term] = {}  # every condition, by its key
    needed = {UPDATE: NONE}
    while True:
        cases = {quantity: _cases(bodies[quantity], facts, asked) for quantity, facts in needed.items()}
        uses: dict[str, list[Facts]] = {UPDATE: [NONE]}
        for quantity, facts, term in ((q, *case) for q, own in cases.items() for case in own):
            answers = [(t, needed[quantity]) for fact, _ in facts - needed[quantity] for t in asked[fact]]
            for used, there in [*((t, facts) for t in _terms(term)), *answers]:
                if used.operation == QUANTITY:
                    uses.setdefault(used.name, []).append(there)
                elif (
                    used.operation == ARGUMENT and used.name in entry.state
                ):  # this step leaves it to the next
                    uses.setdefault(used.name, []).append(NONE)
        now = {quantity: frozenset.intersection(*facts) for quantity, facts in uses.items()}
        if now == needed:
            break
        needed = now
    order = {quantity: term.order for quantity, term in terms.items() if isinstance(term, Term)}
    varying = {"theta", "g"} | {state.name for state in entry.states if not state.shared}
    own = {quantity: _arguments(bodies, quantity, set()) for quantity in cases}
    return tuple(
        Definition(
            quantity,
            symbols[quantity],
            tuple(
                Case(tuple((asked[condition], holds) for condition, holds in sorted(facts, key=str)), term)
                for facts, term in cases[quantity]
            ),
            shared=not own[quantity] & varying,
            fixed=quantity in terms and getattr(terms[quantity], "value", None) is not None,
        )
        for quantity in sorted(cases, key=lambda q: (q == UPDATE, order.get(q, 0)))
    )


def _terms(operand: Operand) -> list[Term]:
    return list(operand) if isinstance(operand, Term) else []


def _asks(term: Term) -> bool:
    return term.operation == "where"


def _refer(operand: Operand, named: dict[int, Term], top: bool = False) -> Operand:
    """Return the term with the quantities in it called by their names."""
    if not isinstance(operand, Term):
        return operand
    if id(operand) in named and not top:
        return named[id(operand)]
    return rebuild(operand, tuple(_refer(inner, named) for inner in operand.operands))


def _cases(body: Operand, facts: Facts, asked: dict[Any, Term]) -> list[tuple[Facts, Operand]]:
    """Return the facts of each of a term's cases, and the term there; note the conditions in `asked`."""
    body = _given(body, facts)
    question = next(filter(_asks, _terms(body)), None)
    if question is None:
        return [(facts, body)]
    condition = question.operands[0]
    assert isinstance(condition, Term)
    asked[condition.key] = condition
    return [case for holds in (True, False) for case in _cases(body, facts | {(condition.key, holds)}, asked)]


def _given(operand: Operand, facts: Facts) -> Operand:
    """Return a term as it is where the facts hold."""
    if not isinstance(operand, Term) or not facts:
        return operand
    if _asks(operand):
        for holds, branch in ((True, 1), (False, 2)):
            if (key(operand.operands[0]), holds) in facts:
                return _given(operand.operands[branch], facts)
    inner = tuple(_given(inner, facts) for inner in operand.operands)
    if operand.operation == "max" and ((">", "", *map(key, inner)), True) in facts:
        return inner[0]
    return rebuild(operand, inner)


def _arguments(bodies: dict[str, Operand], quantity: str, seen: set[str]) -> set[str]:
    """Return the rule's arguments that a quantity depends on, through others."""
    found: set[str] = set()
    for term in _terms(bodies[quantity]):
        if term.operation == ARGUMENT:
            found.add(term.name)
        elif term.operation == QUANTITY and term.name not in seen:
            found |= _arguments(bodies, term.name, seen | {term.name})
    return found
