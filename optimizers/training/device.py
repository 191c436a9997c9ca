"""What the machine offers, and how a race uses it: device, precision, threads."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from optimizers.training.config import ONLY_ON_A_GPU, TrainConfig
from optimizers.training.models import MODELS
from optimizers.training.processor import processor_name

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}
NOT_ON_THIS_GPU = "precision is 'tf32', which this GPU is too old for: take fp32, bf16 or auto."


def resolve(config: TrainConfig) -> TrainConfig:
    """Return the recipe with what was found for each "auto"."""
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', but torch finds no CUDA GPU here; take 'cpu' or 'auto'.")
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if computes_in_bf16(device) else "fp32"
    if precision == "tf32" and not (device == "cuda" and torch.cuda.is_tf32_supported()):
        raise ValueError(ONLY_ON_A_GPU if device == "cpu" else NOT_ON_THIS_GPU)
    threads = config.threads
    if threads is None and device == "cpu":
        threads = max(1, torch.get_num_threads() // (len(config.racers) * config.seeds))
    decay = MODELS[config.model].weight_decay if config.weight_decay is None else config.weight_decay
    return replace(config, device=device, precision=precision, threads=threads, weight_decay=decay)


def computes_in_bf16(device: str) -> bool:
    """Whether it has instructions for bf16."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()  # emulated elsewhere, which is slower than fp32


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Let fp32 mean fp32, and tf32 that: by default cuDNN's convolutions take TF32, and products do not."""
    backends: Any = torch.backends
    convolutions, products = backends.cudnn.conv, backends.cuda.matmul
    before = convolutions.fp32_precision, products.fp32_precision
    convolutions.fp32_precision = products.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    try:
        yield
    finally:
        convolutions.fp32_precision, products.fp32_precision = before


def _keep_memory() -> None:
    """Let glibc keep up to 512 MB of what is freed, for the next step.

    It would give every activation of some MB back at once, and the next step's would be mapped, and its pages
    cleared, anew. One arena serves all threads, as those of later ones are kept in pieces of 64 MB.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # another C library does without
        trim_threshold, mmap_threshold, arena_max = -1, -3, -8  # malloc.h
        libc.mallopt(arena_max, 1)
        libc.mallopt(mmap_threshold, 2**25)  # the most it takes
        libc.mallopt(trim_threshold, 2**29)


@contextmanager
def crew(config: TrainConfig) -> Iterator[ThreadPoolExecutor | None]:
    """Give threads that train racers side by side, on a CPU."""
    if config.device != "cpu":
        yield None
        return
    every, each = torch.get_num_threads(), config.threads
    assert each is not None
    _keep_memory()
    try:
        with ThreadPoolExecutor(max(1, every // each), "racer", lambda: torch.set_num_threads(each)) as pool:
            yield pool
    finally:
        torch.set_num_threads(every)


def device_name(device: str) -> str:
    """Return what the maker calls it."""
    return torch.cuda.get_device_name() if device == "cuda" else processor_name()
