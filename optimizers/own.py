"""A reader's own rule and own surface, added to the catalogues for as long as the program runs.

Whatever takes an optimizer or a surface by name then takes them too: races, maps, pictures, explanations, the
player, `RuleOptimizer`.
"""

from __future__ import annotations

import ast
import builtins
import math
import numbers
import random
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import isfunction, signature
from typing import TYPE_CHECKING, Any

from optimizers import catalog, elementwise
from optimizers.catalog import OPTIMIZERS, Optimizer, Quantity
from optimizers.notation import Hyperparameter, Value
from optimizers.source import source

if TYPE_CHECKING:
    from optimizers.surfaces import Entry, Point

_RULE_WORDS = ("sqrt", "maximum", "sign", "where", "abs")  # what every library's numbers have
_MATHS = ("acos", "asin", "atan", "cos", "cosh", "exp", "log", "pi", "sin", "sinh", "tan", "tanh")
_SURFACE_WORDS = (*_RULE_WORDS, *_MATHS)
_OWN: set[str] = set()  # names of what has been added, which may be added anew

# Colours no entry of the catalogue has, and that stand out from both pages.
_LIGHT, _DARK, _DASH = "#a0307c", "#ee8fce", (7.0, 3.0, 7.0, 3.0, 0.1, 3.0)


def add_optimizer(
    rule: Callable[..., Any],
    hyperparameters: Mapping[str, Value | Hyperparameter],
    *,
    shown: Sequence[str] = (),
    title: str | None = None,
    light: str = _LIGHT,
    dark: str = _DARK,
    dash: tuple[float, ...] = _DASH,
    purpose: str = "",
    citation: str = "your own rule",
) -> Optimizer:
    """Add an update rule to the catalogue, under its function's name.

        update, new_state, shown = rule(theta, g, t, *state, **hyperparameters)

    A rule is made of operators, of `sqrt, maximum, sign, where` from `optimizers.elementwise` and of `abs`,
    so that NumPy, torch, Numba and SymPy can all run it. Its state starts at zero. The first thing it shows
    is the factor on its direction: the update is −factor·direction, where the direction is g, a state or
    something else it shows.

    Args:
        rule: see `optimizers.rules`; arguments behind t that are no hyperparameter are its state.
        hyperparameters: default of each, or a Hyperparameter that also says its range and scale; one is lr.
        shown: names of what it shows beside the factor.
        title: how it is called; its name by default.
        light, dark: its colour on paper and on a dark page, as #rrggbb.
        dash: lengths on and off of its line.
        purpose: one sentence on what it is for.
        citation: where it comes from.

    Returns:
        The entry, which stands in OPTIMIZERS from now on. One's own may be added again, changed.

    Raises:
        ValueError: what can't be used, in one sentence that says why.
    """
    name = _new_name(rule, OPTIMIZERS)
    names = list(signature(rule).parameters)
    state = [other for other in names[3:] if other not in hyperparameters]
    if names[:3] != ["theta", "g", "t"] or names[3:] != [*state, *hyperparameters]:
        raise ValueError(
            f"{name} takes {', '.join(names)}, but a rule takes theta, g, t, its state, then its "
            f"hyperparameters, here {', '.join(hyperparameters)}."
        )
    if "lr" not in hyperparameters:
        raise ValueError(f"{name} has no hyperparameter lr, but schedules and charts need one.")
    taken = ["theta", "g", "update", "effective_lr", *hyperparameters]  # as Trajectory calls its parts
    for own in (*state, *shown):
        if own in taken:
            raise ValueError(f"{name} keeps or shows {own}, but that name is taken; give it another.")
        taken.append(own)
    _check_words(rule, _RULE_WORDS, elementwise)
    entry = Optimizer(
        name=name,
        title=title or name.replace("_", " "),
        rule=rule,
        hyperparameters=tuple(_hyperparameter(key, value) for key, value in hyperparameters.items()),
        light=light,
        dark=dark,
        dash=dash,
        effective_label="factor",
        direction="g",
        purpose=purpose or (rule.__doc__ or "").strip().partition("\n")[0],
        citation=citation,
        states=tuple(Quantity(key, key) for key in state),
        extras=tuple(Quantity(key, key) for key in shown),
    )
    for hyper in entry.hyperparameters:
        hyper.check(hyper.default, name)
    direction = _direction(entry)
    OPTIMIZERS[name] = replace(entry, direction=direction)
    _OWN.add(name)
    return OPTIMIZERS[name]


def add_surface(
    function: Callable[..., Any],
    bounds: tuple[Point, Point],
    *,
    start: Point,
    minima: Sequence[Point] = (),
    saddles: Sequence[Point] = (),
    hyperparameters: Mapping[str, float | Hyperparameter] | None = None,
    title: str | None = None,
    watch: str = "",
    citation: str = "your own surface",
) -> Entry:
    """Add a surface to the catalogue, under its function's name.

        f, ∂f/∂x, ∂f/∂y = function(x, y, **hyperparameters)

    A function is made of operators, of what `math` has for a sine, an exponential and the like, of `sqrt,
    maximum, sign, where` from `optimizers.elementwise` and of `abs`. Its gradient is compared with finite
    differences. For a formula without a gradient see `formula("…")`.

    Args:
        function: f and its gradient at a point.
        bounds: ((x low, x high), (y low, y high)) of the map.
        start: where a race begins unless one says otherwise.
        minima: every point of least f; none where f has no bottom.
        saddles: other points worth marking.
        hyperparameters: default of each number it takes, or a Hyperparameter.
        title: how it is called; its name by default.
        watch: one line on what to look at.
        citation: where it comes from.

    Returns:
        The entry, which stands in SURFACES from now on. One's own may be added again, changed.

    Raises:
        ValueError: what can't be used, in one sentence that says why.
    """
    from optimizers.surfaces import SURFACES, Entry
    from optimizers.trajectory import point

    name = _new_name(function, SURFACES)
    given = dict(hyperparameters or {})
    names = list(signature(function).parameters)
    if names != ["x", "y", *given]:
        raise ValueError(
            f"{name} takes {', '.join(names)}, but a surface takes x, y"
            f"{', then ' + ', '.join(given) if given else ' and no hyperparameter'}."
        )
    if "data" in given:
        raise ValueError(f"{name} takes data, which is what rows of data are called; give it another name.")
    _check_words(function, _SURFACE_WORDS, elementwise, math)
    hypers = tuple(_hyperparameter(key, value) for key, value in given.items())
    defaults = [float(hyper.default) for hyper in hypers]
    entry = Entry(
        name=name,
        title=title or name.replace("_", " ").capitalize(),
        function=function,
        bounds=_sides(bounds),
        minima=tuple(point("a minimum", minimum) for minimum in minima),
        lowest=-math.inf,
        start=point("start", start),
        watch=watch or (function.__doc__ or "").strip().partition("\n")[0],
        citation=citation,
        hyperparameters=hypers,
        saddles=tuple(point("a saddle", saddle) for saddle in saddles),
    )
    _check_gradient(entry, defaults)
    lowest = min((_at(entry, *minimum, defaults)[0] for minimum in entry.minima), default=-math.inf)
    SURFACES[name] = replace(entry, lowest=lowest)
    _OWN.add(name)
    return SURFACES[name]


def _sides(bounds: Any) -> tuple[Point, Point]:
    """Return a map's bounds as numbers, or raise a ValueError."""
    from optimizers.conditions import FARTHEST

    try:
        (x0, x1), (y0, y1) = ([float(end) for end in side] for side in bounds)
    except (TypeError, ValueError):
        x0 = x1 = y0 = y1 = math.nan
    if not (-FARTHEST <= x0 < x1 <= FARTHEST and -FARTHEST <= y0 < y1 <= FARTHEST):
        raise ValueError(
            f"bounds is {reprlib.repr(bounds)}, but takes ((x low, x high), (y low, y high)), "
            "from −10⁹ to 10⁹."
        )
    return (x0, x1), (y0, y1)


def _new_name(function: Callable[..., Any], known: Mapping[str, object]) -> str:
    if not isfunction(function):
        raise ValueError(f"{reprlib.repr(function)} is no function; write it as one: def name(…).")
    name = function.__name__
    if not name.isidentifier():
        raise ValueError(f"{name} is no name; write it as a function of its own: def name(…).")
    if (name in known or name == "formula") and name not in _OWN:
        raise ValueError(f"{name} is in the catalogue already; give the function another name.")
    return name


def _hyperparameter(name: str, given: object) -> Hyperparameter:
    """Return what is known of a hyperparameter by its name and its default."""
    if isinstance(given, Hyperparameter):
        return given
    if not isinstance(given, numbers.Real) or not math.isfinite(given) or given < 0:
        raise ValueError(f"{name} is {given!r}, but its default takes a number from 0, True or False.")
    return catalog.hyperparameter(name, given if isinstance(given, bool) else float(given))


def _check_words(function: Callable[..., Any], words: Sequence[str], *modules: Any) -> None:
    """Raise for a name the compiled form will not know, or that means something else there."""
    tree = ast.parse(source(function))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    known = {node.id for node in nodes if isinstance(node.ctx, ast.Store)} | set(
        signature(function).parameters
    )
    for node in nodes:
        if not isinstance(node.ctx, ast.Load) or node.id in known or _is_annotation(tree, node):
            continue
        meant = getattr(function, "__globals__", {}).get(node.id, getattr(builtins, node.id, None))
        offered = [getattr(module, node.id, None) for module in (*modules, builtins)]
        if node.id not in words or not any(meant is thing for thing in offered if thing is not None):
            places = " and ".join(module.__name__ for module in modules)
            raise ValueError(
                f"{function.__name__} uses {node.id}, but takes only its own arguments, operators, numbers "
                f"and {', '.join(words)}, from {places}."
            )


def _is_annotation(tree: ast.AST, name: ast.Name) -> bool:
    marked = [node.annotation for node in ast.walk(tree) if isinstance(node, ast.arg | ast.AnnAssign)]
    marked += [node.returns for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return any(name in ast.walk(part) for part in marked if part is not None)


def _direction(entry: Optimizer) -> str:
    """Find by trying what the factor multiplies; raise where the rule does not give what it promises."""
    draw = random.Random(0)
    values = {hyper.name: hyper.default for hyper in entry.hyperparameters}
    fits = ["g", *entry.state, *(quantity.name for quantity in entry.extras)]
    for t in range(1, 6):
        g = (-1) ** t * draw.uniform(0.5, 2.0)
        state = [draw.uniform(0.5, 2.0) for _ in entry.state]  # above zero, as many a square is
        try:
            update, new, shown = entry.rule(draw.gauss(0, 1), g, t, *state, **entry.arguments(values))
            new, shown = tuple(map(float, new)), tuple(map(float, shown))
        except (TypeError, ValueError, ArithmeticError) as problem:
            raise ValueError(
                f"{entry.name} fails on plain numbers ({problem}), but a rule returns update, (new state,), "
                "(shown,)."
            ) from None
        if len(new) != len(entry.state) or len(shown) != 1 + len(entry.extras):
            raise ValueError(
                f"{entry.name} returns {len(new)} of state and shows {len(shown)}, but has "
                f"{len(entry.state)} of state and shows the factor and {len(entry.extras)} more."
            )
        there = {"g": g, **dict(zip(entry.state, new, strict=True))}
        there |= dict(zip([quantity.name for quantity in entry.extras], shown[1:], strict=True))
        fits = [name for name in fits if math.isclose(update, -shown[0] * there[name], rel_tol=1e-9)]
    if not fits:
        raise ValueError(
            f"{entry.name} shows a factor that gives its update on nothing it names; show the direction d "
            'for which the update is −factor·d as well: return update, (…,), (factor, d), with shown=["d"].'
        )
    return fits[0]


def _at(entry: Entry, x: float, y: float, values: Sequence[float]) -> tuple[float, float, float]:
    """Return f and its gradient at a point, or raise a ValueError that says why it has none there."""
    try:
        f, gx, gy = map(float, entry.function(x, y, *values))
    except (TypeError, ValueError, ArithmeticError) as problem:
        raise ValueError(
            f"{entry.name} fails at ({x:.4g}, {y:.4g}) ({problem}), but a surface returns f, ∂f/∂x, ∂f/∂y."
        ) from None
    if not all(map(math.isfinite, (f, gx, gy))):
        raise ValueError(
            f"{entry.name} is f, ∂f/∂x, ∂f/∂y = {f:.4g}, {gx:.4g}, {gy:.4g} at ({x:.4g}, {y:.4g})."
        )
    return f, gx, gy


def _check_gradient(entry: Entry, values: Sequence[float]) -> None:
    """Raise where the gradient is not that of f, or a minimum is none."""
    draw, h = random.Random(0), 1e-5

    def f(x: float, y: float) -> float:
        return _at(entry, x, y, values)[0]

    (x0, x1), (y0, y1) = entry.bounds
    greatest, least = 0.0, min((f(*point) for point in entry.minima), default=math.inf)
    for _ in range(20):
        x, y = draw.uniform(x0, x1), draw.uniform(y0, y1)
        _, *exact = _at(entry, x, y, values)
        seen = (f(x + h, y) - f(x - h, y)) / (2 * h), (f(x, y + h) - f(x, y - h)) / (2 * h)
        greatest = max(greatest, *map(abs, exact))
        for axis, ours, numeric in zip("xy", exact, seen, strict=True):
            if abs(ours - numeric) > 1e-4 * max(1.0, abs(numeric), abs(f(x, y))):
                raise ValueError(
                    f"∂f/∂{axis} of {entry.name} at ({x:.4g}, {y:.4g}) is {ours:.6g}, but f itself "
                    f"changes by {numeric:.6g}."
                )
        least = min(least, f(x, y))
    for point in entry.minima:
        here, *slope = _at(entry, *point, values)
        if max(map(abs, slope)) > 1e-6 * max(1.0, greatest):
            raise ValueError(f"{entry.name} has no minimum at {point}: its slope there is {tuple(slope)}.")
        if here > least + 1e-9 * max(1.0, abs(least)):
            raise ValueError(
                f"{entry.name} is {here + 0.0:.6g} at its minimum {point}, but {least:.6g} elsewhere."
            )
