"""Rules without a torch.optim twin, written apart from ours, line by line from their papers, as NumPy loops.

`follow(racer, gradients, theta)` returns the path (T + 1, n) under the given gradients (T, n).
"""

import numpy as np

from optimizers import Racer


def follow(racer: Racer, gradients, theta):
    """Walk the paper's algorithm for this racer."""
    step = PAPERS[racer.name](**racer.values)
    path = [np.array(theta, dtype=float)]
    for t, g in enumerate(gradients, start=1):
        path.append(step(path[-1], np.array(g, dtype=float), t))
    return np.array(path)


def momentum(lr, momentum, dampening, weight_decay, nesterov, convention):
    """Sutskever et al. 2013, eq. 1-4, with velocity = −m; PyTorch's SGD notes; an exponential average."""
    velocity = 0.0

    def sutskever(theta, g, t):
        nonlocal velocity
        g = g + weight_decay * theta
        kept = lr * g if t == 1 else lr * (1 - dampening) * g
        velocity = momentum * velocity - kept
        return theta + (momentum * velocity - lr * g if nesterov else velocity)

    def averaged(theta, g, t):
        nonlocal velocity
        g = g + weight_decay * theta
        weight = 1 - momentum
        velocity = momentum * velocity + weight * g * (1 if t == 1 else 1 - dampening)
        return theta - lr * (weight * g + momentum * velocity if nesterov else velocity)

    def pytorch(theta, g, t):
        nonlocal velocity
        g = g + weight_decay * theta
        velocity = g if t == 1 else momentum * velocity + (1 - dampening) * g
        return theta - lr * (g + momentum * velocity if nesterov else velocity)

    return {"sutskever": sutskever, "ema": averaged, "pytorch": pytorch}[convention]


def nesterov(lr, momentum, weight_decay):
    """Without momentum, where torch refuses it, it is gradient descent."""
    assert momentum == 0
    return lambda theta, g, t: theta - lr * (g + weight_decay * theta)


def adam(lr, beta1, beta2, eps, bias_correction, weight_decay, eps_placement):
    """Kingma and Ba, algorithm 1, and the faster form at the end of §2 for ε̂."""
    m = v = 0.0

    def step(theta, g, t):
        nonlocal m, v
        g = g + weight_decay * theta
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * np.square(g)
        first = 1 - beta1**t if bias_correction in (True, "first") else 1.0
        second = 1 - beta2**t if bias_correction in (True, "second") else 1.0
        if eps_placement == "hat":
            return theta - lr * np.sqrt(second) / first * m / (np.sqrt(v) + eps)
        if eps_placement == "inside":
            return theta - lr * (m / first) / np.sqrt(v / second + eps)
        return theta - lr * (m / first) / (np.sqrt(v / second) + eps)

    return step


def adamw(lr, beta1, beta2, eps, weight_decay, eps_placement):
    """Loshchilov and Hutter, algorithm 2, with lr on the decay, as PyTorch has it."""
    inner = adam(lr, beta1, beta2, eps, True, 0.0, eps_placement)
    return lambda theta, g, t: inner(theta, g, t) - lr * weight_decay * theta


def rmsprop(lr, alpha, eps, momentum, weight_decay, centered, eps_placement):
    """Hinton's lecture; Graves, eq. 38-41, for `centered`; TensorFlow's ε inside the root."""
    v = mean = buffer = 0.0

    def step(theta, g, t):
        nonlocal v, mean, buffer
        g = g + weight_decay * theta
        v = alpha * v + (1 - alpha) * np.square(g)
        mean = alpha * mean + (1 - alpha) * g
        spread = v - np.square(mean) if centered else v
        divided = g / (np.sqrt(spread + eps) if eps_placement == "inside" else np.sqrt(spread) + eps)
        buffer = momentum * buffer + divided
        return theta - lr * buffer

    return step


def signsgd(lr, momentum):
    """Bernstein et al., algorithms 1 (signSGD) and 2 (Signum)."""
    m = 0.0

    def step(theta, g, t):
        nonlocal m
        m = momentum * m + (1 - momentum) * g
        return theta - lr * np.sign(m)

    return step


def lion(lr, beta1, beta2, weight_decay):
    """Chen et al., algorithm 2."""
    m = 0.0

    def step(theta, g, t):
        nonlocal m
        c = beta1 * m + (1 - beta1) * g
        theta = theta - lr * (np.sign(c) + weight_decay * theta)
        m = beta2 * m + (1 - beta2) * g
        return theta

    return step


def yogi(lr, beta1, beta2, eps, initial_accumulator_value):
    """Zaheer et al., algorithm 2."""
    m, v = 0.0, initial_accumulator_value

    def step(theta, g, t):
        nonlocal m, v
        m = beta1 * m + (1 - beta1) * g
        v = v - (1 - beta2) * np.sign(v - np.square(g)) * np.square(g)
        return theta - lr * m / (np.sqrt(v) + eps)

    return step


def adabelief(lr, beta1, beta2, eps):
    """Zhuang et al., algorithm 2."""
    m = s = 0.0

    def step(theta, g, t):
        nonlocal m, s
        m = beta1 * m + (1 - beta1) * g
        s = beta2 * s + (1 - beta2) * np.square(g - m) + eps
        return theta - lr * (m / (1 - beta1**t)) / (np.sqrt(s / (1 - beta2**t)) + eps)

    return step


PAPERS = {
    paper.__name__: paper
    for paper in (momentum, nesterov, adam, adamw, rmsprop, signsgd, lion, yogi, adabelief)
}
