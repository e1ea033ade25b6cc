"""What a job's spec may reach, held against whoever submitted it: when it comes in, and again before it runs.

``docs/security.md`` says why. References to the store are not looked at here: ``mentor.jobs.references`` asks whose they are.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from pydantic import BaseModel

from mentor.data.files import within
from mentor.errors import UserError
from mentor.jobs.references import is_reference
from mentor.reach import Reach, ReachSettings, named
from mentor.reach.hosts import Place, exact, matches, never_a_service, place_of
from mentor.reach.marks import Named
from mentor.reach.own import retriever_target, sandbox_target
from mentor.reach.settings import variable
from mentor.rpc.principal import caller

MODEL_KEYS = "MENTOR_MODEL_KEY_*"
"""Variables that hold keys of model servers, by their names."""
_OURS = "MENTOR_"


@runtime_checkable
class PlainOnly(Protocol):
    """A spec with settings that reach beyond what marks can say."""

    def require_plain(self) -> None:
        """Raise ``ForbiddenError`` on what only operators may ask for."""
        ...


class PlainArguments(Protocol):
    """A part of a spec that knows which of its arguments reach nothing."""

    def require_plain_argument(self, field: str, argument: str) -> None:
        """Raise ``ForbiddenError`` on one that is for operators."""
        ...


def check(spec: BaseModel, settings: ReachSettings | None = None) -> None:
    """Refuse a spec that names what the present caller may not reach.

    Raises:
        UserError: naming the field, what is allowed, and the setting that says so.
        ForbiddenError: what it asks for is for operators.
    """
    settings = settings or ReachSettings()
    for item in named(spec):
        _CHECKS[item.reach](item, settings)
    if isinstance(spec, PlainOnly) and not caller.get().operator:
        spec.require_plain()


def _path(item: Named, settings: ReachSettings) -> None:
    if is_reference(item.value):
        return
    roots = settings.entries("path_roots")
    if roots is None and caller.get().operator:
        return
    if not any(within(Path(item.value), Path(root)) for root in roots or ()):
        where = ", ".join(roots or ()) or "no folder"
        raise _refused(
            item, "is not in a folder that specs may name", f"file:…, artifact:…, or below {where}", "path_roots"
        )


def _preset(item: Named, settings: ReachSettings) -> None:
    if item.value.endswith((".yaml", ".yml")):
        _path(item, settings)


def _host(setting: str) -> Callable[[Named, ReachSettings], None]:
    def checked(item: Named, settings: ReachSettings) -> None:
        place = place_of(item.value, item.field)
        listed = settings.entries(setting)
        if not any(matches(place, pattern) for pattern in listed or ()) and (
            listed is not None or not caller.get().operator
        ):
            raise _refused(item, f"names {place}", ", ".join(listed or ()) or "no host", setting)
        if not exact(place, listed or ()) and (address := never_a_service(place)) is not None:
            raise _refused(item, f"leads to {address}", "an address of a service", setting)

    return checked


_listed_service = _host("service_hosts")


def _service(item: Named, settings: ReachSettings) -> None:
    if item.value not in (sandbox_target(), retriever_target()):
        _listed_service(item, settings)


def _variable(item: Named, settings: ReachSettings) -> None:
    entries = settings.entries("key_variables")
    if entries is None:
        entries = ("*", MODEL_KEYS) if caller.get().operator else (MODEL_KEYS,)
    url = getattr(item.owner, "url", None)
    place = place_of(url, item.field) if url else None
    if not any(_grants(entry, item.value, place) for entry in entries):
        raise _refused(item, f"may not be sent to {place}", ", ".join(entries) or "no variable", "key_variables")


def _grants(entry: str, name: str, place: Place | None) -> bool:
    """Whether an entry lets a variable go to a place. Our own variables, keys of models excepted, only by their full name."""
    pattern, at, host = entry.partition("@")
    ours = name.startswith(_OURS) and not fnmatch.fnmatchcase(name, MODEL_KEYS)
    known = name == pattern if ours else fnmatch.fnmatchcase(name, pattern)
    return known and (not at or (place is not None and matches(place, host)))


def _argument(item: Named, settings: ReachSettings) -> None:
    if not caller.get().operator:
        cast(PlainArguments, item.owner).require_plain_argument(item.field, item.value)


def _refused(item: Named, why: str, allowed: str, setting: str) -> UserError:
    return UserError(
        f"{item.field}: {item.value!r} {why}", field=item.field, allowed=f"{allowed}; see {variable(setting)}"
    )


_CHECKS: dict[Reach, Callable[[Named, ReachSettings], None]] = {
    Reach.PATH: _path,
    Reach.PRESET: _preset,
    Reach.MODEL: _host("model_hosts"),
    Reach.SERVICE: _service,
    Reach.RAY: _host("ray_hosts"),
    Reach.VARIABLE: _variable,
    Reach.ARGUMENT: _argument,
}
