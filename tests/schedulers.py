"""Each schedule's twin in torch.optim.lr_scheduler, and any schedule for hypothesis."""

from hypothesis import strategies as st
from torch.optim import Optimizer, lr_scheduler

from optimizers.schedules import ALL, SCHEDULES, Schedule
from tests.racers import values_of


def _cosine(optimizer, steps, lr, T_max, end_factor):  # noqa: N803 - torch's name
    period = steps if T_max == ALL else T_max
    return lr_scheduler.CosineAnnealingLR(optimizer, period, eta_min=end_factor * lr)


TWINS = {  # (optimizer, steps, lr, **hyperparameters) -> the scheduler
    "constant": lambda o, n, lr: lr_scheduler.ConstantLR(o, factor=1.0),
    "step": lambda o, n, lr, **values: lr_scheduler.StepLR(o, **values),
    "exponential": lambda o, n, lr, **values: lr_scheduler.ExponentialLR(o, **values),
    "cosine": _cosine,
    "warmup": lambda o, n, lr, **values: lr_scheduler.LinearLR(o, **values),
    "one_cycle": lambda o, n, lr, **values: lr_scheduler.OneCycleLR(
        o, max_lr=lr, total_steps=n, cycle_momentum=False, **values
    ),
}


def torch_scheduler(schedule: str | Schedule, optimizer: Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    """Make the torch scheduler that does the same to this optimizer, before its first step."""
    parts = Schedule.parse(schedule).parts
    lr = optimizer.param_groups[0]["lr"]
    made, begins = [], [0]
    for part in parts:
        made.append(TWINS[part.name](optimizer, steps - begins[-1], lr, **part.values))
        begins.append(begins[-1] + (part.length or 0))
    return made[0] if len(made) == 1 else lr_scheduler.SequentialLR(optimizer, made, milestones=begins[1:-1])


def parts(name: str, **given: st.SearchStrategy) -> st.SearchStrategy[str]:
    """Any notation of one schedule, but for what is given."""
    own = {hyper.name: values_of(hyper) for hyper in SCHEDULES[name].hyperparameters} | given
    return st.fixed_dictionaries(own).map(
        lambda values: f"{name}({', '.join(f'{key}={value!r}' for key, value in values.items())})"
    )
