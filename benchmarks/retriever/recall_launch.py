"""Runs MENTOR/ReCall's ``scripts/serving/retriever_serving.py`` from its checkout on the loopback interface.

Its main block listens on every interface; nothing else is different.
``python -m benchmarks.retriever.recall_launch CHECKOUT PORT CONFIG RETRIEVERS``, FlashRAG on ``PYTHONPATH``.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import uvicorn

from benchmarks.retriever.search_r1_launch import load


def main() -> None:
    """See the module."""
    checkout, port, config, retrievers = sys.argv[1:]
    server: Any = load(Path(checkout) / "scripts" / "serving" / "retriever_serving.py")
    server.init_retriever(Namespace(config=config, num_retriever=int(retrievers)))
    uvicorn.run(server.app, host="127.0.0.1", port=int(port))


if __name__ == "__main__":
    main()
