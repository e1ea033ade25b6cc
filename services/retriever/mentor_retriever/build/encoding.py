"""Encodes a corpus into the file of a flat index, chunk by chunk, in one process for each device.

Each chunk is written to its place and synced before the journal says so: a build that is killed goes on from the last
chunk, and as chunks are always the same passages, the bytes are those of a build that was not.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mentor.errors import InfrastructureError
from mentor_retriever.build.plan import Journal, read_json, write_json
from mentor_retriever.corpus import Corpus
from mentor_retriever.encoders import Encoder
from mentor_retriever.encoders.factory import open_encoder
from mentor_retriever.settings import RetrieverSettings

_POLL_S = 0.5


@dataclass(frozen=True)
class Target:
    """The file that is written, and where its first vector begins."""

    path: Path
    header: int
    dimension: int

    def place(self, row: int) -> int:
        """Offset of a row, in bytes."""
        return self.header + 4 * self.dimension * row


def prepare(target: Target, header: bytes, documents: int) -> None:
    """Make the file at its full size (sparse), with its header, unless it is there."""
    if target.path.is_file():
        return
    fresh = target.path.with_name(f"{target.path.name}.new")
    with fresh.open("wb") as file:
        file.write(header)
        file.truncate(target.place(documents))
    fresh.replace(target.path)


def encode_ranges(
    settings: RetrieverSettings,
    journal: Journal,
    target: Target,
    corpus: Corpus,
    encoder: Encoder,
    devices: tuple[str, ...],
    seen: Callable[[int], None],
) -> None:
    """Encode what is not encoded yet.

    Raises:
        InfrastructureError: a process of a device died.
    """
    if len(devices) < 2:
        for number in range(len(journal.ranges)):
            encode_range(journal, number, target, corpus, encoder, lambda: seen(_total(journal, target)))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(devices), mp_context=context) as pool:
        running = [
            pool.submit(_in_process, settings, journal, number, target, devices[number % len(devices)])
            for number in range(len(journal.ranges))
        ]
        while not all(task.done() for task in running):
            time.sleep(_POLL_S)
            seen(_total(journal, target))
        for task in running:
            _finished(task.exception())
    seen(_total(journal, target))


def _finished(error: BaseException | None) -> None:
    if error is not None:
        raise InfrastructureError(f"a process that encoded died: {error}; the same command goes on from there")


def _in_process(settings: RetrieverSettings, journal: Journal, number: int, target: Target, device: str) -> None:
    assert settings.corpus_path is not None
    encoder = open_encoder(settings, device=device)
    encode_range(journal, number, target, Corpus(settings.corpus_path), encoder, lambda: None)


def encode_range(
    journal: Journal, number: int, target: Target, corpus: Corpus, encoder: Encoder, seen: Callable[[], None]
) -> None:
    """Encode one range of rows, from where its own note says it is."""
    begin, end = journal.ranges[number]
    with target.path.open("r+b") as file:
        for start in range(begin + _done(target, number), end, journal.chunk):
            stop = min(end, start + journal.chunk)
            vectors = encoder.encode_passages(list(corpus.contents(start, stop)))
            os.pwrite(file.fileno(), vectors.tobytes(), target.place(start))
            os.fdatasync(file.fileno())
            write_json(_note(target, number), {"rows": stop - begin})
            seen()


def _total(journal: Journal, target: Target) -> int:
    return sum(_done(target, number) for number in range(len(journal.ranges)))


def _done(target: Target, number: int) -> int:
    note = _note(target, number)
    return int(read_json(note)["rows"]) if note.is_file() else 0


def _note(target: Target, number: int) -> Path:
    return target.path.with_name(f"encoded-{number}.json")


def forget_notes(target: Target, journal: Journal) -> None:
    """Remove the notes of a build that is complete."""
    for number in range(len(journal.ranges)):
        _note(target, number).unlink(missing_ok=True)
