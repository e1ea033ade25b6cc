"""What a spec may say of a model server, who may say it, and what a server is started with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mentor.errors import ForbiddenError, UserError
from mentor.inference.engines import ENGINES, Launch
from mentor.inference.servers import command
from mentor.inference.servers.figures import totals
from mentor.inference.servers.process import reason
from mentor.inference.servers.spec import ServeSpec
from mentor.jobs import policy
from mentor.jobs.gpus import gpus_wanted
from mentor.rollout.connect import ModelSource
from mentor.rpc.principal import Principal, Role, acting_for
from mentor_evaluator.commands.building import build_spec
from mentor_evaluator.commands.published import BENCH, bench_spec, parse
from mentor_evaluator.matrix.spec import EvaluationSpec
from mentor_teacher.spec import TeacherSpec

SUBMITTER = Principal("key:alice", frozenset({Role.SUBMIT}))


def launch(**options: Any) -> Launch:
    return Launch(Path("/models/m"), "m", 8001, "k", 2, ServeSpec.model_validate(options).options)


@pytest.mark.parametrize(
    ("engine", "options", "expected"),
    [
        (
            "vllm",
            {"tensor_parallel": 2, "enable_chunked_prefill": False, "enable_prefix_caching": True, "dtype": "bfloat16"},
            ["--tool-call-parser=hermes", "--tensor-parallel-size=2", "--dtype=bfloat16", "--no-enable-chunked-prefill",
             "--enable-prefix-caching"],
        ),
        (
            "sglang",
            {"gpu_memory_utilization": 0.8, "max_model_len": 4096, "enable_prefix_caching": False, "parser": "qwen25"},
            ["--tool-call-parser=qwen25", "--context-length=4096", "--mem-fraction-static=0.8", "--disable-radix-cache"],
        ),
        ("local", {"max_num_seqs": 8}, ["--threads=2", "--set=access_log=false", "--max-batch=8"]),
    ],
)  # fmt: skip
def test_settings_become_the_engines_own_flags(engine: str, options: dict[str, Any], expected: list[str]) -> None:
    arguments = list(ENGINES.get(engine).arguments(launch(engine=engine, **options)))
    assert [a for a in arguments if a in expected] == expected
    assert any(a.endswith("=/models/m") for a in arguments) and "--port=8001" in arguments
    assert "--host=127.0.0.1" in arguments and "--served-model-name=m" in arguments


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"engine": "tgi"}, "unknown engine 'tgi' .*vllm"),
        ({"engine": "local", "tensor_parallel": 2}, "tensor_parallel: local has no such option; it has max_num_seqs"),
        ({"engine": "sglang", "max_num_batched_tokens": 1}, "max_num_batched_tokens: sglang has no such option"),
        ({"arguments": ["-x"]}, "'-x' is no flag; allowed: --flag or --flag=value"),
        ({"arguments": ["--a", "b"]}, "'b' is no flag"),
        ({"parser": "../x"}, "parser"),
        ({"replicas": 0}, "replicas"),
        ({"command": "sh"}, "command"),
    ],
)
def test_what_an_engine_does_not_know_is_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ServeSpec.model_validate(fields)


def test_gpus_that_replicas_cannot_share_equally_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    model = {"path": "file:x/m", "serve": {"replicas": 2, "tensor_parallel": 2}}
    assert gpus_wanted({"model": model}) == 4 and gpus_wanted({"models": [{"model": model}], "gpus": 8}) == 8
    TeacherSpec.model_validate({"model": model, "questions": "file:x/q", "gpus": 6})
    with pytest.raises(ValidationError, match=r"gpus: 2 replicas of model\.serve cannot share 5 equally"):
        TeacherSpec.model_validate({"model": model, "questions": "file:x/q", "gpus": 5})
    three = {"name": "b", "model": {"path": "file:x/n", "serve": {"replicas": 3}}}
    with pytest.raises(
        ValidationError, match=r"3 replicas of model\.serve cannot share 4 equally; allowed: a multiple"
    ):
        EvaluationSpec.model_validate({"models": [{"name": "a", "model": model}, three], "suites": ["tiny"]})

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3,5,7")
    assert command.shares(2) == ["2,3", "5,7"] and command.shares(1) == [None]
    with pytest.raises(UserError, match="3 replicas cannot share 4 GPUs equally") as refused:
        command.shares(3)
    assert refused.value.field == "model.serve.replicas"
    share = replace(launch(), replica=2, devices="5,7")
    assert command.environment(ENGINES.get("vllm"), share, "mark")["CUDA_VISIBLE_DEVICES"] == "5,7"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("MENTOR_JOBS_GPUS", "8")
    assert command.shares(3) == [None] * 3, "GPUs are leased, and this job has none to share"


def test_serve_goes_with_a_path_and_chat_mode_with_a_server() -> None:
    with pytest.raises(ValidationError, match="serve goes with path"):
        ModelSource(url="http://m:1", name="m", serve=ServeSpec())
    with pytest.raises(ValidationError, match="mode is chat; allowed: token or auto, or serve beside path"):
        ModelSource(path="/m", mode="chat")
    assert ModelSource(path="/m", mode="chat", serve=ServeSpec()).serve


def specs(*arguments: str) -> list[Any]:
    model = {"path": "file:x/m", "serve": {"arguments": arguments}}
    return [
        TeacherSpec.model_validate({"model": model, "questions": "file:x/q"}),
        EvaluationSpec.model_validate({"models": [{"name": "m", "model": model}], "suites": ["tiny"]}),
    ]


def test_a_submitter_may_give_plain_arguments_and_an_operator_any() -> None:
    for spec in specs("--seed=7", "--enforce-eager", "--kv-cache-dtype=fp8_e5m2"):
        with acting_for(SUBMITTER):
            policy.check(spec)
    hostile = ("--trust-remote-code", "--chat-template=/etc/passwd", "--seed=/etc/x", "--download-dir=/", "--seed=a b")
    for argument in hostile:
        for spec, field in zip(specs("--seed=1", argument), ("model", "models.0.model"), strict=True):
            with acting_for(SUBMITTER), pytest.raises(ForbiddenError, match="no plain argument of vllm") as refused:
                policy.check(spec)
            assert refused.value.field == f"{field}.serve.arguments.1"
            policy.check(spec)  # an operator


def test_operators_name_an_interpreter_or_a_whole_command() -> None:
    engine = ENGINES.get("vllm")
    python = command.program(engine, {"MENTOR_ENGINE_VLLM": "/usr/bin/python3"})
    assert python == ("/usr/bin/python3", "-m", "vllm.entrypoints.openai.api_server")
    whole = command.program(engine, {"MENTOR_ENGINE_VLLM": "nice -n 5 'python3' -m vllm.x"})
    assert whole == ("nice", "-n", "5", "python3", "-m", "vllm.x")
    with pytest.raises(UserError, match="No closing quotation"):
        command.program(engine, {"MENTOR_ENGINE_VLLM": "'"})
    words = command.command(python, engine, launch(), ("--seed=1", "--port=1"))
    assert words[:3] == ("env", "-u", "PYTHONPATH")
    assert words.index("--port=1") < words.index("--port=8001"), "the last word on where it listens is ours"


def test_a_server_inherits_no_secret_and_sees_only_leased_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENTOR_JOBS_REDIS_URL", "redis://:secret@r")
    monkeypatch.setenv("MENTOR_MODEL_KEY_X", "secret")
    monkeypatch.setenv("MENTOR_ATTEMPT", "job:1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    made = command.environment(ENGINES.get("vllm"), launch(), "mark")
    assert {n for n in made if n.startswith("MENTOR_")} == {"MENTOR_ATTEMPT", "MENTOR_MODEL_SERVER"}
    assert made["VLLM_API_KEY"] == "k" and "CUDA_VISIBLE_DEVICES" not in made
    monkeypatch.setenv("MENTOR_JOBS_GPUS", "8")
    assert command.environment(ENGINES.get("vllm"), launch(), "mark")["CUDA_VISIBLE_DEVICES"] == ""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert command.environment(ENGINES.get("vllm"), launch(), "mark")["CUDA_VISIBLE_DEVICES"] == "2,3"


def test_the_line_that_says_why_is_found() -> None:
    vllm = [
        "(EngineCore_DP0 pid=7) ERROR 01-01 Traceback (most recent call last):",
        "(EngineCore_DP0 pid=7) ValueError: No available memory for the cache blocks.",
        "RuntimeError: Engine core initialization failed. See root cause above.",
    ]
    assert reason(vllm) == "ValueError: No available memory for the cache blocks."
    assert reason(["usage: x", "api_server.py: error: unrecognized arguments: --y"]).startswith("error: unrecognized")
    assert reason(["one", "two"]) == "two" and reason([]) == "it said nothing"


def test_counters_are_summed_over_their_labels() -> None:
    text = 'vllm:prompt_tokens_total{engine="0"} 3.0\nvllm:prompt_tokens_total{engine="1"} 4.0\nother 1\n'
    assert totals(text, ENGINES.get("vllm").tokens) == {"prompt": 7.0}


def test_the_command_line_serves_folders_with_an_engine() -> None:
    spec = build_spec(None, ["m=/models/m", "x=id@http://h:1"], ["tiny"], {}, {}, [], "sglang")
    served, remote = (entry.model.serve for entry in spec.models)
    assert served is not None and served.engine == "sglang" and remote is None
    with pytest.raises(UserError, match="no model is one"):
        build_spec(None, ["x=id@http://h:1"], ["tiny"], {}, {}, [], "vllm")


def test_every_engine_flag_of_the_published_script_arrives() -> None:
    given = ["--model_path", "/models/m", "--tensor_parallel_size", "4", "--max_model_len", "16384",
             "--gpu_memory_utilization", "0.9", "--max_num_batched_tokens", "8192", "--enable_chunked_prefill",
             "--enable_prefix_caching"]  # fmt: skip
    asked = bench_spec(parse("bench", BENCH, given)).spec
    serve = EvaluationSpec.model_validate(asked).models[0].model.serve
    assert serve is not None and serve.options == {
        "tensor_parallel": 4, "max_model_len": 16384, "gpu_memory_utilization": 0.9, "max_num_batched_tokens": 8192,
        "enable_chunked_prefill": True, "enable_prefix_caching": True,
    }  # fmt: skip
