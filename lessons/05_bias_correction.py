# %% [markdown]
# # Bias correction
#
# Adam divides its two averages by 1 − βᵗ. What changes if it does not?
#
# Adam keeps a running average of the gradient, and one of its square:
#
# $$
# m \leftarrow \beta_1 m + (1-\beta_1)\,g \qquad v \leftarrow \beta_2 v + (1-\beta_2)\,g^2
# $$
#
# Both start at zero, so at first both are too small: averages of what was seen and of a zero that
# never was. The paper therefore divides each by the weight that real gradients have in it so far,
# and steps with what comes out:
#
# $$
# \hat m = \frac{m}{1-\beta_1^t} \qquad \hat v = \frac{v}{1-\beta_2^t}
# \qquad \Delta\theta = -\,\mathrm{lr}\,\frac{\hat m}{\sqrt{\hat v}+\varepsilon}
# $$
#
# Many home-made Adams leave the two divisions out. Then the first steps come out wrong: which way?

# %%
from urllib.parse import urlencode

import matplotlib.pyplot as plt
import numpy as np

from lessons.kit import ask, knob, show
from optimizers import SURFACES, figures, race, simulate
from optimizers.rules import adam

# %% [markdown]
# ## The first step
#
# Four Adams leave the same point with the same learning rate: with the correction, without it, and
# with only m or only v corrected.

# %%
lr = knob("lr", 0.1, 1e-3, 1)
four = race(
    [
        f"adam(lr={lr})",
        f"adam(lr={lr}, bias_correction=False)",
        f"adam(lr={lr}, bias_correction=first)",  # m only
        f"adam(lr={lr}, bias_correction=second)",  # v only
    ],
    "beale",
    steps=400,
)
corrected, uncorrected, m_only, v_only = four
first = [abs(walk.update[0, 0]) / lr for walk in four]
beta1, beta2 = (corrected.racer.values[name] for name in ("beta1", "beta2"))

g = abs(corrected.grad[0, 0])
m, root_v = abs(uncorrected.state["m"][0, 0]), uncorrected.state["v"][0, 0] ** 0.5
ask(
    "How long is the first step without the correction?",
    {
        "a tenth of lr: the averages start too small": 0.1,
        "a third of lr": 0.316,
        "lr, as with it: the two errors cancel": 1,
        "three times lr": 3.16,
        "thirty times lr": 31.6,
    },
    first[1],
    f"It is {first[1]:.2f} × lr. m is {g / m:.0f} times too small, but √v, which divides it, is "
    f"{g / root_v:.1f} times too small. Divide by too little, and too much comes out.",
)

# %%
show(
    {
        "": ["m", "√v", "m / √v"],
        "should be": [g, g, 1.0],
        "is": [m, root_v, m / root_v],
        "ratio": [m / g, root_v / g, m / root_v],
    }
)
show(
    f"“Without correction the first steps are too small” is a common belief, and the wrong way "
    f"round: at the first step the ratio is (1−β₁)/√(1−β₂) = {(1 - beta1) / (1 - beta2) ** 0.5:.2f}. "
    f"The belief holds if v is corrected and m is not: then the step is {first[3]:.2g} × lr. With m "
    f"corrected and v not, it is {first[2]:.1f} × lr."
)

# %% [markdown]
# ## And then?
#
# As gradients arrive the zero fades, quickly from m and slowly from v. To see that and nothing
# else, let the gradient be 1 at every step, and ε be 0. The rule is a plain function: call it.


# %%
def step_lengths(beta1, beta2, correct_m=0, correct_v=0, steps=3000):
    """|Δθ| / lr at each step under a constant gradient."""
    m = v = 0.0
    lengths = []
    for t in range(1, steps + 1):
        update, (m, v), _ = adam(0.0, 1.0, t, m, v, 1.0, beta1, beta2, 0.0, correct_m, correct_v)
        lengths.append(-update)
    return np.array(lengths)


factor = step_lengths(beta1, beta2)
t = np.arange(1, len(factor) + 1)
assert np.allclose(factor, (1 - beta1**t) / np.sqrt(1 - beta2**t), rtol=1e-9)  # the closed form

peak = int(t[factor.argmax()])
late = int(t[factor > 1.05][-1])
ask(
    "When is the uncorrected step longest?",
    {"at the first step": 1, "after a dozen": 12, "after a hundred": 100, "after a thousand": 1000},
    peak,
    f"At t = {peak}, when it is {factor.max():.2f} × lr: m has come to "
    f"{100 * (1 - beta1**peak):.0f} % of what it should be, √v only to "
    f"{100 * (1 - beta2**peak) ** 0.5:.0f} %.",
)

# %%
with plt.rc_context(figures.STYLE):
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    for look, corrections in zip(four.looks, [(1, 1), (0, 0), (1, 0), (0, 1)], strict=True):
        axes.loglog(t, step_lengths(beta1, beta2, *corrections), label=look.label, **figures.line(look))
    axes.plot(peak, factor.max(), "o", markersize=7, color=four.looks[1].light)
    note = f"{factor.max():.2f} × at t = {peak}"
    axes.annotate(note, (peak, factor.max()), (0, -20), textcoords="offset points", ha="center")
    axes.set(xlabel="step t", title="Step length / lr under a constant gradient")
    axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
    axes.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
    axes.legend()
show(figure)
show(
    f"Uncorrected, the step is {factor[0]:.2f} × lr at t = 1, {factor.max():.2f} × at t = {peak}, and still "
    f"more than 5 % too long until t = {late:,}. Nearly all of that is v: correct v alone, and by "
    f"t = {peak} the step is back at {step_lengths(beta1, beta2, 0, 1)[peak - 1]:.2f} × lr."
)

# %% [markdown]
# ## It hangs on the two β
#
# The same experiment for other decay rates: the first step, the longest, and the last that is more
# than 5 % too long.

# %%
pairs = [(b1, b2) for b1 in (0.0, 0.9) for b2 in (0.99, 0.999, 0.9999)]
lengths = [step_lengths(*pair, steps=30_000) for pair in pairs]
last = [int(np.flatnonzero(length > 1.05)[-1]) + 1 for length in lengths]
show(
    {
        "β₁": [b1 for b1, _ in pairs],
        "β₂": [b2 for _, b2 in pairs],
        "first step / lr": [length[0] for length in lengths],
        "longest / lr": [length.max() for length in lengths],
        "at t": [int(length.argmax()) + 1 for length in lengths],
        "5 % too long until": last,
    }
)
trap = lengths[pairs.index((0.9, 0.99))]
assert last[:3] == last[3:]
show(
    f"With β₁ = 0.9 and β₂ = 0.99 the first step is {trap[0]:.2f} × lr, as if nothing were wrong; "
    f"{trap.argmax()} steps later it is {trap.max():.2f} ×. How long the error lasts is β₂'s doing alone: "
    f"the last column is the same for both β₁."
)

# %% [markdown]
# RMSprop is the case β₁ = 0, and torch.optim does not correct it. So it too begins with a long step, the
# longer the smoother its average.

# %%
alphas = (0.9, 0.99, 0.999)
begins = [simulate(f"rmsprop(lr={lr}, alpha={alpha})", "beale", steps=1) for alpha in alphas]
show({"α": alphas, "first step / lr": [abs(b.update[0, 0]) / lr for b in begins]})

# %% [markdown]
# ## On a surface
#
# Now the gradient changes at every step. Both Adams leave the same point with the same lr: solid
# with the correction, dotted without. Go back to the start, step through the first dozen, and
# compare √v with √v̂.

# %%
show(race([corrected.racer, uncorrected.racer], "beale", steps=400))


def arrival(walk):
    return "does not arrive" if walk.arrived is None else f"arrives at step {walk.arrived}"


ground = [np.hypot(*walk.update[:peak].T).sum() for walk in four]
show(
    f"With lr = {lr:g}, Adam covers {ground[0]:.2g} in its first {peak} steps and {arrival(corrected)}. "
    f"Uncorrected it covers {ground[1]:.2g} and {arrival(uncorrected)}."
)

# %% [markdown]
# ## So which is better?
#
# One race proves little. The same two again, on four surfaces from each one's own start, with 13
# learning rates from 0.001 to 1, over 2,000 steps. Who arrives sooner?

# %%
rates = np.geomspace(1e-3, 1, 13)
sooner = {"lr": [float(f"{rate:.2g}") for rate in rates]}
for surface in ("quadratic", "rosenbrock", "beale", "himmelblau"):
    column = []
    for rate in rates:
        two = race([f"adam(lr={rate})", f"adam(lr={rate}, bias_correction=False)"], surface, steps=2000)
        steps = [np.inf if walk.arrived is None else walk.arrived for walk in two]
        column.append("–" if steps[0] == steps[1] else ("with", "without")[int(np.argmin(steps))])
    sooner[SURFACES[surface].title] = column


def verdict(races):
    share = (races == "without").sum() / (races != "–").sum()
    return "without" if share > 0.9 else "with" if share < 0.1 else "either"


winners = np.array(list(sooner.values())[1:])  # (surface, lr)
small, large = winners[:, rates < 0.0999], winners[:, rates > 0.0999]
options = {
    ("with", "with"): "with it, nearly always",
    ("without", "without"): "without it, nearly always",
    ("with", "either"): "with it while lr is small, and then it depends",
    ("without", "either"): "without it while lr is small, and then it depends",
}
ask(
    "Does Adam arrive sooner with the correction or without it?",
    list(options.values()),
    options[verdict(small), verdict(large)],
    f"Below lr = 0.1 it is sooner without in {(small == 'without').sum()} races and with in "
    f"{(small == 'with').sum()}; from there up, in {(large == 'without').sum()} and "
    f"{(large == 'with').sum()}. Longer first steps help where steps are too short.",
)

# %%
show(sooner)

# %% [markdown]
# ## What the correction is
#
# Look at the curves once more. Uncorrected Adam is Adam with its learning rate multiplied by
#
# $$
# \frac{1-\beta_1^t}{\sqrt{1-\beta_2^t}}
# $$
#
# which is a learning-rate schedule and nothing else, ε aside. Give that schedule to Adam with its
# correction, and it should walk the uncorrected path.

# %%
without = uncorrected.racer.change(eps=1e-12)
with_it = without.change(bias_correction=True)
scheduled = simulate(with_it, "rosenbrock", steps=400, schedule=lambda step: factor[step])
bare = simulate(without, "rosenbrock", steps=400)
apart = np.abs(scheduled.path - bare.path).max()
assert apart < 1e-9
show(
    f"Over {len(bare.lr)} steps the two paths agree to {int(-np.log10(apart))} decimals. So the correction "
    f"is no better optimizer. It makes lr mean what it says from the first step on, where without it "
    f"Adam runs at up to {factor.max():.2f} times that, and at more than twice lr for "
    f"{int((factor > 2).sum())} steps. If you drop the correction, tune lr again before you compare."
)

# %% [markdown]
# ## On a network
#
# Does it matter there? Do not take a surface's word for it. Guess first: of the four Adams, whose
# loss is lowest after fifty steps, and whose after three epochs?

# %%
names = [str(racer.change(lr=1e-3)) for racer in four.racers]
lab = "/lab?" + urlencode([*(("o", name) for name in names), ("data", "shapes10"), ("epochs", 3)])
flags = "".join(f' -o "{name}" \\\n       ' for name in names)
show(
    f"Race them on generated pictures in [the lab]({lab}), or in a terminal:\n\n"
    f"    adamscope train{flags} --data shapes10 --epochs 3"
)
