"""A lesson for the page: what its address asks for, and the lesson played once into things to draw."""

from __future__ import annotations

import io
import logging
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from lessons import kit
from optimizers import OPTIMIZERS, Race

log = logging.getLogger(__name__)

SKIPPED = "-"  # among the guesses: a question that was passed over


@dataclass(frozen=True)
class LessonRequest:
    """A lesson with its knobs as a learner set them; without a lesson, the list of all."""

    lesson: kit.Lesson | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    code: bool = False  # whether the cells' code is shown
    guesses: str = ""  # a letter for each question that was put: an option, a to h, or SKIPPED

    @classmethod
    def parse(cls, parts: Mapping[str, Sequence[str]]) -> tuple[LessonRequest, list[str]]:
        """Read an address's parts; return the request and a sentence for each part that was no good."""
        notices: list[str] = []
        given = {name: values[-1] for name, values in parts.items()}
        text = given.pop("lesson", None)
        code = given.pop("code", "0") == "1"
        guesses = given.pop("guesses", "")
        lesson = None
        if text is not None:
            try:
                if not (text.isascii() and text.isdigit() and len(text) < 4):
                    raise ValueError(f"lesson is {text[:60]!r}, but takes a number.")
                lesson = kit.find(int(text))
            except ValueError as problem:
                notices.append(str(problem))
        values = {name: knob.default for name, knob in lesson.knobs.items()} if lesson else {}
        for name, value in given.items():
            if name not in values or lesson is None:
                notices.append(f"This page has no part {name[:60]!r}.")
                continue
            try:
                values[name] = lesson.knobs[name].read(value)
            except ValueError as problem:
                notices.append(str(problem))
        if not re.fullmatch(f"[a-h{SKIPPED}]{{0,50}}", guesses):
            takes = f"a letter from a to h, or {SKIPPED}, for each question"
            notices.append(f"guesses is {guesses[:60]!r}, but takes {takes}.")
            guesses = ""
        return cls(lesson, values, code, guesses), notices

    @property
    def parts(self) -> dict[str, str]:
        """The address's parts that `parse` reads back; what is as the lesson has it is left out."""
        if self.lesson is None:
            return {}
        turned = {
            name: f"{value:.12g}"
            for name, value in self.values.items()
            if value != self.lesson.knobs[name].default
        }
        looked = {"code": "1"} if self.code else {}
        guessed = {"guesses": self.guesses} if self.guesses else {}
        return {"lesson": str(self.lesson.number), **turned, **looked, **guessed}

    def play(self) -> tuple[Item, ...]:
        """Play the lesson, or recall how it went with these values."""
        assert self.lesson is not None
        return _record(self.lesson, tuple(sorted(self.values.items())))


@dataclass(frozen=True)
class Prose:
    """Markdown."""

    text: str


@dataclass(frozen=True)
class Code:
    """The source of the cell whose things follow."""

    text: str


@dataclass(frozen=True)
class Drawing:
    """A figure as SVG, in the page's own colours."""

    svg: str


@dataclass(frozen=True)
class Problem:
    """Why the lesson ends here."""

    text: str


_Values = tuple[tuple[str, float], ...]
Item = Prose | Code | Drawing | Race | kit.Knob | kit.Question | Problem


class Recorder:
    """The stage that keeps what a lesson does."""

    def __init__(self, values: Mapping[str, float]) -> None:
        """Start with nothing on it."""
        self.values, self.items = values, list[Item]()

    def read(self, cell: kit.Cell) -> None:
        """Keep the cell's text."""
        self.items.append(Prose(_tied(cell.source)) if cell.markdown else Code(cell.source))

    def show(self, thing: Any) -> None:
        """Keep the thing, drawn if it is a figure."""
        if isinstance(thing, Race):
            self.items.append(thing)
        elif isinstance(thing, Mapping):
            self.items.append(Prose(kit.markdown_table(thing)))
        elif isinstance(thing, str):
            self.items.append(Prose(_tied(thing)))
        else:
            self.items.append(Drawing(themed_svg(thing)))

    def knob(self, knob: kit.Knob) -> float:
        """Keep the knob, and return what it is set to."""
        self.items.append(knob)
        return knob.check(self.values.get(knob.name, knob.default))

    def ask(self, question: kit.Question) -> None:
        """Keep the question."""
        self.items.append(replace(question, because=_tied(question.because)))


def _tied(text: str) -> str:
    """Keep a number and its sign on one line, with a no-break space."""
    return re.sub(r"(?<=\d) (?=[%×])", "\N{NO-BREAK SPACE}", text)


_one_at_a_time = Lock()  # pyplot and its settings belong to the whole process
_MOST_RECORDS = 64
_records: OrderedDict[tuple[kit.Lesson, _Values], tuple[Item, ...]] = OrderedDict()  # the oldest first


def _record(lesson: kit.Lesson, values: _Values) -> tuple[Item, ...]:
    """Play a lesson, or recall it; one that stopped halfway is played anew the next time."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    with _one_at_a_time:
        if (lesson, values) in _records:
            _records.move_to_end((lesson, values))
            return _records[lesson, values]
        stage = Recorder(dict(values))
        mpl.use("agg")  # the server has no screen
        try:
            kit.play(lesson, stage)
        except Exception as problem:
            log.exception("lesson %s", lesson.path.name)
            stage.items.append(Problem(f"This lesson stops here: {problem or type(problem).__name__}"))
            return tuple(stage.items)
        finally:
            plt.close("all")  # what the lesson drew and did not show
        _records[lesson, values] = tuple(stage.items)
        if len(_records) > _MOST_RECORDS:
            _records.popitem(last=False)
        return _records[lesson, values]


_OURS = {  # what figures.STYLE draws with -> what the page has for it
    "#fbfaf7": "var(--st-background-color)",
    "#1d1f24": "var(--st-text-color)",
    "#000000": "var(--st-text-color)",
    "#6b7079": "color-mix(in srgb, var(--st-text-color) 66%, var(--st-background-color))",
    "#c9c5bc": "var(--st-border-color)",
    "#e4e1da": "var(--st-border-color)",
} | {entry.light: f"light-dark({entry.light}, {entry.dark})" for entry in OPTIMIZERS.values()}


_TYPE = "text { fill: currentColor; font-family: var(--st-font) !important }"


def themed_svg(figure: Any) -> str:
    """Write a matplotlib figure as SVG whose colours follow the page, and let go of it."""
    import matplotlib.pyplot as plt

    buffer = io.StringIO()
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "adamscope"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    svg = buffer.getvalue()
    svg = re.sub(r' width="\S+" height="\S+"', "", svg[svg.index("<svg") :], count=1)  # as wide as the column
    svg = svg.replace('<style type="text/css">', f"<style>{_TYPE}", 1)
    return re.sub(r"#[0-9a-f]{6}\b", lambda colour: _OURS.get(colour[0], colour[0]), svg)
