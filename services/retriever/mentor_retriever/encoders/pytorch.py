"""Models run by PyTorch, on the CPU or a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModel

from mentor_retriever.encoders.texts import Tokens


class TorchNetwork:
    """See ``transformer.Network``.

    Args:
        model: a folder, or a name on the model hub where downloads are allowed.
        device: ``cpu``, ``cuda``, ``cuda:1``.
        threads: of PyTorch for one batch; batches of several callers run side by side, so one is best for a server.
    """

    def __init__(self, model: Path | str, *, device: str, fp16: bool, threads: int, local_only: bool = True) -> None:
        self._threads = threads
        loaded = _loaded(str(model), local_only)
        self._model = (loaded.half() if fp16 else loaded.float()).eval().to(device)
        self._device = device

    @property
    def dimension(self) -> int:
        """See ``Network.dimension``."""
        return int(self._model.config.hidden_size)

    def __call__(self, ids: Tokens, mask: Tokens) -> NDArray[np.float32]:
        """See ``Network.__call__``."""
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)  # OpenMP keeps it per calling thread
        with torch.inference_mode():
            given = {
                "input_ids": torch.from_numpy(ids).to(self._device),
                "attention_mask": torch.from_numpy(mask).to(self._device),
            }
            output = self._model(**given)
            # DPR's encoders give the pooled vector alone.
            states = getattr(output, "last_hidden_state", None)
            states = output.pooler_output[:, None] if states is None else states
            found: NDArray[np.float32] = states.float().cpu().numpy()
            return found


def _loaded(model: str, local_only: bool) -> Any:
    """The model with all of its weights.

    Raises:
        ValueError: weights are missing: they would be random, and so would the vectors.
    """
    named = AutoConfig.from_pretrained(model, local_files_only=local_only).architectures or []
    # AutoModel takes every DPR checkpoint for an encoder of questions.
    kind: Any = getattr(transformers, named[0]) if named and named[0].startswith("DPR") else AutoModel
    loaded, found = kind.from_pretrained(model, local_files_only=local_only, output_loading_info=True)
    missing = sorted(name for name in found["missing_keys"] if "pooler" not in name)
    if missing:
        raise ValueError(f"{len(missing)} weights are missing, {missing[0]} is the first")
    return loaded
