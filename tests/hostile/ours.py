"""The sandbox's lanes as targets."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.hostile.case import Answer, Case

_BUSY = 429
_JSON = {"content-type": "application/json"}  # httpx' own encoder refuses lone surrogates


class _Lane:
    """One lane of a running sandbox."""

    name = "mentor"
    lane = "source"
    coarse = False

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    def takes(self, case: Case) -> bool:
        """Requests of a form of their own are for one lane only."""
        return case.request is None

    def restart(self) -> None:
        """It has to go on by itself."""

    async def _post(self, path: str, body: Any) -> httpx.Response | None:
        try:
            return await self._client.post(path, content=json.dumps(body), headers=_JSON)
        except httpx.HTTPError:
            return None


def _answer(response: httpx.Response | None, result: dict[str, Any] | None) -> Answer:
    if response is None or response.status_code >= 500 or response.status_code == _BUSY:
        return Answer("down", "", "" if response is None else response.text)
    if result is None:
        return Answer("refused", "", response.text)
    return Answer(result["status"], f"{result.get('value')}\n{result['stdout']}", response.text)


class SourceLane(_Lane):
    """Source of a tool with every call."""

    name, lane = "mentor, source of a tool", "source"

    def takes(self, case: Case) -> bool:
        """All of them."""
        return True

    async def run(self, case: Case, code: str) -> Answer:
        """See ``Target``."""
        body = {"timeout_s": case.seconds(self.lane), "env": code, "expression": "globals().get('result')"}
        if case.request is not None:
            body = {"timeout_s": case.seconds(self.lane)} | case.request()
        response = await self._post("/v1/execute", body)
        return _answer(response, response.json() if response is not None and response.status_code == 200 else None)


class ProgramLane(_Lane):
    """Whole programs."""

    name, lane = "mentor, whole program", "program"

    async def run(self, case: Case, code: str) -> Answer:
        """See ``Target``."""
        program = f"{code}\nprint(globals().get('result'))"
        response = await self._post("/v1/run", {"code": program, "timeout_s": case.seconds(self.lane)})
        return _answer(response, response.json() if response is not None and response.status_code == 200 else None)


class SessionLane(_Lane):
    """A session for each case."""

    name, lane = "mentor, session", "session"

    async def run(self, case: Case, code: str) -> Answer:
        """See ``Target``."""
        opened = await self._post("/v1/sessions", {})
        if opened is None or opened.status_code != 200:
            return _answer(opened, None)
        path = f"/v1/sessions/{opened.json()['session']['id']}"
        cell = {"code": f"{code}\nglobals().get('result')", "timeout_s": case.seconds(self.lane)}
        response = await self._post(f"{path}/execute", cell)
        await self._client.delete(path)
        fine = response is not None and response.status_code == 200
        return _answer(response, response.json()["result"] if response is not None and fine else None)


LANES = (SourceLane, ProgramLane, SessionLane)
