"""What each network learns: test accuracy after each epoch, with Adam and with momentum.

    python -m tests.benchmarks.networks [--pictures 10000] [--epochs 8] [NETWORK ...]

Pictures are CIFAR-10's, texts the reviews. Batches of 64, nothing tuned: Adam at lr 0.001, momentum at 0.01,
the network's own dropout and weight decay, seed 0. Results of other networks in the file are kept.
"""

import argparse
import json

from optimizers.training import TrainConfig, train
from optimizers.training.models import MODELS
from tests.benchmarks.machine import machine
from tests.benchmarks.training import RESULTS

RACERS = ("adam", "momentum(lr=0.01)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=list(MODELS), metavar="NETWORK")
    parser.add_argument("--pictures", type=int, default=10_000, help="train on the first so many only")
    parser.add_argument("--epochs", type=int, default=8)
    args = parser.parse_args()
    path = RESULTS / "networks.json"
    found = json.loads(path.read_text("utf-8")) if path.exists() else {}
    for name in args.networks:
        data = "reviews" if MODELS[name].takes == "texts" else "cifar10"
        config = TrainConfig(
            RACERS, data, name, epochs=args.epochs, batch_size=64, limit=args.pictures, telemetry=0
        )
        result = train(config)
        accuracy = {
            racer.notation: [e.accuracy for e in result.evaluations if e.racer == place]
            for place, racer in enumerate(result.racers)
        }
        found[name] = {
            "machine": machine("torch", "numpy"),
            "data_note": result.data_note,
            "config": json.loads(result.config.to_json()),
            "parameters": result.parameters,
            "test_accuracy_by_epoch": accuracy,
            "seconds": result.seconds,
        }
        told = ", ".join(f"{racer} {by_epoch[-1]:.1%}" for racer, by_epoch in accuracy.items())
        print(f"{name} ({result.parameters:,} weights): {told}; {result.seconds:.0f} s", flush=True)
        RESULTS.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
