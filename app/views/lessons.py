"""The lessons: a list of them, and one played from top to bottom."""

import html
from dataclasses import replace

import streamlit as st
from streamlit.components.v2.types import ComponentRenderer

from app.lesson import SKIPPED, Code, Drawing, LessonRequest, Problem, Prose
from app.player import show_race
from lessons import kit
from optimizers import Race


def page() -> None:
    parts = {name: st.query_params.get_all(name) for name in st.query_params}
    request, notices = LessonRequest.parse(parts)
    st.query_params.from_dict(request.parts)
    st.html(STYLE)
    for notice in notices:
        say(notice)
    if request.lesson is None:
        contents()
    else:
        left()[request.lesson.number] = request.parts
        lesson(request, request.lesson)


def say(text: str) -> None:
    """Show a sentence as it is: it may quote the address, so nothing in it is read as Markdown."""
    st.html(f'<p class="notice" role="status">{html.escape(text)}</p>')


def left() -> dict[int, dict[str, str]]:
    """The address at which each lesson was left in this session."""
    parts: dict[int, dict[str, str]] = st.session_state.setdefault("lessons", {})
    return parts


def contents() -> None:
    st.markdown("# Lessons")
    for number, title, path in kit.lessons():
        with st.container(gap="xsmall"):
            parts = left().get(number, {"lesson": str(number)})
            st.button(title, key=f"open-{number}", type="tertiary", on_click=go, args=[parts])
            st.markdown(kit.Lesson.read(path).summary)


def lesson(request: LessonRequest, lesson: kit.Lesson) -> None:
    """Draw what the lesson did, up to the first question that waits for a guess."""
    with st.container(horizontal=True, horizontal_alignment="distribute", key="head"):
        st.button("← All lessons", type="tertiary", on_click=go, args=[{}])
        other = replace(request, code=not request.code).parts
        st.button(
            "Hide the code" if request.code else "Show the code", type="tertiary", on_click=go, args=[other]
        )
    put = 0  # questions so far
    for index, item in enumerate(request.play()):
        key = f"{lesson.number}-{index}"
        match item:
            case Prose(text):
                st.markdown(text)
            case Code(text) if request.code:
                st.code(text)
            case Drawing(svg):
                drawing()(data=svg, key=f"drawing-{key}")
            case Race():
                with st.container(key=f"wide-{key}"):
                    show_race(item, key=f"race-{key}")
            case kit.Knob():
                slider(request, item)
            case kit.Question():
                if not answered(request, item, put, key):
                    return
                put += 1
            case Problem(text):
                say(text)


def go(parts: dict[str, str]) -> None:
    st.query_params.from_dict(parts)


def slider(request: LessonRequest, knob: kit.Knob) -> None:
    """A knob: what it is set to is in the address."""
    key, value = f"knob-{knob.name}", request.values[knob.name]
    st.session_state[key] = value

    def turn() -> None:
        values = {**request.values, knob.name: st.session_state[key]}
        go(replace(request, values=values).parts)

    if knob.low > 0 and knob.high / knob.low >= 100:
        stops = {digit * 10.0**power for power in range(-12, 12) for digit in (1, 1.5, 2, 3, 5, 7)}
        reached = {stop for stop in stops if knob.low <= stop <= knob.high} | {knob.low, knob.high, value}
        st.select_slider(knob.name, sorted(reached), format_func=lambda v: f"{v:g}", key=key, on_change=turn)
    else:
        st.slider(knob.name, float(knob.low), float(knob.high), key=key, on_change=turn)


def answered(request: LessonRequest, question: kit.Question, number: int, key: str) -> bool:
    """Put the question, counted from 0; once a guess is locked, say what came out. Returns whether it is."""
    letters = dict(zip("abcdefgh", question.options, strict=False))
    guessed = request.guesses[number : number + 1]
    before = request.guesses[:number]

    def lock(letter: str) -> None:
        go(replace(request, guesses=before + letter).parts)

    with st.container(key=f"question-{key}"):
        if guessed == SKIPPED or guessed in letters:
            st.markdown(verdict(question, letters.get(guessed)))
            return True
        guess = st.radio(f"**{question.text}**", question.options, index=None, key=f"guess-{key}")
        with st.container(horizontal=True):
            st.button(
                "Lock in my guess",
                key=f"lock-{key}",
                disabled=guess is None,
                on_click=lock,
                args=[next((letter for letter, option in letters.items() if option == guess), SKIPPED)],
            )
            st.button(
                "Just show me",
                key=f"skip-{key}",
                type="tertiary",
                on_click=lock,
                args=[SKIPPED],
            )
    return False


def verdict(question: kit.Question, guess: str | None) -> str:
    """The question with the answer in bold and the guess marked, then why."""
    options = []
    for option in question.options:
        words = f"**{option}**" if option == question.answer else option
        options.append(f"- {words} ← your guess" if option == guess else f"- {words}")
    return "\n\n".join([f"**{question.text}**", "\n".join(options), question.because])


def drawing() -> ComponentRenderer:
    """The component that puts an SVG into the page itself, where it takes on the page's colours and type."""
    return st.components.v2.component(
        "adamscope_drawing",
        html="<div></div>",
        js="""export default ({ parentElement, data }) => {
            parentElement.querySelector("div").innerHTML = data;
        }""",
    )


# A column of 68 characters; a race is wider, as far as the window goes.
STYLE = """<style>
[data-testid="stMainBlockContainer"] {
    max-width: calc(68ch + 4rem); padding: 5.5rem 2rem 8rem; margin: 0 auto }
[data-testid="stMainBlockContainer"] [data-testid="stMarkdownContainer"] {
    font-variant-numeric: tabular-nums;
    :is(p, li) { font-size: 1.05rem; line-height: 1.6 } }
[data-testid="stLayoutWrapper"]:has(> [class*="st-key-wide"]) {
    align-self: center; width: min(68rem, 100vw - 4rem); max-width: none }
[class*="st-key-question"] {
    border-left: 2px solid light-dark(#b3401f, #ff8a5c); padding-left: 1.1rem; margin-bottom: 1rem }
.notice {
    border-left: 2px solid light-dark(#b3401f, #ff8a5c); padding: 0.3rem 0 0.3rem 1.1rem; margin: 0;
    overflow-wrap: anywhere }
[data-testid="stMainBlockContainer"] [class*="st-key-open"] p { font-size: 1.35rem; font-weight: 600 }
</style>"""

page()
