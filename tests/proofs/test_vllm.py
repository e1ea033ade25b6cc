"""A real vLLM (its CPU build) as a job's model server: `make vllm-proof`. Beside the gate, not in it: it installs gigabytes.

With a context of 1,024 the default spec (8,192 tokens a turn) must work in both modes, and greedy decoding must give the
local engine's very tokens. A job that starts vLLM itself survives its kill -9 in the middle, with the same tokens.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mentor.data import read_questions, write_questions
from mentor.inference import SamplingParams
from mentor.jobs.processes import marked
from mentor.rollout.connect import ModelSource, ToolBackends
from mentor.rollout.limits import RolloutLimits
from mentor.rollout.solve import load_questions, solve
from mentor.rollout.spec import SolveSpec
from mentor.trajectory import Question, Termination, Trajectory
from tests.support.quiet import Quiet
from tests.support.served import served_jobs
from tests.support.service_process import ROOT, ServiceProcess, running_process
from tests.support.waiting import eventually

INTERPRETER = Path(os.environ.get("MENTOR_VLLM_PYTHON", ROOT / ".venv-vllm" / "bin" / "python"))
TEACHER = ROOT / "examples" / "tiny" / "checkpoints" / "teacher"
CONTEXT = 1024
PORT = 18123
VARIABLES = {
    "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "1",
    "TORCH_COMPILE_DISABLE": "1", "VLLM_NO_USAGE_STATS": "1",
}  # fmt: skip
# As in docker-compose.gpu.yml and k8s/overlays/gpu, on a CPU and with little context. No prefill is cut into chunks: the CPU
# build dies of a seeded request whose prefill is (it winds a random number generator back, which torch's of the CPU cannot).
ARGUMENTS = ["--served-model-name", "teacher", "--max-model-len", str(CONTEXT), "--enable-auto-tool-choice",
             "--tool-call-parser", "hermes", "--enable-prefix-caching", "--port", str(PORT), "--host", "127.0.0.1",
             "--dtype", "float32", "--max-num-seqs", "32", "--max-num-batched-tokens", str(32 * CONTEXT),
             "--enforce-eager"]  # fmt: skip


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = (tmp_path_factory.mktemp("vllm") / "log").open("w+")
    command = [str(INTERPRETER), "-m", "vllm.entrypoints.openai.api_server", "--model", str(TEACHER), *ARGUMENTS]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | VARIABLES
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    url = f"http://127.0.0.1:{PORT}"

    def ready() -> bool:
        if process.poll() is not None:
            log.seek(0)
            raise AssertionError(log.read()[-3000:])
        try:
            return httpx.get(f"{url}/health", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    try:
        eventually(ready, 900, 1.0, what="vLLM to be ready")
        yield url
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ServiceProcess]:
    with running_process("mentor_sandbox") as service:
        yield service


def questions() -> list[Question]:
    return [
        q for q in read_questions(TEACHER.parents[1] / "questions" / "in_domain.jsonl") if "search" not in str(q.tools)
    ]


async def solved(folder: Path, model: ModelSource, sandbox: ServiceProcess, **fields: Any) -> list[Trajectory]:
    folder.mkdir()
    long = Question(id="long", question="Anna has 23 red eggs. " * 400, answers=("0",))
    write_questions([*questions(), long], folder / "questions.jsonl")
    backends = ToolBackends(sandbox=sandbox.grpc)
    spec = SolveSpec(model=model, questions=str(folder / "questions.jsonl"), backends=backends, **fields)
    found = await asyncio.to_thread(solve, spec, load_questions(spec), Quiet(folder / "work"))
    assert found is not None
    return found


@pytest.mark.parametrize("mode", ["chat", "token"])
async def test_the_default_spec_works_where_the_context_is_small(
    vllm: str, sandbox: ServiceProcess, tmp_path: Path, mode: Any
) -> None:
    model = ModelSource(url=vllm, name="teacher", mode=mode, tokenizer=str(TEACHER) if mode == "token" else None)
    found = await solved(tmp_path / "run", model, sandbox)
    assert [t.question_id for t in found if t.termination is Termination.LENGTH and not t.turns] == ["long"]
    assert not any(t.failed or t.termination is Termination.REFUSED for t in found)
    right = sum(bool(t.metadata["correct"]) for t in found)
    print(f"{mode}: {right} of {len(found)} right", file=sys.stderr)
    assert right > 0.6 * len(found)


def test_a_job_manages_vllm_from_start_to_stop_and_survives_its_kill_with_the_local_engines_very_tokens(
    sandbox: ServiceProcess, tmp_path: Path
) -> None:
    write_questions(questions(), tmp_path / "questions.jsonl")
    spec: dict[str, Any] = {
        "questions": str(tmp_path / "questions.jsonl"), "backends": {"sandbox": sandbox.grpc}, "concurrency": 4,
        "sampling": {"temperature": 0.0, "max_tokens": 256, "seed": 0}, "limits": {"max_response_tokens": 512},
    }  # fmt: skip
    serve = {
        "engine": "vllm", "max_model_len": CONTEXT, "dtype": "float32", "max_num_seqs": 32, "restarts": 1,
        "max_num_batched_tokens": 32 * CONTEXT, "enable_prefix_caching": True, "arguments": ["--enforce-eager"],
    }  # fmt: skip
    with served_jobs(tmp_path / "stack", {"MENTOR_ENGINE_VLLM": str(INTERPRETER), **VARIABLES}) as jobs:
        over = jobs.submit("teacher", model={"path": str(TEACHER), "serve": serve}, **spec)
        jobs.drawn(over, 10, 900)
        jobs.server(over, "vllm.entrypoints.openai.api_server").kill()
        jobs.succeeded(over, 900)
        assert not marked(over.id)
        assert jobs.counted("mentor_model_server_restarts") == {("vllm", "died"): 1}
        figures = {n: jobs.counted(f"mentor_model_server_{n}") for n in ("starts", "start_seconds", "tokens")}
        here = jobs.submit("teacher", model={"path": str(TEACHER)}, **spec)
        jobs.succeeded(here, 600)
        ours, theirs = jobs.trajectories(here), jobs.trajectories(over)
    assert figures["starts"] == {("vllm",): 2} and figures["tokens"]["vllm", "generated"] > 0
    same = [[t.token_ids for t in a.turns] == [t.token_ids for t in b.turns] for a, b in zip(theirs, ours, strict=True)]
    print(f"{sum(same)} of {len(same)} trajectories have the same tokens; {figures}", file=sys.stderr)
    assert all(same) and not any(t.failed for t in theirs)


async def test_greedy_decoding_gives_the_local_engines_very_tokens(
    vllm: str, sandbox: ServiceProcess, tmp_path: Path
) -> None:
    fields: dict[str, Any] = {
        "sampling": SamplingParams(temperature=0.0, max_tokens=256, seed=0),
        "limits": RolloutLimits(max_response_tokens=512),
    }
    over = await solved(
        tmp_path / "a", ModelSource(url=vllm, name="teacher", tokenizer=str(TEACHER)), sandbox, **fields
    )
    here = await solved(tmp_path / "b", ModelSource(path=str(TEACHER)), sandbox, **fields)
    same = [[t.token_ids for t in a.turns] == [t.token_ids for t in b.turns] for a, b in zip(over, here, strict=True)]
    print(f"{sum(same)} of {len(same)} trajectories have the same tokens", file=sys.stderr)
    assert all(same)
