"""One trajectory: the conversation, its time, its reward and why, its tokens; beside another; as text, JSON and test case."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, StreamingResponse

from mentor.errors import NotFoundError
from mentor.rewards import load_preset, preset_names
from mentor.trajectory import Question, Trajectory
from mentor_console.context import Console
from mentor_console.front.gate import session_of
from mentor_console.front.page_errors import telling
from mentor_console.index.facts import outcome
from mentor_console.index.notes import notes_of, tags_of
from mentor_console.index.stored import Stored, blocks_of, job_of, load, question_of, same_question, spec_of
from mentor_console.pages.trajectories import PATH
from mentor_console.text import visible
from mentor_console.trajectory.beside import compare
from mentor_console.trajectory.case import case_of
from mentor_console.trajectory.conversation import TURNS, conversation, whole_text
from mentor_console.trajectory.rewarded import explain, preset_of, reward_at
from mentor_console.trajectory.timeline import timeline
from mentor_console.trajectory.tokens import PAGE, tokens

_RAW = 20_000
_TURN = Query(ge=1, le=100_000)


class Opened:
    """A trajectory that the reader may see, with all that is known of its question."""

    def __init__(
        self, stored: Stored, question: Question | None, spec: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
    ) -> None:
        self.stored, self.question, self.spec, self.others = stored, question, spec, others

    @property
    def trajectory(self) -> Trajectory:
        """Raises ``NotFoundError`` where the line holds none."""
        if self.stored.trajectory is None:
            raise NotFoundError(f"this line is no trajectory: {self.stored.problem}", field="key")
        return self.stored.trajectory


async def opened(console: Console, request: Request, key: str) -> Opened:
    """By its address.

    Raises:
        NotFoundError: there is none that the reader may see.
    """
    authorization = session_of(request.scope).authorization
    await console.index.require(authorization, await console.index.run(lambda connection: job_of(connection, key)))
    stored = await console.index.run(lambda connection: load(connection, console.index.folder, key))
    jobs = await console.index.visible(authorization)

    def more(connection: sqlite3.Connection) -> Opened:
        spec = spec_of(connection, stored.row["job"])
        question = question_of(connection, console.index.folder, stored, spec, jobs)
        return Opened(stored, question, spec, same_question(connection, stored, jobs))

    return await console.index.run(more)


def router(console: Console) -> APIRouter:
    """The pages' routes."""
    routes = APIRouter(route_class=telling(console.renderer))

    @routes.get(PATH + "/{key}", response_class=HTMLResponse)
    async def trajectory(
        request: Request, key: str, beside: str = "", preset: str = "", turn: Annotated[int, _TURN] = 1
    ) -> HTMLResponse:
        """The trajectory; ``beside``: another of the same question; ``turn``: where the page begins."""
        found = await opened(console, request, key)
        notes, tags = await console.index.run(lambda c: (notes_of(c, key), tags_of(c, [key])[key]))
        values: dict[str, Any] = {
            "stored": found.stored,
            "row": found.stored.row,
            "notes": notes,
            "tags": tags,
            "outcome": outcome,
        }
        if found.stored.trajectory is None:
            raw = found.stored.raw[:_RAW].decode("utf-8", "replace")
            return console.renderer.respond(request, "unreadable.html.j2", title="Trajectory", raw=raw, **values)
        other = await opened(console, request, beside) if beside else None
        marks = compare(found.trajectory, other.trajectory) if other else ({}, {})
        return console.renderer.respond(
            request, "trajectory.html.j2", title="Trajectory", trajectory=found.trajectory, question=found.question,
            turns=conversation(key, found.trajectory, turn, marks[0]), first=turn, page=TURNS,
            time=timeline(found.trajectory), others=found.others, presets=preset_names(), reward=_reward(found, preset),
            beside=other, beside_turns=conversation(beside, other.trajectory, turn, marks[1]) if other else [],
            has_tokens=tokens(found.trajectory) is not None, **values,
        )  # fmt: skip

    @routes.get(PATH + "/{key}/tokens", response_class=HTMLResponse)
    async def token_page(request: Request, key: str, start: Annotated[int, Query(ge=0, le=10**9)] = 0) -> HTMLResponse:
        """Tokens with log-probabilities and loss mask."""
        found = await opened(console, request, key)
        page = tokens(found.trajectory, start)
        if page is None:
            raise NotFoundError("the model server gave no token ids", field="key")
        return console.renderer.respond(
            request,
            "tokens.html.j2",
            title="Tokens",
            row=found.stored.row,
            tokens=page[0],
            total=page[1],
            start=start,
            size=PAGE,
        )

    @routes.get(PATH + "/{key}/text")
    async def text(request: Request, key: str, part: str, turn: int = 0, call: int | None = None) -> PlainTextResponse:
        """One text, whole, as plain text."""
        found = await opened(console, request, key)
        return PlainTextResponse(visible(whole_text(found.trajectory, turn, part, call)))

    @routes.get(PATH + "/{key}/case.json")
    async def case(request: Request, key: str) -> Response:
        """The trajectory as a test case."""
        found = await opened(console, request, key)
        row = found.stored.row
        correct = None if row["correct"] is None else bool(row["correct"])
        made = case_of(key, row["job"], found.trajectory, found.question, correct)
        return Response(json.dumps(made, ensure_ascii=False, indent=2) + "\n", media_type="application/json")

    @routes.get(PATH + "/{key}/line.json")
    async def line(request: Request, key: str) -> Response:
        """The line as it was committed."""
        found = await opened(console, request, key)
        headers = {"content-disposition": f'attachment; filename="trajectory-{found.stored.key}.json"'}
        blocks = blocks_of(console.index.folder, found.stored)
        return StreamingResponse(blocks, media_type="application/json", headers=headers)

    return routes


def _reward(found: Opened, preset: str) -> dict[str, Any]:
    """What was given, and the library's account of it where the references are known."""
    own = preset_of(found.spec)
    chosen = preset or own
    correct = found.stored.row["correct"]
    explained = None
    spec = reward_at(chosen, found.spec, found.stored.row["step"]) if chosen else None
    if spec is not None and found.question is not None and correct is not None:
        explained = explain(found.trajectory, found.question, spec, bool(correct))
    verdict = found.trajectory.metadata.get("verdict")
    return {
        "given": dict(found.stored.reward), "preset": chosen, "own": own, "explained": explained,
        "annealed": spec is not None and spec.weights != load_preset(chosen).weights,
        "verdict": verdict if isinstance(verdict, dict) else {},
    }  # fmt: skip
