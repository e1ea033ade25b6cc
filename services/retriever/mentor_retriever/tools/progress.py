"""Progress bars of a build, with the time that is left."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from mentor_retriever.build.plan import Seen


@contextmanager
def bars() -> Iterator[Seen]:
    """One bar for each stage, on standard error; a log line now and then where that is no terminal."""
    kept: dict[str, tqdm] = {}
    every = 0.1 if sys.stderr.isatty() else 10.0

    def seen(stage: str, done: int, total: int) -> None:
        if stage not in kept:
            kept[stage] = tqdm(desc=stage, total=total, unit="", unit_scale=True, mininterval=every, initial=0)
        kept[stage].update(done - kept[stage].n)

    try:
        yield seen
    finally:
        for bar in kept.values():
            bar.close()
