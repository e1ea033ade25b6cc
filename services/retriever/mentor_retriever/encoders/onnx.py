"""Models run by ONNX Runtime on the CPU: faster than by PyTorch, and with neither its start nor its memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from mentor.errors import UserError
from mentor_retriever.encoders.texts import Tokens

FP32, INT8 = "model.onnx", "model_int8.onnx"
FOLDER = "onnx"
"""Below a model's folder, as the model hub has it."""


class OnnxNetwork:
    """See ``transformer.Network``; the model is ``onnx/model.onnx`` or ``onnx/model_int8.onnx`` below the folder."""

    def __init__(self, folder: Path, *, int8: bool, threads: int) -> None:
        path = onnx_file(folder, int8=int8)
        if not path.is_file():
            message = f"{path} is missing; write it with: mentor index export-encoder {folder} DIR"
            raise UserError(message, field="encoder_backend")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._inputs = {given.name for given in self._session.get_inputs()}
        self._output = self._session.get_outputs()[0]

    @property
    def dimension(self) -> int:
        """See ``Network.dimension``."""
        return int(self._output.shape[-1])

    def __call__(self, ids: Tokens, mask: Tokens) -> NDArray[np.float32]:
        """See ``Network.__call__``."""
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        fed = {name: value for name, value in given.items() if name in self._inputs}
        states: NDArray[np.float32] = self._session.run([self._output.name], fed)[0]
        return states


def onnx_file(folder: Path, *, int8: bool) -> Path:
    """Where a folder's ONNX model is."""
    return folder / FOLDER / (INT8 if int8 else FP32)
