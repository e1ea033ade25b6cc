"""One seam's registry: built-in plug-ins from a folder, users' own from entry points."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cached_property
from importlib import metadata
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from mentor.errors import UserError
from mentor.trajectory import Frozen


@runtime_checkable
class Plugin(Protocol):
    """What every plug-in says of itself. ``summary`` is one line for listings."""

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...


P = TypeVar("P", bound=Plugin)


class Listed(Frozen):
    """A plug-in as listings show it. ``origin``: the distribution that brought it; ``problem``: why it cannot be used."""

    seam: str
    name: str
    summary: str
    origin: str
    problem: str | None = None


class Registry(Generic[P]):
    """The plug-ins of one seam, found when they are first asked for.

    Args:
        seam: what one of them is called, such as ``judge``; users' own come from the entry points of ``mentor.judges``.
        folder: the package in which every module whose name has no underscore in front is one plug-in, called ``PLUGIN``
            (or several, in a tuple called ``PLUGINS``).
        group: of entry points, where it is not the plural of the seam.
        interface: a protocol; a user's object that lacks one of its members is refused with the member's name.

    A user's plug-in that cannot be imported, is no plug-in, or takes a name that is taken, is listed with its problem and
    refused when it is asked for: it disturbs nothing else.
    """

    def __init__(self, seam: str, folder: str, interface: type[Any], group: str | None = None) -> None:
        self.seam = seam
        self.group = group or f"mentor.{seam}s"
        self._folder = folder
        self._interface = interface

    def names(self) -> tuple[str, ...]:
        """Names that can be asked for: built-in ones first, in the order of their modules, then users' own."""
        return tuple(self._found)

    def get(self, name: str, field: str | None = None) -> P:
        """The plug-in of a name.

        Raises:
            UserError: there is none, or it cannot be used; it names ``field`` (the seam, where None).
        """
        plugin = self._found.get(name)
        if plugin is not None:
            return plugin
        broken = next((item for item in self._broken if item.name == name), None)
        message = f"{self.seam} {name!r} of {broken.origin}: {broken.problem}" if broken else None
        raise UserError(
            message or f"unknown {self.seam} {name!r}", field=field or self.seam, allowed=", ".join(self.names())
        )

    def __iter__(self) -> Iterator[P]:
        return iter(self._found.values())

    def listing(self) -> list[Listed]:
        """Everything that was found, what cannot be used included."""
        usable = [
            Listed(seam=self.seam, name=name, summary=plugin.summary, origin=self._origins[name])
            for name, plugin in self._found.items()
        ]
        return usable + self._broken

    def check(self, name: str) -> str:
        """The name itself, if there is such a plug-in: for validators of specs.

        Raises:
            ValueError: there is none.
        """
        try:
            self.get(name)
        except UserError as error:
            raise ValueError(f"{error.message} (allowed: {error.allowed})") from error
        return name

    @cached_property
    def _found(self) -> dict[str, P]:
        self._origins: dict[str, str] = {}
        found: dict[str, P] = {}
        for plugin in _in_folder(self._folder):
            if plugin.name in found:
                raise RuntimeError(f"two built-in {self.seam}s are called {plugin.name!r}")
            found[plugin.name] = plugin
            self._origins[plugin.name] = self._folder.partition(".")[0]
        self._broken: list[Listed] = []
        for entry in sorted(metadata.entry_points(group=self.group), key=lambda entry: entry.name):
            self._add(entry, found)
        return found

    def _add(self, entry: metadata.EntryPoint, found: dict[str, P]) -> None:
        origin = entry.dist.name if entry.dist else entry.value
        try:
            plugin = entry.load()
        except Exception as error:  # somebody else's code: whatever it raises is its own problem
            self._refuse(entry.name, origin, f"cannot be imported: {type(error).__name__}: {error}")
            return
        missing = sorted(member for member in _members(self._interface) if not hasattr(plugin, member))
        if missing:
            self._refuse(entry.name, origin, f"{entry.value} has no {', '.join(missing)}")
        elif plugin.name in found:
            self._refuse(plugin.name, origin, f"the name is taken by {self._origins[plugin.name]}")
        else:
            found[plugin.name] = plugin
            self._origins[plugin.name] = origin

    def _refuse(self, name: str, origin: str, problem: str) -> None:
        self._broken.append(Listed(seam=self.seam, name=name, summary="", origin=origin, problem=problem))


def _in_folder(folder: str) -> Iterator[Any]:
    package = importlib.import_module(folder)
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            loaded = importlib.import_module(f"{folder}.{module.name}")
            yield from getattr(loaded, "PLUGINS", None) or (loaded.PLUGIN,)


def _members(interface: type[Any]) -> set[str]:
    """Public members of a protocol and of those that it extends."""
    found: set[str] = set()
    for base in interface.__mro__:
        if base not in (object, Protocol, Generic):
            found |= {name for name in (*vars(base), *inspect.get_annotations(base)) if not name.startswith("_")}
    return found
