"""Maps as a learner meets them: under the paths, beside them, pressed and dragged."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from tests.e2e.test_playground import PLAYER, drawn, player

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]

QUERY = "/?surface=himmelblau&o=adam(lr=0.1)&o=rmsprop(lr=0.02)&racer=0&steps=100&step=60"


def ready(page: Page, kind: str) -> Page:
    """Wait until a kind of work is finished."""
    page.wait_for_function(
        f"window.__adamscope?.player?.work['{kind}']?.values && !{PLAYER}.work['{kind}'].pending"
    )
    return page


def tint(page: Page, x: float, y: float) -> list[int]:
    """Red, green, blue and opacity of the basin layer at a point of the plane."""
    return page.evaluate(
        f"""([x, y]) => {{
            const {{ bounds: [x0, x1, y0, y1] }} = {PLAYER}.view;
            const find = (root) => root.querySelector("canvas.basin") ??
                [...root.querySelectorAll("*")].map((e) => e.shadowRoot && find(e.shadowRoot)).find(Boolean);
            const canvas = find(document);
            const at = [((x - x0) / (x1 - x0)) * canvas.width, ((y1 - y) / (y1 - y0)) * canvas.height];
            return [...canvas.getContext("2d").getImageData(...at.map(Math.round), 1, 1).data];
        }}""",
        [x, y],
    )


def test_the_basin_map_lies_under_the_paths_and_follows_a_slider(open_page: OpenPage) -> None:
    page = ready(open_page(f"{QUERY}&show=basin"), "basin")
    drawn(page)
    minima = player(page, "race.surface.minima")
    colors = [tint(page, x, y) for x, y in minima]
    assert len({tuple(color[:3]) for color in colors}) == 4  # each minimum has a tint of its own
    assert all(20 < color[3] < 160 for color in colors)  # through which the contour lines are seen
    key = page.locator(".basin-key")
    assert key.inner_text().split()[:2] == ["Adam", "ends:"]
    assert key.inner_text().count("%") >= 4

    slider = page.get_by_role("slider", name="lr of Adam", exact=True)
    box = slider.bounding_box()
    assert box is not None
    x, y = box["x"] + 0.7 * box["width"], box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    first = player(page, "work.basin.racer")
    for k in range(1, 4):  # under the moving hand, not only at its release
        page.mouse.move(x - 8 * k, y)
        page.wait_for_function(f"{PLAYER}.work.basin.racer !== {first!r}")
        first = player(page, "work.basin.racer")
    page.mouse.up()
    page.wait_for_function(
        f"{PLAYER}.idle && !{PLAYER}.work.basin.pending && "
        f"{PLAYER}.work.basin.racer === {PLAYER}.race.racers[0].notation"
    )
    assert player(page, "work.basin.size") == 256
    # Another racer has a map of its own; without the tool there is none.
    page.get_by_role("tab", name="RMSprop").click()
    page.wait_for_function(f"{PLAYER}.work.basin.values && {PLAYER}.work.basin.racer.startsWith('rmsprop')")
    page.get_by_role("button", name="basin map").click()
    page.wait_for_function(f"!{PLAYER}.look.show.includes('basin')")
    drawn(page)
    assert tint(page, *minima[0])[3] == 0
    assert key.inner_text() == ""


def cell(page: Page, row: int, column: int) -> tuple[float, float]:
    """Where a cell of the sweep map is on the page."""
    box = page.locator("canvas.cells").bounding_box()
    assert box is not None
    columns, rows = player(page, "work.sweep.x.values.length"), player(page, "work.sweep.y.values.length")
    left, top, right, bottom = 44, 6, 10, 34  # the map's margins
    x = box["x"] + left + (column + 0.5) / columns * (box["width"] - left - right)
    y = box["y"] + box["height"] - bottom - (row + 0.5) / rows * (box["height"] - top - bottom)
    return x, y


def values(page: Page) -> tuple[float, float]:
    lr, beta1 = player(page, "race.racers[0].hyper.slice(0, 2).map((hyper) => hyper.value)")
    return lr, beta1


def raced(page: Page, row: int, column: int) -> None:
    """Wait until the race is the cell's."""
    page.wait_for_function(
        f"""() => {{
            const {{ x, y }} = {PLAYER}.work.sweep;
            const [lr, beta1] = {PLAYER}.race.racers[0].hyper;
            return lr.value === x.values[{column}] && beta1.value === y.values[{row}];
        }}"""
    )


def test_a_cell_pressed_is_the_race_that_plays_and_a_drag_is_followed(open_page: OpenPage) -> None:
    page = ready(open_page(f"{QUERY}&panel=sweep"), "sweep")
    said = page.locator(".panel.sweep .sentence").inner_text()
    assert "pairs diverge" in said or "No pair diverges" in said
    page.mouse.click(*cell(page, 8, 30))
    raced(page, 8, 30)
    assert player(page, "race.racers[0].loss[100]") == player(page, "work.sweep.values[8 * 48 + 30]")
    page.wait_for_function(f"{PLAYER}.playing")  # it plays, from its start
    page.wait_for_function(f"{PLAYER}.idle")
    kept = player(page, "work.sweep.id")

    page.mouse.move(*cell(page, 8, 30))
    page.mouse.down()
    for row, column in ((10, 32), (12, 34), (14, 36)):
        page.mouse.move(*cell(page, row, column))
        raced(page, row, column)  # while the hand still holds
    assert not page.evaluate(f"location.search.includes({str(values(page)[0])!r})")
    page.mouse.up()
    page.wait_for_function(f"location.search.includes({str(values(page)[0])!r})")
    assert player(page, "work.sweep.id") == kept  # where one stands on it changes no cell

    page.locator("canvas.cells").focus()
    page.keyboard.press("ArrowRight")
    raced(page, 14, 37)
    page.keyboard.press("Shift+ArrowDown")
    raced(page, 9, 37)
    assert "arrive" in page.locator(".panel.sweep .cell").inner_text()

    page.get_by_label("Up: the hyperparameter").select_option("beta2")
    page.wait_for_function(f"{PLAYER}.work.sweep.values && {PLAYER}.work.sweep.y.name === 'beta2'")
    page.get_by_label("Across: the hyperparameter").select_option(
        "beta2"
    )  # taken already: they change places
    sweep = f"{PLAYER}.work.sweep"
    page.wait_for_function(f"{sweep}.values && {sweep}.x.name === 'beta2' && {sweep}.y.name === 'lr'")
    page.wait_for_function("decodeURIComponent(location.search).includes('sweep=beta2,lr')")


def test_fifty_noisy_paths_grow_in_step_with_time(open_page: OpenPage) -> None:
    page = ready(open_page(f"{QUERY}&noise=2&show=cloud"), "cloud")
    assert player(page, "work.cloud.paths") == 50
    assert player(page, "work.cloud.values.length") == 50 * 101 * 2
    drawn(page)
    picture = "canvas => canvas.toDataURL()"
    ink = page.locator("canvas.ink")
    whole = ink.evaluate(picture)
    page.get_by_role("button", name="cloud").click()
    drawn(page)
    assert ink.evaluate(picture) != whole
    # Another noise is another cloud.
    before = player(page, "work.cloud.id")
    page.get_by_role("button", name="cloud").click()
    page.wait_for_function(f"{PLAYER}.work.cloud.id === {before!r} && {PLAYER}.idle")
    page.get_by_role("tab", name="RMSprop").click()
    page.wait_for_function(f"{PLAYER}.work.cloud.racer?.startsWith('rmsprop')")


def test_a_zoomed_map_has_a_lattice_and_basins_of_its_own(open_page: OpenPage) -> None:
    page = ready(open_page(f"{QUERY}&show=basin&window=-0.8,0.8,-1.4,0.2"), "window")
    ready(page, "basin")
    assert player(page, "work.window.window") == [-0.8, 0.8, -1.4, 0.2]
    bounds, view = player(page, "work.window.bounds"), player(page, "view.bounds")
    assert bounds[0] <= view[0] < view[1] <= bounds[1]  # nothing on the stage is guessed
    assert bounds[2] <= view[2] < view[3] <= bounds[3]
    assert player(page, "work.basin.bounds")[2:] == [-1.4, 0.2]
