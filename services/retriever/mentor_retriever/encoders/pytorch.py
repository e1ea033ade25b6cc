"""Models run by PyTorch, on the CPU or a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel

from mentor_retriever.encoders.texts import Tokens


class TorchNetwork:
    """See ``transformer.Network``.

    Args:
        model: a folder, or a name on the model hub where downloads are allowed.
        device: ``cpu``, ``cuda``, ``cuda:1``.
        threads: of PyTorch for one batch; batches of several callers run side by side, so one is best for a server.
    """

    def __init__(self, model: Path | str, *, device: str, fp16: bool, threads: int, local_only: bool = True) -> None:
        torch.set_num_threads(threads)
        loaded: Any = AutoModel.from_pretrained(str(model), local_files_only=local_only)
        self._model = (loaded.half() if fp16 else loaded.float()).eval().to(device)
        self._device = device

    @property
    def dimension(self) -> int:
        """See ``Network.dimension``."""
        return int(self._model.config.hidden_size)

    def __call__(self, ids: Tokens, mask: Tokens) -> NDArray[np.float32]:
        """See ``Network.__call__``."""
        with torch.inference_mode():
            given = {
                "input_ids": torch.from_numpy(ids).to(self._device),
                "attention_mask": torch.from_numpy(mask).to(self._device),
            }
            states = self._model(**given).last_hidden_state
            found: NDArray[np.float32] = states.float().cpu().numpy()
            return found
