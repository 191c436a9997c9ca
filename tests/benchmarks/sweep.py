"""How much faster a sweep is than its networks one after the other.

    python -m tests.benchmarks.sweep [--pictures 4000] [--rounds 2]

Eight learning rates of Adam × 1 epoch at batch 128 of shapes10, as `adamscope sweep` trains them on workers
that are warm, each judged by 500 held-out pictures before and after, up to the choice of the best; against
eight plain fp32 loops over a DataLoader that only train, in turns in the same run. What the test of the best
adds, trained anew on one network's share of the machine, is told beside it.
"""

import argparse
import json
import statistics
import time

from optimizers.training import TrainConfig
from optimizers.training.data import load
from optimizers.training.sweep import Changed, SweepConfig, trials
from optimizers.training.sweep_run import _client, _cores, run_on
from tests.benchmarks.machine import machine
from tests.benchmarks.training import RESULTS, Pictures, plain_loop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    base = TrainConfig(("adam",), epochs=1, batch_size=128, limit=args.pictures, validation=500)
    config = SweepConfig(base, ("lr,1e-4,1e-2,8",))
    dataset = load(base.data)
    pictures = Pictures(dataset.train_images[: args.pictures], dataset.train_labels[: args.pictures])
    few = Pictures(dataset.train_images[:256], dataset.train_labels[:256])
    rounds = []
    with _client(config, None, None) as client:
        run_on(client, SweepConfig(TrainConfig(("adam",), epochs=1, limit=256, validation=50), config.axes))
        plain_loop(base.model, "adam", few, 128)  # both are warm now
        for number in range(args.rounds):
            seconds = {}
            for side in ("sweep", "plain") if number % 2 == 0 else ("plain", "sweep"):
                began = time.perf_counter()
                if side == "sweep":
                    chosen = began

                    def listen(event: object) -> None:
                        nonlocal chosen
                        if isinstance(event, Changed):  # the last is before the best is tested
                            chosen = time.perf_counter()

                    run_on(client, config, listen, _cores())
                    seconds["choice"] = chosen - began
                else:
                    for trial in trials(config):
                        plain_loop(base.model, trial.racer, pictures, 128)
                seconds[side] = time.perf_counter() - began
            rounds.append({"seconds": seconds, "ratio": seconds["plain"] / seconds["choice"]})
            told = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
            print(f"{told} (sweep: the choice and the test of the best)", flush=True)
        workers = len(client.nthreads())
    ratio = statistics.median(found["ratio"] for found in rounds)
    print(f"median {ratio:.2f} × as fast as eight plain loops up to the choice, on {workers} workers")
    found = {"machine": machine("torch", "numpy"), "config": json.loads(config.to_json()), "rounds": rounds}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "sweep.json").write_text(json.dumps(found | {"median_ratio": ratio}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
