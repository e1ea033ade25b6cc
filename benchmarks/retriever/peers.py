"""The published servers, each as a process on the loopback interface, fp32, on the CPU.

From checkouts of their sources, run by this environment's Python: Search-R1's ``retrieval_server.py``
(``MENTOR_BENCH_SEARCH_R1=DIR``), and MENTOR/ReCall's ``retriever_serving.py`` (``MENTOR_BENCH_RECALL=DIR``) on FlashRAG
(``MENTOR_BENCH_FLASHRAG=DIR``, more folders for what it imports and this environment lacks, as langid, after colons).
A peer without its checkout is replaced by a stand-in written for the benchmark, and is called so in the output.
Either way the number of OpenMP threads is the libraries' own choice, as published. ``MENTOR_BENCH_PEER_OMP=N`` gives the
peers that number instead (and says so in their names): on few cores their threads fight, and one each serves them best.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.results import STAND_IN
from benchmarks.retriever.corpus import Corpus
from benchmarks.retriever.encoder import model_folder
from benchmarks.retriever.servers import Server, free_port, running

SEARCH_R1, RECALL, FLASHRAG = "MENTOR_BENCH_SEARCH_R1", "MENTOR_BENCH_RECALL", "MENTOR_BENCH_FLASHRAG"
PEER_OMP = "MENTOR_BENCH_PEER_OMP"
RETRIEVERS = 4
"""Copies of index and encoder in MENTOR's published command line (``--num_retriever``)."""


@contextmanager
def search_r1(corpus: Corpus) -> Iterator[Server]:
    """Its own server, or the stand-in."""
    port, checkout = free_port(), os.environ.get(SEARCH_R1)
    module = "search_r1_launch" if checkout else "search_r1_server"
    command = [*_module(module), *([str(Path(checkout).resolve())] if checkout else []), str(port)]
    command += [str(corpus.passages), str(corpus.index), str(model_folder())]
    with running(_named("Search-R1", checkout), "/retrieve", port, command, _variables(corpus)) as server:
        yield server


@contextmanager
def recall(corpus: Corpus, retrievers: int = RETRIEVERS) -> Iterator[Server]:
    """Its own server on FlashRAG, or the stand-in."""
    port, checkout, library = free_port(), os.environ.get(RECALL), os.environ.get(FLASHRAG)
    own = checkout if library else None
    command = [*_module("recall_launch" if own else "recall_server")]
    if own:
        config = corpus.passages.with_suffix(".flashrag.json")
        config.write_text(json.dumps(_flashrag(corpus)), encoding="utf-8")  # JSON is YAML
        command += [str(Path(own).resolve()), str(port), str(config), str(retrievers)]
    else:
        command += [str(port), str(corpus.passages), str(corpus.index), str(model_folder()), str(retrievers)]
    variables = _variables(corpus) | ({"PYTHONPATH": library} if own and library else {})
    with running(f"{_named('MENTOR/ReCall', own)}, /search", "/search", port, command, variables) as server:
        yield server


def by_batch(server: Server) -> Server:
    """MENTOR/ReCall's ``/batch_search`` with one query a request, which does the work of one query.

    Its ``/search`` hands FlashRAG a bare string, which is cut into slices of 64 characters that are all encoded and searched.
    """
    return replace(server, name=f"{server.name.removesuffix(', /search')}, /batch_search", route="/batch_search")


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.retriever.{name}"]


def _named(name: str, checkout: str | None) -> str:
    threads = os.environ.get(PEER_OMP)
    return name + ("" if checkout else STAND_IN) + (f", OMP_NUM_THREADS={threads}" if threads else "")


def _variables(corpus: Corpus) -> dict[str, str]:
    threads = os.environ.get(PEER_OMP)
    cache = {"HF_DATASETS_CACHE": str(corpus.passages.parent / "datasets")}
    return cache | ({"OMP_NUM_THREADS": threads} if threads else {})


def _flashrag(corpus: Corpus) -> dict[str, object]:
    """FlashRAG's settings: what names files, and fp32 on the CPU instead of fp16 on a GPU."""
    return {
        "gpu_id": None,
        "retrieval_method": str(model_folder()),
        "index_path": str(corpus.index),
        "faiss_gpu": False,
        "corpus_path": str(corpus.passages),
        "retrieval_use_fp16": False,
        "disable_save": True,
    }
