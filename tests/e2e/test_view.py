"""Time and the plane under the hand: what racers have in common, moments, zoom, contour lines, keys."""

import math
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.test_playground import PLAYER, address, drawn, picture, player, ready, settled, told

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]


def map_picture(page: Page) -> str:
    return page.locator("canvas.map").evaluate("canvas => canvas.toDataURL()")


def test_racers_can_be_compared_at_the_same_length_of_path(open_page: OpenPage) -> None:
    page = ready(open_page("/?surface=himmelblau&o=gd&o=adam(lr=0.1)&steps=300&step=150"))
    assert player(page, "at") == [150, 150]
    common = page.get_by_label("What all racers have in common at a moment")
    common.select_option("gradients")
    assert player(page, "at") == [150, 150]  # each takes one gradient a step
    common.select_option("length")
    at = player(page, "at")
    assert at[0] != at[1]
    length = """(k) => { const { race, at } = window.__adamscope.player; let sum = 0;
        for (let j = 0; j < at[k]; j++) {
            const share = Math.min(1, at[k] - j);
            const [dx, dy] = [0, 1].map((axis) => race.racers[k].value("update", j, axis));
            sum += share * Math.hypot(dx, dy);
        }
        return sum; }"""
    lengths = [page.evaluate(length, k) for k in (0, 1)]
    short = [k for k in (0, 1) if at[k] == 300]  # one whose path ends earlier waits at its end
    if not short:
        assert lengths[0] == pytest.approx(lengths[1], rel=1e-3)
    else:
        assert lengths[short[0]] <= lengths[1 - short[0]]
    assert address(page)["by"] == ["length"]
    page.reload()
    ready(page)
    assert player(page, "at") == pytest.approx(at)


def test_moments_are_a_key_or_a_menu_away(open_page: OpenPage) -> None:
    page = ready(open_page("/?surface=rosenbrock&o=adam(lr=0.1,bias_correction=False)&o=gd(lr=0.1)&step=0"))
    moments = sorted({mark["step"] for mark in player(page, "race.landmarks")})
    assert len(moments) >= 2  # the factor's peak, and gd's divergence
    for step in moments:
        page.keyboard.press("]")
        assert player(page, "step") == step
    page.keyboard.press("[")
    assert player(page, "step") == moments[-2]
    page.get_by_role("button", name="Go to a moment").click()
    page.get_by_role("menuitem", name="gradient descent diverges").click()
    assert player(page, "step") == player(page, "race.racers[1].diverged")


def test_one_can_zoom_in_and_back(open_page: OpenPage) -> None:
    page = ready(open_page("/?surface=himmelblau&o=adam(lr=0.1)&step=100"))
    whole = player(page, "view.bounds")
    box = page.locator("canvas.ink").bounding_box()
    assert box is not None
    before, drawn = map_picture(page), picture(page)
    x, y = 0.75, 0.25  # of the stage; the point under the pointer stays there
    page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    for _ in range(5):
        page.mouse.wheel(0, -100)
    page.wait_for_function(f"{PLAYER}.look.window !== null")
    settled(page)
    x0, x1, y0, y1 = player(page, "view.bounds")
    assert x1 - x0 < 0.6 * (whole[1] - whole[0])
    assert x0 + x * (x1 - x0) == pytest.approx(whole[0] + x * (whole[1] - whole[0]), abs=0.02)
    assert y1 - y * (y1 - y0) == pytest.approx(whole[3] - y * (whole[3] - whole[2]), abs=0.02)
    unit = box["width"] / (x1 - x0), box["height"] / (y1 - y0)
    assert unit[0] == pytest.approx(unit[1], rel=0.01)  # one scale for both axes
    assert map_picture(page) != before
    assert picture(page) != drawn
    assert [float(z) for z in address(page)["window"][0].split(",")] == pytest.approx(
        [x0, x1, y0, y1], rel=1e-4
    )
    # The start is placed where the pointer is, zoomed in as well; Shift and drag move the map.
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    settled(page)
    assert player(page, "race.start") == pytest.approx([(x0 + x1) / 2, (y0 + y1) / 2], abs=0.02)
    start = player(page, "race.start")
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 80, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    told(page)
    moved = player(page, "view.bounds")
    assert x0 - moved[0] == pytest.approx(80 * (x1 - x0) / box["width"], rel=0.1)
    assert player(page, "race.start") == start
    page.reload()
    ready(page)
    assert player(page, "view.bounds") == pytest.approx(moved, rel=1e-4)
    page.keyboard.press("0")
    page.wait_for_function(f"{PLAYER}.look.window === null")
    assert player(page, "view.bounds") == whole


def test_a_window_from_a_stage_of_another_shape_fills_this_one(open_page: OpenPage) -> None:
    page = ready(open_page("/?surface=himmelblau&o=adam(lr=0.1)&step=100&window=-2,2,-1,1"))
    page.wait_for_function(f"{PLAYER}.work.window?.values")
    settled(page)
    x0, x1, y0, y1 = player(page, "view.bounds")
    assert x0 <= -2 < 2 <= x1
    assert (y1 - y0) > 2.5  # this stage is no strip
    page.wait_for_function(
        f"""() => {{ const {{ work, view }} = {PLAYER}; const [x0, x1, y0, y1] = work.window.bounds;
        return x0 <= view.bounds[0] + 1e-6 && x1 >= view.bounds[1] - 1e-6
            && y0 <= view.bounds[2] + 1e-6 && y1 >= view.bounds[3] - 1e-6; }}"""
    )


def test_contour_lines_are_a_choice(open_page: OpenPage) -> None:
    page = ready(open_page("/?surface=rosenbrock&o=adam&step=0"))
    usual = map_picture(page)
    levels = page.get_by_label("Contour lines")
    levels.select_option("log 40")
    drawn(page)
    many = map_picture(page)
    levels.select_option("linear 16")
    drawn(page)
    even = map_picture(page)
    assert len({usual, many, even}) == 3
    found = address(page)
    assert (found["levels"], found["scale"]) == (["16"], ["linear"])
    levels.select_option("log 0")
    drawn(page)
    assert map_picture(page) == usual


def test_keys_do_what_they_say(open_page: OpenPage) -> None:
    page = ready(open_page("/?o=gd(lr=0.001)&o=adam(lr=0.1)&o=rmsprop&step=20"))
    page.keyboard.press("3")
    expect(page.get_by_role("tab", name="RMSprop")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("h")
    assert player(page, "look.off") == [2]
    assert not [label for label in player(page, "labels") if label["text"].startswith("RMSprop")]
    page.keyboard.press(">")
    page.keyboard.press("l")
    found = address(page)
    assert (found["off"], found["speed"], found["loop"]) == (["2"], ["2"], ["1"])
    page.keyboard.press("h")
    page.keyboard.press("+")
    page.wait_for_function(f"{PLAYER}.look.window !== null")
    x0, x1, *_ = player(page, "look.window")
    assert math.isfinite(x1 - x0)
    page.keyboard.press(",")
    assert player(page, "step") == 19


def test_walls_are_drawn(open_page: OpenPage) -> None:
    page = ready(open_page("/?surface=counterexample&o=amsgrad&step=5"))
    assert player(page, "race.surface.box") == [-1, 1, -1, 1]
    # The share of a level line's pixels that have ink: the wall is dashed, beside it there is nothing.
    inked = """(canvas, y) => {
        const { bounds: [x0, x1, y0, y1] } = window.__adamscope.player.view;
        const column = (x) => Math.round(((x - x0) / (x1 - x0)) * canvas.width);
        const row = Math.round(((y1 - y) / (y1 - y0)) * canvas.height);
        const [from, to] = [column(-0.95), column(-0.5)];
        const { data } = canvas.getContext("2d").getImageData(from, row - 1, to - from, 3);
        const inked = (k) => [0, 1, 2].some((line) => data[4 * (line * (to - from) + k) + 3] > 40);
        return Array.from({ length: to - from }, (_, k) => inked(k)).filter(Boolean).length / (to - from);
    }"""
    ink = page.locator("canvas.ink")
    assert 0.1 < ink.evaluate(inked, 1) < 0.8
    assert ink.evaluate(inked, 0.9) == 0
