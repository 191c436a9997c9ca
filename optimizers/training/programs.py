"""A run as a program of its own: plain PyTorch, with no import of this project.

Data, network, first weights and random changes are our own functions in their own words; each optimizer is
its torch.optim twin, or its rule where there is none.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import platform
import sys
import textwrap
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import version
from types import ModuleType
from typing import Any

from optimizers.catalog import Racer, distinct
from optimizers.explain.programs import WIDTH, _bare, _joined, _plain, _recipe
from optimizers.schedules import Schedule
from optimizers.source import source
from optimizers.training.config import TrainConfig
from optimizers.training.data import FOLDERS, entry, home
from optimizers.training.models import MODELS

MANY_STEPS = 2**53  # stands for the steps of a run, which the data decide where the program runs

_CIFAR10 = '''\
def read_cifar10(folder):
    """Return pictures (N, 3, 32, 32) uint8 and labels (N,), to train on and to test."""

    def read(names):
        records = np.concatenate([np.fromfile(folder / name, np.uint8).reshape(-1, 3073) for name in names])
        return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)

    return *read([f"data_batch_{n}.bin" for n in range(1, 6)]), *read(["test_batch.bin"])'''
_DROPOUT = '''\
class Dropout(nn.Module):
    """Set a share of the inputs to zero in training; at each step the same for every racer."""

    random = None  # of this step

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        if not self.training:
            return x
        order = torch.channels_last if x.dim() == 4 else torch.contiguous_format
        mask = torch.empty_like(x, memory_format=order)
        return x * mask.bernoulli_(1 - self.rate, generator=Dropout.random).div_(1 - self.rate)'''
_OPTIMIZER = '''\
class RuleOptimizer(torch.optim.Optimizer):
    """A rule above as an optimizer of torch, which has none of this kind."""

    def __init__(self, parameters, rule, state, lr, **hyper):
        super().__init__(parameters, {"lr": lr})
        self.rule, self.start, self.hyper = rule, state, hyper

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for theta in group["params"]:
                kept = self.state[theta]
                if not kept:
                    kept.update(t=0, state=[torch.full_like(theta, start) for start in self.start])
                kept["t"] += 1
                now = theta.clone(), theta.grad, kept["t"], *kept["state"]
                update, kept["state"], _ = self.rule(*now, lr=group["lr"], **self.hyper)
                theta.add_(update)'''
_HELPERS = {  # of a rule
    "sqrt": "def sqrt(x):\n    return torch.sqrt(x) if isinstance(x, torch.Tensor) else math.sqrt(x)",
    "maximum": "def maximum(a, b):\n    return torch.maximum(torch.as_tensor(a), torch.as_tensor(b))",
    "sign": "def sign(x):\n    return torch.sign(x)",
    "where": """\
def where(condition, a, b):
    if isinstance(condition, torch.Tensor):
        return torch.where(condition, a, b)
    return a if condition else b""",
}
_STREAM = '''\
def stream(seed, purpose, step):
    """Return the random numbers of a step: purpose 0 changes pictures, 1 is for dropout."""
    numbers = np.random.SeedSequence(seed, spawn_key=(purpose, step)).generate_state(1, np.uint64)
    return torch.Generator({device}).manual_seed(int(numbers[0]))'''
_TEST = '''\
@torch.no_grad()
def test(network):
    """Return the share of the test set that is named rightly."""
    network.eval()
    right = 0
    for part in torch.arange(len(test_labels)).split(500):
        answers = network(prepared(test_images[part])).float().argmax(1)
        right += (answers == test_labels[part].to(DEVICE)).sum().item()
    network.train()
    return right / len(test_labels)'''
_END = """\
losses = {}  # by racer and seed: of each training step
if __name__ == "__main__":
    for seed in SEEDS:
        for racer, make in RACERS.items():
            print(f"{racer}, seed {seed}")
            losses[racer, seed] = train(make, seed)"""


def program(config: TrainConfig) -> str:
    """Return a program that trains what a run trained, one network after the other.

    Run alone it prints loss and test accuracy after each epoch, and leaves `losses` by racer and seed. In
    fp32 on a CPU its losses are the run's to about 1e-4 over a first hundred steps: it adds in another order,
    and what is rounded otherwise grows with every step. In bf16, or on a GPU, it is the same run within the
    noise of the precision.

    Args:
        config: the recipe, best with what was found for each "auto".

    Raises:
        ValueError: it starts from the weights of another run, which no program holds.

    >>> text = program(TrainConfig(("adam",), data="digits", model="image_mlp", precision="fp32"))
    >>> compile(text, "program.py", "exec") is not None
    True
    """
    if config.start_from is not None:
        raise ValueError(
            "This run starts from the weights of another, which a program can't hold: export that."
        )
    return _Program(config).text()


class _Program:
    def __init__(self, config: TrainConfig) -> None:
        self.config, self.model = config, MODELS[config.model]
        self.bundle = _Bundle({"Dropout": _DROPOUT})
        self.racers = [Racer.parse(notation) for notation in config.racers]
        self.half = config.precision == "bf16"
        self.texts = self.model.takes == "texts"

    def text(self) -> str:
        reading = self._reading()
        self.bundle.add(self.model.layers)
        self.bundle.add(self.model.initialise)
        if self.config.augment:
            self.bundle.add_named("optimizers.training.augment", "augment")
        if self.model.preprocess:
            self.bundle.add_named("optimizers.training.preprocessing", "standardised")
        if self.model.preprocess == "whiten":
            for name in ("zca", "whitened"):
                self.bundle.add_named("optimizers.training.preprocessing", name)
        self.dropout = "Dropout" in self.bundle.texts
        if self.dropout:
            self.bundle.imports["nn"] = "from torch import nn"
        optimizers = self._optimizers()
        schedule = self._schedule()
        constants = "\n".join(self._constants())
        device = '"cpu"' if not self.dropout else 'DEVICE if purpose else "cpu"'
        parts = [
            self._header(),
            self._imports(),
            *self.bundle.texts.values(),
            *optimizers,
            *schedule,
            constants,
            reading,
            _STREAM.replace("{device}", device) if self.config.augment or self.dropout else "",
            self._prepared(),
            _TEST,
            self._train(),
            self._racers(),
            _END,
        ]
        return _joined(parts)

    def _header(self) -> str:
        config = self.config
        labels = [look.label for look in distinct(self.racers)]
        listed = labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"
        title = (
            f"{listed[0].upper()}{listed[1:]}: {self.model.title} on {entry(config.data).title}, "
            f"{config.epochs} epoch{'s' if config.epochs > 1 else ''} of batches of {config.batch_size}."
        )
        versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy"))
        body = (
            "Written by Adamscope. It trains what the lab trained, in plain PyTorch, one network after the "
            "other, each from the same weights on the same batches. In fp32 on a CPU its losses are the "
            "lab's to about 1e-4 for a first hundred steps. "
            f"So it was with Python {platform.python_version()}, {versions}."
        )
        usage = "Usage: python program.py" + (" FOLDER (of the data)" if self.place else "")
        paragraphs = [textwrap.fill(text, WIDTH) for text in (title, body, usage)]
        return '"""' + "\n\n".join(paragraphs) + '\n"""\n\nfrom __future__ import annotations'

    def _imports(self) -> str:
        own = {
            "math": "import math",
            "np": "import numpy as np",
            "torch": "import torch",
            "cross_entropy": "from torch.nn.functional import cross_entropy",
        }
        if self.place:
            own |= {"sys": "import sys", "Path": "from pathlib import Path"}
        lines = sorted(set({**self.bundle.imports, **own}.values()))
        standard = [line for line in lines if line.split()[1].partition(".")[0] in sys.stdlib_module_names]
        others = [line for line in lines if line not in standard]
        order = lambda line: (line.startswith("from"), line)  # noqa: E731
        return "\n".join([*sorted(standard, key=order), "", *sorted(others, key=order)])

    def _reading(self) -> str:
        """Return what reads the data, with the functions it takes in the bundle."""
        config, self.place = self.config, str(home())
        if config.data == "cifar10":
            self.bundle.texts["read_cifar10"] = _CIFAR10
            self.place = str(home() / "cifar-10-batches-bin")
            read = "read_cifar10(FOLDER)"
        else:
            reader = entry(config.data).read
            inner = inspect.getclosurevars(reader).nonlocals
            if config.data.startswith(FOLDERS):
                module, function, given = "data_folder", "read", f"{config.data!r}, FOLDER"
                self.place = str(home() / config.data.removeprefix(FOLDERS))
            elif "module" in inner:
                module, function, given = inner["module"], inner["function"], "FOLDER"
            else:
                module, function, given = "data", reader.__name__, "FOLDER"
            self.bundle.add_named(f"optimizers.training.{module}", function)
            read = f"{function}({given})"
        lines = [f"FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else {self.place!r})"]
        if config.data == "cifar10":
            lines += [f"train_images, train_labels, test_images, test_labels = map(torch.from_numpy, {read})"]
        else:
            names = "train_images", "train_labels", "test_images", "test_labels"
            lines += [f"data = {read}"]
            lines += [f"{name} = torch.from_numpy(np.ascontiguousarray(data.{name}))" for name in names]
        if config.validation:
            lines += [
                "# Pictures held out of training are looked at in place of the test pictures.",
                f"held = np.random.default_rng({config.seed}).choice(",
                f"    len(train_labels), {config.validation}, replace=False)",
                "held = torch.isin(torch.arange(len(train_labels)), torch.from_numpy(held))",
                "test_images, test_labels = train_images[held], train_labels[held]",
                "train_images, train_labels = train_images[~held], train_labels[~held]",
            ]
        if config.limit is not None:
            lines += [
                f"train_images, train_labels = train_images[:{config.limit}], train_labels[:{config.limit}]"
            ]
        size = "len(data.vocabulary)" if self.texts else ""
        lines += [
            f"SHAPE = (*train_images.shape[1:], {size})" if size else "SHAPE = tuple(train_images.shape[1:])",
            "CLASSES = 10" if config.data == "cifar10" else "CLASSES = len(data.classes)",
        ]
        return "\n".join(lines)

    def _constants(self) -> list[str]:
        config = self.config
        seeds = list(range(config.seed, config.seed + config.seeds))
        lines = [
            f"EPOCHS, BATCH, SEEDS = {config.epochs}, {config.batch_size}, {seeds}",
            f"DEVICE = {'cpu' if config.device == 'auto' else config.device!r}".replace("= cpu", '= "cpu"'),
        ]
        if config.device == "cpu" and config.threads is not None:
            lines.append(f"torch.set_num_threads({config.threads})")
        return lines

    def _schedule(self) -> list[str]:
        """Return the functions of the schedule, in their own words."""
        self.factors = ""
        if not self.config.schedule:
            return []
        schedule = Schedule.parse(self.config.schedule)
        calls, functions = [], {}
        for function, arguments in _recipe(schedule, MANY_STEPS):
            functions[function.__name__] = _bare(source(function), function.__name__)
            given = ", ".join(f"{name}={_of_steps(value)}" for name, value in arguments.items())
            calls.append(f"{function.__name__}({given})")
        self.factors = f"np.concatenate([{', '.join(calls)}]).tolist()"
        return list(functions.values())

    def _prepared(self) -> str:
        """Return the function that makes pictures ready for the network."""
        dtype = "torch.bfloat16" if self.half else "torch.float32"
        lines = ["def prepared(images, random=None):"]
        if self.texts:
            return "\n".join([*lines, "    return images.to(DEVICE)"])
        lines += ["    images = images.to(DEVICE).contiguous(memory_format=torch.channels_last)"]
        if not (self.config.augment or self.model.preprocess):
            return "\n".join([*lines, f"    return images.to({dtype}).div_(255)"])
        lines += ["    images = images.float().div_(255)"]
        if self.config.augment:
            lines += [
                "    if random is not None:",
                f"        images = augment(images, {self.config.augment!r}, random)",
            ]
        if self.model.preprocess:
            lines += ["    images = standardised(images)"]
        if self.model.preprocess == "whiten":
            lines += ["    images = whitened(images, MEAN, MATRIX)"]
            lines[:0] = [
                "MEAN, MATRIX = zca(train_images.to(DEVICE))  # of 50,000 pictures, half a minute",
                "",
                "",
            ]
        return "\n".join([*lines, f"    return images.to({dtype}, memory_format=torch.channels_last)"])

    def _train(self) -> str:
        config, model = self.config, self.model
        decay = model.weight_decay if config.weight_decay is None else config.weight_decay
        lines = [
            "def train(make, seed):",
            '    """Train one network; return its loss at each step."""',
            "    streams = np.random.SeedSequence(seed).generate_state(2, np.uint64)",
            "    weights, shuffle = (torch.Generator().manual_seed(int(number)) for number in streams)",
            f"    network = {model.layers.__name__}(SHAPE, CLASSES, {config.dropout!r})",
            f"    {model.initialise.__name__}(network, weights)",
            f"    network = network.to(DEVICE{'' if self.texts else ', memory_format=torch.channels_last'})",
            "    parameters = list(network.parameters())",
        ]
        if self.half:
            lines += [
                "    # The rule steps weights in fp32; the network computes on their copies in bf16.",
                "    parameters = [torch.nn.Parameter(one.detach().clone()) for one in parameters]",
                "    network.to(torch.bfloat16)",
            ]
        lines += ["    optimizer = make(parameters)"]
        if self.factors:
            lines += [
                "    steps = EPOCHS * math.ceil(len(train_labels) / BATCH)",
                f"    factors = {self.factors}",
                "    change = lambda step: factors[min(step, steps - 1)]",
                "    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, change)",
            ]
        lines += [
            "    found = []",
            "    for epoch in range(1, EPOCHS + 1):",
            "        for batch in torch.randperm(len(train_labels), generator=shuffle).split(BATCH):",
        ]
        body = []
        random = ", stream(seed, 0, len(found))" if config.augment else ""
        body += [f"images, labels = prepared(train_images[batch]{random}), train_labels[batch].to(DEVICE)"]
        if self.dropout:
            body += ["Dropout.random = stream(seed, 1, len(found))"]
        smooth = f", label_smoothing={config.label_smoothing!r}" if config.label_smoothing else ""
        body += [f"loss = cross_entropy(network(images).float(), labels{smooth})"]
        if self.half:
            body += [
                "network.zero_grad()",
                "loss.backward()",
                "for parameter, half in zip(parameters, network.parameters()):",
                "    parameter.grad = half.grad.float()",
            ]
        else:
            body += ["optimizer.zero_grad()", "loss.backward()"]
        if decay:
            body += [
                "for parameter in parameters:",
                "    if parameter.dim() > 1:  # kernels and matrices",
                f"        parameter.grad.add_(parameter.detach(), alpha={decay!r})",
            ]
        if config.clip_norm is not None:
            body += [f"torch.nn.utils.clip_grad_norm_(parameters, {config.clip_norm!r})"]
        if config.clip_value is not None:
            body += [f"torch.nn.utils.clip_grad_value_(parameters, {config.clip_value!r})"]
        body += ["optimizer.step()", *(["schedule.step()"] if self.factors else [])]
        if self.half:
            body += [
                "for parameter, half in zip(parameters, network.parameters()):",
                "    half.data.copy_(parameter.data)",
            ]
        body += ["found.append(loss.item())"]
        lines += [f"            {line}" for line in body]
        lines += [
            "        right = test(network)",
            '        print(f"  epoch {epoch}: training loss {found[-1]:.4f}, test accuracy {right:.2%}")',
            "    return found",
        ]
        return "\n".join(lines)

    def _optimizers(self) -> list[str]:
        """Return the rules that have no twin, and what they take."""
        rules: dict[str, str] = {}
        needs: set[str] = set()
        for racer in self.racers:
            if _twin(racer) is None:
                rule = racer.optimizer.rule
                rules[rule.__name__] = _bare(source(rule), rule.__name__)
                needs |= {node.id for node in ast.walk(ast.parse(source(rule))) if isinstance(node, ast.Name)}
        if not rules:
            return []
        return [*(_HELPERS[name] for name in sorted(needs & set(_HELPERS))), *rules.values(), _OPTIMIZER]

    def _racers(self) -> str:
        lines = ["RACERS = {"]
        for notation, racer in zip(self.config.racers, self.racers, strict=True):
            called = _twin(racer)
            if called is None:
                entry_ = racer.optimizer
                state = tuple(float(start) for start in entry_.initial(racer.values))
                given = ", ".join(f"{name}={value!r}" for name, value in racer.arguments.items())
                called = f"RuleOptimizer(parameters, {entry_.rule.__name__}, {state!r}, {given})"
                lines.append("    # torch.optim has no twin of this one: its rule is above")
            lines.append(f"    {notation!r}: lambda parameters: {called},")
        return "\n".join([*lines, "}"])


def _of_steps(value: Any) -> str:
    """Write a number; one that was counted from all steps of the run, as so many less than `steps`."""
    if isinstance(value, int) and value > MANY_STEPS // 2:
        return f"steps - {MANY_STEPS - value}" if value < MANY_STEPS else "steps"
    return _plain(value)


def _twin(racer: Racer) -> str | None:
    """Return how to call the torch.optim twin, or None where there is none."""
    twin = racer.optimizer.twin
    arguments = twin.arguments(racer.values) if twin else None
    if twin is None or arguments is None:
        return None
    return f"torch.optim.{twin.name}(parameters, {', '.join(f'{k}={v!r}' for k, v in arguments.items())})"


class _Bundle:
    """Functions, classes and constants of our own, with all of our own they call, before their callers."""

    def __init__(self, given: dict[str, str]) -> None:
        self.given = given  # texts that stand for our own
        self.texts: dict[str, str] = {}  # by name, in an order that runs
        self.imports: dict[str, str] = {}  # of others, by name
        self._homes: dict[str, str] = {}  # name -> module
        self._under_way: set[str] = set()

    def add(self, function: Callable[..., Any]) -> None:
        """Take in a function."""
        self.add_named(function.__module__, function.__name__)

    def add_named(self, module: str, name: str) -> None:
        """Take in what a module defines, or imports, under a name; what it doesn't know is a builtin."""
        tree, text = _parsed(module)
        node = tree.get(name)
        if node is None or name in self.texts or name in self._under_way:
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node, name)
            return
        if self._homes.setdefault(name, module) != module:
            raise ValueError(
                f"{name} is defined in {module} and {self._homes[name]}: a program has one of a name."
            )
        self._under_way.add(name)
        if name in self.given:
            self.texts[name] = self.given[name]
            return
        self.texts_of(module, name, node, text)

    def texts_of(self, module: str, name: str, node: ast.stmt, text: str) -> None:
        """Take in a definition, after what it calls."""
        lines = text.splitlines()
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
        own = lines[first - 1 : node.end_lineno]
        for inner in ast.walk(node):
            if isinstance(inner, ast.ImportFrom) and (inner.module or "").startswith("optimizers"):
                for alias in inner.names:
                    self.add_named(str(inner.module), alias.name)
                for line in range(inner.lineno, (inner.end_lineno or inner.lineno) + 1):
                    own[line - first] = ""
        definition = "\n".join(own)
        for used in _names(node):
            imported = _parsed(module)[0].get(used)
            ours = isinstance(imported, ast.ImportFrom) and (imported.module or "").startswith("optimizers")
            inside = _module_of(imported, used) if ours else None
            if inside is None:
                self.add_named(module, used)
                continue
            for attribute in ast.walk(node):  # shapes.draw becomes draw
                if isinstance(attribute, ast.Attribute) and ast.unparse(attribute.value) == used:
                    self.add_named(inside, attribute.attr)
            definition = definition.replace(f"{used}.", "")
        self.texts[name] = definition

    def _import(self, node: ast.Import | ast.ImportFrom, name: str) -> None:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("optimizers"):
            self.add_named(str(node.module), name)
            return
        alias = next(one for one in node.names if (one.asname or one.name.partition(".")[0]) == name)
        kind = (
            ast.Import([alias]) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, [alias], 0)
        )
        self.imports[name] = ast.unparse(kind)


@cache
def _parsed(module: str) -> tuple[dict[str, ast.stmt], str]:
    """Return a module's top-level statements by the names they define, and its text."""
    text = inspect.getsource(importlib.import_module(module))
    found: dict[str, ast.stmt] = {}
    for node in ast.parse(text).body:
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                found[node.name] = node
            case ast.Import() | ast.ImportFrom():
                found |= {alias.asname or alias.name.partition(".")[0]: node for alias in node.names}
            case ast.Assign():
                for target in node.targets:
                    names = target.elts if isinstance(target, ast.Tuple) else [target]
                    found |= {name.id: node for name in names if isinstance(name, ast.Name)}
            case ast.AnnAssign(target=ast.Name()):
                found[node.target.id] = node  # type: ignore[union-attr]
    return found, text


def _module_of(node: ast.stmt | None, name: str) -> str | None:
    """Return the full name of the module of ours that is imported under a name; None if it is none."""
    assert isinstance(node, ast.ImportFrom)
    path = f"{node.module}.{name}"
    found = getattr(importlib.import_module(str(node.module)), name, None)
    return path if isinstance(found, ModuleType) else None


def _names(node: ast.AST) -> Iterable[str]:
    """Return the names a definition uses when it runs: not those of its annotations."""
    found: dict[str, None] = {}

    def visit(part: ast.AST) -> None:
        for field, value in ast.iter_fields(part):
            if field in ("annotation", "returns"):
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.Name):
                    found[child.id] = None
                if isinstance(child, ast.AST):
                    visit(child)

    visit(node)
    return found
