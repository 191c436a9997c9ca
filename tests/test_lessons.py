"""The kit's three words, and every lesson run as a reader runs it, its numbers checked from outside."""

import re
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jupytext
import matplotlib as mpl
import numpy as np
import pytest

from lessons import kit
from lessons.latex import plain
from optimizers import Race, race

LESSONS = {path.name: kit.Lesson.read(path) for _, _, path in kit.lessons()}


class Heard:
    """A stage that keeps what it is given."""

    def __init__(self, **values: float) -> None:
        self.values, self.shown, self.questions = values, list[Any](), list[kit.Question]()

    def read(self, cell: kit.Cell) -> None: ...

    def show(self, thing: Any) -> None:
        self.shown.append(thing)

    def knob(self, knob: kit.Knob) -> float:
        return self.values.get(knob.name, knob.default)

    def ask(self, question: kit.Question) -> None:
        self.questions.append(question)


@pytest.fixture(autouse=True)
def no_windows() -> None:
    mpl.use("agg")


# Every lesson


@pytest.mark.parametrize("name", LESSONS)
def test_runs_as_a_script(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(LESSONS[name].path), "--out", str(tmp_path), "--answers"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    pictures = sorted(path.name for path in tmp_path.iterdir())
    assert any(picture.endswith(".png") for picture in pictures)
    assert all((tmp_path / picture).stat().st_size > 5_000 for picture in pictures)
    assert all(picture in done.stdout for picture in pictures)


@pytest.mark.parametrize("name", LESSONS)
def test_opens_as_a_notebook(name: str) -> None:
    """Jupytext finds the cells we find."""
    cells = jupytext.read(LESSONS[name].path).cells
    ours = LESSONS[name].cells
    assert [cell.cell_type == "markdown" for cell in cells] == [cell.markdown for cell in ours]
    assert [cell.source for cell in cells] == [cell.source for cell in ours]
    assert ours[0].markdown
    assert LESSONS[name].title
    assert len(LESSONS[name].summary) < 120


@pytest.mark.parametrize("name", LESSONS)
def test_prose_states_no_result(name: str) -> None:
    """A number in a markdown cell is a setting; what was measured is said by `show`."""
    settings = {"0", "0.001", "1", "13", "2,000", "5"}  # of lesson 5: lr's range, the races, the threshold
    for cell in LESSONS[name].cells:
        if cell.markdown:
            text = re.sub(r"\$\$.*?\$\$", "", cell.source, flags=re.S)
            assert set(re.findall(r"\d[\d,.]*(?<![,.])", text)) <= settings, text


@pytest.mark.parametrize("name", LESSONS)
@pytest.mark.parametrize("end", ["low", "high"])
def test_holds_at_the_knobs_ends(name: str, end: str) -> None:
    lesson = LESSONS[name]
    stage = Heard(**{knob.name: getattr(knob, end) for knob in lesson.knobs.values()})
    kit.play(lesson, stage)
    assert stage.shown


# Lesson 5: what it says, checked against the closed form


@pytest.fixture(scope="module")
def bias() -> Heard:
    stage = Heard()
    kit.play(kit.find(5), stage)
    return stage


def factor(t: Any, beta1: float = 0.9, beta2: float = 0.999) -> Any:
    return (1 - beta1**t) / np.sqrt(1 - beta2**t)


def texts(stage: Heard) -> str:
    return "\n".join(thing for thing in stage.shown if isinstance(thing, str))


def test_first_step(bias: Heard) -> None:
    assert bias.questions[0].answer == "three times lr"
    assert "It is 3.16 × lr. m is 10 times too small" in bias.questions[0].because
    assert "31.6 times too small" in bias.questions[0].because
    assert "(1−β₁)/√(1−β₂) = 3.16." in texts(bias)
    assert "then the step is 0.1 × lr. With m corrected and v not, it is 31.6 × lr." in texts(bias)


def test_how_long_it_lasts(bias: Heard) -> None:
    t = np.arange(1, 100_000)
    assert (int(t[factor(t).argmax()]), round(factor(t).max(), 2)) == (12, 6.57)
    assert int(t[factor(t) > 1.05][-1]) == 2374
    assert bias.questions[1].answer == "after a dozen"
    assert (
        "the step is 3.16 × lr at t = 1, 6.57 × at t = 12, and still more than 5 % too long until t = 2,374"
        in (texts(bias))
    )
    assert f"m has come to {100 * (1 - 0.9**12):.0f} %" in bias.questions[1].because
    assert f"√v only to {100 * (1 - 0.999**12) ** 0.5:.0f} %" in bias.questions[1].because


def test_table_of_betas(bias: Heard) -> None:
    (table,) = (thing for thing in bias.shown if isinstance(thing, dict) and "β₂" in thing)
    assert np.allclose(table["first step / lr"], [10, 31.6227766, 100, 1, 3.16227766, 10])
    t = np.arange(1, 30_001)
    for row, (beta1, beta2) in enumerate(zip(table["β₁"], table["β₂"], strict=True)):
        lengths = factor(t, beta1, beta2)
        assert table["longest / lr"][row] == pytest.approx(lengths.max())
        assert table["at t"][row] == t[lengths.argmax()]
        assert table["5 % too long until"][row] == t[lengths > 1.05][-1]


def test_rmsprop_begins_long(bias: Heard) -> None:
    (table,) = (thing for thing in bias.shown if isinstance(thing, dict) and "α" in thing)
    assert np.allclose(table["first step / lr"], [10**0.5, 10, 1000**0.5], rtol=1e-6)


def test_the_races(bias: Heard) -> None:
    (shown,) = (thing for thing in bias.shown if isinstance(thing, Race))
    assert [str(racer) for racer in shown.racers] == ["adam(lr=0.1)", "adam(lr=0.1, bias_correction=False)"]
    assert f"arrives at step {shown.trajectories[0].arrived}." in texts(bias)
    assert f"arrives at step {shown.trajectories[1].arrived}." in texts(bias)
    (table,) = (thing for thing in bias.shown if isinstance(thing, dict) and "Beale" in thing)
    words = [word for name, column in table.items() if name != "lr" for word in column]
    found = [words.count(word) for word in ("without", "with")]
    numbers = [
        int(n)
        for n in re.findall(
            r"in (\d+) races and with in (\d+); from there up, in (\d+) and (\d+)", bias.questions[2].because
        )[0]
    ]
    assert found == [numbers[0] + numbers[2], numbers[1] + numbers[3]]
    one = race(["adam(lr=0.01)", "adam(lr=0.01, bias_correction=False)"], "quadratic", steps=2000)
    arrived = [walk.arrived for walk in one]
    assert arrived[1] < arrived[0]  # type: ignore[operator]
    assert table["Quadratic"][table["lr"].index(0.01)] == "without"


# The kit


def script(tmp_path: Path, text: str, *flags: str) -> "subprocess.CompletedProcess[str]":
    path = tmp_path / "07_mine.py"
    path.write_text(
        f"# %% [markdown]\n# # Mine\n# %%\nfrom lessons.kit import ask, knob, show\n{text}\n", "utf-8"
    )
    command = [sys.executable, str(path), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_readers_own_script_has_flags(tmp_path: Path) -> None:
    text = 'show(f"b is {knob(\'b\', 2, 1, 10):g}")\nask("Which?", ["p", "q"], "q", "Because.")'
    done = script(tmp_path, text, "--b", "7")
    assert "b is 7" in done.stdout
    assert "--answers shows the answer" in done.stdout
    assert "Because." not in done.stdout
    done = script(tmp_path, text, "--answers")
    assert "b is 2" in done.stdout
    assert "→ q. Because." in done.stdout
    assert "1 to 10, 2 by default" in script(tmp_path, text, "--help").stdout


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        (["--b", "11"], "b is '11', but takes a number from 1 to 10."),
        (["--b", "nan"], "b is 'nan'"),
        (["--c", "1"], "--c"),
    ],
)
def test_a_bad_flag_is_named(tmp_path: Path, flag: list[str], words: str) -> None:
    done = script(tmp_path, "knob('b', 2, 1, 10)", *flag)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def heard(play: Callable[[], None]) -> Heard:
    stage = Heard()
    with kit.on(stage):
        play()
    return stage


def test_an_answer_is_what_was_measured() -> None:
    options = {"half": 0.5, "twice": 2.0, "same": 1.0}
    assert heard(lambda: kit.ask("?", options, 2.04, "")).questions[0].answer == "twice"
    assert heard(lambda: kit.ask("?", ["a", "b"], "b", "")).questions[0].answer == "b"
    for wrong in (3.0, float("nan")):
        with pytest.raises(ValueError, match="is none of the options"):
            heard(lambda wrong=wrong: kit.ask("?", options, wrong, ""))  # type: ignore[misc]
    with pytest.raises(ValueError, match="'c' is none of the options"):
        heard(lambda: kit.ask("?", ["a", "b"], "c", ""))


def test_show_takes_what_it_can_show() -> None:
    assert heard(lambda: kit.show(3.14159)).shown == ["3.142"]
    with pytest.raises(
        ValueError, match="show takes a race, a figure, a table, a number or a text, not list"
    ):
        heard(lambda: kit.show([1, 2]))


def test_a_knob_refuses_what_it_does_not_reach() -> None:
    with pytest.raises(ValueError, match="lr is 2, but takes a number from 0 to 1"):
        kit.Knob("lr", 2, 0, 1)


def test_there_is_no_lesson_99() -> None:
    with pytest.raises(ValueError, match="There is no lesson 99; there is 5"):
        kit.run(99)


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (r"v \leftarrow \beta_2 v + (1-\beta_2)\,g^2", "v ← β₂ v + (1−β₂) g²"),
        (r"\Delta\theta = -\,\mathrm{lr}\,\frac{\hat m}{\sqrt{\hat v}+\varepsilon}", "Δθ = −lr m̂/(√v̂+ε)"),
        (r"\frac{1-\beta_1^t}{\sqrt{1-\beta_2^t}}", "(1−β₁ᵗ)/√(1−β₂ᵗ)"),
        (r"\theta_{t-1} \odot x^{\alpha b} \strange", "θₜ₋₁ ⊙ x^(α b) strange"),
        ("}{", "}"),
    ],
)
def test_a_formula_is_text_in_a_terminal(formula: str, text: str) -> None:
    assert plain(formula) == text


@pytest.mark.parametrize("name", LESSONS)
def test_no_lesson_prints_latex(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = kit.Script(name, None, answers=True, values={}, prose=True)
    for cell in LESSONS[name].cells:
        terminal.read(cell)
    told = capsys.readouterr().out
    assert not re.search(r"\$|\\[a-z]+\{", told)


def test_run_tells_the_whole_lesson(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kit.run(5, tmp_path, answers=True)
    told = capsys.readouterr().out
    assert told.startswith("# Bias correction")
    assert "## On a surface" in told
    assert "→ three times lr." in told
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".html"}


def test_a_notebook_shows_all_inline(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    inline = types.SimpleNamespace(display=shown.append, Markdown=lambda text: ("markdown", text))
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: object()))  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "IPython.display", inline)  # type: ignore[arg-type]
    with kit.on(None):  # type: ignore[arg-type]
        assert kit.knob("lr", 0.1, 0, 1) == 0.1
        result = race(["adam"], "beale", steps=3)
        for thing in ("text", {"t": [1]}, result):
            kit.show(thing)
        kit.ask("Which?", ["p", "q"], "q", "Because.")
    assert shown[0] == ("markdown", "text")
    assert shown[1] == ("markdown", "| t |\n|---:|\n| 1 |")
    assert shown[2] is result
    assert "<summary>Answer</summary>\n\n**q.** Because." in shown[3][1]


def test_a_mistake_names_the_lessons_line(tmp_path: Path) -> None:
    path = tmp_path / "08_bad.py"
    path.write_text("# %% [markdown]\n# # Bad\n#\n# Sum.\n# %%\nx = 1\n1 / 0\n", "utf-8")
    with pytest.raises(ZeroDivisionError) as caught:
        kit.play(kit.Lesson.read(path), Heard())
    assert caught.traceback[-1].lineno == 6  # counted from 0
