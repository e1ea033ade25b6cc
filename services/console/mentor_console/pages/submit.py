"""Submit a job: forms from the schemas that services publish; what they refuse is shown at its field."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.datastructures import UploadFile

from mentor.errors import NotFoundError, UserError
from mentor.jobs.model import ARTIFACT_SCHEME
from mentor_console.context import Console
from mentor_console.front.gate import session_of
from mentor_console.front.page_errors import telling
from mentor_console.jobs.causes import TEMPLATE, UNAPPENDABLE, UNPARSED
from mentor_console.jobs.directory import find, listed
from mentor_console.jobs.examples import EXAMPLES, QUESTIONS, questions
from mentor_console.jobs.examples import spec_of as example_spec
from mentor_console.jobs.form import Field, fields_of, from_json, place_of, spec_of, values_of
from mentor_console.settings import JOB_SERVICES

_CHECK_S = 180.0
"""For a service to read questions and model before it takes a job; a first one loads what reads them."""
_OWN = ("csrf", "key", "as_json", "upload", "upload_field")


def router(console: Console) -> APIRouter:
    """The routes."""
    routes = APIRouter(route_class=telling(console.renderer))

    async def schema(request: Request, service: str, kind: str) -> list[Field]:
        if service not in JOB_SERVICES or not kind.replace("-", "").isalnum():
            raise NotFoundError("there is no such form", field="service", allowed=", ".join(JOB_SERVICES))
        return fields_of(await console.json(request, service, f"/v1/kinds/{kind}/schema"))

    async def upload(request: Request, service: str, name: str, content: Any) -> str:
        authorization = session_of(request.scope).authorization
        answer = await console.upstream.call(
            authorization, service, "POST", "/v1/files", params={"name": name}, content=content, timeout=600.0
        )
        return str(answer.json()["reference"])

    def form(
        request: Request, service: str, kind: str, fields: list[Field], values: Mapping[str, str], as_json: str,
        error: UserError | None = None,
    ) -> HTMLResponse:  # fmt: skip
        at = place_of(fields, error, values) if error else ""
        told = _told(error, at) if error else ""
        files = [f.name for f in fields if f.name in ("questions", "tools", "reference")]
        return console.renderer.respond(
            request, "submit.html.j2", 400 if error else 200, title=f"New {kind} job", service=service, kind=kind,
            fields=fields, values=values, as_json=as_json, error=error, told=told, at=at, files=files,
            key=secrets.token_urlsafe(16),
        )  # fmt: skip

    @routes.get("/jobs/new/{service}/{kind}", response_class=HTMLResponse)
    async def new(request: Request, service: str, kind: str, clone: str = "", spec: str = "") -> HTMLResponse:
        """An empty form; or one filled with another job's spec, or with one in the address."""
        fields = await schema(request, service, kind)
        known = (await find(console, request, clone)).job.spec if clone else from_json(spec) if spec else {}
        shown = json.dumps(known, indent=2, ensure_ascii=False) if known else ""
        return form(request, service, kind, fields, values_of(fields, known), shown)

    @routes.post("/jobs/new/{service}/{kind}", response_class=HTMLResponse)
    async def submit(request: Request, service: str, kind: str) -> Response:
        """Submit it; the same form again, with what is wrong, where the service refuses it."""
        fields, sent = await schema(request, service, kind), await request.form()
        values = {name: value for name, value in sent.items() if isinstance(value, str) and name not in _OWN}
        as_json, whole = str(sent.get("spec_json") or ""), sent.get("as_json") is not None
        try:
            await _files(request, service, sent, values)
            spec = from_json(as_json) if whole else spec_of(fields, values)
            body = {"kind": kind, "spec": spec, "idempotency_key": str(sent.get("key") or "") or None}
            authorization = session_of(request.scope).authorization
            answer = await console.upstream.call(
                authorization, service, "POST", "/v1/jobs", json=body, timeout=_CHECK_S
            )
        except UserError as error:
            if error.http_status in (401, 403):
                raise
            return form(request, service, kind, fields, values, as_json, error)
        return RedirectResponse(f"/jobs/{answer.json()['id']}", 303)

    async def _files(request: Request, service: str, sent: Mapping[str, Any], values: dict[str, str]) -> None:
        """A file that came with the form goes into the service's store, and its reference into the field it is for."""
        file = sent.get("upload")
        if isinstance(file, UploadFile) and file.filename:
            name = file.filename.replace("\\", "/").rpartition("/")[2]
            values[str(sent.get("upload_field"))] = await upload(request, service, name, await file.read())

    async def committed(request: Request, kind: str, name: str) -> str:
        """What the last job of this kind that succeeded has made; empty where none has."""
        done = await listed(console, request, kind=kind, state="succeeded")
        return next((f"{ARTIFACT_SCHEME}{row.job.id}/{name}" for row in done.jobs), "")

    @routes.post("/jobs/first/{name}")
    async def first(request: Request, name: str) -> Response:
        """A first step: its questions into the service's store, and to a form that is filled in."""
        example = next((e for e in EXAMPLES if e.name == name), None)
        if example is None:
            raise NotFoundError("there is no such example", field="name", allowed=", ".join(e.name for e in EXAMPLES))
        reference = "" if name == "train" else await upload(request, example.service, QUESTIONS, questions())
        made = {
            "data": await committed(request, "teacher", "references.parquet") if name == "train" else "",
            "trained": await committed(request, "train", "model") if name == "evaluation" else "",
        }
        spec = {
            k: v for k, v in example_spec(example, console.settings, reference, **made).items() if v not in ("", {})
        }
        address = f"/jobs/new/{example.service}/{example.kind}?{urlencode({'spec': json.dumps(spec)})}"
        return RedirectResponse(address, 303)

    return routes


def _told(error: UserError, at: str) -> str:
    """What is wrong, in a line; of a path at the service that a field named, the file's name is enough."""
    path = error.field or ""
    told = error.message.replace(path, path.rpartition("/")[2]) if at and path != at and "/" in path else error.message
    if UNAPPENDABLE.search(told):
        return f"{TEMPLATE}: {told}"
    if at == "tools" and UNPARSED.search(told):
        return f"{told}. Mend that line, and submit the file again: tools are read before anything runs"
    return told
