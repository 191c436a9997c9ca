"""What the pictures say, read back from what they draw; and that a file is whole or not there."""

import errno
import itertools
import re
import subprocess
from contextlib import suppress
from math import log
from pathlib import Path

import imageio_ffmpeg
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Rectangle
from PIL import Image

from optimizers import (
    CONVERGED,
    DIVERGED,
    OPTIMIZERS,
    SURFACES,
    Race,
    Racer,
    Surface,
    figures,
    race,
    simulate,
)
from optimizers.conditions import Conditions
from optimizers.figures import film, ground, inside, racing
from optimizers.figures.charts import HUES, axis_ticks
from optimizers.figures.racing import LEFT, MAP_WIDTH, TOP
from optimizers.figures.style import DARK, LIGHT, number, short
from optimizers.files import whole
from optimizers.maps import LOST, NOWHERE, Axis, BasinMap, SweepMap, sweep_map
from optimizers.surfaces import Entry

FOUR = ["momentum(lr=0.0008)", "rmsprop(lr=0.02)", "adam(lr=0.1)", "adam(lr=0.1, bias_correction=False)"]
EIGHT = [*FOUR, "gd(lr=0.0005)", "nesterov(lr=0.0008)", "adagrad(lr=0.5)", "lion(lr=0.01)"]


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(plt.Text) if text.get_visible() and text.get_text()]


def lines_of(axes, color: str) -> list:
    return [line for line in axes.lines if to_hex(line.get_color()) == color]


def names_of(figure, result: Race) -> list:
    """The names beside the paths' ends."""
    labels = tuple(look.label for look in result.looks)
    return [
        text for text in figure.axes[0].texts if text.get_text().startswith(labels) and text.get_visible()
    ]


# Races -------------------------------------------------------------------------------------------------


def test_paths_are_drawn_in_the_racers_own_clothes() -> None:
    result = race(FOUR, "rosenbrock", steps=60)
    figure = figures.paths(result)
    stage = figure.axes[0]
    for walk, look in zip(result, result.looks, strict=True):
        wanted = figures.line(look)
        (path,) = (
            line
            for line in lines_of(stage, look.light)
            if len(line.get_xdata()) > 2
            and line._unscaled_dash_pattern[1] == wanted.get("linestyle", (0, None))[1]
        )
        assert tuple(path.get_xydata()[0]) == result.start
        assert tuple(path.get_xydata()[-1]) == tuple(walk.path[-1])
        (end,) = (
            line
            for line in stage.lines
            if line.get_marker() == "o" and tuple(line.get_xydata()[0]) == tuple(walk.path[-1])
        )
        assert to_hex(end.get_markeredgecolor()) == look.light
        assert to_hex(end.get_markerfacecolor()) == (LIGHT.paper if look.hollow else look.light)
        (name,) = (text for text in names_of(figure, result) if text.get_text() == look.label)
        assert to_hex(name.get_color()) == look.light
    assert any(tuple(line.get_xydata()[0]) == (1.0, 1.0) and line.get_marker() == "+" for line in stage.lines)
    assert "start" in texts(figure)


def test_dark_pictures_wear_the_dark_colours() -> None:
    result = race(FOUR[2:], "rosenbrock", steps=20)
    figure = figures.paths(result, dark=True)
    assert to_hex(figure.get_facecolor()) == DARK.paper
    assert {to_hex(name.get_color()) for name in names_of(figure, result)} == {result.looks[0].dark}


@pytest.mark.parametrize(
    "surface", ["rosenbrock", "himmelblau", "saddle", "rastrigin", "quadratic(condition=1)"]
)
def test_names_never_overlap_nor_leave_the_map(surface: str) -> None:
    result = race(EIGHT, surface, steps=150)
    figure = figures.paths(result)
    figure.canvas.draw()
    names = names_of(figure, result)
    assert len(names) == len(EIGHT)
    boxes = [name.get_window_extent() for name in names]
    stage = figure.axes[0].bbox
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert box.x0 >= stage.x0
        assert box.x1 <= stage.x1 + 1
        assert box.y0 >= stage.y0 - 1
        assert box.y1 <= stage.y1 + 1


@pytest.mark.parametrize("racers", [FOUR, EIGHT, ["adam(lr=0.1, beta2=0.99)", "adam(lr=0.2, beta2=0.9)"]])
@pytest.mark.parametrize("draw", [figures.paths, figures.losses, figures.panels])
def test_no_text_leaves_the_page(racers: list[str], draw) -> None:
    figure = draw(race(racers, "quadratic(condition=100, angle=30)", steps=40, noise=0.1, clip_norm=2.0))
    figure.canvas.draw()
    for drawn in (*figure.texts, *figure.axes):
        box = drawn.get_tightbbox() if drawn in figure.axes else drawn.get_window_extent()
        assert box.x0 >= 0, drawn
        assert box.x1 <= figure.bbox.x1, drawn
        assert box.y0 >= 0, drawn
        assert box.y1 <= figure.bbox.y1, drawn


def test_a_racer_that_diverges_is_seen_to_leave_and_said_to() -> None:
    result = race(["gd(lr=0.5)", "adam(lr=0.1)"], "rosenbrock", steps=30)
    lost = result.trajectories[0]
    assert lost.outcome == DIVERGED
    figure = figures.paths(result)
    said = texts(figure)
    assert any(line.startswith(f"diverges at step {lost.diverged}, off the map from step 1") for line in said)
    assert "gradient descent, diverged" in said
    stage, chart = figure.axes[:2]
    (arrow,) = (
        line
        for line in stage.lines
        if len(line.get_xdata()) == 1 and to_hex(line.get_markeredgecolor()) == result.looks[0].light
    )
    (x0, x1), (y0, y1) = stage.get_xlim(), stage.get_ylim()
    x, y = arrow.get_xydata()[0]
    assert min(x - x0, x1 - x, y - y0, y1 - y) < 0.02 * (x1 - x0)  # at the edge, and inside
    assert x0 < x < x1
    assert y0 < y < y1
    assert not isinstance(arrow.get_marker(), str)
    (gone,) = (line for line in lines_of(chart, result.looks[0].light) if line.get_marker() == "^")
    assert gone.get_xdata()[0] == lost.diverged
    assert gone.get_visible()
    assert chart.get_ylim()[1] < 1e6  # the others are still seen


def test_how_each_ends_is_said_in_words() -> None:
    result = race(["adam(lr=0.1)", "gd(lr=0.001)", "gd(lr=0.0201)"], "quadratic(condition=100)", steps=300)
    said = texts(figures.paths(result))
    loss = [number(float(walk.loss[-1])) for walk in result]
    assert result.trajectories[0].outcome == CONVERGED
    assert f"arrives at step {result.trajectories[0].arrived}, loss {loss[0]}" in said
    assert f"not arrived after 300 steps, loss {loss[1]}" in said
    assert any(line.startswith("off the map from step ") and line.endswith(loss[2]) for line in said)
    assert any("adam(lr=0.1) · gd · gd(lr=0.0201) on quadratic(condition=100)" in line for line in said)


def test_the_map_reaches_as_far_as_the_start() -> None:
    for start, aspect in (((6.0, 2.0), 1.0), ((0.1, 0.2), 1.0), ((90.0, 2.0), "auto")):
        stage = figures.paths(race(["adam"], "rosenbrock", start, steps=5)).axes[0]
        assert stage.get_xlim()[0] < start[0] < stage.get_xlim()[1]
        assert stage.get_ylim()[0] < start[1] < stage.get_ylim()[1]
        assert stage.get_aspect() == aspect


def holed(x, y):
    return x * x + y * y + log(x + 1), 2 * x + 1 / (x + 1), 2 * y


def test_where_f_has_no_value_is_hatched(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry(
        "holed",
        "Holed",
        holed,
        ((-3.0, 3.0), (-2.6, 2.6)),
        (),
        -np.inf,
        (1.0, 1.0),
        "Left is nothing.",
        "none",
    )
    monkeypatch.setitem(SURFACES, "holed", entry)
    result = race(["gd(lr=0.9)", "adam(lr=0.1)"], "holed", steps=40)
    figure = figures.paths(result)
    (image,) = figure.axes[0].images
    shown = image.get_array()
    columns = np.linspace(*figure.axes[0].get_xlim(), shown.shape[1])
    assert shown.mask[:, columns < -1.01].all()
    assert not shown.mask[:, columns > -0.99].any()
    assert "hatched: f has no value" in texts(figure)
    assert "hatched: f has no value" not in texts(figures.paths(race(["adam"], "saddle", steps=3)))


def test_heights_are_a_logarithm_through_zero() -> None:
    values = np.array([[0.0, 1e-3], [1.0, 1e6]])
    height, bottom, top = ground.heights(values, 0.0)
    assert bottom == 0.0
    assert height[0, 0] == 0.0
    assert np.all(np.diff(height.ravel()) > 0)
    signed, bottom, top = ground.heights(np.array([[-4.0, 4.0]]), -np.inf)
    assert signed[0, 0] == -signed[0, 1]
    assert bottom == -top
    high, bottom, _ = ground.heights(np.array([[1000.0, 1010.0, np.nan]]), -np.inf)
    assert high[0, 0] == bottom == 0.0
    assert np.isnan(high[0, 2])


def test_losses_are_named_where_they_end() -> None:
    result = race(["gd(lr=0.5)", *EIGHT[:4]], "rosenbrock", steps=80)
    figure = figures.losses(result)
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    names = [text for text in figure.texts if text.get_color() in {look.light for look in result.looks}]
    assert f"gradient descent, diverges at step {result.trajectories[0].diverged}" in [
        n.get_text() for n in names
    ]
    heights = sorted(name.get_position()[1] for name in names)
    assert len(heights) == 5
    assert np.diff(heights).min() >= 0.2 / 5.2 - 1e-9
    drawn = lines_of(axes, result.looks[1].light)[0]
    assert np.array_equal(drawn.get_ydata(), result.trajectories[1].loss)


def test_a_loss_without_a_bottom_is_drawn_as_it_is() -> None:
    result = race(["adam(lr=0.1)", "gd(lr=0.001)"], "saddle", steps=100)
    axes = figures.losses(result).axes[0]
    assert axes.get_yscale() == "linear"
    low, high = axes.get_ylim()
    assert result.trajectories[0].loss[-1] < low < -3
    assert high > result.trajectories[0].loss[0]


def test_a_dip_of_a_moment_does_not_press_the_rest_together() -> None:
    result = race(["lion(lr=0.01)", "adam(lr=0.1)"], "rosenbrock", steps=500)
    assert result.trajectories[0].loss.min() < 1e-13
    assert figures.losses(result).axes[0].get_ylim()[0] > 1e-4


def test_panels_share_their_scale() -> None:
    result = race(FOUR[2:], "rosenbrock", steps=100)
    figure = figures.panels(result)
    maps, charts = figure.axes[::2], figure.axes[1::2]
    assert len(maps) == 2
    assert maps[0].get_xlim() == maps[1].get_xlim()
    assert charts[0].get_ylim() == charts[1].get_ylim()
    titles = {text.get_text(): to_hex(text.get_color()) for text in figure.texts}
    assert {label: titles[label] for label in ("Adam", "Adam, uncorrected")} == {
        "Adam": result.looks[0].light,
        "Adam, uncorrected": result.looks[1].light,
    }


def test_panels_of_races_say_what_sets_them_apart() -> None:
    races = [race(["adam(lr=0.1)", "gd"], "beale", steps=30, noise=noise) for noise in (0.0, 0.5)]
    said = texts(figures.panels(races))
    assert "noise 0.5, seed 0" in said
    assert "as it is" in said
    assert {"calm", "noisy"} <= set(texts(figures.panels(races, titles=["calm", "noisy"])))
    other = figures.panels([race(["adam"], "beale", steps=5), race(["adam"], "saddle", steps=5)])
    assert {"Beale", "Saddle, κ 1, angle 0"} <= set(texts(other))
    assert len(figures.panels(race(EIGHT, "saddle", steps=3)).axes) == 16
    with pytest.raises(ValueError, match="at least one"):
        figures.panels([])
    with pytest.raises(ValueError, match="titles has 1, but there are 2 panels"):
        figures.panels(races, titles=["calm"])


def test_a_long_walk_is_drawn_by_what_can_be_seen_of_it() -> None:
    result = race(["adam(lr=0.1)", "lion(lr=0.01)"], "rosenbrock", steps=50_000)
    figure = figures.paths(result)
    assert max(len(line.get_xdata()) for line in figure.axes[1].lines) <= 1502
    for look, walk in zip(result.looks, result, strict=True):
        path = max(lines_of(figure.axes[0], look.light), key=lambda line: len(line.get_xdata()))
        points = path.get_xydata()
        assert len(points) < 15_000
        assert path.get_linewidth() == 2.2
        points = points[np.isfinite(points[:, 0])]
        for step in (0, 10, 200, 400, 49_999):  # every place it was at is drawn
            assert np.hypot(*(points - walk.path[step]).T).min() < 4 / 1000


def test_no_line_is_drawn_that_was_not_walked() -> None:
    random = np.random.default_rng(1)
    corners = np.array([[0.1, 0.1], [0.9, 0.2], [0.5, 0.8], [0.2, 0.7]])
    path = corners[random.integers(0, 4, 5000)]
    steps, points = racing._thinned(path, ((0.0, 1.0), (0.0, 1.0)))
    walked = {frozenset([tuple(a), tuple(b)]) for a, b in itertools.pairwise(path)}
    drawn = {
        frozenset([tuple(a), tuple(b)]) for a, b in itertools.pairwise(points) if np.isfinite([*a, *b]).all()
    }
    assert drawn == {line for line in walked if len(line) == 2}
    assert len(points) < 40
    assert (np.diff(steps) >= 0).all()
    for step in (1, 3, 10):  # up to any step, nothing that comes later
        early = points[steps <= step]
        early = {tuple(point) for point in early if np.isfinite(point[0])}
        assert early <= {tuple(point) for point in path[: step + 1]}


def test_a_path_that_covers_the_map_is_drawn_finer() -> None:
    result = race(["gd(lr=0.0199)", "adam(lr=0.1)"], "quadratic(condition=100)", steps=300)
    stage = figures.paths(result).axes[0]
    widths = [max(line.get_linewidth() for line in lines_of(stage, look.light)) for look in result.looks]
    assert widths[0] < 1.3 < widths[1] == 2.2


@pytest.mark.parametrize(
    ("value", "words"), [(0.1, "0.1"), (2.0, "2"), (1e-5, "1×10⁻⁵"), (-12345.6, "−12346")]
)
def test_numbers(value: float, words: str) -> None:
    assert short(value) == words


# Files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "head"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_save(tmp_path: Path, suffix: str, head: bytes) -> None:
    figure = figures.losses(race(["adam"], "beale", steps=5))
    figures.save(figure, tmp_path / f"loss{suffix}")
    assert (tmp_path / f"loss{suffix}").read_bytes().startswith(head)
    assert [path.name for path in tmp_path.iterdir()] == [f"loss{suffix}"]
    assert not plt.get_fignums()


def test_a_level_loss_has_room_however_large_it_is() -> None:
    scale = racing.loss_scale([race(["gd"], 'formula("1e99*x")', steps=3)])
    assert scale.low < scale.high


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("before")
    with suppress(KeyboardInterrupt), whole(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    assert path.read_text() == "before"
    with whole(path) as temporary:
        assert temporary.suffix == ".png"
        temporary.write_text("all")
    assert path.read_text() == "all"
    with pytest.raises(FileNotFoundError, match="nowhere"), whole(tmp_path / "nowhere" / "a.png"):
        pass
    with pytest.raises(OSError, match="denied") as caught, whole(path) as temporary:
        raise OSError(errno.EACCES, "denied", str(temporary))
    assert caught.value.filename == str(path.resolve())
    figure = figures.losses(race(["adam"], "beale", steps=5))
    with pytest.raises(ValueError, match=r"takes a name ending in \.png, \.svg, \.pdf"):
        figures.save(figure, tmp_path / "a.jpg")


# Films -------------------------------------------------------------------------------------------------


def pixel(result: Race, point, dpi: float) -> tuple[int, int]:
    """Row and column of a point of the map in a film's frame."""
    (x0, x1), (y0, y1) = ground.framed(result.surface, result.start, MAP_WIDTH, 4.55)
    across = LEFT + (point[0] - x0) / (x1 - x0) * MAP_WIDTH
    down = TOP + (y1 - point[1]) / (y1 - y0) * 4.55
    return round(down * dpi), round(across * dpi)


def inked(frame: np.ndarray, place: tuple[int, int], color: str) -> bool:
    """Whether something close to a colour stands within two pixels of a place."""
    row, column = place
    near = frame[row - 2 : row + 3, column - 2 : column + 3].reshape(-1, 3).astype(float)
    return bool((np.abs(near - 255 * np.array(to_rgb(color))).max(axis=1) < 40).any())


def check_film(result: Race, frames: list[np.ndarray], stride: int, dpi: float) -> None:
    """The path of a middle frame goes as far as its step, and that of the last to the end."""
    (walk,), (look,) = result, result.looks
    middle = len(frames) // 2
    step = middle * stride
    early, late = walk.path[step // 2], walk.path[(step + result.steps) // 2]
    assert inked(frames[middle], pixel(result, early, dpi), look.light)
    assert not inked(frames[middle], pixel(result, late, dpi), look.light)
    assert inked(frames[-1], pixel(result, late, dpi), look.light)
    assert inked(frames[0], pixel(result, result.start, dpi), look.light)  # its marker
    assert not inked(frames[0], pixel(result, early, dpi), look.light)


def test_a_gif_shows_the_race_step_by_step(tmp_path: Path) -> None:
    result = race(["gd(lr=0.02)"], "quadratic(condition=1)", steps=60)
    made = figures.animate(result, tmp_path / "race.gif", seconds=2)
    assert (made.frames, made.steps_per_frame, made.frames_per_second) == (31, 2, 25)
    assert str(made) == "31 frames, 2 steps a frame, 25 frames a second"
    with Image.open(tmp_path / "race.gif") as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"]) == (31, (896, 504), 0)
        frames, pauses = [], []
        for index in range(gif.n_frames):
            gif.seek(index)
            pauses.append(gif.info["duration"])
            frames.append(np.asarray(gif.convert("RGB")))
    assert pauses == [40] * 30 + [2000]
    check_film(result, frames, 2, 84)
    assert (tmp_path / "race.gif").stat().st_size < 400_000


def test_an_mp4_shows_the_race_step_by_step(tmp_path: Path) -> None:
    result = race(["gd(lr=0.02)"], "quadratic(condition=1)", steps=60)
    made = figures.animate(result, tmp_path / "race.mp4", seconds=1)
    assert (made.frames, made.steps_per_frame, made.size) == (21, 3, (1920, 1080))
    said = ffmpeg("-i", tmp_path / "race.mp4", "-f", "null", "-").stderr.decode()
    assert "1920x1080" in said
    assert "25 fps" in said
    assert int(re.findall(r"frame= *(\d+)", said)[-1]) == 21 + 50  # two seconds on the last
    assert "Duration: 00:00:02.84" in said
    picked = "select=eq(n\\,0)+eq(n\\,10)+eq(n\\,20)+eq(n\\,70)"
    options = ["-vf", picked, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = ffmpeg("-i", tmp_path / "race.mp4", *options).stdout
    first, middle, last, still = np.frombuffer(raw, np.uint8).reshape(4, 1080, 1920, 3)
    assert np.abs(still.astype(int) - last).max() < 40
    check_film(result, [first, middle, last], 30, 180)


def ffmpeg(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=True, timeout=60)


def test_any_race_fits_into_a_few_hundred_frames(tmp_path: Path) -> None:
    result = race(["adam(lr=0.1)", "gd(lr=0.0201)"], "quadratic(condition=100)", steps=100_000)
    made = figures.animate(result, tmp_path / "race.gif", seconds=1)
    assert (made.frames, made.steps_per_frame) == (26, 4000)
    short_race = race(["adam(lr=0.1)"], "beale", steps=3)
    made = figures.animate(short_race, tmp_path / "race.gif")
    assert (made.frames, made.steps_per_frame, made.frames_per_second) == (4, 1, 5)


def test_a_palette_holds_the_racers_colours() -> None:
    result = race(list(OPTIMIZERS), "beale", steps=2)
    for page in (LIGHT, DARK):
        palette = film._palette(result, page)
        assert len(palette) <= 255
        for look in result.looks:
            assert (np.round(255 * np.array(to_rgb(page.color(look)))) == palette).all(axis=1).any()


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_film_that_is_stopped_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    result = race(["adam(lr=0.1)"], "beale", steps=20)
    path = tmp_path / f"race{suffix}"
    path.write_text("before")
    seen = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        figures.animate(result, path, progress=progress)
    assert seen == [(1, 21), (2, 21), (3, 21)]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "before"
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("path", "options", "words"),
    [
        ("race.avi", {}, r"path is .*race.avi', but takes a name ending in \.gif, \.mp4"),
        ("race.gif", {"seconds": 0}, "seconds is 0, but takes a number from 1 to 60"),
        ("race.gif", {"seconds": "5"}, "seconds is '5'"),
    ],
)
def test_a_film_that_cannot_be(tmp_path: Path, path: str, options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        figures.animate(race(["adam"], "beale", steps=2), tmp_path / path, **options)


# Maps --------------------------------------------------------------------------------------------------


def basin_of(which: np.ndarray, steps: np.ndarray, surface: str = "himmelblau") -> BasinMap:
    found = Surface.parse(surface)
    x, y = (
        np.linspace(*side, count) for side, count in zip(found.entry.bounds, which.shape[::-1], strict=True)
    )
    loss = np.where(which == LOST, np.nan, 0.1)
    racer = Racer.parse("adam(lr=0.1)")
    return BasinMap(
        racer, found, 200, Conditions(), x, y, which.astype(np.int32), steps.astype(np.int32), loss
    )


def color_at(image: np.ndarray, row: int, column: int, cells: int) -> np.ndarray:
    """The colours of one cell of an enlarged picture."""
    times = image.shape[0] // cells
    return image[row * times : (row + 1) * times, column * times : (column + 1) * times].reshape(-1, 3)


def test_a_basin_map_is_coloured_by_minimum_and_speed() -> None:
    which = np.array([[0, 0, 1, 1], [2, 2, 3, 3], [NOWHERE] * 4, [LOST] * 4])
    steps = np.array([[0, 200, 0, 100], [0, 50, 0, 50], [-1] * 4, [-1] * 4])
    figure = figures.basin(basin_of(which, steps))
    stage = figure.axes[0]
    image = stage.images[0].get_array()
    paper = np.array(to_rgb(LIGHT.paper))
    for (row, column), index in {(0, 0): 0, (0, 2): 1, (1, 0): 2, (1, 2): 3}.items():
        assert np.allclose(color_at(image, row, column, 4)[0], to_rgb(HUES[index]))  # at once: full colour
    slow = color_at(image, 0, 1, 4)[0]
    assert np.abs(slow - paper).max() < 0.4 * np.abs(np.array(to_rgb(HUES[0])) - paper).max()
    assert len(np.unique(color_at(image, 2, 0, 4), axis=0)) == 1
    assert len(np.unique(color_at(image, 3, 0, 4), axis=0)) == 2  # striped
    assert stage.images[0].origin == "lower"
    dx = stage.get_xlim()[1] - stage.get_xlim()[0]
    assert stage.images[0].get_extent()[0] == pytest.approx(stage.get_xlim()[0] - dx / 6)
    letters = {text.get_text(): text.get_position() for text in stage.texts}
    assert letters == dict(zip("ABCD", Surface.parse("himmelblau").entry.minima, strict=True))
    assert figures.basin_words(basin_of(which, steps))[0] == (
        "A (3, 2)",
        "12 % of starts, half within 100 steps",
    )
    said = texts(figure)
    assert "at no minimum" in said
    assert "diverged" in said
    assert said.count("25 % of starts") == 2
    assert any("steps to converge: paler is slower" in line for line in said)


def test_a_basin_map_of_a_surface_without_minima() -> None:
    which = np.full((3, 3), NOWHERE)
    which[0] = LOST
    figure = figures.basin(basin_of(which, np.full((3, 3), -1), "saddle"), dark=True)
    assert "Saddle has no minimum to reach." in texts(figure)
    assert to_hex(figure.get_facecolor()) == DARK.paper


def lab(colors: np.ndarray) -> np.ndarray:
    """CIE Lab of linear sRGB."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.clip(colors, 0, 1) @ matrix.T / [0.9505, 1, 1.089]).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def test_minima_are_told_apart_by_the_colour_blind() -> None:
    # Machado, Oliveira and Fernandes (2009), severity 1
    deutan = [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
    protan = [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]
    colors = np.array([to_rgb(hue) for hue in HUES])
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    for sight in (np.eye(3), np.array(deutan), np.array(protan)):
        seen = lab(linear @ sight.T)
        for (i, one), (j, other) in itertools.combinations(enumerate(seen), 2):
            assert np.linalg.norm(one - other) > (25 if max(i, j) < 4 else 10), (HUES[i], HUES[j])


LR = Axis("lr", "lr", tuple(np.geomspace(1e-4, 1, 5).tolist()), "log")
BETA2 = Axis("beta2", "β₂", tuple((1 - np.geomspace(0.1, 1e-4, 4)).tolist()), "one_minus_log")


def sweep_of(loss: np.ndarray, x: Axis = LR, y: Axis = BETA2) -> SweepMap:
    surface = Surface.parse("rosenbrock")
    steps = np.where(loss < 0.01, 50, -1).astype(np.int32)
    diverged = np.where(np.isnan(loss), 7, -1).astype(np.int32)
    racer = Racer.parse("adam")
    return SweepMap(racer, surface, surface.entry.start, 300, Conditions(), x, y, loss, steps, diverged)


def test_a_sweep_map_names_its_best_cell() -> None:
    loss = np.full((4, 5), 1.0)
    loss[2, 3] = 1e-6
    loss[:, 4] = np.nan
    found = sweep_of(loss)
    assert found.best == (2, 3)
    figure = figures.sweep(found)
    assert "best: lr 0.1, β₂ 0.999, loss 1.000×10⁻⁶, converged at step 50" in texts(figure)
    assert "diverged, 20 %" in texts(figure)
    assert "did not converge" in texts(figure)
    left, right = figure.axes[0], figure.axes[2]
    assert [label.get_text() for label in left.get_yticklabels()] == ["0.9", "0.99", "0.999", "0.9999"]
    assert [label.get_text() for label in left.get_xticklabels()] == ["10⁻⁴", "10⁻³", "10⁻²", "0.1", "1"]
    assert left.get_ylabel() == "β₂ (beta2)"
    rings = {tuple(line.get_xydata()[0]) for line in left.lines if line.get_marker() == "o"}
    assert rings == {(3.0, 2.0)}
    own = {tuple(np.round(line.get_xydata()[0], 9)) for line in left.lines if line.get_marker() == "+"}
    assert own == {(1.0, 2.0)}  # adam: lr 0.001, β₂ 0.999
    image = left.images[0].get_array()
    best = color_at_cell(image, 2, 3, loss.shape)
    assert (best.sum(axis=1) < color_at_cell(image, 0, 0, loss.shape).sum(axis=1)).all()
    assert len(np.unique(color_at_cell(image, 1, 4, loss.shape), axis=0)) == 2  # striped
    never = color_at_cell(right.images[0].get_array(), 0, 0, loss.shape)
    assert len(np.unique(never, axis=0)) == 1


def color_at_cell(image: np.ndarray, row: int, column: int, shape: tuple[int, int]) -> np.ndarray:
    times = image.shape[1] // shape[1]
    return image[row * times : (row + 1) * times, column * times : (column + 1) * times].reshape(-1, 3)


def test_a_sweep_where_all_diverge_has_no_best() -> None:
    lost = sweep_of(np.full((4, 5), np.nan))
    assert "best: none, all diverged" in texts(figures.sweep(lost))
    assert figures.sweep_words(lost)[0] == ("best", "none, all diverged")
    assert figures.sweep_words(lost)[2] == ("diverged", "100 % of pairs")


def test_a_sweep_may_be_over_a_surfaces_hyperparameter() -> None:
    found = sweep_map("gd", "quadratic", x=("lr", 0.01, 1, 9), y=("condition", 1, 100, 7), steps=40)
    figure = figures.sweep(found)
    axes = figure.axes[0]
    assert axes.get_ylabel() == "κ (condition)"
    assert any(line.startswith("best: lr ") and ", κ 1, loss" in line for line in texts(figure))
    assert "+" not in {line.get_marker() for line in axes.lines}  # gd's own lr lies outside


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        (Axis("beta1", "β₁", (0.0, 0.5, 0.9, 0.99), "one_minus_log"), ["0", "0.9", "0.99"]),
        (Axis("lr", "lr", (0.02, 0.03, 0.05), "log"), ["0.02", "0.03", "0.05"]),
        (Axis("eps", "ε", (0.0, 0.45, 0.9), "linear"), ["0", "0.15", "0.3", "0.45", "0.6", "0.75", "0.9"]),
        (
            Axis("bias_correction", "bias correction", (True, False, "first"), "choice"),
            ["True", "False", "first"],
        ),
    ],
)
def test_ticks_are_where_the_values_are(axis: Axis, words: list[str]) -> None:
    ticks = axis_ticks(axis)
    assert [said for _, said in ticks] == words
    for place, said in ticks:
        if said in map(str, axis.values):
            assert place == pytest.approx(list(map(str, axis.values)).index(said))
    assert figures.sweep(sweep_of(np.ones((len(axis.values), 5)), y=axis))


# Inside a step -----------------------------------------------------------------------------------------


def test_adams_stages_are_those_of_its_paper() -> None:
    walk = simulate("adam(lr=0.1)", "rosenbrock", steps=30)
    found = {stage.title: stage for stage in inside.steps_of(walk, 12)}
    assert list(found) == [
        "decay m", "decay v", "show g", "grow m", "grow v", "correct m", "correct v", "divide"
    ]  # fmt: skip
    m, v = walk.state["m"], walk.state["v"]
    assert found["decay m"].caption == "× β₁ = 0.9"
    assert found["decay m"].drawn[0].before == pytest.approx(m[11])
    assert found["decay m"].drawn[0].after == pytest.approx(0.9 * m[11], rel=1e-15)
    assert found["decay v"].drawn[0].after == pytest.approx(np.sqrt(0.999 * v[11]))
    assert found["decay v"].drawn[0].square
    assert found["show g"].drawn[0].after == pytest.approx(walk.grad[12])
    assert found["grow m"].drawn[0].after == pytest.approx(m[12])
    assert found["correct v"].drawn[0].after == pytest.approx(np.sqrt(walk.state["v_hat"][12]))
    assert found["correct m"].caption == f"m ÷ {1 - 0.9**13:.6g}: undoes the start at zero"
    size, direction = found["divide"].drawn
    assert size.after == pytest.approx(np.sqrt(walk.state["v_hat"][12]) + 1e-8)
    assert direction.after == pytest.approx(walk.state["m_hat"][12])
    assert -0.1 * direction.after / size.after == pytest.approx(walk.update[12])


def test_a_square_is_as_wide_as_the_root() -> None:
    walk = simulate("adam(lr=0.1)", "rosenbrock", steps=30)
    figure = figures.stages(walk, 12)
    panel = figure.axes[6]  # correct v
    squares = [patch for patch in panel.patches if isinstance(patch, Rectangle)]
    assert all(patch.get_width() == patch.get_height() for patch in squares)
    ghost, full = squares[0].get_width(), squares[1].get_width()
    assert ghost / full == pytest.approx(np.sqrt(walk.state["v"][12, 0] / walk.state["v_hat"][12, 0]))
    said = texts(figure)
    assert f"Δx = {number(walk.update[12, 0])}" in said
    assert "10  move" in said
    assert any(
        line.startswith("Inside step 12: Adam on Rosenbrock") and line.endswith("t = 13") for line in said
    )


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_rule_has_its_stages(name: str) -> None:
    walk = simulate(f"{name}(lr=0.01)", "himmelblau", steps=12)
    for step in (0, 11):
        found = inside.steps_of(walk, step)
        titles = [stage.title for stage in found]
        assert titles[-1] in ("divide", "scale")
        assert "show g" in titles
        last = found[-1].drawn
        moved = last[0].after if titles[-1] == "scale" else -walk.lr[step] * last[1].after / last[0].after
        decay = walk.state["decay"][step] if "decay" in walk.state else 0.0
        assert moved - decay == pytest.approx(walk.update[step], rel=1e-9, abs=1e-300)
    figure = figures.stages(walk, 11)
    assert len(figure.axes) == len(found) + 2


def test_stages_of_other_rules_tell_the_truth() -> None:
    def titles(racer: str, **conditions) -> list[str]:
        return [stage.title for stage in inside.steps_of(simulate(racer, "beale", steps=9, **conditions), 3)]

    assert titles("gd") == ["show g", "scale"]
    assert titles("gd(weight_decay=0.1)") == ["show g", "show g + λθ", "scale"]
    assert titles("momentum") == ["decay m", "show g", "grow m", "scale"]
    assert "decay v" not in titles("yogi")  # it forgets by g², whatever its β₂
    assert "decay v" not in titles("adagrad")
    assert "correct m" not in titles("adam(bias_correction=False)")
    assert "show ρ" in titles("radam")
    walk = simulate("adamw(lr=0.1, weight_decay=0.1)", "beale", steps=9, clip_norm=1.0)
    said = texts(figures.stages(walk, 3))
    assert "Δx and Δy, tip to tail, then weight\ndecay" in said
    assert "the gradient, clipping in it" in said


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (-1, "step is -1, but takes a whole number from 0 to 29"),
        (30, "step is 30"),
        (1.5, "step is 1.5"),
        (29, "step is 29, but gradient descent diverges at step 3: take one from 0 to 1"),
    ],
)
def test_a_step_that_is_not_there(step, words: str) -> None:
    walk = simulate("gd(lr=0.5)", "rosenbrock", steps=30)
    with pytest.raises(ValueError, match=words):
        figures.stages(walk, step)
    assert not plt.get_fignums()
