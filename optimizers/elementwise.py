"""The few functions a rule needs beside operators, for floats, NumPy, torch, SymPy and formulas.

The compiled rules have the same names with the same meaning for floats (`kernels.SCALAR`). Each rounds
correctly, so that all walk the same path, but for torch's √, which may be a last digit off.
"""

import math
from types import ModuleType
from typing import Any


def _library(*values: Any) -> ModuleType | None:
    """Return the library whose numbers these are: torch, sympy, numpy or our terms; None for plain floats."""
    names = {type(value).__module__.partition(".")[0] for value in values}
    if "optimizers" in names:  # a rule being written as a formula
        from optimizers.explain import trace

        return trace
    if "torch" in names:
        import torch

        return torch
    if "sympy" in names:
        import sympy

        return sympy
    if "numpy" in names:
        import numpy

        return numpy
    return None


def sqrt(x: Any) -> Any:
    """√x; NaN for a negative float."""
    library = _library(x)
    if library is not None:
        return library.sqrt(x)
    return math.sqrt(x) if x >= 0 else math.nan


def maximum(a: Any, b: Any) -> Any:
    """Return the greater of two; NaN where one of them is."""
    library = _library(a, b)
    if library is None:
        return b if a < b or b != b else a
    if library.__name__ == "sympy":
        return library.Max(a, b)
    if library.__name__ == "torch":
        a, b = library.as_tensor(a), library.as_tensor(b)
    return library.maximum(a, b)


def sign(x: Any) -> Any:
    """−1, 0 or 1."""
    library = _library(x)
    return library.sign(x) if library is not None else float((x > 0) - (x < 0))


def where(condition: Any, a: Any, b: Any) -> Any:
    """Return a where the condition holds and b elsewhere; a plain condition picks at once."""
    library = _library(condition)
    if library is None or (library.__name__ == "sympy" and condition in (True, False)):
        return a if condition else b
    if library.__name__ == "sympy":
        return library.Piecewise((a, condition), (b, True))
    if library.__name__ == "torch":
        # A plain number is put beside the condition, by a kernel: a copy from the host would make a GPU wait,
        # and can't be part of a CUDA graph.
        numbers = [x for x in (a, b) if isinstance(x, library.Tensor)]
        kind = {"dtype": numbers[0].dtype if numbers else None, "device": condition.device}
        a, b = (x if isinstance(x, library.Tensor) else library.full((), float(x), **kind) for x in (a, b))
        return library.where(condition.bool(), a, b)
    return library.where(condition, a, b)
