"""Every update rule, written once, simplest first.

A rule is a pure function of operators only, so that the same function steps a point on a surface (Numba),
updates a network's parameters (torch) and can be traced into its formula. It is elementwise: it takes one
coordinate, or an array of them, and hyperparameters that broadcast.

    update, new_state, shown = rule(theta, g, t, *state, **hyperparameters)

Arguments are bound by name: `theta` the parameter, `g` its gradient, `t` the step counted from 1, then the
state, which starts at zero, then the hyperparameters. The next parameter is `theta + update`. `shown` is what
the step used and a learner wants to see; its first entry is always the effective learning rate, the factor on
the rule's direction. What people need to know of each rule stands in `catalog`.
"""

from typing import Any

from optimizers.elementwise import sqrt

# A float on a surface, a NumPy array, a torch tensor or a SymPy symbol: whatever has operators.
Number = Any
Step = tuple[Number, tuple[Number, ...], tuple[Number, ...]]  # update, new state, shown


def gd(theta: Number, g: Number, t: Number, lr: Number) -> Step:
    """Gradient descent: Δθ = −lr·g. Cauchy (1847)."""
    return -lr * g, (), (lr,)


def momentum(theta: Number, g: Number, t: Number, m: Number, lr: Number, momentum: Number) -> Step:
    """Heavy ball: m ← μm + g, Δθ = −lr·m. Polyak (1964), in the convention of torch.optim.SGD."""
    m = momentum * m + g
    return -lr * m, (m,), (lr,)


def nesterov(theta: Number, g: Number, t: Number, m: Number, lr: Number, momentum: Number) -> Step:
    """Nesterov's momentum: m ← μm + g, Δθ = −lr·(g + μm). Nesterov (1983), as torch.optim.SGD has it."""
    m = momentum * m + g
    look_ahead = g + momentum * m
    return -lr * look_ahead, (m,), (lr, look_ahead)


def adagrad(theta: Number, g: Number, t: Number, v: Number, lr: Number, eps: Number) -> Step:
    """Adagrad: v ← v + g², Δθ = −lr·g/(√v + ε). Duchi, Hazan, Singer (2011)."""
    v = v + g * g
    effective_lr = lr / (sqrt(v) + eps)
    return -effective_lr * g, (v,), (effective_lr,)


def rmsprop(theta: Number, g: Number, t: Number, v: Number, lr: Number, alpha: Number, eps: Number) -> Step:
    """RMSprop: v ← αv + (1−α)g², Δθ = −lr·g/(√v + ε). Tieleman and Hinton (2012), Coursera lecture 6e."""
    v = alpha * v + (1 - alpha) * g * g
    effective_lr = lr / (sqrt(v) + eps)
    return -effective_lr * g, (v,), (effective_lr,)


def adam(
    theta: Number,
    g: Number,
    t: Number,
    m: Number,
    v: Number,
    lr: Number,
    beta1: Number,
    beta2: Number,
    eps: Number,
    correct_m: Number,
    correct_v: Number,
) -> Step:
    """Adam: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², Δθ = −lr·m̂/(√v̂ + ε). Kingma and Ba, arXiv:1412.6980.

    m̂ = m/(1−β₁ᵗ) and v̂ = v/(1−β₂ᵗ) undo the pull of the zero start (§3 of the paper). `correct_m` and
    `correct_v` are 1 with that correction and 0 without it; ε stands outside the root, as torch has it.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - correct_m * beta1**t)
    v_hat = v / (1 - correct_v * beta2**t)
    effective_lr = lr / (sqrt(v_hat) + eps)
    return -effective_lr * m_hat, (m, v), (effective_lr, m_hat, v_hat)
