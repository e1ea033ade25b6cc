"""The sandbox's lanes as targets."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.hostile.case import Answer, Case

_BUSY = 429
_JSON = {"content-type": "application/json"}  # httpx' own encoder refuses lone surrogates


def client_of(url: str) -> httpx.AsyncClient:
    """A client of a sandbox, for many calls at once.

    Nothing expires in its pool: of two tasks, one may close as expired the connection that the other has just been given.
    """
    limits = httpx.Limits(max_connections=None, keepalive_expiry=None)
    return httpx.AsyncClient(base_url=url, timeout=180, limits=limits, trust_env=False)


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

    async def _post(self, path: str, body: Any) -> httpx.Response | httpx.HTTPError:
        try:
            return await self._client.post(path, content=json.dumps(body), headers=_JSON)
        except httpx.HTTPError as error:
            return error


def _answer(response: httpx.Response | httpx.HTTPError, result: dict[str, Any] | None = None) -> Answer:
    if isinstance(response, httpx.HTTPError):
        return Answer("down", "", repr(response))
    if response.status_code >= 500 or response.status_code == _BUSY:
        return Answer("down", "", f"{response.status_code} {response.text}")
    if result is None:
        return Answer("refused", "", response.text)
    return Answer(result["status"], f"{result.get('value')}\n{result['stdout']}", response.text)


def _json_of(response: httpx.Response | httpx.HTTPError) -> dict[str, Any] | None:
    """What a call that was taken gave."""
    if isinstance(response, httpx.HTTPError) or response.status_code != httpx.codes.OK:
        return None
    body: dict[str, Any] = response.json()
    return body


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
        return _answer(response, _json_of(response))


class ProgramLane(_Lane):
    """Whole programs."""

    name, lane = "mentor, whole program", "program"

    async def run(self, case: Case, code: str) -> Answer:
        """See ``Target``."""
        program = f"{code}\nprint(globals().get('result'))"
        response = await self._post("/v1/run", {"code": program, "timeout_s": case.seconds(self.lane)})
        return _answer(response, _json_of(response))


class SessionLane(_Lane):
    """A session for each case."""

    name, lane = "mentor, session", "session"

    async def run(self, case: Case, code: str) -> Answer:
        """See ``Target``."""
        opened = await self._post("/v1/sessions", {})
        session = _json_of(opened)
        if session is None:
            return _answer(opened)
        path = f"/v1/sessions/{session['session']['id']}"
        cell = {"code": f"{code}\nglobals().get('result')", "timeout_s": case.seconds(self.lane)}
        response = await self._post(f"{path}/execute", cell)
        await self._client.delete(path)
        answered = _json_of(response)
        return _answer(response, None if answered is None else answered["result"])


LANES = (SourceLane, ProgramLane, SessionLane)
