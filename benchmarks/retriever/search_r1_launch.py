"""Runs Search-R1's ``search_r1/search/retrieval_server.py`` from its checkout, unchanged but for what a CPU needs.

Its main block has the port, the address and half precision written down, and its encoder calls ``.cuda()``: here the
same configuration is made in fp32, ``.cuda()`` does nothing, and it listens on the loopback interface.
``python -m benchmarks.retriever.search_r1_launch CHECKOUT PORT CORPUS INDEX MODEL``.
"""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import uvicorn


def load(path: Path) -> ModuleType:
    """A module from its file."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _same(value: Any, *_: Any, **__: Any) -> Any:
    return value


def main() -> None:
    """See the module."""
    checkout, port, corpus, index, model = sys.argv[1:]
    server: Any = load(Path(checkout) / "search_r1" / "search" / "retrieval_server.py")
    patched: Any = (torch.Tensor, torch.nn.Module)
    for kind in patched:
        kind.cuda = _same
    server.config = server.Config(
        retrieval_method="dense",
        index_path=index,
        corpus_path=corpus,
        retrieval_topk=3,
        faiss_gpu=False,
        retrieval_model_path=model,
        retrieval_pooling_method="mean",
        retrieval_query_max_length=256,
        retrieval_use_fp16=False,
        retrieval_batch_size=512,
    )
    server.retriever = server.get_retriever(server.config)
    uvicorn.run(server.app, host="127.0.0.1", port=int(port))


if __name__ == "__main__":
    main()
