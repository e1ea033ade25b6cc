"""Everything that can be found wrong with a run before it starts, each as one line that names the field."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from mentor.chat import ChatFormat, load_format
from mentor.data import read_questions
from mentor.errors import InfrastructureError, UserError
from mentor.rewards import load_preset
from mentor.rollout import user_messages
from mentor.rpc.health import require_ready
from mentor.rpc.retry import RetryPolicy
from mentor.tools.registry import ToolRegistry
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Frozen, Question
from mentor_trainer.config import TrainSpec
from mentor_trainer.memory import require_fit, shape_of_model
from mentor_trainer.methods import METHODS
from mentor_trainer.verl_ext import PINNED_VERL

_PROBE = RetryPolicy(attempts=4, backoff_s=0.25, deadline_s=10.0)
_LONGEST_CHECKED = 64
_MIN_FREE_BYTES = 64 * 1024 * 1024


class Plan(Frozen):
    """What preflight found out: how many questions there are, and how many steps that makes."""

    questions: int
    total_steps: int


def check_spec(spec: TrainSpec, *, here: bool = True) -> Plan:
    """Check files, model and settings; touches no service.

    ``here`` is False where another machine will train: a service that takes jobs need not have the worker's GPUs.

    Raises:
        UserError: naming the field and what is allowed.
    """
    load_preset(spec.reward)
    chat_format = check_model(spec)
    check_teacher(spec)
    questions = read_training(spec)
    validation = _read(spec.val_files, "val_files", spec.val_max_samples)
    _check_questions(spec, [*questions, *validation], chat_format)
    per_epoch = METHODS.get(spec.algorithm).steps_per_epoch(spec, questions, chat_format)
    if spec.device == "cuda" and METHODS.get(spec.algorithm).on_verl:
        require_fit(spec, shape_of_model(Path(spec.model)))
    check_output(Path(spec.output_dir))
    _check_machine(spec, here)
    return Plan(questions=len(questions), total_steps=spec.total_steps or per_epoch * spec.total_epochs)


def check_services(spec: TrainSpec) -> None:
    """Make one call to every service that the run will need.

    Raises:
        UserError: a service is needed and not given, or does not answer as one.
        InfrastructureError: it cannot be reached.
    """
    if not METHODS.get(spec.algorithm).samples:
        return
    questions = [*_read(spec.train_files, "train_files", -1), *_read(spec.val_files, "val_files", -1)]
    asyncio.run(_probe(spec, {tool.backend for q in questions for tool in _tools(spec, q)}))


def check_model(spec: TrainSpec) -> ChatFormat:
    """The model's folder, tokenizer, chat format and context length.

    Raises:
        UserError: naming the field.
    """
    folder = Path(spec.model)
    tokenizer = _tokenizer(folder)
    weights = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
    if not weights:
        raise UserError(f"{folder} holds no weights", field="model", allowed="*.safetensors beside config.json")
    context = _context_length(folder)
    wanted = spec.max_prompt_length + spec.max_response_length
    if context is not None and wanted > context:
        raise UserError(
            f"prompt and response take up to {wanted} tokens, the model's context has {context}",
            field="max_response_length",
            allowed=f"at most {context - spec.max_prompt_length} with this max_prompt_length",
        )
    return load_format(tokenizer, spec.chat_format, **spec.template_kwargs)


def _tokenizer(folder: Path, field: str = "model") -> Any:
    # Here and not above: it brings torch and half a gigabyte, which neither an idle service nor its worker has use for.
    from mentor.inference.local.weights import load_tokenizer

    return load_tokenizer(folder, field)


def check_teacher(spec: TrainSpec) -> None:
    """The model of on-policy distillation, where there is one, has the student's tokens: ids are all that they share.

    Raises:
        UserError: it cannot be read, or has another vocabulary.
    """
    if spec.distil_model is None:
        return
    teacher = _tokenizer(Path(spec.distil_model), "distil_model")
    student = _tokenizer(Path(spec.model))
    ours, theirs = student.get_vocab(), teacher.get_vocab()
    if ours != theirs:
        odd = sorted(set(ours.items()) ^ set(theirs.items()))[0][0]
        raise UserError(
            f"{spec.distil_model} has another vocabulary than the student (such as {odd!r})", field="distil_model",
            allowed="a model of the student's family; a black box teaches by its trajectories",
        )  # fmt: skip


def check_output(folder: Path) -> None:
    """The output folder can be written and has room.

    Raises:
        UserError: it cannot, or has not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write to {folder}: {reason}", field="output_dir", allowed="a writable folder"
        ) from error
    if free < _MIN_FREE_BYTES:
        raise UserError(f"{folder} has {free // 2**20} MiB left", field="output_dir", allowed="64 MiB or more")


def _context_length(folder: Path) -> int | None:
    value = json.loads((folder / "config.json").read_text()).get("max_position_embeddings")
    return int(value) if value is not None else None


def _read(files: Iterable[str], field: str, limit: int) -> list[Question]:
    questions = [question for file in files for question in read_questions(file, field)]
    return questions[:limit] if limit > 0 else questions


def read_training(spec: TrainSpec) -> list[Question]:
    """The questions that are trained on, in the order of the data.

    Raises:
        UserError: a file is malformed, or a curriculum leaves none.
    """
    questions = spec.questions_by_rate.apply(_read(spec.train_files, "train_files", -1))
    return questions[: spec.train_max_samples] if spec.train_max_samples > 0 else questions


def _tools(spec: TrainSpec, question: Question) -> tuple[ToolSpec, ...]:
    return ToolRegistry(search_url=spec.retriever_url, default=spec.tools).for_question(question)


def _check_questions(spec: TrainSpec, questions: list[Question], chat_format: ChatFormat) -> None:
    """Every question's tools are known and have their service, and the longest prompts fit."""
    samples = METHODS.get(spec.algorithm).samples
    for question in questions:
        needed = {tool.backend for tool in _tools(spec, question)}
        for backend, field in (("sandbox", "sandbox_url"), ("retriever", "retriever_url")):
            if samples and backend in needed and not getattr(spec, field):
                raise UserError(
                    f"question {question.id} offers tools of the {backend}, and no {field} is given",
                    field=field,
                    allowed="host:port (gRPC) or http://host:port",
                )
    for question in sorted(questions, key=lambda q: -len(q.question))[:_LONGEST_CHECKED]:
        tools = [tool.openai() for tool in _tools(spec, question)]
        length = len(chat_format.render_prompt(user_messages(question.question, spec.system_prompt), tools))
        if length > spec.max_prompt_length:
            raise UserError(
                f"the prompt of question {question.id} has {length} tokens",
                field="max_prompt_length",
                allowed=f"{length} or more",
            )


def _check_machine(spec: TrainSpec, here: bool) -> None:
    if METHODS.get(spec.algorithm).on_verl and metadata.version("verl") != PINNED_VERL:
        raise UserError(f"verl {metadata.version('verl')} is installed", field="verl", allowed=PINNED_VERL)
    if here and spec.device == "cuda" and spec.ray_address is None:
        import torch

        if torch.cuda.device_count() < spec.n_gpus_per_node:
            raise UserError(
                f"{spec.n_gpus_per_node} GPUs are asked for, this machine shows {torch.cuda.device_count()}",
                field="n_gpus_per_node",
                allowed="at most that many, device: cpu, or a ray_address",
            )
    if spec.nnodes > 1 and spec.ray_address is None:
        raise UserError("several nodes need a Ray cluster", field="ray_address", allowed="URL of its job server")


async def _probe(spec: TrainSpec, backends: set[str]) -> None:
    for service, endpoint in (("sandbox", spec.sandbox_url), ("retriever", spec.retriever_url)):
        if service in backends and endpoint:
            try:
                await require_ready(endpoint, service, _PROBE)
            except InfrastructureError as error:
                raise InfrastructureError(f"{service}_url: {error.message}") from error
