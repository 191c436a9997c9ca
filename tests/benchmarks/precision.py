"""Whether training in bf16 ends where training in fp32 does, but for what a seed decides.

    python -m tests.benchmarks.precision [--seeds 8] [--epochs 3] [--limit 20000] [--device cpu]

For each seed keras_cnn is trained on CIFAR-10 in fp32 and in bf16, from the same weights on the same batches,
and looked at over the 10,000 test pictures. The seeds' differences in accuracy, bf16 less fp32, are paired;
their mean has a 95 % interval by Student's t. bf16 stays within seed noise where that whole interval lies
within one standard deviation, between seeds, of fp32's own accuracy: an equivalence test, which few seeds
fail and do not pass. Needs CIFAR-10 (`adamscope data cifar10`) and writes results/precision.json.
"""

import argparse
import dataclasses
import json
import math
import statistics
from pathlib import Path
from typing import Any

from optimizers.training import TrainConfig, TrainResult, train
from tests.benchmarks.machine import machine

RESULTS = Path(__file__).parent / "results" / "precision.json"
RACERS = ("adam", "momentum(lr=0.01)")
PRECISIONS = ("fp32", "bf16")
# Student's t, 97.5 %, by degrees of freedom
T = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 11: 2.201}


def compared(pairs: list[tuple[float, float]]) -> dict[str, float]:
    """Compare accuracies in fp32 and bf16, a pair for each seed; all in points of a hundred.

    >>> found = compared([(0.50, 0.51), (0.52, 0.51), (0.54, 0.54)])
    >>> round(found["seed_sd"], 6), round(found["difference"], 6), round(found["standard_error"], 3)
    (2.0, 0.0, 0.577)
    >>> round(found["high"], 3)
    2.484
    """
    count = len(pairs)
    differences = [100 * (bf16 - fp32) for fp32, bf16 in pairs]
    mean, error = statistics.mean(differences), statistics.stdev(differences) / math.sqrt(count)
    half = T[max(known for known in T if known < count)] * error  # of no more degrees than there are: wider
    return {
        "fp32": 100 * statistics.mean(fp32 for fp32, _ in pairs),
        "bf16": 100 * statistics.mean(bf16 for _, bf16 in pairs),
        "seed_sd": 100 * statistics.stdev(fp32 for fp32, _ in pairs),
        "difference": mean,
        "standard_error": error,
        "low": mean - half,
        "high": mean + half,
    }


def words(racer: str, found: dict[str, float], seeds: int) -> str:
    """State the result of a comparison, every number measured."""
    within = found["seed_sd"] > max(-found["low"], found["high"])
    surely = "stays within" if within else "is not shown to stay within"
    return (
        f"{racer}: bf16 {surely} seed noise. Test accuracy {found['fp32']:.2f} % in fp32, "
        f"{found['bf16']:.2f} % in bf16: a difference of {found['difference']:+.2f} points, 95 % interval "
        f"{found['low']:+.2f} to {found['high']:+.2f} over {seeds} paired seeds, beside "
        f"{found['seed_sd']:.2f} points of standard deviation between seeds."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8, help="at least 3")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--limit", type=int, default=20_000, help="training pictures")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if args.seeds < 3:
        parser.error("a standard deviation of fewer than 3 seeds says nothing")
    config = TrainConfig(
        RACERS, "cifar10", "keras_cnn", args.epochs, args.batch_size, limit=args.limit, device=args.device
    )
    runs: list[dict[str, Any]] = []
    results: list[TrainResult] = []
    for seed in range(args.seeds):
        both = [
            train(dataclasses.replace(config, seed=seed, precision=precision, telemetry=0))
            for precision in PRECISIONS
        ]
        for exact, rounded in zip(both[0].racers, both[1].racers, strict=True):
            assert exact.initial_weights_sha256 == rounded.initial_weights_sha256
            assert exact.batches_sha256 == rounded.batches_sha256
            pair = [exact.test_accuracy, rounded.test_accuracy]
            runs.append({"seed": seed, "racer": exact.notation, "test_accuracy": pair})
            print(f"seed {seed} {exact.notation}: {pair[0]:.2%} fp32, {pair[1]:.2%} bf16", flush=True)
        results = both
    comparisons = {}
    for notation in (racer.notation for racer in results[0].racers):
        pairs = [tuple(run["test_accuracy"]) for run in runs if run["racer"] == notation]
        found = compared(pairs)
        comparisons[notation] = {**found, "words": words(notation, found, args.seeds)}
        print(comparisons[notation]["words"])
    recipe = json.loads(results[0].config.to_json())
    del recipe["seed"], recipe["precision"]  # they differ from run to run
    found_all = {
        "machine": machine("torch", "numpy"),
        "data_note": results[0].data_note,
        "config": recipe,
        "runs": runs,
        "comparisons": comparisons,
    }
    RESULTS.write_text(json.dumps(found_all, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
