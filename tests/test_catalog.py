"""The catalogue, racer notation, and the looks that tell racers apart."""

import inspect
import itertools
import math
import reprlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizers import OPTIMIZERS, SURFACES, Racer, Surface
from optimizers.catalog import Look, distinct
from optimizers.notation import Hyperparameter
from optimizers.schedules import SCHEDULES, Part, Schedule

# What a dichromat sees, for linear RGB: Viénot, Brettel and Mollon, Color Res. & Appl. 24 (1999).
PROTANOPIA = ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0))
DEUTERANOPIA = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))
PAPER, NIGHT = "#fbfaf7", "#14161a"


def _linear(colour: str) -> list[float]:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def _lab(rgb: list[float]) -> list[float]:
    """CIE L*a*b* of linear sRGB under D65."""
    r, g, b = rgb
    xyz = (
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089,
    )
    x, y, z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz)
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


def _contrast(one: str, other: str) -> float:
    """WCAG contrast ratio."""
    light, dark = sorted(
        (0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in map(_linear, (one, other))), reverse=True
    )
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_looks_differ_for_every_eye(theme: str) -> None:
    looks = {name: distinct([Racer.parse(name)])[0] for name in OPTIMIZERS}
    for (one, a), (other, b) in itertools.combinations(looks.items(), 2):
        if a.dash != b.dash:
            continue  # the line style tells them apart whatever the eye
        for matrix in (None, PROTANOPIA, DEUTERANOPIA):
            seen = []
            for look in (a, b):
                rgb = _linear(getattr(look, theme))
                if matrix:
                    rgb = [max(0.0, sum(m * c for m, c in zip(row, rgb, strict=True))) for row in matrix]
                seen.append(_lab(rgb))
            assert math.dist(*seen) > 20, f"{one} and {other} look alike"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_colours_stand_out_from_the_page(name: str) -> None:
    entry = OPTIMIZERS[name]
    assert _contrast(entry.light, PAPER) >= 3  # WCAG 2.2, 1.4.11: graphics
    assert _contrast(entry.dark, NIGHT) >= 3


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_entries_fit_their_rules(name: str) -> None:
    entry = OPTIMIZERS[name]
    racer = Racer.parse(name)
    names = list(inspect.signature(entry.rule).parameters)
    assert names == ["theta", "g", "t", *entry.state, *racer.arguments]
    update, state, shown = entry.rule(1.0, 2.0, 1.0, *(0.0 for _ in entry.state), **racer.arguments)
    assert update < 0  # downhill
    assert (len(state), len(shown)) == (len(entry.state), len(entry.shown))
    assert entry.direction in ("g", *entry.state, *entry.shown)
    assert entry.purpose.endswith(".")
    assert entry.citation


# Everything with hyperparameters: how it is made and read, and what it takes. New entries join by themselves.
OWNERS = {
    **{entry.name: (Racer, Racer.parse, entry.hyperparameters) for entry in OPTIMIZERS.values()},
    **{entry.name: (Surface, Surface.parse, entry.hyperparameters) for entry in SURFACES.values()},
    **{entry.name: (Part, Schedule.parse, entry.hyperparameters) for entry in SCHEDULES.values()},
}
HYPERPARAMETERS = [(owner, hyper) for owner, (*_, known) in OWNERS.items() for hyper in known]
IDS = [f"{owner}-{hyper.name}" for owner, hyper in HYPERPARAMETERS]


def test_no_two_owners_share_a_name() -> None:
    assert len(OWNERS) == len(OPTIMIZERS) + len(SURFACES) + len(SCHEDULES)


def good(hyper: Hyperparameter) -> list:
    """What it takes, at the very ends of its range and its slider."""
    if hyper.choices:
        return [hyper.default, *(choice.value for choice in hyper.choices)]
    top = math.nextafter(hyper.high, -math.inf) if hyper.below_high else hyper.high
    return [hyper.default, hyper.low, top, *hyper.slider]


def bad(hyper: Hyperparameter) -> list:
    """What it does not take, just outside its range and of every wrong kind."""
    wrong = [math.nan, math.inf, -math.inf, 10**400, "", "most", "1", "adam" * 30, None, 1j, [0.5], (), {}]
    if hyper.choices:
        return [*wrong, "Tru", 2, -1]
    edges = [math.nextafter(hyper.low, -math.inf), math.nextafter(hyper.high, math.inf)]
    return [*wrong, *edges, True, False, *[hyper.high] * hyper.below_high, *[hyper.low + 0.5] * hyper.whole]


@pytest.mark.parametrize(("owner", "hyper"), HYPERPARAMETERS, ids=IDS)
def test_a_hyperparameter_takes_its_range(owner: str, hyper: Hyperparameter) -> None:
    make, parse, _ = OWNERS[owner]
    for value in good(hyper):
        made = make(owner, ((hyper.name, value),))
        assert made.values[hyper.name] == value
        assert str(parse(str(made))) == str(made)
    assert hyper.scale in ("linear", "log", "one_minus_log")
    assert hyper.symbol
    if hyper.choices:
        assert len({choice.button for choice in hyper.choices}) == len(hyper.choices)
        return
    low, high = hyper.slider
    assert hyper.low <= low < high <= hyper.high
    assert hyper.scale != "log" or low > 0
    assert hyper.scale != "one_minus_log" or high < 1


@pytest.mark.parametrize(("owner", "hyper"), HYPERPARAMETERS, ids=IDS)
def test_a_hyperparameter_refuses_the_rest_in_one_sentence(owner: str, hyper: Hyperparameter) -> None:
    make, parse, _ = OWNERS[owner]
    for value in bad(hyper):
        sentence = f"{hyper.name} of {owner} is {reprlib.repr(value)}, but takes {hyper.takes}."
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked below
            make(owner, ((hyper.name, value),))
        assert str(caught.value) == sentence
        assert len(sentence) < 200
        assert "\n" not in sentence
        # as text, inf is a word, and so is nan: what is not a number is refused alike, by its name
        if isinstance(value, complex):
            continue
        with pytest.raises(ValueError, match=f"^({hyper.name} of {owner} is |'{owner}\\()"):
            parse(f"{owner}({hyper.name}={value!r})")


@pytest.mark.parametrize("owner", OWNERS)
def test_an_unknown_hyperparameter_is_named_with_those_there_are(owner: str) -> None:
    make, parse, known = OWNERS[owner]
    names = f"Known: {', '.join(hyper.name for hyper in known)}." if known else "it takes none."
    for attempt in (lambda: make(owner, (("colour", 1.0),)), lambda: parse(f"{owner}(colour=1)")):
        with pytest.raises(ValueError, match=f"^{owner} has no hyperparameter 'colour'") as caught:
            attempt()
        assert str(caught.value).endswith(names)


def test_notation_reads_back() -> None:
    for text in (
        "adam",
        "adam(lr=0.05, bias_correction=False)",
        "momentum(lr=0.01, momentum=0.95)",
        "gd(lr=1e-05)",
    ):
        assert str(Racer.parse(text)) == text
    assert (
        str(Racer.parse(" adam( lr = 1 , beta1=0.9,bias_correction='first') "))
        == "adam(lr=1, bias_correction=first)"
    )


@given(lr=st.floats(0, 1e6), beta1=st.floats(0, 1, exclude_max=True), eps=st.floats(0, 1))
@settings(max_examples=200)
def test_every_racer_reads_back(lr: float, beta1: float, eps: float) -> None:
    racer = Racer.parse("adam").change(lr=lr, beta1=beta1, eps=eps)
    assert Racer.parse(str(racer)) == racer


@pytest.mark.parametrize(
    ("notation", "words"),
    [
        ("adem", "There is no optimizer 'adem'. Did you mean adam?"),
        ("adam(lrr=1)", "adam has no hyperparameter 'lrr'. Did you mean lr?"),
        ("adam(beta1=1)", "beta1 of adam is 1, but takes a number at least 0 and below 1."),
        ("adam(lr=True)", "lr of adam is True"),
        ("adam(lr=1e999)", "lr of adam is inf"),
        ("adam(lr=1, lr=2)", "lr is given twice"),
        ("adam(bias_correction=maybe)", "but takes True, False, first or second."),
        ("adam(", "'adam(' is no optimizer"),
        ("adam(0.1)", "is no optimizer"),
        ("adam(**{})", "is no optimizer"),
        ("adam(lr=__import__('os'))", "is no optimizer"),
        ("adam(lr=10**9)", "is no optimizer"),
        ("adam(lr=" + "(" * 250 + ")", "is no optimizer"),
        ("a" * 1000, "too long"),
        ("", "is no optimizer"),
    ],
)
def test_bad_notation_is_one_sentence(notation: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are checked below
        Racer.parse(notation)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=80) | st.from_regex(r"adam\([a-z0-9=.,+e_()\[\]'-]*\)", fullmatch=True))
@settings(max_examples=500)
def test_any_text_is_a_racer_or_one_sentence(text: str) -> None:
    try:
        said = Racer.parse(text).name
    except ValueError as problem:
        said = str(problem)
    assert said in OPTIMIZERS or (10 < len(said) < 400 and "\n" not in said)


def test_a_racer_made_by_hand_is_checked_too() -> None:
    assert Racer("adam") == Racer.parse("adam")
    assert Racer("gd", (("lr", np.float32(0.5)),)) == Racer.parse("gd(lr=0.5)")
    with pytest.raises(ValueError, match="lr of adam is -5"):
        Racer("adam", (("lr", -5.0),))
    with pytest.raises(ValueError, match="no optimizer 'adamm'"):
        Racer("adamm")


def test_a_racer_and_a_surface_show_what_makes_them() -> None:
    assert repr(Racer.parse("adam(lr=0.5)")) == "Racer.parse('adam(lr=0.5)')"
    assert eval(repr(Surface.parse("quadratic(condition=4)"))) == Surface.parse("quadratic(condition=4)")


def test_kin_are_told_apart() -> None:
    racers = ["adam(lr=0.1)", "adam(lr=0.2)", "adam(lr=0.2, bias_correction=False)", "adam(lr=0.1)"]
    looks = distinct(map(Racer.parse, racers))
    assert [look.label for look in looks] == [
        "Adam, lr 0.1",
        "Adam, lr 0.2",
        "Adam, uncorrected",
        "Adam, lr 0.1 (2)",
    ]
    assert len({look.dash for look in looks}) == 4
    assert {look.light for look in looks} == {OPTIMIZERS["adam"].light}
    assert [look.hollow for look in looks] == [False, False, True, False]


def test_a_racer_looks_the_same_in_any_company() -> None:
    alone = {name: distinct([Racer.parse(name)])[0] for name in OPTIMIZERS}
    together = distinct(map(Racer.parse, OPTIMIZERS))
    assert together == list(alone.values())
    assert all(isinstance(look, Look) for look in together)
