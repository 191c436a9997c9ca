"""Sharpness: the largest eigenvalue of the Hessian of the training loss, raw and as an adaptive rule sees it.

Gradient descent on a quadratic is stable while its sharpness stays below 2/lr; on networks the sharpness
rises until it hovers there, the edge of stability (Cohen et al., ICLR 2021, arXiv:2103.00065). A rule that
multiplies each coordinate by a factor fᵢ·lr, Adam's 1/(√v̂ᵢ+ε), is stable while the largest eigenvalue of
F^½ H F^½, F = diag(f), stays below its own bound: 38/lr at β₁ = 0.9 (Cohen et al., arXiv:2207.14484).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

PICTURES = 200  # of the training set, evenly spaced in it: the same at every measurement
CHUNK = 100  # pictures whose graph is held at a time
MOST_PRODUCTS = 30  # H·v
TOLERANCE = 0.02  # of an eigenvalue, relative

Product = Callable[[Tensor], Tensor]  # (P,) -> (P,)


def hessian_product(
    network: nn.Module,
    parts: Callable[[Tensor], Sequence[Tensor]],  # views of a flat vector, as the network's parameters
    theta: Tensor,  # (P,) fp32
    batches: Sequence[tuple[Tensor, Tensor]],  # pictures in fp32, labels
    label_smoothing: float = 0.0,
    decay: Tensor | None = None,  # (P,) λ of a penalty λ/2·θ², where the loss has one
) -> Product:
    """Return v ↦ H·v, H the Hessian at theta of the mean loss over `batches`, by differentiating twice.

    In fp32 whatever the run's precision, and without dropout.
    """
    names = [name for name, _ in network.named_parameters()]
    total = sum(len(labels) for _, labels in batches)

    def product(vector: Tensor) -> Tensor:
        training = network.training
        network.eval()
        try:
            result = torch.zeros_like(vector) if decay is None else decay * vector
            leaves = [part.detach().requires_grad_() for part in parts(theta)]
            for pictures, labels in batches:
                logits = functional_call(network, dict(zip(names, leaves, strict=True)), (pictures,))
                loss = cross_entropy(logits, labels, label_smoothing=label_smoothing, reduction="sum") / total
                gradient = torch.autograd.grad(loss, leaves, create_graph=True)
                found = torch.autograd.grad(gradient, leaves, parts(vector), materialize_grads=True)
                for into, part in zip(parts(result), found, strict=True):
                    into.add_(part)
            return result
        finally:
            network.train(training)

    return product


def largest(
    product: Product,
    start: Tensor,  # (P,) not zero; the nearer to the eigenvector, the sooner it is found
    tolerance: float = TOLERANCE,
    most: int = MOST_PRODUCTS,
) -> Generator[None, None, tuple[float, Tensor]]:
    """Find the largest eigenvalue of a symmetric matrix and its eigenvector; yields after each product.

    Lanczos, each new vector made orthogonal to all before. With residual r = ‖A·u − λ·u‖ some eigenvalue lies
    within r of λ; it ends where r ≤ tolerance·|λ|, or after `most` products. Returns NaN where A·v is not
    finite.

    >>> matrix = torch.diag(torch.tensor([1.0, -5.0, 3.0]))
    >>> search = largest(lambda v: matrix @ v, torch.ones(3))
    >>> try:
    ...     while True:
    ...         next(search)
    ... except StopIteration as found:
    ...     print(round(found.value[0], 4))
    3.0
    """
    basis = [start / torch.linalg.vector_norm(start)]
    tridiagonal = torch.zeros(most, most, dtype=torch.float64)
    while True:
        k = len(basis)
        image = product(basis[-1])
        tridiagonal[k - 1, k - 1] = float(basis[-1].dot(image))
        known = torch.stack(basis)
        for _ in range(2):  # once leaves what rounding leaves
            image = image - known.T @ (known @ image)
        length = float(torch.linalg.vector_norm(image))
        if not math.isfinite(length):
            return math.nan, start
        values, vectors = torch.linalg.eigh(tridiagonal[:k, :k])
        value, weights = float(values[-1]), vectors[:, -1]
        residual = length * abs(float(weights[-1]))
        yield
        if residual <= tolerance * abs(value) or k == min(most, len(start)):
            return value, known.T @ weights.to(known)
        tridiagonal[k - 1, k] = tridiagonal[k, k - 1] = length
        basis.append(image / length)


class Sharpener:
    """Measures the sharpness of one racer's network, and where its rule's bound lies.

    Args:
        size: P, the number of weights.
        device: where they are.
    """

    def __init__(self, size: int, device: torch.device) -> None:
        """Begin from directions drawn at random, the same ones for all racers."""
        drawn = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(device)
        self.noise = drawn / torch.linalg.vector_norm(drawn)
        self.raw = self.seen = self.noise  # the eigenvectors found last

    def measure(
        self,
        product: Product,
        factor: Tensor | float,  # f: what the rule multiplies each coordinate by, over lr
    ) -> Generator[None, None, tuple[float, float]]:
        """Find the largest eigenvalue of H, and of F^½ H F^½; yields after each product.

        The second is NaN for a rule whose factor is the same for all coordinates: it would say nothing new.
        """
        raw, self.raw = yield from largest(product, self.raw + 0.1 * self.noise)
        if not isinstance(factor, Tensor) or factor.numel() == 1 or not bool((factor >= 0).all()):
            return raw, math.nan
        root = factor.sqrt()
        search = largest(lambda v: root * product(root * v), self.seen + 0.1 * self.noise)
        preconditioned, self.seen = yield from search
        return raw, preconditioned
