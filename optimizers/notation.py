"""The one notation for racers and surfaces: `adam`, `adam(lr=0.05)`, `quadratic(condition=10, angle=30)`.

The same text is used in Python, on the command line, in a URL and in a lesson. It is read through `ast`, so
that nothing a stranger types is ever run.
"""

import ast
import math
import numbers
import reprlib
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType

LONGEST = 300  # characters; the longest sensible notation has about 150
LONGEST_SHOWN = 60  # characters of what was given, in an error
LONGEST_LIST = 210  # characters of all known names, in an error

Value = float | bool | str


@dataclass(frozen=True)
class Choice:
    """One value of a hyperparameter that is a choice, and what it means to the rule."""

    value: Value
    arguments: tuple[tuple[str, float], ...]  # the rule's own arguments it sets
    word: str  # what a racer's label says of it; "" says nothing
    button: str  # what its button says
    dash: tuple[float, ...] | None = None  # the line style it gives a racer; None keeps the optimizer's own


@dataclass(frozen=True)
class Hyperparameter:
    """A named number (or choice) with its default, accepted range, and how a slider should offer it."""

    name: str
    symbol: str
    default: Value
    low: float = 0.0  # accepted range, ends included …
    high: float = 1.0
    below_high: bool = False  # … but for the upper end where this is true
    whole: bool = False  # whole numbers only
    word: str = ""  # taken in place of a number: "all", the steps there are
    slider: tuple[float, float] = (0.0, 1.0)
    scale: str = "linear"  # "linear", "log", or "one_minus_log": logarithmic in 1 − value, for decay rates
    choices: tuple[Choice, ...] = ()
    aside: bool = False  # shown only when one asks for more, or when it is not at its default
    # What else changes when a convention does, so that the steps stay the same: (values, its new value, t) ->
    # (changed values, in which case they stay the same; "" is in every case), or None where nothing does it.
    convert: Callable[[Mapping[str, Value], Value, int], tuple[dict[str, Value], str] | None] | None = None

    def choice(self, value: Value) -> Choice:
        """Return the choice that has this value."""
        return next(choice for choice in self.choices if choice.value == value)

    def equivalents(
        self, values: Mapping[str, Value], t: int = 1
    ) -> list[tuple[Choice, dict[str, Value], str]]:
        """Return each other choice that can take the same steps, what changes with it, and in which case."""
        found = []
        for choice in self.choices if self.convert else ():
            if choice.value == values[self.name]:
                continue
            assert self.convert is not None
            changed = self.convert(values, choice.value, t)
            if changed is not None:
                found.append((choice, {**changed[0], self.name: choice.value}, changed[1]))
        return found

    @property
    def takes(self) -> str:
        """What is accepted, in words for an error sentence."""
        if self.choices:
            *most, last = [str(choice.value) for choice in self.choices]
            return f"{', '.join(most)} or {last}"
        if self.below_high:
            return f"a number at least {self.low:g} and below {self.high:g}"
        word = f"{self.word} or " if self.word else ""
        kind = "a whole number" if self.whole else "a number"
        return f"{word}{kind} from {self.low:g} to {self.high:,.10g}"

    def check(self, value: object, owner: str) -> Value:
        """Return `value` as this hyperparameter holds it, or raise a ValueError that says what it takes."""
        problem = ValueError(f"{self.name} of {owner} is {reprlib.repr(value)}, but takes {self.takes}.")
        if self.choices:
            for choice in self.choices:
                if str(choice.value).lower() == str(value).lower():
                    return choice.value
            raise problem
        if self.word and value == self.word:
            return self.word
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise problem
        try:
            number = float(value)
        except OverflowError:
            raise problem from None
        too_high = number >= self.high if self.below_high else number > self.high
        if not math.isfinite(number) or number < self.low or too_high:
            raise problem
        if not self.whole:
            return number
        if not number.is_integer():
            raise problem
        return int(number)


@lru_cache(maxsize=1024)  # a slider asks for the same few racers again and again
def parse_call(
    text: str, kind: str, first: str = "", like: str = "name or name(key=value, key=value)"
) -> tuple[str, Mapping[str, object]]:
    """Split `name(key=value, …)` into its name and keywords; raise ValueError with one clear sentence.

    `first` names what may be given in quotes before the keywords, as a formula is; `like` is an example.

    >>> parse_call("adam(lr=0.05, bias_correction=first)", "optimizer")
    ('adam', mappingproxy({'lr': 0.05, 'bias_correction': 'first'}))
    """
    problem = ValueError(f"{shown(text)} is no {kind}; write it like {like}.")
    if len(text) > LONGEST:
        raise ValueError(f"{shown(text)} is too long for a {kind}: at most {LONGEST} characters.")
    try:
        with warnings.catch_warnings(action="ignore"):  # of "1and 2", which is refused anyway
            node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise problem from None
    if isinstance(node, ast.Name):
        return node.id, MappingProxyType({})
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise problem
    keywords: dict[str, object] = {}
    if node.args:
        match node.args:
            case [ast.Constant(value=str(quoted))] if first:
                keywords[first] = quoted
            case _:
                raise problem
    for keyword in node.keywords:
        if keyword.arg is None:
            raise problem
        if keyword.arg in keywords:
            raise ValueError(f"{keyword.arg} is given twice in {shown(text)}; give it once.")
        if isinstance(keyword.value, ast.Name):  # a bare word, as in bias_correction=first
            keywords[keyword.arg] = keyword.value.id
            continue
        try:
            keywords[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, RecursionError):
            raise problem from None
    return node.func.id, MappingProxyType(keywords)


def shown(text: str) -> str:
    """Quote what was given, on one line and never at length.

    >>> shown("adam\\n")
    "'adam\\\\n'"
    """
    quoted = repr(text)
    return quoted if len(quoted) <= LONGEST_SHOWN + 2 else f"{quoted[: LONGEST_SHOWN - 2]}…{quoted[0]}"


def unknown(kind: str, name: str, known: Collection[str], owner: str = "") -> ValueError:
    """Return the error for a name that is not known: the nearest one, and all that are if they fit a line."""
    near = get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    names = ", ".join(known)
    listed = f" Known: {names}." if len(names) <= LONGEST_LIST else ""
    if owner and not known:
        return ValueError(f"{owner} has no {kind} {shown(name)}: it takes none.")
    return ValueError(f"{owner or 'There'} {'has' if owner else 'is'} no {kind} {shown(name)}.{hint}{listed}")


def check_values(
    given: Mapping[str, object], known: Iterable[Hyperparameter], owner: str
) -> tuple[tuple[str, Value], ...]:
    """Check given values against their hyperparameters; return (name, value) for each, defaults filled in."""
    by_name = {hyper.name: hyper for hyper in known}
    for name in given:
        if name not in by_name:
            raise unknown("hyperparameter", name, list(by_name), owner)
    return tuple(
        (name, hyper.check(given[name], owner) if name in given else hyper.default)
        for name, hyper in by_name.items()
    )


def write_call(
    name: str, values: Iterable[tuple[str, Value]], known: Iterable[Hyperparameter], first: str = ""
) -> str:
    """Write the shortest notation that reads back the same, defaults left out; `first` goes in quotes."""
    defaults = {hyper.name: hyper.default for hyper in known}
    parts = [f'"{first}"'] if first else []
    parts += [f"{key}={write_value(value)}" for key, value in values if value != defaults[key]]
    return f"{name}({', '.join(parts)})" if parts else name


def write_value(value: Value) -> str:
    """Write a value with the fewest digits that read back the same."""
    return str(value) if isinstance(value, bool | str) else repr(value).removesuffix(".0")
