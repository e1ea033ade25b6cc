"""Remote backends: shards with one of them away, a Qdrant collection; bad ones are refused at start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from mentor.errors import InfrastructureError, UserError
from mentor.rpc.v1 import retriever_pb2 as pb
from mentor.rpc.v1.retriever_pb2_grpc import RetrieverServiceStub
from mentor.serving import running
from mentor_retriever.app import build
from mentor_retriever.settings import RetrieverSettings
from tests.support.qdrant import running_qdrant
from tests.support.service_process import ServiceProcess, run_to_exit, running_process
from tests.support.synthetic_encoder import make

PASSAGES = [{"id": str(n), "contents": f"passage {n} of the library", "shelf": n % 3} for n in range(40)]
ENCODER = "encoder_factory=tests.support.synthetic_encoder:make"
DENSE = ("--retrieval-method", "dense", "--set", ENCODER)


@pytest.fixture
def shards(tmp_path: Path) -> Iterator[list[ServiceProcess]]:
    """Two retrievers with half of the passages each."""
    paths = [tmp_path / "even.jsonl", tmp_path / "odd.jsonl"]
    for rest, path in enumerate(paths):
        path.write_text("".join(json.dumps(p) + "\n" for p in PASSAGES[rest::2]))
    first, second = (running_process("mentor_retriever", "--corpus-path", str(path), *DENSE) for path in paths)
    with first as one, second as two:
        yield [one, two]


def over(urls: list[str], **more: Any) -> RetrieverSettings:
    return RetrieverSettings(backend="shards", remote_urls=tuple(urls), port=0, grpc_port=0, **more)


async def test_shards_answer_as_one_corpus_and_name_who_is_missing(
    shards: list[ServiceProcess], tmp_path: Path
) -> None:
    import httpx

    whole = tmp_path / "whole.jsonl"
    whole.write_text("".join(json.dumps(passage) + "\n" for passage in PASSAGES))
    query = PASSAGES[7]["contents"]
    body = {"query": query, "top_n": 6, "return_score": True}
    with running_process("mentor_retriever", "--corpus-path", str(whole), *DENSE) as one:
        expected = one.post("/search", body).json()
    async with (
        running(build(over([shard.http for shard in shards], cache_size=10))) as server,
        httpx.AsyncClient(base_url=server.http_url, timeout=30, trust_env=False) as client,
    ):
        found = await client.post("/search", json=body)
        assert found.json()[0] == expected[0]
        assert found.json()[1] == pytest.approx(expected[1], abs=1e-5)
        assert "x-mentor-missing-shards" not in found.headers
        assert (await client.get("/health")).json()["documents"] == 40
        shards[1].stop()
        again = {"query": PASSAGES[8]["contents"], "top_n": 4}
        partial = await client.post("/v1/search", json=again)
        assert partial.headers["x-mentor-missing-shards"] == shards[1].http
        assert partial.json()["missing_shards"] == [shards[1].http]
        assert all(int(hit["document"]["id"]) % 2 == 0 for hit in partial.json()["hits"])
        async with grpc.aio.insecure_channel(str(server.grpc_target)) as channel:
            stub: Any = RetrieverServiceStub(channel)
            answer = await stub.Search(pb.SearchRequest(query=again["query"], top_n=4))
            assert list(answer.missing_shards) == [shards[1].http]
        metrics = (await client.get("/metrics")).text
        assert "mentor_retriever_partial_total 2.0" in metrics
        shards[0].stop()
        none = await client.post("/search", json={"query": "another one"})
        assert none.status_code == 503
        assert "none of 2 shards answers" in none.json()["detail"]


@pytest.mark.parametrize("urls", [(), ("http://127.0.0.1:1",), ("nonsense",)])
def test_shards_that_do_not_answer_at_start_are_named(urls: tuple[str, ...]) -> None:
    arguments = (
        "--port",
        "0",
        "--grpc-port",
        "0",
        "--set",
        "backend=shards",
        "--set",
        f"remote_urls={json.dumps(urls)}",
    )
    code, output = run_to_exit("mentor_retriever", *arguments)
    assert code == 2
    assert "remote_urls" in output.splitlines()[-1] or "no retriever" in output.splitlines()[-1]


async def test_a_collection_of_qdrant_answers_like_a_corpus(tmp_path: Path) -> None:
    import httpx

    key = tmp_path / "key"
    key.write_text("secret-of-qdrant\n")
    encoder = make()
    vectors = encoder.encode_passages([str(passage["contents"]) for passage in PASSAGES]).tolist()
    with running_qdrant("library", vectors, PASSAGES, api_key="secret-of-qdrant") as url:
        settings = RetrieverSettings(
            backend="qdrant", remote_urls=(url,), remote_collection="library", remote_api_key_file=key,
            retrieval_method="dense", encoder_factory="tests.support.synthetic_encoder:make", port=0, grpc_port=0,
        )  # fmt: skip
        async with (
            running(build(settings)) as server,
            httpx.AsyncClient(base_url=server.http_url, timeout=30, trust_env=False) as client,
        ):
            body = {"query": [PASSAGES[3]["contents"], PASSAGES[30]["contents"]], "top_n": 2, "return_score": True}
            answers = (await client.post("/batch_search", json=body)).json()
            assert [documents[0] for documents, _ in answers] == [PASSAGES[3], PASSAGES[30]]
            assert all(scores[0] == pytest.approx(1.0, abs=1e-4) and len(scores) == 2 for _, scores in answers)
            assert (await client.get("/health")).json()["documents"] == 40


@pytest.mark.parametrize(
    ("collection", "dimension", "error", "named"),
    [
        ("library", 7, UserError, "dimension 7, the encoder's 384"),
        ("archive", 384, UserError, "no collection 'archive'"),
        (None, 0, InfrastructureError, "Qdrant at http://127.0.0.1:1"),
    ],
)
async def test_a_collection_that_does_not_fit_is_refused(
    collection: str | None, dimension: int, error: type[Exception], named: str
) -> None:
    common: dict[str, Any] = {
        "backend": "qdrant", "remote_collection": collection or "library", "retrieval_method": "dense",
        "encoder_factory": "tests.support.synthetic_encoder:make", "port": 0, "grpc_port": 0,
    }  # fmt: skip
    if collection is None:
        with pytest.raises(error, match=named):
            async with running(build(RetrieverSettings(**common, remote_urls=("http://127.0.0.1:1",)))):
                pass
        return
    with running_qdrant("library", [[1.0] * dimension], [PASSAGES[0]]) as url, pytest.raises(error, match=named):
        async with running(build(RetrieverSettings(**common, remote_urls=(url,)))):
            pass
