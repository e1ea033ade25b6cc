"""Builds an index into a folder: encode, assemble, checksum. A folder without a manifest is unfinished; the same call goes on.

Memory while encoding is that of the encoder and one chunk; while assembling a kind other than ``flat``, the index itself
and its training sample. The finished bytes depend on corpus, encoder, kind, seed and chunk alone (an HNSW graph: if it is
built by one thread).
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import faiss

from mentor.errors import UserError
from mentor_retriever.build.encoding import Target, encode_ranges, forget_notes, prepare
from mentor_retriever.build.plan import JOURNAL, BuildPlan, Journal, Seen, split
from mentor_retriever.corpus import Corpus
from mentor_retriever.encoders import Encoder
from mentor_retriever.index.faiss_file import assemble, flat_header, flat_view, read_faiss
from mentor_retriever.index.kinds import Kind, kind_named, list_count, probes
from mentor_retriever.index.manifest import BM25, INDEX, NAME, VECTORS, Manifest, record


def build_index(plan: BuildPlan, corpus: Corpus, encoder: Encoder | None, seen: Seen = lambda *_: None) -> Manifest:
    """Build, or go on building; returns the manifest.

    Raises:
        UserError: the folder holds another build or a finished index, or cannot be written.
        InfrastructureError: a process of a device died; the same call goes on.
    """
    if (plan.output / NAME).is_file():
        raise UserError(f"{plan.output} holds a finished index; remove it to build it again", field="output")
    try:
        plan.output.mkdir(parents=True, exist_ok=True)
        manifest = _words(plan, corpus) if encoder is None else _dense(plan, corpus, encoder, seen)
        files = [path for path in sorted(plan.output.rglob("*")) if path.is_file() and path.name != JOURNAL]
        records = {}
        for done, path in enumerate(files, start=1):
            records[str(path.relative_to(plan.output))] = record(path)
            seen("checksum", done, len(files))
        manifest = replace(manifest, files=records)
        manifest.write(plan.output)
    except OSError as error:
        raise UserError(f"cannot write {plan.output}: {error.strerror or error}", field="output") from None
    (plan.output / JOURNAL).unlink(missing_ok=True)
    return manifest


def _words(plan: BuildPlan, corpus: Corpus) -> Manifest:
    from mentor_retriever.index.bm25 import build_bm25

    folder = plan.output / BM25
    shutil.rmtree(folder, ignore_errors=True)
    build_bm25(corpus.contents()).save(str(folder), show_progress=False)
    return Manifest(BM25, BM25, corpus.fingerprint, len(corpus))


def _dense(plan: BuildPlan, corpus: Corpus, encoder: Encoder, seen: Seen) -> Manifest:
    kind = kind_named(plan.kind)
    journal = Journal(
        kind=kind.name,
        encoder=encoder.name,
        dimension=encoder.dimension,
        documents=len(corpus),
        corpus_sha256=corpus.fingerprint,
        seed=plan.seed,
        chunk=plan.chunk,
        ranges=split(len(corpus), plan.chunk, max(1, len(plan.devices))),
    ).resume(plan.output)
    if not (plan.output / INDEX).is_file():
        vectors = _encoded(plan, journal, corpus, encoder, seen)
        if kind.name == "flat":
            vectors.replace(plan.output / INDEX)
        else:
            _assembled(plan, kind, vectors, seen)
    return Manifest(
        kind=kind.name,
        method=plan.settings.retrieval_method,
        corpus_sha256=corpus.fingerprint,
        documents=len(corpus),
        encoder=encoder.name,
        dimension=encoder.dimension,
        seed=plan.seed,
        nprobe=probes(list_count(len(corpus))) if kind.lists else None,
        refine=kind.refine,
    )


def _encoded(plan: BuildPlan, journal: Journal, corpus: Corpus, encoder: Encoder, seen: Seen) -> Path:
    """The finished file of fp32 vectors, a flat index."""
    finished = plan.output / VECTORS
    if finished.is_file():
        return finished
    header = flat_header(len(corpus), encoder.dimension)
    target = Target(plan.output / f"{VECTORS}.part", len(header), encoder.dimension)
    prepare(target, header, len(corpus))
    total = len(corpus)
    encode_ranges(
        plan.settings, journal, target, corpus, encoder, plan.devices, lambda done: seen("encode", done, total)
    )
    target.path.replace(finished)
    forget_notes(target, journal)
    return finished


def _assembled(plan: BuildPlan, kind: Kind, vectors: Path, seen: Seen) -> None:
    """The searched index, of the stored vectors; these stay if searches re-rank with them, or if they are to be kept."""
    stored = read_faiss(vectors, mapped=True)
    view = flat_view(stored)
    total = len(view)
    index = assemble(kind, view, seed=plan.seed, threads=plan.threads, seen=lambda done: seen("add", done, total))
    fresh = plan.output / f"{INDEX}.part"
    faiss.write_index(index, str(fresh))
    if not kind.refine and not plan.keep_vectors:
        vectors.unlink()
    fresh.replace(plan.output / INDEX)
