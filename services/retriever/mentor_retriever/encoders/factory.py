"""The encoder that the settings ask for."""

from __future__ import annotations

import json
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from mentor.errors import UserError
from mentor_retriever.encoders.base import Encoder
from mentor_retriever.encoders.pooling import declared_pooling
from mentor_retriever.encoders.transformer import Manner, Side, TransformerEncoder
from mentor_retriever.settings import RetrieverSettings

if TYPE_CHECKING:
    from mentor_retriever.encoders.transformer import Network

_PLAIN = ("Transformer", "Pooling", "Normalize")
"""Parts of a sentence-transformers model that need nothing but tokens, a network and pooling."""


def open_encoder(settings: RetrieverSettings, *, device: str | None = None, threads: int = 1) -> Encoder:
    """The encoder in ``retrieval_model_path``; nothing is downloaded unless ``allow_downloads``.

    Args:
        device: in place of the settings' own.
        threads: for one batch.

    Raises:
        UserError: the folder is missing, holds no model, or lacks the file that the backend needs.
    """
    if settings.encoder_factory:
        return _custom(settings.encoder_factory)
    assert settings.retrieval_model_path is not None
    folder = _folder(settings, settings.retrieval_model_path, "retrieval_model_path")
    try:
        if not _plain(folder):
            from mentor_retriever.encoders.sentence import SentenceEncoder

            return SentenceEncoder(folder, settings, device or settings.device, threads)
        network = _network(folder, settings, device, threads)
        return TransformerEncoder(folder, network, _manner(folder, settings), _passage_side(settings, device, threads))
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise UserError(f"cannot load the encoder in {folder}: {reason}", field="retrieval_model_path") from None


def _passage_side(settings: RetrieverSettings, device: str | None, threads: int) -> Side | None:
    if settings.passage_model_path is None:
        return None
    folder = _folder(settings, settings.passage_model_path, "passage_model_path")
    return Side(folder, cache(lambda: _network(folder, settings, device, threads)))


def _folder(settings: RetrieverSettings, path: Path, field: str) -> Path:
    if (path / "config.json").is_file() or (path / "modules.json").is_file():
        return path
    if not settings.allow_downloads or path.is_absolute():
        hint = "" if settings.allow_downloads else "; allow_downloads fetches a name of the model hub"
        raise UserError(f"{path} holds no model (no config.json){hint}", field=field)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(path), ignore_patterns=["*.h5", "*.msgpack", "*.ot", "*.bin.index*"]))
    except Exception as error:  # the hub's client raises errors of many libraries
        reason = str(error).strip().splitlines()[0][:200]
        raise UserError(f"cannot download {path}: {reason}", field=field) from None


def _plain(folder: Path) -> bool:
    """Whether the folder is a transformer with at most pooling and normalisation behind it."""
    modules = folder / "modules.json"
    if not modules.is_file():
        return True
    kinds = [str(module["type"]).rpartition(".")[2] for module in json.loads(modules.read_text(encoding="utf-8"))]
    pooled = "Pooling" not in kinds or declared_pooling(folder) is not None
    return all(kind in _PLAIN for kind in kinds) and pooled


def _network(folder: Path, settings: RetrieverSettings, device: str | None, threads: int) -> Network:
    from mentor_retriever.encoders.onnx import OnnxNetwork, onnx_file

    place = device or settings.device
    backend = settings.encoder_backend
    if backend == "auto":
        backend = "onnx" if place == "cpu" and onnx_file(folder, int8=False).is_file() else "torch"
    if backend == "torch":
        from mentor_retriever.encoders.pytorch import TorchNetwork

        return TorchNetwork(folder, device=place, fp16=settings.fp16, threads=threads)
    return OnnxNetwork(folder, int8=backend == "onnx-int8", threads=threads)


def _manner(folder: Path, settings: RetrieverSettings) -> Manner:
    family = settings.family
    query_prefix, passage_prefix = settings.prefixes
    return Manner(
        query_prefix=query_prefix,
        passage_prefix=passage_prefix,
        query_max_length=settings.query_max_length,
        passage_max_length=settings.passage_max_length,
        pooling=settings.pooling or declared_pooling(folder) or family.pooling or "mean",
        normalize=family.normalize if settings.normalize is None else settings.normalize,
        batch=settings.encode_batch_size,
    )


def _custom(named: str) -> Encoder:
    module, _, function = named.partition(":")
    try:
        encoder: Encoder = getattr(import_module(module), function)()
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"encoder_factory {named!r}: {error}", field="encoder_factory", allowed="MODULE:FUNCTION"
        ) from None
    return encoder
