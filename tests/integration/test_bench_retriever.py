"""The benchmark of the retriever measures what it says: its corpora, its load, its rows."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import faiss
import numpy as np
import pytest

from benchmarks.results import Row
from benchmarks.retriever import corpus
from benchmarks.retriever.limits import Machine, bound
from benchmarks.retriever.load import load
from benchmarks.retriever.queries import distinct
from benchmarks.retriever.real_text import chosen, passages


def test_a_corpus_has_a_unit_vector_for_every_passage_and_is_the_same_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(corpus.PASSAGES, raising=False)
    one = corpus.make(tmp_path / "one", 12_000, vectors=False)
    two = corpus.make(tmp_path / "two", 12_000, vectors=False)

    index = faiss.read_index(str(one.index))
    assert (index.ntotal, index.d, index.metric_type) == (12_000, 384, faiss.METRIC_INNER_PRODUCT)
    vectors = index.reconstruct_n(0, index.ntotal)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert len(np.unique(vectors[:, 0])) > 11_000
    rows = [json.loads(line) for line in one.passages.read_text().splitlines()]
    assert [row["id"] for row in rows] == [str(number) for number in range(12_000)]
    assert len(rows[-1]["contents"].partition("\n")[2].split()) == corpus.WORDS
    assert one.index.read_bytes() == two.index.read_bytes()
    assert one.passages.read_bytes() == two.passages.read_bytes()


def test_real_passages_come_first_and_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tmp_path / "real.jsonl"
    texts = [f'"Title {n}"\n' + " ".join(f"word{n}x{k}" for k in range(120)) for n in range(3)]
    real.write_text("".join(json.dumps({"id": "x", "contents": text}) + "\n" for text in texts))
    monkeypatch.setenv(corpus.PASSAGES, str(real))

    made = corpus.make(tmp_path, 10, vectors=False)

    assert corpus.texts(made, 3) == texts
    assert len(corpus.texts(made, 99)) == 10


@pytest.mark.parametrize("status", [200, 503])
def test_callers_count_answers_and_failures_and_never_repeat_a_query(status: int) -> None:
    asked: list[str] = []

    class Retriever(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"])
            hits = [{"document": {"id": str(n)}, "score": 1.0} for n in range(5)]
            content = json.dumps({"result": [hits]}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Retriever)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    seen = asyncio.run(load(server.server_port, "/retrieve", 4, 0.2, ["one", "two", "three"], 7))
    server.shutdown()
    server.server_close()

    assert len(set(asked)) == len(asked)
    assert distinct(["one", "two", "three"], 7) in asked
    if status == 200:
        assert (seen.errors, seen.failure) == (0, "")
        assert 0 < seen.answers < len(asked)
        assert seen.p99_ms >= seen.p50_ms > 0
    else:
        assert seen.answers == 0
        assert seen.errors == len(asked) == 8
        assert seen.failure.startswith("503")


def test_the_real_text_is_made_from_the_published_files() -> None:
    corpus = [{"title": "Ada Lovelace", "text": "She wrote."}, {"title": "Birth", "text": "It begins."}]
    assert passages(corpus)[0] == {"id": "0", "contents": '"Ada Lovelace"\nShe wrote.'}
    asked = [{"question": f"Where was {who} born?", "answer": "x"} for who in ("Ada Lovelace", "Ada", "Lovelace Ada")]
    titles = [row["title"] for row in corpus]
    assert [row["id"] for row in chosen(asked, titles)] == ["2wiki-0"]
    assert chosen(asked * 50, titles, 7) == chosen(asked * 50, titles, 7) and len(chosen(asked * 50, titles, 7)) == 7


def test_a_failed_request_fails_its_row_whatever_the_ratio() -> None:
    row = Row("name", "queries/s", (30.0,), "peer", (10.0,), 9, 3.0)
    assert not row.missed
    assert Row("name", "queries/s", (30.0,), "peer", (10.0,), 9, 3.0, errors=1).missed
    assert Row("name", "queries/s", (29.0,), "peer", (10.0,), 9, 3.0).missed


def test_small_batches_are_bound_by_memory_and_large_ones_by_arithmetic() -> None:
    machine = Machine("made up", bandwidth=10e9, flops=100e9)
    assert bound(machine, 1_000_000, 384, 4, batch=1) == pytest.approx(10e9 / (384e6 * 4))
    assert bound(machine, 1_000_000, 384, 4, batch=64) == pytest.approx(100e9 / (2 * 384e6))
