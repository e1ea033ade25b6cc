"""``python -m mentor_retriever``: run the retriever alone."""

from __future__ import annotations

import sys

from mentor.serving import main
from mentor_retriever.app import build
from mentor_retriever.settings import RetrieverSettings

FLAGS = {
    "--corpus-path": "corpus_path",
    "--index-path": "index_path",
    "--retrieval-method": "retrieval_method",
    "--retrieval-model-path": "retrieval_model_path",
    "--num_retriever": "workers",
}

if __name__ == "__main__":
    sys.exit(main("retriever", RetrieverSettings, build, flags=FLAGS))
