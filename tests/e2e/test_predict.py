"""Predict first, the run in words, and the landmarks: each number they say is checked against Python's race."""

import base64
import mimetypes
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route

import optimizers.player
from optimizers import Race, race
from optimizers.player import grid, pack, payload
from optimizers.trajectory import CONVERGED, reach

pytestmark = pytest.mark.browser

FOLDER = Path(optimizers.player.__file__).parent
MODULES = ("course.js", "summary.js", "landmarks.js", "guess.js")
READ = """async ([packet, names, work]) => {
    const { unpack } = await import("/packet.js");
    const { readRace } = await import("/race.js");
    const { meta, arrays } = unpack(Uint8Array.from(atob(packet), (letter) => letter.charCodeAt(0)));
    const known = { field: { ...meta.grid, values: arrays.grid } };
    for (const name of names) Object.assign(known, await import(`/${name}`));
    return new Function(...Object.keys(known), `return (${work})`)(...Object.values(known))(readRace(meta, arrays.tracks));
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
            f"(race) => landmarks(race, {chosen}, {list(off)})", given
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
    """Count overshoots as course.js defines them, by looking back at every corner instead of keeping a stack."""
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
    assert said.endswith("Momentum and Adam end equally low.")
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
    off = np.flatnonzero(np.abs(given.trajectories[0].path) <= [2.1, 1.85])
    said = modules.summary(given)
    assert f"Adam leaves the map at step" in said
    assert off.size
    assert "minimum" not in said
    assert "lowest" not in said


def test_eight_racers_fit_three_sentences_and_five_milliseconds(modules: Modules) -> None:
    racers = [f"momentum(lr={lr})" for lr in (0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.012)] + [
        "gd(lr=0.3)"
    ]
    given = race(racers, "quadratic", steps=2000)
    said = modules.summary(given)
    assert len(re.findall(r"\.( |$)", said)) <= 3
    assert len(said) < 500
    took = modules.evaluate(
        """(race) => {
            const times = [0, 1, 2, 3, 4, 5, 6, 7].map(() => {
                const before = performance.now();
                summarize(race, { field });
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
    assert (
        "Adam, uncorrected" in found["difference", 1]["text"]
    )  # its twin, though momentum parts from it earlier or later
    assert found["diverged", 3]["step"] == gd.diverged
    for index, walk in enumerate((momentum, adam, plain)):
        assert (("arrived", index) in found) == (walk.arrived is not None)
        if walk.arrived is not None:
            assert found["arrived", index]["step"] == walk.arrived
        assert walk.distance[found["closest", index]["step"]] <= walk.distance.min() + 1e-5
    t = np.arange(1, 301)
    factor = (1 - 0.9**t) / np.sqrt(1 - 0.999**t)
    assert found["factor", 2]["step"] == factor.argmax() == 11  # the step that update t = 12 leaves
    assert found["factor", 2]["text"] == f"Adam, uncorrected: factor peaks, {factor.max():.2f}×"
    assert ("factor", 1) not in found
    hidden = modules.landmarks(given, 1, 2, 3)
    assert {mark["racer"] for mark in hidden} == {0, 1}
    assert "momentum" in next(mark["note"] for mark in hidden if mark["kind"] == "difference")
