"""The playground as a learner meets it: a real browser, a real server, real mouse and keys."""

import math
import re
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPConnection
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from optimizers import OPTIMIZERS
from tests.e2e.arithmetic import evaluate

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]

PLAYER = "window.__adamscope.player"
ADAM = 2  # its place in the first page's race


def ready(page: Page) -> Page:
    """Wait until the player stands and has drawn."""
    page.wait_for_function("window.__adamscope?.player?.counts.draws > 1")
    return page


def player(page: Page, expression: str) -> Any:
    """Read something of the player, e.g. player(page, "step")."""
    return page.evaluate(f"{PLAYER}.{expression}")


def drawn(page: Page) -> None:
    """Wait until what has changed is drawn."""
    page.evaluate(
        """() => new Promise((done) =>
            requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))"""
    )


def settled(page: Page) -> None:
    """Wait until no request is under way and its answer is drawn."""
    page.wait_for_function(f"{PLAYER}.idle")
    drawn(page)


def told(page: Page) -> None:
    """Wait until all is settled and the address says so, which is rewritten once it rests."""
    settled(page)
    page.wait_for_function("window.__adamscope.resting()")


def picture(page: Page) -> str:
    """The paths' canvas as it is now."""
    return page.locator("canvas.ink").evaluate("canvas => canvas.toDataURL()")


def address(page: Page) -> dict[str, list[str]]:
    """What the page's address says, once it rests."""
    told(page)
    return parse_qs(urlsplit(page.url).query)


def pause(page: Page) -> None:
    page.get_by_role("button", name="Pause").click()


def middle(locator: Locator) -> tuple[float, float]:
    box = locator.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_first_page_is_a_race_already_running(page: Page) -> None:
    ready(page)
    before, first = player(page, "step"), picture(page)
    page.wait_for_timeout(400)
    assert player(page, "step") > before
    assert picture(page) != first
    assert page.locator("h3", has_text="Inside step").is_visible()
    # The whole instrument fits the window: nothing one needs while playing lies behind scrolling.
    for part in (
        "section.question",
        "section.experiment",
        "section.inside",
        ".timeline",
        ".figure:last-child",
    ):
        box = page.locator(part).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 1280.5
        assert box["y"] + box["height"] <= 720.5
    assert page.locator("section.inside").evaluate("e => e.scrollHeight <= e.clientHeight + 1")


@pytest.mark.measures
def test_playback_is_smooth(page: Page) -> None:
    ready(page)
    page.wait_for_timeout(1200)  # fonts and the first address have come: every further frame is the race's
    rates = []
    for _ in range(2):  # the better second of two: a busy machine disturbs one, a slow player both
        frames, began = page.evaluate(f"[{PLAYER}.frames, performance.now()]")
        page.wait_for_timeout(1000)
        later, ended = page.evaluate(f"[{PLAYER}.frames, performance.now()]")
        rates.append((later - frames) / (ended - began) * 1000)
    assert player(page, "playing")
    assert max(rates) >= 50, rates


@pytest.mark.measures
def test_a_slider_redraws_while_it_is_dragged(page: Page) -> None:
    ready(page)
    pause(page)
    settled(page)
    step = player(page, "step")
    loss = f"race.racers[{ADAM}].loss[50]"
    before, other, seen = player(page, loss), player(page, "race.racers[0].loss[50]"), picture(page)
    slider = page.get_by_role("slider", name="lr of Adam", exact=True)
    x, y = middle(slider)
    page.mouse.move(x, y)
    page.mouse.down()
    values = set()
    for k in range(1, 9):
        page.mouse.move(x - 5 * k, y)
        page.wait_for_timeout(60)
        values.add(player(page, loss))
    page.wait_for_function(f"{PLAYER}.idle")
    assert len(values) >= 5  # new races arrived under the moving hand, not only at its release
    assert player(page, loss) != before
    assert picture(page) != seen
    assert player(page, "step") == step  # the playhead stays where it was
    page.mouse.up()
    settled(page)
    lr = player(page, f"race.racers[{ADAM}].hyper[0].value")
    assert lr < 0.1
    assert f"adam(lr={lr})" in address(page)["o"]
    assert player(page, "race.racers[0].loss[50]") == other
    for chart in page.locator(".chart canvas").all():  # drawn at the size they have, not stretched to it
        assert chart.evaluate("c => Math.abs(c.height - c.clientHeight * devicePixelRatio) <= 1")


def test_a_number_can_be_typed_and_a_bad_one_is_refused(page: Page) -> None:
    ready(page)
    pause(page)
    number = page.get_by_label("lr of Adam, as a number", exact=True)
    number.fill("0.25")
    number.press("Enter")
    settled(page)
    assert player(page, f"race.racers[{ADAM}].hyper[0].value") == 0.25
    number.fill("")  # asks for nothing
    number.press("Enter")
    settled(page)
    expect(number).to_have_value("0.25")
    expect(page.get_by_role("status")).to_have_text("")
    number.fill("1/3, beta1=0.5")  # no number, and no second setting either
    number.press("Enter")
    settled(page)
    expect(page.get_by_role("status")).to_contain_text("lr of adam")
    assert player(page, f"race.racers[{ADAM}].hyper[0].value") == 0.25
    expect(number).to_have_value("0.25")
    page.get_by_role("radio", name="none").click()
    assert "adam(lr=0.25,bias_correction=False)" in address(page)["o"]


def test_a_click_moves_the_start(page: Page) -> None:
    ready(page)
    stage = page.locator("canvas.ink")
    box = stage.bounding_box()
    assert box is not None
    x0, x1, y0, y1 = player(page, "view.bounds")
    stage.click(position={"x": box["width"] * 0.8, "y": box["height"] * 0.3})
    settled(page)
    start = player(page, "race.start")
    assert start == pytest.approx([x0 + 0.8 * (x1 - x0), y1 - 0.3 * (y1 - y0)], abs=0.02)
    assert player(page, f"race.racers[{ADAM}].value('theta', 0, 0)") == pytest.approx(start[0], abs=1e-6)
    assert player(page, "playing")  # the race runs on from there
    assert address(page)["start"] == [f"{start[0]:g},{start[1]:g}"]


def test_time_can_be_held_and_turned_back(page: Page) -> None:
    ready(page)
    page.wait_for_timeout(700)
    pause(page)
    step = player(page, "step")
    assert step == int(step)
    assert step > 1
    heading = page.locator("section.inside h3 span").first
    later = picture(page)
    page.get_by_role("button", name="One step back").click()
    expect(heading).to_have_text(f"Inside step {step - 1}")
    drawn(page)
    assert picture(page) != later
    page.get_by_role("button", name="One step on").click()
    drawn(page)
    assert picture(page) == later  # the same moment looks the same, from whichever side one comes
    scrub = page.get_by_role("slider", name="Step", exact=True)
    scrub.focus()
    page.keyboard.press("End")
    expect(heading).to_have_text("Inside the last step")  # no update leaves the end: the last one stays
    last = page.locator("table.numbers td").all_inner_texts()
    assert "—" not in last
    page.keyboard.press("ArrowLeft")
    expect(heading).to_have_text("Inside step 399")
    assert page.locator("table.numbers td").all_inner_texts() == last
    box = scrub.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    k = player(page, "step")
    assert k == pytest.approx(200, abs=2)
    expect(heading).to_have_text(f"Inside step {k}")  # numbers are written with the next picture
    shown = page.locator("table.numbers tr.result td").all_inner_texts()
    for axis, text in enumerate(shown):
        update = player(page, f"race.racers[{ADAM}].value('update', {k}, {axis})")
        assert float(text.replace("−", "-")) == pytest.approx(update, rel=1e-3)
    assert address(page)["step"] == [str(k)]
    page.get_by_role("button", name="Play (space)").click()
    settled(page)
    assert player(page, "playing")
    assert "step" not in address(page)  # a link copied from a running race opens a running one


def test_a_race_at_rest_at_its_end_keeps_its_place(open_page: OpenPage) -> None:
    page = ready(open_page("/?o=adam(lr=0.1)&steps=40&speed=8"))
    page.wait_for_function(f"!{PLAYER}.playing && {PLAYER}.step === 40")
    assert address(page)["step"] == ["40"]
    page.reload()
    ready(page)
    page.wait_for_timeout(300)
    assert (player(page, "playing"), player(page, "step")) == (False, 40)
    page.get_by_role("button", name="Play again").first.click()
    settled(page)
    page.wait_for_function(f"{PLAYER}.playing || {PLAYER}.step === 40")
    length = page.get_by_label("Length of the race in steps")
    page.wait_for_function(f"!{PLAYER}.playing")
    length.fill("25")
    length.press("Enter")
    assert address(page)["steps"] == address(page)["step"] == ["25"]


def test_the_loop_switch_is_in_the_address(open_page: OpenPage) -> None:
    page = ready(open_page("/?o=adam(lr=0.1)&steps=40&speed=8"))
    page.wait_for_function(f"!{PLAYER}.playing")
    assert "loop" not in address(page)
    page.get_by_role("button", name="Play again at the end").click()
    page.get_by_role("button", name="Play again (space)").click()
    assert address(page)["loop"] == ["1"]
    page.reload()
    ready(page)
    loop = page.get_by_role("button", name="Play again at the end")
    expect(loop).to_have_attribute("aria-pressed", "true")
    frames = player(page, "frames")
    page.wait_for_function(f"{PLAYER}.frames > {frames} + 30")
    assert player(page, "playing")
    loop.click()
    page.wait_for_function(f"!{PLAYER}.playing && {PLAYER}.step === 40")
    assert "loop" not in address(page)


def test_another_link_opened_in_a_running_race_stands_at_its_step(page: Page) -> None:
    ready(page)
    assert player(page, "playing")
    page.evaluate(
        "history.pushState({}, '', '?surface=beale&o=adam(lr=0.1)&steps=90&step=30&loop=1');"
        "window.dispatchEvent(new PopStateEvent('popstate'))"
    )
    page.wait_for_function(f"{PLAYER}.race.surface.name === 'beale'")
    page.wait_for_timeout(300)
    assert (player(page, "playing"), player(page, "step")) == (False, 30)
    expect(page.get_by_role("button", name="Play again at the end")).to_have_attribute("aria-pressed", "true")


LINK = (
    "/?surface=himmelblau&o=nesterov(lr=0.002)&o=adam(lr=0.2)&start=1,-2"
    "&steps=150&step=40&racer=0&speed=2&loop=1"
)


def test_a_link_restores_the_state(open_page: OpenPage) -> None:
    page = ready(open_page(LINK))
    settled(page)
    assert not player(page, "playing")
    assert player(page, "step") == 40
    assert player(page, "race.start") == [1, -2]
    assert player(page, "race.racers.map(r => r.label)") == ["Nesterov", "Adam"]
    assert page.get_by_role("tab", name="Nesterov").get_attribute("aria-selected") == "true"
    assert page.get_by_label("Speed").input_value() == "2"
    assert address(page) == parse_qs(urlsplit(LINK).query)  # and the address still says all of it
    seen = picture(page)
    page.get_by_role("button", name="More for Adam").click()
    page.get_by_role("menuitem", name="Remove").click()
    told(page)
    page.reload()
    ready(page)
    assert player(page, "race.racers.map(r => r.label)") == ["Nesterov"]
    assert picture(page) != seen


def test_racers_come_and_go(page: Page) -> None:
    ready(page)
    pause(page)
    names = "race.racers.map(r => r.label)"
    page.get_by_role("button", name="with / without correction").click()
    settled(page)
    assert player(page, names) == ["momentum", "RMSprop", "Adam"]
    page.get_by_role("button", name="with / without correction").click()
    settled(page)
    assert player(page, names) == ["momentum", "RMSprop", "Adam", "Adam, uncorrected"]
    page.get_by_role("button", name="add a racer").click()
    page.get_by_role("menuitem", name="Adagrad").click()
    settled(page)
    assert player(page, names)[-1] == "Adagrad"
    page.get_by_role("button", name="More for momentum").click()
    page.get_by_role("menuitem", name="Duplicate").click()
    settled(page)
    assert len(player(page, names)) == 6
    page.get_by_label("Surface", exact=True).select_option("quadratic")
    settled(page)
    assert player(page, "race.surface.name") == "quadratic"
    page.get_by_role("slider", name="condition of Quadratic").press("End")
    assert address(page)["surface"] == ["quadratic(condition=1000)"]


def test_every_optimizer_can_be_reached_in_a_small_window(page: Page) -> None:
    ready(page)
    page.get_by_role("button", name="+ add a racer").click()
    items = page.get_by_role("menuitem")
    expect(items).to_have_count(len(OPTIMIZERS))
    for key, item in (("End", items.last), ("Home", items.first)):
        page.keyboard.press(key)
        box = item.bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 720
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    settled(page)
    assert player(page, "race.racers.at(-1).name") == list(OPTIMIZERS)[-1]


def test_no_more_than_eight_race(open_page: OpenPage) -> None:
    page = ready(open_page("/?" + "&".join(f"o=adam(lr=0.{k})" for k in range(1, 9)) + "&step=0"))
    add = page.get_by_role("button", name="+ add a racer")
    expect(add).to_be_disabled()
    expect(add).to_have_attribute("title", "8 race at most")
    expect(page.get_by_role("button", name="with / without correction")).to_be_disabled()


def test_what_is_looked_at_goes_with_a_shorter_race(open_page: OpenPage) -> None:
    """The last racer is looked into, late in the race; then there is neither that racer nor that step."""
    page = ready(open_page("/?o=adam&o=adam(bias_correction=False)&steps=300&step=250&racer=1"))
    page.get_by_role("button", name="More for Adam, uncorrected").click()
    page.get_by_role("menuitem", name="Remove").click()
    settled(page)
    assert player(page, "race.racers.map(r => r.label)") == ["Adam"]
    length = page.get_by_label("Length of the race in steps")
    length.fill("100")
    length.press("Enter")
    settled(page)
    assert player(page, "race.steps") == 100
    assert player(page, "notices") == []


def test_the_dark_theme_changes_paper_and_ink(open_page: OpenPage) -> None:
    def paper(page: Page) -> tuple[list[int], str]:
        pixel = "c => [...c.getContext('2d').getImageData(9, 9, 1, 1).data].slice(0, 3)"
        ink = (
            page.locator("section.question .racer")
            .nth(ADAM)
            .evaluate("e => e.style.getPropertyValue('--hue')")
        )
        return page.locator("canvas.map").evaluate(pixel), ink

    light, dark = (ready(open_page("/?step=0", color_scheme=scheme)) for scheme in ("light", "dark"))
    (light_paper, light_ink), (dark_paper, dark_ink) = paper(light), paper(dark)
    assert min(light_paper) > 180
    assert max(dark_paper) < 80
    adam = player(light, f"race.racers[{ADAM}]")
    assert (light_ink, dark_ink) == (adam["light"], adam["dark"])


def test_everything_by_keyboard(page: Page) -> None:
    ready(page)
    page.keyboard.press("Space")
    assert not player(page, "playing")
    step = player(page, "step")
    page.keyboard.press(",")
    assert player(page, "step") == step - 1
    page.keyboard.press("ArrowRight")
    assert player(page, "step") == step
    back = page.get_by_role("button", name="One step back")
    back.focus()
    back.press("ArrowLeft")
    back.press("ArrowLeft")
    back.press("ArrowRight")
    assert player(page, "step") == step - 1
    slider = page.get_by_role("slider", name="lr of Adam", exact=True)
    slider.press("ArrowLeft")  # a slider's arrows are its own
    assert player(page, "step") == step - 1
    settled(page)
    page.get_by_label("Surface", exact=True).focus()
    names = []
    for _ in range(60):
        page.keyboard.press("Tab")
        focus = page.evaluate(
            """() => {
                let e = document.activeElement;
                while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
                const style = getComputedStyle(e);
                const visible = e.matches("input[type=range]") || style.outlineStyle !== "none"
                    || style.borderColor !== "rgba(0, 0, 0, 0)";
                return [e.getAttribute("aria-label") ?? e.textContent, visible, e.className];
            }"""
        )
        names.append(focus[0])
        assert focus[1], f"focus is not visible on {focus[0]}"
        if focus[2] == "ink":
            break
    for expected in ("lr of momentum", "beta2 of Adam", "both", "+ add a racer", "with / without correction"):
        assert expected in names
    start = player(page, "race.start")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    settled(page)
    moved = player(page, "race.start")
    assert moved[0] > start[0]
    assert moved[1] < start[1]
    page.keyboard.press("Tab")
    assert "start" in page.evaluate("document.activeElement.shadowRoot.activeElement.title").lower()


def test_bad_parts_of_a_link_are_named_in_a_quiet_sentence(open_page: OpenPage) -> None:
    page = ready(open_page("/?surface=rosenbrok&o=adam(lr=0.1)&steps=120"))
    expect(page.get_by_role("status")).to_contain_text("There is no surface 'rosenbrok'")
    assert player(page, "race.surface.name") == "rosenbrock"
    assert player(page, "race.steps") == 120
    page.wait_for_timeout(300)
    pause(page)  # how it is looked at is no new question
    settled(page)
    notice = page.get_by_role("status").get_by_role("button")
    expect(notice).to_be_visible()
    notice.click()
    page.keyboard.press("Home")
    settled(page)
    expect(notice).to_have_count(0)
    assert page.locator("[data-testid=stException], [data-testid=stAlert]").count() == 0


def test_names_never_overlap_and_stay_on_the_map(open_page: OpenPage) -> None:
    crowd = "&".join(
        f"o={name}(lr=0.05)" for name in ("gd", "momentum", "rmsprop", "adam", "adagrad", "nesterov")
    )
    page = open_page(f"/?{crowd}&o=adam(lr=0.05,bias_correction=False)&o=gd(lr=0.001)&step=0")
    for surface in ("rosenbrock", "saddle"):
        ready(page)
        page.get_by_label("Surface", exact=True).select_option(surface)
        settled(page)
        view = player(page, "view")
        page.get_by_role("slider", name="Step", exact=True).focus()
        page.keyboard.press("Home")
        for _ in range(11):
            page.keyboard.press("PageUp")
            drawn(page)
            boxes = [box for box in player(page, "labels") if box["key"] != "start"]
            assert len(boxes) == 8
            for k, a in enumerate(boxes):
                assert a["x"] >= 0
                assert a["y"] >= 0
                assert a["x"] + a["width"] <= view["width"]
                assert a["y"] + a["height"] <= view["height"]
                for b in boxes[:k]:
                    apart_x = max(a["x"] - b["x"] - b["width"], b["x"] - a["x"] - a["width"])
                    apart_y = max(a["y"] - b["y"] - b["height"], b["y"] - a["y"] - a["height"])
                    assert max(apart_x, apart_y) >= 0, (a, b)


@pytest.mark.parametrize("width", [390, 820])
def test_nothing_is_cut_on_a_narrow_screen(open_page: OpenPage, width: int) -> None:
    page = ready(open_page("/?step=60", viewport={"width": width, "height": 844}))
    for part in (".tab", ".numbers", ".formula", ".figure", ".racer", ".question select", ".place", ".scrub"):
        for node in page.locator(part).all():
            box = node.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width + 0.5, part
    scrub = page.locator(".scrub").bounding_box()
    assert scrub is not None
    assert scrub["width"] > 300


def test_divergence_is_said_and_nothing_is_drawn_after_it(open_page: OpenPage) -> None:
    page = ready(open_page("/?o=gd(lr=0.01)&o=adam(lr=0.1)&steps=60&step=50&racer=0"))
    (gd,) = [
        racer
        for racer in player(page, "race.racers.map(r => ({...r, value: null, loss: null}))")
        if racer["name"] == "gd"
    ]
    assert gd["diverged"] is not None
    texts = [label["text"] for label in player(page, "labels")]
    assert any(f"diverged at step {gd['diverged']}" in text for text in texts)
    assert math.isnan(player(page, f"race.racers[0].value('theta', {gd['diverged']}, 0)"))
    assert page.locator("table.numbers tr.result td").all_inner_texts() == ["—", "—"]
    expect(page.locator("p.sentence")).to_contain_text(f"diverged at step {gd['diverged']}")


def test_the_loss_axis_names_who_leaves_it(open_page: OpenPage) -> None:
    page = ready(open_page("/?o=adam(lr=0.1)&o=gd(lr=0.01)&steps=60&step=5&racer=0"))
    note = page.locator(".figure .beyond").first
    expect(note).to_have_text(re.compile(r"^beyond the axis: gradient descent, up to \d\.\d×10.+$"))
    chart = page.locator(".chart").first
    top = chart.bounding_box()
    page.get_by_role("button", name="More for gradient descent").click()
    page.get_by_role("menuitem", name="Remove").click()
    settled(page)
    expect(note).to_have_text("")
    assert chart.bounding_box() == top, "the chart moved"


EXPLAIN = """async () => {
    const { explain } = await import("/_stcore/bidi-components/adamscope.player/sentence.js");
    const race = window.__adamscope.player.race;
    const steps = Array.from({ length: race.steps + 1 }, (_, k) => k);
    return race.racers.map((racer) => steps.map((k) => explain(race, racer, k).text));
}"""


def test_the_chart_of_step_lengths_ends_at_the_map(open_page: OpenPage) -> None:
    page = ready(open_page("/?o=momentum(lr=0.0005)&o=gd(lr=0.01)&steps=60&step=5&racer=0"))
    note = page.locator(".figure .beyond").last
    expect(note).to_have_text(re.compile(r"^beyond the axis: gradient descent, up to \d\.\d×10.+$"))


def test_the_ends_of_an_axis_are_numbered(page: Page) -> None:
    written = ready(page).evaluate(
        """async () => {
        const { drawLines } = await import("/_stcore/bidi-components/adamscope.player/chart.js");
        const canvas = document.body.appendChild(document.createElement("canvas"));
        canvas.style = "width: 500px; height: 200px";
        const written = [];
        canvas.getContext("2d").fillText = (text) => written.push(text);
        drawLines(canvas, { series: [], xRange: [0, 400], font: "17px sans-serif" });
        return written;
    }"""
    )
    assert {"0", "400"} <= set(written)


# Every optimizer, and options that add rows to the table.
CROWDS = [
    *(
        [f"{name}(lr={min(entry.hyperparameters[0].default, 0.01)})" for name, entry in crowd]
        for crowd in (list(OPTIMIZERS.items())[:8], list(OPTIMIZERS.items())[8:])
    ),
    [
        "adamw(lr=0.1,eps_placement=hat)",
        "nadam(lr=0.1,weight_decay=0.1,decoupled_weight_decay=True)",
        "radam(lr=0.001,weight_decay=0.1,decoupled_weight_decay=True)",
        "lion(lr=0.02,weight_decay=0.1)",
        "adam(lr=0.1,weight_decay=0.1,eps=0.1,eps_placement=inside)",
        "rmsprop(lr=0.02,weight_decay=0.1,centered=True,momentum=0.9)",
        "momentum(lr=0.0005,weight_decay=0.1,nesterov=True,convention=sutskever)",
        "signsgd(lr=0.02,momentum=0.9)",
    ],
]


@pytest.mark.parametrize("crowd", CROWDS)
def test_the_numbers_inside_a_step_fit_and_give_it(open_page: OpenPage, crowd: list[str]) -> None:
    page = ready(open_page("/?surface=beale&" + "&".join(f"o={racer}" for racer in crowd) + "&step=30"))
    inside = page.locator("section.inside")
    for k in range(len(crowd)):
        page.get_by_role("tab").nth(k).click()
        assert inside.evaluate("e => e.scrollWidth <= e.clientWidth"), f"{crowd[k]} is cut"
        for line in page.locator(".formula div").all_inner_texts():
            _, expression, result = line.split("=")
            assert evaluate(expression) == pytest.approx(evaluate(result), rel=2e-3), (crowd[k], line)


def test_sentence_and_formula_are_true_of_the_step(page: Page) -> None:
    ready(page)
    pause(page)
    page.get_by_role("button", name="Back to the start").click()
    said = page.evaluate(EXPLAIN)
    assert "each axis moves by lr = 0.1," in said[ADAM][0]
    assert "moves by 3.16 × lr" in said[3][0]  # (1 − β₁)/√(1 − β₂)
    assert "6.57 × what correction would make" in said[3][11]  # its peak, at t = 12
    # The formula, worked out as it is written, gives the update shown.
    for _ in range(6):
        page.get_by_role("button", name="One step on").click()
        for line in page.locator(".formula div").all_inner_texts():
            _, expression, result = line.split("=")
            assert evaluate(expression) == pytest.approx(evaluate(result), rel=2e-3)


def test_no_sentence_is_said_for_most_of_a_race(page: Page) -> None:
    ready(page)
    keys = page.evaluate(EXPLAIN.replace("k).text", "k).key"))[ADAM]
    assert max(keys.count(key) for key in keys) < 200
    assert len(set(keys)) >= 6
    stays = len(keys) / (1 + sum(a != b for a, b in pairwise(keys)))
    assert stays > 5, "a sentence changes too often to be read"


def test_a_long_formula_is_not_cut(open_page: OpenPage) -> None:
    for link in ("o=adagrad(lr=0.5)&step=4900", "o=adam(lr=0.00123,eps=1.23e-7)&step=4900"):
        page = ready(open_page(f"/?surface=himmelblau&{link}&steps=5000&racer=0"))
        assert "×10" in page.locator(".formula").inner_text()
        assert page.locator(".formula").evaluate("e => e.scrollWidth <= e.clientWidth")


def test_reduced_motion_starts_with_the_whole_picture(open_page: OpenPage) -> None:
    page = ready(open_page(reduced_motion="reduce"))
    page.wait_for_timeout(300)
    assert not player(page, "playing")
    assert player(page, "step") == player(page, "length")


@pytest.mark.parametrize(("host", "status"), [("localhost", 101), ("elsewhere.example", 403)])
def test_no_other_sites_name_opens_a_session(server: str, host: str, status: int) -> None:
    port = urlsplit(server).port
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    upgrade = {
        "Host": f"{host}:{port}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "c2l4dGVlbiBieXRlcyBrZQ==",
        "Sec-WebSocket-Protocol": "streamlit",
    }
    connection.request("GET", "/_stcore/stream", headers=upgrade)
    with closing(connection):
        assert connection.getresponse().status == status
