"""Every update rule, written once, simplest first.

A rule is a pure function of operators and `elementwise`, so that the same function steps a point on a
surface (Numba), updates a network's parameters (torch) and can be traced into its formula. It takes one
coordinate, or an array of them, and hyperparameters that broadcast.

    update, new_state, shown = rule(theta, g, t, *state, **hyperparameters)

Arguments are bound by name: `theta` the parameter, `g` its gradient, `t` the step counted from 1, then the
state, which starts at zero unless the catalogue says otherwise, then the hyperparameters; what is chosen
rather than measured is a flag, 1 or 0. The next parameter is `theta + update`. `shown` is what the step used
and a learner wants to see; its first entry is always the effective learning rate, the factor on the rule's
direction. What people need to know of each rule stands in `catalog`.

`weight_decay` λ pulls towards zero: coupled, it is part of the gradient, g + λθ; decoupled, a step of its
own, lr·λ·θ, which is then the last of what is shown. Where torch.optim has the rule, names, order and meaning
are its own, and the same path follows; what differs is said.
"""

from typing import Any

from optimizers.elementwise import maximum, sign, sqrt, where

# A float on a surface, a NumPy array, a torch tensor or a SymPy symbol: whatever has operators.
Number = Any
Step = tuple[Number, tuple[Number, ...], tuple[Number, ...]]  # update, new state, shown


def gd(theta: Number, g: Number, t: Number, lr: Number, weight_decay: Number = 0) -> Step:
    """Gradient descent: Δθ = −lr·g. Cauchy (1847); torch.optim.SGD."""
    decayed = g + weight_decay * theta
    return -lr * decayed, (), (lr, decayed)


def momentum(
    theta: Number,
    g: Number,
    t: Number,
    m: Number,
    lr: Number,
    momentum: Number,
    dampening: Number = 0,
    weight_decay: Number = 0,
    nesterov: Number = 0,
    sutskever: Number = 0,
    ema: Number = 0,
) -> Step:
    """Heavy ball: m ← μm + (1−τ)g, Δθ = −lr·m. Polyak (1964), in the convention of torch.optim.SGD.

    The dampening τ is left out of the first step, as in torch, which with μ = 0 leaves it out altogether.
    Nesterov's form steps along g + μm. Two other conventions weigh the gradient as it enters: with
    `sutskever` (Sutskever et al., ICML 2013) m ← μm + lr·g and Δθ = −m, with `ema` m ← μm + (1−μ)g.
    """
    decayed = g + weight_decay * theta
    entering = where(sutskever, lr, where(ema, 1 - momentum, 1)) * decayed
    m = momentum * m + where(t > 1, 1 - dampening, 1) * entering
    direction = where(nesterov, entering + momentum * m, m)
    effective_lr = where(sutskever, 1, lr)
    return -effective_lr * direction, (m,), (effective_lr, decayed, direction)


def nesterov(
    theta: Number, g: Number, t: Number, m: Number, lr: Number, momentum: Number, weight_decay: Number = 0
) -> Step:
    """Nesterov's momentum: m ← μm + g, Δθ = −lr·(g + μm). Nesterov (1983), as torch.optim.SGD has it."""
    decayed = g + weight_decay * theta
    m = momentum * m + decayed
    look_ahead = decayed + momentum * m
    return -lr * look_ahead, (m,), (lr, decayed, look_ahead)


def adagrad(
    theta: Number,
    g: Number,
    t: Number,
    v: Number,
    lr: Number,
    eps: Number,
    lr_decay: Number = 0,
    weight_decay: Number = 0,
) -> Step:
    """Adagrad: v ← v + g², Δθ = −lr·g/(√v + ε). Duchi, Hazan, Singer (2011); torch.optim.Adagrad.

    With `lr_decay` η, lr is divided by 1 + (t−1)η.
    """
    decayed = g + weight_decay * theta
    v = v + decayed * decayed
    effective_lr = lr / (1 + (t - 1) * lr_decay) / (sqrt(v) + eps)
    return -effective_lr * decayed, (v,), (effective_lr, decayed)


def rmsprop(
    theta: Number,
    g: Number,
    t: Number,
    v: Number,
    g_mean: Number,
    m: Number,
    lr: Number,
    alpha: Number,
    eps: Number,
    momentum: Number = 0,
    weight_decay: Number = 0,
    centered: Number = 0,
    eps_inside: Number = 0,
) -> Step:
    """RMSprop: v ← αv + (1−α)g², Δθ = −lr·g/(√v + ε). Tieleman and Hinton (2012), Coursera lecture 6e.

    As torch.optim.RMSprop has it: `centered` (Graves, arXiv:1308.0850) divides by √(v − ḡ²), where
    ḡ ← αḡ + (1−α)g; with momentum μ > 0 what is divided gathers, m ← μm + g/(√v + ε), and Δθ = −lr·m.
    `eps_inside` puts ε under the root, √(v + ε), which torch has not.
    """
    decayed = g + weight_decay * theta
    v = alpha * v + (1 - alpha) * decayed * decayed
    g_mean = alpha * g_mean + (1 - alpha) * decayed
    spread = v - where(centered, g_mean * g_mean, 0)
    size = sqrt(spread + where(eps_inside, eps, 0)) + where(eps_inside, 0, eps)
    m = momentum * m + decayed / size
    effective_lr = where(momentum > 0, lr, lr / size)
    direction = where(momentum > 0, m, decayed)
    return -effective_lr * direction, (v, g_mean, m), (effective_lr, decayed, spread)


def adadelta(
    theta: Number,
    g: Number,
    t: Number,
    u: Number,
    v: Number,
    lr: Number,
    rho: Number,
    eps: Number,
    weight_decay: Number = 0,
) -> Step:
    """Adadelta: v ← ρv + (1−ρ)g², δ = g·√(u + ε)/√(v + ε), u ← ρu + (1−ρ)δ², Δθ = −lr·δ.

    Zeiler, arXiv:1212.5701, which has no lr; torch.optim.Adadelta. ε keeps the division finite, and is what
    the first steps are made of, since u starts at zero.
    """
    decayed = g + weight_decay * theta
    v = rho * v + (1 - rho) * decayed * decayed
    ratio = sqrt(u + eps) / sqrt(v + eps)
    delta = ratio * decayed
    u = rho * u + (1 - rho) * delta * delta
    effective_lr = lr * ratio
    return -effective_lr * decayed, (u, v), (effective_lr, decayed)


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
    correct_m: Number = 1,
    correct_v: Number = 1,
    weight_decay: Number = 0,
    eps_inside: Number = 0,
    eps_hat: Number = 0,
) -> Step:
    """Adam: m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², Δθ = −lr·m̂/(√v̂ + ε). Kingma and Ba, arXiv:1412.6980.

    m̂ = m/(1−β₁ᵗ) and v̂ = v/(1−β₂ᵗ) undo the pull of the zero start (§3 of the paper). `correct_m` and
    `correct_v` are 1 with that correction and 0 without it. ε stands outside the root, as torch has it; with
    `eps_inside` under it, √(v̂ + ε); with `eps_hat` beside the uncorrected root, as in the paper's faster form
    (end of §2), Keras and TensorFlow: Δθ = −αₜ·m/(√v + ε̂), αₜ = lr·√(1−β₂ᵗ)/(1−β₁ᵗ).
    """
    decayed = g + weight_decay * theta
    m = beta1 * m + (1 - beta1) * decayed
    v = beta2 * v + (1 - beta2) * decayed * decayed
    kept_m = 1 - correct_m * beta1**t
    kept_v = 1 - correct_v * beta2**t
    m_hat = m / kept_m
    v_hat = v / kept_v
    eps_out = eps / where(eps_hat, sqrt(kept_v), 1)
    size = sqrt(v_hat + where(eps_inside, eps, 0)) + where(eps_inside, 0, eps_out)
    effective_lr = lr / size
    lr_t = lr * sqrt(kept_v) / kept_m
    return -effective_lr * m_hat, (m, v), (effective_lr, decayed, m_hat, v_hat, lr_t)


def adamw(
    theta: Number,
    g: Number,
    t: Number,
    m: Number,
    v: Number,
    lr: Number,
    beta1: Number,
    beta2: Number,
    eps: Number,
    weight_decay: Number,
    eps_inside: Number = 0,
    eps_hat: Number = 0,
) -> Step:
    """AdamW: Adam's step, and θ shrinks by itself: Δθ = −lr·m̂/(√v̂ + ε) − lr·λ·θ.

    Loshchilov and Hutter, arXiv:1711.05101, with lr on the decay as torch.optim.AdamW has it. ε as in `adam`.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    kept_m = 1 - beta1**t
    kept_v = 1 - beta2**t
    m_hat = m / kept_m
    v_hat = v / kept_v
    eps_out = eps / where(eps_hat, sqrt(kept_v), 1)
    size = sqrt(v_hat + where(eps_inside, eps, 0)) + where(eps_inside, 0, eps_out)
    effective_lr = lr / size
    decay = lr * weight_decay * theta
    lr_t = lr * sqrt(kept_v) / kept_m
    return -effective_lr * m_hat - decay, (m, v), (effective_lr, m_hat, v_hat, lr_t, decay)


def amsgrad(
    theta: Number,
    g: Number,
    t: Number,
    m: Number,
    v: Number,
    v_max: Number,
    lr: Number,
    beta1: Number,
    beta2: Number,
    eps: Number,
    weight_decay: Number = 0,
) -> Step:
    """AMSGrad: Adam that divides by the greatest v so far, vₘₐₓ ← max(vₘₐₓ, v). Reddi et al., ICLR 2018.

    The paper corrects no bias; torch.optim.Adam(amsgrad=True) takes the greatest of the uncorrected v and
    corrects that, v̂ = vₘₐₓ/(1−β₂ᵗ), and so does this.
    """
    decayed = g + weight_decay * theta
    m = beta1 * m + (1 - beta1) * decayed
    v = beta2 * v + (1 - beta2) * decayed * decayed
    v_max = maximum(v_max, v)
    m_hat = m / (1 - beta1**t)
    v_hat = v_max / (1 - beta2**t)
    effective_lr = lr / (sqrt(v_hat) + eps)
    return -effective_lr * m_hat, (m, v, v_max), (effective_lr, decayed, m_hat, v_hat)


def adamax(
    theta: Number,
    g: Number,
    t: Number,
    m: Number,
    u: Number,
    lr: Number,
    beta1: Number,
    beta2: Number,
    eps: Number,
    weight_decay: Number = 0,
) -> Step:
    """Adamax: u ← max(β₂u, |g| + ε), Δθ = −lr·m̂/u: Adam with the greatest |g| as size. arXiv:1412.6980, §7.1.

    The paper has no ε; here it stands as torch.optim.Adamax has it.
    """
    decayed = g + weight_decay * theta
    m = beta1 * m + (1 - beta1) * decayed
    u = maximum(beta2 * u, abs(decayed) + eps)
    m_hat = m / (1 - beta1**t)
    effective_lr = lr / u
    return -effective_lr * m_hat, (m, u), (effective_lr, decayed, m_hat)


def nadam(
    theta: Number,
    g: Number,
    t: Number,
    m: Number,
    v: Number,
    mu_product: Number,
    lr: Number,
    beta1: Number,
    beta2: Number,
    eps: Number,
    momentum_decay: Number,
    weight_decay: Number = 0,
    decoupled_weight_decay: Number = 0,
) -> Step:
    """NAdam: Adam that looks ahead as Nesterov does, Δθ = −lr·m̄/(√v̂ + ε). Dozat (2016).

    m̄ = (1−μₜ)g/(1−Πμᵢ) + μₜ₊₁m/(1−μₜ₊₁Πμᵢ), both products up to t, where μₜ = β₁(1 − 0.96^(tψ)/2) warms the
    momentum up. `mu_product` is that product, the same for every coordinate; torch.optim.NAdam.
    """
    decayed = g + where(decoupled_weight_decay, 0, weight_decay) * theta
    m = beta1 * m + (1 - beta1) * decayed
    v = beta2 * v + (1 - beta2) * decayed * decayed
    mu = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
    mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
    mu_product = mu_product * mu
    m_bar = (1 - mu) / (1 - mu_product) * decayed + mu_next / (1 - mu_product * mu_next) * m
    v_hat = v / (1 - beta2**t)
    effective_lr = lr / (sqrt(v_hat) + eps)
    decay = where(decoupled_weight_decay, lr * weight_decay, 0) * theta
    update = -effective_lr * m_bar - decay
    return update, (m, v, mu_product), (effective_lr, decayed, m_bar, v_hat, decay)


def radam(
    theta: Number,
    g: Number,
    t: Number,
    m: Number,
    v: Number,
    lr: Number,
    beta1: Number,
    beta2: Number,
    eps: Number,
    weight_decay: Number = 0,
    decoupled_weight_decay: Number = 0,
) -> Step:
    """RAdam: Adam that trusts v only once it averages enough steps. Liu et al., arXiv:1908.03265.

    v averages about ρ = ρ∞ − 2tβ₂ᵗ/(1−β₂ᵗ) steps, ρ∞ = 2/(1−β₂) − 1. Up to ρ = 5, Δθ = −lr·m̂; then
    Δθ = −lr·r·m̂·√(1−β₂ᵗ)/(√v + ε), r = √((ρ−4)(ρ−2)ρ∞/((ρ∞−4)(ρ∞−2)ρ)). The paper draws the line at 4 and
    has no ε; torch.optim.RAdam has 5, and ε beside the uncorrected root.
    """
    decayed = g + where(decoupled_weight_decay, 0, weight_decay) * theta
    m = beta1 * m + (1 - beta1) * decayed
    v = beta2 * v + (1 - beta2) * decayed * decayed
    m_hat = m / (1 - beta1**t)
    kept_v = 1 - beta2**t
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * t * beta2**t / kept_v
    rho_inf, long = maximum(rho_inf, 5), maximum(rho, 5)  # below 5 r is not used, and would not be real
    r = sqrt((long - 4) * (long - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * long))
    effective_lr = where(rho > 5, lr * r * sqrt(kept_v) / (sqrt(v) + eps), lr)
    decay = where(decoupled_weight_decay, lr * weight_decay, 0) * theta
    return -effective_lr * m_hat - decay, (m, v), (effective_lr, decayed, m_hat, rho, decay)


def signsgd(theta: Number, g: Number, t: Number, m: Number, lr: Number, momentum: Number) -> Step:
    """signSGD: Δθ = −lr·sign(g). Bernstein et al., arXiv:1802.04434.

    With momentum μ > 0 it is their Signum: m ← μm + (1−μ)g, Δθ = −lr·sign(m).
    """
    m = momentum * m + (1 - momentum) * g
    direction = sign(m)
    return -lr * direction, (m,), (lr, direction)


def lion(
    theta: Number,
    g: Number,
    t: Number,
    m: Number,
    lr: Number,
    beta1: Number,
    beta2: Number,
    weight_decay: Number = 0,
) -> Step:
    """Lion: Δθ = −lr·sign(β₁m + (1−β₁)g) − lr·λ·θ, then m ← β₂m + (1−β₂)g. Chen et al., arXiv:2302.06675."""
    mixed = beta1 * m + (1 - beta1) * g
    m = beta2 * m + (1 - beta2) * g
    direction = sign(mixed)
    decay = lr * weight_decay * theta
    return -lr * direction - decay, (m,), (lr, mixed, direction, decay)


def yogi(
    theta: Number,
    g: Number,
    t: Number,
    m: Number,
    v: Number,
    lr: Number,
    beta1: Number,
    beta2: Number,
    eps: Number,
) -> Step:
    """Yogi: v ← v − (1−β₂)·sign(v − g²)·g², Δθ = −lr·m/(√v + ε). Zaheer et al., NeurIPS 2018, algorithm 2.

    v forgets by steps as large as g², not as v: a size that was large fades slowly. No bias is corrected; v
    starts a little above zero, as in the authors' code, so that the first division is finite.
    """
    m = beta1 * m + (1 - beta1) * g
    v = v - (1 - beta2) * sign(v - g * g) * g * g
    effective_lr = lr / (sqrt(v) + eps)
    return -effective_lr * m, (m, v), (effective_lr,)


def adabelief(
    theta: Number,
    g: Number,
    t: Number,
    m: Number,
    s: Number,
    lr: Number,
    beta1: Number,
    beta2: Number,
    eps: Number,
) -> Step:
    """AdaBelief: s ← β₂s + (1−β₂)(g−m)² + ε, Δθ = −lr·m̂/(√ŝ + ε). Zhuang et al., arXiv:2010.07468.

    Adam that divides by how far g strays from what m expects, not by how large it is.
    """
    m = beta1 * m + (1 - beta1) * g
    surprise = g - m
    s = beta2 * s + (1 - beta2) * surprise * surprise + eps
    m_hat = m / (1 - beta1**t)
    s_hat = s / (1 - beta2**t)
    effective_lr = lr / (sqrt(s_hat) + eps)
    return -effective_lr * m_hat, (m, s), (effective_lr, m_hat, s_hat)
