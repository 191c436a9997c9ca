"""Predict first, the run in words, and the landmarks: their numbers are checked against Python's race."""

import base64
import json
import mimetypes
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route, expect

import optimizers.player
from app.request import FIRST_RACERS
from optimizers import SURFACES, Race, race
from optimizers.player import grid, pack, payload
from optimizers.trajectory import CONVERGED, reach
from tests.e2e.test_playground import CROWDS

pytestmark = pytest.mark.browser

FOLDER = Path(optimizers.player.__file__).parent
MODULES = (
    "course.js",
    "summary.js",
    "landmarks.js",
    "guess.js",
    "where.js",
    "first.js",
    "fair.js",
    "sentence.js",
    "stages.js",
    "sweep.js",
)
READ = """async ([packet, names, work]) => {
    const { unpack } = await import("/packet.js");
    const { readRace } = await import("/race.js");
    const { meta, arrays } = unpack(Uint8Array.from(atob(packet), (letter) => letter.charCodeAt(0)));
    const known = { field: { ...meta.grid, values: arrays.grid } };
    for (const name of names) Object.assign(known, await import(`/${name}`));
    const run = new Function(...Object.keys(known), `return (${work})`)(...Object.values(known));
    return run(readRace(meta, arrays.tracks));
}"""


class Modules:
    """The player's modules on an empty page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def evaluate(self, work: str, given: Race) -> Any:
        """Run work(race), JavaScript that may name `field` and all that the modules export."""
        meta, tracks = payload(given)
        meta["grid"], values = grid(given.surface)
        packet = base64.b64encode(pack(meta, tracks=tracks, grid=values)).decode()
        return self.page.evaluate(READ, [packet, MODULES, work])

    def summary(self, given: Race, *off: int, field: str = "field") -> str:
        said: str = self.evaluate(f"(race) => summarize(race, {{ off: {list(off)}, field: {field} }})", given)
        return said

    def landmarks(self, given: Race, chosen: int, *off: int) -> list[dict[str, Any]]:
        marks: list[dict[str, Any]] = self.evaluate(
            f"(race) => landmarks(race, {chosen}, {{ off: {list(off)}, field }})", given
        )
        return marks


@pytest.fixture(scope="module")
def modules(browser: Browser) -> Iterator[Modules]:
    def serve(route: Route) -> None:
        name = urlsplit(route.request.url).path.lstrip("/")
        if not name:
            route.fulfill(body="<!doctype html><title>modules</title>", content_type="text/html")
        else:
            kind = mimetypes.guess_type(name)[0] or "text/plain"
            route.fulfill(body=(FOLDER / name).read_bytes(), content_type=kind)

    context = browser.new_context()
    context.route("http://player.test/**", serve)
    page = context.new_page()
    page.goto("http://player.test/")
    yield Modules(page)
    context.close()


def turns_beyond(path: np.ndarray, place: np.ndarray, reach: float) -> int:
    """Count overshoots as course.js defines them, by looking back at every corner and keep no stack."""
    offset = path - place
    distance = np.hypot(*offset.T)
    count, side = 0, None
    for k in range(1, len(path) - 1):
        leaving = offset[k] @ offset[k] > offset[k] @ offset[k - 1]
        returning = offset[k + 1] @ offset[k] < offset[k] @ offset[k]
        if not (distance[k] > reach and leaving and returning):
            continue
        as_far = np.flatnonzero(distance[:k] >= distance[k])
        entry = offset[as_far[-1] if as_far.size else 0]
        if entry @ offset[k] < 0 and (side is None or side @ offset[k] < 0):
            count, side = count + 1, offset[k]
    return count


ROLLING = ["gd(lr=0.02)", "momentum(lr=0.02)", "adam(lr=0.1)", "nesterov(lr=0.03)", "rmsprop(lr=0.05)"]


@pytest.mark.parametrize("surface", ["quadratic", "booth", "rosenbrock", "beale", "himmelblau", "logistic"])
def test_a_course_is_what_python_finds(modules: Modules, surface: str) -> None:
    racers = (
        ROLLING
        if surface not in {"rosenbrock", "beale", "himmelblau"}
        else ["momentum(lr=3e-4, momentum=0.98)", "adam(lr=0.1)"]
    )
    given = race(racers, surface, steps=400)
    read = """(race) => race.racers.map((racer) => courseOf(race, racer))"""
    courses = modules.evaluate(read, given)
    minima = np.array(given.surface.entry.minima)
    assert any(course["overshoots"] for course in courses)
    for walk, course in zip(given, courses, strict=True):
        assert course["arrived"] == walk.arrived
        assert course["diverged"] == walk.diverged
        assert (course["fate"] == "arrived") == (walk.outcome == CONVERGED)
        if walk.diverged is not None:
            continue
        assert course["closest"]["distance"] == pytest.approx(walk.distance.min(), abs=2e-5)
        assert walk.distance[course["closest"]["step"]] == pytest.approx(walk.distance.min(), abs=2e-5)
        target = minima[np.argmin(np.hypot(*(minima - walk.path[-1]).T))]
        assert course["target"] == pytest.approx(target)
        assert len(course["overshoots"]) == turns_beyond(walk.path, target, reach(given.surface))


def test_the_run_is_told_with_its_numbers(modules: Modules) -> None:
    given = race(["momentum(lr=0.02)", "adam(lr=0.1)", "gd(lr=0.25)"], "quadratic", steps=200)
    momentum, adam, gd = given
    said = modules.summary(given)
    assert said.startswith(
        f"Momentum overshoots the minimum twice and reaches it at step {momentum.arrived}; "
    )
    assert f"Adam overshoots it once and arrives at step {adam.arrived}. " in said
    assert f"Gradient descent diverges at step {gd.diverged}. " in said
    apart = abs(momentum.loss[-1] - adam.loss[-1])
    within = re.search(r"Momentum and Adam end equally low, to within (\d)×10⁻¹⁰\.$", said)
    assert within
    assert apart <= 1e-10 * int(within[1]) < 2 * apart
    alone = modules.summary(given, 0, 2)
    assert alone == f"Adam overshoots the minimum once and reaches it at step {adam.arrived}."


def test_ties_are_told_together(modules: Modules) -> None:
    twins = race(
        ["adam(lr=0.1)", "adamw(lr=0.1, weight_decay=0)", "momentum(lr=0.1, momentum=0)"], "booth", steps=300
    )
    adam, _, momentum = twins
    assert adam.arrived is not None
    assert momentum.arrived is not None
    said = modules.summary(twins)
    assert f"Adam and AdamW arrive at step {adam.arrived}" in said or "Adam and AdamW overshoot" in said
    assert said.count("AdamW") == 1 or "All end" in said
    still = race(["adam", "gd"], "quadratic", start=(0, 0), steps=30)
    assert (
        modules.summary(still)
        == "Adam and gradient descent start at the minimum and stay. All end equally low."
    )


def test_a_local_minimum_is_called_local_and_a_plateau_is_not(modules: Modules) -> None:
    bowls = race(["gd(lr=0.01)", "momentum(lr=0.01)"], "styblinski_tang", steps=200)
    said = modules.summary(bowls)
    assert (
        f"Momentum overshoots the minimum nine times and reaches it at step {bowls.trajectories[1].arrived}."
        in said
    )
    rested = np.flatnonzero(
        np.hypot(*(bowls.trajectories[0].path - bowls.trajectories[0].path[-1]).T) > reach(bowls.surface)
    )
    assert f"Gradient descent rests in a local minimum, at f = −64.2, from step {rested[-1] + 1} on." in said
    assert said.endswith("Momentum is lowest at the end, at f = −78.3.")
    assert "local" not in modules.summary(bowls, field="null")  # nothing shows that f rises around it
    plain = modules.summary(race(["gd(lr=0.5)"], "plateau", steps=200))
    assert plain == "Gradient descent hardly leaves the start, where the slope is 0.00011."
    valley = modules.summary(race(["gd(lr=0.0002)", "gd(lr=1e-5)"], "rosenbrock", steps=1500))
    assert "local" not in valley


def test_noise_keeps_a_racer_circling(modules: Modules) -> None:
    given = race(["gd(lr=0.05)"], "noisy_ravine", steps=800)
    tail = given.trajectories[0].distance[-201:]
    said = modules.summary(given)
    assert said == f"Gradient descent circles the minimum at a distance of about {np.sort(tail)[100]:.2g}."


def test_without_a_minimum_nobody_arrives(modules: Modules) -> None:
    given = race(["adam(lr=0.1)", "gd(lr=1e-4)"], "saddle", steps=100)
    on = np.flatnonzero((np.abs(given.trajectories[0].path) <= [2.1, 1.85]).all(axis=1))
    said = modules.summary(given)
    assert f"Adam leaves the map at step {on[-1] + 1}" in said
    assert "minimum" not in said
    assert "lowest" not in said


@pytest.mark.measures
def test_eight_racers_fit_three_sentences_and_five_milliseconds(modules: Modules) -> None:
    racers = [f"momentum(lr={lr})" for lr in (0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.012)] + [
        "gd(lr=0.3)"
    ]
    given = race(racers, "quadratic", steps=2000)
    said = modules.summary(given)
    assert len(re.findall(r"\.( |$)", said)) <= 3
    assert len(said) < 500
    assert said.count("on their way") + said.count("on its way") <= 1
    took = modules.evaluate(
        """(race) => {
            const times = Array.from({ length: 40 }, () => {
                const again = { ...race, racers: race.racers.map((racer) => ({ ...racer })) };
                const before = performance.now();
                summarize(again, { field });
                return performance.now() - before;
            });
            return Math.min(...times);
        }""",
        given,
    )
    assert took < 5


def test_landmarks_are_where_it_happened(modules: Modules) -> None:
    given = race(
        ["momentum(lr=0.02)", "adam(lr=0.1)", "adam(lr=0.1, bias_correction=False)", "gd(lr=0.25)"],
        "quadratic",
        steps=300,
    )
    marks = modules.landmarks(given, 1)
    assert [mark["step"] for mark in marks] == sorted(mark["step"] for mark in marks)
    found = {(mark["kind"], mark["racer"]): mark for mark in marks}
    momentum, adam, plain, gd = given
    apart = np.hypot(*(adam.path - plain.path).T) > reach(given.surface)
    assert found["difference", 1]["step"] == np.flatnonzero(apart)[0]
    assert found["difference", 1]["note"].startswith("Adam and Adam (uncorrected) are")  # its twin
    assert found["diverged", 3]["step"] == gd.diverged
    for index, walk in enumerate((momentum, adam, plain)):
        assert (("arrived", index) in found) == (walk.arrived is not None)
        if walk.arrived is not None:
            assert found["arrived", index]["step"] == walk.arrived
        assert walk.distance[found["closest", index]["step"]] <= walk.distance.min() + 1e-5
    t = np.arange(1, 3001)
    factor = (1 - 0.9**t) / np.sqrt(1 - 0.999**t)
    assert found["factor", 2]["step"] == factor.argmax() == 11  # the step that update t = 12 leaves
    assert found["factor", 2]["text"] == f"Adam, uncorrected: factor peaks, {factor.max():.2f}×"
    assert ("factor", 1) not in found
    hidden = modules.landmarks(given, 1, 2, 3)
    assert {mark["racer"] for mark in hidden} == {0, 1}
    assert "momentum" in next(mark["note"] for mark in hidden if mark["kind"] == "difference")


Spot = tuple[float, float] | None  # a guess where it ends; None: off the map


def asked_where(
    modules: Modules, given: Race, spot: Spot, index: int = 0
) -> tuple[dict[str, Any], str, str, str]:
    """Return the score of a guess, its verdict, and the key and text of the answer to it."""
    work = """(race) => {
        const score = scoreWhere(race, INDEX, SPOT, field);
        const why = whyWhere(race, INDEX, SPOT, field);
        return [score, verdictWhere(race, INDEX, SPOT, score, field), why?.key ?? "", why?.text ?? ""];
    }"""
    place = json.dumps(None if spot is None else [float(z) for z in spot])
    score, verdict, key, text = modules.evaluate(
        work.replace("INDEX", str(index)).replace("SPOT", place), given
    )
    return score, verdict, key, text


def asked_first(modules: Modules, given: Race, pick: int | None, *off: int) -> tuple[bool, str, str, str]:
    """Return whether a guess is right, its verdict, and the key and text of the answer to it."""
    work = f"""(race) => {{
        const [pick, off] = [{json.dumps(pick)}, {list(off)}];
        const score = scoreFirst(race, pick, off);
        const why = whyFirst(race, pick, off, field);
        return [score.right, verdictFirst(race, pick, score, off), why?.key ?? "", why?.text ?? ""];
    }}"""
    right, verdict, key, text = modules.evaluate(work, given)
    return right, verdict, key, text


def test_points_fall_with_the_distance_from_the_end(modules: Modules) -> None:
    given = race(["adam(lr=0.1)"], "quadratic", steps=200)
    diagonal = 100 * reach(given.surface)
    end = given.trajectories[0].path[-1]
    for share in (0, 0.02, 0.1, 0.24, 0.4):
        score, verdict, _, _ = asked_where(modules, given, (end[0] + share * diagonal, end[1]))
        assert score["share"] == pytest.approx(share, abs=1e-6)
        assert score["points"] == max(0, round(100 - 400 * share))
        assert score["right"] == (share <= 0.05)
        assert f"{score['points']} of 100 points" in verdict
    four = race(["gd(lr=0.01)"], "himmelblau", steps=200)
    assert asked_where(modules, four, (-2.5, 3.5))[0]["minimum"] is True
    assert asked_where(modules, four, (3, 2))[0]["minimum"] is False
    gone = race(["gd(lr=0.25)"], "quadratic", steps=200)
    score, verdict, _, _ = asked_where(modules, gone, None)
    assert score["points"] == 100
    assert verdict == f"Right: gradient descent diverges at step {gone.trajectories[0].diverged}. 100 points."


def test_off_the_map_or_not(modules: Modules) -> None:
    gone = race(["gd(lr=0.25)"], "quadratic", steps=200)
    score, _, key, text = asked_where(modules, gone, (0, 0))
    assert (score["points"], key) == (0, "diverges")
    assert "needs an lr below 2/10 = 0.2, and it has 0.25" in text  # κ = 10 is the steep axis's curvature
    momentum = race(["momentum(lr=0.5)"], "quadratic", steps=200)
    text = asked_where(modules, momentum, (0, 0))[3]
    assert "2/" not in text  # that bound is gradient descent's
    assert "as long as the one before" in text
    stays = race(["gd(lr=0.05)"], "quadratic", steps=200)
    longest = np.hypot(*stays.trajectories[0].update.T).max()
    _, _, key, text = asked_where(modules, stays, None)
    assert key == "stays"
    assert f"its longest step, {longest:.2g}, was step 0" in text
    falls = race(["adam(lr=0.1)"], "saddle", steps=100)
    assert asked_where(modules, falls, (0.5, 1))[2] == "falls"


def test_nobody_rests_on_a_saddle(modules: Modules) -> None:
    given = race(["gd(lr=0.01)"], "saddle", steps=300)
    path = given.trajectories[0].path
    _, _, key, text = asked_where(modules, given, (0, 0))
    assert key == "saddle"
    nearest = int(np.hypot(*path.T).argmin())
    assert f"At step {nearest} gradient descent is {np.hypot(*path[nearest]):.2g} from it" in text
    waits = race(["gd(lr=0.01)"], "saddle", steps=100)
    assert asked_where(modules, waits, (0, 1.8))[2] == "waits"


def test_the_nearest_minimum_is_not_the_one(modules: Modules) -> None:
    given = race(["momentum(lr=0.02)"], "sharp_flat", steps=300)
    walk = given.trajectories[0]
    _, _, key, text = asked_where(modules, given, (-1, -1))
    assert key == "minimum"
    distance = np.hypot(*(walk.path + 1).T)
    pass_by = int(distance.argmin())
    assert "nearest to the start" in text
    assert f"It came by yours at step {pass_by}, {distance[pass_by]:.2g} away" in text
    assert (walk.update * walk.grad).sum(axis=1)[pass_by : pass_by + 2].max() > 0  # carried on, uphill
    slope = race(["momentum(lr=0.01)"], "himmelblau", steps=300)
    minima = np.array(slope.surface.entry.minima)
    near = minima[np.hypot(*(minima - slope.start).T).argmin()]
    _, _, key, text = asked_where(modules, slope, tuple(near))
    assert key == "minimum"
    assert "Its first step points 73° away from yours" in text


def test_the_lowest_minimum_does_not_call(modules: Modules) -> None:
    given = race(["gd(lr=0.01)"], "styblinski_tang", steps=200)
    _, _, key, text = asked_where(modules, given, (-2.9, -2.9))
    assert key == "local"
    assert f"f = {given.trajectories[0].loss[-1]:.3g}".replace("-", "−") in text


@pytest.mark.parametrize(("racer", "key"), [("adam(lr=0.1)", "signs"), ("gd(lr=0.05)", "across")])
def test_straight_downhill_is_not_the_way(modules: Modules, racer: str, key: str) -> None:
    given = race([racer], "quadratic", steps=200)
    walk = given.trajectories[0]
    downhill = -walk.grad[0] / np.hypot(*walk.grad[0])
    _, _, found, text = asked_where(modules, given, tuple(walk.path[0] + 1.5 * downhill))
    assert found == key
    way = (walk.update[0] if key == "signs" else walk.path[-1] - walk.path[0]) @ downhill
    way /= np.hypot(*(walk.update[0] if key == "signs" else walk.path[-1] - walk.path[0]))
    assert f"{np.degrees(np.arccos(way)):.2g}°" in text


def test_too_slow_carried_on_and_never_at_rest(modules: Modules) -> None:
    slow = race(["gd(lr=0.0005)"], "rosenbrock", steps=300)
    _, _, key, text = asked_where(modules, slow, (1, 1))
    assert key == "slow"
    walk = slow.trajectories[0]
    assert f"another {float(f'{walk.distance[-1] / np.hypot(*walk.update[-1]):.2g}'):.0f} steps" in text
    walking = race(["adam(lr=0.1)"], "rosenbrock", steps=400)
    f = float(walking.surface.value(-0.5, 2.0))
    below = np.flatnonzero(walking.trajectories[0].loss >= f)
    _, _, key, text = asked_where(modules, walking, (-0.5, 2.0))
    assert key == "high"
    assert f"from {f'step {below[-1] + 1}' if below.size else 'its start'} on Adam is below that" in text
    rolling = race(["momentum(lr=0.001)"], "rosenbrock", steps=600)
    assert asked_where(modules, rolling, (0, 0.02))[2] == "carries"
    noisy = race(["gd(lr=0.05)"], "quadratic", steps=300, noise=2.0)
    score, _, key, text = asked_where(modules, noisy, (0, 0))
    assert score["right"]  # and yet there is something to be said
    assert key == "circles"
    settled = race(["gd(lr=0.05)"], "quadratic", steps=300)
    _, _, key, text = asked_where(modules, settled, (0.1, 0))  # right
    assert key == "holds"
    assert f"From step {settled.trajectories[0].arrived} on it stays within 0.079 of the minimum" in text
    _, _, key, text = asked_where(modules, settled, (1.5, 1.5))
    assert key == "rests"
    assert f"about {np.hypot(1.5, 15):.2g}" in text


def test_who_is_first_and_why(modules: Modules) -> None:
    given = race(["adam(lr=0.1)", "momentum(lr=0.02)"], "quadratic", steps=300)
    adam, momentum = given
    right, verdict, key, text = asked_first(modules, given, 0)
    assert (right, key) == (False, "adam")
    assert verdict == f"Momentum is first, at step {momentum.arrived}. 0 points."
    assert text.startswith(f"Adam is not always ahead. Adam arrives at step {adam.arrived}, ")
    assert asked_first(modules, given, 1)[2] == "here"
    assert asked_first(modules, given, 0, 1)[0]  # alone on the map
    assert asked_first(modules, given, None)[2] == "somebody"
    nobody = race(["gd(lr=0.0001)", "adam(lr=0.001)"], "rosenbrock", steps=300)
    assert asked_first(modules, nobody, 0)[:3] == (
        False,
        "Nobody arrives within 300 steps. 0 points.",
        "nobody",
    )
    assert asked_first(modules, nobody, None)[0]
    saddle = race(["gd(lr=0.01)", "adam(lr=0.1)"], "saddle", steps=100)
    assert asked_first(modules, saddle, 1)[0]  # who leaves the map


def test_early_steps_without_correction_are_too_large(modules: Modules) -> None:
    given = race(["adam(lr=0.1)", "adam(lr=0.1, bias_correction=False)"], "booth", steps=600)
    corrected, plain = given
    assert plain.arrived is not None
    assert corrected.arrived is not None
    assert plain.arrived < corrected.arrived
    _, _, key, text = asked_first(modules, given, 0)
    assert key == "small"
    ratio = np.hypot(*plain.update[0]) / np.hypot(*corrected.update[0])
    assert f"Its first step here is {ratio:.3g} × that with correction" in text
    assert "6.57 × at t = 12" in text
    assert f"at step {plain.arrived}. Yours arrives at step {corrected.arrived}." in text
    valley = race(["adam(lr=0.1)", "adam(lr=0.1, bias_correction=False)"], "rosenbrock", steps=1500)
    assert asked_first(modules, valley, 1)[2] == "large"


def test_the_larger_lr_and_the_same_lr(modules: Modules) -> None:
    rates = race(["gd(lr=0.25)", "gd(lr=0.1)", "gd(lr=0.05)"], "quadratic", steps=300)
    _, _, key, text = asked_first(modules, rates, 0)
    assert key == "diverges"
    assert text.startswith("The largest lr of its kind, 0.25, is not the fastest")
    swings = race(["momentum(lr=0.1)", "momentum(lr=0.02)"], "quadratic", steps=300)
    assert asked_first(modules, swings, 0)[2] == "larger"
    same = race(["gd(lr=0.02)", "momentum(lr=0.02)"], "quadratic", steps=300)
    gd, momentum = same
    _, _, key, text = asked_first(modules, same, 0)
    assert key == "sameLr"
    assert momentum.arrived is not None
    went = [np.hypot(*walk.update[: momentum.arrived].T).sum() for walk in (momentum, gd)]
    assert f"it went {went[0] / went[1]:.3g} × as far" in text


def test_another_start_is_random_seeded_and_on_the_map(modules: Modules) -> None:
    given = race(["gd"], "himmelblau", steps=5)
    starts = modules.evaluate(
        "(race) => [1, 2, 3, 4, 5, 6, 1].map((seed) => anotherStart(race, seed))", given
    )
    assert starts[0] == starts[-1]
    assert len({tuple(start) for start in starts}) == 6
    minima = np.array(given.surface.entry.minima)
    (x0, x1), (y0, y1) = given.surface.entry.bounds
    for x, y in starts:
        assert x0 < x < x1
        assert y0 < y < y1
        assert np.hypot(*(minima - (x, y)).T).min() > reach(given.surface)


EXPLAIN = """(race) => race.racers.map((racer) =>
    Array.from({ length: race.steps + 1 }, (_, k) => explain(race, racer, k).text))"""
EXPLAINED: list[tuple[list[Any], str, Any]] = [
    (list(FIRST_RACERS), "rosenbrock", None),
    (["gd(lr=0.05)", "nesterov", "adagrad", "adam(bias_correction=first)"], "saddle", None),
    (["gd", "momentum(lr=0)", "adam", "rmsprop(lr=0)"], "quadratic(condition=1)", (0, 0)),
    (
        ["gd(lr=1)", "momentum(lr=0.1)", "adam(beta2=0.999999,bias_correction=False)"],
        "rastrigin",
        None,
    ),
    *((crowd, "beale", None) for crowd in CROWDS),
]


@pytest.mark.parametrize(("racers", "surface", "start"), EXPLAINED)
def test_every_step_has_a_sentence_with_numbers_in_it(
    modules: Modules, racers: list[Any], surface: str, start: Any
) -> None:
    for sentences in modules.evaluate(EXPLAIN, race(racers, surface, start, steps=400)):
        assert len(sentences) == 401
        for said in sentences:
            assert said.endswith(".")
            assert not any(wrong in said for wrong in ("NaN", "undefined", "null", "—", "∞")), said


def test_a_sentence_gives_no_reason_that_is_none(modules: Modules) -> None:
    """Signs carry and average nothing, and who keeps no gradients isn't moved by those before."""
    rules = {
        "gd(lr=0.001,weight_decay=0.5)": r"gradients before|averages|carries",
        "adagrad(lr=0.5,weight_decay=0.5)": r"gradients before|averages|carries|g \+ λθ = g",
        "adadelta(lr=1)": r"31.6 % of \|g\|, so",  # √u has a part in it
        "signsgd(lr=0.02,momentum=0.9)": r"\bsign\b",
        "lion(lr=0.02,weight_decay=0.1)": r"\bsign\b",
        "rmsprop(lr=0.02,momentum=0.9)": r"m averages|m is .* of g",  # m holds what is divided already
        "radam(lr=0.001)": r"100 % shorter",
        "nadam(lr=0.1)": r"only 100 %",
    }
    given = race(list(rules), "rosenbrock", steps=400)
    for (racer, wrong), sentences in zip(rules.items(), modules.evaluate(EXPLAIN, given), strict=True):
        assert [said for said in sentences if re.search(wrong, said)] == [], racer
        bare = sum(said.startswith("This step moves") for said in sentences)
        assert bare < len(sentences) / 10, f"{racer} is hardly explained"


def test_with_noise_in_it_g_is_called_no_slope(modules: Modules) -> None:
    racers = ["gd(lr=0.02)", "momentum(lr=0.02)", "adam(lr=0.1)", "rmsprop(lr=0.05)", "signsgd(lr=0.05)"]
    work = """(race) => race.racers.flatMap((racer) => Array.from({ length: 80 }, (_, k) => [
        explain(race, racer, k).text,
        ...stagesOf(race, racer, k).stages.map(({ caption }) => caption),
    ])).flat()"""
    conditions: dict[str, dict[str, Any]] = {"booth": {"noise": 3.0}, "logistic": {"batch_size": 2}}
    for surface, under in conditions.items():
        said = modules.evaluate(work, race(racers, surface, steps=80, **under))
        wrong = re.compile(
            r"downhill|The slope|(the|this|present) slope\b(?! of f)|wall|how steep|moves uphill"
        )
        assert [text for text in said if wrong.search(text)] == [], "g is not the slope"
        assert any("g is not the slope of f" in text for text in said)
    exact = modules.evaluate(work, race(racers, "booth", steps=80))
    assert any("straight downhill" in text for text in exact)


def test_what_all_walk_under_names_a_surface_s_own_batches(modules: Modules) -> None:
    told = "(race) => conditionsTold(race)"
    ravine = modules.evaluate(told, race(["gd"], "noisy_ravine", steps=5))
    assert "batches of 1, the same draws for all (seed 0)" in ravine
    in_turn = modules.evaluate(told, race(["gd"], "counterexample", steps=5))
    assert "batches of 1 in turn; one gradient" in in_turn
    whole = modules.evaluate(told, race(["gd"], "noisy_ravine", steps=5, batch_size=32, clip_value=0.5))
    assert "each entry of a gradient clipped to ±0.5, no noise" in whole


@pytest.mark.parametrize(
    "racer",
    [
        "momentum(lr=0.01, dampening=0.2)",
        "momentum(lr=0.01, dampening=0.2, nesterov=True)",
        "nesterov(lr=0.01)",
        "rmsprop(lr=0.01, momentum=0.9)",
    ],
)
def test_how_far_momentum_gathers_is_what_it_does_on_a_plane(modules: Modules, racer: str) -> None:
    alone = "rmsprop(lr=0.01)" if "rmsprop" in racer else "gd(lr=0.01)"
    plane = race([racer, alone], 'formula("-x", reach=4)', start=(-3.5, 0), steps=3000)
    grown = plane.trajectories[0].update[-1, 0] / plane.trajectories[1].update[-1, 0]
    said = modules.evaluate("(race) => verdict(race.racers)", plane)
    assert f"step grows to {grown:.3g} times" in said
    assert ("what it is without momentum" in said) == ("rmsprop" in racer)


def test_as_low_as_the_lowest_is_no_local_minimum(modules: Modules) -> None:
    flat = race(["adam(lr=0.1)", "gd(lr=0.05)"], 'formula("x**2*y**2", reach=2)', steps=300)
    assert "local" not in modules.summary(flat)
    cut = race(["nesterov(lr=0.00023)"], "himmelblau", steps=600, clip_value=0.1)
    assert "local" not in modules.summary(cut)  # g is small, the slope is not
    bowl = race(["momentum(lr=0.02, momentum=0.7)"], "styblinski_tang", start=(0.5, 2.0), steps=200)
    assert modules.evaluate("(race) => courseOf(race, race.racers[0], field).fate", bowl) == "local"
    (overshoot,) = [mark for mark in modules.landmarks(bowl, 0) if mark["kind"] == "overshoot"]
    assert overshoot["note"].endswith("beyond the local minimum it ends in")


def test_a_factor_that_still_grows_has_no_peak(modules: Modules) -> None:
    adam = "adam(lr=0.1, bias_correction=False)"
    kinds = [
        [
            mark["step"]
            for mark in modules.landmarks(race([adam], "booth", steps=steps), 0)
            if mark["kind"] == "factor"
        ]
        for steps in (11, 12, 60)
    ]
    assert kinds == [[], [11], [11]]


def test_who_came_back_was_off_the_map(modules: Modules) -> None:
    given = race(["adam(lr=4)"], "quadratic", steps=300)
    outside = np.flatnonzero((np.abs(given.trajectories[0].path) > (3, 2.6)).any(axis=1))
    assert outside.size
    _, verdict, key, text = asked_where(modules, given, None)
    assert "on the map" in verdict
    assert (key, text) == (
        "stays",
        f"It was off the map, but from step {outside[-1] + 1} on it is back on it.",
    )


def test_without_memory_nothing_carries(modules: Modules) -> None:
    given = race(["signsgd(lr=0.3)", "rmsprop(lr=0.3, weight_decay=0.1)"], "booth", steps=60)
    spots = json.dumps([walk.path[1:20].tolist() for walk in given])
    work = f"""(race) => {spots}.flatMap((spots, index) =>
        spots.map((spot) => whyWhere(race, index, spot, field)?.text ?? ""))"""
    texts = modules.evaluate(work, given)
    assert len(texts) == 38
    assert not [text for text in texts if "carried" in text]


def test_beyond_the_lattice_no_height_is_told(modules: Modules) -> None:
    given = race(["gd(lr=0.001)"], "rastrigin", steps=20)
    told = {"rests", "high"}
    assert asked_where(modules, given, (3.5, 4.5))[2] in told
    assert asked_where(modules, given, (-3.2, 40.0))[2] not in told


def test_a_sweep_is_said_to_lean_only_where_it_does(modules: Modules) -> None:
    def said(places: list[int], best: int) -> str:
        rows, columns = len(places), 20
        loss = np.array([[1.0 + abs(column - place) for column in range(columns)] for place in places])
        sweep = {
            "x": {"values": [0.01 * 1.5**k for k in range(columns)], "scale": "log", "symbol": "lr"},
            "y": {"values": [0.9 + 0.005 * k for k in range(rows)], "scale": "one_minus_log", "symbol": "β₂"},
            "values": [*loss.ravel().tolist(), *[-1.0] * loss.size],
            "best": [0, best],
            "steps": 100,
        }
        text: str = modules.evaluate(
            f"() => sweepSentence({json.dumps(sweep)})", race(["gd"], "booth", steps=1)
        )
        return text

    assert "The larger β₂, the smaller the best lr" in said([15] * 4 + [10] * 4 + [5] * 4, 15)
    assert "The best lr is near" in said([9] * 4 + [10] * 4 + [9] * 4, 9)
    there_and_back = said([5] * 4 + [15] * 4 + [5] * 4, 5)
    assert there_and_back == "No pair diverges, none arrives within 100 steps."
    assert said([5] * 4 + [15] * 4 + [10] * 4, 5) == there_and_back


# Every guess is answered -----------------------------------------------------------------------------------

ANY = """(race) => {
    let state = SEED;
    const random = () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
    const one = (list) => list[Math.floor(random() * list.length)];
    const [x0, x1, y0, y1] = race.surface.bounds;
    const off = (size) => size * (random() - 0.5);
    const near = ([x, y], size) => [x + off(size) * (x1 - x0), y + off(size) * (y1 - y0)];
    const spots = [...race.surface.minima, ...race.surface.saddles, race.start];
    const said = [];
    race.racers.forEach((racer, index) => {
        const { last, end } = courseOf(race, racer, field);
        const places = [
            () => near([(x0 + x1) / 2, (y0 + y1) / 2], 1.1),
            () => near(pointAt(racer, Math.floor(random() * (last + 1))), 0.1),
            () => near(one(spots), 0.1),
        ];
        const guesses = [null, end, near(end, 0.05), ...Array.from({ length: COUNT }, () => one(places)())];
        for (const point of guesses) {
            const score = scoreWhere(race, index, point, field);
            const why = whyWhere(race, index, point, field);
            const verdict = verdictWhere(race, index, point, score, field);
            said.push({ index, point, pick: null, off: [], right: score.right, verdict, ...why });
        }
    });
    for (let turn = 0; turn < 6; turn++) {
        const off = [...race.racers.keys()].filter(() => turn && random() < 0.3);
        for (const pick of [null, ...race.racers.keys()].filter((index) => !off.includes(index))) {
            const score = scoreFirst(race, pick, off, field);
            const why = whyFirst(race, pick, off, field);
            const verdict = verdictFirst(race, pick, score, off, field);
            said.push({ index: -1, point: null, pick, off, right: score.right, verdict, ...why });
        }
    }
    return said;
}"""
EIGHT = [
    "gd(lr=0.002)",
    "momentum(lr=0.001)",
    "adam(lr=0.1)",
    "adam(lr=0.1, bias_correction=False)",
    "rmsprop(lr=0.02)",
    "lion(lr=0.02)",
    "adamw(lr=0.1, weight_decay=0.5)",
    "gd(lr=0.3)",
]
GUESSED: list[tuple[list[str], str, dict[str, Any]]] = [
    *((EIGHT, name, {"steps": 150}) for name in SURFACES),
    (EIGHT, "rosenbrock", {"steps": 500, "start": (-1.35, 2.15)}),
    (EIGHT, "booth", {"steps": 80, "noise": 3.0}),
    (EIGHT, "logistic", {"steps": 80, "batch_size": 2, "clip_norm": 0.3}),
    (EIGHT, "himmelblau", {"steps": 90, "clip_value": 0.5, "schedule": "cosine"}),
    (EIGHT, "quadratic", {"steps": 30, "start": (0, 0)}),  # all are there
    (EIGHT, "quadratic", {"steps": 30, "start": (0.02, 0.03)}),
    (EIGHT, "saddle", {"steps": 40, "start": (7, 8)}),  # off the map from the start on
    (EIGHT, "himmelblau", {"steps": 1}),
    (EIGHT, "ackley", {"steps": 2}),
    (["momentum(lr=0.02)"], "sharp_flat", {"steps": 300}),
    (["adam(lr=0)", "gd(lr=0)"], "beale", {"steps": 20}),  # they never move
    (["gd(lr=1e6)", "momentum(lr=2)"], "rosenbrock", {"steps": 20}),  # gone at the first step
    (["adam(lr=0.1)", "adamw(lr=0.1, weight_decay=0)", "gd(lr=0.1)"], "booth", {"steps": 200}),  # a tie
    (["gd(lr=0.01)", "adam(lr=0.05)"], 'formula("log(x) - y", reach=4)', {"steps": 60, "start": (2, 1)}),
    (["gd(lr=0.01)", "adam(lr=0.05)"], 'formula("x**2*y**2", reach=2)', {"steps": 60}),
]
NUMBER = r"(−?(?:\d+(?:\.\d+)?×)?10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+|−?\d+(?:\.\d+)?)"
NO_NUMBER = re.compile(r"NaN|undefined|null|Infinity|∞|—|\[object|  |\(\s*,|\s[.,;:]|\.\.|^\s|^[a-z]|,,")


def number(text: str) -> float:
    """Read what chart.js writes."""
    plain = text.translate(str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789"))
    if not re.search("[⁰¹²³⁴⁵⁶⁷⁸⁹]", text):
        return float(plain)
    mantissa, _, power = plain.rpartition("10" if text.startswith("10") else "×10")
    return float(f"{mantissa or 1}e{power}")


def shown_as(value: float) -> Any:
    """Match a number of two digits, made of float32."""
    return pytest.approx(float(value), rel=0.052, abs=2e-5)


def checked(given: Race, one: dict[str, Any]) -> int:
    """Hold the numbers of one answer against Python's race; return how many of its facts were."""
    count, text = 0, one["text"]

    def facts(pattern: str) -> list[float] | None:
        nonlocal count
        found = re.search(pattern.replace("#", NUMBER), text)
        count += found is not None
        return [number(group) for group in found.groups()] if found else None

    if one["index"] < 0:
        shown = [k for k in range(len(given)) if k not in one["off"]]
        arrived = [given.trajectories[k].arrived for k in shown]
        first = re.search(r"first, at step (\d+)", one["verdict"])
        if given.surface.entry.minima and first:
            count += 1
            assert int(first[1]) == min(step for step in arrived if step is not None)
        if (
            given.surface.entry.minima
            and one["pick"] is not None
            and (steps := facts(r"[Yy]ours arrives at step #"))
        ):
            assert steps[0] == given.trajectories[one["pick"]].arrived
        if said := facts(r"within # of a minimum, .* At the end .*? is (?:nearest, )?# away, and its last"):
            ends = [given.trajectories[k].distance[-1] for k in shown]
            assert said == [
                shown_as(reach(given.surface)),
                shown_as(np.nanmin(ends)),
            ]
        if said := facts(r"^The next is .*?, at step #, # later"):
            assert given.trajectories[one["pick"]].arrived in {None, said[0] - said[1]}
        if one["key"] in {"pace", "adam"} and (said := facts(r"at step #, # after")):
            assert given.trajectories[one["pick"]].arrived in {None, said[0]}
        if one["key"] in {"pace", "adam"} and (said := facts(r"In the first # steps it covered #, .* #\.$")):
            mine = given.trajectories[one["pick"]].update[: int(said[0])]
            assert said[1] == shown_as(np.hypot(*mine.T).sum())
        if said := facts(r"Its path until then is # long, # × the straight way"):
            assert said[1] > 0.999
        return count
    walk = given.trajectories[one["index"]]
    last = (walk.diverged or given.steps + 1) - 1
    path, lengths = walk.path[: last + 1], np.hypot(*walk.update[:last].T)
    away = np.hypot(*(path - one["point"]).T) if one["point"] else np.full(last + 1, np.nan)
    if said := facts(r"It came no nearer to your guess than #, at step # of"):
        assert said[0] == shown_as(away.min())
        assert away[int(said[1])] == pytest.approx(away.min(), abs=1e-4)
    if said := facts(r"It never was nearer to your guess than at the end, # away"):
        assert said[0] == shown_as(away[-1])
        assert away[-1] <= away.min() + 1e-6
    if said := facts(r"It never was nearer to your guess than at the start, # away"):
        assert away[0] <= away.min() + 1e-6
    if said := facts(
        r"by your guess, # away, at step #, moving # a step, and went on: # % of its path was still"
    ):
        assert said[0] == shown_as(away[int(said[1])])
        assert said[2] == shown_as(lengths[int(said[1])])
        assert said[3] == shown_as(100 * lengths[int(said[1]) :].sum() / lengths.sum())
    if said := facts(r"Of its path, # long, # % lies in the first # of its # steps; the last is # long"):
        assert said[0] == pytest.approx(lengths.sum(), rel=6e-3)
        assert said[1] == shown_as(100 * lengths[: int(said[2])].sum() / lengths.sum())
        assert (said[3], said[4]) == (last, pytest.approx(lengths[-1], rel=0.052, abs=1e-9))
    if said := facts(r"From step # on it stays within # of (?:a|the) minimum.*?last step is # long"):
        assert said[0] == walk.arrived
        assert said[1] == shown_as(reach(given.surface))
        assert said[2] == pytest.approx(lengths[-1], rel=0.052, abs=1e-9)
    if said := facts(r"is still # from (?:a|the) minimum"):
        assert said[0] == shown_as(walk.distance[last])
    if said := facts(r"A step is lr times the slope: here # × # ≈ #"):
        assert said[1] == shown_as(np.hypot(*walk.grad[last - 1]))
        assert said[2] == shown_as(lengths[-1])
    if said := facts(r"slope has fallen from # to #"):
        assert said == [shown_as(np.hypot(*walk.grad[k])) for k in (0, last - 1)]
    if said := facts(r"lies higher, at f ≈ #: from (?:its start|step .*?) on .* ends at f = #"):
        from_step = re.search(r"from step (\d+) on", text)
        f = float(given.surface.value(*one["point"]))
        assert (walk.loss[int(from_step[1]) if from_step else 0 : last + 1] < f).all()
        assert said[0] == pytest.approx(f, rel=0.1, abs=0.05 * abs(f - walk.loss[last]))
    if said := facts(r"in its last step it is #. At your guess the slope is about #, so"):
        assert said[0] == shown_as(np.hypot(*walk.grad[last - 1]))
        assert said[1] == pytest.approx(np.hypot(*given.surface.gradient(*one["point"])), rel=0.15)
    if said := facts(r"It did come by your guess, at step #, moving # a step"):
        assert said[1] == shown_as(lengths[int(said[0])])
        assert away[int(said[0])] <= away.min() + 1e-4
    if said := facts(r"at step #, .*The slope there is still #, so it went on"):
        assert said[1] == shown_as(np.hypot(*walk.grad[int(said[0])]))
    if "uphill" in text and (said := facts(r"It did come by your guess, at step #")):
        assert walk.grad[int(said[0])] @ walk.update[int(said[0])] > 0
    if said := facts(r"the curvature is #: .* below 2/# = #, and it has #"):
        slopes = walk.grad[last - 1] - walk.grad[last - 2]
        assert said[0] == pytest.approx(np.hypot(*slopes) / lengths[-2], rel=6e-3)
        assert said[3] > said[2] == pytest.approx(2 / said[0], rel=0.011)
    if said := facts(r"f = #.*and it stays from step # on"):
        assert said[0] == pytest.approx(walk.loss[last], rel=6e-3) or one["key"] == "local"
        assert np.hypot(*(path[int(said[1]) :] - path[-1]).T).max() <= reach(given.surface)
    if said := facts(r"its longest step, #, was step #, and its last is #"):
        assert said == [
            shown_as(lengths.max()),
            pytest.approx(lengths.argmax(), abs=0.5)
            if lengths.max() > 1.001 * np.median(lengths)
            else said[1],
            pytest.approx(lengths[-1], rel=0.052, abs=1e-9),
        ]
    if said := facts(r"came no nearer to yours than #, at step #"):
        minima = np.array(given.surface.entry.minima)
        apart = np.hypot(*(path - minima[np.hypot(*(minima - one["point"]).T).argmin()]).T)
        assert said == [shown_as(apart.min()), apart.argmin()]
    if said := facts(r"at a distance of about #, and its last step is # long"):
        assert said[1] == shown_as(lengths[-1])
    if said := facts(r"At the end it is # beyond the edge"):
        bounds = np.array(given.surface.entry.bounds).T
        assert said[0] == shown_as(np.hypot(*(path[-1] - path[-1].clip(*bounds))))
    if said := facts(r"Its last step was # × as long as the one before"):
        assert said[0] == shown_as(lengths[-1] / lengths[-2])
    return count


def test_every_guess_is_answered_and_the_answer_is_true(modules: Modules) -> None:
    keys: set[str] = set()
    told = facts = 0
    for seed, (racers, surface, options) in enumerate(GUESSED):
        given = race(racers, surface, **options)
        for one in modules.evaluate(ANY.replace("SEED", str(seed + 1)).replace("COUNT", "8"), given):
            told += 1
            for text in (one["text"], one["verdict"]):
                assert text.endswith("."), (surface, options, one)
                assert not NO_NUMBER.search(text), (surface, options, one)
            keys.add(f"{'where' if one['index'] >= 0 else 'first'} {one['key']}")
            facts += checked(given, one)
    assert told > 3000
    assert facts > 2500
    assert len(keys) >= 33, sorted(keys)  # nearly every rule has had its say


# On the page --------------------------------------------------------------------------------------------

PLAYER = "window.__adamscope.player"
RAVINE = "surface=quadratic&o=gd(lr=0.05)&o=momentum(lr=0.02)&o=adam(lr=0.1)&steps=200"


def asked(page: Page) -> Page:
    page.wait_for_function("window.__adamscope?.player?.counts.draws > 1")
    page.get_by_role("button", name="Run the race").wait_for()
    return page


def test_nothing_is_shown_before_the_guess(open_page: Callable[..., Page]) -> None:
    page = asked(open_page(f"/?{RAVINE}&predict=where&step=120&show=basin"))
    assert page.evaluate(f"{PLAYER}.step") == 0
    assert page.evaluate(f"{PLAYER}.race.landmarks") == []
    assert page.evaluate(f"{PLAYER}.words") == ""
    for part in (".chart", ".mark", ".numbers"):
        assert not page.locator(part).filter(visible=True).count()
    before = page.locator("canvas.ink").evaluate("canvas => canvas.toDataURL()")
    page.locator("body").press("End")  # time stands
    page.locator("body").press("]")
    assert page.evaluate(f"{PLAYER}.step") == 0
    assert page.locator("canvas.ink").evaluate("canvas => canvas.toDataURL()") == before
    run = page.get_by_role("button", name="Run the race")
    assert run.is_disabled()
    x, y = page.evaluate(f"(() => {{ const v = {PLAYER}.view; return [v.width / 2, v.height / 2]; }})()")
    page.locator("canvas.ink").click(position={"x": x, "y": y})
    assert page.evaluate(f"{PLAYER}.race.start") == [-2.5, 1]  # the click was a guess, no start
    run.click()
    assert page.evaluate(f"{PLAYER}.race.landmarks") == []  # nor does the timeline tell while it runs
    page.get_by_role("button", name="Show the end").click()
    verdict = page.locator(".verdict")
    expect(verdict).to_contain_text("of 100 points")
    expect(verdict).to_contain_text("Adam ends at (0, 0)")
    expect(page.locator(".tally")).to_have_text("1 of 1 right")
    assert page.evaluate(f"{PLAYER}.race.landmarks.length") > 3
    assert "Momentum overshoots the minimum twice" in page.evaluate(f"{PLAYER}.words")
    expect(page.locator(".chart").first).to_be_visible()
    page.get_by_role("button", name="Leave predicting").click()
    page.wait_for_function(f"{PLAYER}.step === 120 && !{PLAYER}.playing")  # as the link has it


def test_both_in_one_go_and_time_is_back_where_it_was(open_page: Callable[..., Page]) -> None:
    racers = "".join(f"&o={racer.replace(' ', '')}" for racer in EIGHT)
    page = open_page(f"/?surface=himmelblau{racers}&steps=100&step=40")
    page.wait_for_function(f"window.__adamscope?.player?.step === 40 && {PLAYER}.idle")
    page.locator("body").press("p")
    asked(page)
    expect(page.get_by_role("radio", name="Both")).to_be_checked()
    assert page.evaluate(f"{PLAYER}.step") == 0
    run = page.get_by_role("button", name="Run the race")
    page.locator("canvas.ink").click()
    expect(run).to_be_disabled()  # who is first is still to be said
    page.get_by_role("radio", name="Lion").click()
    inside = page.locator(".inside")
    fits = (
        "node => node.scrollHeight <= node.clientHeight && node.getBoundingClientRect().bottom <= innerHeight"
    )
    assert inside.evaluate(fits)
    run.click()
    page.get_by_role("button", name="Show the end").click()
    verdict = page.locator(".verdict")
    expect(verdict.locator(".total")).to_have_text(re.compile(r"Together \d+ of 200 points\."))
    expect(verdict.locator(".score")).to_have_count(2)
    expect(verdict.locator(".sentence")).to_have_count(2)
    expect(page.locator(".tally")).to_have_text(re.compile("of 2 right"))
    assert inside.evaluate(fits)
    page.wait_for_function("location.search.includes('predict=both') && location.search.includes('step=40')")
    page.locator("body").press("p")
    page.wait_for_function(f"{PLAYER}.step === 40 && !{PLAYER}.playing")
    page.locator("body").press(" ")
    page.wait_for_function(f"{PLAYER}.playing && {PLAYER}.step > 41")
    page.locator("body").press("p")
    assert page.evaluate(f"{PLAYER}.step") == 0
    page.locator("body").press("p")
    page.wait_for_function(f"{PLAYER}.playing && {PLAYER}.step > 41")


def test_a_guess_by_keyboard_another_start_and_leaving(open_page: Callable[..., Page]) -> None:
    page = asked(open_page(f"/?{RAVINE}&predict=first"))
    page.get_by_role("radio", name="gradient descent").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="momentum")).to_be_checked()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="Adam")).to_be_focused()
    page.get_by_role("button", name="Run the race").press("Enter")
    page.get_by_role("button", name="Show the end").press("Enter")
    expect(page.locator(".verdict .score")).to_have_text("Momentum is first, at step 57. 0 points.")
    expect(page.locator("[data-why=adam]")).to_contain_text("Adam is not always ahead.")
    page.get_by_role("button", name="another start").click()
    page.wait_for_function(f"{PLAYER}.race.start[0] !== -2.5")
    expect(page.get_by_role("button", name="Run the race")).to_be_disabled()
    page.get_by_role("radio", name="Where it ends").click()
    stage = page.locator("canvas.ink")
    stage.focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator(".predict .hint")).to_contain_text("Your guess:")
    page.get_by_role("button", name="Leave predicting").click()
    expect(page.locator(".numbers")).to_be_visible()
    page.wait_for_function(f"{PLAYER}.idle")
    page.wait_for_function("!location.search.includes('predict')")
    assert page.evaluate(f"{PLAYER}.race.landmarks.length") > 0
