"""The commands of ``mentor index``. Heavy modules are imported by the commands that need them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mentor.cli.lines import clear_errors
from mentor.serving.settings import load_settings
from mentor_retriever.index.kinds import KINDS
from mentor_retriever.settings import RetrieverSettings

app = typer.Typer(
    help="Build and look at the retriever's indexes.", no_args_is_help=True, pretty_exceptions_enable=False
)

Corpus = Annotated[Path, typer.Option(help="JSON lines: {id, contents} or {id, title, text}")]
Method = Annotated[str, typer.Option(help="bm25, or the encoder's family: e5, bge, contriever, dpr, or any name")]
Model = Annotated[Path | None, typer.Option(help="folder of the encoder (not for bm25)")]
Kinds = Annotated[list[str] | None, typer.Option("--kind", help=f"may be repeated; default: all of {', '.join(KINDS)}")]
Set = Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE: any setting of the service")]
Questions = Annotated[Path, typer.Option(help="JSON lines: {question, golden_answers (or answers, answer)}")]


def _settings(
    corpus: Path | None, method: str, model: Path | None, chosen: list[str] | None, **more: Any
) -> RetrieverSettings:
    given = {name: value for name, _, value in (pair.partition("=") for pair in chosen or [])}
    named = {"corpus_path": corpus, "retrieval_method": method, "retrieval_model_path": model, **more}
    return load_settings(RetrieverSettings, {**{k: v for k, v in named.items() if v is not None}, **given})


@app.command()
def build(
    corpus: Corpus,
    output: Annotated[Path, typer.Option(help="folder of the index; an unfinished one is continued")],
    method: Method = "bm25",
    model: Model = None,
    kind: Annotated[str, typer.Option(help=f"of a dense index: {', '.join(KINDS)}")] = "flat",
    devices: Annotated[str, typer.Option(help="encode on these, a process each: cuda:0,cuda:1")] = "",
    chunk: Annotated[int, typer.Option(min=1, help="passages encoded and written at a time; bounds memory")] = 2048,
    threads: Annotated[
        int, typer.Option(min=1, help="of encoder and FAISS; an HNSW graph repeats exactly only with 1")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="of the training sample")] = 0,
    keep_vectors: Annotated[bool, typer.Option("--keep-vectors", help="keep the fp32 vectors beside any kind")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the estimate and stop")] = False,
    settings: Set = None,
) -> None:
    """Build an index: streaming, resumable (run the same command again after a kill), with a manifest of checksums."""
    from mentor_retriever.build import BuildPlan, build_index
    from mentor_retriever.corpus import Corpus as OpenCorpus
    from mentor_retriever.encoders.factory import open_encoder
    from mentor_retriever.tools.estimates import table
    from mentor_retriever.tools.progress import bars

    with clear_errors():
        chosen = _settings(corpus, method, model, settings, index_kind=kind)
        opened = OpenCorpus(corpus)
        places = tuple(part for part in devices.split(",") if part)
        encoder = open_encoder(chosen, device=places[0] if places else None, threads=threads) if chosen.dense else None
        if encoder is not None:
            typer.echo(table([kind], len(opened), encoder.dimension))
        if dry_run:
            return
        plan = BuildPlan(chosen, output, kind, seed, chunk, places, threads, keep_vectors)
        with bars() as seen:
            manifest = build_index(plan, opened, encoder, seen)
        typer.echo(f"{output}: {manifest.kind}, {manifest.documents} documents, {_size(manifest.files)}")


def _size(files: dict[str, Any]) -> str:
    return f"{sum(file.bytes for file in files.values()) / 2**20:.1f} MiB in {len(files)} files"


@app.command()
def estimate(
    documents: Annotated[int, typer.Option(min=1, help="passages")] = 21_015_324,
    dimension: Annotated[int, typer.Option(min=1, help="of the encoder's vectors")] = 768,
    kind: Kinds = None,
) -> None:
    """What each kind of index will cost: memory, disk, speed (from this machine's measured bandwidth), recall."""
    from mentor_retriever.tools.estimates import table

    with clear_errors():
        typer.echo(table(kind or list(KINDS), documents, dimension))


@app.command()
def offsets(corpus: Corpus) -> None:
    """Check a corpus and write its offsets beside it, for services that may only read there (a build does it too)."""
    from mentor_retriever.corpus import Corpus as OpenCorpus

    with clear_errors():
        typer.echo(f"{len(OpenCorpus(corpus))} documents; {corpus}.offsets")


@app.command()
def inspect(
    index: Annotated[Path, typer.Argument(help="folder of an index, or a FAISS file")],
    verify: Annotated[bool, typer.Option("--verify", help="read every file and compare its checksum")] = False,
) -> None:
    """What an index is: kind, size, encoder, corpus; exit code 1 if a checksum does not match."""
    from mentor_retriever.tools.inspection import inspected

    with clear_errors():
        found = inspected(index, verify=verify)
    typer.echo(json.dumps(found, indent=1))
    if found.get("damaged"):
        raise typer.Exit(1)


@app.command("eval")
def evaluate(
    corpus: Corpus,
    index: Annotated[Path, typer.Option(help="folder of an index, or a FAISS file")],
    questions: Questions,
    method: Method = "bm25",
    model: Model = None,
    k: Annotated[int, typer.Option("--k", min=1, help="passages per question")] = 5,
    exact: Annotated[Path | None, typer.Option(help="a flat index of the same corpus, for recall against it")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="questions")] = None,
    settings: Set = None,
) -> None:
    """Answer recall on a QA set (a golden answer stands in one of k passages), and recall@k against exact search."""
    from mentor_retriever.tools.evaluation import evaluated

    with clear_errors():
        chosen = _settings(corpus, method, model, settings, index_path=index)
        typer.echo(json.dumps(evaluated(chosen, questions, k, exact, limit), indent=1))


@app.command()
def compare(
    corpus: Corpus,
    questions: Questions,
    model: Annotated[Path, typer.Option(help="folder of the encoder")],
    method: Method = "e5",
    kind: Kinds = None,
    k: Annotated[int, typer.Option("--k", min=1, help="passages per question")] = 5,
    exact: Annotated[Path | None, typer.Option(help="a flat index of the corpus; else the corpus is encoded")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="questions")] = None,
    settings: Set = None,
) -> None:
    """Build every kind from the same vectors and print size, recall@k against Flat, answer recall and speed, as a table."""
    from mentor_retriever.tools.comparison import compared

    with clear_errors():
        chosen = _settings(corpus, method, model, settings)
        typer.echo(compared(chosen, questions, kind or list(KINDS), k, exact, limit))


@app.command("export-encoder")
def export(
    model: Annotated[Path, typer.Argument(help="folder of the encoder")],
    output: Annotated[Path, typer.Argument(help="new folder: a copy with onnx/model.onnx and onnx/model_int8.onnx")],
) -> None:
    """Write an encoder's ONNX files, fp32 and int8, for encoder_backend onnx and onnx-int8."""
    from mentor_retriever.encoders.export import export_encoder

    with clear_errors():
        export_encoder(model, output)
        typer.echo(f"{output}: onnx/model.onnx, onnx/model_int8.onnx")
