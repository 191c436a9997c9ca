"""The left column in a real browser: surfaces and one's own formula, racers, and what they walk under."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from optimizers import SURFACES
from tests.e2e.test_playground import PLAYER, player, ready

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]

LABELS = "race.racers.map(r => r.label)"
TWO = "/?o=momentum(lr=0.001)&o=adam(lr=0.1)&step=40&racer=1"
EIGHT = ("gd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adam(bias_correction=False)", "lion")


def settled(page: Page) -> None:
    """Wait until no request is under way."""
    page.wait_for_function(f"{PLAYER}.idle")


def says(page: Page, name: str, value: str | None) -> None:
    """Wait until the address has such a part, or none of that name."""
    page.wait_for_function(
        "([name, value]) => new URLSearchParams(location.search).get(name) === value", arg=[name, value]
    )


def overflow(page: Page) -> int:
    """By how many px the left column is higher than what is seen of it."""
    return page.locator("section.question").evaluate("e => e.scrollHeight - e.clientHeight")


def menu(page: Page, racer: str, item: str) -> None:
    page.get_by_role("button", name=f"More for {racer}", exact=True).click()
    page.get_by_role("menuitem", name=item).click()


def test_a_finger_finds_what_it_presses(open_page: OpenPage) -> None:
    page = ready(open_page(TWO, viewport={"width": 820, "height": 1180}, has_touch=True, is_mobile=True))
    pressed = page.locator(".question :is(button, input), .toolbar :is(button, select), .bar .word")
    heights = pressed.evaluate_all("all => all.map(e => e.getBoundingClientRect().height).filter(h => h)")
    assert len(heights) > 15
    assert min(heights) >= 24


def test_every_surface_stands_under_its_group(open_page: OpenPage) -> None:
    page = ready(open_page(TWO))
    groups = page.get_by_label("Surface", exact=True).evaluate(
        "s => [...s.querySelectorAll('optgroup')].map(g => [g.label, [...g.children].map(o => o.value)])"
    )
    offered = {name: label for label, names in groups for name in names}
    assert offered == {name: entry.group for name, entry in SURFACES.items()}


def test_ones_own_formula_is_tried_as_one_types(open_page: OpenPage) -> None:
    page = ready(open_page(TWO + "&start=-1.5,2"))
    before = player(page, "race.racers[1].loss[40]")
    surface, field = page.get_by_label("Surface", exact=True), page.get_by_label("Your own f(x, y)")
    said = page.locator(".said")
    expect(field).to_be_hidden()
    surface.select_option("formula")
    page.wait_for_function(f"{PLAYER}.race.surface.name === 'formula'")  # at once: the present surface's
    expect(field).to_have_value(SURFACES["rosenbrock"].formula)
    assert player(page, "race.start") == [-1.5, 2]
    assert player(page, "race.racers[1].loss[40]") == pytest.approx(before, rel=1e-3)
    assert player(page, "race.surface.bounds")[1] == 2.8  # and about as much of the plane

    field.press("End")
    field.press_sequentially(" + x*(y")  # no key says that it is finished
    expect(said).to_contain_text("lacks a closing bracket")
    expect(page.locator(".notice")).to_have_text("")  # it is said where one types, and nowhere else
    expect(field).to_have_value(SURFACES["rosenbrock"].formula + " + x*(y")
    expect(surface).to_have_value("formula")
    assert player(page, "race.surface.f") == "(1-x)**2 + 100*(y-x**2)**2"  # the last good one races on
    slider = page.get_by_role("slider", name="lr of momentum", exact=True)
    slider.press("ArrowRight")
    settled(page)
    expect(said).to_contain_text("lacks a closing bracket")  # it still does

    field.press("End")
    field.press_sequentially(")")
    page.wait_for_function(f"{PLAYER}.race.surface.f.endsWith('x*(y)')")
    expect(said).to_have_text("")
    expect(field).to_have_value(SURFACES["rosenbrock"].formula + " + x*(y)")
    says(page, "surface", 'formula("(1-x)**2+100*(y-x**2)**2+x*(y)",reach=2.8)')
    field.fill('x"')
    expect(said).to_contain_text("in it, but a formula takes numbers")
    field.fill("")
    expect(said).to_contain_text("The formula is empty")

    surface.select_option("himmelblau")
    page.wait_for_function(f"{PLAYER}.race.surface.name === 'himmelblau'")
    expect(field).to_be_hidden()
    settled(page)
    assert player(page, "notices") == []


def test_a_link_opens_with_its_formula(open_page: OpenPage) -> None:
    page = ready(open_page('/?surface=formula("x**2%2B3*y**2")&o=adam(lr=0.1)&step=10'))
    field = page.get_by_label("Your own f(x, y)")
    expect(field).to_have_value("x**2 + 3*y**2")
    page.get_by_role("slider", name="reach of x**2 + 3*y**2").press("ArrowRight")
    settled(page)
    assert player(page, "race.surface.bounds")[1] > 5
    expect(field).to_have_value("x**2 + 3*y**2")


def test_a_racer_is_named_hidden_shown_alone_and_removed(open_page: OpenPage) -> None:
    page = ready(open_page(TWO + "&o=lion"))
    menu(page, "Adam", "Rename")
    page.keyboard.type("the hero of this long and winding tale")
    page.keyboard.press("Enter")
    settled(page)
    assert player(page, LABELS) == ["momentum", "the hero of this long an", "Lion"]
    says(page, "names", ",the hero of this long an")
    page.keyboard.press("F2")  # the focus is back on the name
    page.keyboard.press("Delete")
    page.keyboard.press("Enter")
    settled(page)
    assert player(page, LABELS) == ["momentum", "Adam", "Lion"]

    momentum = page.locator(".racer").first
    momentum.hover()
    page.get_by_role("button", name="Hide momentum").click()
    expect(momentum).to_have_class("racer unseen")
    menu(page, "Lion", "Show only this one")
    says(page, "off", "0,1")
    menu(page, "Lion", "Show all")
    menu(page, "Lion", "Hide")
    assert player(page, "look.off") == [2]
    name = momentum.locator(".name")
    name.focus()
    page.keyboard.press("Delete")
    settled(page)
    assert player(page, LABELS) == ["Adam", "Lion"]
    assert player(page, "look.off") == [1]  # Lion's still
    page.get_by_role("button", name="bring back momentum").click()
    settled(page)
    assert player(page, LABELS) == ["momentum", "Adam", "Lion"]
    assert player(page, "race.racers[0].hyper[0].value") == 0.001
    assert player(page, "look.off") == [2]
    menu(page, "momentum", "Back to defaults")
    menu(page, "Adam", "Duplicate")
    settled(page)
    assert player(page, "race.racers.map(r => r.notation)")[:3] == [
        "momentum",
        "adam(lr=0.1)",
        "adam(lr=0.1)",
    ]


def test_a_racer_stands_beside_its_twin(open_page: OpenPage) -> None:
    page = ready(open_page(TWO))
    notations = "race.racers.map(r => r.notation)"
    twins = page.get_by_role("group", name="Adam beside its twin")
    for word, correction in (
        ("m only", "first"),
        ("v only", "second"),
        ("with / without correction", "False"),
    ):
        twin = twins.get_by_role("button", name=word)
        twin.click()
        settled(page)
        assert player(page, notations)[1:] == ["adam(lr=0.1)", f"adam(lr=0.1, bias_correction={correction})"]
        expect(twin).to_have_attribute("aria-pressed", "true")
        twin.click()
        settled(page)
        assert player(page, notations)[1:] == ["adam(lr=0.1)"]
        expect(twin).to_have_attribute("aria-pressed", "false")
    page.locator(".racer .name").first.click()
    expect(page.locator(".racer.chosen")).to_contain_text("momentum")
    expect(page.locator(".racer.chosen")).not_to_contain_text("its twin")


def test_an_arrow_moves_a_slider_by_one_value(open_page: OpenPage) -> None:
    page = ready(open_page("/?surface=quadratic&o=adam&step=0&schedule=warmup"))
    angle = page.get_by_role("slider", name="angle of Quadratic")
    for expected in (1, 2):
        angle.press("ArrowRight")
        settled(page)
        assert player(page, "race.surface.hyper[1].value") == expected
    page.locator("button.summary").click()
    over = page.get_by_role("slider", name="total_iters of warm-up")
    over.press("ArrowRight")
    settled(page)
    assert player(page, "race.conditions.schedule") == "warmup(total_iters=6)"


def test_conditions_are_said_in_a_line_and_changed_in_place(open_page: OpenPage) -> None:
    page = ready(open_page("/?step=96"))
    summary = page.locator("button.summary")
    expect(summary).to_have_text("lr constant · no clipping · no noise")
    summary.click()
    expect(page.locator(".racer .slider")).to_have_count(0)  # they make room
    page.get_by_label("Schedule of the learning rate").select_option("warmup")
    settled(page)
    page.get_by_label("then", exact=True).select_option("cosine")
    says(page, "schedule", "warmup+cosine")
    number = page.get_by_label("total_iters of warm-up, as a number")
    number.fill("100")
    number.press("Enter")
    settled(page)
    assert player(page, "race.factors[50]") == pytest.approx(2 / 3, abs=1e-6)
    expect(page.locator(".lr-factor")).to_have_text("step 96: lr × 0.9733")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Seed of noise and batches")).to_have_count(0)
    page.get_by_role("slider", name="noise of the race").press("End")
    settled(page)  # with noise there is a seed: the rows are made anew
    norm = page.get_by_label("clip_norm of the race, as a number")
    expect(norm).to_have_value("off")
    norm.fill("5")
    norm.press("Enter")
    settled(page)
    assert player(page, "race.conditions") | {"parts": []} == {
        "schedule": "warmup(total_iters=100)+cosine",
        "parts": [],
        "clip_norm": 5,
        "clip_value": None,
        "noise": 100,
        "batch_size": None,
        "usual_batch": None,
        "seed": 0,
        "rows": None,
        "cyclic": False,
    }
    loss = player(page, "race.racers[2].loss[90]")
    page.get_by_role("button", name="another seed").click()
    settled(page)
    assert player(page, "race.conditions.seed") > 0
    assert player(page, "race.racers[2].loss[90]") != loss
    cloud = page.get_by_role("button", name="50 noisy paths")
    cloud.click()
    expect(cloud).to_have_attribute("aria-pressed", "true")
    assert overflow(page) == 0
    norm.fill("off")
    norm.press("Enter")
    says(page, "show", "cloud")
    says(page, "clip_norm", None)
    page.locator(".racer .name").first.click()  # a racer opens again, and they close
    expect(summary).to_have_text("lr warm-up, then cosine · no clipping · noise 100")
    expect(page.locator(".racer.chosen .slider")).not_to_have_count(0)


def test_batches_where_there_are_data(open_page: OpenPage) -> None:
    page = ready(open_page("/?surface=logistic&o=adam(lr=0.1)&step=10"))
    page.locator("button.summary").click()
    number = page.get_by_label("batch_size of the race, as a number")
    expect(number).to_have_value("23")
    expect(page.get_by_role("button", name="another seed")).to_have_count(0)
    page.get_by_role("slider", name="batch_size of the race").press("ArrowLeft")
    settled(page)
    assert player(page, "race.conditions.batch_size") == 22
    expect(page.get_by_role("button", name="another seed")).to_be_visible()
    page.locator("button.summary").click()
    expect(page.locator("button.summary")).to_have_text("lr constant · no clipping · batches of 22")


@pytest.mark.parametrize(
    "link",
    [
        "/?surface=quadratic&step=9",
        "/?surface=logistic&step=9&noise=1&batch_size=2&schedule=warmup(total_iters=50)%2Bone_cycle",
        "/?step=9&racer=5&" + "&".join(f"o={racer}" for racer in EIGHT),
    ],
)
def test_the_column_fits_the_window(open_page: OpenPage, link: str) -> None:
    page = ready(open_page(link))
    assert overflow(page) == 0
    page.locator("button.summary").click()
    expect(page.locator(".conditions .body")).to_be_visible()
    assert overflow(page) == 0
    assert page.locator("section.question").evaluate("e => e.scrollWidth <= e.clientWidth")
    page.locator("button.summary").click()
    page.set_viewport_size({"width": 1920, "height": 1080})
    expect(page.locator("section.question")).to_have_class("question")  # where there is room all is shown
    assert overflow(page) == 0
