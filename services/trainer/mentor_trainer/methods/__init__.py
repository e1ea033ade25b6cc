"""Training methods: one file each. A method says what of a spec it needs, how long it trains, and which process does it.

Users' own come by the entry points of ``mentor.methods``; ``algorithm: NAME`` in a spec takes them. Whatever runs the process
(supervision, checkpoints, metrics, the stop file) is the same for all: see ``mentor_trainer.run``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import AfterValidator

from mentor.chat import ChatFormat
from mentor.plugins import Plugin, Registry
from mentor.trajectory import Question

if TYPE_CHECKING:
    from mentor_trainer.config import TrainSpec
    from mentor_trainer.overrides import RunPaths

Condition = tuple[str, str, bool]
"""Field of the spec, what is allowed, whether it holds."""


class Method(Plugin, Protocol):
    """A way to train.

    ``samples``: whether the student is sampled, which needs the services of its tools. ``on_verl``: whether verl does it.
    """

    @property
    def samples(self) -> bool: ...
    @property
    def on_verl(self) -> bool: ...

    def conditions(self, spec: TrainSpec) -> list[Condition]:
        """What of the spec must hold, beyond what holds for every method. Touches no file."""
        ...

    def steps_per_epoch(self, spec: TrainSpec, questions: Sequence[Question], chat_format: ChatFormat) -> int:
        """Optimiser steps in one pass over the data.

        Raises:
            UserError: the data do not make one.
        """
        ...

    def command(self, spec: TrainSpec, paths: RunPaths) -> tuple[str, ...]:
        """The process to start. It writes ``metrics.jsonl`` into ``paths.attempt``, whole checkpoints into
        ``paths.checkpoints``, goes on from ``paths.resume_from``, and saves and ends when ``paths.attempt/stop`` appears."""
        ...


METHODS: Registry[Method] = Registry("method", "mentor_trainer.methods", Method)

MethodName = Annotated[str, AfterValidator(METHODS.check)]
"""Type of a spec's field that names a method."""
