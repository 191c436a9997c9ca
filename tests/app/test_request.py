"""The query string: every race reads back, every bad part is named and the rest kept."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.request import MOST_RACERS, SPEEDS, RaceRequest
from optimizers import OPTIMIZERS, SURFACES, Racer, Surface, player

RACERS = st.builds(
    lambda name, lr: Racer.parse(name).change(lr=lr), st.sampled_from(list(OPTIMIZERS)), st.floats(0, 1e6)
)
REQUESTS = st.builds(
    RaceRequest,
    surface=st.sampled_from([*SURFACES, "quadratic(condition=50, angle=-30)"]).map(Surface.parse),
    racers=st.lists(RACERS, min_size=1, max_size=MOST_RACERS).map(tuple),
    start=st.tuples(*[st.integers(-4000, 4000).map(lambda n: n / 1000)] * 2),
    steps=st.integers(1, 5000),
    step=st.none() | st.just(1),
    speed=st.sampled_from(SPEEDS),
    racer=st.just(0),
    loop=st.booleans(),
)


@given(REQUESTS)
@settings(max_examples=200, deadline=None)
def test_a_link_restores_the_state(request: RaceRequest) -> None:
    assert RaceRequest.parse(request.query()) == (request, [])


def test_the_fixed_example_reads() -> None:
    request, notices = RaceRequest.parse(
        "?surface=rosenbrock&o=adam(lr=0.1)&o=rmsprop&start=-1.5,2&steps=500"
    )
    assert notices == []
    assert [str(racer) for racer in request.racers] == ["adam(lr=0.1)", "rmsprop"]
    assert (request.start, request.steps) == ((-1.5, 2.0), 500)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("surface=rosenbruck", "Did you mean rosenbrock?"),
        ("surface=beale&surface=saddle", "surface is given 2 times"),
        ("o=adam(lr=-1)", "lr of adam is -1"),
        ("start=1", "start is '1', but takes two numbers x,y"),
        ("start=nan,1", "start is 'nan,1'"),
        ("start=1e300,1", "start is '1e300,1'"),
        ("steps=0", "steps is '0', but takes a whole number from 1 to 5,000."),
        ("steps=1e3", "steps is '1e3'"),
        ("steps=" + "9" * 5000, "steps is '999"),
        ("step=-1", "step is '-1'"),
        ("step=78", "step is '78', but takes a whole number from 0 to 77."),
        ("speed=inf", "speed is 'inf'"),
        ("loop=yes", "loop is 'yes', but takes 0 or 1."),
        ("loop=1&loop=1", "loop is given 2 times"),
        ("speed=3", "speed is '3', but takes one of 0.1, 0.25, 0.5, 1, 2, 4, 8, 20."),
        ("racer=9", "racer is '9'"),
        ("racer=2", "racer is '2', but takes a whole number from 0 to 1."),
        ("sweep=lr,beta3", "There is no hyperparameter 'beta3'. Did you mean beta"),
        ("colour=red", "A link has no part 'colour'."),
        ("o=" + "x" * 9000, "This link has 9,002 characters"),
        ("&".join("o=gd" for _ in range(70)), "more than 64 parts"),
    ],
)
def test_a_bad_part_is_named_and_the_rest_kept(part: str, words: str) -> None:
    kept = RaceRequest.parse("surface=himmelblau&o=nesterov&o=gd&racer=1&start=1,2&steps=77")[0]
    request, notices = RaceRequest.parse(part, kept)
    assert request == kept
    assert len(notices) == 1
    assert words in notices[0]
    assert len(notices[0]) < 300


def test_too_many_racers() -> None:
    request, notices = RaceRequest.parse("&".join("o=gd" for _ in range(9)))
    assert len(request.racers) == MOST_RACERS
    assert notices == ["9 racers are given; the first 8 race."]


def test_one_bad_racer_does_not_stop_the_others() -> None:
    request, notices = RaceRequest.parse("o=adam(lr=0.1)&o=nonsense(")
    assert [str(racer) for racer in request.racers] == ["adam(lr=0.1)"]
    assert len(notices) == 1


def test_a_racer_is_counted_among_those_the_link_gives() -> None:
    request, notices = RaceRequest.parse("o=adam&o=nonsense(&racer=1")
    assert len(notices) == 1, "the bad racer has its sentence; whom to look into needs none"
    assert request.racer == 0
    request, notices = RaceRequest.parse("o=gd")
    assert (request.racer, notices) == (0, []), "who gives no racer gave no bad one"
    request, notices = RaceRequest.parse("o=gd&racer=1")
    assert (request.racer, notices) == (0, ["racer is '1', but takes only 0."])


def test_a_shorter_race_takes_the_kept_step_along() -> None:
    kept = RaceRequest.parse("steps=400&step=300")[0]
    request, notices = RaceRequest.parse("steps=100", kept)
    assert (request.step, notices) == (100, [])


def test_speeds_are_the_players() -> None:
    clock = (Path(player.__file__).parent / "clock.js").read_text("utf-8")
    (listed,) = re.findall(r"SPEEDS = \[(.*?)\]", clock)
    assert tuple(map(float, listed.split(","))) == SPEEDS


def test_another_surface_brings_its_own_start() -> None:
    kept = RaceRequest.parse("surface=rosenbrock&start=1,1")[0]
    assert RaceRequest.parse("surface=beale", kept)[0].start is None
    assert RaceRequest.parse("surface=rosenbrock", kept)[0].start == (1, 1)


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_request(text: str) -> None:
    request, _ = RaceRequest.parse(text)
    assert RaceRequest.parse(request.query())[0].query() == request.query()
