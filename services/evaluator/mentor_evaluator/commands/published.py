"""``mentor eval published``: the command lines of the published evaluation scripts, run by this evaluator.

Every flag of theirs is either taken (and what it becomes is printed) or refused with what to do instead.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import typer

from mentor.cli.lines import clear_errors
from mentor.data.files import read_mapping
from mentor.errors import UserError

app = typer.Typer(help="The published scripts' command lines.", no_args_is_help=True)
_ANY = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
CATEGORIES = {
    "Math-Forge-Hard": "math-forge-hard", "Omni-MATH-512": "omni-math-512", "aime24": "aime24", "aime25": "aime25",
    "amc23": "amc23", "minervamath": "minervamath",
}  # fmt: skip
METHODS = {
    "naive": "naive", "zero-shot": "zero-shot", "iterretgen": "iterretgen", "ircot": "ircot", "mentor": "agent",
    "mentor-qwen3": "agent",
}  # fmt: skip
_TOOL_TURNS = 5


@dataclass(frozen=True)
class Flag:
    """One flag of a published script. ``refused``: why it is, and what to do instead; else it is taken."""

    name: str
    kind: Callable[[str], Any] = str
    many: bool = False
    switch: bool = False
    default: Any = None
    refused: str | None = None


_HUB = "models and data are read from folders here: download them with the hub's own tool, where the token belongs"
BENCH = (
    Flag("dataset_name", refused="name the sets: --categories, or `mentor eval run --suite`; `mentor data fetch` brings them"),
    Flag("model_path"), Flag("hf_token", refused=_HUB), Flag("tensor_parallel_size", int),
    Flag("max_turns", int, default=_TOOL_TURNS), Flag("output_file"), Flag("batch_size", int),
    Flag("categories", many=True), Flag("benchmark_category", many=True), Flag("max_tokens", int, default=12000),
    Flag("max_model_len", int), Flag("gpu_memory_utilization", float), Flag("max_num_batched_tokens", int),
    Flag("enable_chunked_prefill", switch=True), Flag("enable_prefix_caching", switch=True), Flag("temperature", float),
    Flag("top_p", float), Flag("seed", int, default=42), Flag("max_samples", int), Flag("sandbox_url"),
)  # fmt: skip
RUN_EVAL = (
    Flag("config_path"),
    Flag("method_name"), Flag("data_dir"), Flag("dataset_name"), Flag("split"), Flag("save_dir"), Flag("save_note"),
    Flag("sgl_remote_url"), Flag("remote_retriever_url"), Flag("sandbox_url"), Flag("generator_model"),
)  # fmt: skip
RAG_EVAL = (
    Flag("models", many=True), Flag("benchmarks", many=True), Flag("method_name"), Flag("data_dir"), Flag("save_dir"),
    Flag("remote_retriever_url"), Flag("sandbox_url"),
    Flag("gpus", refused="servers take GPUs by lease: `--set gpus=N` of `mentor eval run`"),
)  # fmt: skip


@app.command(context_settings=_ANY)
def batch_inference_multiturn_bench(context: typer.Context) -> None:
    """The math benchmark: ``batch_inference_multiturn_bench.py``."""
    with clear_errors():
        _run(bench_spec(parse("batch_inference_multiturn_bench", BENCH, context.args)))


@app.command(context_settings=_ANY)
def run_eval(context: typer.Context) -> None:
    """One model on one QA set: ``run_eval.py``."""
    with clear_errors():
        _run(run_eval_spec(parse("run_eval", RUN_EVAL, context.args)))


@app.command(context_settings=_ANY)
def rag_eval(context: typer.Context) -> None:
    """Models times QA sets: ``rag_eval.py``."""
    with clear_errors():
        _run(rag_eval_spec(parse("rag_eval", RAG_EVAL, context.args)))


@dataclass(frozen=True)
class Published:
    """What a published command line asks for. ``data``: its data folder. ``output``: the run's. ``records``: a file."""

    spec: dict[str, Any]
    data: str | None = None
    output: str | None = None
    records: str | None = None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message, field=self.prog, allowed=", ".join(self.known))

    known: tuple[str, ...] = ()


def parse(script: str, flags: Sequence[Flag], arguments: Sequence[str]) -> argparse.Namespace:
    """The values of a script's flags.

    Raises:
        UserError: an unknown flag, a malformed value, or a flag that is refused, with its successor.
    """
    parser = _Parser(prog=script, allow_abbrev=False, add_help=False)
    parser.known = tuple(f"--{flag.name}" for flag in flags)
    for flag in flags:
        if flag.switch:
            parser.add_argument(f"--{flag.name}", action="store_true")
        else:
            parser.add_argument(f"--{flag.name}", type=flag.kind, nargs="+" if flag.many else None)
    values = parser.parse_args(list(arguments))
    for flag in flags:
        if flag.refused and getattr(values, flag.name):
            raise UserError(f"--{flag.name} has no place here", field=f"--{flag.name}", allowed=flag.refused)
        if getattr(values, flag.name) is None:
            setattr(values, flag.name, flag.default)
    return values


def bench_spec(values: argparse.Namespace) -> Published:
    """The math benchmark as an evaluation."""
    wanted = [*(values.categories or ()), *(values.benchmark_category or ())] or list(CATEGORIES)
    suites = [_known(CATEGORIES, name, "--categories") for name in wanted]
    if not values.model_path:
        raise UserError("--model_path is missing", field="--model_path", allowed="a Hugging Face model folder")
    engine = {
        "tensor_parallel": values.tensor_parallel_size, "max_model_len": values.max_model_len,
        "gpu_memory_utilization": values.gpu_memory_utilization, "max_num_batched_tokens": values.max_num_batched_tokens,
        "enable_chunked_prefill": values.enable_chunked_prefill or None,
        "enable_prefix_caching": values.enable_prefix_caching or None,
    }  # fmt: skip
    serve = {name: value for name, value in engine.items() if value is not None}
    folder = Path(values.model_path)
    model: dict[str, Any] = {"path": str(folder.resolve())}
    if serve:
        model["serve"] = {"engine": "vllm", **serve}
    spec = _spec([(folder.name, model)], suites, values.sandbox_url, None)
    spec["sampling"] = _sampling(values.temperature, values.top_p, values.max_tokens, values.seed)
    spec["limits"] = {"max_turns": values.max_turns}
    if values.max_samples:
        spec["max_questions"] = values.max_samples
    if values.batch_size:
        spec["concurrency"] = min(values.batch_size, 4096)
    return Published(spec, records=values.output_file)


def run_eval_spec(values: argparse.Namespace) -> Published:
    """One model on one QA set as an evaluation. Keys of ``config_path`` that are named like flags stand in for them."""
    for name, value in _config(values.config_path).items():
        if hasattr(values, name) and getattr(values, name) is None:
            setattr(values, name, str(value))
    for name in ("dataset_name", "sgl_remote_url", "generator_model"):
        if not getattr(values, name):
            raise UserError(f"--{name} is missing", field=f"--{name}")
    method = values.method_name or "mentor"
    strategy = _known(METHODS, method, "--method_name")
    model = {"url": values.sgl_remote_url, "name": values.generator_model}
    spec = _spec([(Path(values.generator_model).name, model)], [values.dataset_name], values.sandbox_url, values)
    spec["strategy"] = strategy
    if method == "mentor-qwen3":
        spec["thinking"] = "on"
    if values.split:
        spec["options"] = {values.dataset_name: {"split": values.split}}
    output = Path(values.save_dir, values.save_note or values.dataset_name) if values.save_dir else None
    return Published(spec, data=values.data_dir, output=str(output) if output else None)


def _config(path: str | None) -> dict[str, Any]:
    return read_mapping(Path(path), "--config_path") if path else {}


def rag_eval_spec(values: argparse.Namespace) -> Published:
    """Models times QA sets as an evaluation."""
    if not values.models or not values.benchmarks:
        raise UserError("--models and --benchmarks are needed", field="--models", allowed="folders, or NAME@URL")
    models = [_model(text) for text in values.models]
    spec = _spec(models, values.benchmarks, values.sandbox_url, values)
    spec["strategy"] = _known(METHODS, values.method_name or "mentor", "--method_name")
    return Published(spec, data=values.data_dir, output=values.save_dir)


def _model(text: str) -> tuple[str, dict[str, Any]]:
    name, at, url = text.rpartition("@")
    if at and url.startswith("http"):
        return Path(name).name, {"url": url, "name": name}
    return Path(text).name, {"path": str(Path(text).resolve())}


def _spec(
    models: Sequence[tuple[str, dict[str, Any]]], suites: Sequence[str], sandbox: str | None, values: Any
) -> dict[str, Any]:
    retriever = values.remote_retriever_url if values is not None else None
    backends = {name: url for name, url in (("sandbox", sandbox), ("retriever", retriever)) if url}
    spec: dict[str, Any] = {
        "models": [{"name": name, "model": model} for name, model in models],
        "suites": list(suites),
    }
    return spec | ({"backends": backends} if backends else {})


def _sampling(temperature: float | None, top_p: float | None, max_tokens: int, seed: int) -> dict[str, Any]:
    given = {"temperature": 0.6 if temperature is None else temperature, "max_tokens": max_tokens, "seed": seed}
    return given | ({} if top_p is None else {"top_p": top_p})


def _known(table: dict[str, str], name: str, flag: str) -> str:
    if name not in table:
        raise UserError(f"{flag}: {name!r} is unknown", field=flag, allowed=", ".join(table))
    return table[name]


def _run(asked: Published) -> None:
    import os

    import yaml

    from mentor_evaluator.commands.building import build_spec
    from mentor_evaluator.commands.foreground import run_here

    if asked.data:
        os.environ["MENTOR_DATA"] = asked.data
    typer.echo("# as an evaluation of `mentor eval run`:\n" + yaml.safe_dump(asked.spec, sort_keys=False), err=True)
    spec = build_spec(None, (), (), asked.spec, {}, ())
    output = Path(asked.output) if asked.output else None
    records = Path(asked.records) if asked.records else None
    raise typer.Exit(run_here(spec, output, records))
