"""``python -m mentor.inference.local --model DIR [--port 8000] [--served-model-name NAME]``."""

from __future__ import annotations

import sys

from mentor.inference.local.server import build
from mentor.inference.local.settings import ModelServerSettings
from mentor.serving.main import main

FLAGS = {
    "--model": "model",
    "--served-model-name": "served_model_name",
    "--max-batch": "max_batch",
    "--max-queue": "max_queue",
    "--prefix-cache-mb": "prefix_cache_mb",
    "--threads": "threads",
    "--device": "device",
    "--seed": "seed",
}

if __name__ == "__main__":
    sys.exit(main("model", ModelServerSettings, build, flags=FLAGS))
