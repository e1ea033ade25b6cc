"""Every RPC of the retriever and its REST twin say the same, errors included."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from mentor.rpc.v1 import retriever_pb2 as pb
from mentor.rpc.v1.retriever_pb2_grpc import RetrieverServiceStub
from mentor.serving import running
from mentor_retriever.app import build
from mentor_retriever.settings import RetrieverSettings
from tests.contract.twin import Case, Failure, Plain, Twin

DOCUMENTS = [
    {"id": "a", "contents": "Paris is the capital of France.", "url": "u", "year": 2018},
    {"id": 2, "title": "Berlin", "text": "The capital of Germany."},
    {"id": "c", "contents": "The moon orbits the earth."},
]


def plain_hits(hits: Any) -> list[Plain]:
    return [
        {
            "document": {
                "id": hit.document.id,
                "contents": hit.document.contents,
                **json.loads(hit.document.extra_json),
            },
            "score": hit.score,
        }
        for hit in hits
    ]


def plain_message(message: Any) -> Plain:
    if isinstance(message, pb.SearchResponse):
        return {"hits": plain_hits(message.hits)}
    return {"results": [{"hits": plain_hits(result.hits)} for result in message.results]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def twin(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Twin]:
    corpus: Path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    corpus.write_text("\n".join(json.dumps(document) for document in DOCUMENTS))
    settings = RetrieverSettings(corpus_path=corpus, port=0, grpc_port=0, max_top_n=50, max_batch=4, access_log=False)
    async with running(build(settings)) as server, grpc.aio.insecure_channel(str(server.grpc_target)) as channel:
        stub: Any = RetrieverServiceStub(channel)
        yield Twin(server.http_url, stub, plain_message)


def search(name: str, expected: Any, **body: Any) -> Case:
    return Case(name, "Search", pb.SearchRequest(**body), "/v1/search", body, expected=expected)


def batch(name: str, expected: Any, **body: Any) -> Case:
    return Case(name, "BatchSearch", pb.BatchSearchRequest(**body), "/v1/batch_search", body, expected=expected)


def found(*ids: str) -> Any:
    def check(plain: Plain) -> None:
        assert [hit["document"]["id"] for hit in plain["hits"]] == list(ids)

    return check


def found_each(*groups: tuple[str, ...]) -> Any:
    def check(plain: Plain) -> None:
        assert [[h["document"]["id"] for h in r["hits"]] for r in plain["results"]] == [list(group) for group in groups]

    return check


def extra_fields(plain: Plain) -> None:
    assert plain["hits"][0]["document"] == DOCUMENTS[0]
    assert plain["hits"][0]["score"] > 0


CASES = [
    search("a query", found("a", "2"), query="capital France"),
    search("only the best", found("2"), query="the capitals of germany", top_n=1),
    search("fields beyond id and contents survive", extra_fields, query="France"),
    search("nothing shares a term", found(), query="zebra"),
    search("more wanted than there is", found("c"), query="moon", top_n=50),
    search("an empty query", Failure("invalid_argument", "Query content cannot be empty"), query=""),
    search("a blank query", Failure("invalid_argument", "Query content cannot be empty"), query=" \n"),
    search("an over-long query", Failure("invalid_argument", "characters"), query="x" * 9000),
    search("none wanted", Failure("invalid_argument", "top_n must be 1 to 50"), query="a", top_n=0),
    search("too many wanted", Failure("invalid_argument", "top_n must be 1 to 50"), query="a", top_n=51),
    batch("queries in order", found_each(("c",), ("a", "2"), ()), queries=["moon", "capital France", "zebra"]),
    batch("no queries", Failure("invalid_argument", "1 to 4 queries"), queries=[]),
    batch("too many queries", Failure("invalid_argument", "1 to 4 queries"), queries=["a"] * 5),
    batch("one blank query", Failure("invalid_argument", "cannot be empty"), queries=["moon", ""]),
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_rpc_and_rest_agree(twin: Twin, case: Case) -> None:
    await twin.check(case)


def test_every_rpc_has_a_case() -> None:
    methods = {method.name for method in pb.DESCRIPTOR.services_by_name["RetrieverService"].methods}
    assert methods == {case.rpc for case in CASES}
