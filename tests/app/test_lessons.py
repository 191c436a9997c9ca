"""The lessons' page without a browser: what it draws, what it keeps back, and what its address says."""

import html
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs

import matplotlib.pyplot as plt
import pytest
from streamlit.testing.v1 import AppTest

import app
from app.lesson import Drawing, LessonRequest, Problem, themed_svg
from lessons import kit
from optimizers import OPTIMIZERS, Race, figures

PAGE = Path(app.__file__).parent / "views" / "lessons.py"


def start(query: str = "") -> AppTest:
    test = AppTest.from_file(str(PAGE), default_timeout=30)
    test.query_params.update(parse_qs(query))
    return test.run()


def text(test: AppTest) -> str:
    assert not test.exception, test.exception[0].message
    return "\n".join(element.value for element in test.markdown)


def press(test: AppTest, label: str) -> AppTest:
    (button,) = (button for button in test.button if button.label == label)
    return button.click().run()


def address(test: AppTest) -> dict[str, list[str]]:
    """What the page wrote (AppTest gives a single value as a text) or was given."""
    return {name: [v] if isinstance(v, str) else list(v) for name, v in test.query_params.items()}


def notices(test: AppTest) -> list[str]:
    """The sentences the page says, each of which must be plain text."""
    said = [element.proto.body for element in test.get("html") if "<style" not in element.proto.body]
    found = [re.fullmatch(r'<p class="notice" role="status">([^<>]*)</p>', body) for body in said]
    assert all(found)
    return [html.unescape(match[1]) for match in found if match]


def components(test: AppTest) -> int:
    return len(test.get("bidi_component"))


def test_the_list_opens_a_lesson_and_comes_back() -> None:
    test = start()
    assert "# Lessons" in text(test)
    assert [button.label for button in test.button] == [title for _, title, _ in kit.lessons()]
    press(test, "Bias correction")
    assert address(test) == {"lesson": ["5"]}
    assert "# Bias correction" in text(test)
    press(test, "← All lessons")
    assert address(test) == {}
    assert "# Lessons" in text(test)


def test_nothing_is_given_away_before_the_guess() -> None:
    test = start("lesson=5")
    assert len(test.radio) == 1
    assert "times too small" not in text(test)
    assert "## And then?" not in text(test)
    assert components(test) == 0


def test_a_locked_guess_stays_and_is_answered() -> None:
    test = start("lesson=5")
    assert next(button for button in test.button if button.label == "Lock in my guess").disabled
    test.radio[0].set_value("a third of lr").run()
    press(test, "Lock in my guess")
    assert "- a third of lr ← your guess\n" in text(test)
    assert "- **three times lr**\n" in text(test)
    assert "It is 3.16\N{NO-BREAK SPACE}× lr." in text(test)
    (radio,) = test.radio  # the next question's
    assert radio.options[0] == "at the first step"
    test.select_slider[0].set_value(0.2).run()
    assert "- a third of lr ← your guess\n" in text(test)
    press(test, "← All lessons")
    assert "← your guess" in text(press(test, "Bias correction"))


def test_guesses_are_in_the_address_so_that_a_reload_keeps_them() -> None:
    test = start("lesson=5")
    test.radio[0].set_value("a third of lr").run()
    press(test, "Lock in my guess")
    press(test, "Just show me")
    assert address(test) == {"lesson": ["5"], "guesses": ["b-"]}
    again = start("lesson=5&guesses=b-")
    assert text(again) == text(test)
    assert "- a third of lr ← your guess\n" in text(again)
    assert again.radio[0].options[0] == "with it, nearly always"  # the third question's
    asked = start("lesson=5&guesses=h")  # no option of the first question
    assert "It is 3.16" not in text(asked)
    assert len(asked.radio) == 1


def shown(query: str) -> AppTest:
    """The lesson with every question passed over."""
    test = start(query)
    for _ in range(10):
        if not test.radio:
            return test
        press(test, "Just show me")
    pytest.fail("The questions do not end.")


def test_the_whole_lesson_plays() -> None:
    test = shown("lesson=5")
    assert "/lab?o=adam&o=adam%28bias_correction%3DFalse%29" in text(test)
    assert "your guess" not in text(test)
    items = LessonRequest.parse({"lesson": ["5"]})[0].play()
    pictures = [item for item in items if isinstance(item, Drawing | Race)]
    assert components(test) == len(pictures) == 2
    assert not test.code
    assert notices(test) == []


def test_a_knob_is_in_the_address_and_reaches_the_experiment() -> None:
    test = shown("lesson=5&lr=0.25")
    assert test.select_slider[0].value == 0.25
    assert "With lr = 0.25, Adam covers" in text(test)
    test.select_slider[0].set_value(0.02).run()
    assert address(test) == {"lesson": ["5"], "lr": ["0.02"], "guesses": ["---"]}
    assert "With lr = 0.02, Adam covers" in text(test)
    test.select_slider[0].set_value(0.1).run()
    assert address(test) == {"lesson": ["5"], "guesses": ["---"]}, "the default need not be said"


def test_code_is_shown_on_demand() -> None:
    test = press(start("lesson=5&lr=0.2"), "Show the code")
    assert address(test) == {"lesson": ["5"], "lr": ["0.2"], "code": ["1"]}
    assert 'knob("lr", 0.1, 1e-3, 1)' in "\n".join(element.value for element in test.code)
    press(test, "Hide the code")
    assert not test.code


@pytest.mark.parametrize(
    ("query", "words", "kept"),
    [
        ("lesson=99", "There is no lesson 99; there is 5.", {}),
        ("lesson=../kit", "lesson is '../kit', but takes a number.", {}),
        ("lesson=5&lr=7", "lr is '7', but takes a number from 0.001 to 1.", {"lesson": ["5"]}),
        ("lesson=5&lr=nan", "lr is 'nan'", {"lesson": ["5"]}),
        ("lesson=5&beta=1", "This page has no part 'beta'.", {"lesson": ["5"]}),
        ("lesson=5&guesses=b?", "guesses is 'b?', but takes a letter from a to h", {"lesson": ["5"]}),
        ("speed=2", "This page has no part 'speed'.", {}),
    ],
)
def test_a_bad_part_is_named_and_the_rest_kept(query: str, words: str, kept: dict[str, list[str]]) -> None:
    test = start(query)
    assert not test.exception
    assert [words in notice for notice in notices(test)] == [True]
    assert len(test.warning) == len(test.error) == 0, "those would read Markdown"
    assert address(test) == kept


def test_a_lesson_that_fails_says_so_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "6_bad.py"
    path.write_text("# %% [markdown]\n# # Bad\n#\n# Sum.\n# %%\n1 / 0\n# %%\nprint('no')\n", "utf-8")
    monkeypatch.setattr(kit, "find", lambda number: kit.Lesson.read(path))
    test = start("lesson=6")
    assert "# Bad" in text(test)
    assert notices(test) == ["This lesson stops here: division by zero"]


def test_a_lesson_is_played_once_for_each_setting() -> None:
    first, second = (LessonRequest.parse({"lesson": ["5"], "lr": ["0.3"]})[0].play() for _ in range(2))
    assert first is second
    assert not any(isinstance(item, Problem) for item in first)


def test_learners_who_come_together_see_one_playing(monkeypatch: pytest.MonkeyPatch) -> None:
    play, played = kit.play, []
    monkeypatch.setattr(kit, "play", lambda *given: (played.append(1), play(*given)))
    request = LessonRequest.parse({"lesson": ["5"], "lr": ["0.31"]})[0]
    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(lambda _: request.play(), range(4))
    assert len(played) == 1
    assert all(other is first for other in others)


def test_a_lesson_that_failed_is_tried_again_and_leaves_no_figure(tmp_path: Path) -> None:
    path = tmp_path / "6_bad.py"
    code = "import matplotlib.pyplot as plt\nplt.figure()\n1 / 0\n"
    path.write_text(f"# %% [markdown]\n# # Bad\n#\n# Sum.\n# %%\n{code}", "utf-8")
    request = LessonRequest(kit.Lesson.read(path))
    first, second = request.play(), request.play()
    assert first == second
    assert first is not second
    assert plt.get_fignums() == []


def test_a_drawing_wears_the_pages_colours() -> None:
    with plt.rc_context(figures.STYLE):
        figure, axes = plt.subplots()
        axes.plot([0, 1], color=OPTIMIZERS["adam"].light)
        axes.set(title="t", xlabel="x")
    before = plt.get_fignums()
    svg = themed_svg(figure)
    assert len(plt.get_fignums()) == len(before) - 1, "the figure was not let go"
    assert svg.startswith("<svg ")
    assert f"light-dark({OPTIMIZERS['adam'].light}, {OPTIMIZERS['adam'].dark})" in svg
    left = re.sub(r"light-dark\(.*?\)", "", svg)
    assert set(re.findall(r"(?:fill|stroke): (#\w{6})", left)) == set(), "colours that ignore the theme"
    assert "<svg" in svg
    assert not re.search(r"<svg[^>]* width=", svg)
