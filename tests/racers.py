"""Racers for the tests: every optimizer with everything it offers, at and away from its defaults."""

from collections.abc import Iterator
from itertools import product

from hypothesis import strategies as st

from optimizers import OPTIMIZERS, SURFACES, Racer, Surface
from optimizers.notation import Hyperparameter


def _variants() -> Iterator[Racer]:
    """Every optimizer with every combination of its choices, at its defaults and away from all of them."""
    for entry in OPTIMIZERS.values():
        numbers = [hyper for hyper in entry.hyperparameters if not hyper.choices]
        choices = [[(h.name, c.value) for c in h.choices] for h in entry.hyperparameters if h.choices]
        for chosen in product(*choices):
            racer = Racer.parse(entry.name).change(**dict(chosen))
            yield racer
            # away from every default, eps large enough to matter; a greater lr would be chaotic, so that
            # rounding grows beyond any tolerance
            moved = {h.name: (h.default + min(h.slider[1], 1.0)) / 3 for h in numbers}
            yield racer.change(**moved | {"lr": min(3 * racer.values["lr"], 2.0)})


VARIANTS = list(_variants())


def twin_arguments(racer: Racer) -> dict[str, object] | None:
    """How to call the racer's torch.optim twin; None if it has none."""
    twin = racer.optimizer.twin
    return twin.arguments(racer.values) if twin else None


def _twin_variants() -> Iterator[Racer]:
    """The variants that have a twin; where torch refuses dampening beside Nesterov, one without."""
    for racer in VARIANTS:
        if twin_arguments(racer) is not None:
            yield racer
        elif "dampening" in racer.values and twin_arguments(racer.change(dampening=0)) is not None:
            yield racer.change(dampening=0)


TWIN_VARIANTS = list(dict.fromkeys(_twin_variants()))


def kept_by_twin(racer: Racer) -> dict[str, str]:
    """Our state name -> torch's, of the states that torch keeps with these options."""
    used = {quantity.name for quantity in racer.optimizer.states if racer.uses(quantity)}
    twin = racer.optimizer.twin
    assert twin is not None
    return {
        name: torchs
        for name, torchs in twin.state.items()
        if name in used and (name != "m" or _buffered(racer))
    }


def _buffered(racer: Racer) -> bool:
    return bool(racer.values.get("momentum", 1.0))  # without momentum torch.optim.SGD keeps no buffer


def values_of(hyper: Hyperparameter) -> st.SearchStrategy:
    """Any value a hyperparameter takes, and more often one its slider offers."""
    if hyper.choices:
        return st.sampled_from([choice.value for choice in hyper.choices])
    if hyper.whole:
        low, high = int(hyper.low), int(hyper.high)
        numbers = st.integers(low, high) | st.integers(low, min(high, 400))
    else:
        numbers = st.floats(hyper.low, hyper.high, exclude_max=hyper.below_high) | st.floats(*hyper.slider)
    return numbers | st.just(hyper.word) if hyper.word else numbers


def _any(hyperparameters: tuple[Hyperparameter, ...]) -> st.SearchStrategy[tuple]:
    return st.tuples(*(st.tuples(st.just(hyper.name), values_of(hyper)) for hyper in hyperparameters))


def any_racer() -> st.SearchStrategy[Racer]:
    """Any optimizer with any values it takes."""
    return st.sampled_from(list(OPTIMIZERS.values())).flatmap(
        lambda entry: _any(entry.hyperparameters).map(lambda pairs: Racer(entry.name, pairs))
    )


def any_surface() -> st.SearchStrategy[Surface]:
    """Any surface with any values it takes."""
    return st.sampled_from(list(SURFACES.values())).flatmap(
        lambda entry: _any(entry.hyperparameters).map(lambda pairs: Surface(entry.name, pairs))
    )
