"""Load a model from disk, and new weights into it, with errors that name what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from mentor.errors import UserError


def load_model(path: str | Path, field: str = "model") -> PreTrainedModel:
    """A causal language model from a directory in Hugging Face format, in float32, ready for inference.

    Raises:
        UserError: the directory is missing, or does not hold a loadable model.
    """
    directory = _directory(path, field)
    try:
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, local_files_only=True)
    except Exception as error:  # transformers passes on whatever its parts raise: OSError, SafetensorError, ...
        raise _unreadable(directory, "model", error, field) from error
    _check_attention(model, field)
    model.train(False)
    model.requires_grad_(False)
    return model


def on_device(model: PreTrainedModel, device: str) -> PreTrainedModel:
    """The model on a device.

    Raises:
        UserError: torch knows no such device here.
    """
    try:
        return cast(PreTrainedModel, model.to(device))  # type: ignore[arg-type]
    except (RuntimeError, AssertionError) as error:  # a build without CUDA asserts
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot use the device {device!r}: {reason}", field="device", allowed="cpu, cuda:0") from error


def load_tokenizer(path: str | Path, field: str = "model") -> PreTrainedTokenizerBase:
    """The tokenizer beside a model; raises as ``load_model`` does."""
    directory = _directory(path, field)
    try:
        return AutoTokenizer.from_pretrained(directory, local_files_only=True)
    except Exception as error:  # as above
        raise _unreadable(directory, "tokenizer", error, field) from error


def context_length(model: PreTrainedModel) -> int:
    """Tokens that prompt and answer may take together."""
    return int(getattr(model.config, "max_position_embeddings", 2048))


def vocabulary_size(model: PreTrainedModel) -> int:
    """Rows of the embedding: every id below is accepted as input."""
    return int(cast(torch.Tensor, model.get_input_embeddings().weight).shape[0])


def end_ids(model: PreTrainedModel) -> tuple[int, ...]:
    """Tokens that end a generation, from the generation config, else the model's config."""
    for config in (model.generation_config, model.config):
        value = getattr(config, "eos_token_id", None)
        if value is not None:
            return tuple(value) if isinstance(value, list | tuple) else (value,)
    return ()


@torch.no_grad()
def copy_weights(model: PreTrainedModel, tensors: Iterable[tuple[str, torch.Tensor]]) -> int:
    """Copy tensors into the parameters and buffers of those names, in place. All are checked before any is copied.

    Returns:
        How many were copied.

    Raises:
        UserError: a name the model does not have, or a shape that differs.
    """
    own = model.state_dict()
    given = dict(tensors)
    for name, tensor in given.items():
        if name not in own:
            raise UserError(f"the model has no tensor {name!r}", field="weights", allowed="the names of its state dict")
        if tensor.shape != own[name].shape:
            raise UserError(
                f"{name} has shape {list(tensor.shape)}", field="weights", allowed=str(list(own[name].shape))
            )
    for name, tensor in given.items():
        own[name].copy_(tensor)
    return len(given)


def _check_attention(model: PreTrainedModel, field: str) -> None:
    """Left padding over one growing cache holds for full attention only."""
    kinds = set(getattr(model.config, "layer_types", None) or ()) - {"full_attention"}
    if kinds:
        raise UserError(f"the model has layers of {', '.join(sorted(kinds))}", field=field, allowed="full attention")


def _directory(path: str | Path, field: str) -> Path:
    directory = Path(path)
    if not (directory / "config.json").is_file():
        raise UserError(
            f"{directory} holds no model", field=field, allowed="a directory in Hugging Face format (config.json, ...)"
        )
    return directory


def _unreadable(directory: Path, what: str, error: Exception, field: str) -> UserError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return UserError(f"cannot load the {what} in {directory}: {reason}", field=field)
