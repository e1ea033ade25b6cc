"""How far from what the machine can do: bounds from its memory bandwidth and its floating-point rate, measured here.

A batch of B queries scans N vectors of d dimensions at least once: B·BW/(N·d·bytes) queries a second at most, and at
most FLOPS/(2·N·d); encoding a query takes at least its own FLOPs. Other machines are predictions from data sheets.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer

from benchmarks.results import Row
from benchmarks.retriever.corpus import Corpus
from benchmarks.retriever.encoder import DIMENSION, model_folder
from benchmarks.retriever.plan import Plan
from benchmarks.retriever.queries import pool
from benchmarks.retriever.rates import ENCODER, SCAN, alternate
from benchmarks.retriever.servers import ours

BATCH = 64
WIKIPEDIA, E5 = 21_015_324, 768
"""Passages and dimensions of the production index."""


@dataclass(frozen=True)
class Machine:
    """Bytes a second, and floating-point operations a second."""

    name: str
    bandwidth: float
    flops: float


DATA_SHEET = (
    Machine("one H100 SXM (data sheet: 3.35 TB/s, 989 TFLOPS fp16 dense)", 3.35e12, 989.4e12),
    Machine("one H200 (data sheet: 4.8 TB/s, 989 TFLOPS fp16 dense)", 4.8e12, 989.4e12),
)


def bound(machine: Machine, rows: int, dimension: int, width: int, batch: int = BATCH) -> float:
    """Queries per second at most; ``width`` is the bytes of one component."""
    return min(batch * machine.bandwidth / (rows * dimension * width), machine.flops / (2 * rows * dimension))


def limits(plan: Plan) -> list[Row]:
    """The machine's rates, what ours reaches of its bounds at 64 callers, and predictions for 21 M × 768."""
    torch.set_num_threads(os.cpu_count() or 1)
    here = Machine("this CPU", _bandwidth(), _flops())
    sizes = [plan.corpus(size) for size in ((SCAN,) if plan.passages else (SCAN, ENCODER))]
    rate, per_query = _encoder(sizes[0], plan)
    peak = "matrix product, fp32"
    rows = [
        Row("memory bandwidth, reading", "GB/s", (here.bandwidth / 1e9,), "all cores, best of 5", (), 5),
        Row("floating-point rate", "GFLOP/s", (here.flops / 1e9,), f"{peak}, all cores, best of 5", (), 5),
        Row(f"encoder in batches of {BATCH}", "GFLOP/s", (rate / 1e9,), peak, (here.flops / 1e9,), 5),
        Row("a query in the encoder", "GFLOP", (per_query / 1e9,), "real queries, padded", (), BATCH),
    ]
    for corpus in sizes:
        rows += _reached(plan, corpus, here, per_query)
    for machine, width, kind in ((here, 4, "fp32"), *((each, 2, "fp16") for each in DATA_SHEET)):
        most = bound(machine, WIKIPEDIA, E5, width)
        name = f"prediction: scan of {WIKIPEDIA:,} × {E5} {kind} in batches of {BATCH}, at most"
        rows.append(Row(name, "queries/s", (most,), machine.name, (), 0))
    return rows


def _reached(plan: Plan, corpus: Corpus, here: Machine, per_query: float) -> list[Row]:
    with ours(corpus, plan.settings) as server:
        (seen,) = alternate(plan, [server], BATCH, pool(plan.work, corpus))
    rates = tuple(each.rate for each in seen)
    scan = bound(here, corpus.size, DIMENSION, 4)
    both = 1 / (1 / scan + per_query / here.flops)
    answers, errors = sum(each.answers for each in seen), sum(each.errors for each in seen)
    name = f"{corpus.size:,} passages, {BATCH} callers, of the bound"
    return [
        Row(f"{name} of the scan alone", "queries/s", rates, "bound", (scan,), answers, errors=errors),
        Row(f"{name} of scan and encoder", "queries/s", rates, "bound", (both,), answers, errors=errors),
    ]


def _best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of five."""
    work()
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        work()
        took.append(time.perf_counter() - begun)
    return min(took)


def _bandwidth() -> float:
    block = torch.ones(256 * 1024 * 1024)
    return float(block.nbytes) / _best(block.sum)


def _flops(size: int = 3072) -> float:
    left, right = torch.rand(size, size), torch.rand(size, size)
    return float(2 * size**3) / _best(lambda: left @ right)


def _encoder(corpus: Corpus, plan: Plan) -> tuple[float, float]:
    """FLOP/s of the encoder over one batch of real queries, and the FLOPs of one query in it."""
    texts = json.loads(pool(plan.work, corpus).read_text(encoding="utf-8"))[:BATCH]
    tokenizer: Any = AutoTokenizer.from_pretrained(model_folder())
    model: Any = AutoModel.from_pretrained(model_folder()).eval()
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    length = inputs["input_ids"].shape[1]
    weights = sum(layer.weight.numel() for layer in model.encoder.modules() if isinstance(layer, torch.nn.Linear))
    attention = 4 * model.config.num_hidden_layers * length * model.config.hidden_size
    per_query = float(length * (2 * weights + attention))
    with torch.inference_mode():
        took = _best(lambda: model(**inputs))
    return per_query * len(texts) / took, per_query
