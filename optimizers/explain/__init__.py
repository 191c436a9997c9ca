"""A racer explained from its own rule: its formula, one step's arithmetic, a program that takes its steps.

Nothing here is written for one optimizer: all of it is read from the rule's function and its catalogue entry,
so that a reader's own rule is explained as well.
"""

from optimizers.explain.formulas import Line, Worked, WorkedLine, formula, formula_lines, worked
from optimizers.explain.programs import program

__all__ = ["Line", "Worked", "WorkedLine", "formula", "formula_lines", "program", "worked"]
