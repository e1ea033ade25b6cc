"""The REST side of a service: health, readiness, metrics, typed errors, and the routers it brings."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client.exposition import choose_encoder
from starlette.exceptions import HTTPException

from mentor import __version__
from mentor.errors import MentorError, OverloadedError
from mentor.rpc.principal import Role
from mentor.serving.access import RoleTable
from mentor.serving.middleware import OPEN_PATHS, DoorMiddleware, RequestMiddleware, SizeLimitMiddleware
from mentor.serving.responses import AsciiJSONResponse
from mentor.serving.service import Service

UPLOAD_PATH = "/v1/files"
_CODES = {401: "unauthenticated", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def create_app(service: Service) -> FastAPI:
    """The ASGI application of a service. What the service owns is started by the runner, not by the app."""
    settings = service.settings
    app = FastAPI(title=f"MENTOR {service.name}", version=__version__)
    app.state.service = service
    roles = RoleTable(_free(app))
    for binding in service.routers:
        roles.include(app, binding.router, binding.role)
    _add_health(app, service)
    if settings.admin_port is None:
        _add_administration(app, service, roles)
    app.state.roles = roles
    _add_errors(app)
    larger = {UPLOAD_PATH: settings.max_upload_bytes}
    app.add_middleware(SizeLimitMiddleware, limit=settings.max_request_bytes, larger=larger)
    if not service.door.open:
        app.add_middleware(DoorMiddleware, door=service.door, roles=roles)
    for kind, arguments in service.middleware:
        app.add_middleware(kind, **arguments)
    app.add_middleware(RequestMiddleware, metrics=service.metrics, access_log=settings.access_log)
    return app


def create_admin_app(service: Service) -> FastAPI:
    """What listens on the admin port: health, metrics and the operators' routes, behind the same door."""
    app = FastAPI(title=f"MENTOR {service.name}, administration", version=__version__)
    roles = RoleTable(_free(app))
    _add_health(app, service)
    _add_administration(app, service, roles)
    app.state.roles = roles
    _add_errors(app)
    if not service.door.open:
        app.add_middleware(DoorMiddleware, door=service.door, roles=roles)
    app.add_middleware(RequestMiddleware, metrics=service.metrics, access_log=service.settings.access_log)
    return app


def _free(app: FastAPI) -> list[str]:
    """Paths that ask for no role: what is open, and the description of the API."""
    described = (app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url)
    return [*OPEN_PATHS, *filter(None, described)]


def _add_errors(app: FastAPI) -> None:
    app.add_exception_handler(MentorError, _typed_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/health", tags=["operations"])
    async def health() -> JSONResponse:
        """200 if the process lives and all its threads do (else 503); says nothing of whether it can take work."""
        ill = service.vitals.ill()
        body = {"status": "ill" if ill else "ok", "service": service.name, "version": __version__} | service.health()
        return JSONResponse({**body, "threads": ill} if ill else body, status_code=503 if ill else 200)

    @app.get("/ready", tags=["operations"])
    async def ready() -> JSONResponse:
        """200 if work is accepted, else 503 with the reasons."""
        reasons = service.readiness.reasons()
        return JSONResponse({"ready": not reasons, "reasons": reasons}, status_code=503 if reasons else 200)


def _add_administration(app: FastAPI, service: Service, roles: RoleTable) -> None:
    for router in service.admin_routers:
        roles.include(app, router, Role.OPERATE)

    @app.get("/metrics", tags=["operations"])
    async def metrics(accept: Annotated[str, Header()] = "") -> Response:
        """Prometheus exposition; OpenMetrics, with exemplars, where the scraper takes it."""
        encode, content_type = choose_encoder(accept)
        return Response(encode(service.registry), media_type=content_type)


async def _typed_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MentorError)
    headers = {}
    if isinstance(error, OverloadedError):
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return AsciiJSONResponse(error.to_body(), status_code=error.http_status, headers=headers)


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    field = ".".join(location[1:]) or location[0]
    return _body(422, "invalid_argument", f"{field}: {first['msg']}", field)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _body(error.status_code, _CODES.get(error.status_code, "error"), str(error.detail), None, error.headers)


def _body(status: int, code: str, message: str, field: str | None, headers: Any = None) -> JSONResponse:
    content = {"error": {"code": code, "message": message, "field": field, "allowed": None}, "detail": message}
    return AsciiJSONResponse(content, status_code=status, headers=headers)
