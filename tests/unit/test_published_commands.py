"""The published scripts' command lines: every flag is taken or refused with its successor."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentor.errors import UserError
from mentor_evaluator.commands.building import build_spec
from mentor_evaluator.commands.published import (
    BENCH,
    METHODS,
    RAG_EVAL,
    RUN_EVAL,
    bench_spec,
    parse,
    rag_eval_spec,
    run_eval_spec,
)

BENCH_FLAGS = (
    "dataset_name model_path hf_token tensor_parallel_size max_turns output_file batch_size categories benchmark_category "
    "max_tokens max_model_len gpu_memory_utilization max_num_batched_tokens enable_chunked_prefill enable_prefix_caching "
    "temperature top_p seed max_samples sandbox_url"
)
RUN_EVAL_FLAGS = (
    "config_path method_name data_dir dataset_name split save_dir save_note sgl_remote_url remote_retriever_url sandbox_url "
    "generator_model"
)


def test_every_published_flag_is_known() -> None:
    assert {flag.name for flag in BENCH} == set(BENCH_FLAGS.split())
    assert {flag.name for flag in RUN_EVAL} == set(RUN_EVAL_FLAGS.split())


def test_the_math_benchmark_becomes_an_evaluation() -> None:
    line = (
        "--model_path /m/qwen --max_turns 4 --categories aime24 Omni-MATH-512 --max_tokens 9000 --temperature 0.7 --top_p 0.9 "
        "--seed 3 --max_samples 10 --batch_size 10000 --sandbox_url http://s:5000 --output_file out.jsonl"
    )
    found = bench_spec(parse("bench", BENCH, line.split()))
    spec = build_spec(None, (), (), found.spec, {}, ())
    assert spec.suites == ("aime24", "omni-math-512") and found.records == "out.jsonl"
    assert (spec.sampling.temperature, spec.sampling.top_p, spec.sampling.max_tokens, spec.sampling.seed) == (
        0.7,
        0.9,
        9000,
        3,
    )
    assert (spec.limits.max_turns, spec.max_questions, spec.concurrency) == (4, 10, 4096)
    assert spec.backends.sandbox == "http://s:5000" and spec.models[0].model.path == "/m/qwen"


def test_without_categories_the_math_benchmark_runs_all_six() -> None:
    assert len(bench_spec(parse("bench", BENCH, ["--model_path", "/m"])).spec["suites"]) == 6


@pytest.mark.parametrize("method", METHODS)
def test_a_qa_evaluation_becomes_an_evaluation(method: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("generator_model: qwen\nsgl_remote_url: http://m:8002\nretrieval_topk: 5\n")
    line = f"--config_path {tmp_path}/config.yaml --method_name {method} --dataset_name hotpotqa --split train --data_dir /d "
    line += "--save_dir out --save_note first --remote_retriever_url http://r:7777 --sandbox_url http://s:2623"
    found = run_eval_spec(parse("run_eval", RUN_EVAL, line.split()))
    spec = build_spec(None, (), (), found.spec, {}, ())
    assert (found.data, found.output) == ("/d", "out/first")
    assert spec.strategy == METHODS[method] and spec.options == {"hotpotqa": {"split": "train"}}
    assert spec.models[0].model.url == "http://m:8002" and spec.backends.retriever == "http://r:7777"
    assert spec.thinking == ("on" if method == "mentor-qwen3" else "as_is")


def test_models_times_benchmarks() -> None:
    line = "--models /m/a qwen@http://m:1 --benchmarks bamboogle hotpotqa"
    spec = rag_eval_spec(parse("rag_eval", RAG_EVAL, line.split())).spec
    assert [m["name"] for m in spec["models"]] == ["a", "qwen"] and spec["suites"] == ["bamboogle", "hotpotqa"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--hf_token x", "download them with the hub's own tool"),
        ("--dataset_name x", "mentor data fetch"),
        ("--gpu 3", "--model_path"),
        ("--seed many", "invalid int value"),
    ],
)
def test_what_is_refused_names_its_successor(line: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        parse("bench", BENCH, line.split())
    assert told in str(caught.value)
