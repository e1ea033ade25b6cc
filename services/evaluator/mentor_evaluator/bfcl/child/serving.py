"""A disposable process: lines of JSON in, lines of JSON out, over one socket, until the other side closes it."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mentor_evaluator.bfcl.categories import MEMORY, SEARCH_KEY, WEB_SEARCH, category_of, is_multi_step
from mentor_evaluator.bfcl.child.judging import Judge, wrong
from mentor_evaluator.bfcl.child.opening import opening
from mentor_evaluator.bfcl.child.simulation import Simulation
from mentor_evaluator.bfcl.child.vetting import Refused
from mentor_evaluator.bfcl.child.walls import Guard, confine
from mentor_evaluator.bfcl.entries import Entry, load_answers, load_entries

Message = dict[str, Any]
SHOWN: dict[str, dict[str, Entry]] = {}
"""Entries as models see them, by category and id: read once in the process that others are forked from."""
CHECKED: dict[str, dict[str, Entry]] = {}
"""The same without notes on language, for checkers."""
ANSWERS: dict[str, dict[str, Any]] = {}


def load_shown(category: str) -> dict[str, Entry]:
    """Entries as models see them, prerequisites included."""
    if category not in SHOWN:
        SHOWN[category] = {entry["id"]: entry for entry in load_entries(category, prerequisites=True)}
    return SHOWN[category]


def load_checked(category: str) -> None:
    """Read what checking a category takes: of conversations, not the functions, which would weigh on every fork."""
    if category not in CHECKED:
        entries = load_entries(category, hints=False)
        if is_multi_step(category) or "relevance" in category:
            for entry in entries:
                del entry["function"]
        CHECKED[category] = {entry["id"]: entry for entry in entries}
        ANSWERS[category] = load_answers(category)


def serve(channel: socket.socket, root: Path) -> None:
    """Answer requests; never returns anything but by the end of its input."""
    os.environ.clear()
    os.chdir(tempfile.mkdtemp(dir=root))
    guard, lines = Guard(), channel.makefile("rwb")
    lines.write(b"{}\n")  # from here on, an end of this process may be a model's doing
    lines.flush()
    session = _Session(guard)
    for line in lines:
        request = json.loads(line)
        handle: Callable[[Message], Iterator[Message]] = getattr(session, f"on_{request['do']}")
        for reply in handle(request):
            lines.write(json.dumps(reply).encode() + b"\n")
            lines.flush()


class _Session:
    """The requests of one process; a simulation lives as long as it."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._simulation: Simulation | None = None

    def on_score(self, request: Message) -> Iterator[Message]:
        """Verdicts on ``items`` (id, result), in lines of ``every``; with one to a line it shows which ended the process."""
        confine()
        for category in {category_of(entry_id) for entry_id, _ in request["items"]}:
            load_checked(category)
        judge = Judge(CHECKED, ANSWERS, self._guard, request["underscored"])
        items, every = request["items"], request["every"]
        for first in range(0, len(items), every):
            yield {"verdicts": [_judged(judge, i, result, request) for i, result in items[first : first + every]]}

    def on_open(self, request: Message) -> Iterator[Message]:
        """What models are shown of entries that need no simulator, one line for each."""
        shown = load_shown(request["category"])
        for entry_id in request["ids"]:
            yield opening(shown[entry_id], request["mode"])

    def on_start(self, request: Message) -> Iterator[Message]:
        """Start an entry's simulators; answers with its opening."""
        category = category_of(request["id"])
        entry = load_shown(category)[request["id"]]
        # The embedding model and its libraries map far more than they use.
        confine(address_space=None) if category == "memory_vector" else confine()
        if category in WEB_SEARCH:
            os.environ[SEARCH_KEY] = request.get("key") or ""
        self._simulation = Simulation(entry, request.get("snapshot"), request.get("encoder"), self._guard)
        memory = self._simulation.memory() if category in MEMORY else None
        yield opening(entry, request["mode"], memory)

    def on_decode(self, request: Message) -> Iterator[Message]:
        """The calls in one of the model's steps."""
        assert self._simulation is not None
        try:
            yield {"calls": self._simulation.decode(request["result"], request["mode"])}
        except Refused as refused:
            yield {"refused": str(refused)}

    def on_call(self, request: Message) -> Iterator[Message]:
        """What one call returns."""
        assert self._simulation is not None
        try:
            yield {"result": self._simulation.call(request["source"])}
        except Refused as refused:
            yield {"refused": str(refused)}

    def on_snapshot(self, request: Message) -> Iterator[Message]:
        """What a memory holds."""
        assert self._simulation is not None
        yield self._simulation.snapshot()


def _judged(judge: Judge, entry_id: str, result: Any, request: Message) -> Message:
    try:
        return judge.verdict(entry_id, result, request["mode"])
    except Exception as error:  # the checkers raise on some malformed output; the official runner then ends
        return wrong("checker_error", f"{type(error).__name__}: {error}")
