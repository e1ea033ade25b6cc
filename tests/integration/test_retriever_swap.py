"""The index in service: swapped under load without a lost request, refused swaps, loads that are stopped, deadlines."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from mentor.serving import running
from mentor_retriever.app import build
from mentor_retriever.backends.local import LocalBackend
from mentor_retriever.settings import RetrieverSettings
from tests.support.service_process import environment, running_process
from tests.support.synthetic_encoder import SyntheticEncoder

FACTORY = "tests.support.synthetic_encoder:make"


def write(path: Path, word: str, count: int = 200) -> Path:
    path.write_text("".join(json.dumps({"id": n, "contents": f"{word} {n}"}) + "\n" for n in range(count)))
    return path


def held(corpus: Path) -> bool:
    """Whether a backend of that corpus is still in memory."""
    return any(isinstance(thing, LocalBackend) and thing._corpus.path == corpus for thing in gc.get_objects())


async def test_a_swap_under_load_loses_no_request_and_answers_are_of_one_index(tmp_path: Path) -> None:
    old, new = write(tmp_path / "old.jsonl", "old"), write(tmp_path / "new.jsonl", "new", 150)
    settings = RetrieverSettings(
        corpus_path=old, retrieval_method="dense", encoder_factory=FACTORY, port=0, grpc_port=-1, admin_port=0
    )
    async with running(build(settings)) as server:
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(base_url=server.http_url, limits=limits, timeout=30, trust_env=False) as client:
            seen: list[tuple[int, set[str]]] = []
            stop = asyncio.Event()

            async def caller(number: int) -> None:
                count = 0
                while not stop.is_set():
                    count += 1
                    answer = await client.post("/search", json={"query": f"{number} {count}", "top_n": 20})
                    words = {document["contents"].split()[0] for document in answer.json()}
                    seen.append((answer.status_code, words))

            callers = [asyncio.create_task(caller(number)) for number in range(16)]
            await asyncio.sleep(0.3)
            assert (await client.post("/v1/index/swap", json={"corpus_path": str(new)})).status_code == 404
            async with httpx.AsyncClient(base_url=str(server.admin_url), timeout=30, trust_env=False) as admin:
                state = (await admin.post("/v1/index/swap", json={"corpus_path": str(new)})).json()
                assert (state["generation"], state["documents"]) == (2, 150)
                await asyncio.sleep(0.3)
                bad = await admin.post("/v1/index/swap", json={"corpus_path": str(tmp_path / "none")})
                assert (bad.status_code, bad.json()["error"]["field"]) == (400, "corpus_path")
                odd = await admin.post("/v1/index/swap", json={"nprobe": -5})
                assert (odd.status_code, odd.json()["error"]["field"]) == (400, "nprobe")
                assert (await admin.get("/v1/index")).json()["generation"] == 2
            stop.set()
            await asyncio.gather(*callers)
            assert (await client.get("/health")).json()["generation"] == 2
            for _ in range(600):
                if not held(old):
                    break
                await asyncio.sleep(0.05)
            assert not held(old), "the old index is still held"
    assert {code for code, _ in seen} == {200}
    assert {frozenset(words) for _, words in seen} == {frozenset({"old"}), frozenset({"new"})}


async def test_two_swaps_at_once_are_one_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = write(tmp_path / "corpus.jsonl", "word")
    settings = RetrieverSettings(
        corpus_path=corpus, retrieval_method="dense", encoder_factory=FACTORY, port=0, grpc_port=-1
    )
    async with (
        running(build(settings)) as server,
        httpx.AsyncClient(base_url=server.http_url, timeout=30, trust_env=False) as client,
    ):
        encode = SyntheticEncoder.encode_passages

        def slow(self: SyntheticEncoder, texts: Any) -> Any:
            time.sleep(0.3)
            return encode(self, texts)

        monkeypatch.setattr(SyntheticEncoder, "encode_passages", slow)
        answers = await asyncio.gather(*(client.post("/v1/index/swap", json={}) for _ in range(2)))
        assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_a_deadline_ends_the_wait_and_a_caller_that_leaves_frees_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = write(tmp_path / "corpus.jsonl", "word")
    settings = RetrieverSettings(
        corpus_path=corpus, retrieval_method="dense", encoder_factory=FACTORY, port=0, grpc_port=-1, workers=1,
        encode_batch_size=1, max_queue=4,
    )  # fmt: skip
    async with (
        running(build(settings)) as server,
        httpx.AsyncClient(base_url=server.http_url, timeout=30, trust_env=False) as client,
    ):
        monkeypatch.setattr(
            SyntheticEncoder, "encode_queries", lambda self, texts: time.sleep(0.4) or self.encode_passages(texts)
        )
        first = asyncio.create_task(client.post("/search", json={"query": "slow"}))
        await asyncio.sleep(0.1)
        late = await client.post("/search", json={"query": "late"}, headers={"x-request-timeout-ms": "50"})
        assert late.status_code == 504
        assert (await first).status_code == 200
        metrics = (await client.get("/metrics")).text
        assert "mentor_retriever_queue_depth 0.0" in metrics
        assert "mentor_retriever_requests_in_flight 0.0" in metrics


def test_a_stop_during_a_load_does_not_wait_for_its_end(tmp_path: Path) -> None:
    corpus = write(tmp_path / "corpus.jsonl", "word", 10)
    factory = tmp_path / "slow_factory.py"
    factory.write_text("import time\n\ndef make():\n    print('loading', flush=True)\n    time.sleep(600)\n")
    command = [
        sys.executable,
        "-m",
        "mentor_retriever",
        "--port",
        "0",
        "--grpc-port",
        "0",
        "--corpus-path",
        str(corpus),
    ]
    command += ["--retrieval-method", "dense", "--set", "encoder_factory=slow_factory:make"]
    env = environment({"PYTHONPATH": str(tmp_path)})
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while "loading" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_equal_queries_at_the_same_time_are_computed_once(tmp_path: Path) -> None:
    corpus = write(tmp_path / "corpus.jsonl", "word", 3000)
    with running_process("mentor_retriever", "--corpus-path", str(corpus)) as service:
        service.post("/batch_search", {"query": ["word 7"] * 50, "top_n": 2})
        joined = service.metric("mentor_retriever_cache_requests_total", outcome="joined")
        assert joined == 49
        service.post("/batch_search", {"query": ["word 7"] * 50, "top_n": 2})
        assert service.metric("mentor_retriever_cache_requests_total", outcome="hit") == 50
