"""One shared test for every surface: its minima are minima, its gradient is the gradient.

What the line below a surface tells one to watch is asserted too.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizers import CONVERGED, SURFACES, Surface, simulate

QUADRATICS = [name for name, entry in SURFACES.items() if "angle" in {h.name for h in entry.hyperparameters}]
NOTATIONS = [
    *SURFACES,
    *(f"{name}(condition=100, angle=37)" for name in QUADRATICS),
    *(f"{name}(condition=1, angle=-90)" for name in QUADRATICS),
]


@pytest.mark.parametrize("notation", NOTATIONS)
def test_minima(notation: str) -> None:
    surface = Surface.parse(notation)
    entry = surface.entry
    (x0, x1), (y0, y1) = entry.box or entry.bounds
    random = np.random.default_rng(0)
    x, y = random.uniform(x0, x1, 10_000), random.uniform(y0, y1, 10_000)
    for minimum in entry.minima:
        around = np.abs(surface.value(x, y) - entry.lowest).max(), np.abs(surface.gradient(x, y)).max()
        assert abs(surface.value(*minimum) - entry.lowest) < 1e-14 * around[0]
        assert np.all(surface.value(x, y) > surface.value(*minimum))
        for at, slope, (low, high), (left, right) in zip(
            minimum, surface.gradient(*minimum), entry.box or entry.bounds, entry.bounds, strict=True
        ):
            assert left < at < right
            if entry.box and at in (low, high):  # held by the edge of its box
                assert slope > 0 if at == low else slope < 0
            else:
                assert abs(slope) < 1e-14 * around[1]
    if not entry.minima:
        assert entry.lowest == -np.inf
        angle = np.linspace(0, 2 * np.pi, 100)  # somewhere it goes down for ever
        assert surface.value(1e9 * np.cos(angle), 1e9 * np.sin(angle)).min() < -1e9


@pytest.mark.parametrize("notation", NOTATIONS)
def test_gradient_against_finite_differences(notation: str) -> None:
    surface = Surface.parse(notation)
    (x0, x1), (y0, y1) = surface.entry.bounds
    random = np.random.default_rng(1)
    x, y = random.uniform(x0, x1, 500), random.uniform(y0, y1, 500)
    h = 1e-4  # central differences of fourth order: the error is about h⁴ plus 1e-16/h
    f = surface.value
    numeric = np.stack(
        [
            (8 * (f(x + h, y) - f(x - h, y)) - (f(x + 2 * h, y) - f(x - 2 * h, y))) / (12 * h),
            (8 * (f(x, y + h) - f(x, y - h)) - (f(x, y + 2 * h) - f(x, y - 2 * h))) / (12 * h),
        ],
        axis=-1,
    )
    exact = surface.gradient(x, y)
    assert np.abs(numeric - exact).max() < 1e-8 * np.abs(exact).max()


@pytest.mark.parametrize("name", SURFACES)
def test_stationary_points_and_start(name: str) -> None:
    surface = Surface.parse(name)
    entry = surface.entry
    for x, y in entry.saddles:
        assert np.abs(surface.gradient(x, y)).max() < 1e-12
        angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
        around = surface.value(x + 0.1 * np.cos(angle), y + 0.1 * np.sin(angle)) - surface.value(x, y)
        assert around.min() < 0 < around.max()
    (x0, x1), (y0, y1) = entry.bounds
    assert x0 < entry.start[0] < x1
    assert y0 < entry.start[1] < y1
    assert np.hypot(*surface.gradient(*entry.start)) > 5e-5  # small on the plateau, which is its point
    assert entry.watch.endswith((".", "?"))
    assert entry.citation


@given(
    name=st.sampled_from(QUADRATICS),
    angle=st.floats(-180, 180),
    condition=st.floats(1, 1e4),
    away=st.tuples(st.floats(-3, 3), st.floats(-3, 3)),
)
@settings(max_examples=100, deadline=None)
def test_a_turned_quadratic_is_the_same_surface(
    name: str, angle: float, condition: float, away: tuple[float, float]
) -> None:
    turned = Surface.parse(f"{name}(condition={condition!r}, angle={angle!r})")
    straight = Surface.parse(f"{name}(condition={condition!r}, angle=0)")
    x, y = (*turned.entry.minima, *turned.entry.saddles)[0]
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    u, w = away
    assert turned.value(x + c * u - s * w, y + s * u + c * w) == pytest.approx(
        straight.value(x + u, y + w), rel=1e-9, abs=1e-9
    )


@pytest.mark.parametrize("name", QUADRATICS)
@pytest.mark.parametrize("condition", [1.0, 7.0, 3000.0])
def test_condition_is_the_ratio_of_the_curvatures(name: str, condition: float) -> None:
    surface = Surface.parse(f"{name}(condition={condition}, angle=25)")
    hessian = surface.gradient([1.0, 0.0], [0.0, 1.0]) - surface.gradient(0.0, 0.0)
    sizes = np.sort(np.abs(np.linalg.eigvals(hessian)))
    assert sizes[1] / sizes[0] == pytest.approx(condition)


@pytest.mark.parametrize("notation", NOTATIONS)
def test_compiled_equals_the_source_one_reads(notation: str) -> None:
    surface = Surface.parse(notation)
    entry = surface.entry
    random = np.random.default_rng(2)
    rows = [] if entry.rows is None else [entry.rows.values.ravel().tolist()]
    for x, y in random.uniform(*np.transpose(entry.bounds), (20, 2)).tolist():
        f, *gradient = entry.function(x, y, *surface.values.values(), *rows)
        assert surface.value(x, y) == pytest.approx(f, rel=1e-13, abs=1e-13)
        assert surface.gradient(x, y) == pytest.approx(gradient, rel=1e-12, abs=1e-12)


def test_booth_is_booths() -> None:
    x, y = np.random.default_rng(3).uniform(-10, 10, (2, 100))
    booth = (x + 2 * y - 7) ** 2 + (2 * x + y - 5) ** 2
    assert Surface.parse("booth").value(x, y) == pytest.approx(booth, rel=1e-13)


def test_ackley_is_level_at_its_tip_only_by_agreement() -> None:
    surface = Surface.parse("ackley")
    assert surface.gradient(0.0, 0.0).tolist() == [0, 0]
    assert surface.gradient(1e-9, 0.0)[0] == pytest.approx(4 / np.sqrt(2))
    assert surface.value(0.0, 0.0) == 0


class TestLogistic:
    surface = Surface.parse("logistic")

    def test_the_minimum_is_the_fit_to_the_temperatures_themselves(self) -> None:
        fahrenheit = np.array(
            [53, 57, 58, 63, 66, 67, 67, 67, 68, 69, 70, 70, 70, 70, 72, 73, 75, 75, 76, 76, 78, 79, 81]
        )
        ((intercept, slope),) = self.surface.entry.minima
        slope /= fahrenheit.std()
        intercept -= slope * fahrenheit.mean()
        assert (intercept, slope) == (pytest.approx(15.043, abs=5e-4), pytest.approx(-0.2322, abs=5e-5))
        distress = 1 / (1 + np.exp(-intercept - slope * 31))  # °F, the morning Challenger was launched
        assert distress > 0.999

    def test_equals_torch(self) -> None:
        rows = torch.tensor(self.surface.entry.rows.values)
        for x, y in np.random.default_rng(4).uniform(-8, 8, (20, 2)):
            theta = torch.tensor([x, y], requires_grad=True)
            eta = theta[0] + theta[1] * rows[:, 0]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(eta, rows[:, 1])
            loss.backward()
            assert self.surface.value(x, y) == pytest.approx(loss.item(), rel=1e-14)
            assert self.surface.gradient(x, y) == pytest.approx(theta.grad.numpy(), rel=1e-12)

    def test_far_out_it_is_a_straight_line(self) -> None:
        """7 of the 23 flights are 1: all weight on the intercept costs 16/23 above and 7/23 below."""
        for x, share in (1e6, 16 / 23), (-1e6, 7 / 23):
            assert self.surface.value(x, 0.0) == pytest.approx(1e6 * share, rel=1e-14)
            assert self.surface.gradient(x, 0.0)[0] == pytest.approx(np.sign(x) * share, rel=1e-14)


class TestWhatToWatch:
    """Each line says something that is so."""

    def test_booth(self) -> None:
        sooner = [simulate("adam(lr=0.1)", f"booth(angle={angle})").arrived for angle in (0, -45)]
        assert sooner[0] < 0.7 * sooner[1]
        same = [simulate("gd(lr=0.01)", f"booth(angle={angle})").arrived for angle in (0, -45)]
        assert abs(same[0] - same[1]) <= 1

    @pytest.mark.parametrize(
        ("surface", "racers"),
        [
            ("three_hump_camel", ("gd(lr=0.01)", "momentum(lr=0.01)")),
            ("styblinski_tang", ("gd(lr=0.01)", "momentum(lr=0.01)")),
            ("ackley", ("gd(lr=0.01)", "momentum(lr=0.01)")),
        ],
    )
    def test_momentum_rolls_on(self, surface: str, racers: tuple[str, str]) -> None:
        plain, heavy = (simulate(racer, surface, steps=600) for racer in racers)
        assert np.hypot(*plain.grad[-1]) < 1e-4  # it rests, but not at the minimum
        assert plain.loss[-1] > plain.surface.entry.lowest + 0.1
        assert heavy.distance[-1] < 0.1

    def test_monkey_saddle_is_harder_to_leave(self) -> None:
        steps = [
            int(np.argmax(np.hypot(*simulate("gd(lr=0.01)", name, (0.01, 0.01), 3000).path.T) > 1))
            for name in ("saddle", "monkey_saddle")
        ]
        assert steps[1] > 10 * steps[0] > 0
        near = np.array([1e-4, -1e-4])
        assert np.abs(Surface.parse("monkey_saddle").gradient(near, near)).max() < 1e-7

    def test_plateau(self) -> None:
        plain = simulate("gd(lr=0.1)", "plateau")
        assert 0.5e-4 < np.hypot(*plain.grad[0]) < 1.5e-4
        assert np.hypot(*(plain.path[-1] - plain.path[0])) < 0.01
        for racer in "adam(lr=0.1)", "rmsprop(lr=0.02)":
            assert simulate(racer, "plateau").outcome == CONVERGED

    @pytest.mark.parametrize("lr", [0.05, 0.1, 0.2, 0.5])
    def test_cliff(self, lr: float) -> None:
        (left, _), _ = Surface.parse("cliff").entry.bounds
        thrown = simulate(f"gd(lr={lr})", "cliff")
        assert thrown.outcome != CONVERGED
        jump = int(np.argmax(np.hypot(*thrown.update.T)))
        assert thrown.distance[jump] < 2  # it had come near
        assert thrown.path[jump + 1, 0] < 2 * left
        assert (thrown.path[jump + 1 :, 0] < left).all()  # and does not come back
        assert simulate(f"gd(lr={lr})", "cliff", clip_norm=1.0).outcome == CONVERGED

    def test_logistic(self) -> None:
        """Full batch rests; mini-batches of 4 do not."""
        full, mini = (
            simulate("gd(lr=0.5)", "logistic", steps=3000, batch_size=batch_size) for batch_size in (None, 4)
        )
        assert full.distance[-1] < 1e-9
        assert 0.1 < mini.distance[-1000:].mean() < 1
        assert np.hypot(*mini.update[-1000:].T).min() > 1e-3

    def test_noisy_ravine(self) -> None:
        straight = "noisy_ravine(angle=0)"
        walks = [simulate(f"gd(lr={lr})", straight, steps=4000) for lr in (0.02, 0.01, 0.005)]
        noise = walks[0].grad - walks[0].surface.gradient(*walks[0].path[:-1].T)
        along, across = noise[-2000:].std(axis=0)
        assert across > 4 * along  # √20 = 4.5, as the curvature has it
        above = [walk.loss[-2000:].mean() - walk.surface.entry.lowest for walk in walks]
        assert above[0] > 2 * above[1] > 4 * above[2] > 0

    def test_sharp_and_flat(self) -> None:
        surface = Surface.parse("sharp_flat")
        for (x, y), curvature in zip(surface.entry.minima, (100, 1), strict=True):
            h = 1e-6
            bend = (surface.gradient(x + h, y) - surface.gradient(x - h, y)) / (2 * h)
            assert bend == pytest.approx([curvature, 0], abs=1e-6)
        sharp, flat = map(np.array, surface.entry.minima)
        start = sharp + np.array([0.02, 0.01])
        ends = {lr: simulate(f"gd(lr={lr})", surface, start).path[-1] for lr in (0.0199, 0.0201, 0.05, 0.5)}
        assert np.hypot(*(ends[0.0199] - sharp)) < 1e-3
        assert np.hypot(*(ends[0.0201] - sharp)) > 1e-2  # it bounces about in the hole
        assert ends[0.05] == pytest.approx(flat)
        assert ends[0.5] == pytest.approx(flat)
        # from the start, which lr is used decides which minimum is found
        assert simulate("gd(lr=0.01)", surface).path[-1] == pytest.approx(sharp)
        assert simulate("gd(lr=0.1)", surface).path[-1] == pytest.approx(flat)

    def test_counterexample(self) -> None:
        """Under the step α/√t of the paper's theorems, so that all can come to rest."""
        for name, end in ("adam", 1), ("amsgrad", -1):
            walk = simulate(
                f"{name}(lr=0.5, beta2=0.99)",
                "counterexample",
                steps=100_000,
                schedule=lambda k: (k + 1) ** -0.5,
            )
            assert walk.path[-101:].mean(axis=0) == pytest.approx([end, 0], abs=0.01)
        values = Surface.parse("counterexample").value(np.linspace(-1, 1, 101), 0.0)
        assert values.argmax() == 100
        assert values.argmin() == 0


def test_value_broadcasts() -> None:
    surface = Surface.parse("rosenbrock")
    assert surface.value(np.zeros((1, 3)), np.zeros((2, 1))).shape == (2, 3)
    assert surface.gradient(np.zeros((1, 3)), np.zeros((2, 1))).shape == (2, 3, 2)


@pytest.mark.parametrize("name", SURFACES)
def test_each_has_a_group_and_what_one_would_type_for_it(name: str) -> None:
    entry = SURFACES[name]
    assert entry.group != "your own"
    assert bool(entry.formula) == (not entry.hyperparameters and entry.rows is None)
    if entry.formula:
        typed, surface = Surface.parse(f'formula("{entry.formula}")'), Surface.parse(name)
        assert typed.entry.group == "your own"
        (x0, x1), (y0, y1) = entry.bounds
        random = np.random.default_rng(2)
        x, y = random.uniform(x0, x1, 200), random.uniform(y0, y1, 200)
        np.testing.assert_allclose(typed.value(x, y), surface.value(x, y), rtol=1e-12, atol=1e-12)
