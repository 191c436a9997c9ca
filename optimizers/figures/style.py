"""What all pictures share: colours, type, a racer's line, numbers as the player writes them, saving."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from optimizers.catalog import Look
from optimizers.files import whole

FORMATS = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Page:
    """The colours of a page, light or dark."""

    dark: bool
    paper: str
    ink: str
    mute: str  # what is said in passing
    edge: str
    grid: str
    low: str  # tones of the map, from the valley …
    middle: str
    high: str  # … to the heights
    contour: str
    contour_alpha: float

    @property
    def tones(self) -> LinearSegmentedColormap:
        """The tones of the map: low-contrast, so that the paths are what one sees."""
        return LinearSegmentedColormap.from_list("paper", [self.low, self.middle, self.high])

    @property
    def style(self) -> dict[Any, Any]:
        """What matplotlib's rc_context takes."""
        return {
            "figure.facecolor": self.paper,
            "axes.facecolor": self.paper,
            "axes.edgecolor": self.edge,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.labelcolor": self.ink,
            "axes.titlecolor": self.ink,
            "axes.titlelocation": "left",
            "axes.grid": True,
            "grid.color": self.grid,
            "xtick.color": self.mute,
            "ytick.color": self.mute,
            "text.color": self.ink,
            "font.size": 11,
            "hatch.linewidth": 0.6,
            "legend.frameon": False,
            "text.hinting": "none",  # else a text's width depends on the resolution
            "svg.fonttype": "none",
        }

    def color(self, look: Look) -> str:
        """Return a racer's colour on this page."""
        return look.dark if self.dark else look.light

    def face(self, look: Look) -> str:
        """Return what its marker is filled with."""
        return self.paper if look.hollow else self.color(look)

    @property
    def halo(self) -> list[AbstractPathEffect]:
        """What keeps a name legible on whatever lies under it."""
        return [withStroke(linewidth=3, foreground=self.paper)]


LIGHT = Page(
    dark=False,
    paper="#fbfaf7",
    ink="#1d1f24",
    mute="#6b7079",
    edge="#c9c5bc",
    grid="#e4e1da",
    low="#b8ccdb",
    middle="#e1e7e9",
    high="#f8f5ee",
    contour="#3a5068",
    contour_alpha=0.34,
)
DARK = Page(
    dark=True,
    paper="#14161a",
    ink="#e9e7e2",
    mute="#9a9ea6",
    edge="#454b55",
    grid="#2b3038",
    low="#192c3e",
    middle="#1c2129",
    high="#242428",
    contour="#bed0e2",
    contour_alpha=0.24,
)
STYLE = LIGHT.style

_Arguments = ParamSpec("_Arguments")


@contextmanager
def on(page: Page) -> Iterator[Page]:
    """Draw with a page's colours and type, whatever the reader has set."""
    with mpl.rc_context(page.style):
        yield page


def picture(draw: Callable[_Arguments, Figure]) -> Callable[_Arguments, Figure]:
    """Let a function draw with the page's colours; a figure that is half drawn when it fails is let go of."""

    @wraps(draw)
    def drawn(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> Figure:
        before = set(plt.get_fignums())
        with on(DARK if options.get("dark") else LIGHT):
            try:
                return draw(*arguments, **options)
            except BaseException:
                for number in set(plt.get_fignums()) - before:
                    plt.close(number)
                raise

    return drawn


def line(look: Look, *, width: float = 2.2, page: Page = LIGHT) -> dict[str, Any]:
    """Return a racer's line as keywords for Axes.plot: colour, dashes, width."""
    style: dict[str, Any] = {"color": page.color(look), "linewidth": width, "solid_capstyle": "round"}
    if look.dash:
        # Catalogue dashes are for a line 2.5 px wide; matplotlib counts in line widths.
        style |= {"linestyle": (0, tuple(length / 2.5 for length in look.dash)), "dash_capstyle": "round"}
    return style


def marker(look: Look, page: Page, *, size: float = 8) -> dict[str, Any]:
    """Return the marker at a racer's end as keywords for Axes.plot."""
    color = page.color(look)
    return {
        "marker": "o",
        "markersize": size,
        "markerfacecolor": page.face(look),
        "markeredgecolor": color,
        "markeredgewidth": 2,
        "linestyle": "none",
    }


def number(value: float, digits: int = 4) -> str:
    """Write a number as the player does: four digits, a true minus, powers of ten where it is long.

    >>> number(-0.56461), number(1.234e-8), number(float("nan"))
    ('−0.5646', '1.234×10⁻⁸', '—')
    """
    if math.isnan(value):
        return "—"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e6:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}×{power(int(exponent))}".replace("-", "−")
    text = f"{value:#.{digits}g}" if abs(value) < 10 ** (digits - 1) else f"{value:.0f}"
    return text.replace("-", "−")


def short(value: float) -> str:
    """Write a number with as few digits as it has, at most four: 0.1, 2, 1×10⁻⁵."""
    text = number(value)
    digits, times, rest = text.partition("×")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return digits + times + rest


def power(exponent: int) -> str:
    """Write a power of ten: 10⁻⁸."""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def log_axis(axis: Any, low: float, high: float, most: int = 6) -> None:
    """Give a logarithmic axis from `low` to `high` ticks, few enough to read, written as the player does."""
    ticks = log_ticks(low, high, most)
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return powers of ten from `low` to `high`; where few, their 2- and 5-fold too, or round numbers.

    >>> log_ticks(1e-3, 20.0), log_ticks(1.5, 30.0), log_ticks(24.0, 29.0)
    ([0.001, 0.01, 0.1, 1.0, 10.0], [2.0, 5.0, 10.0, 20.0], [24.0, 25.0, 26.0, 27.0, 28.0, 29.0])
    """
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last - first >= 2 or (last > first and most < 5):
        stride = -(-(last - first + 1) // most)
        return [10.0**exponent for exponent in range(-(-first // stride) * stride, last + 1, stride)]
    near = [k * 10.0**exponent for exponent in range(first - 1, last + 1) for k in (1, 2, 5)]
    near = [value for value in near if low <= value <= high]
    if len(near) >= 3:
        return near
    ticks = MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [float(value) for value in ticks if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]


def tick(value: float) -> str:
    """Write a tick: 0.5, 1, 20, or 10³."""
    exponent = math.log10(value) if value > 0 else 0.0
    if abs(exponent - round(exponent)) < 1e-9 and round(exponent) not in (-1, 0, 1, 2):
        return power(round(exponent))
    return short(value)


def boxed(figure: Figure, left: float, top: float, width: float, height: float, **options: Any) -> Axes:
    """Add axes at a place given in inches from the figure's upper left corner."""
    wide, high = figure.get_size_inches()
    return figure.add_axes((left / wide, 1 - (top + height) / high, width / wide, height / high), **options)


def written(figure: Figure, left: float, top: float, text: str, **options: Any) -> Text:
    """Write on a figure at a place given in inches from its upper left corner."""
    wide, high = figure.get_size_inches()
    return figure.text(left / wide, 1 - top / high, text, **({"va": "top"} | options))


def extent(text: Text) -> tuple[float, float]:
    """Return width and height of a text in points, whatever the figure's resolution."""
    lines = text.get_text().split("\n")
    font = text.get_fontproperties()
    sizes = [text_to_path.get_text_width_height_descent(each, font, ismath=False) for each in lines]
    return max(size[0] for size in sizes), 1.25 * float(font.get_size_in_points()) * len(lines)


def width_of(text: Text) -> float:
    """Return how wide a text is, in inches."""
    return extent(text)[0] / 72


def fit(text: Text, width: float, *, least: float = 6.0) -> Text:
    """Make a text smaller until it is no wider than so many inches."""
    size = float(text.get_fontsize())
    while width_of(text) > width and size > least:
        size -= 0.5
        text.set_fontsize(size)
    return text


def wrapped(words: str, size: float, width: float) -> list[str]:
    """Break a line of so many points between its words, where it would be wider than so many inches."""
    lines: list[str] = []
    text = Text(fontsize=size)
    for word in words.split(" "):
        text.set_text(f"{lines[-1]} {word}" if lines else word)
        if lines and width_of(text) <= width:
            lines[-1] = text.get_text()
        else:
            lines.append(word)
    return lines


def save(figure: Figure, path: Path | str) -> None:
    """Write a figure as its file name's ending says (.png, .svg or .pdf), and let go of it.

    The file is whole or not there. Raises ValueError for another ending, OSError where it can't be written.
    """
    path = Path(path)
    ending(path, FORMATS)
    with whole(path) as temporary, mpl.rc_context(STYLE | {"pdf.fonttype": 42}):
        figure.savefig(temporary, dpi=160)
    plt.close(figure)


def as_png(figure: Figure) -> bytes:
    """Return a figure as a notebook shows it, and let go of it."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=100)
    plt.close(figure)
    return buffer.getvalue()


def ending(path: Path, known: tuple[str, ...]) -> str:
    """Return a file name's ending; raise a ValueError for one that is not known."""
    found = path.suffix.lower()
    if found not in known:
        raise ValueError(f"path is {str(path)!r}, but takes a name ending in {', '.join(known)}.")
    return found
