"""Named scenes, each of which shows one thing: a race, how it is looked at, and one sentence on what to see.

A scene is a link in the page's own notation, so that it opens like any other. What its sentence says is
checked in `tests/app/test_scenes.py`, by running the race.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scene:
    """One entry of the menu of scenes."""

    name: str  # in the address, as scene=…
    title: str
    watch: str  # what to look at, in one sentence
    race: str  # the link, without the scene's own name

    @property
    def query(self) -> str:
        """The link that opens it."""
        return f"{self.race}&scene={self.name}"


# A slope without end or curvature: the gradient is the same everywhere, so every step shows the rule alone.
_PLANE = 'surface=formula("-x",reach=4)&start=-3.5,0'

_ENTRIES = (
    Scene(
        "ravine",
        "A ravine",
        "Gradient descent leaps from wall to wall and creeps along the floor; momentum adds up the small "
        "pushes that agree.",
        "surface=quadratic(condition=50)&o=gd(lr=0.036)&o=momentum(lr=0.036,momentum=0.7)&start=-2.5,1&steps=120"
        "&racer=0&show=vectors",
    ),
    Scene(
        "two-over-l",
        "Divergence at 2/L",
        "The steepest curvature is L = 10: just under lr = 2/L each swing is a little shorter than the last, "
        "just over it a little longer.",
        "surface=quadratic&o=gd(lr=0.198)&o=gd(lr=0.202)&names=below 2/L,above 2/L&start=-2.5,1&steps=120"
        "&racer=1&charts=loss,distance",
    ),
    Scene(
        "overshoot",
        "Momentum overshoots",
        "Momentum swings through the minimum and back; each swing keeps √μ a step along both curvatures: "
        "0.95 for μ = 0.9, 0.9 for μ = 0.81.",
        "surface=quadratic&o=gd(lr=0.02)&o=momentum(lr=0.02)&o=momentum(lr=0.02,momentum=0.81)&start=-2.5,1"
        "&steps=150&racer=1",
    ),
    Scene(
        "ten-times",
        "Same lr, ten times the step",
        "On a steady slope momentum 0.9 ends up taking ten times gradient descent's step at the same lr: "
        "the fair opponent has lr 0.1, not 0.01.",
        f"{_PLANE}&o=gd(lr=0.01)&o=momentum(lr=0.01)&o=gd(lr=0.1)&steps=60&racer=1&panel=fair&charts=loss,length",
    ),
    Scene(
        "first-steps",
        "Without bias correction",
        "One slope, so Adam's steps are all lr long; uncorrected, the first is 3.16 times that and the "
        "twelfth 6.57 times, not smaller.",
        f"{_PLANE}&o=adam(lr=0.02)&o=adam(lr=0.02,bias_correction=False)&steps=60&step=12&racer=1"
        "&show=vectors",
    ),
    Scene(
        "first-leap",
        "RMSprop's first leap",
        "RMSprop starts from v = 0 and corrects nothing: its first step is 3.2, 10 or 31.6 times lr for "
        "α 0.9, 0.99, 0.999; Adam's, corrected, is lr.",
        "surface=quadratic(condition=1)&o=rmsprop(lr=0.02,alpha=0.9)&o=rmsprop(lr=0.02)"
        "&o=rmsprop(lr=0.02,alpha=0.999)&o=adam(lr=0.02,beta1=0,beta2=0.99)&start=-2.5,1&steps=150&step=1&racer=2"
        "&show=vectors&charts=loss,length",
    ),
    Scene(
        "rotated-ravine",
        "Adam on a rotated ravine",
        "Adam rescales x and y, no help in a ravine across both: turn the angle to 0° and it arrives in a "
        "fifth of the steps, gradient descent when it did.",
        "surface=quadratic(condition=50,angle=45)&o=gd(lr=0.02)&o=adam(lr=0.05)&start=-2.4749,-1.0607&steps=450"
        "&racer=1&speed=2&charts=loss,effective",
    ),
    Scene(
        "saddle",
        "Escape from a saddle",
        "All run downhill into a pass; whoever divides by the gradient's size is out of it first, gradient "
        "descent last.",
        "surface=saddle&o=gd(lr=0.05)&o=momentum(lr=0.05)&o=rmsprop(lr=0.05)&o=adam(lr=0.05)&steps=100"
        "&racer=3&stage=relief&charts=loss,gradient",
    ),
    Scene(
        "plateau",
        "A plateau",
        "Here the slope is 0.0001: gradient descent hardly moves though its lr is 20 times Adam's, and Adam, "
        "which divides by the slope's size, walks.",
        "surface=plateau&o=gd(lr=1)&o=momentum(lr=1)&o=adam(lr=0.05)&steps=200&racer=2&stage=relief"
        "&charts=loss,effective",
    ),
    Scene(
        "local-minima",
        "A local minimum",
        "Gradient descent and Adam rest in the first bowl they meet; momentum is fast enough to roll on into "
        "the deepest.",
        "surface=styblinski_tang&o=gd(lr=0.01)&o=momentum(lr=0.01)&o=adam(lr=0.1)&steps=150&racer=1",
    ),
    Scene(
        "sharp-and-flat",
        "Too sharp to rest in",
        "Two minima equally deep, curved 100 to 1: below lr 2/100 gradient descent rests in the sharp one, "
        "with lr 0.05 only in the flat one.",
        "surface=sharp_flat&o=gd(lr=0.019)&o=gd(lr=0.05)&steps=150&racer=1",
    ),
    Scene(
        "which-minimum",
        "Which minimum?",
        "Four minima, one start, three optimizers, three answers: the map is coloured by where the chosen "
        "one would end from each start.",
        "surface=himmelblau&o=gd(lr=0.01)&o=momentum(lr=0.01)&o=adam(lr=0.3)&start=0,-3&steps=150&racer=1"
        "&show=basin",
    ),
    Scene(
        "cliff",
        "A cliff",
        "One touch of the wall, a thousand times as steep as the start, throws gradient descent and momentum "
        "off the map.",
        "surface=cliff&o=gd(lr=0.1)&o=momentum(lr=0.02)&steps=200&racer=0",
    ),
    Scene(
        "clipping",
        "The cliff, with clipping",
        "The same race with the gradient's norm clipped at 1: both slide down along the wall and arrive.",
        "surface=cliff&o=gd(lr=0.1)&o=momentum(lr=0.02)&steps=200&clip_norm=1&racer=0",
    ),
    Scene(
        "noise-floor",
        "The noise floor",
        "With a noisy gradient and a constant lr nobody arrives: each ends up in a cloud about the minimum, "
        "wider the larger its lr.",
        "surface=quadratic&o=gd(lr=0.1)&o=gd(lr=0.02)&start=-2.5,1&steps=600&noise=3&racer=0&speed=2&show=cloud"
        "&charts=loss,distance",
    ),
    Scene(
        "schedule",
        "A schedule settles",
        "The same noise under a cosine schedule: large steps to get there, then ever smaller ones, and the "
        "cloud shrinks.",
        "surface=quadratic&o=gd(lr=0.1)&o=gd(lr=0.02)&start=-2.5,1&steps=600&noise=3&schedule=cosine&racer=0"
        "&speed=2&show=cloud&charts=distance,lr",
    ),
    Scene(
        "sweep",
        "lr × β₂",
        "Adam in a curved valley: with β₂ 0.999 hardly an lr arrives in 400 steps, with 0.9 a whole range "
        "does; press a cell to play it.",
        "surface=rosenbrock&o=adam(lr=0.1)&steps=400&racer=0&panel=sweep&sweep=lr,beta2",
    ),
    Scene(
        "amsgrad",
        "AMSGrad's counterexample",
        "One gradient in 101 is large and right, the rest small and wrong: Adam forgets it and goes to the "
        "worst x, 1; AMSGrad, slowly, the other way.",
        "surface=counterexample&o=adam(lr=0.05,beta2=0.99)&o=amsgrad(lr=0.05,beta2=0.99)&start=0,0.8&steps=5000"
        "&racer=0&speed=8&charts=loss,effective",
    ),
)

SCENES: dict[str, Scene] = {scene.name: scene for scene in _ENTRIES}
