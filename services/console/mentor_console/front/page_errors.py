"""What goes wrong on a page is told on a page."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from mentor.errors import MentorError
from mentor_console.rendering import Renderer


def telling(renderer: Renderer) -> type[APIRoute]:
    """Routes of pages that show typed errors as pages, with their status."""

    class Telling(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            inner = super().get_route_handler()

            async def handle(request: Request) -> Response:
                try:
                    return await inner(request)
                except RequestValidationError as error:
                    first = error.errors()[0]
                    message = f"{'.'.join(map(str, first['loc'][1:]))}: {first['msg']}"
                    return renderer.respond(
                        request, "error.html.j2", 422, title="Not understood", message=message, allowed=""
                    )
                except MentorError as error:
                    allowed = str(getattr(error, "allowed", None) or "")
                    title = "Not found" if error.http_status == 404 else "That did not work"
                    return renderer.respond(
                        request, "error.html.j2", error.http_status, title=title, message=error.message, allowed=allowed
                    )

            return handle

    return Telling
