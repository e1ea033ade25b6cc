"""Which role each path of a service asks for. A path that is not in the table is not served."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fastapi import APIRouter, FastAPI
from starlette.routing import Route

from mentor.errors import NotFoundError
from mentor.rpc.principal import Role


class RoleTable:
    """Roles by path; None stands for any caller who is known. Paths without parameters take one look-up.

    Args:
        free: paths that ask for no role.
    """

    def __init__(self, free: Iterable[str] = ()) -> None:
        self._fixed: dict[str, Role | None] = dict.fromkeys(free)
        self._patterns: list[tuple[str, re.Pattern[str], Role]] = []

    def include(self, app: FastAPI, router: APIRouter, role: Role) -> None:
        """Put a router's paths into the application, and their role into the table.

        Raises:
            RuntimeError: it holds something other than plain routes, or a path that has another role already.
        """
        app.include_router(router)
        for route in router.routes:
            if not isinstance(route, Route):
                raise RuntimeError(f"{route} is no plain route: nothing knows what role it asks for")
            known = self.stated()
            if known.get(route.path, role) is not role:
                raise RuntimeError(f"{route.path} asks for two roles")
            if "{" not in route.path:
                self._fixed[route.path] = role
            elif route.path not in known:
                self._patterns.append((route.path, route.path_regex, role))

    def stated(self) -> dict[str, Role | None]:
        """The role of every path, as it was declared."""
        return self._fixed | {path: role for path, _, role in self._patterns}

    def needed(self, path: str) -> Role | None:
        """The role that a request's path asks for.

        Raises:
            NotFoundError: nothing is served there.
        """
        bare = path.rstrip("/") or path  # with a slash it is answered with a redirect
        if bare in self._fixed:
            return self._fixed[bare]
        for _, pattern, role in self._patterns:
            if pattern.match(bare):
                return role
        raise NotFoundError("Not Found")
