"""Writes a model's folder again, with its ONNX files beside the weights: fp32, and int8 weights by dynamic quantisation."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel

from mentor.errors import UserError
from mentor_retriever.encoders.onnx import FOLDER, onnx_file
from mentor_retriever.encoders.texts import TextTokenizer, padded

_OPSET = 17


class _States(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """States of the last layer."""
        states: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return states


def export_encoder(model: Path, output: Path) -> None:
    """Copy ``model`` to ``output`` and write ``onnx/model.onnx`` and ``onnx/model_int8.onnx`` there.

    Raises:
        UserError: no model there, ``output`` is taken, or the package ``onnx`` is missing.
    """
    try:
        import onnx  # noqa: F401
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError:
        raise UserError("writing ONNX needs the package onnx (pip install 'mentor-retriever[export]')") from None
    if output.exists():
        raise UserError(f"{output} exists", field="output")
    if not (model / "config.json").is_file():
        raise UserError(f"{model} holds no model (no config.json)", field="model")
    fresh = output.with_name(output.name + ".part")
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(model, fresh)
    (fresh / FOLDER).mkdir(exist_ok=True)
    _trace(model, onnx_file(fresh, int8=False))
    quantize_dynamic(onnx_file(fresh, int8=False), onnx_file(fresh, int8=True), weight_type=QuantType.QInt8,
                     per_channel=True)  # fmt: skip
    fresh.replace(output)


def _trace(model: Path, path: Path) -> None:
    loaded: Any = AutoModel.from_pretrained(str(model), local_files_only=True, attn_implementation="eager")
    ids, mask = padded(TextTokenizer(model, 16)(["a text", "and a longer one beside it"]))
    axes = {0: "texts", 1: "tokens"}
    torch.onnx.export(
        _States(loaded.float().eval()),
        (torch.from_numpy(ids), torch.from_numpy(mask)),
        str(path),
        input_names=["input_ids", "attention_mask"],
        output_names=["last_hidden_state"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "last_hidden_state": axes},
        opset_version=_OPSET,
        dynamo=False,
    )
