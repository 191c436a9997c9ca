"""Formulas by the hundred thousand: no crash, no hang, nothing run, memory bounded.

    python -m tests.benchmarks.formula [--count 100000] [--json FILE]

Each text is read, and where it is a formula differentiated and written as source; some of those are also
compiled and searched for minima. What is not a ValueError of one sentence is a failure, and so is an event of
Python's own audit that reading a formula has no business with: exec, open, import, a process, a socket.
Times are of the processor, so that they hold on a busy machine.
"""

import argparse
import json
import os
import random
import signal
import statistics
import string
import sys
import time
from collections import Counter
from pathlib import Path

from optimizers import Surface, formula
from tests.benchmarks.machine import machine

PATIENCE = 10  # seconds after which a text counts as a hang
COMPILED = 200  # of the formulas
WATCHED = (
    "exec",
    "open",
    "import",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "socket.connect",
)

WORDS = [
    *formula.NAMES,
    *formula.FUNCTIONS,
    "x",
    "y",
    "2",
    "0.5",
    "10",
    "1e3",
    "100",
    "(",
    ")",
    ",",
    "+",
    "-",
    "*",
]
WORDS += [
    "/",
    "**",
    "^",
    " ",
    "sin(",
    "x**2",
    "(x-1)",
    "²",
    "π",
    "z",
    "lambda",
    "__import__",
    "'",
    ".",
    "[",
    "=",
]
HOSTILE = [
    *(
        "__import__('os').system('true')",
        "open('/etc/passwd')",
        "eval(x)",
        "exec(x)",
        "().__class__.__bases__[0]",
    ),
    *(
        "[c for c in ().__class__.__subclasses__()]",
        "lambda: x",
        "x if y else 1",
        "(x := 9**9)",
        "f'{x}'",
        "x.y",
    ),
    *(
        "9**9**9**9",
        "x**1000000",
        "((((x**99)**99)**99)**99)**99",
        "(1e90*x)**90",
        "(9**99*x)**99",
        "2**(2**(2**x))",
    ),
    *(
        "(" * 99 + "x" + ")" * 99,
        "-" * 99 + "x",
        "sin(" * 28 + "x" + ")" * 28,
        "sqrt(" * 28 + "x*y" + ")" * 28,
    ),
    *(
        "x**y**x**y**x**y**x**y**x**y",
        "x/(1+" * 14 + "y" + ")" * 14,
        "+".join(["x*y"] * 59),
        "*".join(["(x+y)"] * 28),
    ),
    *(
        "max(" * 20 + "x" + ",y)" * 20,
        "abs(" * 28 + "x" + ")" * 28,
        "exp(exp(exp(exp(x))))",
        "log(-1-x**2)",
        "0**x",
    ),
    *(
        "x/(y-y)",
        "(-2)**x",
        "(-8)**(1/3)",
        "1e999*x",
        "1e-999*x",
        "9" * 230,
        "x" * 230,
        "é" * 60,
        "\ud800",
        "\0",
        "",
    ),
]
VALID = [
    "(1-x)**2 + 100*(y-x**2)**2",
    "x**2 + 10*sin(y)**2",
    "20 + x**2 - 10*cos(2*pi*x) + y**2 - 10*cos(2*pi*y)",
    "(x**2+y-11)**2 + (x+y**2-7)**2",
    "(1.5-x+x*y)**2 + (2.25-x+x*y**2)**2 + (2.625-x+x*y**3)**2",
    "-20*exp(-0.2*sqrt(0.5*(x**2+y**2))) - exp(0.5*(cos(2*pi*x)+cos(2*pi*y))) + e + 20",
    "max(abs(x), abs(y))",
    "(4-2.1*x**2+x**4/3)*x**2 + x*y + (-4+4*y**2)*y**2",
    "log(1+exp(-x*y)) + tanh(x)/cosh(y)",
    "x**y + atan(x/y)",
]


def grown(random_: random.Random, depth: int) -> str:
    """Return a formula grown by its grammar."""
    if depth == 0 or random_.random() < 0.15:
        return random_.choice(
            ["x", "y", "x", "y", "pi", str(random_.randint(0, 12)), f"{random_.uniform(0, 9):.3g}"]
        )
    inner = [grown(random_, depth - 1) for _ in range(2)]
    kind = random_.random()
    if kind < 0.55:
        return f"({inner[0]}{random_.choice('+-*/')}{inner[1]})"
    if kind < 0.75:
        return f"({inner[0]})**{random_.choice(['2', '3', '-1', '0.5', '12', inner[1]])}"
    name = random_.choice(list(formula.FUNCTIONS))
    return f"{name}({', '.join(inner[: formula.ARGUMENTS.get(name, 1)])})"


def mutated(random_: random.Random) -> str:
    """Return a formula, or a hostile text, with a few signs changed."""
    text = random_.choice(VALID * 4 + HOSTILE)
    for _ in range(random_.randint(0, 4)):
        at = random_.randint(0, len(text))
        text = text[:at] + random_.choice([*WORDS, "", text[: at // 2]]) + text[at + random_.randint(0, 3) :]
    return text


def texts(count: int, seed: int) -> list[tuple[str, str]]:
    """Return (kind, text) pairs, all kinds mixed."""
    random_ = random.Random(seed)
    signs = string.printable + "²³π×·−é\u2028\ud800"
    kinds = {
        "random text": lambda: "".join(random_.choices(signs, k=random_.randint(0, 80))),
        "token soup": lambda: "".join(random_.choices(WORDS, k=random_.randint(1, 30))),
        "mutated": lambda: mutated(random_),
        "grown": lambda: grown(random_, random_.randint(1, 5)),
        "hostile": lambda: (
            random_.choice(HOSTILE) + random_.choice(["", "+x", "*y", "**2", "**99", " ", "(x)"])
        ),
    }
    return [(kind, make()) for kind, make in random_.choices(list(kinds.items()), k=count)]


def resident_mib() -> float:
    """Return the memory this process holds."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    everything = "+".join(
        f"{name}({', '.join('xy'[: formula.ARGUMENTS.get(name, 1)])})" for name in formula.FUNCTIONS
    )
    formula.derive(
        formula.read(everything + "+e**x+x**y+pi")
    )  # what is imported at first use is imported now
    asked = texts(args.count, args.seed)

    heard: list[str] = []
    listening = False

    def hook(event: str, given: tuple) -> None:
        # ast.parse announces itself as compiling "<unknown>"; anything else compiled is no reading of data.
        if listening and (event in WATCHED or (event == "compile" and given[1] != "<unknown>")):
            heard.append(f"{event} {given!r:.100}")

    def give_up(*_: object) -> None:
        raise TimeoutError

    sys.addaudithook(hook)
    signal.signal(signal.SIGALRM, give_up)
    seconds: dict[str, list[float]] = {}
    outcomes: dict[str, Counter] = {}
    failures: list[str] = []
    slowest = (0.0, "")
    longest = 0.0  # by the clock on the wall, other people's work on the machine in it
    good: list[str] = []
    memory = [resident_mib()]
    began = time.perf_counter()
    for index, (kind, text) in enumerate(asked):
        outcome = "formula"
        at, wall = time.thread_time(), time.perf_counter()
        signal.alarm(PATIENCE)
        listening = True
        try:
            written = formula.read(text)
            formula.derive(written)
        except ValueError as problem:
            outcome = "sentence"
            said = str(problem)
            if not 10 < len(said) < 400 or "\n" in said:
                failures.append(f"{text!r} said {said!r}")
        except BaseException as problem:
            outcome = "failure"
            failures.append(f"{text!r} raised {problem!r}")
        listening = False
        signal.alarm(0)
        took, longest = time.thread_time() - at, max(longest, time.perf_counter() - wall)
        seconds.setdefault(kind, []).append(took)
        outcomes.setdefault(kind, Counter())[outcome] += 1
        slowest = max(slowest, (took, text))
        if outcome == "formula":
            good.append(written)
        if (index + 1) % max(1, args.count // 10) == 0:
            memory.append(resident_mib())
            print(f"{index + 1:>8,}  {memory[-1]:.0f} MiB  slowest {slowest[0] * 1e3:.0f} ms", flush=True)
    total = time.perf_counter() - began

    compiled: list[tuple[float, str]] = []
    for text in random.Random(args.seed).sample(good, min(COMPILED, len(good))):
        at = time.thread_time()
        try:
            surface = Surface.parse(f'formula("{text}")')
        except ValueError as problem:
            if "no slope" not in str(problem) and "no finite value" not in str(problem):
                failures.append(f"{text!r} said {problem}")
        else:
            if Surface.parse(str(surface)) != surface:
                failures.append(f"{text!r} does not read back")
        compiled.append((time.thread_time() - at, text))

    result = {
        "machine": machine("numba", "numpy", "sympy"),
        "count": args.count,
        "seed": args.seed,
        "seconds": round(total, 1),
        "outcomes": {kind: dict(counted) for kind, counted in outcomes.items()},
        "median_ms": {kind: statistics.median(times) * 1e3 for kind, times in seconds.items()},
        "slowest_ms": {kind: max(times) * 1e3 for kind, times in seconds.items()},
        "slowest_text": slowest[1],
        "slowest_wall_ms": longest * 1e3,
        "failures": failures[:20],
        "audit_events": heard[:20],
        "resident_mib": [round(mib, 1) for mib in memory],
        "compiled": {
            "count": len(compiled),
            "median_ms": statistics.median(took for took, _ in compiled) * 1e3,
            "slowest_ms": max(compiled)[0] * 1e3,
            "slowest_text": max(compiled)[1],
        },
    }
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    if failures or heard or slowest[0] > 1:
        sys.exit("Some text crashed it, held it up for over a second, or ran something.")


if __name__ == "__main__":
    main()
