"""The charts beside the race, and whether it is a fair one: read, chosen, and made even in a real browser."""

import math
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.test_playground import PLAYER, player, ready

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]

MODULES = "/_stcore/bidi-components/adamscope.player"


def chart(page: Page, place: int) -> Locator:
    return page.locator(".charts .chart").nth(place)


def listed(page: Page, place: int) -> list[tuple[str, str]]:
    """Names and values beside the line under the hand, from top to bottom."""
    rows = chart(page, place).locator(".row").all()
    found = [
        (row.bounding_box(), row.locator(".who").inner_text(), row.locator(".value").inner_text())
        for row in rows
    ]
    found.sort(key=lambda row: row[0]["y"] if row[0] else 0)
    return [(name, value) for _, name, value in found]


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def test_a_chart_is_read_wherever_the_hand_is(open_page: OpenPage) -> None:
    page = ready(open_page("/?step=96"))
    box = chart(page, 0).bounding_box()
    assert box is not None
    for share in (0.3, 0.85):
        x = box["x"] + share * box["width"]
        page.mouse.move(x, box["y"] + 30)
        expect(chart(page, 0).locator(".list")).to_be_visible()
        rows = listed(page, 0)
        values = [number(value) for _, value in rows]
        assert len(values) == 4
        assert values == sorted(values, reverse=True)
        step = int(chart(page, 0).get_attribute("aria-valuenow") or "")
        losses = dict(player(page, f"race.racers.map(r => [r.label, r.loss[{step}]])"))
        for name, value in rows:
            assert number(value) == pytest.approx(losses[name], rel=1e-3)
        about = chart(page, 0).locator(".list").bounding_box()
        assert about is not None
        assert not about["x"] <= x <= about["x"] + about["width"], "it covers what is read"
    expect(
        chart(page, 1).locator(".hair")
    ).to_be_visible()  # the other chart shows the same step, without a list
    expect(chart(page, 1).locator(".list")).to_be_hidden()
    assert player(page, "step") == 96  # reading moves nothing …
    page.mouse.down()
    page.mouse.up()
    assert player(page, "step") == step  # … a press goes there
    page.mouse.move(400, 300)
    expect(chart(page, 0).locator(".reading")).to_be_hidden()


def test_a_chart_is_read_by_keyboard(open_page: OpenPage) -> None:
    page = ready(open_page("/?step=96"))
    page.locator(".which select").first.focus()
    page.keyboard.press("Tab")
    first = chart(page, 0)
    expect(first).to_be_focused()
    expect(first).to_have_attribute("aria-label", "Loss")
    expect(first).to_have_attribute("aria-valuenow", "96")
    for key, step in (
        ("ArrowRight", 97),
        ("Shift+ArrowLeft", 87),
        ("End", 400),
        ("Home", 0),
        ("ArrowRight", 1),
    ):
        page.keyboard.press(key)
        expect(first).to_have_attribute("aria-valuenow", str(step))
    loss = player(page, "race.racers[2].loss[1]")
    expect(first).to_have_attribute("aria-valuetext", re.compile(rf"^step 1: .*Adam {loss:.4g}"))
    assert player(page, "step") == 96
    page.keyboard.press("Enter")
    assert player(page, "step") == 1
    page.keyboard.press("Escape")
    expect(first.locator(".reading")).to_be_hidden()


def test_what_a_chart_shows_is_chosen_and_kept_in_the_address(open_page: OpenPage) -> None:
    page = ready(open_page("/?step=96&off=0"))
    choice = page.get_by_label("What chart 1 shows")
    headings = page.locator(".charts h3 span:first-child")
    chart(page, 0).hover()
    assert "momentum" not in dict(listed(page, 0)), "a hidden racer is left out"
    for kind, title in {
        "distance": "Distance to minimum",
        "gradient": "Gradient norm",
        "effective": "Effective step",
        "lr": "Learning rate",
        "length": "Length of the step",
    }.items():
        choice.select_option(kind)
        expect(headings.first).to_have_text(title)
        chart(page, 0).hover()
        assert len(listed(page, 0)) == 3
    expect(headings.nth(1)).to_have_text("Bias factor")  # as suits Adam
    page.get_by_role("tab", name="RMSprop").click()
    expect(headings.nth(1)).to_have_text("Length of the step")
    page.wait_for_function("location.search.includes('charts=length,auto')")


def test_values_in_the_charts_are_the_race_s(open_page: OpenPage) -> None:
    page = ready(open_page("/?surface=styblinski_tang&step=50&charts=loss,effective&schedule=cosine"))
    expect(page.locator(".charts h3").first).to_contain_text("f − f*")
    page.locator(".which select").first.focus()
    page.keyboard.press("Tab")
    loss, lowest = player(page, "race.racers[2].loss[50]"), player(page, "race.surface.lowest")
    assert lowest < 0
    assert number(dict(listed(page, 0))["Adam"]) == pytest.approx(loss - lowest, rel=1e-3)
    page.get_by_label("What chart 1 shows").select_option("lr")
    chart(page, 0).focus()
    page.keyboard.press("ArrowRight")
    factor = 0.5 * (1 + math.cos(math.pi * 51 / 400))
    assert number(dict(listed(page, 0))["Adam"]) == pytest.approx(0.1 * factor, rel=1e-3)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(chart(page, 1)).to_be_focused()
    x, y = dict(listed(page, 1))["Adam"].split()
    for axis, text in enumerate((x, y)):
        value = player(page, f"race.racers[2].value('effective_lr', 50, {axis})")
        assert number(text) == pytest.approx(value, rel=1e-2)


def test_the_bias_factor_of_the_present_step_is_marked(open_page: OpenPage) -> None:
    page = ready(open_page("/?step=11&racer=3"))
    mark = page.locator(".charts .now")
    expect(mark.nth(1).locator(".dot")).to_be_visible()
    expect(mark.nth(1)).to_have_text("6.57×")  # t = 12, where it peaks
    page.keyboard.press(".")
    t = 13
    expect(mark.nth(1)).to_have_text(f"{(1 - 0.9**t) / math.sqrt(1 - 0.999**t):.2f}×")
    expect(mark.first.locator(".dot")).to_be_hidden()


COUNT_DRAWINGS = """() => {
    const clear = CanvasRenderingContext2D.prototype.clearRect;
    window.drawings = 0;
    CanvasRenderingContext2D.prototype.clearRect = function (...area) {
        window.drawings += this.canvas.closest(".charts") !== null;
        return clear.apply(this, area);
    };
}"""


def test_charts_are_drawn_once_a_race(open_page: OpenPage) -> None:
    page = ready(open_page("/?step=20"))
    page.evaluate(COUNT_DRAWINGS)
    cursor = page.locator(".charts .cursor").first
    before, frames = cursor.bounding_box(), player(page, "counts.draws")
    page.keyboard.press(" ")
    page.wait_for_function(f"{PLAYER}.counts.draws > {frames + 40}")
    assert cursor.bounding_box() != before
    # Python's answer to the start, or a longer sentence above, draws both anew; a frame does not.
    assert page.evaluate("window.drawings") < 20


def test_more_charts_where_there_is_room(open_page: OpenPage) -> None:
    page = ready(open_page("/?step=20", viewport={"width": 1920, "height": 1080}))
    expect(page.locator(".charts .figure")).to_have_count(3)
    titles = page.locator(".charts h3 span:first-child").all_inner_texts()
    assert len(set(titles)) == 3
    for one in page.locator(".charts .figure").all():
        box = one.bounding_box()
        assert box is not None
        assert box["height"] >= 110
        assert box["y"] + box["height"] <= 1080


def test_a_race_is_said_to_be_fair_or_not_and_made_so(open_page: OpenPage) -> None:
    page = ready(
        open_page(
            "/?step=96&panel=fair&racer=2&o=gd(lr=0.0005)&o=momentum(lr=0.0005)&o=adam(lr=0.1)&o=lion(lr=0.02)"
        )
    )
    verdict = page.locator(".fair .sentence")
    expect(verdict).to_contain_text(
        "Not fair by learning rate: 0.0005 (gradient descent) to 0.1 (Adam), 200×."
    )
    expect(verdict).to_contain_text("momentum's step grows to 10 times gradient descent's, at the same lr.")
    expect(page.locator(".fair .hint").first).to_have_text(
        "All: lr constant, no clipping, no noise; one gradient a step, so 400 each."
    )
    first = "race.racers.map(r => Math.hypot(r.value('update', 0, 0), r.value('update', 0, 1)))"
    lr = "race.racers.map(r => r.hyper[0].value)"
    steps = player(page, first)
    cells = page.locator(".fairness tbody tr").nth(1).locator("td").all_inner_texts()
    assert number(cells[1]) == pytest.approx(steps[1], rel=1e-2)
    assert cells[2] == "96/400"

    page.get_by_role("button", name="same first step").click()
    expect(page.locator(".done")).to_have_text(
        re.compile(r"^First steps are Adam's now, 0\.1414: measured, to within .*\u00a0%\.$")
    )
    assert player(page, first) == pytest.approx([steps[2]] * 4, rel=0.01)
    expect(verdict).to_contain_text("Fair by first step (all 0.141), not by learning rate")

    page.get_by_role("button", name="same lr").click()
    expect(page.locator(".done")).to_have_text("All take Adam's learning rate now.")
    assert player(page, lr) == [0.1] * 4
    expect(verdict).to_contain_text("Fair by learning rate (all 0.1)")
    page.get_by_label("lr of Adam, as a number", exact=True).fill("0.05")
    page.keyboard.press("Enter")
    expect(page.locator(".done")).to_have_text("")  # what was done no longer holds


def test_fairness_knows_clipping_and_noise(open_page: OpenPage) -> None:
    page = ready(open_page("/?step=96&panel=fair&clip_norm=5&noise=0.5&seed=3&schedule=cosine"))
    expect(page.locator(".fair .hint").first).to_have_text(
        "All: lr follows cosine, gradients clipped to length 5, noise of 0.5 on the gradient, "
        "the same draws for all (seed 3); one gradient a step, so 400 each."
    )
    clipped = page.evaluate(
        f"""() => {PLAYER}.race.racers.map((racer) => Array.from({{ length: 400 }}, (_, k) =>
        Math.hypot(racer.value("g", k, 0), racer.value("g", k, 1))).filter((g) => g > 4.9999).length)"""
    )
    assert max(clipped) > 0
    for row, count in zip(page.locator(".fairness tbody tr").all(), clipped, strict=True):
        assert row.locator("td").nth(3).inner_text() == str(count)


BEST = """async (modules) => {
    const { createFair } = await import(`${modules}/fair.js`);
    const { readTheme } = await import(`${modules}/theme.js`);
    const { race } = window.__adamscope.player;
    const asked = window.asked = race.racers.map((racer) => ({ hyper: structuredClone(racer.hyper) }));
    const fair = createFair({ change: (edit) => edit({ racers: asked }) });
    const root = document.querySelector(".adamscope") ?? document.body;
    root.append(fair.node);
    fair.node.id = "lent";
    fair.node.style = "position: fixed; z-index: 9; left: 40px; top: 80px; width: 340px; background: Canvas";
    const racers = race.racers.map(({ name }, k) => ({
        racer: name, lr: [1e-4, 1e-3, 1e-2, 1e-1], best: k ? 2 : null, edge: false,
        loss: k ? [3, 2, 0.5, null] : [null, null, null, null],
    }));
    const theme = readTheme(document.body);
    const show = (tuned) => fair.update({ race, chosen: 2, theme, look: { off: [] }, work: { tuned } });
    show({ pending: true, done: 3, of: 16 });
    const waiting = fair.node.innerText;
    show({ id: "lent", racers });
    return waiting;
}"""


def test_the_best_lr_of_each_is_shown_and_taken(open_page: OpenPage) -> None:
    page = ready(open_page("/?step=96"))
    assert "being tried: 3 of 16" in page.evaluate(BEST, MODULES)
    lent = page.locator("#lent")
    curves = lent.get_by_role("slider", name="Final loss by learning rate")
    colours = """c => new Set(new Uint32Array(
        c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer)).size"""
    expect(curves.locator("canvas")).to_be_visible()
    assert curves.locator("canvas").evaluate(colours) > 10
    curves.focus()
    page.keyboard.press("End")
    expect(curves).to_have_attribute("aria-valuetext", re.compile(r"^lr 0\.10: .*Adam diverged"))
    page.keyboard.press("Home")
    expect(curves).to_have_attribute("aria-valuetext", re.compile(r"^lr 0\.00010: .*Adam 3\.00"))
    lent.get_by_role("button", name="best lr of each").click()
    rates = page.evaluate("window.asked.map(({ hyper }) => hyper.find(({ name }) => name === 'lr').value)")
    assert rates == [0.0008, 0.01, 0.01, 0.01]  # whose every lr diverges keeps its own
