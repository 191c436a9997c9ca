"""Pictures by matplotlib, in the racers' own colours and line styles, good enough to print.

Every function takes `dark=True` for a dark page, and returns a figure but for `animate`, which writes a film.

>>> from optimizers import race
>>> save(paths(race(["adam(lr=0.1)", "rmsprop"], "rosenbrock")), "race.png")  # doctest: +SKIP
"""

from optimizers.figures.charts import basin, basin_words, sweep, sweep_words
from optimizers.figures.film import FILMS, Film, animate
from optimizers.figures.inside import stages
from optimizers.figures.landscape import landscape
from optimizers.figures.racing import losses, panels, paths
from optimizers.figures.style import FORMATS, STYLE, as_png, line, save

__all__ = [
    "FILMS",
    "FORMATS",
    "STYLE",
    "Film",
    "animate",
    "as_png",
    "basin",
    "basin_words",
    "landscape",
    "line",
    "losses",
    "panels",
    "paths",
    "save",
    "stages",
    "sweep",
    "sweep_words",
]
