"""Engines: one file each. An engine is a model server's program as a job starts it: its flags, its environment, its figures.

Users' own come by the entry points of ``mentor.engines``; ``serve: {engine: NAME}`` beside a model's path takes them.
Which program that is says the operator (``mentor.inference.servers.command``), never a spec.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator

from mentor.plugins import Plugin, Registry


@dataclass(frozen=True)
class Launch:
    """What is to be served, and where.

    ``options``: what a spec says of it (``ServeSpec``), as far as it is given. ``key``: callers must send it.
    ``replica``: its number among equals, from 1; 0 where it is alone. ``devices``: the GPUs that it may see, as
    ``CUDA_VISIBLE_DEVICES`` names them; None: those that this process may.
    """

    folder: Path
    name: str
    port: int
    key: str
    threads: int
    options: Mapping[str, Any]
    replica: int = 0
    devices: str | None = None

    def numbered(self, name: str) -> str:
        """A name of this one server, where there are several."""
        return f"{name}-{self.replica}" if self.replica else name


class Engine(Plugin, Protocol):
    """A model server's program. It answers ``/health``, ``/v1/models`` and ``/metrics``, and takes a bearer key.

    Attributes:
        module: the package that an interpreter has to have for it; ``program``: what the interpreter is then given.
        takes: options of ``ServeSpec`` that it knows; others are refused.
        plain: further flags that any submitter may give, with a number or a word; the rest is for operators.
        tokens: the counters of its ``/metrics`` that count tokens, by ``prompt`` and ``generated``.
    """

    @property
    def module(self) -> str: ...
    @property
    def program(self) -> Sequence[str]: ...
    @property
    def takes(self) -> frozenset[str]: ...
    @property
    def plain(self) -> frozenset[str]: ...
    @property
    def tokens(self) -> Mapping[str, str]: ...

    def arguments(self, launch: Launch) -> Sequence[str]:
        """Flags for this launch; they stand behind a spec's own, so that the last word is theirs."""
        ...

    def environment(self, launch: Launch) -> Mapping[str, str]:
        """Variables laid over the server's environment."""
        ...


ENGINES: Registry[Engine] = Registry("engine", "mentor.inference.engines", Engine)

EngineName = Annotated[str, AfterValidator(ENGINES.check)]
"""Type of a spec's field that names an engine."""


def flags(options: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """``--flag=value`` for each option that has a flag; a switch is ``--flag`` or ``--no-flag``."""
    for option, flag in names.items():
        value = options.get(option)
        if isinstance(value, bool):
            yield flag if value else flag.replace("--", "--no-", 1)
        elif value is not None:
            yield f"{flag}={value}"
