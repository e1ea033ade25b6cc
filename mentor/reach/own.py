"""Where this deployment's own sandbox and retriever are."""

from __future__ import annotations

import os

SANDBOX_VARIABLE = "MENTOR_SANDBOX_TARGET"
RETRIEVER_VARIABLE = "MENTOR_RETRIEVER_TARGET"


def sandbox_target() -> str:
    """gRPC target, or URL, of the sandbox that jobs use unless they name another."""
    return os.environ.get(SANDBOX_VARIABLE, "127.0.0.1:50051")


def retriever_target() -> str:
    """Likewise of the retriever."""
    return os.environ.get(RETRIEVER_VARIABLE, "127.0.0.1:50052")
