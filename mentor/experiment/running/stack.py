"""An own local stack for a session: one that an earlier session left behind is taken over, and all of it goes at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from mentor.errors import ConflictError
from mentor.experiment.spec import ExperimentSpec
from mentor.local.distill import ServiceUrls
from mentor.local.layout import StackSpec
from mentor.local.stack import alive, down, load_state, status, up


def on_stack(spec: ExperimentSpec, stack: StackSpec) -> ExperimentSpec:
    """The grid with the addresses of a local stack's services."""
    urls = ServiceUrls(**{name: stack.url(name) for name in ("teacher", "trainer", "evaluator")})
    return spec.model_copy(update={"services": urls})


@contextmanager
def own_stack(stack: StackSpec, console: Console) -> Iterator[None]:
    """The stack for the duration of the block.

    Raises:
        ConflictError: another stack is up in its home.
        MentorError: it does not come up; nothing of it is left then.
    """
    if not _taken_over(stack, console):
        console.print(f"starting services in {stack.folder}")
        up(stack, report=lambda line: console.print(f"  {line}", style="dim"))
    try:
        yield
    finally:
        console.print("stopping the services")
        down(stack)


def _taken_over(stack: StackSpec, console: Console) -> bool:
    """Whether this very stack is up already: a killed session's, whose jobs may still be running in it."""
    if not alive(stack):
        return False
    state = load_state(stack)
    if state is not None and state.spec != stack:
        raise ConflictError(
            f"another stack is up in {stack.folder}", field="home",
            allowed="another home, the same --port-offset and --lanes, or `mentor down` first",
        )  # fmt: skip
    rows = status(stack)
    if rows and all(row["ready"] for row in rows):
        console.print(f"going on with the services that are up in {stack.folder}")
        return True
    down(stack)
    return False
