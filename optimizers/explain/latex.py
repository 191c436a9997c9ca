"""Terms in LaTeX that KaTeX and matplotlib's mathtext both read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import pairwise

from optimizers.explain.trace import Operand, Term

# How tightly a text holds together: what is looser than its place asks for gets parentheses.
SUM, PRODUCT, POWER, ATOM = range(4)
PRODUCTS = ("*", "/", "neg")
Text = tuple[str, int]
Atom = Callable[[Term], Text | None]  # how a term is written without looking into it; None: look into it

_COMPARED = {">": ">", ">=": r"\geq", "<": "<", "<=": r"\leq"}
_DENIED = {">": r"\leq", ">=": "<", "<": r"\geq", "<=": ">"}
_FUNCTIONS = {"max": r"\max", "min": r"\min", "sign": r"\operatorname{sign}"}


def write(operand: Operand, atom: Atom) -> str:
    """Return a term as it stands, its outermost fractions at full size wherever they are drawn."""
    text, depth = "", 0
    for part in re.split(r"(\\frac|[{}])", _text(operand, atom)[0]):
        depth += (part == "{") - (part == "}")
        text += r"\dfrac" if part == r"\frac" and not depth else part
    return text


def write_condition(condition: Term, holds: bool, atom: Atom) -> str:
    """Return a comparison, or its contrary."""
    a, b = (write(operand, atom) for operand in condition.operands)
    return f"{a} {(_COMPARED if holds else _DENIED)[condition.operation]} {b}"


def number(value: float, digits: int = 4) -> Text:
    """Return a number to four significant digits; in fewer, or in up to `digits`, where these are all it has.

    >>> number(-0.73541)[0], number(0.5)[0], number(1 - 0.9)[0], number(1.2346e-8)[0]
    ('-0.7354', '0.5', '0.1', '1.235 \\\\times 10^{-8}')
    """
    if math.isnan(value):
        return r"\mathrm{NaN}", ATOM
    if math.isinf(value):
        return (r"\infty", ATOM) if value > 0 else (r"-\infty", SUM)
    text = f"{value:.{digits}g}"
    if abs(float(text) - value) > 1e-12 * abs(value):
        text = f"{value:#.4g}".removesuffix(".")
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text, SUM if value < 0 else ATOM
    power = f"10^{{{int(exponent)}}}"
    if mantissa in ("1", "-1"):
        return mantissa[:-1] + power, SUM if value < 0 else POWER
    return rf"{mantissa} \times {power}", SUM if value < 0 else PRODUCT


def _text(operand: Operand, atom: Atom) -> Text:
    if not isinstance(operand, Term):
        return number(operand, 15)
    known = atom(operand)
    if known is not None:
        return known
    match operand.operation:
        case "+" | "-" as sign:
            left, right = operand.operands
            text = _held(right, PRODUCT, atom)
            if isinstance(right, Term) and right.operation in PRODUCTS and atom(right) is None:
                negative, text = _product(right, atom)  # a + (−b) is a − b
                sign = sign if not negative else "-" if sign == "+" else "+"
            return f"{_text(left, atom)[0]} {sign} {text}", SUM
        case operation if operation in PRODUCTS:
            negative, text = _product(operand, atom)
            return (f"-{text}", SUM) if negative else (text, PRODUCT)
        case "**":
            base, exponent = operand.operands
            return f"{_held(base, ATOM, atom)}^{{{_text(exponent, atom)[0]}}}", POWER
        case "sqrt":
            return rf"\sqrt{{{_text(operand.operands[0], atom)[0]}}}", ATOM
        case "abs":
            return rf"\left|{_text(operand.operands[0], atom)[0]}\right|", ATOM
        case function:
            given = r",\ ".join(_text(inner, atom)[0] for inner in operand.operands)
            return f"{_FUNCTIONS[function]}{_parentheses(given)}", ATOM


def _held(operand: Operand, level: int, atom: Atom) -> str:
    text, own = _text(operand, atom)
    return text if own >= level else _parentheses(text)


def _parentheses(text: str) -> str:
    return rf"\left({text}\right)" if r"\frac" in text or r"\sqrt" in text else f"({text})"


def _product(term: Term, atom: Atom) -> tuple[bool, str]:
    """Write factors and divisors as one fraction, equal ones as a power; tell whether it is negative."""
    negative, above, below = _factors(term, atom)
    if below:
        return negative, rf"\frac{{{_join(above, atom)}}}{{{_join(below, atom)}}}"
    return negative, _held(above[0], PRODUCT, atom) if len(above) == 1 else _join(above, atom)


def _factors(operand: Operand, atom: Atom) -> tuple[bool, list[Operand], list[Operand]]:
    if not isinstance(operand, Term) or atom(operand) is not None:
        return False, [operand], []
    if operand.operation == "neg":
        negative, above, below = _factors(operand.operands[0], atom)
        return not negative, above, below
    if operand.operation not in PRODUCTS:
        return False, [operand], []
    negative, above, below = _factors(operand.operands[0], atom)
    right = operand.operands[1]
    if operand.operation == "/" and isinstance(right, Term) and right.operation == "/":
        return negative, above, [*below, right]
    other, over, under = _factors(right, atom)
    if operand.operation == "/":
        over, under = under, over
    return negative != other, above + over, below + under


def _join(factors: list[Operand], atom: Atom) -> str:
    counts: dict[object, tuple[Operand, int]] = {}
    for factor in factors:
        key = factor.key if isinstance(factor, Term) else factor
        counts[key] = factor, counts.get(key, (factor, 0))[1] + 1
    if len(counts) == 1 and len(factors) == 1:
        return _text(factors[0], atom)[0]
    texts = [
        _held(factor, PRODUCT, atom) if times == 1 else f"{_held(factor, ATOM, atom)}^{times}"
        for factor, times in counts.values()
    ]
    joined = texts[0] if texts else "1"
    for before, text in pairwise(texts):
        if text[0].isdigit() or (before[-1].isdigit() and text.startswith("(-")):
            joined += rf" \cdot {text}"
        else:
            joined += rf"\,{text}" if before.startswith(r"\mathrm") else f" {text}"
    return joined
