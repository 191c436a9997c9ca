"""Inside the step, in a real browser: its numbers, its lines, its arrows, its stages."""

import base64
import io
import math
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Browser, Page, expect

from optimizers import SURFACES, Race, race
from optimizers.explain import worked
from optimizers.player import pack, payload
from tests.e2e.arithmetic import evaluate
from tests.e2e.conftest import OpenPage
from tests.racers import VARIANTS

pytestmark = pytest.mark.browser

FOUR = "surface=rosenbrock&o=momentum(lr=0.0008)&o=adam(lr=0.1)&o=lion(lr=0.02)&start=-1.35,2.15&steps=200"
READY = "() => window.__adamscope?.player?.race && window.__adamscope.player.idle"


@pytest.fixture(scope="module")
def alone(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page that has the player's modules under their names, and no server."""
    file = tmp_path_factory.mktemp("alone") / "race.html"
    file.write_text(race(["adam(lr=0.1)"], "rosenbrock", steps=20).to_html(), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(file.as_uri())
    page.wait_for_function("() => window.__adamscope?.player?.race")
    yield page
    page.close()


def ask(page: Page, run: Race, module: str, names: str, body: str, *given: Any) -> Any:
    """What `body`, given race and the module's functions, returns for the race `run`."""
    meta, tracks = payload(run)
    data = base64.b64encode(pack(meta, tracks=tracks)).decode()
    return page.evaluate(
        f"""async ([data, ...given]) => {{
            const {{ unpack }} = await import("packet.js");
            const {{ readRace }} = await import("race.js");
            const {{ {names} }} = await import("{module}");
            const {{ meta, arrays }} = unpack(Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0)));
            const race = readRace(meta, arrays.tracks);
            {body}
        }}""",
        [data, *given],
    )


def open_(open_page: OpenPage, query: str, **options: object) -> Page:
    page = open_page(f"/?{query}", **options)
    page.wait_for_function(READY)
    return page


@pytest.mark.parametrize("schedule", [None, "cosine"])
def test_every_line_of_every_rule_has_the_numbers_explain_gives(alone: Page, schedule: str | None) -> None:
    steps = [0, 3, 8]
    run = race(VARIANTS, "booth", steps=12, schedule=schedule)
    body = """return race.racers.map((racer) => given[0].map((k) => linesOf(race, racer, k).flatMap(
        ({ name, axes }) => axes.map(({ axis, value, numbers }) => [name, axis, value, numbers]))));"""
    found = ask(alone, run, "worked.js", "linesOf", body, steps)
    for walk, own in zip(run, found, strict=True):
        for k, lines in zip(steps, own, strict=True):
            wanted = {(line.name, line.axis): line.value for line in worked(walk, k + 1).lines}
            assert {(name, axis) for name, axis, _, _ in lines} == set(wanted)
            for name, axis, value, numbers in lines:
                assert math.isclose(value, wanted[name, axis], rel_tol=1e-5), (
                    str(walk.racer),
                    k,
                    name,
                    numbers,
                )
                assert not re.search(r"undefined|NaN|\w_", numbers)


def test_a_step_put_back_onto_the_box_says_so(alone: Page) -> None:
    boxed = next(name for name, entry in SURFACES.items() if entry.box)
    run = race(["gd(lr=50)"], boxed, steps=2)
    body = """return linesOf(race, race.racers[0], 0).map(
        ({ name, axes }) => [name, axes.map(({ value }) => value)]);"""
    *_, (name, values) = ask(alone, run, "worked.js", "linesOf", body)
    assert name == "projected"
    assert values == pytest.approx(
        [line.value for line in worked(run.trajectories[0], 1).lines[-2:]], rel=1e-5
    )


def test_the_numbers_put_into_a_line_give_its_result(alone: Page) -> None:
    """What is written evaluates to what stands behind the equals sign, to the digits written."""
    run = race(VARIANTS, "booth", steps=12)
    body = """return race.racers.flatMap((racer) =>
        linesOf(race, racer, 8, { digits: 6, brief: true }).flatMap(({ axes }) =>
            axes.map(({ value, numbers }) => [racer.notation, numbers, value])));"""
    for notation, numbers, value in ask(alone, run, "worked.js", "linesOf", body):
        assert math.isclose(evaluate(numbers), value, rel_tol=2e-3, abs_tol=1e-12), (notation, numbers, value)


def test_stages_lead_to_the_step_and_speak_plainly(alone: Page) -> None:
    run = race(VARIANTS, "booth", steps=12)
    body = """return race.racers.map((racer) => [0, 7].map((k) => {
        const update = [racer.value("update", k, 0), racer.value("update", k, 1)];
        return { label: racer.notation, update, ...stagesOf(race, racer, k) };
    }));"""
    for own in ask(alone, run, "stages.js", "stagesOf", body):
        for step in own:
            stages = step["stages"]
            assert [stage["title"] for stage in stages[-2:]] == ["resultant", "move"]
            assert stages[-3]["title"] in ("scale", "divide")
            assert stages[-1]["to"] == step["update"]
            for stage in stages:
                assert stage["caption"].endswith("."), step["label"]
                said = stage["caption"] + " ".join(stage["numbers"] or [])
                assert not re.search(r"undefined|NaN|—|null|Infinity", said), (step["label"], said)
            last: dict[str, list[float]] = {}  # each stage begins where the one before left its quantity
            for stage in stages:
                if stage["column"] and stage["column"] in last and stage["from"]:
                    assert stage["from"] == last[stage["column"]], (step["label"], stage["title"])
                if stage["column"]:
                    last[stage["column"]] = stage["to"]


def test_uncorrected_steps_are_said_to_be_too_large(alone: Page) -> None:
    run = race(["adam(lr=0.1, bias_correction=False)", "adam(lr=0.1)"], "rosenbrock", steps=12)
    body = """return race.racers.map((racer) =>
        stagesOf(race, racer, 0).stages.find(({ title }) => title === "divide").caption);"""
    without, with_ = ask(alone, run, "stages.js", "stagesOf", body)
    assert "√v smaller still: the step is 3.16 ×" in without
    assert "3.16 × as long" in with_


def test_arrows_are_the_steps_own(alone: Page) -> None:
    run = race(["adam(lr=0.1)", "momentum", "rmsprop", "gd", "lion"], "rosenbrock", steps=30)
    body = """const view = { width: 640, height: 560, bounds: [-2, 2, -1, 3] };
        return race.racers.map((racer) => vectorsOf(race, racer, 20, view));"""
    drawn = ask(alone, run, "vectors.js", "vectorsOf", body)
    for walk, own in zip(run, drawn, strict=True):
        assert own["update"] == pytest.approx(list(walk.update[20]), rel=1e-6)
        assert own["origin"] == pytest.approx(list(walk.path[20]), rel=1e-6)
        for kept in own["kept"]:  # what was kept and what came in, tip to tail
            beta = walk.racer.values.get("beta2" if walk.racer.name == "lion" else "beta1", 0.9)
            assert kept["old"] == pytest.approx(list(beta * walk.state["m"][19]), rel=1e-5)
            assert kept["now"] == pytest.approx(list(walk.state["m"][20]), rel=1e-5)
    assert [[kept["label"] for kept in own["kept"]] for own in drawn] == [["m"], ["m"], [], [], ["m"]]
    assert [own["size"] and own["size"]["label"] for own in drawn] == ["√v̂", None, "√v", None, None]
    assert drawn[0]["uncorrected"]["label"] == "√v"


@pytest.mark.measures
def test_arrows_cost_little(alone: Page) -> None:
    run = race(["adam(lr=0.1)"], "rosenbrock", steps=300)
    body = """const q = document.createElement("canvas").getContext("2d");
        const view = { width: 640, height: 560, bounds: [-2, 2, -1, 3] };
        const theme = { paper: "#fff", ink: "#000", mute: "#555", size: 13, family: "sans-serif" };
        const times = [];
        for (let round = 0; round < 8; round++) {
          const start = performance.now();
          for (let k = 0; k < 100; k++) drawVectors(q, { race, racer: race.racers[0], at: k, view, theme });
          times.push((performance.now() - start) / 100);
        }
        return Math.min(...times);"""
    assert ask(alone, run, "vectors.js", "drawVectors", body) < 1.5  # ms


@pytest.mark.parametrize(
    "racer", ["adam(lr=0.1)", "adamw(lr=0.1,eps_placement=hat)", "nadam(weight_decay=0.1)"]
)
def test_numbers_and_charts_fit_the_column(open_page: OpenPage, racer: str) -> None:
    page = open_(open_page, f"surface=rosenbrock&o={racer}&o=rmsprop&o=momentum&steps=200&step=40&racer=0")
    column = page.locator("section.inside")
    assert column.evaluate("(node) => node.scrollHeight <= node.clientHeight")
    for chart in page.locator(".figure").all():
        assert chart.bounding_box()["height"] >= 84
    for line in page.locator(".formula div").all():
        assert line.evaluate("(node) => node.scrollWidth <= node.clientWidth")


def test_one_minus_beta_to_the_t_is_a_number(open_page: OpenPage) -> None:
    page = open_(open_page, f"{FOUR}&racer=1&step=10")
    row = page.locator(".numbers .both")
    expect(row).to_contain_text("1−β₁ᵗ 0.6862")
    expect(row).to_contain_text("1−β₂ᵗ 0.01095")
    page.get_by_role("tab", name="momentum").click()
    expect(row).to_have_count(0)


def test_all_lines_open_close_and_are_copied(open_page: OpenPage) -> None:
    page = open_(open_page, f"{FOUR}&racer=1&step=10", permissions=["clipboard-read", "clipboard-write"])
    sheet = page.get_by_role("region", name="Every line of the rule")
    expect(sheet).to_be_hidden()
    opener = page.get_by_role("button", name="all lines")
    opener.click()
    expect(sheet.locator(".rule")).to_have_count(5)
    expect(sheet).to_contain_text("m̂ = m / (1 − β₁ᵗ)")
    shown = page.locator(".numbers .result td").all_text_contents()
    assert sheet.locator("b").all_text_contents()[-2:] == shown  # Δx, Δy as in the table
    page.get_by_role("button", name="copy").click()
    expect(page.get_by_role("button", name="copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("Adam on Rosenbrock, step 10 (t = 11)\nadam(lr=0.1)\n")
    results = [
        float(found.replace("−", "-")) for found in re.findall(r"  Δ. = .* = ([−\d.]+)$", copied, re.M)
    ]
    update = page.evaluate(
        "[0, 1].map((a) => window.__adamscope.player.race.racers[1].value('update', 10, a))"
    )
    assert results == pytest.approx(update, rel=1e-5)  # six digits
    sheet.press("Escape")
    expect(sheet).to_be_hidden()
    expect(opener).to_be_focused()


def test_vectors_come_and_go_with_their_scale(open_page: OpenPage) -> None:
    page = open_(open_page, f"{FOUR}&racer=1&step=96")
    ink = page.locator("canvas.ink")
    before = ink.screenshot()
    page.keyboard.press("v")
    page.wait_for_function("() => window.__adamscope.player.look.show.includes('vectors')")
    page.wait_for_function(READY)
    drawn = changed(before, ink.screenshot())
    assert drawn > 2000
    page.keyboard.press("v")
    page.wait_for_function("() => !window.__adamscope.player.look.show.length")
    page.wait_for_function(READY)
    page.mouse.move(2, 2)
    assert changed(before, ink.screenshot()) < drawn / 4  # a name may have found another place meanwhile


def changed(before: bytes, after: bytes) -> int:
    """Count the pixels in which two pictures differ."""
    pictures = [Image.open(io.BytesIO(picture)).convert("L") for picture in (before, after)]
    return sum(ImageChops.difference(*pictures).histogram()[9:])


def stage_of(page: Page) -> list[str]:
    return page.locator(".slow").evaluate("(node) => [node.dataset.step, node.dataset.stage]")


def test_slow_motion_goes_through_the_stages_and_back(open_page: OpenPage) -> None:
    page = open_(open_page, f"{FOUR}&racer=1&step=10")
    panel = page.get_by_role("region", name="One step in slow motion")
    page.keyboard.press("s")
    expect(panel).to_be_visible()
    page.keyboard.press(" ")  # hold
    caption = panel.locator(".caption")
    assert caption.get_attribute("aria-live") == "polite"
    expect(caption).to_contain_text("Decay m. m fades: it keeps 90 %")
    page.wait_for_function(READY)
    seen = []
    for _ in range(10):
        was = stage_of(page)
        seen.append(was[1])
        page.keyboard.press("ArrowRight")
        page.wait_for_function(
            "([node, [step, stage]]) => node.dataset.step !== step || node.dataset.stage !== stage",
            arg=[panel.element_handle(), was],
        )
    assert seen == [
        *("decay m", "decay v", "show g", "grow m", "grow v", "correct m", "correct v"),
        *("divide", "resultant", "move"),
    ]
    expect(caption).to_contain_text("Decay m.")
    assert stage_of(page) == ["11", "decay m"]  # beyond the last stage: the next step
    assert page.evaluate("window.__adamscope.player.step") == 11
    page.keyboard.press("ArrowLeft")
    expect(caption).to_contain_text("Move. θ moves to")
    assert stage_of(page) == ["10", "move"]
    panel.get_by_role("button", name="Stage 3: show g").click()
    expect(caption).to_contain_text("Show g. The gradient")
    page.get_by_role("tab", name="Lion").click()
    expect(panel.get_by_role("heading")).to_have_text("Lion, step 10")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_slow_motion_runs_by_itself_and_moves_on(open_page: OpenPage) -> None:
    page = open_(
        open_page, "surface=booth&o=gd(lr=0.01)&steps=20&step=3", own=True
    )  # the clock is its context's
    page.clock.install()  # a stage takes two seconds, which nobody need wait for
    page.get_by_role("button", name="slow motion").click()
    panel = page.locator(".slow")
    shots = []
    for title in ("show g", "scale", "resultant", "move"):
        expect(panel).to_have_attribute("data-stage", title)
        page.clock.run_for(1000)  # it moves
        shots.append(panel.locator("canvas").screenshot())
        page.clock.run_for(1000)  # and is over: nobody has pressed anything
    assert all(a != b for a, b in pairwise(shots))
    expect(panel).to_have_attribute("data-step", "4")
    page.locator(".round.play").click()  # time runs on: the step is left
    expect(panel).to_be_hidden()


def test_slow_motion_waits_where_motion_is_unwelcome(open_page: OpenPage) -> None:
    page = open_(open_page, f"{FOUR}&racer=1&step=10", reduced_motion="reduce")
    page.keyboard.press("s")
    panel = page.locator(".slow")
    expect(panel.get_by_role("button", name="Go on (space)")).to_be_visible()  # it is held
    first = panel.locator("canvas").screenshot()
    page.wait_for_timeout(250)
    assert panel.locator("canvas").screenshot() == first
    page.keyboard.press("ArrowRight")
    expect(panel.locator(".caption")).to_contain_text("Decay v.")
    assert panel.locator("canvas").screenshot() != first
