"""The REST side of a service: health, readiness, metrics, typed errors, and the routers it brings."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from mentor import __version__
from mentor.errors import MentorError, OverloadedError
from mentor.serving.middleware import AuthMiddleware, RequestMiddleware, SizeLimitMiddleware
from mentor.serving.responses import AsciiJSONResponse
from mentor.serving.service import Service

UPLOAD_PATH = "/v1/files"
_CODES = {401: "unauthenticated", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def create_app(service: Service) -> FastAPI:
    """The ASGI application of a service. What the service owns is started by the runner, not by the app."""
    settings = service.settings
    app = FastAPI(title=f"MENTOR {service.name}", version=__version__)
    app.state.service = service
    for router in service.routers:
        app.include_router(router)
    _add_operations(app, service)
    app.add_exception_handler(MentorError, _typed_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    larger = {UPLOAD_PATH: settings.max_upload_bytes}
    app.add_middleware(SizeLimitMiddleware, limit=settings.max_request_bytes, larger=larger)
    if settings.api_key is not None:
        app.add_middleware(AuthMiddleware, key=settings.api_key.get_secret_value())
    app.add_middleware(RequestMiddleware, metrics=service.metrics, access_log=settings.access_log)
    return app


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/health", tags=["operations"])
    async def health() -> dict[str, Any]:
        """The process is alive; says nothing of whether it can take work."""
        return {"status": "ok", "service": service.name, "version": __version__} | service.health()

    @app.get("/ready", tags=["operations"])
    async def ready() -> JSONResponse:
        """200 if work is accepted, else 503 with the reasons."""
        reasons = service.readiness.reasons()
        return JSONResponse({"ready": not reasons, "reasons": reasons}, status_code=503 if reasons else 200)

    @app.get("/metrics", tags=["operations"])
    async def metrics() -> Response:
        """Prometheus exposition."""
        return Response(generate_latest(service.registry), media_type=CONTENT_TYPE_LATEST)


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
