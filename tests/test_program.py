"""The player's program of a rule gives the numbers that `explain.worked` gives, for every rule there is."""

import json
import math
from collections.abc import Iterator

import pytest

from optimizers import OPTIMIZERS, Racer, race, simulate
from optimizers.catalog import Optimizer
from optimizers.elementwise import sqrt, where
from optimizers.explain import worked
from optimizers.explain.trace import compute
from optimizers.own import add_optimizer
from optimizers.player import payload
from optimizers.player.program import program
from tests.racers import VARIANTS


@pytest.fixture
def own() -> Iterator[Optimizer]:
    def softly(theta, g, t, m, lr, beta):
        m = beta * m + (1 - beta) * g
        factor = where(t > 2, lr / (sqrt(abs(m)) + 1), lr)
        return -factor * m, (m,), (factor,)

    yield add_optimizer(softly, {"lr": 0.1, "beta": 0.9})
    del OPTIMIZERS["softly"]


def value(term, known):
    if not isinstance(term, list):
        return known[term] if isinstance(term, str) else term
    return float(compute(term[0], *(value(inner, known) for inner in term[1:])))


def check(racer: Racer, step: int) -> None:
    walk = simulate(racer, "booth", steps=step)
    rule = json.loads(json.dumps(program(racer), allow_nan=False))
    wanted = {(line.name, line.axis): line.value for line in worked(walk, step).lines}
    for axis, letter in enumerate("xy"):
        known = {**racer.arguments, "t": step, "lr": walk.lr[step - 1]}
        known |= {"theta": walk.path[step - 1, axis], "g": walk.grad[step - 1, axis]}
        recorded = dict(zip(walk.slots, walk.record[step - 1, :, axis], strict=True))
        for name, start in rule["initial"].items():
            known[name] = walk.state[name][step - 2, axis] if step > 1 else start
        said = set()
        for line in rule["lines"]:
            holding = [c for c in line["cases"] if all(value(q, known) == holds for q, holds in c["if"])]
            if not holding:
                continue
            known[f"{line['name']}'"] = value(holding[0]["is"], known)
            key = line["name"], "" if line.get("common") else letter
            said.add(key)
            assert math.isclose(known[f"{line['name']}'"], wanted[key], rel_tol=1e-12), (str(racer), key)
        assert said == {key for key in wanted if key[1] in ("", letter)}
        for name, term in rule["shown"].items():  # as the walk recorded it
            assert math.isclose(value(term, known), recorded[name], rel_tol=1e-9)
            known[f"{name}'"] = recorded[name]


@pytest.mark.parametrize("step", [1, 4, 9])
def test_every_rule_gives_its_worked_numbers(step: int) -> None:
    for racer in VARIANTS:
        check(racer, step)


def test_a_readers_own_rule_has_a_program(own: Optimizer) -> None:
    for step in (1, 2, 3, 7):
        check(Racer.parse("softly"), step)
    assert program(Racer.parse("softly"))["stages"] == [["decay", "m"], ["show", "g"], ["grow", "m"]]


def test_programs_are_small_and_do_not_depend_on_lr() -> None:
    sizes = [len(json.dumps(program(racer), ensure_ascii=False).encode()) for racer in VARIANTS]
    assert max(sizes) < 2048
    assert program(Racer.parse("adam(lr=0.3)")) is program(Racer.parse("adam(lr=1e-4)"))


@pytest.mark.parametrize(
    ("notation", "stages"),
    [
        ("gd", "show g"),
        ("momentum", "decay m, show g, grow m"),
        ("adam", "decay m, decay v, show g, grow m, grow v, correct m_hat m, correct v_hat v"),
        ("adam(bias_correction=False)", "decay m, decay v, show g, grow m, grow v"),
        ("adam(bias_correction=first)", "decay m, decay v, show g, grow m, grow v, correct m_hat m"),
        ("lion", "show g, show mixed, show direction, decay m, grow m"),  # Lion steps by the m from before
        ("rmsprop(weight_decay=0.1)", "decay v, show g, replace decayed, grow v"),
    ],
)
def test_a_step_comes_apart_as_its_rule_does(notation: str, stages: str) -> None:
    rule = program(Racer.parse(notation))
    assert ", ".join(" ".join(stage) for stage in rule["stages"]) == stages


def test_factors_are_there_where_the_rule_divides_by_them() -> None:
    assert program(Racer.parse("adam"))["factors"] == ["beta1", "beta2"]
    assert program(Racer.parse("adam(bias_correction=second)"))["factors"] == ["beta2"]
    assert program(Racer.parse("momentum"))["factors"] == []
    assert program(Racer.parse("adamw"))["apart"] == "decay"


def test_the_table_says_what_is_not_corrected() -> None:
    run = race(["adam", "adam(bias_correction=False)", "adam(bias_correction=first)"], "booth", steps=2)
    notes = [{row["slot"]: row["note"] for row in racer["rows"]} for racer in payload(run)[0]["racers"]]
    assert [(own["m_hat"], own["v_hat"]) for own in notes] == [("", ""), ("= m", "= √v"), ("", "= √v")]
