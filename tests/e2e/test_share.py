"""Scenes, links that close some of the page, files to keep, and the help sheet."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from app.scenes import SCENES
from optimizers import race
from tests.e2e.test_playground import address, player, ready, settled, told

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]
STILL = "/?surface=himmelblau&o=adam(lr=0.1)&o=gd(lr=0.01)&steps=100&step=40"


def button(page: Page, name: str) -> None:
    page.locator(".bar").get_by_role("button", name=name).click()


def focused(page: Page, what: str) -> bool:
    return bool(
        page.evaluate(
            """(what) => { let at = document.activeElement;
            while (at.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
            return at.matches(what); }""",
            what,
        )
    )


def test_a_scene_opens_and_says_what_to_look_at(open_page: OpenPage) -> None:
    page = ready(open_page(STILL))
    button(page, "Scenes")
    expect(page.locator(".scene")).to_have_count(len(SCENES))
    scene = SCENES["two-over-l"]
    page.locator("[data-scene=ravine]").focus()
    page.keyboard.press("ArrowDown")
    assert focused(page, "[data-scene=two-over-l]")
    page.keyboard.press("Enter")
    page.wait_for_function("window.__adamscope.player.race.surface.name === 'quadratic'")
    expect(page.locator(".scene-caption")).to_have_text(scene.watch)
    expect(page.locator(".drop:popover-open")).to_have_count(0)
    page.wait_for_function("location.search.includes('scene=two-over-l')")
    page.keyboard.press("End")
    page.reload()
    expect(ready(page).locator(".scene-caption")).to_have_text(scene.watch)
    page.get_by_label("Surface", exact=True).select_option("booth")
    expect(page.locator(".scene-caption")).to_be_hidden()  # it was about another race
    page.wait_for_function("!location.search.includes('scene=')")


def test_back_returns_from_a_scene(open_page: OpenPage) -> None:
    page = ready(open_page(STILL))
    told(page)
    before = page.url
    button(page, "Scenes")
    page.locator("[data-scene=ravine]").click()
    page.wait_for_function("window.__adamscope.player.race.surface.name === 'quadratic'")
    page.go_back()
    page.wait_for_function("window.__adamscope.player.race.surface.name === 'himmelblau'")
    expect(page.locator(".scene-caption")).to_be_hidden()
    assert player(page, "step") == 40
    page.wait_for_function("(before) => location.href === before", arg=before)
    page.go_forward()
    page.wait_for_function("window.__adamscope.player.look.scene === 'ravine'")


def test_a_link_is_copied_at_one_press(open_page: OpenPage) -> None:
    page = ready(open_page(STILL))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button(page, "Share")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator(".share button").first).to_have_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.get_by_label("Link to this page").input_value()
    other = ready(open_page("/?" + urlsplit(link).query))
    assert player(other, "race.surface.name") == "himmelblau"
    assert player(other, "step") == 40


def test_a_teachers_link_hides_and_locks(open_page: OpenPage) -> None:
    page = ready(open_page(STILL))
    button(page, "Share")
    for part, state in {"Play and time": "locked", "Where the race starts": "locked"}.items():
        page.get_by_role("radiogroup", name=part).get_by_text(state).click()
    for part in "Charts", "Inside the step", "Scenes":
        page.get_by_role("radiogroup", name=part).get_by_text("hidden").click()
    link = page.get_by_label("Teacher's link").input_value()
    assert "hide=scenes,panel,charts" in link
    assert "lock=start,timeline" in link
    page.keyboard.press("Escape")
    assert player(page, "look.hide") == []  # the teacher's own page stays open
    wide = page.locator(".sheet").bounding_box()
    assert wide is not None

    page = ready(open_page("/?" + urlsplit(link).query))
    expect(page.locator(".scene-caption")).to_contain_text("Your teacher has set some of the controls.")
    stage = page.locator(".sheet").bounding_box()
    assert stage is not None
    assert stage["width"] > wide["width"] + 200  # the stage has taken the column's room
    expect(page.locator("section.inside")).to_be_hidden()
    expect(page.locator(".bar").get_by_role("button", name="Scenes")).to_be_hidden()
    expect(page.locator(".timeline .buttons")).to_have_js_property("inert", True)
    before = player(page, "step")
    page.keyboard.press("ArrowRight")
    page.mouse.click(stage["x"] + stage["width"] / 3, stage["y"] + stage["height"] / 3)
    settled(page)
    assert player(page, "step") == before
    assert player(page, "race.start") == [-0.5, -0.6]
    seen = set()
    for _ in range(40):  # round the whole page by Tab
        page.keyboard.press("Tab")
        seen |= {name for name in (".scrub", ".round", ".word", ".do") if focused(page, name)}
    assert seen == {".word"}
    page.locator(".scene-caption button").click()
    expect(page.locator(".scene-caption")).to_be_hidden()
    page.get_by_title("Zoom in (+)").click()  # what is open stays so, and the link stays closed
    page.wait_for_function("location.search.includes('window=')")
    assert address(page)["lock"] == ["start,timeline"]


def test_a_scene_does_not_open_what_a_teacher_closed(open_page: OpenPage) -> None:
    page = ready(open_page(f"{STILL}&lock=hyper&hide=charts"))
    button(page, "Scenes")
    page.locator("[data-scene=cliff]").click()
    page.wait_for_function("window.__adamscope.player.race.surface.name === 'cliff'")
    assert player(page, "look.lock") == ["hyper"]
    expect(page.locator(".charts")).to_be_hidden()


def test_the_race_is_kept_as_a_file(open_page: OpenPage) -> None:
    page = ready(open_page(STILL))
    button(page, "Export")
    with page.expect_download() as got:
        page.locator("[data-format=csv]").click()
    assert got.value.suggested_filename == "himmelblau-adam-gd.csv"
    with Path(got.value.path()).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 101
    assert float(rows[40]["x"]) == pytest.approx(
        player(page, "race.racers[0].value('theta', 40, 0)"), rel=1e-6
    )
    expect(page.locator(".making")).to_contain_text(re.compile(r"Saved as himmelblau-adam-gd.csv, \d+ kB"))
    # A film is long in the making: it says how far it is, and can be stopped.
    page.locator("[data-format=gif]").click()
    page.wait_for_function("window.__adamscope.player.work.export.done > 0")
    expect(page.locator(".bar").get_by_role("button", name="Export")).to_have_text(
        re.compile(r"Export \d+ %")
    )
    page.get_by_role("button", name="stop").click()
    expect(page.locator(".making [role=status]")).to_have_text("Stopped.")
    expect(page.locator("[data-format=gif]")).to_be_enabled()
    page.keyboard.press("Escape")
    expect(page.locator(".drop:popover-open")).to_have_count(0)


def test_the_page_without_python_saves_what_it_has(browser: Browser, tmp_path: Path) -> None:
    result = race(["adam(lr=0.1)", "gd(lr=0.5)"], "rosenbrock", steps=60)
    out = tmp_path / "race.html"
    out.write_text(result.to_html(), encoding="utf-8")
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.goto(out.as_uri())
    got = {}
    for what in "Picture", "Numbers":
        page.get_by_role("button", name="save").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=what).click()
        got[what] = download.value
    assert [got[what].suggested_filename for what in got] == [
        "rosenbrock-adam-gd.png",
        "rosenbrock-adam-gd.csv",
    ]
    with Image.open(got["Picture"].path()) as picture:
        assert picture.width > 600
        assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 100  # a map, and paths on it
    with Path(got["Numbers"].path()).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    context.close()
    adam, gd = result
    assert len(rows) == 61 + (gd.diverged or 0)  # what has diverged has no more points
    assert rows[20]["racer"] == "adam(lr=0.1)"
    assert float(rows[20]["loss"]) == pytest.approx(adam.loss[20], rel=1e-6)


def test_the_help_sheet_names_every_key(open_page: OpenPage) -> None:
    page = ready(open_page(STILL))
    help_button = page.get_by_role("button", name="Help")
    help_button.focus()
    page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="How to use it")
    expect(sheet).to_be_visible()
    keys = Path("optimizers/player/keys.js").read_text("utf-8")
    for said in re.findall(r'says: "([^"]+)"', keys):
        expect(sheet.get_by_role("cell", name=said, exact=True)).to_be_visible()
    for _ in range(3):  # the focus stays in it, or goes to the browser's own controls
        page.keyboard.press("Tab")
        assert focused(page, "dialog *, body")
    page.keyboard.press("ArrowRight")
    assert player(page, "step") == 40  # its keys are its own
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    assert focused(page, "[aria-label=Help]")


def test_the_bar_leaves_the_navigation_free(open_page: OpenPage) -> None:
    page = ready(open_page(STILL))
    for width in 390, 820, 1280:
        page.set_viewport_size({"width": width, "height": 800})
        first = page.locator(".bar .word").first.bounding_box()
        last = page.locator(".bar .word").last.bounding_box()
        assert first is not None
        assert last is not None
        assert last["x"] + last["width"] <= width
        ends = [
            link.bounding_box() for link in page.get_by_test_id("stTopNavLink").all() if link.is_visible()
        ]
        for end in [*ends, page.get_by_test_id("stHeaderLogo").bounding_box()]:
            assert end is not None
            assert end["x"] + end["width"] <= first["x"]
        for name in "Scenes", "Share", "Export":
            button(page, name)
            drop = page.locator(".drop:popover-open").bounding_box()
            assert drop is not None
            assert drop["x"] >= 0
            assert drop["x"] + drop["width"] <= width
            assert drop["y"] + drop["height"] <= 800
            page.keyboard.press("Escape")
    page.set_viewport_size({"width": 390, "height": 800})  # here the navigation is a sheet over the page
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_test_id("stSidebarCollapseButton").get_by_role("button").click()
    expect(page.get_by_test_id("stSidebarNavLink").first).not_to_be_in_viewport()
