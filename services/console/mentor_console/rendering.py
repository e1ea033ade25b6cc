"""Pages from templates. Everything is escaped; what a model or a tool wrote is text, wherever it stands."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from mentor import __version__
from mentor_console.front.gate import session_of
from mentor_console.text import iso, pretty, shown

NAVIGATION = (
    ("/", "Home"), ("/jobs", "Jobs"), ("/datasets", "Data sets"), ("/training", "Training"),
    ("/evaluations", "Evaluations"), ("/trajectories", "Trajectories"), ("/playground", "Playground"),
)  # fmt: skip


class Renderer:
    """Renders templates of this package."""

    def __init__(self, signed_in: bool) -> None:
        self.signed_in = signed_in
        self._environment = Environment(
            loader=PackageLoader("mentor_console"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True, finalize=shown,
        )  # fmt: skip
        self._environment.globals.update(
            navigation=NAVIGATION, version=__version__, signed_in=signed_in, iso=iso, pretty=pretty
        )

    def page(self, template: str, **values: Any) -> str:
        """A page's HTML."""
        return self._environment.get_template(template).render({"path": "", "csrf": "", **values})

    def respond(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page for a request's session."""
        session = session_of(request.scope)
        return HTMLResponse(self.page(template, path=request.url.path, csrf=session.csrf, **values), status)
