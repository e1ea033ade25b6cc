"""Who is calling, and what callers may do. The same for a request to a service and for a job that acts for its submitter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from mentor.errors import ForbiddenError


class Role(StrEnum):
    """What a caller may do. ``operate`` holds the others."""

    SEARCH = "search"
    RUN = "run"
    SUBMIT = "submit"
    OPERATE = "operate"


ALL_ROLES = frozenset(Role)


@dataclass(frozen=True)
class Principal:
    """A caller. ``name`` is ``key:CLIENT`` or ``oidc:SUBJECT``; "" where callers are not told apart."""

    name: str
    roles: frozenset[Role] = ALL_ROLES

    @property
    def operator(self) -> bool:
        """Whether it may do everything, others' jobs included."""
        return Role.OPERATE in self.roles

    def require(self, role: Role) -> None:
        """Refuse a caller who lacks the role.

        Raises:
            ForbiddenError: naming the role, and those that the caller has.
        """
        if role not in self.roles and not self.operator:
            held = ", ".join(sorted(self.roles)) or "none"
            raise ForbiddenError(f"this needs the role {role!s}; {self.name} has: {held}", field="role", allowed=role)


ANYONE = Principal("")
"""Every caller of a service without keys, and whoever uses the library in a process of their own."""

caller: ContextVar[Principal] = ContextVar("mentor_caller", default=ANYONE)
"""Whose request, or whose job, is being worked on."""


@contextmanager
def acting_for(principal: Principal) -> Iterator[None]:
    """Work for that caller for the duration of the block."""
    token = caller.set(principal)
    try:
        yield
    finally:
        caller.reset(token)
