"""A race as a film: the paths grow, the losses in step with them. GIF by Pillow, MP4 by FFmpeg."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image

from optimizers.figures.racing import LEFT, MAP_WIDTH, RIGHT, Runner, board
from optimizers.figures.style import DARK, LIGHT, Page, ending, number, on, written
from optimizers.files import whole
from optimizers.surfaces import FloatArray
from optimizers.trajectory import Race

FILMS = (".gif", ".mp4")
SIZE = (10.6667, 6.0)  # inches
DPI = {".gif": 84, ".mp4": 180}  # 896 × 504, small enough to mail; 1920 × 1080, to project
RATE = 25  # frames a second of a long race; a GIF counts in hundredths of a second
SLOWEST = 5  # … and of a short one
AS_BEFORE = 255  # the colour of a GIF that leaves a pixel as it was
LAST = 2.0  # seconds the last frame stays

Pixels = NDArray[np.uint8]  # (height, width, 4), red, green, blue, alpha
Progress = Callable[[int, int], object]  # (frames done, frames in all)


@dataclass(frozen=True)
class Film:
    """What a film shows, and how fast."""

    path: Path
    frames: int
    steps_per_frame: int
    frames_per_second: int
    size: tuple[int, int]  # pixels

    def __str__(self) -> str:
        """Say it in words."""
        steps = "1 step" if self.steps_per_frame == 1 else f"{self.steps_per_frame:,} steps"
        return f"{self.frames} frames, {steps} a frame, {self.frames_per_second} frames a second"


def animate(
    race: Race,
    path: Path | str,
    *,
    seconds: float = 10.0,
    dark: bool = False,
    progress: Progress | None = None,
) -> Film:
    """Write a race as a film that loops: .gif to mail, .mp4 to project.

    Each frame moves on by the same number of steps, the fewest that keep the film within `seconds`; the last
    frame stays for two seconds more.

    Args:
        race: what to show.
        path: its ending says how it is written.
        seconds: how long the race may take, from 1 to 60.
        dark: for a dark page.
        progress: called with (frames done, frames in all) after each frame. Whatever it raises stops the film
            and passes through; like Ctrl-C, it leaves no file, and one that was there before as it was.

    Raises:
        ValueError: another ending, or a length it does not take. OSError where the file can't be written.
    """
    path = Path(path)
    suffix = ending(path, FILMS)
    if not isinstance(seconds, int | float) or not 1 <= seconds <= 60:
        raise ValueError(f"seconds is {seconds!r}, but takes a number from 1 to 60.")
    stride = math.ceil(race.steps / (seconds * RATE))
    shown = [*range(0, race.steps, stride), race.steps]
    rate = min(RATE, max(SLOWEST, math.ceil(len(shown) / (seconds / 2))))
    page = DARK if dark else LIGHT
    with whole(path) as temporary, on(page):
        figure = plt.figure(figsize=SIZE, dpi=DPI[suffix])
        try:
            frames = _frames(figure, race, page, shown)
            if progress is not None:
                frames = _counted(frames, len(shown), progress)
            if suffix == ".gif":
                _write_gif(temporary, frames, rate, len(shown), _palette(race, page))
            else:
                _write_mp4(temporary, frames, rate)
            size = figure.canvas.get_width_height()
        finally:
            plt.close(figure)
    return Film(path, len(shown), stride, rate, size)


def _frames(figure: Figure, race: Race, page: Page, shown: list[int]) -> Iterator[Pixels]:
    """Yield the pixels of each frame; what does not move is drawn once."""
    canvas = FigureCanvasAgg(figure)
    row = min(0.3, 1.9 / len(race))
    chart = 3.75 - row * len(race)
    made = board(figure, race, page, map_height=4.55, chart_height=chart, row=row, size=min(10.5, row * 36))
    foot = 5.5
    bar = Line2D(*_bar(foot, 0.0), color=page.ink, linewidth=2.5, solid_capstyle="butt")
    figure.add_artist(Line2D(*_bar(foot, 1.0), color=page.edge, linewidth=2.5, solid_capstyle="butt"))
    figure.add_artist(bar)
    counter = written(figure, RIGHT, foot, "", va="center", fontsize=11, weight="bold")
    cursor = made.chart.axvline(0, color=page.mute, linewidth=0.8, zorder=1)
    moving: list[Artist] = [cursor]
    moving += [artist for runner in made.runners for artist in runner.artists]
    # A path that goes to and fro without end would take ever longer to draw: it stays, and only grows.
    long = [runner for runner in made.runners if runner.long]
    moving = [artist for artist in moving if not any(artist in (r.path, r.halo) for r in long)]
    moving += [*made.marks, *made.outcomes, bar, counter]
    moving.sort(key=lambda artist: artist.get_zorder())
    for artist in [*moving, *(artist for runner in long for artist in (runner.path, runner.halo))]:
        artist.set_animated(True)
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    for before, step in zip([0, *shown], shown, strict=False):
        made.show(step)
        cursor.set_xdata([step, step])
        bar.set_data(*_bar(foot, step / race.steps))
        counter.set_text(f"step {step:,} / {race.steps:,}")
        for runner, outcome in zip(made.runners, made.outcomes, strict=True):
            outcome.set_text(_fares(runner, step))
        canvas.restore_region(still)
        for runner in long:
            if runner.trace(min(before, runner.last), step):
                figure.draw_artist(runner.path)
        if long:
            still = canvas.copy_from_bbox(figure.bbox)
        for artist in moving:
            figure.draw_artist(artist)
        yield np.asarray(canvas.buffer_rgba())


def _bar(foot: float, share: float) -> tuple[list[float], list[float]]:
    """Return the timeline along the map's foot, up to this share of it."""
    y = 1 - foot / SIZE[1]
    return [LEFT / SIZE[0], (LEFT + share * MAP_WIDTH) / SIZE[0]], [y, y]


def _fares(runner: Runner, step: int) -> str:
    walk = runner.trajectory
    if walk.diverged is not None and step >= walk.diverged:
        return f"diverged at step {walk.diverged:,}"
    if walk.arrived is not None and step >= walk.arrived:
        return f"arrived at step {walk.arrived:,}"
    return number(float(walk.loss[step]))


def _counted(frames: Iterator[Pixels], count: int, progress: Progress) -> Iterator[Pixels]:
    for done, frame in enumerate(frames, start=1):
        yield frame
        progress(done, count)


def _palette(race: Race, page: Page) -> FloatArray:
    """Return the colours of a GIF: the map's tones, greys, and each racer's own from pale to full, (n, 3)."""

    def rgb(color: str) -> FloatArray:
        return np.array(to_rgb(color))

    tones = page.tones(np.linspace(0, 1, 48))[:, :3]
    contour = (rgb(page.contour) - tones[::6]) * page.contour_alpha
    greys = rgb(page.paper) + np.linspace(0, 1, 24)[:, None] * (rgb(page.ink) - rgb(page.paper))
    fixed = [tones, tones[::6] + contour, tones[::6] + contour / 2, greys, [rgb(page.edge), rgb(page.grid)]]
    colors = sorted({page.color(look) for look in race.looks})
    shades = max(1, min(10, (AS_BEFORE - sum(map(len, fixed))) // len(colors)))
    mixed = np.linspace(1, 0.2, shades)[:, None]  # the palest would tinge the map
    inked = [rgb(page.paper) + mixed * (rgb(color) - rgb(page.paper)) for color in colors]
    return np.round(255 * np.concatenate([*fixed, *inked])[:AS_BEFORE])


class _Nearest:
    """The nearest colour of a palette, looked up; each colour is compared but once."""

    def __init__(self, palette: FloatArray) -> None:
        self.palette = palette
        self.known = np.full(1 << 24, -1, np.int16)

    def __call__(self, pixels: NDArray[np.uint32]) -> NDArray[np.int16]:
        colors = pixels & 0xFFFFFF  # without alpha
        new = np.unique(colors[self.known[colors] < 0])
        parts = np.stack([new & 255, new >> 8 & 255, new >> 16], axis=-1).astype(float)
        # |p − c|² is least where |p|² − 2p·c is
        size = (self.palette**2).sum(axis=1)
        for start in range(0, len(new), 4096):
            some = slice(start, start + 4096)
            self.known[new[some]] = np.argmin(size - 2 * parts[some] @ self.palette.T, axis=1)
        return self.known[colors]


def _write_gif(path: Path, frames: Iterator[Pixels], rate: int, count: int, palette: FloatArray) -> None:
    """Write a GIF of one palette, each frame only where it differs from the one before.

    Pillow compresses; its own way of writing films keeps no pixel "as before" under a fixed palette, which
    makes eight times the size.
    """
    nearest = _Nearest(palette)
    before: NDArray[np.uint32] | None = None
    with path.open("wb") as file:
        for index, frame in enumerate(frames):
            pixels = frame.view("<u4")[..., 0]
            height, width = pixels.shape
            if before is None:
                file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF7, 0, 0))
                file.write(palette.astype(np.uint8).tobytes().ljust(768, b"\0"))
                file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")  # again and again
            changed = np.full(pixels.shape, True)
            if before is not None:
                changed = np.asarray(pixels != before)
            (top, bottom), (left, right) = _reach(changed, 1), _reach(changed, 0)
            changed = changed[top:bottom, left:right]
            indices = np.full(changed.shape, AS_BEFORE, np.uint8)
            indices[changed] = nearest(pixels[top:bottom, left:right][changed])
            pause = 1000 * LAST if index == count - 1 else 1000 / rate
            options = {"duration": round(pause), "transparency": AS_BEFORE, "disposal": 1}
            file.writelines(GifImagePlugin.getdata(Image.fromarray(indices), (left, top), **options))
            before = pixels.copy()
        file.write(b";")


def _reach(changed: NDArray[np.bool_], across: int) -> tuple[int, int]:
    """Return from where to where something changed, seen across an axis; one pixel where nothing did."""
    where = np.flatnonzero(np.any(changed, axis=across))
    return (int(where[0]), int(where[-1]) + 1) if where.size else (0, 1)


def _write_mp4(path: Path, frames: Iterator[Pixels], rate: int) -> None:
    options = ["-crf", "20", "-preset", "veryfast", "-movflags", "+faststart"]
    for name in ("colorspace", "color_primaries", "color_trc"):
        options += [f"-{name}", "bt709"]
    still = f"tpad=stop_mode=clone:stop_duration={LAST}"
    options += ["-vf", f"{still},scale=out_color_matrix=bt709:out_range=tv"]
    first = next(frames)
    height, width, _ = first.shape
    film = imageio_ffmpeg.write_frames(
        path,
        (width, height),
        pix_fmt_in="rgba",
        fps=rate,
        codec="libx264",
        quality=None,
        macro_block_size=2,
        output_params=options,
        ffmpeg_log_level="error",
    )
    film.send(None)
    try:
        film.send(first)
        for frame in frames:
            film.send(frame)
    finally:
        film.close()
