"""Every schedule against torch.optim.lr_scheduler, alone and one after another, and its notation."""

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizers import simulate
from optimizers.schedules import SCHEDULES, Part, Schedule
from tests.schedulers import TWINS, parts, torch_scheduler

STEPS = 300

# torch divides by the factor it starts from, and by where the top is, which at one step is zero.
REFUSED = {"warmup": {"start_factor": st.floats(1e-6, 1)}, "one_cycle": {"pct_start": st.floats(0.004, 1)}}
ANY = {name: parts(name, **REFUSED.get(name, {})) for name in SCHEDULES}
FIRST = st.one_of(
    parts("warmup", total_iters=st.integers(1, 400), **REFUSED["warmup"]),
    parts("cosine", T_max=st.integers(1, 400)),
)
AFTER = st.one_of(*(ANY[name] for name in SCHEDULES if name != "one_cycle"))  # it overrules those before it


def torchs(notation: str, lr: float) -> np.ndarray:
    """Return the lr of each step of a real optimizer under the torch scheduler."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
    scheduler = torch_scheduler(notation, optimizer, STEPS)
    used = [optimizer.param_groups[0]["lr"]]
    for _ in range(STEPS - 1):
        optimizer.step()
        scheduler.step()
        used.append(optimizer.param_groups[0]["lr"])
    return np.array(used)


def equals_torch(notation: str, lr: float) -> bool:
    """Tell whether they agree to 1e-12 of the greatest lr: what is almost nothing is a difference.

    torch works out each lr from the one before. Past the lowest point of a cosine the rounding of that one
    grows with the square of the steps, so there it is 1e-11.
    """
    schedule = Schedule.parse(notation)
    ours, theirs = lr * schedule.factors(STEPS), torchs(notation, lr)
    past_its_end = isinstance(schedule.parts[-1].values.get("T_max"), int)
    return bool(np.abs(ours - theirs).max() <= (1e-11 if past_its_end else 1e-12) * theirs.max())


def test_every_schedule_has_a_twin() -> None:
    assert list(TWINS) == list(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
def test_equals_torch_at_its_defaults(name: str) -> None:
    assert equals_torch(name, 0.1)


@pytest.mark.parametrize("name", [name for name, entry in SCHEDULES.items() if entry.hyperparameters])
@given(data=st.data(), lr=st.floats(1e-6, 10))
@settings(max_examples=50, deadline=None)
def test_equals_torch(name: str, data: st.DataObject, lr: float) -> None:
    notation = data.draw(ANY[name])
    assert equals_torch(notation, lr)


@given(first=st.lists(FIRST, min_size=1, max_size=2), last=AFTER, lr=st.floats(1e-6, 10))
@settings(max_examples=60, deadline=None)
def test_one_after_another_equals_torchs_sequence(first: list[str], last: str, lr: float) -> None:
    notation = "+".join([*first, last])
    assert equals_torch(notation, lr)


@pytest.mark.parametrize("name", SCHEDULES)
def test_defaults_are_torchs(name: str) -> None:
    scheduler = torch_scheduler(name, torch.optim.SGD([torch.zeros(1)], lr=0.1), STEPS)
    signature = inspect.signature(type(scheduler)).parameters
    shared = [hyper for hyper in SCHEDULES[name].hyperparameters if hyper.name in signature]
    for hyper in shared:
        default = signature[hyper.name].default
        assert default in (hyper.default, inspect.Parameter.empty), hyper.name
    ours = {hyper.name for hyper in SCHEDULES[name].hyperparameters} - {hyper.name for hyper in shared}
    assert ours <= {"end_factor"}  # CosineAnnealingLR's eta_min is an lr, not a factor


def test_ends() -> None:
    assert (Schedule.parse("constant").factors(7) == 1).all()
    assert Schedule.parse("warmup").factors(7) == pytest.approx(
        [1 / 3, 7 / 15, 3 / 5, 11 / 15, 13 / 15, 1, 1]
    )
    wave = Schedule.parse("cosine(end_factor=0.2)").factors(100)
    assert (wave[0], wave[50]) == (1.0, pytest.approx(0.6))
    assert wave[-1] == pytest.approx(0.2, abs=1e-3)  # the wave ends after the last step, not at it
    cycle = Schedule.parse("one_cycle(pct_start=0.5)").factors(100)
    assert (cycle[0], cycle.argmax(), cycle.max()) == (pytest.approx(1 / 25), 49, 1.0)
    assert cycle[-1] == pytest.approx(1 / 25e4)


def test_what_is_longer_than_the_walk_is_cut_off() -> None:
    assert (Schedule.parse("step(step_size=1000)").factors(10) == 1).all()
    assert Schedule.parse("warmup(total_iters=100, start_factor=0)+cosine").factors(10) == pytest.approx(
        np.arange(10) / 100
    )
    whole = Schedule.parse("warmup+cosine(T_max=40)+exponential").factors(100)
    for steps in (1, 4, 5, 6, 44, 45, 46, 99):
        cut = Schedule.parse("warmup+cosine(T_max=40)+exponential").factors(steps)
        assert np.array_equal(cut, whole[:steps])


def test_what_takes_all_takes_what_is_left() -> None:
    both = Schedule.parse("warmup(total_iters=20)+cosine").factors(100)
    assert np.array_equal(both[20:], Schedule.parse("cosine").factors(80))
    assert np.array_equal(both[20:], Schedule.parse("cosine(T_max=80)").factors(80))


def test_a_cosine_past_its_end_rises_again() -> None:
    wave = Schedule.parse("cosine(T_max=10)").factors(41)
    assert wave[[0, 10, 20, 30, 40]] == pytest.approx([1, 0, 1, 0, 1])


@pytest.mark.parametrize("notation", ["one_cycle(pct_start=0.1)", "one_cycle(pct_start=1)", "one_cycle"])
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_a_short_cycle_stays_between_nothing_and_one(notation: str, steps: int) -> None:
    """At 10 steps the top of pct_start=0.1 is the first step, where torch divides by zero."""
    factors = Schedule.parse(notation).factors(steps)
    assert ((factors > 0) & (factors <= 1)).all()


@pytest.mark.parametrize("name", SCHEDULES)
def test_each_stands_alone(name: str) -> None:
    """Its source needs NumPy and nothing else, so that a program can carry it along."""
    entry, part = SCHEDULES[name], Part(name)
    alone: dict = {"np": np}
    exec(inspect.getsource(entry.factors), alone)
    factors = alone[entry.factors.__name__](STEPS, **entry.arguments(part.values, STEPS))
    assert np.array_equal(factors, part.factors(STEPS))
    assert entry.purpose.endswith(".")
    assert (entry.factors.__doc__ or "").endswith(("\n    ", "."))


def test_a_walk_takes_it() -> None:
    walk = simulate("gd(lr=0.01)", "quadratic", steps=50, schedule="warmup+cosine")
    assert np.array_equal(walk.lr, 0.01 * Schedule.parse("warmup+cosine").factors(50))
    assert np.array_equal(walk.update, -walk.lr[:, None] * walk.grad)


@given(notation=st.lists(FIRST, max_size=2), last=st.one_of(*ANY.values()))
@settings(deadline=None)
def test_reads_back(notation: list[str], last: str) -> None:
    schedule = Schedule.parse("+".join([*notation, last]))
    assert Schedule.parse(str(schedule)) == schedule
    assert Schedule.parse(str(schedule).replace("+", " ")) == schedule  # as a link's query hands it on


@pytest.mark.parametrize(
    ("notation", "canonical"),
    [
        ("warmup+cosine", "warmup+cosine"),
        ("warmup cosine", "warmup+cosine"),
        ("  warmup  +  cosine  ", "warmup+cosine"),
        ("warmup(total_iters=50)+step(step_size=100, gamma=0.5)", "warmup(total_iters=50)+step(gamma=0.5)"),
        ("cosine( T_max = 1e+2 , end_factor=0 )", "cosine(T_max=100)"),
        ("cosine(T_max=all)", "cosine"),
        ("one_cycle (anneal_strategy=LINEAR)", "one_cycle(anneal_strategy=linear)"),
        ("cosine(T_max=9)+cosine(T_max=9)", "cosine(T_max=9)+cosine(T_max=9)"),
    ],
)
def test_notation(notation: str, canonical: str) -> None:
    schedule = Schedule.parse(notation)
    assert str(schedule) == canonical
    assert Schedule.parse(schedule) is schedule


@pytest.mark.parametrize(
    ("notation", "sentence"),
    [
        (7, "7 is no schedule; write it like cosine or warmup+cosine."),
        (
            "cosin",
            "There is no schedule 'cosin'. Did you mean cosine? "
            "Known: constant, step, exponential, cosine, warmup, one_cycle.",
        ),
        ("warmup(steps=5)", "warmup has no hyperparameter 'steps'. Known: total_iters, start_factor."),
        ("constant(lr=1)", "constant has no hyperparameter 'lr': it takes none."),
        (
            "cosine+step",
            "step can't follow cosine, which takes all the steps: give cosine a number for T_max.",
        ),
        (
            "step(gamma=0.5)+cosine",
            "cosine can't follow step(gamma=0.5), which takes all the steps: put step last.",
        ),
        ("warmup+", "'warmup+' is no schedule; write it like name or name(key=value, key=value)."),
        ("+cosine", "'' is no schedule; write it like name or name(key=value, key=value)."),
        (
            "warmup*cosine",
            "'warmup*cosine' is no schedule; write it like name or name(key=value, key=value).",
        ),
        (
            "step(step_size=2.5)",
            "step_size of step is 2.5, but takes a whole number from 1 to 1,000,000.",
        ),
        ("cosine(T_max=0)", "T_max of cosine is 0, but takes all or a whole number from 1 to 1,000,000."),
        (
            "+".join(["warmup"] * 60),
            "'warmup+warmup+warmup+warmup+warmup+warmup+warmup+warmup+w…' is too long for a schedule: "
            "at most 300 characters.",
        ),
    ],
)
def test_bad_notation_is_one_sentence(notation: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked below
        Schedule.parse(notation)
    assert str(caught.value) == sentence


@given(
    st.text(max_size=80)
    | st.from_regex(r"((warmup|cosine|step)(\([a-zA-Z0-9_=.,+ -]{0,20}\))?[ +]{1,2}){1,3}", fullmatch=True)
)
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_schedule_or_one_sentence(text: str) -> None:
    try:
        factors, said = Schedule.parse(text).factors(20), ""
    except ValueError as problem:
        factors, said = np.ones(20), str(problem)
    assert np.isfinite(factors).all()
    assert factors.shape == (20,)
    assert not said or (10 < len(said) < 400 and "\n" not in said)
