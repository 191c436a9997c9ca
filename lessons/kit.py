"""What a lesson is written with: three words, and the stages they play on.

    show(x)                                   a race, a figure, a table (a dict of columns) or a sentence
    knob("lr", 0.1, 1e-3, 1)                  a number the learner may turn
    ask(question, options, answer, because)   a prediction before the reveal

A lesson is a script in percent format: `# %% [markdown]` and `# %%` cells. Run as a script, `show` prints, or
writes files with `--out DIR`, and each knob is a flag; in a notebook all is inline; the app plays it cell by
cell on a stage of its own.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from lessons.latex import plain
from optimizers import Race

HERE = Path(__file__).resolve().parent


# A lesson as a file ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Knob:
    """A number the learner may turn, from low to high."""

    name: str
    default: float
    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse a default that lies outside."""
        self.check(self.default)

    def check(self, value: float) -> float:
        """Return the value; raises ValueError where the knob does not reach it."""
        if not self.low <= value <= self.high:  # NaN is refused too
            raise ValueError(
                f"{self.name} is {value:g}, but takes a number from {self.low:g} to {self.high:g}."
            )
        return value

    def read(self, text: str) -> float:
        """Read a value from a flag or an address; raises ValueError in one sentence."""
        try:
            return self.check(float(text))
        except ValueError:
            raise ValueError(
                f"{self.name} is {text[:60]!r}, but takes a number from {self.low:g} to {self.high:g}."
            ) from None


@dataclass(frozen=True)
class Cell:
    """One cell of a lesson: markdown without its comment signs, or code."""

    source: str
    line: int  # of the file, counted from 1, where the source begins
    markdown: bool


@dataclass(frozen=True)
class Lesson:
    """A lesson's file, read but not run."""

    path: Path
    text: str

    @classmethod
    def read(cls, path: Path) -> Lesson:
        """Read the file."""
        return cls(path, path.read_text("utf-8"))

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The cells, in order; what stands before the first marker belongs to none."""
        cells: list[Cell] = []
        marker, lines, first = "", [], 1
        for number, line in enumerate([*self.text.splitlines(), "# %%"], 1):
            if not line.startswith("# %%"):
                lines.append(line)
                continue
            if marker and any(lines):
                markdown = "[markdown]" in marker
                kept = [re.sub(r"^# ?", "", text) for text in lines] if markdown else lines
                cells.append(Cell("\n".join(kept).strip("\n"), first, markdown))
            marker, lines, first = line, [], number + 1
        return tuple(cells)

    @property
    def number(self) -> int:
        """The number its file name begins with."""
        return int(self.path.name.partition("_")[0])

    @property
    def title(self) -> str:
        """The first heading."""
        return next(
            line[2:] for cell in self.cells for line in cell.source.splitlines() if line.startswith("# ")
        )

    @property
    def summary(self) -> str:
        """The first paragraph below the title."""
        return self.cells[0].source.split("\n\n")[1].replace("\n", " ")

    @cached_property
    def knobs(self) -> dict[str, Knob]:
        """Every knob the lesson has, read from its source without running it."""
        calls = (node for node in ast.walk(ast.parse(self.text)) if isinstance(node, ast.Call))
        named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "knob"]
        knobs = [Knob(*(ast.literal_eval(argument) for argument in call.args)) for call in named]
        return {knob.name: knob for knob in knobs}


def lessons() -> list[tuple[int, str, Path]]:
    """Every lesson there is: number, title, path.

    >>> [number for number, _, _ in lessons()]
    [5]
    """
    found = [Lesson.read(path) for path in sorted(HERE.glob("[0-9]*.py"))]
    return [(lesson.number, lesson.title, lesson.path) for lesson in found]


def find(number: int) -> Lesson:
    """Return a lesson by its number; raises ValueError where there is none."""
    known = {found: path for found, _, path in lessons()}
    if number not in known:
        raise ValueError(f"There is no lesson {number}; there is {', '.join(map(str, known))}.")
    return Lesson.read(known[number])


# The three words ---------------------------------------------------------------------------------------


def show(thing: Any) -> None:
    """Show a race, a matplotlib figure, a table (a dict of columns), a number or markdown text."""
    if isinstance(thing, int | float):
        thing = _word(thing)
    if not (isinstance(thing, Race | Mapping | str) or hasattr(thing, "savefig")):
        raise ValueError(
            f"show takes a race, a figure, a table, a number or a text, not {type(thing).__name__}."
        )
    _stage().show(thing)


def knob(name: str, default: float, low: float, high: float) -> float:
    """Return a number the learner may turn: a slider in the app, a flag `--name` of a script.

    Raises ValueError for a value outside low to high.
    """
    return _stage().knob(Knob(name, default, low, high))


def ask(
    question: str, options: Mapping[str, float] | Sequence[str], answer: float | str, because: str
) -> None:
    """Ask for a prediction before the reveal.

    Args:
        question: one question.
        options: the answers to choose from; or, as a mapping, what each would measure.
        answer: what the experiment gave: one of the options, or the number measured. Compute it.
        because: why, in a sentence.

    Raises:
        ValueError: the answer is none of the options (a number counts as one within 5 %).
    """
    _stage().ask(Question(question, tuple(options), _settle(options, answer), because))


def _settle(options: Mapping[str, float] | Sequence[str], answer: float | str) -> str:
    if isinstance(options, Mapping):
        near = [name for name, value in options.items() if abs(float(answer) - value) <= 0.05 * abs(value)]
    else:
        near = [name for name in options if name == answer]
    if len(near) != 1:
        raise ValueError(f"The answer {answer!r} is none of the options {list(options)}.")
    return near[0]


@dataclass(frozen=True)
class Question:
    """What `ask` asks, with the option that turned out to be right."""

    text: str
    options: tuple[str, ...]
    answer: str
    because: str


# Stages ------------------------------------------------------------------------------------------------


class Stage(Protocol):
    """Where a lesson plays."""

    def read(self, cell: Cell) -> None:
        """Take in a cell about to be played; markdown is only ever read."""

    def show(self, thing: Any) -> None:
        """Show a thing."""

    def knob(self, knob: Knob) -> float:
        """Return the knob's value."""

    def ask(self, question: Question) -> None:
        """Put a question."""


_STAGE: ContextVar[Stage | None] = ContextVar("stage", default=None)


def _stage() -> Stage:
    stage = _STAGE.get()
    if stage is None:
        stage = _own_stage()
        _STAGE.set(stage)
    return stage


@contextmanager
def on(stage: Stage) -> Iterator[None]:
    """Let the three words play on `stage`."""
    token = _STAGE.set(stage)
    try:
        yield
    finally:
        _STAGE.reset(token)


def play(lesson: Lesson, stage: Stage) -> None:
    """Play a lesson cell by cell. What a cell raises, play raises."""
    scope = {"__name__": "__main__", "__file__": str(lesson.path)}
    with on(stage):
        for cell in lesson.cells:
            stage.read(cell)
            if not cell.markdown:
                source = "\n" * (cell.line - 1) + cell.source  # so that an error names the file's line
                exec(compile(source, str(lesson.path), "exec"), scope)


def run(number: int, out: Path | None = None, answers: bool = False) -> None:
    """Play a lesson in the terminal, prose and all; raises ValueError for a number that is none."""
    lesson = find(number)
    play(lesson, Script(lesson.path.stem, out, answers, {}, prose=True))


def _own_stage() -> Stage:
    """The stage for code that nobody plays: a notebook's, or a script's with the flags it was called with."""
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        return Notebook()
    main = Path(getattr(sys.modules["__main__"], "__file__", None) or "lesson.py")
    if not main.is_file() or "lessons.kit" not in main.read_text("utf-8", errors="replace"):
        return Script(main.stem, None, False, {})
    lesson = Lesson.read(main)
    parser = argparse.ArgumentParser(description=lesson.title)
    parser.add_argument("--out", type=Path, help="folder for the lesson's pictures")
    parser.add_argument("--answers", action="store_true", help="show the answers to the questions")
    for knob in lesson.knobs.values():
        reach = f"{knob.low:g} to {knob.high:g}, {knob.default:g} by default"
        parser.add_argument(f"--{knob.name}", type=_flag(knob), default=knob.default, metavar="X", help=reach)
    flags = vars(parser.parse_args())
    return Script(main.stem, flags.pop("out"), flags.pop("answers"), flags)


def _flag(knob: Knob) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            return knob.read(text)
        except ValueError as problem:
            raise argparse.ArgumentTypeError(str(problem)) from None

    return read


class Script:
    """The terminal: text is printed, pictures are files in `out`, or windows where there is no `out`."""

    def __init__(
        self, name: str, out: Path | None, answers: bool, values: Mapping[str, float], prose: bool = False
    ) -> None:
        """Make the folder `out`; `name` begins the name of every file in it."""
        self.name, self.out, self.answers, self.values, self.prose = name, out, answers, values, prose
        self.pictures = count(1)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)

    def read(self, cell: Cell) -> None:
        """Print the prose, where that is wanted."""
        if cell.markdown and self.prose:
            self._print(cell.source)

    def show(self, thing: Any) -> None:
        """Print a sentence or a table; write a picture, a race as a page too."""
        if isinstance(thing, Race):
            from optimizers import figures

            path = self._picture(figures.paths(thing))
            if path is not None:
                page = path.with_suffix(".html")
                page.write_text(thing.to_html(), encoding="utf-8")
                print(f"{page}: the race, to play\n")
        elif isinstance(thing, Mapping):
            print(table(thing) + "\n")
        elif isinstance(thing, str):
            self._print(thing)
        else:
            self._picture(thing)

    def knob(self, knob: Knob) -> float:
        """Return the flag's value, or the default."""
        value = knob.check(self.values.get(knob.name, knob.default))
        print(f"{knob.name} = {value:g}\n")
        return value

    def ask(self, question: Question) -> None:
        """Print the question; wait for a guess where somebody sits; print the answer where it is wanted."""
        self._print(question.text)
        for letter, option in zip("abcdefgh", question.options, strict=False):
            print(f"  {letter}  {option}")
        guessed = sys.stdin.isatty() and not self.answers
        if guessed:
            with suppress(EOFError):
                input("Your guess? ")
        if guessed or self.answers:
            self._print(f"→ {question.answer}. {question.because}")
        else:
            print("  (--answers shows the answer)\n")

    def _print(self, markdown: str) -> None:
        markdown = re.sub(r"(?<!\$)\$([^$]+)\$(?!\$)", lambda inline: plain(inline[1]), markdown)
        for paragraph in markdown.split("\n\n"):
            if paragraph.startswith("$$"):
                print(f"    {plain(paragraph.strip('$'))}\n")
                continue
            wraps = not paragraph.startswith(("#", "-", "|", " "))
            print(textwrap.fill(paragraph, 78) if wraps else paragraph, end="\n\n")

    def _picture(self, figure: Any) -> Path | None:
        if self.out is not None:
            path = self.out / f"{self.name}-{next(self.pictures)}.png"
            figure.savefig(path, dpi=160)
            print(f"{path}\n")
            return path
        import matplotlib.pyplot as plt

        if plt.get_backend().lower() == "agg":
            print("(a picture: --out DIR writes it)\n")
        else:
            plt.show()
        plt.close(figure)
        return None


class Notebook:
    """A notebook: everything inline."""

    def __init__(self) -> None:
        """Find the notebook's display."""
        inline = import_module("IPython.display")
        self.display, self.markdown = inline.display, inline.Markdown

    def read(self, cell: Cell) -> None:
        """Do nothing: the notebook has its own cells."""

    def show(self, thing: Any) -> None:
        """Display a thing."""
        if isinstance(thing, Mapping):
            thing = self.markdown(markdown_table(thing))
        elif isinstance(thing, str):
            thing = self.markdown(thing)
        self.display(thing)

    def knob(self, knob: Knob) -> float:
        """Return the default; to turn it, change the cell."""
        return knob.default

    def ask(self, question: Question) -> None:
        """Show the question, and the answer under a fold."""
        options = "\n".join(f"- {option}" for option in question.options)
        fold = (
            f"<details><summary>Answer</summary>\n\n**{question.answer}.** {question.because}\n\n</details>"
        )
        self.display(self.markdown(f"**{question.text}**\n\n{options}\n\n{fold}"))


# Tables ------------------------------------------------------------------------------------------------


def table(columns: Mapping[str, Sequence[Any]]) -> str:
    """Lay out columns of equal length as text: words to the left, numbers to the right, with four digits.

    >>> print(table({"": ["first", "longest"], "t": [1, 12], "factor": [3.1623, 6.5685]}))
              t  factor
    first     1   3.162
    longest  12   6.569
    """
    return "\n".join("  ".join(row).rstrip() for row in _rows(columns))


def markdown_table(columns: Mapping[str, Sequence[Any]]) -> str:
    """Lay out columns of equal length as a markdown table."""
    head, *rows = ("| " + " | ".join(row) + " |" for row in _rows(columns))
    rule = "".join("|:---" if _is_words(column) else "|---:" for column in columns.values())
    return "\n".join([head, f"{rule}|", *rows])


def _rows(columns: Mapping[str, Sequence[Any]]) -> list[tuple[str, ...]]:
    laid = []
    for heading, column in columns.items():
        cells = [heading, *map(_word, column)]
        width = max(map(len, cells))
        laid.append([cell.ljust(width) if _is_words(column) else cell.rjust(width) for cell in cells])
    return list(zip(*laid, strict=True))


def _is_words(column: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in column)


def _word(value: Any) -> str:
    if isinstance(value, float):  # a NumPy float64 too
        return f"{value:.4g}".replace("-", "−")
    return f"{value:,}" if isinstance(value, int) else str(value)
