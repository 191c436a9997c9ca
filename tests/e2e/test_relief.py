"""The relief: the surface in three dimensions, under the hand and in step with time."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from optimizers import race
from tests.e2e.test_playground import PLAYER, address, drawn, middle, player, ready, told

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]

EIGHT = "&o=".join(
    (
        "/?surface=rosenbrock&steps=2000&speed=8&loop=1&stage=relief",
        "gd(lr=0.0005)",
        "momentum(lr=0.0008)",
        "nesterov(lr=0.0008)",
        "adagrad(lr=0.3)",
        "rmsprop(lr=0.02)",
        "adam(lr=0.1)",
        "adam(lr=0.1,bias_correction=False)",
        "lion(lr=0.02)",
    )
)

# How many pixels of the relief's own canvas are not paper, and how many have the colour of a racer.
PIXELS = """(canvas) => {
    const copy = document.createElement("canvas");
    Object.assign(copy, { width: canvas.width, height: canvas.height });
    const context = copy.getContext("2d");
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, copy.width, copy.height);
    let [drawn, colored] = [0, 0];
    for (let k = 0; k < data.length; k += 4) {
        const [r, g, b] = [data[k], data[k + 1], data[k + 2]];
        if (Math.abs(r - data[0]) + Math.abs(g - data[1]) + Math.abs(b - data[2]) > 12) drawn += 1;
        if (Math.max(r, g, b) - Math.min(r, g, b) > 90) colored += 1;
    }
    return { drawn: drawn / (data.length / 4), colored };
}"""


# A hand that turns it for a second, a move at each frame.
TURN = """(canvas) => new Promise((done) => {
    const began = performance.now();
    const send = (type, way) => canvas.dispatchEvent(new PointerEvent(type,
        { clientX: way, clientY: way / 5, pointerId: 1, button: 0, bubbles: true }));
    canvas.setPointerCapture = () => {}; // no such pointer
    send("pointerdown", 0);
    (function move() {
        const spent = performance.now() - began;
        send(spent < 1000 ? "pointermove" : "pointerup", spent / 10);
        if (spent < 1000) requestAnimationFrame(move);
        else done();
    })();
})"""


def relief(page: Page) -> Locator:
    return page.locator(".relief canvas.ground")


def pixels(page: Page) -> Any:
    return relief(page).evaluate(PIXELS)


def picture(page: Page) -> str:
    return str(relief(page).evaluate("canvas => canvas.toDataURL()"))


def test_the_surface_stands_up_and_lies_down_again(open_page: OpenPage) -> None:
    page = ready(open_page("/?o=adam(lr=0.1)&o=momentum(lr=0.0008)&step=300"))
    page.get_by_role("button", name="3-D").click()
    picture_of = page.get_by_role("img", name=re.compile("^Relief of the Rosenbrock surface.* Adam"))
    picture_of.wait_for()
    drawn(page)
    seen = pixels(page)
    assert seen["drawn"] > 0.25
    assert seen["colored"] > 200  # the paths
    assert {label["key"] for label in player(page, "labels")} >= {0, 1}
    assert address(page)["stage"] == ["relief"]
    page.keyboard.press("d")
    expect(page.locator("canvas.map")).to_be_visible()
    assert page.locator(".relief").count() == 0
    page.keyboard.press("d")
    drawn(page)
    assert pixels(page) == seen
    page.get_by_label("Contour lines").select_option("linear 10")
    drawn(page)
    assert pixels(page)["colored"] > 200  # the paths lie on the other form


def test_it_turns_by_hand_and_by_keys_and_the_address_keeps_it(open_page: OpenPage) -> None:
    page = ready(open_page("/?surface=himmelblau&o=adam(lr=0.1)&step=100&stage=relief&camera=20,40"))
    assert player(page, "look.camera") == [20, 40]
    before = picture(page)
    x, y = middle(relief(page))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 50, y + 25, steps=3)
    page.mouse.up()
    assert player(page, "look.camera") == [40, 50]
    page.wait_for_function(f"{PLAYER}.view.camera[0] === 40")
    assert picture(page) != before

    page.locator(".relief canvas.ink").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert player(page, "look.camera") == [45, 55]
    for _ in range(10):
        page.keyboard.press("Shift+ArrowDown")
    assert player(page, "look.camera") == [45, 5]  # never under the surface
    assert player(page, "step") == 100  # the arrows turned it and did not move time
    assert [float(angle) for angle in address(page)["camera"][0].split(",")] == [45, 5]
    page.reload()
    ready(page)
    assert player(page, "look.camera") == [45, 5]
    page.locator(".relief canvas.ink").focus()
    page.keyboard.press("Home")
    assert player(page, "look.camera") == [335, 48]


def test_it_plays_in_step(open_page: OpenPage) -> None:
    page = ready(open_page("/?o=adam(lr=0.1)&step=5&stage=relief&camera=350,60"))
    told(page)  # fonts have come, and the stage has its size
    start = pixels(page)["colored"]
    for _ in range(25):
        page.keyboard.press(".")
    page.wait_for_function(f"{PLAYER}.at[0] === 30")
    drawn(page)
    grown = pixels(page)["colored"]
    assert grown > start + 50
    # What grew step by step is the same as what is drawn at once.
    hand = page.locator(".relief canvas.ink")
    hand.press("ArrowLeft")
    drawn(page)
    hand.press("ArrowRight")
    drawn(page)
    assert player(page, "view.camera") == [350, 60]
    assert pixels(page)["colored"] == pytest.approx(grown, rel=0.02)
    hand.evaluate("canvas => canvas.blur()")
    for _ in range(25):
        page.keyboard.press(",")
    page.wait_for_function(f"{PLAYER}.at[0] === 5")
    drawn(page)
    assert pixels(page)["colored"] == pytest.approx(start, rel=0.02)  # and back


def test_without_webgl_it_says_so(open_page: OpenPage) -> None:
    page = ready(open_page("/?o=adam(lr=0.1)&step=5"))
    page.evaluate(
        """() => {
            const real = HTMLCanvasElement.prototype.getContext;
            HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
                return kind === "webgl2" ? null : real.call(this, kind, ...rest);
            };
        }"""
    )
    page.get_by_role("button", name="3-D").click()
    expect(page.get_by_text("WebGL 2 is missing")).to_be_visible()
    page.get_by_role("button", name="3-D").click()
    expect(page.locator("canvas.map")).to_be_visible()


def test_the_file_has_it_as_well(browser: Browser, tmp_path: Path) -> None:
    out = tmp_path / "race.html"
    out.write_text(race(["adam(lr=0.1)", "gd(lr=0.5)"], "rosenbrock", steps=60).to_html(), encoding="utf-8")
    context = browser.new_context(
        offline=True, reduced_motion="reduce", viewport={"width": 1280, "height": 720}
    )
    page = context.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(out.as_uri())
    ready(page)
    page.get_by_role("button", name="3-D").click()
    drawn(page)
    assert pixels(page)["drawn"] > 0.2
    context.close()
    assert complaints == []


@pytest.mark.measures
def test_it_is_smooth_while_it_plays_and_turns(open_page: OpenPage) -> None:
    page = ready(open_page(EIGHT))
    page.wait_for_timeout(300)

    def rate(page: Page, turning: bool) -> float:
        frames, began = page.evaluate(f"[{PLAYER}.frames, performance.now()]")
        if turning:
            page.locator(".relief canvas.ink").evaluate(TURN)
        else:
            page.wait_for_timeout(1000)
        later, ended = page.evaluate(f"[{PLAYER}.frames, performance.now()]")
        return float((later - frames) / (ended - began) * 1000)

    rates = [rate(page, turning=False) for _ in range(2)]  # the better one: a busy machine disturbs one
    assert player(page, "playing")
    assert max(rates) >= 50, rates
    usual = player(page, "look.camera")
    rates = [rate(page, turning=True) for _ in range(3)]
    assert player(page, "playing")
    assert player(page, "look.camera") != usual
    assert max(rates) >= 50, rates
